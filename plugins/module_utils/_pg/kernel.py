# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel: read, plan, apply.

A resource is a module of this package with ``desired(params)``, ``read(context, wanted)`` and ``plan(current, wanted)``. It
may have ``apply(context, wanted, steps)`` (else each step is executed by the context), ``settle(context, wanted)``, which
waits for the state that the steps lead to, whether there were any or not, and may return further results, and ``ABSENT``, the
state of a server that does not exist yet. ``plan`` is a pure function of what is and what is wanted. Check mode is "plan and
do not apply", the diff is the plan's before and after, ``changed`` is "the plan has steps". Nothing else decides any of these.
"""

from __future__ import annotations

from typing import Any, Callable, ContextManager, Dict, List, Mapping

from .errors import Unreachable
from .plan import Plan


def converge(resource: Any, params: Mapping[str, Any],
             opener: Callable[[Mapping[str, Any]], ContextManager[Any]]) -> Dict[str, Any]:
    """Bring a resource to what the options ask for, and return the results.

    Args:
        resource: see the module's documentation above.
        params: the options, complete and of the right types; ``check_mode`` among them says whether only to plan.
        opener: gives the context of the resource.

    Raises:
        PgError: it cannot be done.
    """
    wanted = resource.desired(params)
    try:
        with opener(params) as context:
            plan, extra = _plan_and_apply(resource, context, wanted, params["check_mode"])
            return _report(plan, context.shown_as, extra)
    except Unreachable:
        if not (params["check_mode"] and params.get("login_planned")):
            raise
        return _report(resource.plan(resource.ABSENT, wanted), "statements", {})


def _plan_and_apply(resource: Any, context: Any, wanted: Any, check_mode: bool) -> Any:
    plan = resource.plan(resource.read(context, wanted), wanted)
    if check_mode:
        return plan, {}
    plan, extra = _apply(resource, context, wanted, plan)
    if hasattr(resource, "settle"):
        extra.update(resource.settle(context, wanted) or {})
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
