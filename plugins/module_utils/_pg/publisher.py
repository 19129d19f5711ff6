# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a subscription needs of its publisher: publications, their tables, and a replication slot.

A slot is made and copied over an ordinary connection with the subscription's own conninfo: CREATE SUBSCRIPTION waits for
ever when it is to make the slot on the server that it runs on (PostgreSQL's documentation, CREATE SUBSCRIPTION, Notes).
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Callable, FrozenSet, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import login, version
from .errors import StateError, Unreachable
from .sql import literal

if TYPE_CHECKING:
    from .login import Session

PLUGIN = "pgoutput"
_POLL_SECONDS = 0.05


class Slot(NamedTuple):
    """A replication slot as the publisher has it.

    Attributes:
        fits: it is a logical one of the session's database and for subscriptions.
        active: somebody uses it now.
        lost: WAL that it needs is gone.
    """

    fits: bool
    active: bool
    lost: bool


@contextmanager
def connect(keywords: Mapping[str, str], seconds: int) -> Iterator[Session]:
    """Open a session with the publisher, as the subscriber's server would.

    Args:
        keywords: the subscription's conninfo.
        seconds: how long one statement may take there.

    Raises:
        StateError: no connection could be made.
    """
    try:
        session = login.Session(login.session_keywords(keywords))
    except Unreachable as error:
        raise StateError("The publisher cannot be asked from this host: %s" % error) from None
    try:
        session.rows("SET statement_timeout TO %d" % (seconds * 1000))
        yield session
    finally:
        session.close()


def missing_publications(session: Session, names: Sequence[str]) -> Sequence[str]:
    """Return those of the publications that do not exist."""
    found = session.rows("SELECT pubname FROM pg_catalog.pg_publication WHERE pubname IN (%s)" % _list(names))
    return sorted(set(names) - {row["pubname"] for row in found})


def tables(session: Session, names: Sequence[str], subscriber: int) -> FrozenSet[Tuple[str, str]]:
    """Return schema and name of every table that a subscriber of these publications gets.

    Args:
        session: with the publisher.
        names: the publications.
        subscriber: the subscriber's ``server_version_num``. Where both servers are of version 16 or newer, a partition is
            left out when another of the publications has its root (pg_get_publication_tables).
    """
    if min(version.major(subscriber), version.major(session.version_num)) >= 16:
        query = ("SELECT DISTINCT n.nspname AS schemaname, c.relname AS tablename FROM (SELECT"
                 " (pg_catalog.pg_get_publication_tables(VARIADIC pg_catalog.array_agg(pubname::text))).relid"
                 " FROM pg_catalog.pg_publication WHERE pubname IN (%s)) AS p"
                 " JOIN pg_catalog.pg_class c ON c.oid = p.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace")
    else:
        query = "SELECT DISTINCT schemaname, tablename FROM pg_catalog.pg_publication_tables WHERE pubname IN (%s)"
    return frozenset((row["schemaname"], row["tablename"]) for row in session.rows(query % _list(names)))


def slot(session: Session, name: str) -> Optional[Slot]:
    """Return a slot, or None where there is none of this name."""
    rows = session.rows("SELECT coalesce(plugin = %s AND database = pg_catalog.current_database(), false) AS fits, active,"
                        " coalesce(wal_status = 'lost', false) AS lost FROM pg_catalog.pg_replication_slots"
                        " WHERE slot_name = %s" % (literal(PLUGIN), literal(name)))
    return Slot(**rows[0]) if rows else None


def has_passed(session: Session, name: str, other: str) -> bool:
    """Return whether a slot's subscriber has received everything up to the beginning of another slot."""
    return bool(session.rows(
        "SELECT FROM pg_catalog.pg_replication_slots a JOIN pg_catalog.pg_replication_slots b"
        " ON a.confirmed_flush_lsn >= b.confirmed_flush_lsn WHERE a.slot_name = %s AND b.slot_name = %s"
        % (literal(name), literal(other))))


def making(name: str) -> str:
    """Return the statement that makes a slot."""
    return "SELECT pg_catalog.pg_create_logical_replication_slot(%s, %s)" % (literal(name), literal(PLUGIN))


def copying(source: str, name: str) -> str:
    """Return the statement that makes a slot which has sent as much as another one."""
    return "SELECT pg_catalog.pg_copy_logical_replication_slot(%s, %s)" % (literal(source), literal(name))


def drop_slot(session: Session, name: str, seconds: int) -> None:
    """Drop a slot once nothing uses it any more.

    Raises:
        StateError: after ``seconds`` it is still in use.
    """
    def is_idle() -> bool:
        found = slot(session, name)
        return found is None or not found.active

    if not await_true(is_idle, seconds):
        raise StateError("The replication slot %r was to be dropped on the publisher and is still in use after %d s; end "
                         "its walsender, then run again." % (name, seconds))
    session.rows("SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots"
                 " WHERE slot_name = %s" % literal(name))


def await_true(is_true: Callable[[], bool], seconds: float) -> bool:
    """Ask every 50 ms until the answer is yes, for so many seconds; return the last answer."""
    end = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() >= end:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _list(names: Sequence[str]) -> str:
    return ", ".join(literal(name) for name in names)
