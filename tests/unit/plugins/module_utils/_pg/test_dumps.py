# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps: what is refused, and what would be done, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import dumps
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.dump_files import Kind
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError

OPTIONS: dict[str, Any] = {
    "dest": "/d/it", "directory": "", "keep": 0, "on_exists": "keep", "scope": "database", "database": "shop", "format": None,
    "jobs": 1, "content": "all", "schemas": [], "exclude_schemas": [], "tables": [], "exclude_tables": [],
    "exclude_table_data": [],
    "compress": "", "no_owner": False, "no_privileges": False, "role_passwords": True, "lock_wait_timeout": 0, "verify": True,
    "conninfo": {"host": "it's", "user": "u", "password": None}}
GLOBALS = {"scope": "globals", "database": ""}
MISSING = Kind("missing")
START = "--file=/d/it.pgmahout-new --dbname=dbname=%s host='it\\'s' user=u --no-password"


def shown(found: Kind = MISSING, names: tuple[str, ...] = (), relations: Any = None, **options: Any) -> list[str]:
    current = dumps.Current(names, found, relations or {}, (), "")
    return [step.shown for step in dumps.plan(current, dumps.desired({**OPTIONS, **options})).steps]


@pytest.mark.parametrize(("options", "program", "arguments"), [
    ({}, "pg_dump", "--format=custom"),
    ({"format": "directory", "jobs": 3}, "pg_dump", "--format=directory --jobs=3"),
    ({"content": "schema", "no_owner": True, "no_privileges": True}, "pg_dump",
     "--format=custom --schema-only --no-owner --no-privileges"),
    ({"content": "data", "lock_wait_timeout": 7}, "pg_dump", "--lock-wait-timeout=7s --format=custom --data-only"),
    ({"compress": "none"}, "pg_dump", "--format=custom --compress=0"),
    ({"compress": "gzip"}, "pg_dump", "--format=custom --compress=6"),
    ({"compress": "gzip:9"}, "pg_dump", "--format=custom --compress=9"),
    ({"compress": "zstd:22"}, "pg_dump", "--format=custom --compress=zstd:22"),
    ({"schemas": ['a"b'], "exclude_schemas": ["c"]}, "pg_dump",
     '--format=custom --schema="a""b" --exclude-schema="c" --strict-names'),
    (GLOBALS, "pg_dumpall", "--globals-only"),
    ({**GLOBALS, "role_passwords": False}, "pg_dumpall", "--globals-only --no-role-passwords"),
    ({"scope": "cluster", "database": ""}, "pg_dumpall", ""),
])
def test_the_program_is_asked_for_what_the_options_say(options: dict[str, Any], program: str, arguments: str) -> None:
    dbname = "postgres" if program == "pg_dumpall" else "shop"
    start = START % dbname if program == "pg_dump" else START.replace("dbname=%s host", "dbname=postgres host")
    assert shown(**options)[0] == f"{program} {start} {arguments}".rstrip()


def test_relations_are_given_as_the_server_has_them() -> None:
    relations = {"tables": [("s", 'o"t'), ("public", "p1")], "exclude_table_data": [("s", "x")]}
    assert shown(relations=relations, tables=['s."o""t"', "p"], exclude_table_data=["s.x"])[0].endswith(
        ' --table="s"."o""t" --table="public"."p1" --exclude-table-data="s"."x" --strict-names')


@pytest.mark.parametrize(("options", "said"), [
    ({"dest": ""}, "with none of dest and directory"), ({"directory": "/s"}, "with both of dest and directory"),
    ({"keep": 3}, "option keep is 3"), ({"dest": "", "directory": "/s", "keep": -1}, "option keep is -1"),
    ({"dest": "", "directory": "/s", "on_exists": "replace"}, "a series replaces none"),
    ({"database": ""}, "with none named"), ({"role_passwords": False}, "with role_passwords, which it never holds"),
    ({**GLOBALS, "database": "shop"}, "option database was given with the scope globals"),
    ({**GLOBALS, "tables": ["t"]}, "option tables was given with the scope globals"),
    ({**GLOBALS, "compress": "gzip"}, "option compress was given with the scope globals"),
    ({**GLOBALS, "format": "custom"}, "option format was given with the scope globals"),
    ({**GLOBALS, "jobs": 2}, "option jobs was given with the scope globals"),
    ({**GLOBALS, "content": "data"}, "option content was given with the scope globals"),
    ({"jobs": 2}, "option jobs is 2 with the format custom"), ({"jobs": 0}, "option jobs is 0"),
    ({"tables": ["t"], "schemas": ["s"]}, "options tables and schemas were given together"),
    ({"tables": ["t"], "exclude_schemas": ["s"]}, "options tables and exclude_schemas were given together"),
    ({"content": "schema", "exclude_table_data": ["t"]}, "which has no data"),
    ({"lock_wait_timeout": -1}, "option lock_wait_timeout is -1"), ({"compress": "gzip:10"}, "compress is 'gzip:10'"),
    ({"compress": "none:1"}, "compress is 'none:1'"), ({"compress": "zstd:23"}, "compress is 'zstd:23'"),
    ({"compress": "bzip2"}, "compress is 'bzip2'"), ({"compress": "gzip", "format": "tar"}, "with the format tar"),
    ({"tables": ["a.b.c"]}, "not of the form name or schema.name"), ({"conninfo": {"password": "s3cret"}}, "holds password"),
    ({"conninfo": {"dbname": "other"}}, "names the database 'other'"),
])
def test_contradictions_are_refused_in_one_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as refusal:
        dumps.desired({**OPTIONS, **options})
    assert said in str(refusal.value)
    assert "s3cret" not in str(refusal.value)
    assert str(refusal.value).endswith(".")


def test_a_dump_that_is_there_is_kept() -> None:
    assert shown(Kind("custom"), ("it", "it.pgmahout-new")) == []


@pytest.mark.parametrize(("found", "options", "said"), [
    (Kind("tar"), {}, "format custom was asked for in /d/it and one in the format tar is there"),
    (Kind("plain", "gzip"), {"format": "plain"}, "format plain was asked for in /d/it and one in the format plain with gzip"),
    (Kind("foreign"), {}, "something that is no dump is there"), (Kind("foreign"), {"on_exists": "replace"}, "no dump is there"),
])
def test_something_else_is_left(found: Kind, options: dict[str, Any], said: str) -> None:
    with pytest.raises(StateError, match=said):
        shown(found, ("it",), **options)


def test_what_was_put_aside_stays_until_there_is_another() -> None:
    left = ("it.pgmahout-new", "it.pgmahout-removed", "other.pgmahout-new")
    assert [text.split(" --")[0] for text in shown(names=left, format="directory")] == [
        "rm -r /d/it.pgmahout-new", "pg_dump", "pg_restore", "mv /d/it.pgmahout-new /d/it", "rm -r /d/it.pgmahout-removed"]


STAMPS = st.from_regex(r"\A2026112[0-3]T19010[0-9]Z(-[2-9])?\.(dump|dir|tar|sql|sql\.gz)\Z")


@given(st.sets(STAMPS, max_size=12), st.integers(0, 5))
def test_retention_keeps_the_newest_and_touches_nothing_else(names: set[str], keep: int) -> None:
    others = {"notes.txt", "20261122T190100Z.dump.pgmahout-new", "20261122.dump"}
    gone = {path[len("/d/"):] for path in dumps.expired("/d", sorted(names | others), keep)}
    assert gone <= names
    kept = names - gone
    assert len(kept) == (len(names) if not keep else min(len(names), keep - 1))
    assert all(dumps._age(one) <= dumps._age(other) for one in gone for other in kept)


def test_two_dumps_of_one_second_have_names_in_their_order() -> None:
    wanted = dumps.desired({**OPTIONS, "dest": "", "directory": "/d", "keep": 2})
    names = (wanted.name + "-10.dump", wanted.name + "-9.sql.gz", "notes.txt")
    found = dumps.plan(dumps.Current(names, Kind("missing"), {}, (), ""), wanted)
    assert found.facts == {"dest": f"/d/{wanted.name}-11.dump", "removed": [f"/d/{wanted.name}-9.sql.gz"]}
