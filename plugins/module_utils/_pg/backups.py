# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A base backup, or the clone of a standby: whole or not there at all.

The source is PostgreSQL's documentation, chapter 25.3.2 (making a base backup) and the pages of pg_basebackup and
pg_verifybackup. It is made beside its place, its tablespaces beside theirs, verified there, a clone is made a standby there, and
then all is renamed.
"""

from __future__ import annotations

import os
import shutil
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence

from . import base_backup, conninfo, credentials, login, progress, standby, version
from .durable import sync_directory
from .errors import InputError, StateError
from .instance import UNFINISHED, Host, Instance, read_text
from .instance import read as read_instance
from .plan import Action, Plan


class Wanted(NamedTuple):
    """What the options ask for.

    Attributes:
        request: the backup, tablespaces being written beside their places.
        spaces: the places of tablespaces.
        is_free: whether the destination will have been emptied by then.
    """

    dest: str
    request: base_backup.Request
    spaces: Sequence[str]
    create_slot: bool
    write_recovery_conf: bool
    verify: bool
    credentials: List[credentials.File]
    progress_file: str
    is_free: bool = False

    @property
    def unfinished(self) -> str:
        """Where the backup is made."""
        return self.dest + UNFINISHED


class Current(NamedTuple):
    """What is at the destination, and at the source.

    Attributes:
        instance: ``foreign`` with a backup in tar format.
        system_identifier: of what is at the destination; ``""`` for nothing.
        upstream_identifier: of the source; ``""`` when that was not asked.
        parent_identifier: of the backup that an incremental one is to build on; ``""`` when that was not asked.
        summarizes_wal: whether the source keeps what an incremental backup is made from.
        version_num: of the programs, 0 where an earlier task would install them.
        occupied: the places of tablespaces that hold something.
    """

    instance: Instance
    system_identifier: str
    upstream_identifier: str
    parent_identifier: str
    summarizes_wal: bool
    version_num: int
    occupied: Sequence[str]
    credentials: Mapping[str, Optional[str]]
    copy_of_programs: str


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: the connection holds a password where there must be a passfile, or options exclude each other.
    """
    keywords = conninfo.given(params["conninfo"])
    dest = os.path.normpath(params["dest"])
    if not keywords:
        raise InputError("A base backup was asked for in %s and conninfo names no server to copy; give at least its host." % dest)
    standby.refuse_secrets(keywords, "conninfo")
    spaces = {old: os.path.normpath(new) for old, new in params["tablespace_mapping"].items()}
    request = base_backup.Request(
        keywords, params["format"], params["compress"], params["wal_method"], params["max_rate"], params["checkpoint"],
        params["slot"], spaces, _manifest_of(params["incremental_from"]))
    base_backup.refuse_unknown(request, version.NEWEST * 10000)
    if params["create_slot"] and not request.slot:
        raise InputError("The option create_slot was given without a slot; name the slot.")
    return Wanted(dest, request._replace(tablespace_mapping={old: new + UNFINISHED for old, new in spaces.items()}),
                  sorted(spaces.values()), params["create_slot"], _becomes_standby(params), params["verify"],
                  credentials.desired(params), params[progress.OPTION] if params["progress"] else "",
                  params["dest_planned"] and params["check_mode"])


def _manifest_of(path: str) -> str:
    """Return the path of a manifest from that of the backup or its own."""
    return os.path.join(path, base_backup.MANIFEST) if os.path.isdir(path) else path


def _becomes_standby(params: Mapping[str, Any]) -> bool:
    """Return whether the backup is to be a standby: a plain and full one is, when nothing else is said.

    Raises:
        InputError: it was asked for and cannot be.
    """
    possible = params["format"] == "plain" and not params["incremental_from"]
    if params["write_recovery_conf"] and not possible:
        raise InputError("The option write_recovery_conf was given with %s, of which no server can be started; leave it out." % (
            "incremental_from" if params["incremental_from"] else "the format tar"))
    return possible if params["write_recovery_conf"] is None else bool(params["write_recovery_conf"])


def read(host: Host, wanted: Wanted) -> Current:
    """Return what is at the destination, and what the source says where that matters."""
    instance = Instance(wanted.dest, "missing") if wanted.is_free else read_instance(host.programs, wanted.dest)
    present = _identifier_of(instance)
    incremental = bool(wanted.request.incremental_from and not present)
    upstream = login.system_identifier(wanted.request.conninfo) if present or incremental else ""
    parent = base_backup.read_manifest(wanted.request.incremental_from).system_identifier if incremental else ""
    return Current(
        instance, present, upstream, parent, incremental and login.summarizes_wal(wanted.request.conninfo),
        host.programs.version_num if host.programs.are_there else 0,
        [] if present else [space for space in wanted.spaces if space not in _renamed(wanted) and _holds_something(space)],
        credentials.read(wanted.credentials), host.copy_of_programs)


def _identifier_of(instance: Instance) -> str:
    if instance.control is not None:
        return instance.control.system_identifier
    return base_backup.system_identifier(instance.data_directory) if base_backup.is_tar(instance.data_directory) else ""


def _holds_something(directory: str) -> bool:
    return os.path.isdir(directory) and bool(os.listdir(directory))


def _renamed(wanted: Wanted) -> List[str]:
    """Return the tablespaces that a run which was killed had brought to their places already."""
    return [space for space in base_backup.tablespaces(wanted.unfinished) if space in wanted.spaces]


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps of the backup; none when the destination holds the same data already.

    Raises:
        StateError: the destination holds something else, or the source cannot give what is asked for.
        InputError: this version cannot.
    """
    kind = current.instance.kind
    if kind == "foreign" and current.system_identifier:
        kind = "backup"
    if kind == "foreign":
        current.instance.refuse_foreign()
    steps: List[Action] = []
    if current.system_identifier:
        _refuse_other(current, wanted, kind)
    else:
        _refuse_impossible(current, wanted)
        steps = _steps(current, wanted)
    before = {"dest": wanted.dest, "state": kind}
    made = "instance" if wanted.request.format == "plain" else "backup"
    return Plan(steps, before, dict(before, state=made), {"dest": wanted.dest})


def _refuse_other(current: Current, wanted: Wanted, kind: str) -> None:
    if current.system_identifier != current.upstream_identifier:
        raise StateError("A base backup of the system %s was asked for in %s and an instance of the system %s is there; move it "
                         "away yourself or choose another dest." % (
                             current.upstream_identifier, wanted.dest, current.system_identifier))
    if (wanted.request.format == "tar") != (kind == "backup"):
        raise StateError("A base backup in the format %s was asked for in %s and one in the other format is there; move it away "
                         "yourself or choose another dest." % (wanted.request.format, wanted.dest))


def _refuse_impossible(current: Current, wanted: Wanted) -> None:
    request = wanted.request
    if current.version_num:
        base_backup.refuse_unknown(request, current.version_num)
    if request.incremental_from and current.parent_identifier != current.upstream_identifier:
        raise StateError("An incremental backup of the system %s was asked for and the manifest %s is of the system %s; name "
                         "one of the same." % (current.upstream_identifier, request.incremental_from, current.parent_identifier))
    if request.incremental_from and not current.summarizes_wal:
        raise StateError("An incremental backup was asked for and the server does not summarize its WAL; set summarize_wal to on "
                         "there, and take a full backup first.")
    if current.occupied:
        raise StateError("A tablespace was to be copied to %s and that is not empty; empty it yourself or map it elsewhere."
                         % current.occupied[0])


def _steps(current: Current, wanted: Wanted) -> List[Action]:
    unfinished = wanted.unfinished
    steps = [Action("programs", current.copy_of_programs)] if current.copy_of_programs else []
    steps += credentials.writes(current.credentials, wanted.credentials)
    if wanted.create_slot:
        steps.append(Action("slot", "CREATE_REPLICATION_SLOT %s PHYSICAL RESERVE_WAL" % wanted.request.slot))
    steps.append(Action("backup", " ".join(["pg_basebackup"] + base_backup.arguments(wanted.request, unfinished))))
    if wanted.verify:
        steps.append(Action("verify", "pg_verifybackup %s" % unfinished))
    if wanted.write_recovery_conf:
        steps.append(Action("standby", "touch %s" % os.path.join(unfinished, "standby.signal")))
    if wanted.spaces:
        steps.append(Action("relink", "ln -sfn ... %s" % os.path.join(unfinished, "pg_tblspc")))
        steps += [Action("move", "mv %s %s" % (space + UNFINISHED, space), {"path": space}) for space in wanted.spaces]
    steps.append(Action("move", "mv %s %s" % (unfinished, wanted.dest), {"path": wanted.dest}))
    return steps


def apply(host: Host, wanted: Wanted, steps: Sequence[Action]) -> None:
    """Do the steps."""
    doers = {"programs": _do_programs, "secret": _do_secret, "slot": _do_slot, "backup": _do_backup, "verify": _do_verify,
             "standby": _do_standby, "relink": _do_relink, "move": _do_move}
    for step in steps:
        doers[step.action](host, wanted, step)


def _do_programs(host: Host, _wanted: Wanted, _step: Action) -> None:
    host.copy_programs()


def _do_secret(host: Host, wanted: Wanted, step: Action) -> None:
    credentials.write(host, wanted.credentials, step)


def _do_slot(_host: Host, wanted: Wanted, _step: Action) -> None:
    login.create_slot(wanted.request.conninfo, wanted.request.slot)


def _do_backup(host: Host, wanted: Wanted, _step: Action) -> None:
    for space in _renamed(wanted):
        _remove(space)
    base_backup.clear(wanted.unfinished)
    for space in wanted.spaces:
        _remove(space + UNFINISHED)
        host.make_directory(os.path.dirname(space), 0o755)
    base_backup.take(host, wanted.request, wanted.unfinished, wanted.progress_file)


def _remove(directory: str) -> None:
    if os.path.isdir(directory):
        shutil.rmtree(directory)


def _do_verify(host: Host, wanted: Wanted, _step: Action) -> None:
    with progress.during(wanted.progress_file, "verifying"):
        base_backup.verify(host, wanted.unfinished, wanted.request.format, wanted.request.wal_method)


def _do_standby(host: Host, wanted: Wanted, _step: Action) -> None:
    path = os.path.join(wanted.unfinished, "postgresql.auto.conf")
    settings = standby.settings(wanted.request.conninfo, wanted.request.slot)
    host.write(path, standby.auto_conf_text(read_text(path) or "", settings))
    host.write(os.path.join(wanted.unfinished, "standby.signal"), "")


def _do_relink(_host: Host, wanted: Wanted, _step: Action) -> None:
    base_backup.relink(wanted.unfinished, {space + UNFINISHED: space for space in wanted.spaces})


def _do_move(_host: Host, _wanted: Wanted, step: Action) -> None:
    path = step.values["path"]
    os.rename(path + UNFINISHED, path)
    sync_directory(os.path.dirname(path))
