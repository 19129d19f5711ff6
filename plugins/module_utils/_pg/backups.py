# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base backups: the clone of a standby, whole or not there at all.

The source is PostgreSQL's documentation, chapter 25.3.2 (making a base backup) and the pages of pg_basebackup and
pg_verifybackup. A clone is made beside its place, verified there, made a standby there, and then renamed.
"""

from __future__ import annotations

import os
import shutil
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence

from . import conninfo, credentials, login, standby
from .errors import InputError, StateError
from .instance import UNFINISHED, Host, Instance, read_text, sync_directory
from .instance import read as read_instance
from .plan import Action, Plan


class Wanted(NamedTuple):
    """What the options ask for."""

    dest: str
    conninfo: Mapping[str, Any]
    slot: str
    write_recovery_conf: bool
    verify: bool
    credentials: List[credentials.File]
    arguments: Sequence[str]


class Current(NamedTuple):
    """What is at the destination, and whose data the upstream serves (``""`` when that was not asked)."""

    instance: Instance
    upstream_identifier: str
    credentials: Mapping[str, Optional[str]]
    copy_of_programs: str


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: the connection holds a password where a standby needs a passfile, or a mapping is not absolute.
    """
    keywords = conninfo.given(params["conninfo"])
    if not keywords:
        raise InputError("A clone was asked for in %s and conninfo names no server to copy; give at least its host."
                         % params["dest"])
    standby.refuse_secrets(keywords, "conninfo")
    arguments = ["--checkpoint=%s" % params["checkpoint"], "--wal-method=stream", "--no-password"]
    if params["max_rate"]:
        arguments.append("--max-rate=%s" % params["max_rate"])
    for old, new in sorted((params["tablespace_mapping"] or {}).items()):
        if not (os.path.isabs(old) and os.path.isabs(new)):
            raise InputError("The option tablespace_mapping maps %r to %r; both must be absolute paths." % (old, new))
        arguments.append("--tablespace-mapping=%s=%s" % (old.replace("=", "\\="), new.replace("=", "\\=")))
    return Wanted(os.path.normpath(params["dest"]), keywords, params["slot"], params["write_recovery_conf"],
                  params["verify"], credentials.desired(params), arguments)


def read(host: Host, wanted: Wanted) -> Current:
    """Return what is at the destination."""
    instance = read_instance(host.programs, wanted.dest)
    upstream = login.system_identifier(wanted.conninfo) if instance.exists else ""
    return Current(instance, upstream, credentials.read(wanted.credentials), host.copy_of_programs)


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps of the backup; none when the destination holds the same data already.

    Raises:
        StateError: the destination holds something else.
    """
    instance = current.instance
    instance.refuse_foreign()
    steps: List[Action] = []
    if instance.control is None:
        steps = _steps(current, wanted)
    elif instance.control.system_identifier != current.upstream_identifier:
        raise StateError("A clone of the system %s was asked for in %s and an instance of the system %s is there; move it away "
                         "yourself or choose another dest." % (
                             current.upstream_identifier, wanted.dest, instance.control.system_identifier))
    before = {"dest": wanted.dest, "state": instance.kind}
    return Plan(steps, before, dict(before, state="instance"), {"dest": wanted.dest})


def _steps(current: Current, wanted: Wanted) -> List[Action]:
    unfinished = wanted.dest + UNFINISHED
    argv = ["--pgdata=%s" % unfinished, "--dbname=%s" % conninfo.render(wanted.conninfo)] + list(wanted.arguments)
    if wanted.slot:
        argv.append("--slot=%s" % wanted.slot)
    steps = [Action("programs", current.copy_of_programs)] if current.copy_of_programs else []
    steps += credentials.writes(current.credentials, wanted.credentials)
    steps.append(Action("backup", " ".join(["pg_basebackup"] + argv), {"argv": argv}))
    if wanted.verify:
        steps.append(Action("verify", "pg_verifybackup %s" % unfinished))
    if wanted.write_recovery_conf:
        steps.append(Action("standby", "touch %s" % os.path.join(unfinished, "standby.signal")))
    steps.append(Action("rename", "mv %s %s" % (unfinished, wanted.dest)))
    return steps


def apply(host: Host, wanted: Wanted, steps: Sequence[Action]) -> None:
    """Do the steps."""
    doers = {"programs": _do_programs, "secret": _do_secret, "backup": _do_backup, "verify": _do_verify,
             "standby": _do_standby, "rename": _do_rename}
    for step in steps:
        doers[step.action](host, wanted, step)


def _do_programs(host: Host, _wanted: Wanted, _step: Action) -> None:
    host.copy_programs()


def _do_secret(host: Host, wanted: Wanted, step: Action) -> None:
    credentials.write(host, wanted.credentials, step)


def _do_backup(host: Host, wanted: Wanted, step: Action) -> None:
    unfinished = wanted.dest + UNFINISHED
    if os.path.exists(unfinished):
        shutil.rmtree(unfinished)
    host.make_directory(os.path.dirname(wanted.dest), 0o755)
    host.programs.run("pg_basebackup", *step.values["argv"])
    if not os.path.exists(os.path.join(unfinished, "backup_label")):
        raise StateError("The base backup in %s has no backup_label and would start corrupt; take it again." % unfinished)


def _do_verify(host: Host, wanted: Wanted, _step: Action) -> None:
    host.programs.run("pg_verifybackup", "--quiet", wanted.dest + UNFINISHED)


def _do_standby(host: Host, wanted: Wanted, _step: Action) -> None:
    unfinished = wanted.dest + UNFINISHED
    path = os.path.join(unfinished, "postgresql.auto.conf")
    settings = standby.settings(wanted.conninfo, wanted.slot)
    host.write(path, standby.auto_conf_text(read_text(path) or "", settings))
    host.write(os.path.join(unfinished, "standby.signal"), "")


def _do_rename(_host: Host, wanted: Wanted, _step: Action) -> None:
    os.rename(wanted.dest + UNFINISHED, wanted.dest)
    sync_directory(os.path.dirname(wanted.dest))
