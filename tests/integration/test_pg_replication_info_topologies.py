# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_replication_info`` where much replicates: a cascade, a subscription that runs, 200 slots, a role that only watches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import info_query
from tests.integration.conftest import VERSIONS
from tests.support import instances
from tests.support.instances import instance
from tests.support.modules import ok
from tests.support.postgres import Server, bindir
from tests.support.replication import PASSWORD, Pair, await_replayed, await_true, databases, filled
from tests.support.statements import Watch

MODULE = "pg_replication_info"
WATCHER = "w4tch'er \\ =pw"
SETTINGS = {"wal_level": "logical", "max_replication_slots": "250", "log_connections": "on"}
ODD = '"Odd ""S"."T.1 x"'


class Chain(NamedTuple):
    """A primary with a subscription from one of its databases to another, a standby of it, and a standby of that."""

    primary: Server
    standby: Server
    last: Server
    pair: Pair


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda major: f"pg{major}")
def chain(request: pytest.FixtureRequest) -> Iterator[Chain]:
    if bindir(request.param) is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed on this machine")
    with instances.primary(request.param) as primary:
        ok("pg_instance", **instance(primary, SETTINGS))
        quoted = WATCHER.replace("'", "''")
        primary.sql(f"CREATE ROLE watcher LOGIN PASSWORD '{quoted}'; GRANT pg_monitor TO watcher",
                    options="-c log_statement=none")
        with instances.standby(primary) as standby, instances.standby(standby) as last, databases(primary) as pair, filled(pair):
            for ask in (pair.at_publisher, pair.at_subscriber):
                ask(f'CREATE SCHEMA "Odd ""S"; CREATE TABLE {ODD} (id int PRIMARY KEY)')
            pair.at_publisher(f"CREATE PUBLICATION odd FOR TABLE {ODD}, a WITH (publish = 'insert, delete');"
                              f'GRANT USAGE ON SCHEMA "Odd ""S" TO PUBLIC; GRANT SELECT ON {ODD} TO PUBLIC')
            pair.ok(publications=["odd"], wait_for_sync=True, timeout=30)
            await_true(lambda: streaming(standby) and streaming(last))
            yield Chain(primary, standby, last, pair)


def streaming(server: Server) -> bool:
    return server.sql("SELECT status FROM pg_stat_wal_receiver") == [("streaming",)]


def read(server: Server, database: str = "postgres") -> dict[str, Any]:
    return ok(MODULE, **server.login, login_db=database)


def watched(server: Server, **options: Any) -> dict[str, Any]:
    """Read as a role with pg_monitor, over TCP with a password."""
    return ok(MODULE, login_host="127.0.0.1", login_port=server.port, login_user="watcher", login_password=WATCHER, **options)


def in_step(chain: Chain) -> None:
    """Wait until both standbys have replayed everything."""
    position = chain.primary.sql("SELECT pg_current_wal_lsn()")[0][0]
    replayed = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
    await_true(lambda: chain.standby.sql(replayed) == chain.last.sql(replayed) == [(True,)])


def test_a_subscription_and_a_publication_are_told_with_their_tables(chain: Chain) -> None:
    pair = chain.pair
    odd = {one["name"]: one for one in read(chain.primary, pair.publisher)["publications"]}["odd"]
    assert (odd["tables"], odd["publish"], odd["owner"]) == ([ODD, "public.a"], ["insert", "delete"], "postgres")
    assert odd["schemas"] == []
    assert odd["publish_generated_columns"] == ("none" if chain.primary.major >= 18 else None)
    pair.at_publisher("INSERT INTO a VALUES (1000, 'x')")
    pair.await_rows("a", 101)
    found = read(chain.primary, pair.subscriber)
    one, = found["subscriptions"]
    assert (one["name"], one["database"], one["enabled"], one["running"]) == (pair.sub, pair.subscriber, True, True)
    assert one["tables"] == {ODD: "r", "public.a": "r"}
    assert (one["apply_errors"], one["sync_errors"], one["two_phase"]) == (0, 0, "disabled")
    assert one["failover"] == (False if chain.primary.major >= 17 else None)
    assert 0 <= one["lag_seconds"] < 60
    assert 0 <= one["silent_seconds"] < 60
    applied = one["applied_lsn"]
    assert chain.primary.sql(f"SELECT '{applied}'::pg_lsn <= '{found['lsn']}' AND '{applied}'::pg_lsn > '0/0'") == [(True,)]
    senders = {sender["application_name"]: sender for sender in found["standbys"]}
    assert (senders["standby"]["slot_name"], senders["standby"]["slot_type"]) == (None, None)
    sender = senders[pair.sub]
    assert (sender["slot_name"], sender["slot_type"], sender["state"]) == (one["slot_name"], "logical", "streaming")
    assert found["not_visible"] == []
    elsewhere = read(chain.primary)
    assert elsewhere["subscriptions"][0]["tables"] is None
    assert [f"{pair.sub} (database {pair.subscriber})" in told for told in elsewhere["not_visible"]] == [True]


def test_a_cascade_is_told_at_each_of_its_members(chain: Chain) -> None:
    in_step(chain)
    for server, upstream in ((chain.standby, chain.primary), (chain.last, chain.standby)):
        await_replayed(server)
        found = read(server)
        assert (found["role"], found["upstream"]["port"], found["upstream"]["status"]) == ("standby", upstream.port, "streaming")
        assert 0 <= found["upstream"]["silent_seconds"] < 60
    sender, = read(chain.standby)["standbys"]
    assert (sender["application_name"], sender["state"], sender["sync_state"]) == ("standby", "streaming", "async")
    assert read(chain.last)["standbys"] == []


def test_what_a_paused_standby_has_not_replayed_is_told_in_bytes_and_seconds(chain: Chain) -> None:
    chain.standby.sql("SELECT pg_wal_replay_pause()")
    await_true(lambda: chain.standby.sql("SELECT pg_is_wal_replay_paused()") == [(True,)])
    try:
        chain.primary.sql("CREATE TABLE filler AS SELECT generate_series(1, 20000) i; DROP TABLE filler")
        end = chain.primary.sql("SELECT pg_current_wal_lsn()")[0][0]
        await_true(lambda: chain.standby.sql(f"SELECT pg_last_wal_receive_lsn() >= '{end}'") == [(True,)])
        here = read(chain.standby)
        assert (here["replay_paused"], here["replay_lag_bytes"] > 1000000, here["replay_lag_seconds"] > 0) == (True, True, True)
        await_true(lambda: sender_of(chain)["lag_bytes"] > 1000000 and sender_of(chain)["lag_seconds"] > 0)
    finally:
        chain.standby.sql("SELECT pg_wal_replay_resume()")
    in_step(chain)
    await_true(lambda: sender_of(chain)["lag_bytes"] == 0)


def sender_of(chain: Chain) -> dict[str, Any]:
    """What the primary says of its standby."""
    senders: dict[str, dict[str, Any]] = {one["application_name"]: one for one in read(chain.primary)["standbys"]}
    return senders["standby"]


def test_a_synchronous_standby_is_told(chain: Chain) -> None:
    chain.primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (standby)'")
    try:
        chain.primary.sql("SELECT pg_reload_conf()")
        await_true(lambda: sender_of(chain)["sync_state"] == "sync")
        found = read(chain.primary)
        assert found["settings"]["synchronous_standby_names"] == "FIRST 1 (standby)"
        assert {one["application_name"]: one["sync_priority"] for one in found["standbys"]}["standby"] == 1
    finally:
        chain.primary.sql("ALTER SYSTEM RESET synchronous_standby_names")
        chain.primary.sql("SELECT pg_reload_conf()")
    await_true(lambda: sender_of(chain)["sync_state"] == "async")


def test_a_standby_whose_upstream_is_gone_is_told(chain: Chain) -> None:
    chain.standby.stop()
    try:
        await_true(lambda: not streaming(chain.last))
        await_replayed(chain.last)
        found = read(chain.last)
        assert (found["role"], found["answers"], found["standbys"]) == ("standby", True, [])
        assert (found["upstream"] or {}).get("status") != "streaming"
        assert found["timeline"] == 1
        assert read(chain.primary)["standbys"] != []
    finally:
        chain.standby.start()
    await_true(lambda: streaming(chain.last))


def test_200_slots_cost_no_further_statement(chain: Chain) -> None:
    chain.primary.sql("SELECT pg_create_physical_replication_slot('many_' || i, i = 1) FROM generate_series(1, 200) i")
    try:
        before = chain.primary.log.count("connection authorized: user=postgres database=postgres application_name=pgmahout")
        watch = Watch(chain.primary)
        found = read(chain.primary)
        assert len(watch.statements()) <= 4
        assert watch.writing() == []
        after = chain.primary.log.count("connection authorized: user=postgres database=postgres application_name=pgmahout")
        assert after - before == 1
        slots = {one["name"]: one for one in found["slots"]}
        assert len([name for name in slots if name.startswith("many_")]) == 200
        assert (slots["many_1"]["retained_bytes"] >= 0, slots["many_1"]["wal_status"]) == (True, "reserved")
        assert (slots["many_2"]["retained_bytes"], slots["many_2"]["restart_lsn"]) == (None, None)
        assert slots["many_2"]["two_phase"] is False
        assert slots["many_2"]["synced"] == (False if chain.primary.major >= 17 else None)
    finally:
        chain.primary.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE 'many%'")


def test_a_role_that_may_only_watch_sees_the_same_but_for_what_it_is_told(chain: Chain) -> None:
    in_step(chain)
    database = chain.pair.subscriber
    watch = Watch(chain.primary)
    found, ours = watched(chain.primary, login_db=database), read(chain.primary, database)
    assert len(watch.statements()) <= 8
    for key in ("role", "system_identifier", "timeline", "publications", "settings", "pending_restart", "archiver"):
        assert found[key] == ours[key], key
    assert [one["name"] for one in found["slots"]] == [one["name"] for one in ours["slots"]]
    assert {one["application_name"]: one["state"] for one in found["standbys"]} == {
        "standby": "streaming", chain.pair.sub: "streaming"}
    one, = found["subscriptions"]
    assert (one["running"], one["applied_lsn"], one["tables"]) == (True, None, {ODD: "r", "public.a": "r"})
    assert ["applied_lsn" in told and "'watcher'" in told for told in found["not_visible"]] == [True]
    standby = watched(chain.standby)
    assert standby["upstream"]["port"] == chain.primary.port
    assert [sender["state"] for sender in standby["standbys"]] == ["streaming"]


def test_what_a_role_without_pg_monitor_does_not_see_is_told(chain: Chain) -> None:
    chain.primary.sql("CREATE ROLE plain LOGIN")
    try:
        found = ok(MODULE, **{**chain.primary.login, "login_user": "plain"})
        assert (found["role"], [one["lag_bytes"] for one in found["standbys"]]) == ("primary", [None, None])
        assert [one["lag_seconds"] for one in found["standbys"]] == [None, None]
        assert len([told for told in found["not_visible"] if "grant it pg_monitor" in told]) == 3
    finally:
        chain.primary.sql("DROP ROLE plain")


def test_no_password_is_read_by_anybody(chain: Chain) -> None:
    results = [read(server) for server in (chain.primary, chain.standby, chain.last)]
    results += [read(chain.primary, chain.pair.subscriber), watched(chain.primary)]
    for server in (chain.primary, chain.standby, chain.last):
        for secret in (PASSWORD, instances.PASSWORD, WATCHER):
            assert all(part not in server.log for part in (secret, json.dumps(secret)[1:-1]))
    for result in results:
        told = json.dumps(result, ensure_ascii=False)
        for secret in (PASSWORD, instances.PASSWORD, WATCHER):
            assert json.dumps(secret, ensure_ascii=False)[1:-1] not in told
        assert "s3cr" not in told
        assert "w4tch'er" not in told


@pytest.mark.parametrize("major", VERSIONS, ids=lambda major: f"pg{major}")
def test_a_lost_slot_is_told_with_the_reason_where_the_server_knows_it(major: int) -> None:
    if bindir(major) is None:
        pytest.skip(f"PostgreSQL {major} is not installed on this machine")
    with instances.primary(major) as server:
        ok("pg_instance", **instance(server, {"max_slot_wal_keep_size": "1MB"}))
        server.sql("SELECT pg_create_physical_replication_slot('lost', true)")
        for _ in range(4):
            server.sql("CREATE TABLE filler (i int); DROP TABLE filler")
            server.sql("SELECT pg_switch_wal()")
        server.sql("CHECKPOINT")
        lost, = read(server)["slots"]
        assert (lost["wal_status"], lost["active"], lost["retained_bytes"]) == ("lost", False, None)
        assert lost["invalidation_reason"] == ("wal_removed" if major >= 17 else None)
        assert (lost["inactive_since"] is not None) == (major >= 17)


@pytest.mark.parametrize("rights", [True, False], ids=["all rights", "no rights"])
@pytest.mark.parametrize("version", range(13, 19))
def test_what_an_older_server_would_be_asked_is_sound(version: int, rights: bool, newest: Server) -> None:
    """A newer server has all that an older one has, and so stands in for those that are not at hand."""
    num = version * 10000
    facts = dict(newest.sql(info_query.server(num))[0][0])
    facts.update(newest.sql(info_query.streams(num, dict.fromkeys(facts["rights"], rights)))[0][0])
    facts.update(newest.sql(info_query.logical(num, dict.fromkeys(facts["rights"], rights)))[0][0])
    assert {"role", "standbys", "slots", "base_backups", "archiver", "publications", "subscriptions"} < set(facts)
    assert facts["rights"] == dict.fromkeys(("stats", "settings", "archive", "subscriptions", "origins"), True)
