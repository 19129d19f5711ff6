# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the content of a server is asked for: which tables there are, what is in them, and what a probe should find. Pure.

A table's content is told as its number of rows and the sum of a 64-bit hash of each row's text, modulo 2^64. The sum depends
neither on the order of the rows nor, the text being hashed bytewise, on a collation; it needs no sort and no memory, and
PostgreSQL computes it in parallel. Two contents that differ by chance agree once in 2^64 times. It is no defence against somebody
who wants them to agree.
"""

from __future__ import annotations

from typing import Any, List, Mapping, NamedTuple, Optional, Sequence

from .errors import InputError
from .info_query import TIMELINE
from .sql import literal, qualified, split_name

#: For all of them: every table of a database, of a schema, or every database.
ALL = "*"

BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

#: What the text of a row depends on besides what every session of ours sets (chapter 19.11).
SETTINGS = ("SET LOCAL TimeZone = 'UTC'", "SET LOCAL extra_float_digits = 1", "SET LOCAL lc_monetary = 'C'")

#: Where a probe's names without a schema are looked for, as psql would where nothing else was configured.
PROBE_PATH = "SET LOCAL search_path = \"$user\", public"

DATABASES = "SELECT datname AS name FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"

#: The server as it is; what was replayed last stays known after a promotion (chapter 9.27.4). These two of its processes begin
#: when its recovery has ended, be it of a backup or of a crash.
SERVER = (
    "SELECT pg_catalog.pg_is_in_recovery() AS in_recovery, %s AS timeline,"
    " CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_current_wal_insert_lsn() END::text AS first_lsn,"
    " extract(epoch FROM pg_catalog.clock_timestamp())::float8 AS first_time,"
    " (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) AS system_identifier,"
    " pg_catalog.current_setting('server_version') AS server_version,"
    " pg_catalog.current_setting('data_checksums')::bool AS data_checksums,"
    " pg_catalog.pg_last_wal_replay_lsn()::text AS replayed_lsn,"
    " extract(epoch FROM pg_catalog.pg_last_xact_replay_timestamp())::float8 AS replayed_time,"
    " extract(epoch FROM pg_catalog.pg_postmaster_start_time())::float8 AS server_started,"
    " (SELECT extract(epoch FROM pg_catalog.min(backend_start))::float8 FROM pg_catalog.pg_stat_activity"
    " WHERE backend_type IN ('logical replication launcher', 'autovacuum launcher')) AS recovered" % TIMELINE)

#: Where the WAL ends and when that was; a commit that anybody sees is before it, also one that is not on disk yet.
POSITION = ("SELECT pg_catalog.pg_current_wal_insert_lsn()::text AS lsn, %s AS timeline,"
            " extract(epoch FROM pg_catalog.clock_timestamp())::float8 AS time" % TIMELINE)
REPLAYED = ("SELECT pg_catalog.pg_last_wal_replay_lsn()::text AS lsn, %s AS timeline,"
            " extract(epoch FROM pg_catalog.clock_timestamp())::float8 AS time" % TIMELINE)

_COLUMNS = "SELECT n.nspname AS schema, c.relname AS name, c.relpersistence = 'p' AS permanent"
_TABLES = " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')"
_USERS = (" AND c.relpersistence = 'p' AND NOT c.relispartition AND n.nspname <> 'information_schema'"
          " AND n.nspname NOT LIKE 'pg\\_%'")


class Choice(NamedTuple):
    """Tables as a user chose them.

    Attributes:
        database: its name, or ``*`` for all.
        schema: its name, or ``*`` for all.
        name: of the table, or ``*`` for all.
    """

    database: str
    schema: str
    name: str


class Table(NamedTuple):
    """One table."""

    database: str
    schema: str
    name: str

    @property
    def quoted(self) -> str:
        """Its name as SQL has it, which as an option names it again."""
        return qualified(self.schema, self.name)


class Probe(NamedTuple):
    """A query, and the rows it should give; None when any will do."""

    name: str
    database: str
    query: str
    expected: Optional[List[List[Optional[str]]]]


def choices(entries: Sequence[Mapping[str, Any]], default_database: str) -> List[Choice]:
    """Return the tables that the option ``tables`` chooses.

    Raises:
        InputError: a name is none.
    """
    found = []
    for entry in entries:
        schema, name = (ALL, ALL) if entry["table"] == ALL else split_name(entry["table"])
        if schema == ALL and name != ALL:
            raise InputError("The option tables names %r; write schema.table, schema.* for a whole schema, or * for all."
                             % entry["table"])
        found.append(Choice(entry["database"] or default_database, schema, name))
    return found


def tables(choice: Choice) -> str:
    """Return the query for the tables of a choice; a part of a partitioned table is among that one's rows."""
    text = _COLUMNS + _TABLES
    if choice.name == ALL:
        text += _USERS
    if choice.schema != ALL:
        text += " AND n.nspname = %s" % literal(choice.schema)
    if choice.name != ALL:
        text += " AND c.relname = %s" % literal(choice.name)
    return text + " ORDER BY n.nspname, c.relname"


def content(table: Table) -> str:
    """Return the query for the content of a table; see the top of this file."""
    return ("SELECT pg_catalog.count(*) AS rows, coalesce(pg_catalog.sum(pg_catalog.hashtextextended("
            "(content.*)::text COLLATE pg_catalog.\"C\", 0)), 0)::text AS sum FROM %s AS content" % table.quoted)


def digest(total: str) -> str:
    """Return the sum of the hashes as 16 hexadecimal digits."""
    return "%016x" % (int(total) % (1 << 64))


def lock(some: Sequence[Table], mode: str) -> str:
    """Return the statement that locks tables."""
    return "LOCK TABLE %s IN %s MODE" % (", ".join(table.quoted for table in some), mode)


def probe(entry: Mapping[str, Any], default_database: str) -> Probe:
    """Return a probe from an entry of the option ``probes``."""
    expected = entry["expected"]
    return Probe(entry["name"], entry["database"] or default_database, entry["query"],
                 None if expected is None else rows(expected))


def rows(expected: Any) -> List[List[Optional[str]]]:
    """Return expected rows, given as a scalar, a list of scalars (a row of one column each) or a list of rows, as texts."""
    if not isinstance(expected, list):
        return [[text(expected)]]
    return [[text(value) for value in (row if isinstance(row, list) else [row])] for row in expected]


def text(value: Any) -> Optional[str]:
    """Return a value as psql shows it: ``t`` and ``f`` for booleans, None for NULL."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value)
