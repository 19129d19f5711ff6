# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_promote`` on real servers: in whatever state a standby is, it becomes a primary with all that it received."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import VERSIONS
from tests.support import instances
from tests.support.faults import module_process
from tests.support.instances import PASSWORD, REPLICATOR, programs, tree
from tests.support.modules import ok, refused, run_module
from tests.support.postgres import Server, bindir
from tests.support.replication import await_true
from tests.support.statements import Watch

MODULE = "pg_promote"


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda major: f"pg{major}")
def primary(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A primary of each version, which goes on while its standbys leave it."""
    if bindir(request.param) is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed on this machine")
    with instances.primary(request.param) as server:
        server.sql("CREATE TABLE t (id int)")
        yield server


@pytest.fixture
def standby(primary: Server) -> Iterator[Server]:
    """A standby of its own for each test."""
    with instances.standby(primary) as server:
        yield server


newest_only = pytest.mark.parametrize("primary", [18], indirect=True, ids=["pg18"])


def here(server: Server, **options: Any) -> dict[str, Any]:
    """The options that promote by the data directory."""
    return {**programs(server), "data_directory": str(server.data), "log_file": str(server.home / "log"), **options}


def fill(primary: Server, standby: Server) -> list[tuple[Any, ...]]:
    """Write a row, wait until the standby has received it, and return all rows."""
    primary.sql("INSERT INTO t SELECT count(*) FROM t")
    await_received(primary, standby)
    return primary.sql("SELECT * FROM t ORDER BY id")


def await_received(primary: Server, standby: Server) -> None:
    [(position,)] = primary.sql("SELECT pg_current_wal_flush_lsn()")
    await_true(lambda: standby.sql(f"SELECT pg_last_wal_receive_lsn() >= '{position}'") == [(True,)])


def is_primary_with(server: Server, rows: list[tuple[Any, ...]]) -> None:
    """Assert that a server takes writes and has these rows."""
    assert server.sql("SELECT * FROM t ORDER BY id") == rows
    server.sql("INSERT INTO t VALUES (-1)")


def reset(server: Server, **settings: str) -> None:
    """Give a running server settings, and wait until it has read them."""
    for name, value in settings.items():
        server.sql(f"ALTER SYSTEM SET {name} = '{value}'")
    before = server.sql("SELECT pg_conf_load_time()")
    server.sql("SELECT pg_reload_conf()")
    await_true(lambda: server.sql("SELECT pg_conf_load_time()") != before)


def begin(server: Server) -> None:
    """Start a server, and wait only until it listens."""
    server.run("pg_ctl", "-D", str(server.data), "-l", str(server.home / "log"), "-W", "start")
    await_true((server.home / f".s.PGSQL.{server.port}").exists)


@pytest.mark.parametrize("by_directory", [False, True], ids=["login", "directory"])
def test_a_standby_becomes_a_primary_on_a_timeline_of_its_own(primary: Server, standby: Server, by_directory: bool) -> None:
    options = here(standby) if by_directory else standby.login
    rows, before, watch = fill(primary, standby), tree(standby.data), Watch(standby)
    predicted = run_module(MODULE, check=True, **options)
    assert (tree(standby.data), watch.writing()) == (before, [])
    assert standby.sql("SELECT pg_is_in_recovery()") == [(True,)]
    done = ok(MODULE, **options)
    assert predicted["changed"] is done["changed"] is True
    assert predicted["diff"] == done["diff"] == {"before": {"role": "standby"}, "after": {"role": "primary"}}
    assert predicted["statements"] == done["statements"] == ["SELECT pg_catalog.pg_promote(false)"]
    assert (predicted["timeline_before"], done["timeline_before"], done["timeline"]) == (1, 1, 2)
    history = (standby.data / "pg_wal" / "00000002.history").read_text().split()
    assert done["lsn"] == history[1]
    is_primary_with(standby, rows)
    watch = Watch(standby)
    again = ok(MODULE, **options)
    assert (again["changed"], again["statements"], watch.writing()) == (False, [], [])
    assert (again["timeline_before"], again["timeline"]) == (2, 2)
    assert again["diff"]["before"] == again["diff"]["after"] == {"role": "primary"}


def test_one_that_is_paused_replays_what_it_has_received(primary: Server, standby: Server) -> None:
    standby.sql("SELECT pg_wal_replay_pause()")
    rows = fill(primary, standby)
    assert len(standby.sql("SELECT * FROM t")) < len(rows)
    assert ok(MODULE, **standby.login)["timeline"] == 2
    is_primary_with(standby, rows)


def test_one_that_is_delayed_replays_what_it_has_received_at_once(primary: Server, standby: Server) -> None:
    reset(standby, recovery_min_apply_delay="1h")
    rows = fill(primary, standby)
    assert len(standby.sql("SELECT * FROM t")) < len(rows)
    ok(MODULE, **here(standby))
    is_primary_with(standby, rows)


def test_one_that_follows_nothing(primary: Server, standby: Server) -> None:
    rows = fill(primary, standby)
    reset(standby, primary_conninfo="")
    await_true(lambda: standby.sql("SELECT FROM pg_stat_wal_receiver") == [])
    ok(MODULE, **standby.login)
    is_primary_with(standby, rows)


@pytest.mark.parametrize("by_directory", [False, True], ids=["login", "directory"])
def test_one_that_is_still_starting_is_awaited(primary: Server, standby: Server, by_directory: bool) -> None:
    rows = fill(primary, standby)
    reset(standby, restore_command="sleep 1; false")
    standby.stop()
    begin(standby)
    ok(MODULE, **(here(standby) if by_directory else standby.login))
    is_primary_with(standby, rows)


def test_one_without_hot_standby_is_promoted_by_its_directory_alone(primary: Server, standby: Server) -> None:
    rows = fill(primary, standby)
    reset(standby, hot_standby="off")
    standby.stop()
    begin(standby)
    said = refused(MODULE, **standby.login, timeout=1)
    assert "lets nobody in after 1 s; where it has hot_standby off, give its data_directory" in said
    predicted = run_module(MODULE, check=True, **here(standby))
    done = ok(MODULE, **here(standby))
    assert predicted["commands"] == done["commands"] == [f"pg_ctl promote --pgdata={standby.data} --no-wait"]
    assert predicted["diff"] == done["diff"]
    assert (predicted["timeline_before"], done["timeline_before"], done["timeline"]) == (1, 1, 2)
    is_primary_with(standby, rows)
    assert ok(MODULE, **here(standby))["changed"] is False


def test_the_replication_role_promotes_when_it_may(primary: Server, standby: Server) -> None:
    over_tcp = {"login_host": "127.0.0.1", "login_port": standby.port, "login_user": REPLICATOR, "login_password": PASSWORD}
    assert "may not execute pg_promote; let it with the option may" in refused(MODULE, **over_tcp)
    ok("pg_replication_role", name=REPLICATOR, may=["promote"], **primary.login)
    await_received(primary, standby)
    try:
        done = ok(MODULE, **over_tcp)
        assert (done["timeline"], PASSWORD in json.dumps(done, ensure_ascii=False)) == (2, False)
    finally:
        ok("pg_replication_role", name=REPLICATOR, may=[], **primary.login)


@newest_only
def test_a_run_that_shall_not_wait_does_not(primary: Server, standby: Server) -> None:
    reset(standby, recovery_min_apply_delay="1h")
    rows = fill(primary, standby)
    done = ok(MODULE, wait=False, **standby.login)
    assert (done["changed"], "timeline" in done) == (True, False)
    await_true(lambda: standby.sql("SELECT pg_is_in_recovery()") == [(False,)])
    is_primary_with(standby, rows)


@newest_only
@pytest.mark.parametrize("hot_standby", ["on", "off"])
def test_one_that_takes_longer_goes_on(primary: Server, standby: Server, hot_standby: str) -> None:
    rows = fill(primary, standby)
    reset(standby, restore_command="sleep 2; false", hot_standby=hot_standby)
    standby.stop()
    begin(standby)
    await_true(lambda: (standby.data / "postmaster.pid").read_text().split()[-1] in ("ready", "standby"))
    said = refused(MODULE, **here(standby, timeout=1))
    assert "is still in recovery after 1 s" in said
    assert "it goes on, look at" in said
    assert ok(MODULE, **here(standby))["timeline"] == 2
    is_primary_with(standby, rows)


def test_a_checkpoint_makes_the_control_file_name_the_new_timeline(primary: Server, standby: Server) -> None:
    named = "SELECT timeline_id FROM pg_control_checkpoint()"
    done = ok(MODULE, checkpoint=True, **standby.login)
    assert standby.sql(named) == [(done["timeline"],)] == [(2,)]
    before = standby.sql("SELECT checkpoint_lsn FROM pg_control_checkpoint()")
    assert ok(MODULE, checkpoint=True, **here(standby))["changed"] is False
    assert standby.sql("SELECT checkpoint_lsn FROM pg_control_checkpoint()") == before


@newest_only
def test_two_runs_at_once_promote_it_once(primary: Server, standby: Server) -> None:
    with module_process(MODULE, **standby.login) as one, module_process(MODULE, **standby.login) as other:
        results = [json.loads(process.communicate()[0]) for process in (one, other)]
    assert sorted(result["changed"] for result in results) == [False, True], results
    assert [result["timeline"] for result in results] == [2, 2]


@newest_only
def test_no_server_is_an_error_unless_it_is_planned(primary: Server, standby: Server) -> None:
    standby.stop()
    began = time.monotonic()
    assert "none runs there; start it first" in refused(MODULE, **here(standby))
    assert "Could not connect" in refused(MODULE, **standby.login)
    assert time.monotonic() - began < 2  # it waits only for a server that is starting
    for options in (here(standby), standby.login):
        planned = ok(MODULE, check=True, login_planned=True, **options)
        assert planned["statements"] == ["SELECT pg_catalog.pg_promote(false)"]
    assert "none runs there" in refused(MODULE, login_planned=True, **here(standby))


def test_one_that_lacks_connections_of_its_primary_is_told_so(primary: Server, standby: Server) -> None:
    reset(primary, max_connections="30")
    primary.restart()
    await_true(lambda: standby.sql("SELECT pg_is_wal_replay_paused()") == [(True,)])
    said = refused(MODULE, **here(standby))
    assert "has paused, since its max_connections is lower than the primary's was; restart it with more" in said
    # Asked over a connection, nobody sees why it has paused.
    assert "ended when it was promoted, as one does that has a lower max_connections or" in refused(MODULE, **standby.login)
    with (standby.data / "postgresql.auto.conf").open("a") as settings:
        settings.write("max_connections = 30\n")
    standby.start()
    assert ok(MODULE, **here(standby))["timeline"] == 2
