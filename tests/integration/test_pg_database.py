# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_database`` on real servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.faults import module_process
from tests.support.modules import ok, refused
from tests.support.playbooks import wait_until
from tests.support.postgres import Server, bindir
from tests.support.statements import Watch

MODULE = "pg_database"
NAME = 'Test "db"; DROP'
DRAFT = NAME + ".pgmahout"
PUBLISHER = "test_publisher"
SCRIPT = "CREATE TABLE t (a int);\nCREATE TABLE u (b text DEFAULT 'it''s 100 %');\nINSERT INTO t VALUES (1);"


#: For what does not depend on the version.
newest_only = pytest.mark.parametrize("server", [18], indirect=True, ids=["pg18"])


def quoted(name: str) -> str:
    return '"%s"' % name.replace('"', '""')


def names(server: Server) -> set[str]:
    return {row[0] for row in server.sql("SELECT datname FROM pg_database")}


def drop(server: Server, *databases: str) -> None:
    for name in databases:
        server.sql(f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")


@pytest.fixture
def clean(server: Server) -> Iterator[Server]:
    """A server without the database of these tests, before and afterwards."""
    drop(server, NAME, DRAFT)
    server.sql("CREATE ROLE test_db_owner")
    yield server
    drop(server, NAME, DRAFT)
    server.sql("DROP ROLE test_db_owner")


def test_a_database_is_made_whole_and_then_left_alone(clean: Server) -> None:
    options = {"name": NAME, "owner": "test_db_owner", "encoding": "utf-8", "lc_collate": "C", "lc_ctype": "C.UTF-8",
               "comment": "it's", "script": SCRIPT, **clean.login}
    watch = Watch(clean)
    checked = ok(MODULE, check=True, **options)
    assert watch.writing() == []
    assert NAME not in names(clean)
    done = ok(MODULE, **options)
    assert done["changed"] is checked["changed"] is True
    assert (done["statements"], done["diff"]) == (checked["statements"], checked["diff"])
    assert clean.sql("SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype,"
                     " shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '%s'" % NAME) == [
        ("test_db_owner", "UTF8", "C", "C.UTF-8", "it's")]
    clean.sql("INSERT INTO u DEFAULT VALUES", dbname=NAME)
    assert clean.sql("SELECT a, b FROM t, u", dbname=NAME) == [(1, "it's 100 %")]
    watch = Watch(clean)
    assert ok(MODULE, **options)["changed"] is False
    assert len(watch.statements()) == 1
    assert DRAFT not in names(clean)


def test_owner_and_comment_converge_and_encoding_never(clean: Server) -> None:
    ok(MODULE, name=NAME, **clean.login)
    options = {"name": NAME, "owner": "test_db_owner", "comment": "c", **clean.login}
    assert ok(MODULE, check=True, **options)["statements"] == ok(MODULE, **options)["statements"]
    assert ok(MODULE, **options)["changed"] is False
    assert len(ok(MODULE, **{**options, "owner": "postgres", "comment": ""})["statements"]) == 2
    assert "encoding LATIN1 and has" in refused(MODULE, **options, encoding="LATIN1")
    assert "UTF9" in refused(MODULE, **options, encoding="UTF9")
    assert "lc_collate xx_XX and has" in refused(MODULE, **options, lc_collate="xx_XX")


@newest_only
@pytest.mark.parametrize(("script", "said"), [
    ("CREATE TABLE a ();\n\nCREATE TABLE a ();", 'relation "a" already exists'),
    ("CREATE TABLE a ();\nSELCT 1;", 'at its line 2: syntax error at or near "SELCT"'),
    ("VACUUM; SELECT 1", "transaction block"),
])
def test_a_script_that_fails_leaves_nothing(clean: Server, script: str, said: str) -> None:
    message = refused(MODULE, name=NAME, script=script, **clean.login)
    assert said in message
    assert "CREATE TABLE" not in message
    assert names(clean) & {NAME, DRAFT} == set()


@newest_only
def test_a_script_sees_an_ordinary_session(clean: Server) -> None:
    script = "CREATE TABLE seen AS SELECT current_setting('search_path') AS path, current_setting('work_mem') AS mem"
    ok(MODULE, name=NAME, script=script, connect_params={"options": "-c work_mem=7MB"}, **clean.login)
    assert clean.sql("SELECT * FROM seen", dbname=NAME) == [('"$user", public', "7MB")]


@newest_only
def test_an_owner_that_does_not_exist_is_refused_before_anything_is_made(clean: Server) -> None:
    watch = Watch(clean)
    assert "'nobody at all', which does not exist" in refused(MODULE, name=NAME, owner="nobody at all", **clean.login)
    assert watch.writing() == []


@newest_only
def test_absent_drops_the_database_and_a_draft_unless_somebody_is_connected(clean: Server) -> None:
    ok(MODULE, name=NAME, **clean.login)
    clean.sql(f"CREATE DATABASE {quoted(DRAFT)}")
    connection = clean.connect(NAME)
    try:
        assert "being accessed by other users" in refused(MODULE, name=NAME, state="absent", **clean.login)
    finally:
        connection.close()
    assert ok(MODULE, name=NAME, state="absent", check=True, **clean.login)["changed"] is True
    assert ok(MODULE, name=NAME, state="absent", **clean.login)["changed"] is True
    assert names(clean) & {NAME, DRAFT} == set()
    assert ok(MODULE, name=NAME, state="absent", **clean.login)["changed"] is False


def test_a_run_killed_at_its_script_is_made_good_by_the_next(clean: Server) -> None:
    slow = {"name": NAME, "script": "CREATE TABLE half (); SELECT pg_sleep(600)", **clean.login}
    with module_process(MODULE, **slow):
        wait_until(lambda: clean.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = '%s' AND wait_event = 'PgSleep'"
                                     % DRAFT) == [(1,)])
        assert NAME not in names(clean)
    assert DRAFT in names(clean)
    options = {"name": NAME, "script": "CREATE TABLE whole ()", **clean.login}
    checked = ok(MODULE, check=True, **options)
    assert checked["statements"][0] == f"DROP DATABASE {quoted(DRAFT)} WITH (FORCE)"
    assert ok(MODULE, **options)["statements"] == checked["statements"]
    assert clean.sql("SELECT relname FROM pg_class WHERE relname IN ('half', 'whole')", dbname=NAME) == [("whole",)]
    assert ok(MODULE, **options)["changed"] is False
    assert DRAFT not in names(clean)


@newest_only
def test_two_runs_at_once_make_one_database(clean: Server) -> None:
    options = {"name": NAME, "script": "CREATE TABLE t AS SELECT 1 FROM pg_sleep(0.5)", **clean.login}
    with module_process(MODULE, **options) as first, module_process(MODULE, **options) as second:
        results = [json.loads(process.communicate(timeout=60)[0]) for process in (first, second)]
    assert sorted(result.get("changed", result.get("msg")) for result in results) == [False, True]
    assert clean.sql("SELECT count(*) FROM t", dbname=NAME) == [(1,)]


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=9)


@settings(max_examples=8, deadline=None)
@given(TEXT | st.sampled_from(['"; DROP DATABASE postgres; --', "x" * 63, "%s", "a b=c' \\"]), TEXT)
def test_any_name_and_comment_make_nothing_but_that_database(newest: Server, name: str, comment: str) -> None:
    before = names(newest)
    options = {"name": name, "comment": comment, "template": "template0", **newest.login}
    try:
        assert ok(MODULE, **options)["changed"] is True
        assert names(newest) == {*before, name}
        assert ok(MODULE, **options)["changed"] is False
    finally:
        ok(MODULE, name=name, state="absent", **newest.login)
    assert names(newest) == before


PUBLISHED = """
CREATE SCHEMA "odd s"; CREATE TYPE mood AS ENUM ('a', 'b');
CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE "odd s"."Or""der.*" (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer, note text NOT NULL,
  secret text NOT NULL, m mood NOT NULL DEFAULT 'a', twice int NOT NULL GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE "odd s"."Order" (id int); CREATE TABLE "odd s"."Or""derX" (id int);
CREATE TABLE part (id int, k int NOT NULL, v text NOT NULL, PRIMARY KEY (id, k)) PARTITION BY RANGE (k);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (10) TO (20);
CREATE TABLE base (id int PRIMARY KEY); CREATE TABLE derived (more int NOT NULL) INHERITS (base);
CREATE VIEW v AS SELECT * FROM customer;
CREATE FUNCTION wants_customer() RETURNS SETOF customer LANGUAGE sql AS 'SELECT * FROM customer';
CREATE FUNCTION harmless() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TABLE visit (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer, at date DEFAULT '2026-01-01');
CREATE INDEX by_customer ON visit (customer);
CREATE TRIGGER t BEFORE INSERT ON visit FOR EACH ROW EXECUTE FUNCTION trg(); COMMENT ON TRIGGER t ON visit IS 'c';
ALTER TABLE visit ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON visit TO test_here_only USING (true);
CREATE RULE r AS ON UPDATE TO visit DO ALSO INSERT INTO customer VALUES (1, 'x');
GRANT SELECT ON ALL TABLES IN SCHEMA public TO test_here_only;
CREATE TABLE unpublished (id serial PRIMARY KEY);
CREATE TABLE keyless (id int PRIMARY KEY, v varchar(7) COLLATE "C");
CREATE PUBLICATION sales FOR TABLE "odd s"."Or""der.*" (id, customer, note, m), part1 (id, k), ONLY derived,
  visit WHERE (id > 0);
CREATE PUBLICATION whole FOR TABLE part WITH (publish_via_partition_root);
CREATE PUBLICATION no_key FOR TABLE keyless (v) WITH (publish = 'insert');
"""

#: The least that a subscriber's role needs for its initial copy.
GRANTED = """
GRANT USAGE ON SCHEMA public, "odd s" TO test_reader; GRANT SELECT ON base, derived, visit, part TO test_reader;
GRANT SELECT (id, customer, note, m) ON "odd s"."Or""der.*" TO test_reader; GRANT SELECT (id, k) ON part1 TO test_reader;
GRANT SELECT (v) ON keyless TO test_reader;
"""


@pytest.fixture
def publisher(clean: Server) -> Iterator[dict[str, Any]]:
    """The libpq keywords of a database with publications, over TCP, as a role that may read what is published."""
    clean.sql("CREATE ROLE test_here_only; CREATE ROLE test_reader CREATEDB LOGIN PASSWORD 'geheim:\\7'")
    clean.sql(f"CREATE DATABASE {PUBLISHER}")
    clean.sql(PUBLISHED + GRANTED, dbname=PUBLISHER)
    yield {"host": "127.0.0.1", "port": str(clean.port), "user": "test_reader", "password": "geheim:\\7",
           "dbname": PUBLISHER}
    drop(clean, PUBLISHER)
    clean.sql("DROP ROLE test_here_only; DROP ROLE test_reader")


def subscriber(server: Server, conninfo: dict[str, Any], *publications: str) -> dict[str, Any]:
    return {"name": NAME, "schema_from": {"conninfo": conninfo, "publications": list(publications)},
            "bindir": str(bindir(server.major)), **server.login}


def test_the_schema_of_what_is_published_is_brought_and_nothing_else(clean: Server, publisher: dict[str, Any]) -> None:
    options = subscriber(clean, publisher, "sales")
    checked = ok(MODULE, check=True, **options)
    assert names(clean) & {NAME, DRAFT} == set()
    done = ok(MODULE, **options)
    assert (done["statements"], done["diff"]) == (checked["statements"], checked["diff"])
    relations = clean.sql("SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
                          " WHERE relkind IN ('r', 'p', 'v') AND nspname IN ('public', 'odd s') ORDER BY 1", dbname=NAME)
    assert [row[0] for row in relations] == ['Or"der.*', "base", "derived", "part1", "visit"]
    assert clean.sql("SELECT count(*) FROM pg_class WHERE relname = 'by_customer'", dbname=NAME) == [(1,)]
    assert clean.sql("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1", dbname=NAME) == [
        ("harmless",), ("trg",)]
    for left_out in ("pg_trigger", "pg_policy", "pg_rules WHERE schemaname = 'public'", "pg_publication",
                     "pg_constraint WHERE contype = 'f'"):
        assert clean.sql(f"SELECT count(*) FROM {left_out}", dbname=NAME) == [(0,)], left_out
    assert ok(MODULE, **options)["changed"] is False


def test_a_table_with_a_column_list_has_these_columns_and_its_key(clean: Server, publisher: dict[str, Any]) -> None:
    ok(MODULE, **subscriber(clean, publisher, "sales", "no_key"))
    columns = clean.sql("SELECT relname, attname, format_type(atttypid, atttypmod), attnotnull, attnum = ANY (i.indkey)"
                        " FROM pg_attribute JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_index i ON indrelid = c.oid"
                        " WHERE attnum > 0 AND relname IN ('Or\"der.*', 'part1', 'keyless') ORDER BY 1, attnum", dbname=NAME)
    assert columns == [
        ('Or"der.*', "id", "integer", True, True), ('Or"der.*', "customer", "integer", True, False),
        ('Or"der.*', "note", "text", True, False), ('Or"der.*', "m", "mood", True, False),
        ("keyless", "v", "character varying(7)", False, None),
        ("part1", "id", "integer", True, True), ("part1", "k", "integer", True, True)]
    assert clean.sql("SELECT collname FROM pg_attribute a JOIN pg_collation c ON c.oid = attcollation"
                     " WHERE attrelid = 'keyless'::regclass AND attname = 'v'", dbname=NAME) == [("C",)]


def test_rows_arrive_in_the_schema_that_was_brought(clean: Server, publisher: dict[str, Any]) -> None:
    ok(MODULE, **subscriber(clean, publisher, "sales", "no_key"))
    clean.sql("INSERT INTO keyless VALUES (1, 'x'); INSERT INTO customer VALUES (2, 'c');"
              'INSERT INTO "odd s"."Or""der.*" VALUES (7, 2, \'n\', \'s\'); INSERT INTO part VALUES (1, 2, \'v\');'
              " INSERT INTO derived VALUES (3, 4); INSERT INTO visit VALUES (5, 2)", dbname=PUBLISHER)
    # Publisher and subscriber are one server here, so that the slot has to be there before the subscription is.
    clean.sql("SELECT pg_create_logical_replication_slot('test_brought', 'pgoutput')", dbname=PUBLISHER)
    clean.sql("CREATE SUBSCRIPTION test_brought CONNECTION 'host=%s port=%d user=postgres dbname=%s'"
              " PUBLICATION sales, no_key WITH (create_slot = false, slot_name = 'test_brought')"
              % (clean.home, clean.port, PUBLISHER), dbname=NAME)
    try:
        wait_until(lambda: clean.sql("SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'", dbname=NAME) == [(0,)])
        assert clean.sql('SELECT * FROM "odd s"."Or""der.*"', dbname=NAME) == [(7, 2, "n", "a")]
        assert clean.sql("SELECT v, d.*, p.*, visit.id FROM keyless, derived d, part1 p, visit", dbname=NAME) == [
            ("x", 3, 4, 1, 2, 5)]
    finally:
        clean.sql("DROP SUBSCRIPTION test_brought", dbname=NAME)


@newest_only
def test_a_published_partitioned_table_has_its_partitions_if_they_may_be_read(clean: Server,
                                                                              publisher: dict[str, Any]) -> None:
    parts = "SELECT relname, relkind FROM pg_class WHERE relname LIKE 'part_' OR relname = 'part' ORDER BY 1"
    ok(MODULE, **subscriber(clean, publisher, "whole"))
    assert clean.sql(parts, dbname=NAME) == [("part", "r")]
    drop(clean, NAME)
    clean.sql("GRANT SELECT ON part1, part2 TO test_reader", dbname=PUBLISHER)
    ok(MODULE, **subscriber(clean, publisher, "whole"))
    assert clean.sql(parts, dbname=NAME) == [("part", "p"), ("part1", "r"), ("part2", "r")]


@newest_only
def test_no_password_is_anywhere_to_be_read(clean: Server, publisher: dict[str, Any], tmp_path: Path) -> None:
    real = bindir(clean.major)
    for program in ("pg_dump", "pg_restore"):
        (tmp_path / program).write_text('#!/bin/sh\n{ echo "$0 $@"; env; } >> %s/seen\nexec %s/%s "$@"\n'
                                        % (tmp_path, real, program))
        (tmp_path / program).chmod(0o755)
    options = {**subscriber(clean, publisher, "sales"), "bindir": str(tmp_path)}
    tcp = {"login_unix_socket": "", "login_host": "127.0.0.1", "login_user": publisher["user"],
           "login_password": publisher["password"]}
    results = [ok(MODULE, **{**options, **tcp})]
    seen = (tmp_path / "seen").read_text()
    assert "pg_restore" in seen
    wrong = {**publisher, "password": "falsch:\\8"}
    drop(clean, NAME)
    message = refused(MODULE, **subscriber(clean, wrong, "sales"))
    assert "password authentication failed" in message
    text = json.dumps(results) + message + clean.log + seen
    for secret in ("geheim:\\7", "geheim:\\\\7", "geheim\\:", "falsch"):
        assert secret not in text.replace("CREATE ROLE test_reader CREATEDB LOGIN PASSWORD 'geheim:\\7'", "")


@newest_only
def test_a_passfile_serves_as_well(clean: Server, publisher: dict[str, Any], tmp_path: Path) -> None:
    passfile = tmp_path / "passfile"
    passfile.write_text("*:*:*:*:geheim\\:\\\\7\n")
    passfile.chmod(0o600)
    conninfo = {key: value for key, value in publisher.items() if key != "password"}
    done = ok(MODULE, **subscriber(clean, {**conninfo, "passfile": str(passfile)}, "sales"))
    assert done["changed"] is True


@pytest.mark.parametrize("check", [True, False])
def test_what_cannot_work_is_refused_before_anything_is_made(clean: Server, publisher: dict[str, Any], check: bool) -> None:
    refusals = [
        (subscriber(clean, publisher, "sales", "no such"), "publication 'no such'"),
        (subscriber(clean, {**publisher, "dbname": "no such"}, "sales"), "Could not connect"),
        ({**subscriber(clean, publisher, "sales"), "bindir": "/nonexistent"}, "check bindir"),
        ({**subscriber(clean, publisher, "sales"), "bindir": str(bindir(18 if clean.major < 18 else 16))}, "set bindir"),
    ]
    watch = Watch(clean)
    for options, said in refusals:
        assert said in refused(MODULE, check=check, **options)
    assert watch.writing() == []
    assert names(clean) & {NAME, DRAFT} == set()


@newest_only
def test_a_publisher_that_is_planned_too_is_no_error_in_check_mode_alone(clean: Server, publisher: dict[str, Any]) -> None:
    options = {**subscriber(clean, {**publisher, "dbname": "no such"}, "sales"), "login_planned": True}
    assert ok(MODULE, check=True, **options)["changed"] is True
    assert "Could not connect" in refused(MODULE, **options)
    assert names(clean) & {NAME, DRAFT} == set()


def test_an_older_publisher_is_read_by_newer_programs(server_of: Callable[[int], Server]) -> None:
    old, new = server_of(15), server_of(18)
    old.sql("CREATE DATABASE test_old")
    drop(new, NAME)
    try:
        old.sql("CREATE TABLE t (a int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t", dbname="test_old")
        conninfo = {"host": str(old.home), "port": str(old.port), "user": "postgres", "dbname": "test_old"}
        assert ok(MODULE, **subscriber(new, conninfo, "p"))["changed"] is True
        assert new.sql("SELECT count(*) FROM t", dbname=NAME) == [(0,)]
    finally:
        drop(new, NAME)
        drop(old, "test_old")


def test_a_server_that_is_only_planned_gets_a_complete_plan(tmp_path: Path) -> None:
    nowhere = {"login_unix_socket": str(tmp_path), "login_planned": True}
    plan = ok(MODULE, name="shop", script="SELECT 1", check=True, **nowhere)
    assert plan["statements"] == ['CREATE DATABASE "shop.pgmahout"', '-- in "shop.pgmahout": the script, of 8 characters',
                                  'ALTER DATABASE "shop.pgmahout" RENAME TO "shop"']
