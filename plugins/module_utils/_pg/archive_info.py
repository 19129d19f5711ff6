# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What could be restored from a repository right now: its newest backup, how far its WAL reaches, and the last commit in that.

The sources are PostgreSQL's documentation, chapter 25.3.6 (timelines) and the page of pg_waldump.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from contextlib import contextmanager
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import catalog, lsn, recovery_target, repository, tools, wal_reader
from .catalog import Entry, Segment
from .errors import InputError, StateError
from .instance import Host, wait_until
from .programs import locate

_RECORD = re.compile(r"len \(rec/tot\):\s*\d+/\s*(\d+), tx:\s*(\d+), lsn: ([0-9A-F]+/[0-9A-F]+),")
_COMMIT = re.compile(r"desc: COMMIT(?:_PREPARED \d+:)? (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC")


#: The bytes of the header that the first page of a segment has (SizeOfXLogLongPHD in access/xlog_internal.h).
_HEADER = 40


class Wanted(NamedTuple):
    """What the options ask for; ``until`` and ``awaited`` are positions in bytes, 0 for none."""

    directory: str
    backup: str
    timeline: int
    until: int
    awaited: int
    timeout: int


class Reach(NamedTuple):
    """How far the WAL of an archive goes without a gap.

    Attributes:
        segments: those that replay would read, in order.
        missing: the name of the first one that it would ask for in vain while newer ones are there; ``""`` for none.
    """

    segments: Sequence[Segment]
    missing: str


class Commit(NamedTuple):
    """A commit record: its transaction's 32-bit number, its position in bytes, and when it was."""

    xid: int
    position: int
    time: float


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: the directory is relative, or the LSN is none.
    """
    if not os.path.isabs(params["directory"]):
        raise InputError("The option directory is %r; give an absolute path." % params["directory"])
    return Wanted(os.path.normpath(params["directory"]), params["backup"], params["timeline"],
                  _position(params["until_lsn"]), _position(params["await_lsn"]), params["timeout"])


def _position(text: str) -> int:
    return lsn.parse(text) if text else 0


def gather(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what could be restored.

    Raises:
        InputError: a backup was named that is not there.
        StateError: there is no backup, the WAL asked for did not come in time, or a segment is damaged.
    """
    wanted = desired(params)
    host = Host(locate(params), params["user"], wanted.directory, wanted.timeout)
    found = repository.read(wanted.directory)
    entry = newest_backup(found.entries, wanted)
    at = time.time()
    reach = _awaited(host, wanted, entry)
    with _scratch(host) as directory:
        end, commit = _last(host, wanted, entry, reach, directory)
    return {
        "backup": dict(entry._asdict()), "backups": [dict(one._asdict()) for one in found.entries], "at": at,
        "newest_segment": reach.segments[-1].file if reach.segments else "", "missing_segment": reach.missing,
        "segments": len(reach.segments), "end_lsn": lsn.show(end),
        "last_commit": None if commit is None else {"xid": commit.xid, "lsn": lsn.show(commit.position), "time": commit.time}}


def newest_backup(entries: Sequence[Entry], wanted: Wanted) -> Entry:
    """Return the backup that was named, else the newest that is whole; pure.

    Raises:
        InputError: there is none of that name.
        StateError: there is none at all.
    """
    whole = [one for one in entries if catalog.is_complete(entries, one)]
    ids = ", ".join(one.id for one in whole) or "none"
    if wanted.backup:
        whole = [one for one in whole if one.id == wanted.backup]
        if not whole:
            raise InputError("The backup %s was asked for and the repository %s has %s; name one of these."
                             % (wanted.backup, wanted.directory, ids))
    if not whole:
        raise StateError("The newest backup in %s was asked for and there is none; take one with the playbook backup."
                         % wanted.directory)
    return max(whole, key=lambda one: (one.stopped, one.id))


def reach(names: Iterable[str], entry: Entry, timelines: FrozenSet[int]) -> Reach:
    """Return how far the WAL in an archive follows a backup without a gap; pure.

    Args:
        names: the files of the archive.
        entry: the backup; up to its own end it brings its WAL along.
        timelines: those that recovery follows; of a segment on several, it reads the newest.
    """
    there: Dict[int, Segment] = {}
    for one in filter(None, (catalog.segment(name) for name in names)):
        held = there.get(one.number)
        if one.timeline in timelines and (held is None or (one.timeline, one.is_whole) > (held.timeline, held.is_whole)):
            there[one.number] = one
    first = catalog.number_of(entry.stop_lsn, entry.wal_segment_size)
    # The segment in which the backup ended is archived later than the backup ends.
    at = first if first in there else catalog.following(first, entry.wal_segment_size)
    found: List[Segment] = []
    while at in there:
        found.append(there[at])
        at = catalog.following(at, entry.wal_segment_size)
    beyond = [number for number in there if number > at]
    return Reach(found, catalog.name_of(max(timelines), at) if beyond else "")


def start_of(segment: Segment, size: int) -> int:
    """Return the position at which a segment begins, in bytes; pure."""
    return (segment.number >> 32 << 32) + (segment.number & 0xFFFFFFFF) * size


def records(printed: str) -> Iterator[Tuple[int, int, Optional[Commit]]]:
    """Give position and length of each record that pg_waldump printed, with the commit that it may be; pure."""
    for line in printed.splitlines():
        found = _RECORD.search(line)
        if found is None:
            continue
        position, commit = lsn.parse(found.group(3)), _COMMIT.search(line)
        yield position, int(found.group(1)), None if commit is None else Commit(
            int(found.group(2)), position, recovery_target.moment(commit.group(1) + "+00").timestamp())


def _awaited(host: Host, wanted: Wanted, entry: Entry) -> Reach:
    """Return how far the WAL goes, once it goes as far as was asked for."""
    timelines = _timelines(host, wanted, entry)
    found = [_reach(wanted, entry, timelines)]

    def is_decided() -> bool:
        found[:] = [_reach(wanted, entry, timelines)]
        return bool(found[0].missing) or _covers(found[0], entry.wal_segment_size, wanted.awaited)

    if wanted.awaited:
        wait_until(is_decided, wanted.timeout)
        _refuse_short(wanted, entry, found[0])
    return found[0]


def _refuse_short(wanted: Wanted, entry: Entry, found: Reach) -> None:
    """Refuse WAL that does not come as far as was asked for; archives get their segments in order, so a gap is not filled."""
    if _covers(found, entry.wal_segment_size, wanted.awaited):
        return
    archive = os.path.join(wanted.directory, entry.archive)
    if found.missing:
        raise StateError("The WAL up to %s was awaited in %s and the segment %s is missing there, with newer ones behind it; "
                         "bring it back, or take a new backup." % (lsn.show(wanted.awaited), archive, found.missing))
    last = found.segments[-1].file if found.segments else "nothing"
    raise StateError("The WAL up to %s was awaited in %s and after %d s it goes up to %s; look at pg_stat_archiver, or at the "
                     "receiver's log." % (lsn.show(wanted.awaited), archive, wanted.timeout, last))


def _reach(wanted: Wanted, entry: Entry, timelines: FrozenSet[int]) -> Reach:
    return reach(repository.archive_files(wanted.directory, entry.archive), entry, timelines)


def _covers(found: Reach, size: int, position: int) -> bool:
    """Return whether whole segments go up to a position; one that is still being written to may not be on disk up to there."""
    whole = [one for one in found.segments if one.is_whole]
    # A server whose next record begins a segment says that it is behind the header of that segment's first page.
    offset = position % size
    return bool(whole) and start_of(whole[-1], size) + size >= position - (offset if offset <= _HEADER else 0)


def _timelines(host: Host, wanted: Wanted, entry: Entry) -> FrozenSet[int]:
    """Return the timelines that lead from a backup to the one asked for, by default the newest in the archive."""
    names = repository.archive_files(wanted.directory, entry.archive)
    histories = wal_reader.Reader(host, wanted.directory).histories(entry.archive, names)
    goal = str(wanted.timeline) if wanted.timeline else "latest"
    return catalog.timelines(recovery_target.Target("latest", "", True, goal, "promote"), entry, histories)


@contextmanager
def _scratch(host: Host) -> Iterator[str]:
    """Give a directory for the server's account that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pgmahout-") as directory:
        if not host.account.is_us:
            os.chown(directory, host.account.uid, host.account.gid)
        yield directory


def _fetched(host: Host, wanted: Wanted, entry: Entry, name: str, directory: str) -> str:
    """Bring a file of the archive, whole, to a directory, as recovery would."""
    target = os.path.join(directory, name)
    if not os.path.exists(target):
        program, archive = (os.path.join(wanted.directory, *parts) for parts in (("bin", "restore-wal"), (entry.archive,)))
        tools.run([program, archive, name, target, str(entry.wal_segment_size)], host.programs.user)
    return target


def _last(host: Host, wanted: Wanted, entry: Entry, found: Reach, directory: str) -> Tuple[int, Optional[Commit]]:
    """Return where the WAL ends, in bytes, and the last commit in it, before the position asked for."""
    size = entry.wal_segment_size
    end, commit = lsn.parse(entry.stop_lsn), None
    for index in range(len(found.segments) - 1, -1, -1):
        segment = found.segments[index]
        is_last = index == len(found.segments) - 1
        if not is_last and wanted.until and start_of(segment, size) >= wanted.until:
            continue
        names = [catalog.name_of(one.timeline, one.number) for one in found.segments[index:index + 2]]
        for name in names:
            _fetched(host, wanted, entry, name, directory)
        whole = [name for name in names if name[:8] == names[0][:8]]
        only = [] if is_last and not segment.is_whole else ["--rmgr=Transaction"]
        read = list(records(host.programs.run("pg_waldump", "--path=%s" % directory, *only, *whole, accept=(0, 1))))
        if is_last:
            end = start_of(segment, size) + size if segment.is_whole else _end(read, start_of(segment, size))
        commits = [one for _position, _length, one in read if one and not (wanted.until and one.position >= wanted.until)]
        if commits:
            commit = commits[-1]
            break
    return end, commit


def _end(read: Sequence[Tuple[int, int, Optional[Commit]]], start: int) -> int:
    """Return the position behind the last record, each beginning at a multiple of 8 bytes."""
    position, length = read[-1][:2] if read else (start, 0)
    return (position + length + 7) // 8 * 8
