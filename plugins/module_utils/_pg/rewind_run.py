# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that a rewind takes: ``pg_rewind`` itself, ``pg_waldump``, the server that recovers a crashed instance.

The sources are their pages in PostgreSQL's documentation, and chapter 29.6 (WAL internals).
"""

from __future__ import annotations

import os
import re
import shlex
from contextlib import contextmanager
from typing import Iterator, List, Mapping, NamedTuple, Optional, Sequence

from . import catalog, lsn, rewind_guard, tools
from .durable import sync_directory
from .errors import StateError, ToolError
from .instance import Control, Host, wait_until

_COMMON = re.compile(r"rewinding from last common checkpoint at ([0-9A-F]+/[0-9A-F]+) ")
_REDO = re.compile(r"\bredo ([0-9A-F]+/[0-9A-F]+);")


class Request(NamedTuple):
    """A rewind that is asked for.

    Attributes:
        source: the connection string; it holds no password.
        restore_command: by which WAL that the data directory lacks is fetched from an archive; ``""`` for none.
        config_directory: where ``postgresql.conf`` is.
    """

    data_directory: str
    source: str
    restore_command: str
    config_directory: str
    log_file: str
    timeout: int


def shown(request: Request) -> str:
    """Return the command as people may see it."""
    return " ".join(map(shlex.quote, ["pg_rewind"] + _arguments(request)))


def _arguments(request: Request) -> List[str]:
    return (["--target-pgdata=%s" % request.data_directory, "--source-server=%s" % request.source, "--no-ensure-shutdown"]
            + (["--restore-target-wal"] if request.restore_command else []))


def rehearse(host: Host, request: Request, size: int) -> Optional[int]:
    """Find out whether ``pg_rewind`` has all that it needs, which writes nothing unless it fetches WAL from an archive.

    Args:
        host: where the data directory is.
        request: what it is asked.
        size: of a segment of WAL in bytes.

    Returns:
        The LSN at which the server is to begin when it is started afterwards; None where there is nothing to rewind.

    Raises:
        StateError: it lacks WAL, or whatever it says.
    """
    try:
        with _told_of_archive(host, request):
            printed = host.programs.run("pg_rewind", "--dry-run", *_arguments(request), remarks=True)
    except ToolError as error:
        remedy = "clone it anew, in the playbook rejoin by pg_rejoin_reclone"
        if not request.restore_command:
            remedy += ", or let it read the archive, by restore_target_wal"
        raise StateError("The data directory %s cannot be rewound, since pg_rewind says: %s; %s." % (
            request.data_directory, error.complaint, remedy)) from None
    found = _COMMON.search(printed)
    return _redo(host, request.data_directory, found.group(1), size) if found else None


def _redo(host: Host, data_directory: str, checkpoint: str, size: int) -> int:
    """Return the LSN that a checkpoint's record names as the begin of its recovery.

    The segment may have the name of a newer timeline, which takes along what its first segment had before.
    """
    wanted, names = catalog.number_of(checkpoint, size), os.listdir(rewind_guard.wal(data_directory))
    segments = [segment for segment in map(catalog.segment, names) if segment and segment.number == wanted]
    for timeline in sorted((segment.timeline for segment in segments), reverse=True):
        found = _REDO.search(_dump(host, data_directory, timeline, checkpoint, size))
        if found:
            return lsn.parse(found.group(1))
    raise StateError("The data directory %s cannot be rewound, since pg_rewind found a checkpoint at %s and pg_waldump does not; "
                     "clone it anew, in the playbook rejoin by pg_rejoin_reclone." % (data_directory, checkpoint))


def _dump(host: Host, data_directory: str, timeline: int, start: str, size: int) -> str:
    """Return the first record of a timeline from an LSN on, as people read it; ``""`` where there is none.

    The files are named, since pg_waldump else asks any one in the directory how large segments are, and gives up where that
    is one which the server has made in advance and not written to.
    """
    directory, number = rewind_guard.wal(data_directory), catalog.number_of(start, size)
    names = [catalog.name_of(timeline, one) for one in (number, catalog.following(number, size))]
    there = [name for name in names if os.path.exists(os.path.join(directory, name))]
    if there[:1] != names[:1]:
        return ""
    return host.programs.run("pg_waldump", "--path=%s" % directory, "--start=%s" % start, "--limit=1", *there, accept=(0, 1))


def goes_on(host: Host, data_directory: str, timeline: int, position: int, size: int) -> bool:
    """Return whether there is WAL of a timeline on disk from an LSN on.

    Args:
        host: where the data directory is.
        data_directory: of the instance.
        timeline: the one whose files are meant.
        position: the LSN.
        size: of a segment in bytes.
    """
    return bool(_dump(host, data_directory, timeline, lsn.show(position), size))


@contextmanager
def _told_of_archive(host: Host, request: Request) -> Iterator[None]:
    """Let ``pg_rewind`` find the command in the one place where it looks, the configuration in the data directory.

    What is there is not the server's own while it is held, and gone or overwritten when ``pg_rewind`` has ended.
    """
    path = os.path.join(request.data_directory, "postgresql.conf")
    if not request.restore_command:
        yield
        return
    host.write(path, "restore_command = '%s'\n" % request.restore_command.replace("\\", "\\\\").replace("'", "''"))
    try:
        yield
    finally:
        if os.path.exists(path):
            os.unlink(path)


def read_by_rewind(data_directory: str, control: Control, redo: Optional[int]) -> List[str]:
    """Return the names of the files of WAL that ``pg_rewind`` reads: the histories, and all between a checkpoint and the end.

    Args:
        data_directory: of a server that was stopped in order.
        control: its control file.
        redo: the LSN at which the recovery from the last common checkpoint begins; None for no segment.
    """
    names = sorted(os.listdir(os.path.join(data_directory, "pg_wal")))
    histories = [name for name in names if name.endswith(".history")]
    if redo is None:
        return histories
    size, end = control.wal_segment_size, max(control.checkpoint_lsn, control.minimum_recovery_lsn, key=lsn.parse)
    first, last = catalog.number_of(lsn.show(redo), size), catalog.number_of(end, size)
    found = ((name, catalog.segment(name)) for name in names)
    return histories + [name for name, segment in found if segment and first <= segment.number <= last]


def rewind(host: Host, request: Request) -> None:
    """Rewind.

    Raises:
        StateError: it broke off in the middle.
    """
    try:
        with _told_of_archive(host, request):
            host.programs.run("pg_rewind", *_arguments(request))
    except ToolError as error:
        raise StateError("The rewind of %s broke off, since pg_rewind says: %s; nobody can start it as it is, so run this again, "
                         "and where that does not help clone it anew, in the playbook rejoin by pg_rejoin_reclone."
                         % (request.data_directory, error.complaint)) from None


def await_others(request: Request) -> None:
    """Wait until no ``pg_rewind`` works there that outlived the run which started it.

    Raises:
        StateError: one does, after the time-out.
    """
    wanted = os.fsencode("--target-pgdata=%s" % request.data_directory)
    if not wait_until(lambda: not any(wanted in _arguments_of(pid) for pid in os.listdir("/proc") if pid.isdigit()),
                      request.timeout):
        raise StateError("The data directory %s was to be rewound and another pg_rewind works there, for %d s now; wait for its "
                         "end." % (request.data_directory, request.timeout))


def _arguments_of(pid: str) -> Sequence[bytes]:
    try:
        with open("/proc/%s/cmdline" % pid, "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return ()


def fetch(host: Host, request: Request, names: Sequence[str]) -> None:
    """Fetch segments from the archive that the source has recycled.

    Raises:
        StateError: one is not there.
    """
    for name in names:
        path = os.path.join(request.data_directory, "pg_wal", name)
        if os.path.exists(path):
            continue
        command = _expanded(request.restore_command, {"%": "%", "f": name, "p": path})
        try:
            tools.run(["/bin/sh", "-c", command], host.programs.user)
        except ToolError as error:
            raise StateError("The rewound server in %s needs the segment %s, which its source has recycled, and the archive does "
                             "not give it: %s; clone it anew, in the playbook rejoin by pg_rejoin_reclone." % (
                                 request.data_directory, name, error.complaint)) from None


def _expanded(command: str, values: Mapping[str, str]) -> str:
    """Return a command as the server would run it (chapter 20.5.5)."""
    return re.sub(r"%([%fp])", lambda found: values[found.group(1)], command)


def cut(data_directory: str, timeline: int, position: int, size: int) -> None:
    """Take away the WAL of a timeline from an LSN on, as PostgreSQL does where a timeline ends: zeros to the end of its segment.

    Args:
        data_directory: of a server that does not run.
        timeline: the one whose files are meant.
        position: the LSN.
        size: of a segment in bytes.
    """
    directory = os.path.join(data_directory, "pg_wal")
    last = catalog.number_of(lsn.show(position), size)
    for name in os.listdir(directory):
        found = catalog.segment(name)
        if found is not None and found.timeline == timeline and found.number > last:
            os.unlink(os.path.join(directory, name))
    sync_directory(directory)
    with open(os.path.join(directory, catalog.name_of(timeline, last)), "r+b") as file:
        file.seek(position % size)
        file.write(b"\0" * (size - position % size))
        file.flush()
        os.fsync(file.fileno())
