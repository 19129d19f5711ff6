# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One server of this host: the way from what is to what is wanted. Pure."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Sequence

from . import archiver, credentials, guc, start_guard
from .configuration import already_taken
from .errors import InputError, StateError
from .instance import UNFINISHED, Instance
from .plan import Action, Plan
from .server_state import Current, Wanted, auto_conf, configured


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps from what is to what is wanted.

    Raises:
        StateError: the directory holds something else, or another instance than the one named.
    """
    instance = current.instance
    instance.refuse_foreign()
    _refuse_another(instance, wanted)
    if wanted.state == "absent":
        steps = _removal(current, wanted)
    elif not instance.exists:
        steps = _creation(current, wanted)
    elif wanted.restart == "deferred" and current.restart_reasons and wanted.state == "started":
        steps = []
    else:
        steps = _copy(current) + _writes(current, wanted) + _service(current, wanted)
    return Plan(steps, _before(current, steps), _after(current, wanted, steps), _facts(current, wanted, steps))


def _refuse_another(instance: Instance, wanted: Wanted) -> None:
    found = instance.control.system_identifier if instance.control else ""
    if wanted.state == "absent" and found and not wanted.system_identifier:
        raise InputError("The instance in %s was to be absent, which destroys its data, and system_identifier does not name it; "
                         "give %s when it is the right one." % (wanted.data_directory, found))
    if wanted.system_identifier and found and found != wanted.system_identifier:
        raise StateError("The instance with the system identifier %s was asked for in %s and the one there has %s; name the "
                         "right directory." % (wanted.system_identifier, wanted.data_directory, found))


def _removal(current: Current, wanted: Wanted) -> List[Action]:
    steps = [_stop(wanted)] if current.instance.process else []
    steps += [Action("remove", "rm -r %s" % path, {"path": path}) for path in current.leftovers]
    steps += _units(steps, current, wanted)
    if steps and current.last:
        steps.append(Action("tidy", "rm -r of the programs that no instance uses any more"))
    return steps


def _copy(current: Current) -> List[Action]:
    return [Action("programs", current.copy_of_programs)] if current.copy_of_programs else []


def _creation(current: Current, wanted: Wanted) -> List[Action]:
    if wanted.planned:
        return _writes(current, wanted) + ([] if wanted.state == "stopped" else [_start(wanted)])
    if not wanted.create:
        raise StateError("An instance was expected in %s and there is none; clone or create it first."
                         % wanted.data_directory)
    if current.place_taken:
        raise already_taken(wanted.data_directory, current.place_taken, wanted.port)
    argv = ["--pgdata=%s" % (wanted.data_directory + UNFINISHED)] + list(wanted.initdb)
    steps = _copy(current)
    steps.append(Action("initdb", " ".join(["initdb"] + argv), {"argv": argv}))
    steps += [Action("write", "write %s" % path, {"path": path, "text": text, "before": None, "draft": _unfinished(path, wanted)})
              for path, text in wanted.files.items()]
    steps.append(Action("rename", "mv %s %s" % (wanted.data_directory + UNFINISHED, wanted.data_directory)))
    steps += _beside(current, wanted)
    steps += _units(steps, current, wanted)
    if wanted.state != "stopped":
        steps.append(_start(wanted))
    return steps


def _unfinished(path: str, wanted: Wanted) -> str:
    """Return where a file of the data directory stands while that is being made."""
    inside = wanted.data_directory + os.sep
    return wanted.data_directory + UNFINISHED + os.sep + path[len(inside):] if path.startswith(inside) else path


def _writes(current: Current, wanted: Wanted) -> List[Action]:
    steps = [Action("directory", "mkdir %s" % path, {"path": path}) for path in current.missing_directories]
    steps += [Action("write", "write %s" % path, {"path": path, "text": text, "before": current.files.get(path)})
              for path, text in _wanted_files(current, wanted).items() if current.files.get(path) != text]
    steps += _beside(current, wanted)
    return steps + _units(steps, current, wanted)


def _beside(current: Current, wanted: Wanted) -> List[Action]:
    """Return the steps for the files that are neither the server's configuration nor its data."""
    return (credentials.writes(current.credentials, wanted.credentials)
            + start_guard.writes(current.start_guard, wanted.start_guard))


def _wanted_files(current: Current, wanted: Wanted) -> Dict[str, str]:
    """Return the wanted texts, with that of the override file derived from its present one."""
    files = dict(wanted.files)
    auto = current.files.get(auto_conf(wanted))
    if auto is not None:
        files[auto_conf(wanted)] = guc.edit(auto, dict.fromkeys(configured(wanted)))
    return files


def _units(steps: Sequence[Action], current: Current, wanted: Wanted) -> List[Action]:
    """Return the step by which systemd learns that an instance came, starts at boot or in another way, or went."""
    drop_in = start_guard.drop_in(wanted.unit)
    known = {os.path.join(wanted.config_directory, "start.conf"), wanted.config_directory, drop_in, os.path.dirname(drop_in)}
    is_touched = bool(known & {step.values.get("path") for step in steps})
    return [Action("units", "systemctl daemon-reload")] if wanted.unit and (is_touched or current.unread) else []


def _service(current: Current, wanted: Wanted) -> List[Action]:
    writes = [step for step in _writes(current, wanted) if step.action == "write" or step.values.get("is_loaded")]
    if current.instance.process is None:
        if wanted.state == "stopped":
            return []
        if current.place_taken:
            raise already_taken(wanted.data_directory, current.place_taken, wanted.port)
        return [_start(wanted)]
    if wanted.state == "stopped":
        return [_stop(wanted)]
    if wanted.state == "restarted" or (current.restart_reasons and wanted.restart == "when_needed"):
        if current.place_taken and "port" in current.restart_reasons:
            raise already_taken(wanted.data_directory, current.place_taken, wanted.port)
        return [Action("restart", _command("restart", wanted, " --mode=fast"))]
    if wanted.state == "reloaded" or writes or current.stale:
        return [Action("reload", "pg_ctl reload --pgdata=%s" % wanted.data_directory)]
    return []


def _start(wanted: Wanted) -> Action:
    return Action("start", _command("start", wanted))


def _stop(wanted: Wanted) -> Action:
    return Action("stop", _command("stop", wanted, " --mode=fast"))


def _command(verb: str, wanted: Wanted, how: str = "") -> str:
    if wanted.unit:
        return "systemctl %s %s" % (verb, wanted.unit)
    return "pg_ctl %s --pgdata=%s%s" % (verb, wanted.data_directory, how)


def _before(current: Current, steps: Sequence[Action]) -> Dict[str, Any]:
    state: Dict[str, Any] = {"state": _state(current)}
    for step in steps:
        if step.action in ("write", "guard"):
            state[step.values["path"]] = (step.values["before"] or "").splitlines()
        elif step.action == "secret":
            state[step.values["path"]] = step.values["before"]
    return state


def _after(current: Current, wanted: Wanted, steps: Sequence[Action]) -> Dict[str, Any]:
    state: Dict[str, Any] = {"state": _state(current)}
    for step in steps:
        if step.action in ("stop", "remove"):
            state["state"] = "missing" if wanted.state == "absent" else "stopped"
        elif step.action in ("start", "restart"):
            state["state"] = "started"
        elif step.action == "initdb":
            state["state"] = "stopped"
        elif step.action in ("write", "guard"):
            state[step.values["path"]] = (step.values["text"] or "").splitlines()
        elif step.action == "secret":
            state[step.values["path"]] = "as given"
    return state


def _state(current: Current) -> str:
    if current.instance.exists:
        return "started" if current.instance.process else "stopped"
    return current.instance.kind


def _facts(current: Current, wanted: Wanted, steps: Sequence[Action]) -> Dict[str, Any]:
    actions = {step.action for step in steps}
    control = current.instance.control
    return {
        "data_directory": wanted.data_directory,
        "system_identifier": control.system_identifier if control else "",
        "restart_required": bool(current.restart_reasons) and not actions & {"restart", "stop", "remove"},
        "restart_reasons": list(current.restart_reasons),
        "archive": archiver.archive_of(wanted.data_directory) if current.instance.exists else "",
        "created": "initdb" in actions,
        "restarted": "restart" in actions,
        "reloaded": "reload" in actions,
    }
