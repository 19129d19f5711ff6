# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A former primary that stays out: marked on every member, stopped where it can be reached, and no primary whoever starts it.

``standby.signal`` comes first. A server that runs does not look at it, and one that is started finds it and takes no writes
(PostgreSQL's documentation, chapter 26.2.2), so that there is no moment at which a restart would give a second primary.

Its slots go, since a standby that still follows it would otherwise get WAL from it that the new primary never had, also when it
is started as a standby: it would cascade what it had written last.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

from . import fenced, service, slot_files, tools
from .durable import sync_directory
from .errors import InputError, StateError
from .instance import Host, Instance
from .instance import read as read_instance
from .plan import Action, Plan


class Wanted(NamedTuple):
    """What the options ask for.

    Attributes:
        members: who is fenced, or no longer.
        mark: of those who are, as in ``fenced.marks_of``.
        itself: whether the data directory is that of one who stays out.
    """

    data_directory: str
    state: str
    members: Sequence[str]
    mark: Mapping[str, Any]
    itself: bool
    unit: str
    timeout: int


class Current(NamedTuple):
    """What is.

    Attributes:
        slots: the names of those that a member has which is to stay out itself.
    """

    instance: Instance
    marks: Mapping[str, Mapping[str, Any]]
    is_masked: bool = False
    slots: Sequence[str] = ()


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: members are to be fenced from nowhere on, or the LSN is none.
    """
    needs_mark = params["state"] == "fenced" and params["members"]
    if needs_mark and (params["timeline"] is None or params["lsn"] is None):
        raise InputError("The members %s were to be fenced and timeline or lsn is not given; say from where on their WAL is not "
                         "trusted." % ", ".join(params["members"]))
    return Wanted(os.path.normpath(params["data_directory"]), params["state"], params["members"],
                  fenced.mark(params) if needs_mark else {}, params["itself"], params["unit"], params["timeout"])


def read(host: Host, wanted: Wanted) -> Current:
    """Return what is.

    Raises:
        StateError: the marks cannot be read.
    """
    instance = read_instance(host.programs, wanted.data_directory)
    return Current(instance, fenced.marks_of(wanted.data_directory),
                   wanted.itself and bool(wanted.unit) and _is_masked(wanted.unit),
                   slot_files.names(wanted.data_directory) if wanted.itself and instance.exists else ())


def _is_masked(unit: str) -> bool:
    return tools.run(["systemctl", "show", "--property=LoadState", unit]).strip() == "LoadState=masked"


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps.

    Raises:
        StateError: a member is to be fenced where there is no instance.
    """
    if wanted.state == "fenced" and not current.instance.exists:
        raise StateError("Members were to be fenced in %s and there is no instance; name the data directory of one."
                         % wanted.data_directory)
    marks = {name: mark for name, mark in current.marks.items() if name not in wanted.members}
    if wanted.state == "fenced":
        marks.update(dict.fromkeys(wanted.members, wanted.mark))
    is_standby = current.instance.standby_signal or (wanted.itself and wanted.state == "fenced")
    steps = (_fence if wanted.state == "fenced" else _free)(current, wanted, marks)
    return Plan(steps, _shown(current.marks, current.instance.standby_signal), _shown(marks, is_standby), {"fenced": marks})


def _shown(marks: Mapping[str, Any], is_standby: bool) -> Dict[str, Any]:
    return {"fenced": marks, "standby.signal": is_standby}


def _fence(current: Current, wanted: Wanted, marks: Mapping[str, Any]) -> List[Action]:
    """Return the steps to a fence; a unit is masked last, since systemd would not stop a masked one by its own command."""
    steps = []
    if wanted.itself and not current.instance.standby_signal:
        signal = os.path.join(wanted.data_directory, "standby.signal")
        steps.append(Action("write", "touch %s" % signal, {"path": signal, "text": ""}))
    steps += _write(current, wanted, marks)
    if wanted.itself and current.instance.process is not None:
        steps.append(Action("stop", "systemctl stop %s" % wanted.unit if wanted.unit
                            else "pg_ctl stop --pgdata=%s --mode=fast" % wanted.data_directory))
    if current.slots:
        shown = "rm -r %s/{%s}" % (slot_files.directory(wanted.data_directory), ",".join(current.slots))
        steps.append(Action("slots", shown, {"names": current.slots}))
    if wanted.itself and wanted.unit and not current.is_masked:
        steps.append(Action("systemctl", "systemctl mask %s" % wanted.unit, {"verb": "mask"}))
    return steps


def _free(current: Current, wanted: Wanted, marks: Mapping[str, Any]) -> List[Action]:
    steps = _write(current, wanted, marks)
    if current.is_masked:
        steps.append(Action("systemctl", "systemctl unmask %s" % wanted.unit, {"verb": "unmask"}))
    return steps


def _write(current: Current, wanted: Wanted, marks: Mapping[str, Any]) -> List[Action]:
    if marks == current.marks:
        return []
    path = fenced.path(wanted.data_directory)
    if not marks:
        return [Action("remove", "rm %s" % path, {"path": path})]
    return [Action("write", "write %s" % path, {"path": path, "text": fenced.text(marks)})]


def apply(host: Host, wanted: Wanted, steps: Sequence[Action]) -> None:
    """Do the steps."""
    for step in steps:
        if step.action == "write":
            host.write(step.values["path"], step.values["text"])
        elif step.action == "remove":
            os.unlink(step.values["path"])
            sync_directory(wanted.data_directory)
        elif step.action == "stop":
            service.stop(host, wanted.data_directory, wanted.timeout)
        elif step.action == "slots":
            slot_files.remove(wanted.data_directory, step.values["names"])
        else:
            tools.run(["systemctl", step.values["verb"], wanted.unit])
