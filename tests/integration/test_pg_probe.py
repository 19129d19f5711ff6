# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_probe`` on real servers: content that is compared rightly, and a mark that is exact under a write load."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import lsn
from tests.integration.conftest import VERSIONS
from tests.support.commit_record import Target, Writer
from tests.support.modules import ok, refused, run_module
from tests.support.postgres import Server, bindir, scratch_server
from tests.support.statements import Watch

MODULE = "pg_probe"
ODD = 'od"d $base'


@pytest.fixture
def shop(server: Server) -> Iterator[str]:
    """A database of its own, with a name that needs quoting."""
    quoted = '"%s"' % ODD.replace('"', '""')
    server.sql(f"CREATE DATABASE {quoted}")
    yield ODD
    server.sql(f"DROP DATABASE {quoted} WITH (FORCE)")


def content(server: Server, database: str, *tables: str, **options: Any) -> dict[str, tuple[int, str]]:
    found = ok(MODULE, tables=[{"database": database, "table": table} for table in tables or ("*",)], **server.login, **options)
    return {one["table"]: (one["rows"], one["hash"]) for one in found["tables"]}


def test_content_depends_on_the_rows_and_on_nothing_else(server: Server, shop: str) -> None:
    server.sql("CREATE TABLE a AS SELECT g, now()::date AS d, random() AS r, 'ä' || g AS x FROM generate_series(1, 500) g;"
               " CREATE TABLE b AS SELECT * FROM a ORDER BY random();"
               ' CREATE TABLE c (g int, d date, r float8, x text COLLATE "C"); INSERT INTO c SELECT * FROM a;', shop)
    before = content(server, shop)
    assert list(before) == ['"public"."a"', '"public"."b"', '"public"."c"']
    assert len(set(before.values())) == 1
    server.sql("UPDATE b SET x = x || ' ' WHERE g = 17", shop)
    after = content(server, shop)
    assert after['"public"."a"'] == before['"public"."a"']
    assert after['"public"."b"'][0] == 500
    assert after['"public"."b"'] != before['"public"."b"']


def test_two_rows_that_swap_a_value_are_another_content(server: Server, shop: str) -> None:
    server.sql("CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, 2), (3, 4)", shop)
    before = content(server, shop)
    server.sql("UPDATE t SET b = 6 - b", shop)
    assert content(server, shop) != before


def test_what_a_role_or_a_database_has_set_does_not_change_the_content(server: Server, shop: str) -> None:
    server.sql("CREATE TABLE t AS SELECT 1.0 / 3 AS r, 0.1::float8 + 0.2 AS f, now() AS at, '\\x00ff'::bytea AS b,"
               " '1 day 2 hours'::interval AS i", shop)
    before = content(server, shop)
    server.sql("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET TimeZone = ''Asia/Tokyo''', current_database());"
               " EXECUTE format('ALTER DATABASE %I SET extra_float_digits = -5', current_database());"
               " EXECUTE format('ALTER DATABASE %I SET bytea_output = escape', current_database());"
               " EXECUTE format('ALTER DATABASE %I SET IntervalStyle = iso_8601', current_database()); END $$", shop)
    assert content(server, shop) == before


def test_a_choice_leaves_out_what_a_recovery_empties(server: Server, shop: str) -> None:
    server.sql('CREATE UNLOGGED TABLE u (a int); CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE SCHEMA "S.1";'
               ' CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); INSERT INTO p VALUES (1);'
               ' CREATE TABLE "S.1"."T t" (t text)', shop)
    assert list(content(server, shop)) == ['"S.1"."T t"', '"public"."p"']
    assert content(server, shop, '"S.1".*') == {'"S.1"."T t"': (0, "0" * 16)}
    assert content(server, shop, "p1")['"public"."p1"'] == content(server, shop, "p")['"public"."p"']
    assert "unlogged or temporary" in refused(MODULE, tables=[{"database": shop, "table": "u"}], **server.login)
    assert "has none of that name" in refused(MODULE, tables=[{"database": shop, "table": "nothing"}], **server.login)


def test_what_was_chosen_can_be_asked_for_again(server: Server, shop: str) -> None:
    server.sql('CREATE TABLE "T ""t" (a int)', shop)
    found = ok(MODULE, tables=[{"database": "*", "table": "*"}], **server.login)
    assert {"database": shop, "table": '"public"."T ""t"'} in found["chosen"]
    assert ok(MODULE, tables=found["chosen"], **server.login)["tables"] == found["tables"]


def test_probes_are_compared_as_psql_shows_them(server: Server, shop: str) -> None:
    server.sql("CREATE TABLE t (a int, b bool, c numeric); INSERT INTO t VALUES (1, true, 1.50), (2, NULL, NULL)", shop)
    probes: list[dict[str, Any]] = [
        {"name": "rows", "query": "SELECT * FROM t ORDER BY a;", "expected": [[1, True, "1.50"], [2, None, None]]},
        {"name": "scalar", "query": "TABLE t LIMIT 0", "expected": []},
        {"name": "show", "query": "SHOW server_version_num", "expected": server.sql("SHOW server_version_num")[0][0]},
        {"name": "any", "query": "SELECT now()"},
        {"name": "wrong", "query": "SELECT count(*) FROM t", "expected": 3},
        {"name": "error", "query": "SELECT 1 / 0", "expected": 0},
        {"name": "write", "query": "DELETE FROM t RETURNING a", "expected": [1, 2]},
        {"name": "after", "query": "SELECT sum(a) FROM t", "expected": 3},
    ]
    found = ok(MODULE, probes=[{**probe, "database": shop} for probe in probes], **server.login)["probes"]
    assert {one["name"]: one["passed"] for one in found} == {
        "rows": True, "scalar": True, "show": True, "any": True, "wrong": False, "error": False, "write": False, "after": True}
    by_name = {one["name"]: one for one in found}
    assert by_name["wrong"]["found"] == [["2"]]
    assert by_name["error"]["error"] == "division by zero"
    assert "read-only transaction" in by_name["write"]["error"]
    assert server.sql("SELECT count(*) FROM t", shop) == [(2,)]


def test_check_mode_only_asks_for_names(server: Server, shop: str) -> None:
    server.sql("CREATE TABLE t (a int)", shop)
    watch = Watch(server)
    found = run_module(MODULE, check=True, tables=[{"database": shop, "table": "*"}], mark=True, switch_wal=True, **server.login)
    assert (found["chosen"], found["tables"], found["changed"]) == ([{"database": shop, "table": '"public"."t"'}], [], True)
    assert watch.writing() == []
    assert not [text for text in watch.statements() if "LOCK" in text or "switch" in text]


def test_a_transaction_that_never_ends_is_told_and_writers_go_on(server: Server, shop: str) -> None:
    server.sql("CREATE TABLE t (a int)", shop)
    holder = server.connect(shop)
    holder.autocommit = False
    with holder.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (1)")
    waited: list[float] = []
    end = threading.Event()

    def write() -> None:
        connection = server.connect(shop)
        while not end.is_set():
            begin = time.monotonic()
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO t VALUES (2)")
            waited.append(time.monotonic() - begin)
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        said = refused(MODULE, tables=[{"database": shop, "table": "t"}], mark=True, lock_timeout=0.3, timeout=2, **server.login)
    finally:
        end.set()
        writer.join()
        holder.close()
    assert "in 2 s their writers left none (canceling statement due to statement timeout" in said
    assert max(waited) < 1
    assert server.sql("SELECT count(*) FROM pg_locks WHERE mode IN ('ShareLock', 'AccessShareLock') AND relation = 't'::regclass",
                      shop) == [(0,)]


def test_no_writer_is_the_victim_of_a_deadlock_with_a_mark(server: Server, shop: str) -> None:
    server.sql("CREATE TABLE a (x int); CREATE TABLE b (x int); CREATE TABLE c (x int)", shop)
    errors, written, end = [], [0], threading.Event()

    def write() -> None:
        connection = server.connect(shop)
        connection.autocommit = False
        while not end.is_set():
            try:
                with connection, connection.cursor() as cursor:
                    for table in "cba":
                        cursor.execute(f"INSERT INTO {table} VALUES (1)")
                        end.wait(0.02)
                written[0] += 1
            except psycopg2.Error as error:
                errors.append(error)
        connection.close()

    writers = [threading.Thread(target=write) for _number in range(3)]
    for writer in writers:
        writer.start()
    try:
        marks = [content(server, shop, mark=True) for _again in range(5)]
    finally:
        end.set()
        for writer in writers:
            writer.join()
    assert errors == []
    assert written[0] > 5
    for mark in marks:
        assert len({rows for rows, _hash in mark.values()}) == 1, "a transaction was seen in part"


def test_what_was_locked_is_free_while_it_is_read(server: Server, shop: str) -> None:
    server.sql("CREATE TABLE t (a int)", shop)
    seconds: list[float] = []

    def write() -> None:
        connection = server.connect(shop)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(2)%'")
            while cursor.fetchone()[0] == 0:
                cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(2)%'")
            begin = time.monotonic()
            cursor.execute("INSERT INTO t VALUES (1)")
            seconds.append(time.monotonic() - begin)
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    found = ok(MODULE, tables=[{"database": shop, "table": "t"}], mark=True, **server.login,
               probes=[{"name": "slow", "database": shop, "query": "SELECT pg_sleep(2)"},
                       {"name": "rows", "database": shop, "query": "SELECT count(*) FROM t", "expected": 0}])
    writer.join()
    assert found["probes"][1]["passed"], "the snapshot is older than what was written meanwhile"
    assert seconds[0] < 1


@pytest.mark.parametrize("major", VERSIONS)
def test_a_mark_is_exactly_what_is_committed_before_its_position(major: int) -> None:
    if bindir(major) is None:
        pytest.skip(f"PostgreSQL {major} is not installed on this machine")
    query = {"name": "rows", "query": "SELECT id, amount FROM ledger ORDER BY id"}
    with scratch_server(major, wal_keep_size="2GB", synchronous_commit="off") as server:
        writer = Writer(server, seed=major, sessions=4, pause=0.005)
        marks = []
        with writer.running():
            for _again in range(8):
                counted = writer.count
                while writer.count < counted + 20:
                    time.sleep(0.01)
                marks.append(ok(MODULE, tables=[{"database": "postgres", "table": "ledger"}], mark=True, probes=[query],
                                **server.login))
        # What was committed without waiting for the disk is there then.
        server.sql("CHECKPOINT")
        record = writer.record()
    for mark in marks:
        expected = record.rows(Target("lsn", lsn.parse(mark["lsn"]), inclusive=False))
        assert mark["probes"][0]["found"] == [[str(id), str(amount)] for id, amount in sorted(expected.items())]
        assert mark["tables"][0]["rows"] == len(expected)
        assert lsn.parse(mark["first_lsn"]) <= lsn.parse(mark["lsn"])


def test_a_new_segment_begins_behind_the_mark(server: Server, shop: str) -> None:
    server.sql("CREATE TABLE t (a int)", shop)
    found = ok(MODULE, tables=[{"database": shop, "table": "t"}], mark=True, switch_wal=True, **server.login)
    assert (found["changed"], found["switched"]) == (True, True)
    size = int(server.sql("SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'")[0][0])
    now = lsn.parse(server.sql("SELECT pg_current_wal_insert_lsn()::text")[0][0])
    assert now // size > lsn.parse(found["lsn"]) // size
