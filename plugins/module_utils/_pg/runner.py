# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel: read, plan, apply; the only place that knows AnsibleModule.

A resource is a module of this package with ``desired``, ``read``, ``plan`` and, where running the steps is more than
sending statements, ``apply``. ``plan`` is a pure function of what is and what is wanted. Check mode is "plan and do not
apply", the diff is the plan's before and after, ``changed`` is "the plan has steps". Nothing else decides any of these.
"""

from __future__ import annotations

from typing import Any, Callable, ContextManager, Dict, List, Mapping, NoReturn, Optional

from ansible.module_utils.basic import AnsibleModule

from . import login
from .errors import PgError, Unreachable
from .plan import Plan

__all__ = ["Plan", "run"]


def run(
    resource: Any,
    argument_spec: Mapping[str, Any],
    opener: Optional[Callable[[Mapping[str, Any]], ContextManager[Any]]] = None,
    **constraints: Any,
) -> NoReturn:
    """Be a module: read the present, plan the way to what is wanted, go it unless in check mode, and report.

    Args:
        resource: has ``desired(params)``, ``read(context, wanted)`` and ``plan(current, wanted)``; may have
            ``apply(context, wanted, steps)`` (else each step is executed by the context), ``settle(context, wanted)``,
            which waits for the state that the steps lead to, whether there were any or not, and ``ABSENT``, the state
            of a server that does not exist yet.
        argument_spec: the module's own options; without an opener, those for the login are added.
        opener: gives the context of a resource that is not SQL.
        constraints: such as ``mutually_exclusive``, as AnsibleModule takes them.
    """
    module = _module(dict(argument_spec) if opener else dict(login.SPEC, **argument_spec), constraints)
    try:
        result = _converge(module, resource, opener or login.session)
    except PgError as error:
        module.fail_json(msg=str(error))
    for text in result.pop("warnings", ()):
        module.warn(text)
    module.exit_json(**result)
    raise AssertionError("exit_json returned")


def run_reader(gather: Callable[[Mapping[str, Any]], Mapping[str, Any]], argument_spec: Mapping[str, Any],
               **constraints: Any) -> NoReturn:
    """Be a module that only reads: return what ``gather`` finds for the options.

    Args:
        gather: from the options to the results.
        argument_spec: the module's own options, to which those for the login are added.
        constraints: such as ``mutually_exclusive``, as AnsibleModule takes them.
    """
    module = _module(dict(login.SPEC, **argument_spec), constraints)
    try:
        result = gather(module.params)
    except PgError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)
    raise AssertionError("exit_json returned")


def _module(spec: Mapping[str, Any], constraints: Mapping[str, Any]) -> AnsibleModule:
    return AnsibleModule(argument_spec=spec, supports_check_mode=True, **constraints)


def _converge(module: AnsibleModule, resource: Any, opener: Callable[..., ContextManager[Any]]) -> Dict[str, Any]:
    params = dict(module.params, check_mode=module.check_mode)
    wanted = resource.desired(params)
    try:
        with opener(params) as context:
            plan, extra = _plan_and_apply(module, resource, context, wanted)
            return _report(plan, context.shown_as, extra)
    except Unreachable:
        if not (module.check_mode and module.params.get("login_planned")):
            raise
        return _report(resource.plan(resource.ABSENT, wanted), login.Session.shown_as, {})


def _plan_and_apply(module: AnsibleModule, resource: Any, context: Any, wanted: Any) -> Any:
    plan = resource.plan(resource.read(context, wanted), wanted)
    if module.check_mode:
        return plan, {}
    plan, extra = _apply(resource, context, wanted, plan)
    if hasattr(resource, "settle"):
        resource.settle(context, wanted)
    return plan, extra


def _apply(resource: Any, context: Any, wanted: Any, plan: Plan) -> Any:
    """Do the steps under the lock, planned anew there since the state may have changed while we waited for it."""
    if not plan.steps:
        return plan, {}
    with context.lock(resource.__name__.rpartition(".")[2], *getattr(wanted, "lock_names", ())):
        plan = resource.plan(resource.read(context, wanted), wanted)
        if hasattr(resource, "apply"):
            return plan, resource.apply(context, wanted, plan.steps) or {}
        for step in plan.steps:
            context.execute(step)
    return plan, {}


def _report(plan: Plan, shown_as: str, extra: Mapping[str, Any]) -> Dict[str, Any]:
    result: Dict[str, Any] = dict(plan.facts)
    result.update(extra)
    warnings: List[str] = list(plan.warnings) + list(result.pop("warnings", ()))
    if warnings:
        result["warnings"] = warnings
    result["changed"] = bool(plan.steps)
    result[shown_as] = [step.shown for step in plan.steps]
    result["diff"] = {"before": dict(plan.before), "after": dict(plan.after)}
    return result
