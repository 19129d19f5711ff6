# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an instance recovers: the signal files, and the settings in ``postgresql.auto.conf`` that go with them.

The sources are PostgreSQL's documentation, chapters 26.2.4 (setting up a standby), 19.5.5 and 19.5.6 (archive recovery and its
target) and 19.6.3 (standby servers). These settings live in ``postgresql.auto.conf`` since ``pg_basebackup`` and ``pg_rewind``
write them there too.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from . import conninfo, guc, login, recovery_end, recovery_target, service, standby
from .durable import sync_directory
from .errors import InputError, StateError
from .instance import Host, Instance, Process, read_process, read_text, wait_until
from .instance import read as read_instance
from .plan import Action, Plan

#: How often one WAL receiver must be seen streaming in a row: it says so as soon as it has connected, a moment before its
#: upstream may refuse it, as another system, or for a slot or a timeline that is not there.
_STEADY = 5


class Wanted(NamedTuple):
    """What the options ask for; a setting that is None is left as it is."""

    data_directory: str
    mode: str
    primary_conninfo: Mapping[str, str]
    primary_slot_name: Optional[str]
    restore_command: Optional[str]
    target: Optional[recovery_target.Target]
    until_segment: str
    log_file: str
    superuser: str
    wait: bool
    timeout: int


class Current(NamedTuple):
    """What is.

    Attributes:
        instance: the data directory.
        auto_conf: the text of its ``postgresql.auto.conf``.
        stale: whether the running server has not read that text yet.
        is_backup: whether it is a base backup that was never started.
    """

    instance: Instance
    auto_conf: str
    stale: bool = False
    is_backup: bool = False


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: a standby without an upstream, a password where a passfile belongs, or a target that has no meaning.
    """
    upstream = conninfo.given(params["primary_conninfo"])
    if params["mode"] == "standby" and not upstream:
        raise InputError("The option mode is standby and primary_conninfo names no upstream; give at least its host.")
    standby.refuse_secrets(upstream, "primary_conninfo")
    target = recovery_target.desired(params)
    if params["mode"] != "targeted" and target.kind != "latest":
        raise InputError("The option mode is %s and target_%s was given, and only a targeted recovery ends at a target; leave it "
                         "out or set mode to targeted." % (params["mode"], target.kind))
    if params["mode"] == "targeted" and not params["restore_command"]:
        raise InputError("The option mode is targeted and restore_command is not given, without which PostgreSQL does not "
                         "recover; give the command that fetches WAL.")
    return Wanted(os.path.normpath(params["data_directory"]), params["mode"], conninfo.masked(upstream),
                  params["primary_slot_name"], params["restore_command"],
                  target if params["mode"] == "targeted" else None, params["until_segment"],
                  params["log_file"] or os.path.normpath(params["data_directory"]) + ".log", params["superuser"], params["wait"],
                  params["timeout"])


def read(host: Host, wanted: Wanted) -> Current:
    """Return what is on the host."""
    instance = read_instance(host.programs, wanted.data_directory)
    path = _auto_conf(wanted.data_directory)
    is_backup = os.path.exists(os.path.join(wanted.data_directory, "backup_label"))
    stale = wanted.target is None and _is_unread(instance.process, wanted.superuser, path)
    return Current(instance, read_text(path) or "", stale, is_backup)


def _is_unread(process: Optional[Process], superuser: str, path: str) -> bool:
    """Return whether a server that accepts connections has not read a file since it was written."""
    if process is None or process.status != "ready":
        return False
    session = login.Session(login.local(process.socket_directory, process.port, superuser))
    try:
        return not session.has_loaded([path])
    finally:
        session.close()


def _auto_conf(data_directory: str) -> str:
    return os.path.join(data_directory, "postgresql.auto.conf")


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps from what is to what is wanted.

    Raises:
        StateError: there is no instance, or it runs in another way than asked and only a promotion or a rejoin leads there.
    """
    instance = current.instance
    if not instance.exists:
        raise StateError("The recovery mode %s was asked for in %s and there is no instance; %s first."
                         % (wanted.mode, wanted.data_directory, "restore a backup" if wanted.target else "clone it"))
    if wanted.target is not None:
        return _plan_targeted(current, wanted, wanted.target)
    _refuse(instance, wanted)
    text = standby.auto_conf_text(current.auto_conf, _changes(wanted))
    steps: List[Action] = []
    if text != current.auto_conf:
        steps.append(_write(wanted, text))
    if wanted.mode == "standby" and not instance.standby_signal:
        steps.append(_signal("touch", wanted))
    if wanted.mode == "none" and instance.standby_signal:
        steps.append(_signal("rm", wanted))
    if instance.process and (steps or current.stale):
        steps.append(Action("reload", "pg_ctl reload --pgdata=%s" % wanted.data_directory))
    before = standby.shown(current.auto_conf, instance.standby_signal)
    return Plan(steps, before, standby.shown(text, wanted.mode == "standby"), {"data_directory": wanted.data_directory})


def _refuse(instance: Instance, wanted: Wanted) -> None:
    if instance.recovery_signal:
        raise StateError("The recovery mode %s was asked for in %s and recovery.signal is there, so a point-in-time recovery is "
                         "under way; let it end first." % (wanted.mode, wanted.data_directory))
    if instance.process and instance.standby_signal != (wanted.mode == "standby"):
        found, remedy = ("a standby", "promote it with pg_promote") if instance.standby_signal else (
            "a primary", "stop it and bring it back with the playbook rejoin")
        raise StateError("The recovery mode %s was asked for in %s and the server there runs as %s; %s."
                         % (wanted.mode, wanted.data_directory, found, remedy))


def _plan_targeted(current: Current, wanted: Wanted, target: recovery_target.Target) -> Plan:
    """Return the steps to an instance that recovers to a target when it starts; none when it does so or has done so.

    With both signal files a server would be a standby (chapter 26.2), so the other one goes.
    """
    instance = current.instance
    changes: Dict[str, Optional[str]] = dict.fromkeys(standby.SETTINGS)
    changes.update(recovery_target.settings(target), restore_command=wanted.restore_command)
    text = guc.edit(current.auto_conf, changes)
    before = _shown_targeted(current.auto_conf, instance.recovery_signal)
    after = _shown_targeted(text, True)
    facts = {"data_directory": wanted.data_directory}
    # A base backup that was never started lacks the signal; a server that was promoted has lost it.
    is_told = text == current.auto_conf and not instance.standby_signal
    if is_told and (instance.recovery_signal or not current.is_backup):
        return Plan([], after, after, facts)
    if instance.process or not (instance.recovery_signal or current.is_backup):
        raise StateError("A recovery to %s was asked for in %s and %s; restore a backup into another directory." % (
            target.shown, wanted.data_directory, "a server runs there that is not on its way to it" if instance.process else
            "there is no backup_label, so that this is no base backup and would start corrupt"))
    steps = [_write(wanted, text)] if text != current.auto_conf else []
    if instance.standby_signal:
        steps.append(_signal("rm", wanted))
    if not instance.recovery_signal:
        steps.append(_signal("touch", wanted, "recovery.signal"))
    return Plan(steps, before, after, facts)


def _shown_targeted(text: str, is_recovering: bool) -> Dict[str, Any]:
    found = guc.parse(text)
    shown: Dict[str, Any] = {name: found.get(name) for name in ("restore_command",) + recovery_target.SETTINGS}
    return dict(shown, **{"recovery.signal": is_recovering})


def _write(wanted: Wanted, text: str) -> Action:
    path = _auto_conf(wanted.data_directory)
    return Action("write", "write %s" % path, {"path": path, "text": text})


def _signal(command: str, wanted: Wanted, name: str = "standby.signal") -> Action:
    path = os.path.join(wanted.data_directory, name)
    return Action(command, "%s %s" % (command, path), {"path": path})


def _changes(wanted: Wanted) -> Dict[str, Optional[str]]:
    if wanted.mode == "none":
        return dict.fromkeys(standby.SETTINGS + recovery_target.SETTINGS)
    return standby.settings(wanted.primary_conninfo, wanted.primary_slot_name, wanted.restore_command)


def apply(host: Host, wanted: Wanted, steps: Sequence[Action]) -> None:
    """Do the steps."""
    for step in steps:
        if step.action == "write":
            host.write(step.values["path"], step.values["text"])
        elif step.action == "touch":
            host.write(step.values["path"], "")
        elif step.action == "rm":
            os.unlink(step.values["path"])
            sync_directory(wanted.data_directory)
        else:
            host.programs.run("pg_ctl", "reload", "--pgdata=%s" % wanted.data_directory)


def settle(host: Host, wanted: Wanted) -> Dict[str, Any]:
    """Wait until a standby that runs streams from its upstream, or a targeted recovery that runs has reached its target.

    Raises:
        StateError: it did not within the time-out; the reason that the server logged last is told.
    """
    if wanted.wait and wanted.mode == "standby":
        _await_stream(wanted)
    if wanted.wait and wanted.target is not None:
        return _await_target(host, wanted)
    return {}


def _await_target(host: Host, wanted: Wanted) -> Dict[str, Any]:
    """Wait for the target; a server that lacks what it should have is stopped and its data directory marked."""
    try:
        return recovery_end.wait(recovery_end.Recovery(
            wanted.data_directory, wanted.superuser, wanted.timeout, wanted.until_segment, wanted.log_file))
    except recovery_end.EndedEarly as error:
        host.write(os.path.join(wanted.data_directory, recovery_end.FAILED), "%s\n" % error)
        service.stop(host, wanted.data_directory, wanted.timeout)
        raise


def _await_stream(wanted: Wanted) -> None:
    process = read_process(wanted.data_directory)
    if process is None:
        return
    session = login.Session(login.local(process.socket_directory, process.port, wanted.superuser))
    ports = set(str(wanted.primary_conninfo.get("port") or "5432").split(","))
    found: Dict[str, Any] = {}
    seen: List[Any] = []

    def streams() -> bool:
        rows = session.rows("SELECT pid, status, sender_port::text AS sender_port FROM pg_catalog.pg_stat_wal_receiver")
        found.update(rows[0] if rows else {"pid": None, "status": "not running", "sender_port": None})
        is_streaming = found["status"] == "streaming" and found["sender_port"] in ports
        seen[:] = seen + [found["pid"]] if is_streaming else []
        return seen[-_STEADY:] == [found["pid"]] * _STEADY

    try:
        if not wait_until(streams, wanted.timeout):
            raise StateError("The standby in %s was expected to stream from %s and its WAL receiver is %s after %d s: %s" % (
                wanted.data_directory, _address(wanted.primary_conninfo), found["status"], wanted.timeout,
                _reason(process.pid)))
    finally:
        session.close()


def _address(upstream: Mapping[str, str]) -> str:
    return "%s port %s" % (upstream.get("host", "the default socket"), upstream.get("port", "5432"))


def _reason(pid: int) -> str:
    """Return the last complaint in the file that the server's standard error goes to."""
    try:
        with open("/proc/%d/fd/2" % pid, "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 65536))
            lines = log.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return "look at its log."
    telling = [line for line in lines if "FATAL:" in line or "ERROR:" in line]
    return (telling or ["its log holds no error."])[-1]
