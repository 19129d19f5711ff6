# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of a server as of one snapshot, and on a primary as of one exact position in the WAL.

The sources are PostgreSQL's documentation, chapters 13.2.2 (repeatable read), 13.3.1 (table-level locks; a lock that is taken
behind a savepoint is released when that is rolled back to), and the page of LOCK: the snapshot of a repeatable-read transaction
is taken by its first query, so what is locked before that is seen with all that its writers had committed.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Set

from . import login, probe_query
from .errors import ServerError, StateError
from .instance import wait_until
from .probe_query import Choice, Probe, Table

#: query_canceled, deadlock_detected, undefined_table: what a mark tries again after.
_AGAIN = ("57014", "40P01", "42P01")


class Wanted(NamedTuple):
    """What the options ask for; times in seconds."""

    keywords: Mapping[str, Any]
    choices: Sequence[Choice]
    probes: Sequence[Probe]
    mark: bool
    switch_wal: bool
    lock_timeout: float
    timeout: int
    check_mode: bool


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: the name of a table is none.
    """
    database = params["login_db"]
    return Wanted(login.conninfo_of(params), probe_query.choices(params["tables"], database),
                  [probe_query.probe(entry, database) for entry in params["probes"]], params["mark"], params["switch_wal"],
                  params["lock_timeout"], params["timeout"], params["check_mode"])


def gather(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the content that the options choose.

    Raises:
        Unreachable: there is no connection.
        StateError: a mark was asked for of a standby, or of a table that is not there or whose writers never pause.
        ServerError: the server refused something other than a probe.
    """
    wanted = desired(params)
    started = time.time()
    with closing(login.Session(wanted.keywords)) as session:
        result: Dict[str, Any] = session.rows(probe_query.SERVER)[0]
        result.update(started=started, answered=time.time())
        if wanted.mark and result["in_recovery"]:
            raise StateError("A mark was asked for and the server at %s port %s is in recovery; ask the primary."
                             % (wanted.keywords.get("host", "the default socket"), wanted.keywords["port"]))
        result.update(_read(session, wanted, bool(result["in_recovery"])))
    return dict(result, ended=time.time())


def _read(session: login.Session, wanted: Wanted, in_recovery: bool) -> Dict[str, Any]:
    names = [row["name"] for row in session.rows(probe_query.DATABASES)]
    databases = sorted({probe.database for probe in wanted.probes} | {
        name for choice in wanted.choices for name in (names if choice.database == probe_query.ALL else [choice.database])})
    with ExitStack() as stack:
        sessions = {name: stack.enter_context(closing(session.beside(dbname=name))) for name in databases}
        if wanted.check_mode:
            chosen = [_told(table) for table in _tables(sessions, wanted.choices)]
            switches = wanted.switch_wal and not in_recovery
            return {"chosen": chosen, "tables": [], "probes": [], "switched": switches, "changed": switches}
        position = probe_query.REPLAYED if in_recovery else probe_query.POSITION
        found = _mark(session, sessions, wanted) if wanted.mark else _snapshot(session, sessions, wanted, position)
        if wanted.switch_wal and not in_recovery:
            # A server on which nothing was written behind the mark would end no segment, and recovery knows that it has come past
            # a position only by a record behind it.
            session.rows("SELECT pg_catalog.pg_logical_emit_message(false, 'pgmahout', 'behind a mark')")
            session.rows("SELECT pg_catalog.pg_switch_wal()")
            found.update(switched=True, changed=True)
        tables = found.pop("chosen")
        found["chosen"] = [_told(table) for table in tables]
        found["tables"] = [_content(sessions[table.database], table) for table in tables]
        found["probes"] = [_probe(sessions[probe.database], probe) for probe in wanted.probes]
        return found


def _tables(sessions: Mapping[str, login.Session], choices: Sequence[Choice]) -> List[Table]:
    """Return the chosen tables, each once, in order.

    Raises:
        StateError: one that was named is not there, or is empty after each recovery.
    """
    found: Set[Table] = set()
    for choice in choices:
        for database in sessions if choice.database == probe_query.ALL else [choice.database]:
            rows = sessions[database].rows(probe_query.tables(choice))
            found.update(Table(database, row["schema"], row["name"]) for row in rows)
            if choice.name == probe_query.ALL:
                continue
            if not rows:
                raise StateError("The table %s.%s was chosen and the database %s has none of that name; correct tables." % (
                    choice.schema, choice.name, database))
            if not rows[0]["permanent"]:
                raise StateError("The table %s.%s was chosen and is unlogged or temporary, so that it is empty after each "
                                 "recovery; leave it out of tables." % (choice.schema, choice.name))
    return sorted(found)


def _snapshot(session: login.Session, sessions: Mapping[str, login.Session], wanted: Wanted, position: str) -> Dict[str, Any]:
    """Begin a transaction in each database, whose first query fixes what it sees."""
    tables = _tables(sessions, wanted.choices)
    for one in sessions.values():
        _begin(one)
        one.rows("SELECT 1")
    return dict(session.rows(position)[0], chosen=tables, switched=False)


def _mark(session: login.Session, sessions: Mapping[str, login.Session], wanted: Wanted) -> Dict[str, Any]:
    """Begin a transaction in each database at a position before which all commits to the tables are, and none behind it."""
    refusals: List[str] = []
    contended: List[Table] = []
    found: Dict[str, Any] = {}

    def marked() -> bool:
        tables = _tables(sessions, wanted.choices)
        try:
            with _locked(sessions, [table for table in contended if table in tables]
                         + [table for table in tables if table not in contended], contended, wanted.lock_timeout):
                for one in sessions.values():
                    one.rows("SELECT 1")
                found.update(session.rows(probe_query.POSITION)[0], chosen=tables, switched=False)
        except ServerError as error:
            if error.sqlstate not in _AGAIN:
                raise
            refusals.append(error.reason)
            return False
        return True

    if not wait_until(marked, wanted.timeout):
        raise StateError("The tables were to be locked for a moment, and in %d s their writers left none (%s, %d times); find "
                         "the long transaction in pg_stat_activity or pg_prepared_xacts, or choose fewer tables." % (
                             wanted.timeout, refusals[-1], len(refusals)))
    return found


@contextmanager
def _locked(sessions: Mapping[str, login.Session], tables: Sequence[Table], contended: List[Table],
            lock_timeout: float) -> Iterator[None]:
    """Keep writers off tables for as long as this context lasts; what would rewrite or remove them stays off until the end.

    A writer may lock the tables in another order. The victim of such a deadlock is who looks for one first (chapter 13.3.4): that
    is this session, which looks early, and gives up before a writer that waits for it would look. An autovacuum gives way to who
    looks, too. The table at which it gave up is put first among the contended ones, to be locked first the next time, while
    nobody waits for this session yet.
    """
    deadline = time.monotonic() + lock_timeout
    try:
        for database, session in sorted(sessions.items()):
            _begin(session)
            session.rows("SET LOCAL deadlock_timeout = '50ms'")
            _lock(session, [table for table in tables if table.database == database], contended, deadline)
        yield
    except BaseException:
        for session in sessions.values():
            session.rows("ROLLBACK")
        raise
    for session in sessions.values():
        session.rows("ROLLBACK TO SAVEPOINT locked")


def _lock(session: login.Session, tables: Sequence[Table], contended: List[Table], deadline: float) -> None:
    """Lock tables of one database until the savepoint is rolled back to; whatever time that takes ends at the deadline."""
    remaining = "SET LOCAL statement_timeout = %d"
    if tables:
        session.rows(remaining % _until(deadline))
        session.rows(probe_query.lock(tables, "ACCESS SHARE"))
    session.rows("SAVEPOINT locked")
    for table in tables:
        session.rows(remaining % _until(deadline))
        try:
            session.rows(probe_query.lock([table], "SHARE"))
        except ServerError:
            contended[:] = [table] + [other for other in contended if other != table]
            raise
    session.rows(remaining % 0)


def _until(deadline: float) -> int:
    """Return how many milliseconds there are; at least enough for a lock that is free."""
    return max(20, int((deadline - time.monotonic()) * 1000))


def _begin(session: login.Session) -> None:
    for statement in (probe_query.BEGIN,) + probe_query.SETTINGS:
        session.rows(statement)


def _told(table: Table) -> Dict[str, Any]:
    return {"database": table.database, "table": table.quoted}


def _content(session: login.Session, table: Table) -> Dict[str, Any]:
    row = session.rows(probe_query.content(table))[0]
    return dict(_told(table), rows=row["rows"], hash=probe_query.digest(row["sum"]))


def _probe(session: login.Session, probe: Probe) -> Dict[str, Any]:
    """Return what a probe found; what it may have broken does not reach the next one."""
    told: Dict[str, Any] = {"name": probe.name, "database": probe.database, "query": probe.query, "expected": probe.expected,
                            "found": None, "error": ""}
    session.rows("SAVEPOINT probe")
    session.rows(probe_query.PROBE_PATH)
    try:
        told["found"] = session.texts(probe.query)
    except ServerError as error:
        told["error"] = error.reason
    session.rows("ROLLBACK TO SAVEPOINT probe")
    return dict(told, passed=not told["error"] and probe.expected in (None, told["found"]))
