# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovery to a target while it runs: awaited by its state, and what it reached or why it did not, from the server's log.

The source is PostgreSQL's documentation, chapter 25.3.5. A server that has reached its target is no longer in recovery, or is
paused; that it answers says nothing. ``pg_ctl --wait`` gives up on one that is merely recovering.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from . import catalog, login, service
from .errors import ServerError, StateError, Unreachable
from .instance import read_process, wait_until

_STOPPING = re.compile(r"LOG:\s+(recovery stopping .*|pausing at .*|last completed transaction was at log time .*)")
#: What the reader of WAL says where it goes no further (``xlogreader.c``).
_DAMAGED = re.compile(
    r"LOG:\s+((?:invalid (?:record offset|record length|contrecord length|resource manager ID|magic number|info bits)"
    r"|record length |record with |contrecord is |there is no contrecord|incorrect resource manager data checksum"
    r"|unexpected pageaddr|out-of-|WAL file is from different ).*)")
#: What a server says that ends at its target: by ``recovery_target_action``, or because without hot standby it cannot pause.
_SHUT_DOWN = "shutdown at recovery target"
_BEGIN = re.compile(r"LOG:\s+starting (?:point-in-time|archive|backup) recovery|LOG:\s+starting PostgreSQL")


#: The file in a data directory that says that its recovery ended early, so that it is not what was asked for.
FAILED = "pgmahout.failed"


class EndedEarly(StateError):
    """A server was promoted before the end of the WAL, since that is damaged."""


class Recovery(NamedTuple):
    """A recovery to await.

    Attributes:
        data_directory: of the server.
        superuser: to connect as over the socket.
        timeout: in seconds.
        until_segment: the segment into which it must come at least; ``""`` for any.
        log_file: that the server writes to.
    """

    data_directory: str
    superuser: str
    timeout: float
    until_segment: str
    log_file: str


class Log(NamedTuple):
    """What a server logged of its last recovery.

    Attributes:
        stopping: where it stopped and the last transaction, in the server's words.
        damaged: what is wrong with the WAL there; ``""`` for nothing.
    """

    stopping: Sequence[str]
    damaged: str


def log_of(lines: Sequence[str]) -> Log:
    """Return what a log says of the last recovery in it."""
    begin = max([number for number, line in enumerate(lines) if _BEGIN.search(line)], default=0)
    part = lines[begin:]
    stopping = [found.group(1) for found in map(_STOPPING.search, part) if found]
    damaged = [found.group(1) for found in map(_DAMAGED.search, part) if found]
    return Log(stopping, damaged[-1] if damaged else "")


def wait(recovery: Recovery) -> Dict[str, Any]:
    """Wait until a recovery has reached its target, and return what it reached.

    Args:
        recovery: what to await.

    Returns:
        ``reached``: ``lsn``, ``timeline``, ``time`` of the last transaction, whether it is ``paused``, and ``log``, the server's
        words.

    Raises:
        StateError: no server runs, it still recovers after the time-out, or it ended.
        EndedEarly: the WAL ended too early.
    """
    sessions: List[login.Session] = []
    found: Dict[str, Any] = {}

    def ended() -> bool:
        return read_process(recovery.data_directory) is None

    def reached() -> bool:
        if ended() or not service.accepts(recovery.data_directory):
            return ended()
        if not sessions:
            sessions.extend(_session(recovery))
        found.update(_asked(sessions[0]) if sessions else {})
        return bool(found) and (found["paused"] or not found["in_recovery"])

    try:
        is_there = wait_until(reached, recovery.timeout)
    finally:
        for session in sessions:
            session.close()
    return _judge(recovery, found if is_there and not ended() else None, ended())


def _session(recovery: Recovery) -> List[login.Session]:
    """Return a session with the server; none where it ends at this moment."""
    process = read_process(recovery.data_directory)
    try:
        return [login.Session(login.local(process.socket_directory, process.port, recovery.superuser))] if process else []
    except Unreachable:
        return []


def _asked(session: login.Session) -> Dict[str, Any]:
    """Return where a server is; nothing where it has ended."""
    try:
        return session.rows(_query(session.version_num))[0]
    except ServerError:
        return {}


def _query(version_num: int) -> str:
    paused = "pg_catalog.pg_get_wal_replay_pause_state() = 'paused'" if version_num >= 140000 else (
        "pg_catalog.pg_is_wal_replay_paused()")
    return _REACHED % paused


_REACHED = """SELECT r.is AS in_recovery, CASE WHEN r.is THEN %s ELSE false END AS paused,
 pg_catalog.pg_last_wal_replay_lsn()::text AS lsn,
 pg_catalog.to_char(pg_catalog.pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS time,
 CASE WHEN r.is THEN (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery())
 ELSE ('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::int END AS timeline,
 (SELECT setting::int8 FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size') AS segment
 FROM (SELECT pg_catalog.pg_is_in_recovery() AS is) r"""


def _judge(recovery: Recovery, found: Optional[Dict[str, Any]], has_ended: bool) -> Dict[str, Any]:
    where = recovery.data_directory
    if has_ended:
        words = service.last_words(recovery.log_file, 0)
        if _SHUT_DOWN in words:
            raise StateError("The recovery in %s reached its target and the server ended there instead of pausing, as PostgreSQL "
                             "does with hot_standby off; set hot_standby to on, or give target_action=promote." % where)
        raise StateError("The recovery in %s was to be awaited and no server runs there; its log says: %s" % (where, words))
    if found is None:
        raise StateError("The recovery in %s goes on after %d s and has not reached its target; run this again to wait on."
                         % (where, recovery.timeout))
    log = log_of(service.lines(recovery.log_file))
    until = catalog.segment(recovery.until_segment)
    end = catalog.number_of(found["lsn"], found["segment"]) if found["lsn"] else 0
    if until is not None and (end < until.number or (end == until.number and until.is_whole and log.damaged)):
        raise EndedEarly("The recovery in %s ended at %s in the segment %s and the archive goes on to %s: %s; bring back a good "
                         "copy of that segment, or give a target before it." % (
                             where, found["lsn"], catalog.name_of(until.timeline, end), recovery.until_segment,
                             log.damaged or "the WAL is damaged there"))
    return {"reached": {"lsn": found["lsn"], "timeline": found["timeline"], "time": found["time"], "paused": found["paused"],
                        "log": list(log.stopping)}}
