# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_replication_info`` on real servers: what is there is told, in few statements, without secrets."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import lsn
from tests.integration.conftest import VERSIONS
from tests.support import instances
from tests.support.instances import PASSWORD, configuration, instance, place, programs
from tests.support.modules import ok, refused, run_module
from tests.support.postgres import Server, bindir, free_port
from tests.support.replication import await_replayed, await_true
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


def read(server: Server) -> dict[str, Any]:
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
    await_replayed(standby)
    watch = Watch(standby)
    found = read(standby)
    assert len(watch.statements()) <= 4
    assert (found["role"], found["timeline"], found["replay_paused"]) == ("standby", 1, False)
    upstream = found["upstream"]
    assert (upstream["status"], upstream["host"], upstream["port"]) == ("streaming", "127.0.0.1", primary.port)
    there = found["instance"]
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
    assert (found["running"], there["kind"], there["standby_signal"], there["pid"]) == (False, "instance", True, None)
    assert there["control_state"] == "shut down in recovery"
    assert there["floors"]["max_connections"] == 20
    assert "role" not in found
    standby.start()


def test_the_end_of_the_wal_of_a_primary_that_was_killed_is_told(pair: Pair) -> None:
    primary = pair.primary
    assert read(primary)["instance"]["wal_end"] is None
    primary.sql("INSERT INTO t SELECT generate_series(1000, 2000)")
    end = primary.sql("SELECT pg_current_wal_lsn()")[0][0]
    primary.stop("immediate")
    try:
        found = read(primary)["instance"]
        assert (found["control_state"], found["wal_end"]) == ("in production", end)
        before = sorted((path.name, path.stat().st_mtime_ns) for path in primary.data.rglob("*"))
        assert read(primary)["instance"] == found
        assert sorted((path.name, path.stat().st_mtime_ns) for path in primary.data.rglob("*")) == before
    finally:
        primary.start()
    primary.stop()
    try:
        found = read(primary)["instance"]
        assert found["control_state"] == "shut down"
        assert lsn.parse(found["wal_end"]) > lsn.parse(found["checkpoint_lsn"]) > lsn.parse(end)
    finally:
        primary.start()


def test_what_waits_for_the_archive_and_what_a_standby_received_are_told(pair: Pair) -> None:
    found = read(pair.primary)
    assert (found["archiver"]["ready"], found["base_backups"], found["received_lsn"]) == (0, 0, None)
    status = pair.primary.data / "pg_wal" / "archive_status"
    names = ["%024X.ready" % number for number in range(3)] + ["00000002.history.ready", "%024X.done" % 9]
    for name in names:
        (status / name).touch()
    try:
        assert read(pair.primary)["archiver"]["ready"] == 3
        pair.primary.sql("CREATE ROLE nobody LOGIN")
        found = ok(MODULE, **{**pair.primary.login, "login_user": "nobody"})
        assert found["archiver"]["ready"] is None
        assert [text for text in found["not_visible"] if "wait for the archive; grant it pg_monitor" in text]
    finally:
        pair.primary.sql("DROP ROLE IF EXISTS nobody")
        for name in names:
            (status / name).unlink()
    position = pair.primary.sql("SELECT pg_current_wal_lsn()")[0][0]
    await_true(lambda: pair.standby.sql(f"SELECT pg_last_wal_receive_lsn() >= '{position}'") == [(True,)])
    received = read(pair.standby)["received_lsn"]
    assert lsn.parse(str(received)) >= lsn.parse(position)


def test_a_base_backup_that_is_taken_is_counted(pair: Pair) -> None:
    # At 32 kB a second it lasts as long as it is let.
    argv = [f"{bindir(pair.primary.major)}/pg_basebackup", "-h", "127.0.0.1", "-p", str(pair.primary.port), "-U", "replicator",
            "-D", "-", "-F", "tar", "-X", "none", "--checkpoint=fast", "--max-rate=32"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, env={**os.environ, "PGPASSWORD": PASSWORD}) as backup:
        try:
            await_true(lambda: read(pair.primary)["base_backups"] == 1)
        finally:
            backup.kill()
    await_true(lambda: read(pair.primary)["base_backups"] == 0)


def test_what_others_may_not_write_by_default_is_not_hidden_by_what_our_sessions_may(pair: Pair) -> None:
    seen = read(pair.primary)["settings"]
    assert (seen["default_transaction_read_only"], seen["transaction_read_only"]) == ("off", "off")
    pair.primary.sql("ALTER SYSTEM SET default_transaction_read_only = on")
    pair.primary.sql("SELECT pg_reload_conf()")
    try:
        await_true(lambda: read(pair.primary)["settings"]["default_transaction_read_only"] == "on")
    finally:
        ours = "-c default_transaction_read_only=off"
        pair.primary.sql("ALTER SYSTEM RESET default_transaction_read_only", options=ours)
        pair.primary.sql("SELECT pg_reload_conf()", options=ours)


def test_peers_are_asked_from_here(pair: Pair) -> None:
    primary, standby = pair
    nothing = free_port()
    login = {"host": "127.0.0.1", "user": "replicator", "password": PASSWORD}
    peers = [{**login, "port": str(primary.port)}, {**login, "port": str(standby.port), "dbname": "postgres"},
             {**login, "port": str(primary.port), "password": "wr0ng"}, {**login, "port": str(primary.port), "user": "nobody"},
             {**login, "port": str(nothing)}, {"host": str(primary.home), "port": str(primary.port), "user": "nobody"}]
    result = run_module(MODULE, check=True, **programs(primary), data_directory=str(primary.data), peers=peers)
    found = result["peers"]
    assert [one["address"].rpartition(":")[2] for one in found] == [peer["port"] for peer in peers]
    assert [one["answers"] for one in found] == [True] * 4 + [False, True]
    identifier = result["system_identifier"]
    assert [one["system_identifier"] for one in found] == [identifier] * 2 + [""] * 4
    assert [bool(one["problem"]) for one in found] == [False] * 2 + [True] * 4
    assert "Could not connect" in found[4]["problem"]
    assert PASSWORD not in json.dumps(result)
    assert "wr0ng" not in json.dumps(result)


def test_a_peer_that_listens_and_is_no_server_or_says_nothing_does_not_answer(pair: Pair) -> None:
    with socket.socket() as mute, socket.socket() as other:
        for one in (mute, other):
            one.bind(("127.0.0.1", 0))
            one.listen()
        threading.Thread(target=chat, args=(other,), daemon=True).start()
        peers = [{"host": "127.0.0.1", "port": str(one.getsockname()[1]), "connect_timeout": "2"} for one in (mute, other)]
        found = ok(MODULE, **pair.primary.login, peers=peers)["peers"]
    assert [one["answers"] for one in found] == [False, False]
    assert all(one["problem"] for one in found)


def chat(listening: socket.socket) -> None:
    """Say to everyone who comes what no PostgreSQL server says."""
    with contextlib.suppress(OSError):
        while True:
            connection, _address = listening.accept()
            with connection:
                connection.sendall(b"220 mail.example.com ESMTP\r\n")


newest_only = pytest.mark.parametrize("major", [18], ids=["pg18"])


@newest_only
def test_a_place_without_an_instance_is_told_with_what_stands_in_the_way(major: int) -> None:
    with place(major) as server:
        found = read(server)
        assert (found["running"], found["problems"]) == (False, [])
        assert found["instance"]["kind"] == "missing"
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
