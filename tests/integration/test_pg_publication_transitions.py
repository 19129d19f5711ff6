# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From every publication to every other: the catalog is right, again changes nothing, check mode told the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.modules import ok
from tests.support.postgres import Server
from tests.support.statements import Watch

NAME = 'Every "state"; of one'
SQL_NAME = '"Every ""state""; of one"'

SETUP = """
CREATE ROLE "Other owner";
CREATE TABLE plain (id int PRIMARY KEY, "Total" numeric, note text);
CREATE TABLE more (id int PRIMARY KEY, v varchar(10), made int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE child () INHERITS (plain);
CREATE SCHEMA s; CREATE TABLE s.one (id int PRIMARY KEY, at timestamptz);
CREATE SCHEMA "S.""2"; CREATE TABLE "S.""2"."od""d. T" ("Key ""1"" x" int PRIMARY KEY, "a,b" text);
CREATE TABLE parted (id int, region text) PARTITION BY LIST (region);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
CREATE TABLE parted_us PARTITION OF parted FOR VALUES IN ('us');
"""

#: What every state says, so that nothing is left over from the state before it.
BASE: dict[str, Any] = {"publish": ["insert", "update", "delete", "truncate"], "publish_via_partition_root": False,
                        "owner": "postgres", "comment": ""}

#: Each state: the options of the module, and the SQL by which a person would make the same.
STATES: dict[str, tuple[dict[str, Any], str]] = {
    "all tables": ({"all_tables": True}, "CREATE PUBLICATION {} FOR ALL TABLES"),
    "one table": ({"tables": [{"name": "plain"}]}, "CREATE PUBLICATION {} FOR TABLE ONLY plain"),
    "two tables": ({"tables": [{"name": "public.more"}, {"name": "plain"}]},
                   "CREATE PUBLICATION {} FOR TABLE ONLY plain, more"),
    "column list": ({"tables": [{"name": "plain", "columns": ["Total", "id"]}]},
                    'CREATE PUBLICATION {} FOR TABLE ONLY plain (id, "Total")'),
    "row filter": ({"tables": [{"name": "plain", "where": "note = 'x' or \"Total\">0"}]},
                   "CREATE PUBLICATION {} FOR TABLE ONLY plain WHERE ((note = 'x'::text) OR \"Total\" > 0)"),
    "columns and filter": ({"tables": [{"name": "plain", "columns": ["id", "note"], "where": "note = 'it''s'"},
                                       {"name": "more", "where": "v in ('a', v)"}]},
                           "CREATE PUBLICATION {} FOR TABLE ONLY plain (id, note) WHERE (note = 'it''s'),"
                           " more WHERE (v in ('a', v))"),
    "a schema": ({"schemas": ["s"]}, "CREATE PUBLICATION {} FOR TABLES IN SCHEMA s"),
    "schema and filter": ({"schemas": ["s", 'S."2'], "tables": [{"name": "plain", "where": "id > 7"}]},
                          'CREATE PUBLICATION {} FOR TABLE ONLY plain WHERE (id > 7), TABLES IN SCHEMA s, "S.""2"'),
    "partitioned": ({"tables": [{"name": "parted"}]}, "CREATE PUBLICATION {} FOR TABLE parted"),
    "root, columns, filter": ({"tables": [{"name": "parted", "columns": ["id", "region"], "where": "region <> 'us'"}],
                               "publish_via_partition_root": True},
                              "CREATE PUBLICATION {} FOR TABLE parted (id, region) WHERE (region <> 'us')"
                              " WITH (publish_via_partition_root)"),
    "via root": ({"tables": [{"name": "parted"}], "publish_via_partition_root": True},
                 "CREATE PUBLICATION {} FOR TABLE parted WITH (publish_via_partition_root)"),
    "a partition": ({"tables": [{"name": "parted_eu", "columns": ["id"], "where": "id % 2 = 0"}]},
                    "CREATE PUBLICATION {} FOR TABLE parted_eu (id) WHERE (id % 2 = 0)"),
    "odd names": ({"tables": [{"name": '"S.""2"."od""d. T"', "columns": ["a,b", 'Key "1" x'],
                               "where": '"a,b" <> $$"; DROP TABLE plain; --$$ AND "Key ""1"" x" > 0'}]},
                  """CREATE PUBLICATION {} FOR TABLE "S.""2"."od""d. T" ("Key ""1"" x", "a,b")
                  WHERE ("a,b" <> '"; DROP TABLE plain; --' AND "Key ""1"" x" > 0)"""),
    "generated columns": ({"tables": [{"name": "more"}], "publish_generated_columns": "stored"},
                          "CREATE PUBLICATION {} FOR TABLE more WITH (publish_generated_columns = stored)"),
    "some changes": ({"tables": [{"name": "plain"}], "publish": ["truncate", "insert"]},
                     "CREATE PUBLICATION {} FOR TABLE ONLY plain WITH (publish = 'insert, truncate')"),
    "nothing but deletes": ({"all_tables": True, "publish": ["delete"]},
                            "CREATE PUBLICATION {} FOR ALL TABLES WITH (publish = 'delete')"),
    "other owner": ({"tables": [{"name": "plain"}], "owner": "Other owner"},
                    'CREATE PUBLICATION {0} FOR TABLE ONLY plain; ALTER PUBLICATION {0} OWNER TO "Other owner"'),
    "a comment": ({"tables": [{"name": "more", "where": "true"}], "comment": "it's \\ \u00fc"},
                  "CREATE PUBLICATION {0} FOR TABLE more WHERE (true);"
                  " COMMENT ON PUBLICATION {0} IS 'it''s \\ \u00fc'"),
    "absent": ({"state": "absent"}, ""),
}

CATALOG = """
SELECT puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot, {gencols},
       pg_get_userbyid(pubowner), obj_description(p.oid, 'pg_publication'),
       ARRAY(SELECT pnnspid FROM pg_publication_namespace WHERE pnpubid = p.oid ORDER BY 1),
       ARRAY(SELECT (prrelid::regclass, prattrs, pg_get_expr(prqual, prrelid))::text
             FROM pg_publication_rel WHERE prpubid = p.oid ORDER BY 1)
FROM pg_publication p
"""


@pytest.fixture(scope="module", params=[15, 18], ids=lambda major: f"pg{major}")
def world(request: pytest.FixtureRequest, server_of: Callable[[int], Server]) -> Iterator[Server]:
    server: Server = server_of(request.param)
    server.sql("CREATE DATABASE transitions")
    server.sql(SETUP, "transitions")
    yield server
    server.sql("DROP DATABASE transitions")
    server.sql('DROP ROLE "Other owner"')


def options(server: Server, state: str) -> dict[str, Any]:
    wanted = {"name": NAME, **BASE, **STATES[state][0], **server.login, "login_db": "transitions"}
    if server.major >= 18:
        return {"publish_generated_columns": "none", **wanted}
    wanted.pop("publish_generated_columns", None)
    return wanted


def make(server: Server, state: str) -> None:
    """Bring a state about without the module."""
    server.sql(f"DROP PUBLICATION IF EXISTS {SQL_NAME}", "transitions")
    text = STATES[state][1].format(SQL_NAME)
    if server.major < 18:
        text = text.replace(" WITH (publish_generated_columns = stored)", "")
    if text:
        server.sql(text, "transitions")


def catalog(server: Server) -> list[tuple[Any, ...]]:
    return server.sql(CATALOG.format(gencols="pubgencols" if server.major >= 18 else "NULL"), "transitions")


@pytest.fixture(scope="module")
def expected(world: Server) -> dict[str, list[tuple[Any, ...]]]:
    """What the catalog says of each state when it is made by hand."""
    found = {}
    for state in STATES:
        make(world, state)
        found[state] = catalog(world)
    return found


@pytest.mark.parametrize("start", STATES)
def test_every_other_state_is_reached_from(start: str, world: Server, expected: Any) -> None:
    for goal in STATES:
        make(world, start)
        wanted = options(world, goal)

        watch = Watch(world)
        foretold = ok("pg_publication", check=True, **wanted)
        assert watch.writing() == [], goal
        assert catalog(world) == expected[start], goal

        done = ok("pg_publication", **wanted)
        assert catalog(world) == expected[goal], goal
        assert done["changed"] == (expected[start] != expected[goal]), goal
        assert [foretold[key] for key in ("changed", "diff", "statements")] == \
            [done[key] for key in ("changed", "diff", "statements")], goal

        watch = Watch(world)
        again = ok("pg_publication", **wanted)
        assert not again["changed"], goal
        assert again["statements"] == [], goal
        assert again["diff"]["before"] == again["diff"]["after"], goal
        assert done["diff"]["after"] == {**done["diff"]["after"], **again["diff"]["after"]}, goal
        assert watch.writing() == [], goal


def test_a_change_of_tables_is_one_statement(world: Server) -> None:
    make(world, "columns and filter")
    done = ok("pg_publication", **options(world, "schema and filter"))
    assert len(done["statements"]) == 1
    assert done["statements"][0].startswith(f"ALTER PUBLICATION {SQL_NAME} SET TABLE ")
