# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One server of this host: its data directory, its configuration files, whether it runs."""

from __future__ import annotations

import os
import shutil
from typing import Any, Dict, List, Sequence

from . import archiver, credentials, guc, layout, service, start_guard, tools
from .durable import sync_directory
from .errors import StateError
from .instance import REMOVED, UNFINISHED, Host, wait_until
from .instance import read as read_instance
from .plan import Action
from .server_plan import plan
from .server_state import Current, Wanted, configured, desired, read, refuse_bad_settings, session

__all__ = ["Current", "Wanted", "apply", "desired", "plan", "read"]


def apply(host: Host, wanted: Wanted, steps: Sequence[Action]) -> Dict[str, Any]:
    """Do the steps; return the system identifier and the name of the archive where an instance was made."""
    doers = {"programs": _do_programs, "initdb": _do_initdb, "directory": _do_directory, "write": _do_write,
             "secret": _do_secret, "guard": _do_guard, "units": _do_units, "start": _do_start, "stop": _do_stop,
             "restart": _do_restart, "reload": _do_reload, "remove": _do_remove, "rename": _do_rename, "tidy": _do_tidy}
    for step in steps:
        if step.action in ("reload", "restart"):
            _refuse_bad_hba(host, wanted, steps)
        doers[step.action](host, wanted, step)
    if any(step.action == "initdb" for step in steps):
        control = read_instance(host.programs, wanted.data_directory).control
        return {"system_identifier": control.system_identifier if control else "",
                "archive": archiver.archive_of(wanted.data_directory)}
    return {}


def _do_programs(host: Host, _wanted: Wanted, _step: Action) -> None:
    host.copy_programs()


def _do_initdb(host: Host, wanted: Wanted, step: Action) -> None:
    refuse_bad_settings(host, wanted, {})
    unfinished = wanted.data_directory + UNFINISHED
    if os.path.exists(unfinished):
        shutil.rmtree(unfinished)
    host.make_directory(os.path.dirname(wanted.data_directory), 0o755)
    for path in wanted.directories:
        host.make_directory(path, 0o755)
    host.programs.run("initdb", *step.values["argv"])
    control = read_instance(host.programs, unfinished).control
    host.write(os.path.join(unfinished, archiver.LINEAGE), archiver.name_of(control.system_identifier if control else "") + "\n")
    if wanted.config_directory != wanted.data_directory:
        for path in wanted.files:
            _unlink(os.path.join(unfinished, os.path.basename(path)))


def _unlink(path: str) -> None:
    """Remove a file of initdb whose like stands elsewhere, so that nobody takes it for the one that counts."""
    if os.path.exists(path):
        os.unlink(path)


def _do_rename(_host: Host, wanted: Wanted, _step: Action) -> None:
    os.rename(wanted.data_directory + UNFINISHED, wanted.data_directory)
    sync_directory(os.path.dirname(wanted.data_directory))


def _do_directory(host: Host, _wanted: Wanted, step: Action) -> None:
    host.make_directory(step.values["path"], 0o755)


def _do_write(host: Host, wanted: Wanted, step: Action) -> None:
    path = step.values.get("draft", step.values["path"])
    inside = step.values["path"].startswith(wanted.config_directory + os.sep)
    host.make_directory(os.path.dirname(path), 0o755)
    host.write(path, step.values["text"], layout.mode(wanted.unit if inside else "", os.path.basename(path)))


def _do_secret(host: Host, wanted: Wanted, step: Action) -> None:
    credentials.write(host, wanted.credentials, step)


def _do_guard(host: Host, _wanted: Wanted, step: Action) -> None:
    start_guard.do(host, step)


def _do_units(_host: Host, wanted: Wanted, _step: Action) -> None:
    tools.run(["systemctl", "daemon-reload"])
    if wanted.state == "absent":
        service.forget_failure(wanted.unit)


def _do_start(host: Host, wanted: Wanted, _step: Action) -> None:
    for path in wanted.directories:
        host.make_directory(path, 0o755)
    service.start(host, wanted.data_directory, wanted.log_file, wanted.timeout)


def _do_stop(host: Host, wanted: Wanted, _step: Action) -> None:
    service.stop(host, wanted.data_directory, wanted.timeout)


def _do_restart(host: Host, wanted: Wanted, step: Action) -> None:
    """Stop and start, with what can be done beforehand done beforehand, so that the outage is short."""
    _await_floors(host, wanted)
    with session(wanted) as connection:
        connection.rows("CHECKPOINT")
    _do_stop(host, wanted, step)
    _do_start(host, wanted, step)


def _await_floors(host: Host, wanted: Wanted) -> None:
    """Wait until a standby has replayed its primary's lower settings, below which it would not start."""
    settings = configured(wanted)
    names = [name for name in guc.STANDBY_FLOOR if name in settings]

    def too_low() -> List[str]:
        instance = read_instance(host.programs, wanted.data_directory)
        if not instance.standby_signal or instance.control is None:
            return []
        floors = instance.control.floors
        return [name for name in names if int(settings[name]) < floors[name]]

    if not wait_until(lambda: not too_low(), wanted.timeout):
        raise StateError("The standby in %s was asked to lower %s and its primary still has more, or it does not replay; lower "
                         "it on the primary first." % (wanted.data_directory, ", ".join(too_low())))


def _do_reload(_host: Host, wanted: Wanted, _step: Action) -> None:
    with session(wanted) as connection:
        loaded = "SELECT pg_catalog.pg_conf_load_time()::text AS at"
        before = connection.rows(loaded)[0]["at"]
        connection.rows("SELECT pg_catalog.pg_reload_conf()")
        if not wait_until(lambda: connection.rows(loaded)[0]["at"] != before, wanted.timeout):
            raise StateError("The server in %s was told to read its configuration and has not within %d s; look at %s."
                             % (wanted.data_directory, wanted.timeout, wanted.log_file))


def _refuse_bad_hba(host: Host, wanted: Wanted, steps: Sequence[Action]) -> None:
    """Put the former pg_hba.conf back when the server cannot read the new one, with which it would not start either.

    The view reads the file as it is, not as it was loaded (chapter 53.10).
    """
    with session(wanted) as connection:
        bad = connection.rows("SELECT line_number, error FROM pg_catalog.pg_hba_file_rules WHERE error IS NOT NULL")
    if not bad:
        return
    written = [step.values for step in steps if step.action == "write" and step.values["path"].endswith("pg_hba.conf")]
    for values in written:
        host.write(values["path"], values["before"] or "", layout.mode(wanted.unit, "pg_hba.conf"))
    raise StateError("The %s pg_hba.conf has in line %s: %s; %scorrect pg_server_hba." % (
        "new" if written else "present", bad[0]["line_number"], bad[0]["error"],
        "the former file is back, " if written else ""))


def _do_remove(host: Host, wanted: Wanted, step: Action) -> None:
    path = step.values["path"]
    if not os.path.isdir(path):
        os.unlink(path)
    elif path != wanted.data_directory:
        shutil.rmtree(path)
    else:
        os.rename(path, path + REMOVED)
        shutil.rmtree(path + REMOVED)
    host.remove_empty_parents(path)


def _do_tidy(host: Host, wanted: Wanted, _step: Action) -> None:
    host.remove_programs([wanted.log_file] + [os.path.join(path, "") for path in wanted.directories])
