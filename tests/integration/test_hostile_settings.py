# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles, slots and databases on a server whose settings change what SQL text means."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.modules import ok
from tests.support.postgres import Server, scratch_server

#: Functions that answer wrongly wherever a search_path lets them hide those of pg_catalog.
SHADOWS = """
CREATE SCHEMA evil;
CREATE FUNCTION evil.current_database() RETURNS name LANGUAGE sql AS 'SELECT ''evil''::name';
CREATE FUNCTION evil.pg_get_userbyid(oid) RETURNS name LANGUAGE sql AS 'SELECT ''evil''::name';
CREATE FUNCTION evil.pg_is_in_recovery() RETURNS bool LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION evil.shobj_description(oid, name) RETURNS text LANGUAGE sql AS 'SELECT ''evil''';
CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS 'SELECT ''1''';
CREATE TABLE evil.pg_roles (rolname name); CREATE TABLE evil.pg_settings (name text, setting text);
"""

CASES: list[tuple[str, dict[str, Any]]] = [
    ("pg_replication_role", {"name": 'Ro"le \\ ä', "password": "it's \\ ä", "comment": "a\\'b ä",
                             "valid_until": "2031-02-03", "member_of": ["pg_monitor"]}),
    ("pg_replication_slot", {"slots": ["one", "two"], "reserve_wal": True}),
    ("pg_replication_slot", {"name": "three", "slot_type": "logical", "login_db": "odd"}),
    ("pg_database", {"name": 'Da"ta \\ ä', "comment": "a\\'b ä", "owner": "postgres", "encoding": "sql_ascii",
                     "script": "CREATE TABLE public.t AS SELECT current_database() AS d"}),
]


@pytest.fixture(scope="module", params=[15, 18], ids=lambda major: f"pg{major}")
def hostile(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server in SQL_ASCII with odd settings for every session."""
    with scratch_server(request.param, ("--encoding=SQL_ASCII", "--locale=C"), standard_conforming_strings="off",
                        backslash_quote="on", DateStyle="SQL, DMY", IntervalStyle="sql_standard", TimeZone="Asia/Kolkata",
                        quote_all_identifiers="on") as server:
        server.sql("CREATE DATABASE odd")
        for database in ("odd", "postgres"):
            server.sql(SHADOWS, dbname=database)
            server.sql(f"ALTER DATABASE {database} SET search_path TO evil, pg_catalog")
            server.sql(f"ALTER DATABASE {database} SET default_transaction_read_only TO on", dbname="template1")
        yield server


@pytest.mark.parametrize(("module", "options"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_odd_settings_change_nothing(hostile: Server, module: str, options: dict[str, Any]) -> None:
    asked = {**hostile.login, **options}
    checked = ok(module, check=True, **asked)
    done = ok(module, **asked)
    assert (done["changed"], done["diff"]) == (True, checked["diff"])
    again = ok(module, **asked)
    assert again["changed"] is False
    assert {**done["diff"]["after"], **again["diff"]["before"]} == done["diff"]["after"]
    assert ok(module, **{**asked, "state": "absent"})["changed"] is True
    assert ok(module, **{**asked, "state": "absent"})["changed"] is False


def test_the_reader_is_not_misled(hostile: Server) -> None:
    writable = "-c default_transaction_read_only=off"
    hostile.sql("CREATE PUBLICATION everything FOR ALL TABLES", "odd", options=writable)
    try:
        found = ok("pg_replication_info", **hostile.login, login_db="odd")
        assert (found["role"], found["database"], found["settings"]["port"]) == ("primary", "odd", str(hostile.port))
        assert found["publications"][0]["owner"] == "postgres"
        assert "evil.pg_roles" in found["publications"][0]["tables"]
        assert found["not_visible"] == []
    finally:
        hostile.sql("DROP PUBLICATION everything", "odd", options=writable)


@pytest.fixture
def lonely() -> Iterator[Server]:
    """A server on which a commit waits for a standby that is not there."""
    with scratch_server(18, synchronous_standby_names="absent") as server:
        yield server


@pytest.mark.parametrize(("module", "options"), [case for case in CASES if "login_db" not in case[1]],
                         ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_made_does_not_wait_for_a_synchronous_standby(lonely: Server, module: str, options: dict[str, Any]) -> None:
    with ThreadPoolExecutor() as pool:
        try:
            assert pool.submit(ok, module, **lonely.login, **options).result(timeout=30)["changed"] is True
        finally:
            lonely.stop("immediate")  # so that nothing goes on waiting
