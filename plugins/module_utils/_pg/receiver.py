# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver of a WAL archive: pg_receivewal as a service, a unit of systemd or a process.

The sources are PostgreSQL's documentation, the page of pg_receivewal and chapter 27.4 (progress of WAL senders), and the manual
pages systemd.service and systemd.syntax. A repository has one receiver; its process is known by its program and by the
repository that its archive is in.
"""

from __future__ import annotations

import os
import re
import signal
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from . import catalog, conninfo, credentials, login, system_file, tools, version
from .errors import InputError, StateError, ToolError, Unreachable
from .instance import Host, read_text, wait_until
from .plan import Action, Plan
from .programs import Installation, locate
from .sql import literal

PROGRAM = "pg_receivewal"

_UNITS = "/etc/systemd/system"
#: A program that knows ``--compress=gzip`` and lz4; older ones know a level of gzip.
_NAMED_COMPRESSION = 15
_LEVEL = 6


class Wanted(NamedTuple):
    """What the options ask for."""

    directory: str
    state: str
    conninfo: Mapping[str, Any]
    slot: str
    compress: str
    unit: str
    user: str
    log_file: str
    credentials: List[credentials.File]

    @property
    def repository(self) -> str:
        """The directory that the archive is in."""
        return os.path.dirname(self.directory)

    @property
    def unit_file(self) -> str:
        """The path of the unit's file."""
        return os.path.join(_UNITS, "%s.service" % self.unit)


class Current(NamedTuple):
    """What is there.

    Attributes:
        program: the path of pg_receivewal once the programs are in place.
        major: its version; the newest where it is not there yet.
        has_directory: whether the archive's directory is there.
        arguments: of the process that runs, with its program; None when none does.
        unit_text: of the unit's file, None without one.
        credentials: the present texts by path.
        copy_of_programs: the command that brings the programs into place, ``""`` when they are.
    """

    program: str
    major: int
    has_directory: bool
    arguments: Optional[Sequence[str]]
    unit_text: Optional[str]
    credentials: Mapping[str, Optional[str]]
    copy_of_programs: str


class Process(NamedTuple):
    """A receiver that runs."""

    pid: int
    arguments: Sequence[str]


class Machine(Host):
    """The host that a receiver runs on, and how long its log was at first, in bytes."""

    logged = 0


@contextmanager
def opener(params: Mapping[str, Any]) -> Iterator[Machine]:
    """Give the host that a module runs on, from its options.

    Raises:
        StateError: the program is missing, and no earlier task would have installed it.
    """
    repository = os.path.dirname(os.path.normpath(params["directory"]))
    is_run = params["state"] == "started"
    installation = locate(params) if is_run else Installation(params["bindir"])
    host = Machine(installation, params["user"], repository, params["timeout"], params["unit"])
    if is_run and not (params["programs_planned"] and params["check_mode"]):
        host.programs.path(PROGRAM)
    host.logged = os.path.getsize(params["log_file"]) if os.path.exists(params["log_file"]) else 0
    yield host


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: the directory is not absolute, no server is named, or a secret is among what all may see.
    """
    keywords = conninfo.given(params["conninfo"])
    if not os.path.isabs(params["directory"]):
        raise InputError("The archive was asked for in %r, which is no absolute path; give one." % params["directory"])
    if params["state"] == "started":
        for option, value in (("conninfo", keywords), ("slot", params["slot"]), ("log_file", params["log_file"])):
            if not value:
                raise InputError("The receiver of %s was asked to run without the option %s; give it." % (
                    params["directory"], option))
    for key in conninfo.SECRETS:
        if key in keywords:
            raise InputError("The option conninfo holds %s, which the arguments of a process would show; put it into a passfile "
                             "and give its path as passfile." % key)
    return Wanted(os.path.normpath(params["directory"]), params["state"], keywords, params["slot"], params["compress"],
                  params["unit"], params["user"], params["log_file"], credentials.desired(params))


def read(host: Machine, wanted: Wanted) -> Current:
    """Return what is there."""
    process = find(wanted.repository)
    is_known = wanted.state == "started" and os.path.exists(os.path.join(host.programs.bindir, PROGRAM))
    return Current(
        os.path.join(host.bindir, PROGRAM),
        version.major(version.parse(host.programs.run(PROGRAM, "--version"))) if is_known else version.NEWEST,
        os.path.isdir(wanted.directory), process.arguments if process else None,
        read_text(wanted.unit_file) if wanted.unit else None,
        credentials.read(wanted.credentials), host.copy_of_programs)


def find(repository: str) -> Optional[Process]:
    """Return the receiver that fills an archive of a repository, None when none runs on this host."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        arguments = _arguments(name)
        directories = [value[len("--directory="):] for value in arguments[1:] if value.startswith("--directory=")]
        if arguments and os.path.basename(arguments[0]) == PROGRAM and [os.path.dirname(path) for path in directories] == [
                repository] and _sees_what_we_see(name):
            return Process(int(name), arguments)
    return None


def _arguments(pid: str) -> List[str]:
    """Return the arguments of a process; none of one that has ended."""
    try:
        with open("/proc/%s/cmdline" % pid, "rb") as file:
            return [os.fsdecode(value) for value in file.read().split(b"\0")[:-1]]
    except OSError:
        return []


def _sees_what_we_see(pid: str) -> bool:
    """Return whether a process has our file systems, which one in a container has not."""
    try:
        return os.stat("/proc/%s/ns/mnt" % pid).st_ino == os.stat("/proc/self/ns/mnt").st_ino
    except PermissionError:
        return True
    except OSError:
        return False


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps: what differs is written, and a receiver that runs otherwise than it would now is restarted.

    Raises:
        InputError: the program is too old for the compression.
    """
    steps = _started(current, wanted) if wanted.state == "started" else _stopped(current, wanted)
    before: Dict[str, Any] = {"state": _state(current, wanted), "arguments": list(current.arguments or [])}
    after: Dict[str, Any] = {"state": wanted.state, "arguments": arguments(current, wanted) if wanted.state == "started" else []}
    for step in steps:
        if step.action in ("secret", "unit"):
            before[step.values["path"]] = step.values["before"]
            after[step.values["path"]] = step.values.get("after", "as given")
    return Plan(steps, before, after, {"directory": wanted.directory})


def _state(current: Current, wanted: Wanted) -> str:
    if current.arguments is not None:
        return "started"
    return "absent" if wanted.state == "absent" and current.unit_text is None else "stopped"


def arguments(current: Current, wanted: Wanted) -> List[str]:
    """Return the program with its arguments.

    Raises:
        InputError: it is too old for the compression.
    """
    given = [current.program, "--directory=%s" % wanted.directory, "--slot=%s" % wanted.slot, "--synchronous", "--no-password"]
    if wanted.compress == "lz4" and current.major < _NAMED_COMPRESSION:
        raise InputError("The option compress is lz4, which pg_receivewal has since PostgreSQL %d, and %s is of version %d; use "
                         "gzip or none." % (_NAMED_COMPRESSION, current.program, current.major))
    if wanted.compress != "none":
        given.append("--compress=%s" % (wanted.compress if current.major >= _NAMED_COMPRESSION else _LEVEL))
    return given + ["--dbname=%s" % conninfo.render(wanted.conninfo)]


def unit_text(given: Sequence[str], wanted: Wanted) -> str:
    """Return the text of the unit's file.

    Args:
        given: the program with its arguments.
        wanted: the account and the log.
    """
    quoted = " ".join('"%s"' % re.sub(r'(["\\])', r"\\\1", value).replace("%", "%%").replace("$", "$$") for value in given)
    return "\n".join([
        "# Made by pgmahout.cluster.pg_receivewal, which undoes other changes.", "[Unit]",
        "Description=WAL archive in %s" % wanted.directory.replace("%", "%%"), "Wants=network-online.target",
        "After=network-online.target", "# It is to be there whenever the server comes back.", "StartLimitIntervalSec=0", "",
        "[Service]"] + (["User=%s" % wanted.user] if wanted.user else []) + [
        "ExecStart=%s" % quoted, "KillSignal=SIGINT", "Restart=always", "RestartSec=2", "UMask=0077",
        "StandardOutput=append:%s" % wanted.log_file, "StandardError=append:%s" % wanted.log_file, "",
        "[Install]", "WantedBy=multi-user.target", ""])


def _started(current: Current, wanted: Wanted) -> List[Action]:
    given = arguments(current, wanted)
    steps = [Action("programs", current.copy_of_programs)] if current.copy_of_programs else []
    steps += credentials.writes(current.credentials, wanted.credentials)
    if not current.has_directory:
        steps.append(Action("directory", "mkdir -m 0700 %s" % wanted.directory))
    text = unit_text(given, wanted)
    differs = current.arguments is None or list(current.arguments) != given
    if wanted.unit and current.unit_text != text:
        differs = True
        steps.append(Action("unit", "write %s" % wanted.unit_file, {
            "path": wanted.unit_file, "text": text, "before": (current.unit_text or "").splitlines(),
            "after": text.splitlines()}))
    shown = "systemctl restart %s" % wanted.unit if wanted.unit else " ".join(given)
    if differs:
        steps.append(Action("start", shown, {"arguments": given}))
    return steps


def _stopped(current: Current, wanted: Wanted) -> List[Action]:
    steps = []
    if current.arguments is not None:
        steps.append(Action("stop", "systemctl stop %s" % wanted.unit if wanted.unit else "kill -INT %s" % PROGRAM))
    if wanted.state == "absent" and current.unit_text is not None:
        steps.append(Action("unit", "rm %s" % wanted.unit_file, {
            "path": wanted.unit_file, "text": None, "before": current.unit_text.splitlines(), "after": []}))
    return steps


def apply(host: Machine, wanted: Wanted, steps: Sequence[Action]) -> None:
    """Do the steps."""
    doers = {"programs": _do_programs, "secret": _do_secret, "directory": _do_directory, "unit": _do_unit, "start": _do_start,
             "stop": _do_stop}
    for step in steps:
        doers[step.action](host, wanted, step)


def _do_programs(host: Machine, _wanted: Wanted, _step: Action) -> None:
    host.copy_programs()


def _do_secret(host: Machine, wanted: Wanted, step: Action) -> None:
    credentials.write(host, wanted.credentials, step)


def _do_directory(host: Machine, wanted: Wanted, _step: Action) -> None:
    host.make_directory(wanted.directory)


def _do_unit(_host: Machine, wanted: Wanted, step: Action) -> None:
    if step.values["text"] is None:
        tools.run(["systemctl", "disable", "--now", wanted.unit])
    system_file.put(wanted.unit_file, step.values["text"])
    tools.run(["systemctl", "daemon-reload"])
    if step.values["text"] is not None:
        tools.run(["systemctl", "enable", wanted.unit])


def _do_start(host: Machine, wanted: Wanted, step: Action) -> None:
    _do_stop(host, wanted, step)
    if wanted.unit:
        tools.run(["systemctl", "start", wanted.unit])
    else:
        host.make_directory(os.path.dirname(wanted.log_file), 0o755)
        tools.spawn(step.values["arguments"], wanted.user or None, wanted.log_file)


def _do_stop(host: Machine, wanted: Wanted, _step: Action) -> None:
    """Stop the receiver, also one that somebody started past its unit."""
    if wanted.unit and read_text(wanted.unit_file) is not None:
        tools.run(["systemctl", "stop", wanted.unit])
    process = find(wanted.repository)
    if process is None:
        return
    os.kill(process.pid, signal.SIGINT)
    if not wait_until(lambda: find(wanted.repository) is None, host.timeout):
        raise ToolError("The receiver of %s was asked to stop and its process %d goes on after %d s; look at %s." % (
            wanted.directory, process.pid, host.timeout, wanted.log_file))


def settle(host: Machine, wanted: Wanted) -> None:
    """Wait until the receiver streams, or until its slot is free.

    Raises:
        StateError: it does not stream within the time-out; what it said last is told.
        ToolError: it ended.
    """
    if wanted.state != "started":
        _await_free(host, wanted)
        return
    with login.connected(wanted.conninfo) as session:
        wait_until(lambda: _is_active(session, wanted) or has_ended(wanted) or _is_at_end(host, wanted), host.timeout)
        if _is_at_end(host, wanted):
            _begin_timeline(host, wanted, session)
        streams = wait_until(lambda: _is_active(session, wanted) or has_ended(wanted), host.timeout)
        if has_ended(wanted):
            raise ToolError("The receiver of %s ended when it was started: %s" % (wanted.directory, last_words(host, wanted)))
        if not streams:
            raise StateError("The receiver of %s runs and does not stream from the slot %s after %d s: %s" % (
                wanted.directory, wanted.slot, host.timeout, last_words(host, wanted)))


#: What the receiver says when the server sends nothing: its timeline ends where the receiver would begin.
_AT_END = re.compile(r'could not send replication command "START_REPLICATION": *\Z')


def _is_at_end(host: Machine, wanted: Wanted) -> bool:
    return bool(_AT_END.search(last_words(host, wanted)))


def _begin_timeline(host: Machine, wanted: Wanted, session: login.Session) -> None:
    """Let a receiver begin with the next timeline, whose archive ends with a whole segment exactly where its timeline ended.

    The server has nothing to send of a timeline that ends where it is asked to begin (chapter 54.4, START_REPLICATION), which
    pg_receivewal takes for a failure, whenever it tries again. It begins where the newest file in its directory does.

    Raises:
        StateError: the server is more than one timeline further.
    """
    segments = [segment for segment in map(catalog.segment, os.listdir(wanted.directory)) if segment is not None]
    last = max(segments, key=lambda segment: (segment.number, segment.timeline))
    row = session.rows("SELECT pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()) AS name,"
                       " pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')) AS size")[0]
    if int(row["name"][:8], 16) != last.timeline + 1:
        raise StateError("The receiver of %s was to go on behind %s, where its timeline ended, and the server is on timeline %d; "
                         "begin another archive." % (wanted.directory, last.file, int(row["name"][:8], 16)))
    suffix = os.path.splitext(last.file)[1]
    name = catalog.name_of(last.timeline + 1, catalog.following(last.number, row["size"]))
    host.write(os.path.join(wanted.directory, "%s%s.partial" % (name, suffix)), "")


def _await_free(host: Machine, wanted: Wanted) -> None:
    if not (wanted.slot and wanted.conninfo):
        return
    try:
        with login.connected(wanted.conninfo) as session:
            wait_until(lambda: not _is_active(session, wanted), host.timeout)
    except Unreachable:
        return


def _is_active(session: login.Session, wanted: Wanted) -> bool:
    """Return whether somebody streams from the slot; of WAL senders, a role without rights sees no more (chapter 27.2.1)."""
    return bool(session.rows(
        "SELECT FROM pg_catalog.pg_replication_slots WHERE active AND slot_name = %s" % literal(wanted.slot)))


def has_ended(wanted: Wanted) -> bool:
    """Return whether the receiver runs no more; a unit that waits to be started again has ended too."""
    if not wanted.unit:
        return find(wanted.repository) is None
    shown = tools.run(["systemctl", "show", "--property=ActiveState", "--property=SubState", wanted.unit])
    values = dict(line.split("=", 1) for line in shown.splitlines())
    return values["ActiveState"] in ("inactive", "failed") or values["SubState"] == "auto-restart"


def last_words(host: Machine, wanted: Wanted) -> str:
    """Return the last telling line that the receiver logged since this run began."""
    try:
        with open(wanted.log_file, "rb") as file:
            file.seek(host.logged)
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return "it left no log in %s." % wanted.log_file
    telling = [line for line in lines if "error:" in line or "FATAL:" in line]
    return (telling or lines or ["it logged nothing in %s." % wanted.log_file])[-1]
