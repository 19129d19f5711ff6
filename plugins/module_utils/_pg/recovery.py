# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an instance recovers: the signal files, and the settings in ``postgresql.auto.conf`` that go with them.

The source is PostgreSQL's documentation, chapters 26.2.4 (setting up a standby) and 20.6.3 (standby settings). These settings
live in ``postgresql.auto.conf`` since ``pg_basebackup`` and ``pg_rewind`` write them there too.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from . import conninfo, login, standby
from .errors import InputError, StateError
from .instance import Host, Instance, Process, read_process, read_text, sync_directory, wait_until
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
    superuser: str
    wait: bool
    timeout: int


class Current(NamedTuple):
    """What is.

    Attributes:
        instance: the data directory.
        auto_conf: the text of its ``postgresql.auto.conf``.
        stale: whether the running server has not read that text yet.
    """

    instance: Instance
    auto_conf: str
    stale: bool = False


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: a standby without an upstream, or a password where a passfile belongs.
    """
    upstream = conninfo.given(params["primary_conninfo"])
    if params["mode"] == "standby" and not upstream:
        raise InputError("The option mode is standby and primary_conninfo names no upstream; give at least its host.")
    standby.refuse_secrets(upstream, "primary_conninfo")
    return Wanted(os.path.normpath(params["data_directory"]), params["mode"], conninfo.masked(upstream),
                  params["primary_slot_name"], params["restore_command"], params["superuser"], params["wait"],
                  params["timeout"])


def read(host: Host, wanted: Wanted) -> Current:
    """Return what is on the host."""
    instance = read_instance(host.programs, wanted.data_directory)
    path = _auto_conf(wanted.data_directory)
    return Current(instance, read_text(path) or "", _is_unread(instance.process, wanted.superuser, path))


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
    _refuse(instance, wanted)
    text = standby.auto_conf_text(current.auto_conf, _changes(wanted))
    steps: List[Action] = []
    if text != current.auto_conf:
        path = _auto_conf(wanted.data_directory)
        steps.append(Action("write", "write %s" % path, {"path": path, "text": text}))
    if wanted.mode == "standby" and not instance.standby_signal:
        steps.append(_signal("touch", wanted))
    if wanted.mode == "none" and instance.standby_signal:
        steps.append(_signal("rm", wanted))
    if instance.process and (steps or current.stale):
        steps.append(Action("reload", "pg_ctl reload --pgdata=%s" % wanted.data_directory))
    before = standby.shown(current.auto_conf, instance.standby_signal)
    return Plan(steps, before, standby.shown(text, wanted.mode == "standby"), {"data_directory": wanted.data_directory})


def _refuse(instance: Instance, wanted: Wanted) -> None:
    if not instance.exists:
        raise StateError("The recovery mode %s was asked for in %s and there is no instance; clone it first."
                         % (wanted.mode, wanted.data_directory))
    if instance.recovery_signal:
        raise StateError("The recovery mode %s was asked for in %s and recovery.signal is there, so a point-in-time recovery is "
                         "under way; let it end first." % (wanted.mode, wanted.data_directory))
    if instance.process and instance.standby_signal != (wanted.mode == "standby"):
        found, remedy = ("a standby", "promote it with pg_promote") if instance.standby_signal else (
            "a primary", "stop it and bring it back with the playbook rejoin")
        raise StateError("The recovery mode %s was asked for in %s and the server there runs as %s; %s."
                         % (wanted.mode, wanted.data_directory, found, remedy))


def _signal(command: str, wanted: Wanted) -> Action:
    path = os.path.join(wanted.data_directory, "standby.signal")
    return Action(command, "%s %s" % (command, path), {"path": path})


def _changes(wanted: Wanted) -> Dict[str, Optional[str]]:
    if wanted.mode == "none":
        return {"primary_conninfo": None, "primary_slot_name": None, "restore_command": None}
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


def settle(_host: Host, wanted: Wanted) -> None:
    """Wait until a standby that runs streams from its upstream.

    Raises:
        StateError: it did not within the time-out; the reason that the server logged last is told.
    """
    process = read_process(wanted.data_directory)
    if not wanted.wait or wanted.mode != "standby" or process is None:
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
