# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a repository of backups holds, as values: which backup leads to a target, what may go, which WAL is needed. Pure.

The sources are PostgreSQL's documentation, chapters 25.3 (continuous archiving and point-in-time recovery) and 28.6 (WAL
internals, on the names of segments), and the page of pg_combinebackup.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set

from . import lsn, recovery_target
from .errors import InputError, StateError
from .recovery_target import Target

VERSION = 1

_SEGMENT = re.compile(r"\A([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial)?(?:\.gz|\.zst|\.lz4)?(\.partial)?\Z")


class Entry(NamedTuple):
    """A backup that is complete.

    Attributes:
        id: when it was begun, in UTC, such as ``20261122T190102Z``.
        type: ``full`` or ``incremental``.
        parent: the id of the backup that an incremental one builds on, None for a full one.
        format: ``plain`` or ``tar``.
        compress: as it was asked of pg_basebackup; ``""`` for none.
        cluster: the name of the cluster.
        system_identifier: a 64-bit number as text.
        version: the major version of the server.
        timeline: on which it was taken.
        start_lsn: from where on WAL is replayed.
        stop_lsn: up to where WAL must be replayed for the data to be consistent.
        start_time: RFC 3339, UTC, by the source's clock.
        stop_time: likewise; a target before it is out of reach.
        next_xid: the 64-bit number that the next transaction would have had at its end.
        size_bytes: on disk.
        duration_seconds: of the backup with its verification.
        verified: whether pg_verifybackup found it whole.
        archive: the directory of the repository with the WAL that follows it.
        wal_segment_size: in bytes.
        tablespaces: their directories by their oids.
        source: where it was taken from, ``host:port``.
    """

    id: str
    type: str
    parent: Optional[str]
    format: str
    compress: str
    cluster: str
    system_identifier: str
    version: int
    timeline: int
    start_lsn: str
    stop_lsn: str
    start_time: str
    stop_time: str
    next_xid: int
    size_bytes: int
    duration_seconds: float
    verified: bool
    archive: str
    wal_segment_size: int
    tablespaces: Mapping[str, str]
    source: str

    @property
    def stopped(self) -> datetime:
        """When it was complete."""
        return recovery_target.moment(self.stop_time)


class Segment(NamedTuple):
    """A WAL segment in an archive.

    Attributes:
        timeline: on which it was written.
        number: of the segment, from the start of WAL.
        file: its name in the archive.
        is_whole: false for one that was still being received.
    """

    timeline: int
    number: int
    file: str
    is_whole: bool


class Switch(NamedTuple):
    """Where a timeline left another one, as its history says.

    Attributes:
        timeline: the one that was left.
        lsn: where.
    """

    timeline: int
    lsn: str


#: The switches that led to a timeline, oldest first, by its number.
Histories = Mapping[int, Sequence[Switch]]


class Keep(NamedTuple):
    """What retention asks for.

    Attributes:
        full: so many full backups, at least 1.
        days: every moment of so many days before now must stay restorable; 0 for none.
    """

    full: int
    days: int


def entry(found: Mapping[str, Any]) -> Entry:
    """Return an entry from what ``backup.json`` holds.

    Raises:
        KeyError: it lacks something.
    """
    return Entry(**{name: found[name] for name in Entry._fields})


def document(cluster: str, entries: Iterable[Entry]) -> Dict[str, Any]:
    """Return what ``catalog.json`` holds."""
    return {"schema": "pgmahout.catalog", "version": VERSION, "cluster": cluster,
            "backups": [dict(one._asdict()) for one in sorted(entries, key=lambda one: one.id)]}


def new_id(now: datetime, taken: Iterable[str]) -> str:
    """Return the id of a backup that begins now."""
    plain = now.strftime("%Y%m%dT%H%M%SZ")
    names = set(taken)
    return next(name for name in [plain] + ["%s-%d" % (plain, number) for number in range(2, len(names) + 3)]
                if name not in names)


def chain(entries: Sequence[Entry], last: Entry) -> List[Entry]:
    """Return what a backup consists of: itself, or the full one and all incremental ones up to it.

    Raises:
        StateError: one of them is gone.
    """
    by_id = {one.id: one for one in entries}
    found = [last]
    while found[0].parent is not None:
        parent = by_id.get(found[0].parent)
        if parent is None:
            raise StateError("The backup %s builds on %s and that is not in the repository; name another backup."
                             % (found[0].id, found[0].parent))
        found.insert(0, parent)
    return found


def is_complete(entries: Sequence[Entry], last: Entry) -> bool:
    """Return whether all that a backup builds on is there."""
    try:
        return all(one.verified for one in chain(entries, last))
    except StateError:
        return False


def next_parent(entries: Sequence[Entry], incremental: int, system_identifier: str, timeline: int) -> Optional[Entry]:
    """Return the backup that the next one builds on, None when it is to be a full one.

    Args:
        entries: those of the repository.
        incremental: how many incremental backups follow a full one.
        system_identifier: of the source.
        timeline: of the source; a chain over a promotion is legal, but one timeline's backup has its whole WAL summarized.
    """
    ours = [one for one in _by_age(entries) if one.system_identifier == system_identifier and is_complete(entries, one)]
    if not incremental or not ours or ours[-1].timeline != timeline:
        return None
    return ours[-1] if len(chain(entries, ours[-1])) <= incremental else None


def _by_age(entries: Iterable[Entry]) -> List[Entry]:
    return sorted(entries, key=lambda one: (one.stopped, one.id))


def choose(entries: Sequence[Entry], target: Target, now: datetime, backup: str = "", system_identifier: str = "",
           restore_point: str = "") -> List[Entry]:
    """Return the chain of backups from which a target is reached with the least WAL.

    Args:
        entries: those of the repository.
        target: where to.
        now: by the clock of the host.
        backup: the id of the backup to use; ``""`` to choose.
        system_identifier: of the cluster; ``""`` when all backups are of one.
        restore_point: the LSN at which a target that is a name was found.

    Raises:
        InputError: the target lies in the future or before all backups, or the backup named does not exist.
        StateError: there is none, or they are of several systems.
    """
    if target.kind == "time" and recovery_target.moment(target.value) > now:
        raise InputError("The target time %s lies in the future of this host, where it is %s; give one that has been."
                         % (target.value, recovery_target.show(now)))
    candidates = usable(entries, backup, system_identifier)
    fitting = [one for one in candidates if _reaches(one, target, restore_point)]
    if not fitting:
        first = candidates[0]
        raise InputError("%s was asked for and lies before the end of the %s, %s, which was complete at %s (LSN %s, next "
                         "transaction %d); give a later target%s." % (
                             _capital(target.shown), "backup" if backup else "first backup", first.id, first.stop_time,
                             first.stop_lsn, first.next_xid, " or an older backup" if backup else ""))
    return chain(entries, fitting[-1])


def usable(entries: Sequence[Entry], backup: str = "", system_identifier: str = "") -> List[Entry]:
    """Return the backups that a restore may start from, oldest first; at least one.

    Args:
        entries: those of the repository.
        backup: the id of the only one; ``""`` for all.
        system_identifier: of the cluster; ``""`` when all are of one.

    Raises:
        InputError: the backup named does not exist.
        StateError: there is none, or they are of several systems.
    """
    found = [one for one in _by_age(entries) if is_complete(entries, one)]
    if backup:
        found = [one for one in found if one.id == backup]
    elif system_identifier:
        found = [one for one in found if one.system_identifier == system_identifier]
    if not found:
        raise _nothing(entries, backup, system_identifier)
    _refuse_several(found)
    return found


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _nothing(entries: Sequence[Entry], backup: str, system_identifier: str) -> Exception:
    ids = ", ".join(one.id for one in _by_age(entries)) or "none"
    if backup:
        return InputError("The backup %s was asked for and the repository has %s; name one of these." % (backup, ids))
    wanted = " of the system %s" % system_identifier if system_identifier else ""
    return StateError("A backup%s was asked for and the repository has %s that is complete; take one with the playbook backup."
                      % (wanted, "none" if not entries or not wanted else "none among %s" % ids))


def _refuse_several(usable: Sequence[Entry]) -> None:
    systems: Dict[str, List[str]] = {}
    for one in usable:
        systems.setdefault(one.system_identifier, []).append(one.id)
    if len(systems) > 1:
        raise StateError("The repository holds backups of different systems: %s; name the backup to restore." % "; ".join(
            "%s (%s)" % (system, ", ".join(ids)) for system, ids in sorted(systems.items())))


def _reaches(one: Entry, target: Target, restore_point: str) -> bool:
    """Return whether replay from the end of a backup comes past a target."""
    if target.timeline.isdigit() and one.timeline > int(target.timeline):
        return False
    if target.kind == "time":
        return one.stopped <= recovery_target.moment(target.value)
    if target.kind == "xid":
        # Below 2^31 behind the backup's end, by the 32 bits that WAL has of a number that wraps around.
        return (int(target.value) - one.next_xid) & 0xFFFFFFFF < 1 << 31
    if target.kind == "lsn":
        return lsn.parse(one.stop_lsn) <= lsn.parse(target.value)
    if target.kind == "name" and restore_point:
        return lsn.parse(one.stop_lsn) <= lsn.parse(restore_point)
    return True


def expire(entries: Sequence[Entry], keep: Keep, now: datetime) -> List[Entry]:
    """Return the backups that retention lets go.

    Kept are the newest full backups by count, all from which a moment of the last days is reached, what these build on, and
    everything that is not older than the oldest of them.

    Args:
        entries: those of the repository.
        keep: what is asked for.
        now: when.
    """
    good = [one for one in _by_age(entries) if is_complete(entries, one)]
    full = [one for one in good if one.type == "full"]
    if not full:
        return []
    oldest = full[-keep.full:][0].stopped
    if keep.days:
        begin = now - timedelta(days=keep.days)
        before = [one for one in good if one.stopped <= begin]
        # Without a backup from before the window, nothing that could serve it may go.
        reached = before[-1].stopped if before else good[0].stopped
        oldest = min(oldest, reached)
    kept: Set[str] = set()
    for one in good:
        if one.stopped >= oldest:
            kept.update(part.id for part in chain(entries, one))
    return [one for one in _by_age(entries) if one.id not in kept]


def segment(name: str) -> Optional[Segment]:
    """Return what a file of an archive is, None when it is no segment (a history, a backup's label, a draft)."""
    found = _SEGMENT.match(name)
    if found is None:
        return None
    # The segments that 32 bits of LSN hold depend on their size; the number here only orders and counts within one archive.
    return Segment(int(found.group(1), 16), (int(found.group(2), 16) << 32) + int(found.group(3), 16), name,
                   found.group(4) is None and found.group(5) is None)


def number_of(position: str, size: int) -> int:
    """Return the number, as ``Segment`` has it, of the segment that holds an LSN.

    Args:
        position: the LSN.
        size: of a segment in bytes.
    """
    bytes_ = lsn.parse(position)
    return (bytes_ >> 32 << 32) + (bytes_ & 0xFFFFFFFF) // size


def following(number: int, size: int) -> int:
    """Return the number of the segment behind another."""
    last = (1 << 32) // size - 1
    return number + 1 if number & 0xFFFFFFFF < last else (number >> 32 << 32) + (1 << 32)


def name_of(timeline: int, number: int) -> str:
    """Return the name of a segment."""
    return "%08X%08X%08X" % (timeline, number >> 32, number & 0xFFFFFFFF)


def obsolete(names: Iterable[str], kept: Sequence[Entry], archive: str) -> List[str]:
    """Return the files of an archive that no kept backup needs.

    Segments older than the oldest start of a kept backup go, whatever their timeline, as with pg_archivecleanup; histories stay.
    An archive from which no backup starts yet keeps all.

    Args:
        names: the files of the archive.
        kept: the backups that stay.
        archive: its name.
    """
    starts = [number_of(one.start_lsn, one.wal_segment_size) for one in kept if one.archive == archive]
    if not starts:
        return []
    found = []
    for name in sorted(names):
        # NAME.OFFSET.backup belongs to its segment.
        part = segment(re.sub(r"\.[0-9A-F]{8}\.backup(?:\.gz|\.zst|\.lz4)?\Z", "", name))
        if part is not None and part.number < min(starts):
            found.append(name)
    return found


def unused_archives(names: Iterable[str], kept: Sequence[Entry], current: str) -> List[str]:
    """Return the archives from which no backup starts any more and that no server writes to."""
    used = {one.archive for one in kept} | {current}
    return sorted(name for name in names if name not in used) if kept else []


def gap(names: Iterable[str], last: Entry, timelines: FrozenSet[int]) -> str:
    """Return the name of the first segment that an archive lacks between a backup's end and its newest one, ``""`` for none.

    Args:
        names: the files of the archive.
        last: the newest backup of the chain, which has all WAL up to its own end.
        timelines: those that recovery follows.
    """
    there = {found.number for found in map(segment, names) if found and found.timeline in timelines}
    at = number_of(last.stop_lsn, last.wal_segment_size)
    newest = max(there, default=at)
    while at <= newest:
        # The segment in which the backup ended may be among its own WAL only.
        if at not in there and at != number_of(last.stop_lsn, last.wal_segment_size):
            return name_of(max(timelines), at)
        at = following(at, last.wal_segment_size)
    return ""


def newest(names: Iterable[str], timelines: FrozenSet[int]) -> Optional[Segment]:
    """Return the newest segment of an archive on some timelines."""
    found = [one for one in map(segment, names) if one and one.timeline in timelines]
    return max(found, key=lambda one: (one.number, one.timeline)) if found else None


def history(text: str) -> List[Switch]:
    """Return what a timeline's history file says (chapter 25.3.6): a line for each switch, a comment behind it."""
    found = re.findall(r"(?m)^\s*(\d+)\s+([0-9A-Fa-f]+/[0-9A-Fa-f]+)", text)
    return [Switch(int(timeline), position) for timeline, position in found]


def timelines(target: Target, last: Entry, histories: Histories) -> FrozenSet[int]:
    """Return the timelines that a recovery follows.

    Args:
        target: where to.
        last: the newest backup of the chain.
        histories: those of the archive.
    """
    if target.timeline == "current":
        return frozenset([last.timeline])
    goal = int(target.timeline) if target.timeline.isdigit() else max([last.timeline] + list(histories))
    return frozenset([goal] + [one.timeline for one in histories.get(goal, ()) if one.timeline >= last.timeline])


def branches(target: Target, last: Entry, histories: Histories) -> List[str]:
    """Return a warning for each timeline that went on from the one a recovery stays on, which it does not follow.

    Args:
        target: where to.
        last: the newest backup of the chain.
        histories: those of the archive.
    """
    followed = timelines(target, last, histories)
    found = []
    for timeline, switches in sorted(histories.items()):
        if timeline not in followed and switches and switches[-1].timeline in followed:
            found.append("The archive goes on on timeline %d, which left timeline %d at LSN %s, and the restore stays on "
                         "timeline %d; give target_timeline=%d to follow it." % (
                             timeline, switches[-1].timeline, switches[-1].lsn, max(followed), timeline))
    return found
