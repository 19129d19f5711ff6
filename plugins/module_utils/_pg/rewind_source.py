# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server that another is rewound from, asked as the role by which ``pg_rewind`` reads its files (see the page of that)."""

from __future__ import annotations

from typing import FrozenSet, List, Mapping, NamedTuple, Sequence

from . import catalog, info_query, login, rights
from .divergence import Line
from .errors import StateError
from .instance import wait_until
from .sql import literal


class Source(NamedTuple):
    """What it says of itself.

    Attributes:
        lacking: the functions that the role may not execute.
        tablespaces: where they are, by oid, those inside the data directory left out.
        numbers: of the segments of WAL that it still has.
    """

    system_identifier: str
    in_recovery: bool
    line: Line
    user: str
    lacking: Sequence[str]
    tablespaces: Mapping[str, str]
    numbers: FrozenSet[int]


def read(session: login.Session) -> Source:
    """Return what the server says."""
    row = session.rows(_QUERY)[0]
    is_open = not row["in_recovery"] and not row["lacking"]
    line = Line(row["timeline"], _history(session, row["timeline"]) if is_open else ())
    return Source(row["system_identifier"], row["in_recovery"], line, row["user"], row["lacking"],
                  dict(zip(row["oids"], row["locations"])), _numbers(session) if is_open else frozenset())


_PLACES = """SELECT oid::text, pg_catalog.pg_tablespace_location(oid) AS place FROM pg_catalog.pg_tablespace
 WHERE pg_catalog.pg_tablespace_location(oid) LIKE '/%'"""

_QUERY = """SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) AS system_identifier,
 pg_catalog.pg_is_in_recovery() AS in_recovery, %s AS timeline,
 session_user::text AS user,
 ARRAY(SELECT f FROM pg_catalog.unnest(ARRAY[%s]) AS f WHERE NOT pg_catalog.has_function_privilege(f, 'EXECUTE')) AS lacking,
 ARRAY(SELECT p.oid FROM (%s) p ORDER BY p.oid) AS oids, ARRAY(SELECT p.place FROM (%s) p ORDER BY p.oid) AS locations""" % (
    info_query.TIMELINE, ", ".join(literal(name) for name in rights.qualified(rights.functions_of(["rewind"]))), _PLACES, _PLACES)


def _history(session: login.Session, timeline: int) -> List[catalog.Switch]:
    if timeline == 1:
        return []
    rows = session.rows("SELECT pg_catalog.convert_from(pg_catalog.pg_read_binary_file('pg_wal/%08X.history'), 'UTF8') AS text"
                        % timeline)
    return catalog.history(rows[0]["text"])


def _numbers(session: login.Session) -> FrozenSet[int]:
    rows = session.rows("SELECT name FROM pg_catalog.pg_ls_dir('pg_wal', true, false) AS name")
    segments = (catalog.segment(row["name"]) for row in rows)
    return frozenset(found.number for found in segments if found is not None and found.is_whole)


def await_checkpoint(session: login.Session, timeout: float) -> None:
    """Wait until the server has done a checkpoint on the timeline that it is on.

    Before that, its control file names the timeline before, for which pg_rewind took it before PostgreSQL 16: it would find
    nothing to do and leave the other as diverged as it was. And pages on its disk may be older than the last checkpoint of both,
    from which on the other will be recovered, so that the copies would lack what lies between.

    Args:
        timeout: in seconds.

    Raises:
        StateError: it has not within that time.
    """
    query = ("SELECT (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()) = %s AS named" % info_query.TIMELINE)
    if not wait_until(lambda: bool(session.rows(query)[0]["named"]), timeout):
        raise StateError("The source %s was promoted and has done no checkpoint since, for %d s now, without which nothing can "
                         "be rewound to what it has; run CHECKPOINT there." % (session.address, timeout))
