# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A publisher and a subscriber: two databases of one scratch server, with tables and publications."""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.modules import ok, refused, run_module
from tests.support.postgres import Server

#: What a password may look like; each part of it breaks some way of quoting.
PASSWORD = "0123 s3cr'et\\ =ünd\"$x$"

_OPTIONS = "-c search_path=public -c statement_timeout=30s"

_WRITING = re.compile(r"LOG:  statement: (?!SELECT|SET|BEGIN|COMMIT|ROLLBACK|SHOW|COPY|DECLARE|FETCH)"
                      r"|pg_(create|copy|drop)\w*_slot\(")


@dataclass
class Pair:
    """Two databases; ``sub`` is the name of the subscription that the helpers act on."""

    server: Server
    publisher: str
    subscriber: str
    user: str
    sub: str

    def conninfo(self, **keywords: Any) -> dict[str, Any]:
        """A conninfo over TCP, with the password."""
        return {"host": "127.0.0.1", "port": self.server.port, "dbname": self.publisher, "user": self.user,
                "password": PASSWORD, **keywords}

    def options(self, **options: Any) -> dict[str, Any]:
        """The options of a plain subscription to table ``a``."""
        return {**self.server.login, "login_db": self.subscriber, "name": self.sub, "conninfo": self.conninfo(),
                "publications": ["a"], **options}

    def ok(self, **options: Any) -> dict[str, Any]:
        """Run the module; it must not fail."""
        return ok("pg_subscription", **self.options(**options))

    def refused(self, **options: Any) -> str:
        """Run the module; it must fail."""
        return refused("pg_subscription", **self.options(**options))

    def check(self, **options: Any) -> dict[str, Any]:
        """Run the module in check mode."""
        return run_module("pg_subscription", check=True, **self.options(**options))

    def absent(self, **options: Any) -> dict[str, Any]:
        """Drop the subscription by the module."""
        return ok("pg_subscription", **{**self.server.login, "login_db": self.subscriber, "name": self.sub,
                                        "state": "absent", **options})

    def at_publisher(self, text: str) -> list[tuple[Any, ...]]:
        return self.server.sql(text, self.publisher, options=_OPTIONS)

    def at_subscriber(self, text: str) -> list[tuple[Any, ...]]:
        return self.server.sql(text, self.subscriber, options=_OPTIONS)

    def slots(self) -> set[str]:
        """The replication slots of the publisher's database, those of initial copies left out."""
        return {name for (name,) in self.at_publisher(
            "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()"
            " AND slot_name !~ '^pg_[0-9]+_sync_'")}

    def catalog(self) -> dict[str, Any] | None:
        """The subscription's row, or None."""
        rows = self.at_subscriber(f"SELECT to_jsonb(s), pg_get_userbyid(subowner), obj_description(oid, 'pg_subscription')"
                                  f" FROM pg_subscription s WHERE subname = '{self.sub}'")
        return {**rows[0][0], "owner": rows[0][1], "comment": rows[0][2]} if rows else None

    def await_rows(self, table: str, count: int) -> None:
        """Wait until the subscriber's table has so many rows."""
        await_true(lambda: self.at_subscriber(f"SELECT count(*) FROM {table}") == [(count,)])

    def fill(self) -> None:
        """Make tables a, b and c, one publication of each, and 100 rows in each at the publisher.

        The subscriber's tables have no keys, so that a table that is copied again is no error.
        """
        quiet, quoted = "-c log_statement=none -c log_min_error_statement=panic", PASSWORD.replace("'", "''")
        self.server.sql(f"CREATE ROLE \"{self.user}\" LOGIN REPLICATION PASSWORD '{quoted}'", options=quiet)
        for name in "abc":
            self.at_publisher(f"CREATE TABLE {name} (id int PRIMARY KEY, t text);"
                              f"INSERT INTO {name} SELECT i, 't' FROM generate_series(1, 100) i;"
                              f'CREATE PUBLICATION {name} FOR TABLE {name}; GRANT SELECT ON {name} TO "{self.user}"')
            self.at_subscriber(f"CREATE TABLE {name} (id int, t text)")

    def clear(self) -> None:
        """Take away whatever the two databases hold, their slots and the user."""
        mine = "FROM pg_replication_slots WHERE database = current_database()"
        ours = "pg_subscription s JOIN pg_database d ON d.oid = subdbid WHERE datname = current_database()"
        names = [name for (name,) in self.at_subscriber(f"SELECT quote_ident(subname) FROM {ours}")]
        for name in names:
            self.at_subscriber(f"ALTER SUBSCRIPTION {name} DISABLE")
        # A walsender that makes a slot waits for running transactions; if the drop were one, it would wait for the slot.
        await_true(lambda: not self.at_subscriber("SELECT FROM pg_stat_subscription WHERE pid IS NOT NULL"
                                                  f" AND subid IN (SELECT s.oid FROM {ours})"))
        await_true(lambda: not self.at_publisher(f"SELECT {mine} AND active"))
        for name in names:
            self.at_subscriber(f"ALTER SUBSCRIPTION {name} SET (slot_name = NONE); DROP SUBSCRIPTION {name}")
        self.at_publisher(f"SELECT pg_drop_replication_slot(slot_name) {mine}")
        for (name,) in self.at_publisher("SELECT quote_ident(pubname) FROM pg_publication"):
            self.at_publisher(f"DROP PUBLICATION {name}")
        for ask, database in ((self.at_publisher, self.publisher), (self.at_subscriber, self.subscriber)):
            ask("DO $$ BEGIN EXECUTE (SELECT string_agg(format('DROP TABLE %s CASCADE', c.oid::regclass), ';')"
                " FROM pg_class c WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace ="
                " 'public'::regnamespace); END $$; DROP SCHEMA IF EXISTS evil CASCADE;"
                f"ALTER DATABASE {database} RESET ALL")
        self.server.sql(f'DROP ROLE "{self.user}"')


def await_true(is_true: Callable[[], bool], seconds: float = 20) -> None:
    """Poll until something is so, or fail."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


def await_replayed(standby: Server) -> None:
    """Wait until a standby says that it has replayed all that it received; a primary writes records of its own at any time."""
    def lag() -> list[float | None]:
        found = ok("pg_replication_info", **standby.login)
        return [found["replay_lag_bytes"], found["replay_lag_seconds"]]

    await_true(lambda: lag() == [0, 0])


def writing(log: str) -> list[str]:
    """The lines of a server's log with statements of ours that change something."""
    return [line for line in log.splitlines() if _WRITING.search(line)]


@contextlib.contextmanager
def databases(server: Server) -> Iterator[Pair]:
    """Two fresh databases, dropped at the end."""
    tag = uuid.uuid4().hex[:8]
    made = Pair(server, f"pub_{tag}", f"sub_{tag}", f"Subscriber {tag}", f"s_{tag}")
    # Else a worker that a test restarts begins only 5 s after its last start (before PostgreSQL 16).
    server.sql("ALTER SYSTEM SET wal_retrieve_retry_interval = '100ms'")
    server.sql("SELECT pg_reload_conf()")
    for database in (made.publisher, made.subscriber):
        server.sql(f"CREATE DATABASE {database}")
    try:
        yield made
    finally:
        for database in (made.publisher, made.subscriber):
            server.sql(f"DROP DATABASE {database} WITH (FORCE)")
        server.sql("ALTER SYSTEM RESET wal_retrieve_retry_interval")


@contextlib.contextmanager
def filled(made: Pair) -> Iterator[Pair]:
    """The two databases with what a test needs, emptied at the end."""
    made.fill()
    try:
        yield made
    finally:
        made.clear()
