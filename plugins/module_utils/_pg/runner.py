# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place that knows AnsibleModule: options in, and what the kernel returns out."""

from __future__ import annotations

from typing import Any, Callable, ContextManager, Mapping, NoReturn, Optional

from ansible.module_utils.basic import AnsibleModule

from . import kernel, login
from .errors import PgError


def run(
    resource: Any,
    argument_spec: Mapping[str, Any],
    opener: Optional[Callable[[Mapping[str, Any]], ContextManager[Any]]] = None,
    **constraints: Any,
) -> NoReturn:
    """Be a module: read the present, plan the way to what is wanted, go it unless in check mode, and report.

    Args:
        resource: as the kernel wants one.
        argument_spec: the module's own options; without an opener, those for the login are added.
        opener: gives the context of a resource that is not SQL.
        constraints: such as ``mutually_exclusive``, as AnsibleModule takes them.
    """
    module = _module(dict(argument_spec) if opener else dict(login.SPEC, **argument_spec), constraints)
    try:
        result = kernel.converge(resource, dict(module.params, check_mode=module.check_mode), opener or login.session)
    except PgError as error:
        module.fail_json(msg=str(error))
    for text in result.pop("warnings", ()):
        module.warn(text)
    module.exit_json(**result)
    raise AssertionError("exit_json returned")


def run_reader(gather: Callable[[Mapping[str, Any]], Mapping[str, Any]], argument_spec: Mapping[str, Any],
               shared: Optional[Mapping[str, Any]] = None, **constraints: Any) -> NoReturn:
    """Be a module that only reads: return what ``gather`` finds for the options.

    Args:
        gather: from the options, with ``check_mode`` among them, to the results; ``changed`` among these is for a reader that
            leaves a trace.
        argument_spec: the module's own options.
        shared: the options that come with them, by default those for the login.
        constraints: such as ``mutually_exclusive``, as AnsibleModule takes them.
    """
    module = _module(dict(login.SPEC if shared is None else shared, **argument_spec), constraints)
    try:
        result = dict({"changed": False}, **gather(dict(module.params, check_mode=module.check_mode)))
    except PgError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)
    raise AssertionError("exit_json returned")


def _module(spec: Mapping[str, Any], constraints: Mapping[str, Any]) -> AnsibleModule:
    return AnsibleModule(argument_spec=spec, supports_check_mode=True, **constraints)
