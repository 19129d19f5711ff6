# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How every module of this collection is run: as any module, and where the host is this very process's own, right here.

A module run costs 0.3 s of processor time before its first line: an interpreter is started, and Ansible's library is unpacked
and compiled. Where the connection is local, the account is ours and the interpreter is the one that runs Ansible, there is
nothing to transport, and the same module with the same arguments runs in the worker process that Ansible has forked for the task.
Everywhere else, and when the variable ``pg_in_process`` is false, nothing is special.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
from typing import Any

from ansible.module_utils import basic
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.vars import merge_hash

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.progress import OPTION
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import progress

try:
    from ansible.module_utils.common.json import Direction, get_module_decoder, get_module_encoder
except ImportError:  # an ansible-core that keeps these elsewhere runs our modules as it runs any
    get_module_encoder = None

PACKAGE = "ansible_collections.pgmahout.cluster.plugins.modules"
MODULES = ("pg_archive_info", "pg_archive_proof", "pg_backup", "pg_backup_restore", "pg_backup_schedule", "pg_basebackup",
           "pg_check", "pg_database", "pg_dump", "pg_fence", "pg_host", "pg_instance", "pg_packages", "pg_probe", "pg_promote",
           "pg_publication", "pg_receivewal", "pg_recovery", "pg_replication_info", "pg_replication_role", "pg_replication_slot",
           "pg_repository_access", "pg_repository_copy", "pg_restore", "pg_rewind", "pg_scratch", "pg_subscription",
           "pg_switchover", "pg_wal_archive")
PROFILE = "legacy"


def _module(name: str) -> Any:
    return importlib.import_module("%s.%s" % (PACKAGE, name))


# This file is first loaded by the process that forks the workers, so that they find everything compiled.
for _name in MODULES:
    _module(_name)


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run a module."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Run the module of the task's name."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        is_here, arguments = self._is_here(task_vars), self._task.args.copy()
        with self._shown_progress(task_vars, arguments, is_here):
            if is_here:
                merged: dict[str, Any] = merge_hash(result, self._run_here(task_vars, arguments))
                return merged
            wrap_async = self._task.async_val and not self._connection.has_native_async
            merged = merge_hash(result, self._execute_module(module_args=arguments, task_vars=task_vars, wrap_async=wrap_async))
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return merged

    def _shown_progress(self, task_vars: Any, arguments: dict[str, Any],
                        is_here: bool) -> contextlib.AbstractContextManager[None]:
        """Give a context in which the module's progress is shown, if it tells any, and the module a file to tell it in."""
        name = self._task.action.rpartition(".")[2]
        if (OPTION not in getattr(_module(name), "ARGUMENT_SPEC", {}) or self._task.async_val or self._task.check_mode
                or not boolean(arguments.get("progress", True), strict=False)):
            return contextlib.nullcontext()
        path = arguments[OPTION] = progress.new_file()
        host = " -> ".join(filter(None, (task_vars["inventory_hostname"], self._task.delegate_to)))
        return progress.shown(progress.here(path) if is_here else progress.there(self, path), f"[{host}] {name}")

    def _is_here(self, task_vars: Any) -> bool:
        # Of a task that is delegated, the connection is that host's already, and so must be the interpreter.
        host_vars = task_vars["ansible_delegated_vars"][self._task.delegate_to] if self._task.delegate_to else task_vars
        interpreter = self._templar.template(host_vars.get("ansible_python_interpreter", ""))
        return bool(
            get_module_encoder is not None
            and self._connection.transport == "local"
            and not self._connection.become
            and not self._task.async_val
            and not any(self._task.environment)
            and interpreter == sys.executable
            and boolean(self._templar.template(task_vars.get("pg_in_process", True))))

    def _run_here(self, task_vars: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        """Run it in this process, which Ansible forked for this one task, with what it would be sent and what it prints."""
        self._update_module_args(self._task.action, arguments, task_vars)
        encoder = get_module_encoder(PROFILE, Direction.CONTROLLER_TO_MODULE)
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}, cls=encoder).encode()
        basic._ANSIBLE_PROFILE = PROFILE
        module = _module(self._task.action.rpartition(".")[2])
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            module.main()
        result: dict[str, Any] = json.loads(printed.getvalue(), cls=get_module_decoder(PROFILE, Direction.MODULE_TO_CONTROLLER))
        result["_ansible_parsed"] = True
        return result
