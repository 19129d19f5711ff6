# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_replication_info`` on real servers: what is there is told, in few statements, without secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.integration.conftest import VERSIONS
from tests.support import instances
from tests.support.instances import PASSWORD, configuration, instance, place, programs
from tests.support.modules import ok, refused
from tests.support.postgres import Server, bindir, free_port
from tests.support.replication import await_true
from tests.support.statements import Watch

MODULE = "pg_replication_info"


class Pair(NamedTuple):
    primary: Server
    standby: Server


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda major: f"pg{major}")
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A primary with a publication, a subscription, slots and a standby, of each version."""
    if bindir(request.param) is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed on this machine")
    with instances.primary(request.param) as primary:
        ok("pg_instance", **instance(primary, {"wal_level": "logical"}))
        primary.sql("CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE u (a int PRIMARY KEY)")
        primary.sql("CREATE PUBLICATION pub FOR TABLE t, u")
        primary.sql("SELECT pg_create_logical_replication_slot('idle', 'pgoutput')")
        quoted = PASSWORD.replace("\\", "\\\\").replace("'", "\\'").replace("'", "''")
        primary.sql(f"CREATE SUBSCRIPTION sub CONNECTION 'host=127.0.0.1 password=''{quoted}''' PUBLICATION pub"
                    " WITH (connect = false, slot_name = 'nowhere')", options="-c log_statement=none")
        with instances.standby(primary) as standby:
            yield Pair(primary, standby)


def read(server: Server) -> dict[str, object]:
    return ok(MODULE, **programs(server), data_directory=str(server.data))


def test_a_primary_tells_all_that_replicates_from_it(pair: Pair) -> None:
    watch = Watch(pair.primary)
    found = ok(MODULE, **pair.primary.login)
    assert len(watch.statements()) <= 4
    assert watch.writing() == []
    assert (found["changed"], found["running"], found["answers"], found["role"], found["timeline"]) == (False, True, True,
                                                                                                        "primary", 1)
    assert found["system_identifier"] == pair.primary.sql("SELECT system_identifier::text FROM pg_control_system()")[0][0]
    assert (found["upstream"], found["replay_lsn"], found["replay_paused"], found["instance"]) == (None, None, None, None)
    assert [(one["application_name"], one["state"], one["sync_state"]) for one in found["standbys"]] == [("standby",
                                                                                                          "streaming", "async")]
    slot, = found["slots"]
    assert (slot["name"], slot["slot_type"], slot["active"], slot["database"], slot["wal_status"]) == (
        "idle", "logical", False, "postgres", "reserved")
    assert slot["retained_bytes"] > 0
    publication, = found["publications"]
    assert (publication["name"], publication["all_tables"], publication["tables"]) == ("pub", False, ["public.t", "public.u"])
    subscription, = found["subscriptions"]
    assert (subscription["name"], subscription["enabled"], subscription["publications"]) == ("sub", False, ["pub"])
    assert (found["settings"]["wal_level"], found["settings"]["max_connections"]) == ("logical", "20")
    assert "failed_count" in found["archiver"]


def test_a_standby_tells_whom_it_follows(pair: Pair) -> None:
    primary, standby = pair
    position = primary.sql("SELECT pg_current_wal_lsn()")[0][0]
    await_true(lambda: standby.sql(f"SELECT pg_last_wal_replay_lsn() >= '{position}'") == [(True,)])
    watch = Watch(standby)
    found = read(standby)
    assert len(watch.statements()) <= 4
    assert (found["role"], found["timeline"], found["replay_paused"], found["replay_lag_seconds"]) == ("standby", 1, False, 0)
    upstream = found["upstream"]
    assert isinstance(upstream, dict)
    assert (upstream["status"], upstream["host"], upstream["port"]) == ("streaming", "127.0.0.1", primary.port)
    there = found["instance"]
    assert isinstance(there, dict)
    assert (there["kind"], there["standby_signal"], there["port"], there["timeline"]) == ("instance", True, standby.port, 1)
    assert found["problems"] == []


def test_the_tables_of_a_subscription_are_told_in_its_database(pair: Pair) -> None:
    primary = pair.primary
    primary.sql("CREATE DATABASE other")
    try:
        primary.sql("CREATE TABLE public.t (a int)", "other")
        primary.sql("CREATE SUBSCRIPTION in_other CONNECTION 'host=/nowhere' PUBLICATION pub"
                    " WITH (connect = false, slot_name = NONE)",
                    "other")
        primary.sql("INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate) SELECT oid, 'public.t'::regclass, 'i'"
                    " FROM pg_subscription WHERE subname = 'in_other'", "other", options="-c allow_system_table_mods=on")
        for database, tables in (("postgres", None), ("other", {"public.t": "i"})):
            found = ok(MODULE, **programs(primary), data_directory=str(primary.data), login_db=database)
            assert {one["name"]: one["tables"] for one in found["subscriptions"]}["in_other"] == tables
    finally:
        primary.sql("DROP SUBSCRIPTION IF EXISTS in_other", "other")
        primary.sql("DROP DATABASE other")


def test_no_password_is_among_the_results(pair: Pair) -> None:
    for found in (ok(MODULE, **pair.primary.login), read(pair.primary), read(pair.standby)):
        assert "s3cr" not in json.dumps(found)
        assert "passfile" not in json.dumps({key: value for key, value in found.items() if key != "invocation"})
    for server in pair:
        assert "s3cr" not in server.log


def test_a_monitor_is_enough(pair: Pair) -> None:
    pair.primary.sql("CREATE ROLE watcher LOGIN")
    pair.primary.sql("GRANT pg_monitor TO watcher")
    try:
        found = ok(MODULE, **{**pair.primary.login, "login_user": "watcher"})
        ours = ok(MODULE, **pair.primary.login)
        for key in ("role", "system_identifier", "timeline", "publications", "subscriptions", "settings"):
            assert found[key] == ours[key], key
        assert [one["state"] for one in found["standbys"]] == ["streaming"]
    finally:
        pair.primary.sql("DROP ROLE watcher")


def test_a_setting_that_waits_for_a_restart_is_told(pair: Pair) -> None:
    ok("pg_instance", **instance(pair.primary, {"wal_level": "logical", "max_connections": "21"}, restart="never"))
    assert read(pair.primary)["pending_restart"] == [{"name": "max_connections"}]
    ok("pg_instance", **instance(pair.primary, {"wal_level": "logical"}))
    assert read(pair.primary)["pending_restart"] == []


def test_a_stopped_instance_is_read_from_its_directory(pair: Pair) -> None:
    standby = pair.standby
    standby.stop()
    found = read(standby)
    there = found["instance"]
    assert isinstance(there, dict)
    assert (found["running"], there["kind"], there["standby_signal"], there["pid"]) == (False, "instance", True, None)
    assert there["control_state"] == "shut down in recovery"
    assert there["floors"]["max_connections"] == 20
    assert "role" not in found
    standby.start()


newest_only = pytest.mark.parametrize("major", [18], ids=["pg18"])


@newest_only
def test_a_place_without_an_instance_is_told_with_what_stands_in_the_way(major: int) -> None:
    with place(major) as server:
        found = read(server)
        assert (found["running"], found["problems"]) == (False, [])
        assert found["instance"]["kind"] == "missing"  # type: ignore[index]
        server.data.mkdir()
        (server.data / "x").touch()
        options = {**programs(server), "data_directory": str(server.data), "version": 15, "socket_directory": "/" + "x" * 120,
                   "configuration": configuration(server, work_mem="lots")}
        problems = ok(MODULE, **options)["problems"]
        told = ("holds no PostgreSQL instance", "name of", "PostgreSQL 15 was asked for", 'value for parameter "work_mem"')
        assert [text in problem for text, problem in zip(told, problems)] == [True] * len(told) == [True] * len(problems)
        assert [entry.name for entry in server.home.iterdir()] == ["data"]


def test_a_server_that_does_not_answer_is_told() -> None:
    port = free_port()
    assert f"Could not connect to database 'postgres' at 127.0.0.1 port {port}" in refused(
        MODULE, login_host="127.0.0.1", login_port=port)
