# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_publication on real servers: filters, readers, refusals, rights, cost, and names that try to be SQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg2 import sql as psql

from tests.support.modules import ok, refused, run_module
from tests.support.postgres import Server, free_port, scratch_server
from tests.support.statements import Watch

DB = "pub_tests"
ROLES = "pub_owner, pub_reader, pub_second"
RESET = f"""
DO $$ DECLARE item text; BEGIN
    FOR item IN SELECT format('DROP PUBLICATION %I', pubname) FROM pg_publication
        UNION ALL SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    LOOP EXECUTE item; END LOOP;
END $$;
DROP OWNED BY {ROLES};
DROP ROLE {ROLES};
CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC;
"""
MAKE_ROLES = "CREATE ROLE pub_owner LOGIN; CREATE ROLE pub_reader LOGIN; CREATE ROLE pub_second LOGIN"
SETUP = """
CREATE TABLE t (id int PRIMARY KEY, a text, v varchar(10), w varchar, n int, m numeric(9, 2), b bool, d timestamptz,
                day date, j jsonb, u uuid, tags text[], raw bytea, "Odd ""c" float8);
CREATE TABLE other (id int PRIMARY KEY);
CREATE TABLE parent (id int); CREATE TABLE child () INHERITS (parent);
CREATE VIEW a_view AS SELECT 1 AS id; CREATE UNLOGGED TABLE unlogged (id int);
CREATE SCHEMA s; CREATE TABLE s.one (id int, x text); CREATE TABLE s.two (id int);
CREATE TABLE parted (id int, r text) PARTITION BY LIST (r);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
"""


class World:
    """A database of a server, and the module's options for it."""

    def __init__(self, server: Server, dbname: str = DB) -> None:
        self.server = server
        self.dbname = dbname
        self.login = {**server.login, "login_db": dbname}

    def run(self, **options: Any) -> dict[str, Any]:
        return ok("pg_publication", **{"name": "p", **self.login, **options})

    def refused(self, **options: Any) -> str:
        return refused("pg_publication", **{"name": "p", **self.login, **options})

    def run_any(self, **options: Any) -> dict[str, Any]:
        return run_module("pg_publication", **{"name": "p", **self.login, **options})

    def sql(self, text: str, **keywords: Any) -> list[tuple[Any, ...]]:
        return self.server.sql(text, self.dbname, **keywords)


@pytest.fixture(scope="module")
def world_on() -> Iterator[Callable[[Server], World]]:
    """Give the fresh world of a server; its database is made once, since that takes longer than to empty it."""
    known: dict[int, Server] = {}

    def give(server: Server) -> World:
        if server.major not in known:
            known[server.major] = server
            server.sql(f"CREATE DATABASE {DB}")
            server.sql(MAKE_ROLES)
        server.sql(f"{RESET}; {MAKE_ROLES}; {SETUP}", DB)
        return World(server)

    yield give
    for server in known.values():
        server.sql(f"DROP DATABASE {DB}")
        server.sql(f"DROP ROLE {ROLES}")


@pytest.fixture
def world(server: Server, world_on: Callable[[Server], World]) -> World:
    return world_on(server)


@pytest.fixture
def newest_world(newest: Server, world_on: Callable[[Server], World]) -> World:
    return world_on(newest)


FILTERS = [
    "a = 'x'", "a='x' OR a IS NULL", "v = 'x'", "v IN (w, 'y')", "n BETWEEN 1 AND 3", "NOT (n > 1 AND n < 3)", "t.n = 1",
    '"Odd ""c" > 1.1', "true", "NULL", "n = 1 + 1", "v LIKE 'x%'", "a = ANY ('{x,y}')", "n IN (1, 2)", "a IN ('x', 'y')",
    "j ->> 'k' = 'x'", "j @> '{\"k\": 1}'", "CASE WHEN n = 1 THEN a = 'x' ELSE v = 'y' END", "coalesce(v, w) = 'x'",
    "a IS DISTINCT FROM 'x'", "(n, a) < (1, 'x')", "nullif(v, 'x') = 'a'", "greatest(n, 1) > 3", "a ~ '^x\\d'",
    "substring(a FROM 1 FOR 2) = 'x'", "n % 2 = 0", "a COLLATE \"C\" > 'x'", "a SIMILAR TO 'x_'", "position('x' IN a) > 0",
    "trim(a) = 'x'", "n > -1", "-n < 1", "n > 1.5", "m >= 10", "v::char(3) = 'abc'", "ARRAY[n] = ARRAY[1]", "b",
    "NOT b", "b IS NOT TRUE", "a = $$it's$$", "a = $q$;--$q$", "a = E'it\\'s\\n'", "a = U&'\\0441'", "d > '2020-01-01 UTC'",
    "d AT TIME ZONE 'UTC' > '2020-01-01'", "day = date '2020-01-01'", "day > '2020-01-01'::date + 3", "a || v = 'xy'",
    "u = '6f1f1c3e-0000-4000-8000-0123456789ab'", "tags @> ARRAY['x']", "raw = '\\x00ff'", "length(a) > 3", "a ILIKE 'x%'",
    "n IS NULL AND (a IS NULL OR (v IS NULL AND w IS NOT NULL))", "extract(year FROM day) = 2020", "abs(n) = n", "n = 07",
    "a LIKE '50\\%%' AND a NOT LIKE '%s'", "starts_with(a, 'x')", "a = 'ü, 象, {braces}'", "xmlexists('//x' PASSING NULL)",
]

#: Filters that look much the same to a careless reader and are not.
DIFFERENT = [
    ("a = 'x'", "a = 'X'"), ("a = 'x'", "a = 'x '"), ("a = 'x  y'", "a = 'x y'"), ("n > 1", "n >= 1"), ("n > 1", "m > 1"),
    ("a COLLATE \"C\" > 'x'", "a > 'x'"), ("a COLLATE \"C\" > 'x'", "a COLLATE \"POSIX\" > 'x'"),
    ("m = 1.0", "m = 1.00000001"), ("b", "b IS NOT FALSE"), ("n > 1 AND n < 5", "n > 1 OR n < 5"),
    ("v = 'x'", "w = 'x'"), ("a = '(b)'", "a = 'b'"), ("d > '2020-01-01 UTC'", "d > '2020-01-01 12:00 UTC'"),
    ("true", "false"), ("v::char(3) = 'abc'", "v::char(4) = 'abc'"),
]


def publish(world: World, where: str, table: str = "t") -> None:
    world.sql(f"DROP PUBLICATION IF EXISTS p; CREATE PUBLICATION p FOR TABLE ONLY {table} WHERE ({where})")


def test_a_filter_is_compared_as_the_server_understands_it(world: World) -> None:
    for where in FILTERS:
        publish(world, where)
        watch = Watch(world.server)
        for check in (True, False):
            assert not world.run(check=check, tables=[{"name": "t", "where": where}])["changed"], where
        assert watch.writing() == [], where
        assert len(watch.statements()) <= 4, where


def test_a_filter_that_means_something_else_is_a_change(world: World) -> None:
    for one, other in DIFFERENT:
        for before, after in ((one, other), (other, one)):
            publish(world, before)
            done = world.run(tables=[{"name": "t", "where": after}])
            assert done["statements"] == [f'ALTER PUBLICATION "p" SET TABLE ONLY "public"."t" WHERE ({after})']
            assert not world.run(tables=[{"name": "t", "where": after}])["changed"], after


def test_a_constraint_of_the_table_does_not_make_filters_equal(world: World) -> None:
    world.sql("ALTER TABLE t ALTER n SET NOT NULL, ADD CHECK (n > 0)")
    for before, after in (("true", "n IS NOT NULL"), ("n > 0 OR a = 'x'", "n > 0"), ("false", "n < 0")):
        publish(world, before)
        assert world.run(check=True, tables=[{"name": "t", "where": after}])["changed"], after


def test_a_filter_is_compared_without_reading_the_table(world: World) -> None:
    """Policies, partitions and missing privileges play no part."""
    publish(world, "a = 'x'")
    world.sql("ALTER PUBLICATION p OWNER TO pub_owner; ALTER TABLE t OWNER TO pub_owner; REVOKE ALL ON t FROM pub_owner;"
              " ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    assert not world.run(tables=[{"name": "t", "where": "a='x'"}], login_user="pub_owner")["changed"]
    world.sql("DROP PUBLICATION p; CREATE PUBLICATION p FOR TABLE parted WHERE (r = 'eu' AND r <> 'us')"
              " WITH (publish_via_partition_root)")
    assert not world.run(tables=[{"name": "parted", "where": "r='eu' and r!='us'"}])["changed"]
    assert world.run(check=True, tables=[{"name": "parted", "where": "r = 'us'"}])["changed"]


@pytest.mark.parametrize(("options", "said"), [
    ({}, "would publish nothing"),
    ({"all_tables": False}, "would publish nothing"),
    ({"tables": []}, "The option tables of the publication 'p' is an empty list"),
    ({"schemas": []}, "The option schemas of the publication 'p' is an empty list"),
    ({"tables": [], "all_tables": True}, "exclude each other"),
    ({"schemas": ["s"], "all_tables": True}, "exclude each other"),
    ({"all_tables": True, "publish": []}, "The option publish is an empty list"),
    ({"all_tables": True, "publish": ["upsert"]}, "must be one or more of: insert, update, delete, truncate"),
    ({"tables": [{"name": "t"}, {"name": "public.t"}]}, "names public.t twice"),
    ({"tables": [{"name": "t", "columns": []}]}, "is empty or names a column twice"),
    ({"tables": [{"name": "t", "columns": ["id", "id"]}]}, "is empty or names a column twice"),
    ({"tables": [{"name": "t", "columns": ["id"]}], "schemas": ["s"]}, "schemas are published too"),
    ({"tables": [{"name": "a.b.c"}]}, "not of the form name or schema.name"),
    ({"tables": [{"name": "t", "where": " "}]}, "holds nothing"),
    ({"tables": [{"name": "t", "where": "true) WITH (publish = 'insert'"}]}, "closing parenthesis"),
    ({"tables": [{"name": "t", "where": "nope > 1"}]}, 'column "nope" does not exist'),
    ({"tables": [{"name": "t", "where": "a = 'x'"}, {"name": "other", "where": "id + 1"}]}, "must be type boolean"),
    ({"tables": [{"name": "missing"}]}, "the table public.missing, which does not exist"),
    ({"tables": [{"name": "T"}]}, "the table public.T, which does not exist"),
    ({"tables": [{"name": "t", "columns": ["id", "Id"]}]}, "the column Id of public.t, which does not exist"),
    ({"tables": [{"name": "t", "columns": ["ctid"]}]}, "the column ctid of public.t, which does not exist"),
    ({"schemas": ["s", "missing"]}, "the schema missing, which does not exist"),
    ({"tables": [{"name": "t"}], "owner": "missing"}, "the role missing, which does not exist"),
    ({"tables": [{"name": "t"}], "readers": ["missing"]}, "the role missing, which does not exist"),
    ({"readers": ["pub_reader"]}, "needs tables, schemas or all_tables"),
    ({"tables": [{"name": "a_view"}]}, "not a permanent table"),
    ({"tables": [{"name": "unlogged"}]}, "not a permanent table"),
    ({"tables": [{"name": "pg_catalog.pg_class"}]}, "not a permanent table"),
    ({"tables": [{"name": "parted", "where": "id > 1"}]}, "give publish_via_partition_root: true"),
    ({"all_tables": True, "owner": "pub_owner"}, "which is no superuser"),
    ({"schemas": ["s"], "owner": "pub_owner"}, "which is no superuser"),
    ({"all_tables": True, "name": "x" * 64}, "longer than the 63 bytes"),
    ({"all_tables": True, "comment": "a\0b"}, "holds a NUL"),
])
def test_what_can_never_be_right_is_refused(options: dict[str, Any], said: str, newest_world: World) -> None:
    watch = Watch(newest_world.server)
    for check in (True, False):
        message = newest_world.refused(check=check, **options)
        assert said in message
        assert "\n" not in message
    assert watch.writing() == []


def test_an_option_that_came_later_is_refused(server_of: Callable[[int], Server]) -> None:
    server = server_of(16)
    message = refused("pg_publication", name="p", all_tables=True, publish_generated_columns="none", **server.login)
    assert message == ("The option publish_generated_columns needs PostgreSQL 18 or newer and this server is version 16; "
                       "leave it out.")


def test_what_is_not_asked_for_is_left_alone(world: World) -> None:
    world.sql("CREATE PUBLICATION p FOR TABLE t (id, n) WHERE (n > 1), s.one WITH (publish = 'insert',"
              " publish_via_partition_root); COMMENT ON PUBLICATION p IS 'kept'; ALTER PUBLICATION p OWNER TO pub_owner")
    catalog = ("SELECT pubowner::regrole::text, pubinsert, pubupdate, pubviaroot, obj_description(oid, 'pg_publication'),"
               " ARRAY(SELECT prrelid::regclass::text FROM pg_publication_rel ORDER BY 1) FROM pg_publication")
    before = world.sql(catalog)
    assert not world.run()["changed"]
    assert world.run(publish=["update", "insert"])["changed"]
    assert world.sql(catalog) == [before[0][:2] + (True,) + before[0][3:]]
    done = world.run(all_tables=True)
    assert world.sql(catalog) == [("postgres", True, True, True, "kept", [])]
    assert done["diff"]["before"]["owner"] == "pub_owner"


def test_what_inherits_from_a_table_is_not_added(world: World) -> None:
    world.run(tables=[{"name": "parent"}])
    assert world.sql("SELECT prrelid::regclass::text FROM pg_publication_rel") == [("parent",)]
    assert not world.run(tables=[{"name": "parent"}])["changed"]


def test_what_is_to_be_absent_needs_no_right_description(world: World) -> None:
    world.run(tables=[{"name": "t"}])
    watch = Watch(world.server)
    done = world.run(state="absent", tables=[{"name": "gone", "where": "no = 1"}], owner="nobody", readers=["nobody"])
    assert done["statements"] == ['DROP PUBLICATION "p"']
    assert watch.writing() == ["BEGIN", 'DROP PUBLICATION "p"', "COMMIT"]


def test_a_change_happens_wholly_or_not_at_all(world: World) -> None:
    world.sql(f"GRANT CREATE ON DATABASE {DB} TO pub_owner; ALTER TABLE t OWNER TO pub_owner;"
              " ALTER TABLE other OWNER TO pub_owner")
    world.run(tables=[{"name": "t"}], login_user="pub_owner")
    message = world.refused(tables=[{"name": "other"}], comment="new", owner="pub_reader", login_user="pub_owner")
    assert message.startswith('The server refused ALTER PUBLICATION "p" OWNER TO "pub_reader": ')
    assert world.sql("SELECT prrelid::regclass::text, obj_description(prpubid) FROM pg_publication_rel") == [("t", None)]


def test_a_role_that_owns_the_tables_is_enough(world: World) -> None:
    world.sql(f"GRANT CREATE ON DATABASE {DB} TO pub_owner; ALTER TABLE t OWNER TO pub_owner")
    user = {"login_user": "pub_owner"}
    assert world.run(tables=[{"name": "t"}], **user)["changed"]
    assert world.run(tables=[{"name": "t", "columns": ["id", "a"], "where": "id > 0"}], comment="c", **user)["changed"]
    assert not world.run(tables=[{"name": "t", "columns": ["a", "id"], "where": "id>0"}], comment="c", **user)["changed"]
    assert "must be owner of table other" in world.refused(tables=[{"name": "other"}], **user)
    assert "must be superuser" in world.refused(schemas=["s"], **user)
    assert world.run(state="absent", **user)["changed"]
    assert not world.run(state="absent", **user)["changed"]


def may(world: World, role: str, text: str) -> bool:
    try:
        world.sql(text, user=role)
    except psycopg2.errors.InsufficientPrivilege:
        return False
    return True


def test_readers_may_read_what_is_published_and_no_more(world: World) -> None:
    options = {"tables": [{"name": "t", "columns": ["id", "a"], "where": "n > 0 AND lower(v) <> 'd'"}, {"name": "s.one"}],
               "readers": ["pub_second", "pub_reader"]}
    foretold = world.run(check=True, **options)
    assert not may(world, "pub_reader", "SELECT id FROM t")
    done = world.run(**options)
    assert (foretold["statements"], foretold["diff"]) == (done["statements"], done["diff"])
    assert done["diff"]["before"]["readers_lack"]["pub_reader"] == [
        "SELECT (a, id, n, v) on public.t", "USAGE on schema s", "SELECT on s.one"]
    for role in ("pub_reader", "pub_second"):
        # What a subscriber copies with, inside of COPY (...) TO STDOUT.
        assert may(world, role, "SELECT id, a FROM ONLY public.t WHERE n > 0 AND lower(v) <> 'd'")
        assert may(world, role, "SELECT * FROM s.one")
        for text in ("SELECT d FROM t", "SELECT w FROM t", "SELECT id FROM other", "SELECT id FROM s.two",
                     "DELETE FROM s.one", "CREATE TABLE s.three ()"):
            assert not may(world, role, text), text
    watch = Watch(world.server)
    again = world.run(**options)
    assert not again["changed"]
    assert again["diff"]["after"]["readers_lack"] == {"pub_reader": [], "pub_second": []}
    assert len(watch.statements()) <= 3
    world.sql("REVOKE SELECT (v) ON t FROM pub_second")
    assert world.run(**options)["statements"] == ['GRANT SELECT ("v") ON TABLE "public"."t" TO "pub_second"']


@pytest.mark.parametrize("via_root", [False, True])
def test_a_reader_can_do_the_initial_copy(via_root: bool, world: World) -> None:
    """A subscription that logs in as the reader copies what is published: columns, filters, partitions, schemas."""
    server, to = world.server, f"{DB}_to"
    world.sql("INSERT INTO t (id, a, v, n) VALUES (1, 'x', 'a', 1), (2, 'y', 'd', 1), (3, 'z', 'a', 0);"
              "INSERT INTO parted VALUES (1, 'eu'); INSERT INTO s.one VALUES (1, 'x');"
              "ALTER ROLE pub_reader REPLICATION; REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    world.run(tables=[{"name": "t", "columns": ["id", "a"], "where": "n > 0 AND lower(v) <> 'd'"}, {"name": "parted"},
                      {"name": "s.one", "where": "x <> 'y'"}],
              publish_via_partition_root=via_root, readers=["pub_reader"])
    server.sql(f"CREATE DATABASE {to}")
    server.sql("CREATE TABLE t (id int, a text); CREATE SCHEMA s; CREATE TABLE s.one (id int, x text);"
               "CREATE TABLE parted (id int, r text); CREATE TABLE parted_eu (id int, r text)", to)
    world.sql("SELECT pg_create_logical_replication_slot('pub_copy', 'pgoutput')")
    try:
        server.sql(f"CREATE SUBSCRIPTION pub_copy CONNECTION 'host={server.home} port={server.port} user=pub_reader"
                   f" dbname={DB}' PUBLICATION p WITH (create_slot = false)", to)
        deadline = time.monotonic() + 60
        while server.sql("SELECT 1 FROM pg_subscription_rel WHERE srsubstate NOT IN ('r', 's')", to):
            assert time.monotonic() < deadline, server.log[-2000:]
            time.sleep(0.05)
        copied = "SELECT (SELECT array_agg(id) FROM t), (SELECT count(*) FROM s.one), (SELECT count(*) FROM {})"
        assert server.sql(copied.format("parted" if via_root else "parted_eu"), to) == [([1], 1, 1)]
    finally:
        server.sql("ALTER SUBSCRIPTION pub_copy DISABLE", to)
        server.sql("DROP SUBSCRIPTION pub_copy", to)
        server.sql(f"DROP DATABASE {to} WITH (FORCE)")


@pytest.mark.parametrize(("options", "readable"), [
    ({"all_tables": True}, "child other parent parted_eu s.one s.two t"),
    ({"all_tables": True, "publish_via_partition_root": True}, "child other parent parted s.one s.two t"),
    ({"schemas": ["s"]}, "s.one s.two"),
    ({"schemas": ["s"], "tables": [{"name": "other"}, {"name": "s.one", "where": "id > 1"}]}, "other s.one s.two"),
    ({"tables": [{"name": "parted"}]}, "parted_eu"),
    ({"tables": [{"name": "parted"}], "publish_via_partition_root": True}, "parted"),
    ({"tables": [{"name": "parted"}, {"name": "parted_eu"}], "publish_via_partition_root": True}, "parted"),
    ({"tables": [{"name": "parted"}, {"name": "parted_eu"}]}, "parted_eu"),
])
def test_readers_may_read_each_table_as_it_is_copied(options: dict[str, Any], readable: str, world: World) -> None:
    done = world.run(readers=["pub_reader"], **options)
    found = world.sql("SELECT c.oid::regclass::text FROM pg_class c WHERE relkind IN ('r', 'p') AND relpersistence = 'p'"
                      " AND oid >= 16384 AND has_table_privilege('pub_reader', oid, 'SELECT') ORDER BY 1")
    assert " ".join(sorted(name for name, in found)) == readable
    copied = world.sql("SELECT (schemaname || '.' || tablename)::regclass::text FROM pg_publication_tables")
    assert " ".join(sorted(name for name, in copied)) == readable
    assert world.run(readers=["pub_reader"], **options)["statements"] == []
    assert sum("GRANT SELECT" in text for text in done["statements"]) == 1


def test_a_user_who_may_not_grant_is_told_so(world: World) -> None:
    """The server only warns, and would do so again with every run."""
    world.sql(f"GRANT CREATE ON DATABASE {DB} TO pub_owner; GRANT USAGE ON SCHEMA s TO pub_owner;"
              " ALTER TABLE s.one OWNER TO pub_owner")
    message = world.refused(tables=[{"name": "s.one"}], readers=["pub_reader"], login_user="pub_owner")
    assert "may not grant USAGE on schema s; log in as the owner of that." in message
    assert world.sql("SELECT count(*) FROM pg_publication") == [(0,)]


def test_a_stored_filter_that_cannot_be_planned_can_be_replaced(world: World) -> None:
    publish(world, "n = 1 / 0")
    assert world.run(tables=[{"name": "t", "where": "n = 1"}])["changed"]
    assert "division by zero" in world.refused(tables=[{"name": "t", "where": "n = 1 / 0"}])


def test_a_reader_that_may_read_already_is_granted_nothing(world: World) -> None:
    world.sql("GRANT pg_read_all_data TO pub_reader")
    done = world.run(all_tables=True, readers=["pub_reader", "postgres"])
    assert done["statements"] == ['CREATE PUBLICATION "p" FOR ALL TABLES']


def test_a_server_that_is_only_planned_gets_everything() -> None:
    nowhere = {"login_host": "127.0.0.1", "login_port": free_port(), "login_planned": True, "name": "p"}
    options = {"tables": [{"name": "s.t", "columns": ["id", "a"], "where": "n > 1"}, {"name": "u"}], "owner": "o",
               "comment": "c", "publish": ["insert"], "readers": ["r"]}
    plan = ok("pg_publication", check=True, **nowhere, **options)
    assert plan["statements"] == [
        'CREATE PUBLICATION "p" FOR TABLE ONLY "public"."u", ONLY "s"."t" ("a", "id") WHERE (n > 1)'
        " WITH (publish = 'insert')", "COMMENT ON PUBLICATION \"p\" IS 'c'", 'ALTER PUBLICATION "p" OWNER TO "o"',
        'GRANT SELECT ON TABLE "public"."u" TO "r"', 'GRANT USAGE ON SCHEMA "s" TO "r"',
        'GRANT SELECT ("a", "id", "n") ON TABLE "s"."t" TO "r"']
    assert refused("pg_publication", **nowhere, **options).startswith("Could not connect to database")
    assert not ok("pg_publication", check=True, **nowhere, state="absent")["changed"]


def test_what_an_earlier_task_will_make_may_be_missing_from_a_plan(newest_world: World) -> None:
    options = {"tables": [{"name": "soon", "where": "id > 1"}, {"name": "t"}], "owner": "soon_owner",
               "readers": ["soon_reader"], "login_planned": True}
    foretold = newest_world.run(check=True, **options)
    assert newest_world.refused(**options).startswith("The server refused CREATE PUBLICATION")
    newest_world.sql("CREATE TABLE soon (id int); CREATE ROLE soon_owner; CREATE ROLE soon_reader")
    try:
        done = newest_world.run(**options)
        assert done["diff"]["after"] == foretold["diff"]["after"]
        assert done["statements"][:2] == foretold["statements"][:2]
    finally:
        newest_world.sql("DROP PUBLICATION IF EXISTS p; DROP TABLE soon; DROP OWNED BY soon_reader;"
                         " DROP ROLE soon_owner, soon_reader")


@pytest.mark.parametrize(("where", "statements"), [(None, 1), ("id > 1", 1), ("v = 'x' AND id > 1", 2)])
def test_nothing_to_do_costs_one_connection_and_two_statements(where: str | None, statements: int, newest_world: World,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    newest_world.sql("CREATE SCHEMA many;"
                     " DO $$ BEGIN FOR i IN 1..1000 LOOP EXECUTE format('CREATE TABLE many.t%s (id int, v text)', i);"
                     " END LOOP; END $$")
    tables = [{"name": f"many.t{number}", "where": where} for number in range(1, 1001)]
    done = newest_world.run(tables=tables, readers=["pub_reader"])
    assert len(done["statements"]) == 3
    connections = []
    connect = psycopg2.connect

    def counted(**keywords: Any) -> Any:
        connections.append(keywords["dbname"])
        return connect(**keywords)

    monkeypatch.setattr(psycopg2, "connect", counted)
    watch = Watch(newest_world.server)
    again = newest_world.run(tables=tables, readers=["pub_reader"])
    assert not again["changed"]
    assert len(watch.statements()) == statements
    assert watch.writing() == []
    assert connections == [DB]


HOSTILE = """
CREATE SCHEMA evil;
CREATE TABLE evil.pg_publication (pubname text); CREATE TABLE evil.pg_class (oid oid);
CREATE FUNCTION evil.pg_get_expr(pg_node_tree, oid) RETURNS text LANGUAGE sql AS 'SELECT ''evil''';
CREATE FUNCTION evil.obj_description(oid, name) RETURNS text LANGUAGE sql AS 'SELECT ''evil''';
CREATE FUNCTION evil.json_populate_record(anyelement, json) RETURNS anyelement LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION evil.never(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.never);
CREATE TABLE evil.t (nothing int);
GRANT USAGE ON SCHEMA evil TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA evil TO PUBLIC;
ALTER DATABASE hostile SET search_path = evil, pg_catalog, public;
ALTER DATABASE hostile SET standard_conforming_strings = off;
ALTER DATABASE hostile SET backslash_quote = on;
ALTER DATABASE hostile SET quote_all_identifiers = on;
ALTER DATABASE hostile SET "DateStyle" = 'German';
ALTER DATABASE hostile SET default_transaction_read_only = on;
"""


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_a_hostile_server_changes_nothing(major: int) -> None:
    with scratch_server(major, ("--encoding=SQL_ASCII", "--locale=C"), log_statement="all") as server:
        server.sql("CREATE DATABASE hostile")
        server.sql('CREATE TABLE public.t (id int PRIMARY KEY, v varchar(9), d date, "sch\u00f6n\\" text);'
                   "CREATE ROLE owner LOGIN; ALTER TABLE public.t OWNER TO owner;"
                   "GRANT CREATE ON DATABASE hostile TO owner; GRANT CREATE ON SCHEMA public TO owner", "hostile",
                   client_encoding="UTF8")
        server.sql(HOSTILE, "hostile")
        options = {"name": "n\u00e4me\\", **server.login, "login_db": "hostile", "login_user": "owner",
                   "comment": "back\\slash's \u00fc", "tables": [
                       {"name": "t", "columns": ["sch\u00f6n\\", "id", "d", "v"],
                        "where": "v = 'a\\' AND d > '2020-02-01' AND \"sch\u00f6n\\\" <> 'gr\u00fc\u00df'"}]}
        foretold = ok("pg_publication", check=True, **options)
        done = ok("pg_publication", **options)
        assert foretold["diff"] == done["diff"]
        watch = Watch(server)
        assert not ok("pg_publication", **options)["changed"]
        assert watch.writing() == []
        found = server.sql("SELECT pubname::text, pg_catalog.obj_description(p.oid, 'pg_publication'),"
                           " prrelid::regclass::text, prattrs::text, pg_catalog.pg_get_expr(prqual, prrelid)"
                           " FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_rel r ON p.oid = r.prpubid",
                           "hostile", client_encoding="UTF8",
                           options="-c search_path=pg_catalog -c DateStyle=ISO -c quote_all_identifiers=off")
        assert found[0][:-1] == (options["name"], options["comment"], "public.t", "1 2 3 4")
        assert "'2020-02-01'::date" in found[0][-1]


PIECES = st.sampled_from([
    '"', "'", '""', "''", ";", "--", "/*", "*/", "(", ")", "$$", "$x$", "$", "\\", "\\'", "E'", "e'\\'", "U&'", "\n", " ",
    "DROP TABLE public.canary", "); DROP TABLE public.canary; --", "; DROP TABLE public.canary; --",
    '"; DROP TABLE public.canary; --', "'; DROP TABLE public.canary; --",
    "true", "id > 0", "a = 'x'", ",", "WITH", "a", "1", "=", "::text", "%s", "{}", "%", "\u00e9", "{{ x }}", "OR",
])
HOSTILE_TEXT = st.lists(PIECES, min_size=1, max_size=8).map("".join)
FILTERS_OF_SORTS = st.tuples(st.sampled_from(["", "true", "a = 'x'", "a = E'"]), HOSTILE_TEXT).map("".join)
NAMES = st.one_of(HOSTILE_TEXT, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
                  ).filter(lambda name: 0 < len(name.encode()) <= 63)
OBJECTS = ("SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_namespace),"
           " (SELECT count(*) FROM pg_roles), to_regclass('public.canary') IS NOT NULL, count(*) FROM pg_publication")
MANY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@MANY
@given(name=NAMES, schema=NAMES, table=NAMES, column=NAMES, comment=HOSTILE_TEXT, role=NAMES)
def test_a_name_is_never_more_than_a_name(name: str, schema: str, table: str, column: str, comment: str, role: str,
                                          canary: World) -> None:
    def quoted(text: str) -> str:
        return '"{}"'.format(text.replace('"', '""'))

    connection = canary.server.connect(canary.dbname)
    identifiers = [psql.Identifier(text) for text in ("x" + schema[:30], table, column, "r" + role[:30])]
    try:
        cursor = connection.cursor()
        cursor.execute(psql.SQL("CREATE SCHEMA {0}; CREATE TABLE {0}.{1} ({2} int); CREATE ROLE {3}").format(*identifiers))
        before = canary.sql(OBJECTS)
        options = {"name": name, "comment": comment, "owner": "r" + role[:30], "readers": ["r" + role[:30]],
                   "tables": [{"name": f"{quoted('x' + schema[:30])}.{quoted(table)}", "columns": [column],
                               "where": f"{quoted(column)} > 0"}]}
        assert canary.run(**options)["changed"]
        assert not canary.run(**options)["changed"]
        assert canary.sql(OBJECTS) == [before[0][:-1] + (1,)]
        cursor.execute("SELECT pubname::text, pg_get_userbyid(pubowner)::text, obj_description(p.oid, 'pg_publication'),"
                       " nspname::text, relname::text, attname::text FROM pg_publication p"
                       " JOIN pg_publication_rel ON prpubid = p.oid JOIN pg_class c ON c.oid = prrelid"
                       " JOIN pg_namespace n ON n.oid = relnamespace"
                       " JOIN pg_attribute ON attrelid = c.oid AND attnum = ANY (prattrs::int2[])")
        assert cursor.fetchall() == [(name, "r" + role[:30], comment, "x" + schema[:30], table, column)]
        assert canary.run(name=name, state="absent")["changed"]
        assert canary.sql(OBJECTS) == before
    finally:
        cursor.execute("SELECT pubname FROM pg_publication")
        for (left,) in cursor.fetchall():
            cursor.execute(psql.SQL("DROP PUBLICATION {}").format(psql.Identifier(left)))
        cursor.execute(psql.SQL("DROP SCHEMA {0} CASCADE; DROP OWNED BY {3}; DROP ROLE {3}").format(*identifiers))
        connection.close()


@settings(MANY, max_examples=300)
@example(one="true); DROP TABLE public.canary; --", other="true")
@example(one="a = E'\\'' OR a = 'x", other="'); DROP TABLE public.canary; --")
@example(one="a = $x$ OR true", other="$x$); DROP TABLE public.canary; --")
@given(one=FILTERS_OF_SORTS, other=FILTERS_OF_SORTS)
def test_a_filter_is_never_more_than_a_filter(one: str, other: str, canary: World) -> None:
    """Whatever is accepted or refused; also what one text leaves open and the next one closes."""
    before = canary.sql(OBJECTS)
    done = canary.run_any(tables=[{"name": "t", "where": one}, {"name": "other", "where": other}])
    if done.get("failed"):
        assert canary.sql(OBJECTS) == before
    else:
        assert canary.sql(OBJECTS) == [before[0][:-1] + (1,)]
        canary.run(state="absent")


@pytest.fixture(scope="module")
def canary(server_of: Callable[[int], Server]) -> Iterator[World]:
    server = server_of(18)
    server.sql("CREATE DATABASE pub_canary")
    server.sql("CREATE TABLE canary (id int); CREATE TABLE t (id int, a text); CREATE TABLE other (id int, a text)",
               "pub_canary")
    yield World(server, "pub_canary")
    server.sql("DROP DATABASE pub_canary")
