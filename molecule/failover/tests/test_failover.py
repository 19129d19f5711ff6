# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A primary and two standbys of which a commit waits for one; clients write all the time, and one tries each member directly."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from testinfra.host import Host

from tests.support import machines
from tests.support.load import Load, turns
from tests.support.playbooks import ROOT, Run, wait_until

Sql = Callable[..., str]
Play = Callable[..., Run]
NOTHING = {"node1": 0, "node2": 0, "node3": 0}
STREAMING = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"


@pytest.fixture
def load(addresses: dict[str, str]) -> Load:
    """Return clients that find the primary, and one for each member that tries it whatever it is."""
    kept = json.loads((ROOT / ".ansible/lab/secrets.json").read_text())
    login = {"user": "writer", "dbname": "load", "password": kept["orders"]["writer"], "sslmode": "require"}
    return Load({name: (address, 5432) for name, address in addresses.items()}, login, everywhere=True)


@pytest.fixture(autouse=True)
def healed(members: dict[str, Host], sql: Sql) -> None:
    """Let a test begin only when both standbys stream."""
    wait_until(lambda: sql(members[primary(members, sql)], STREAMING) == "2")


def primary(members: dict[str, Host], sql: Sql) -> str:
    """Return the one member that takes writes."""
    found = [name for name, host in members.items() if sql(host, "SELECT pg_is_in_recovery()") == "f"]
    assert len(found) == 1, found
    return found[0]


def finds_nothing_to_do(play: Play) -> None:
    """Deploy, to which the cluster is as it should be."""
    again = play("deploy").ok()
    assert again.changed == NOTHING, again.changes


@contextmanager
def power_on_after(host: str, seconds: float) -> Iterator[None]:
    """Start a host that has no power after a time; at the end of the block it has booted."""
    failed: list[BaseException] = []

    def wait_and_start() -> None:
        time.sleep(seconds)
        try:
            machines.power_on(host)
        except AssertionError as error:
            failed.append(error)

    thread = threading.Thread(target=wait_and_start)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert not failed


def test_there_are_three_members(members: dict[str, Host]) -> None:
    assert list(members) == ["node1", "node2", "node3"]


def test_switchovers_under_load_lose_nothing(members: dict[str, Host], sql: Sql, load: Load, play: Play) -> None:
    with load:
        for turn in range(turns(2)):
            candidate = [name for name in members if name != primary(members, sql)][turn % 2]
            play("switchover", "-e", f"pg_switchover_to={candidate}").ok()
            assert primary(members, sql) == candidate
            load.go_on()
    assert len(load.gaps()) == turns(2)
    assert load.lost() == []
    assert load.two_primaries() == []
    finds_nothing_to_do(play)


def test_a_host_that_comes_back_after_the_failover_is_no_second_primary(members: dict[str, Host], sql: Sql, load: Load,
                                                                        play: Play) -> None:
    former = primary(members, sql)
    with load:
        machines.power_off(former)
        assert "No acknowledged commit is lost" in play("failover").ok().flat
        load.go_on()
        machines.power_on(former)
        load.go_on()
    assert len(load.gaps()) == 1
    assert load.lost() == []
    assert load.two_primaries() == []
    finds_nothing_to_do(play)
    play("rejoin", "-e", f"pg_rejoin={former}").ok()
    wait_until(lambda: sql(members[primary(members, sql)], STREAMING) == "2")
    finds_nothing_to_do(play)


@pytest.mark.parametrize("seconds", [round(random.uniform(0, 15), 1) for _turn in range(turns(2))])
def test_a_host_that_comes_back_at_any_moment_is_no_second_primary(members: dict[str, Host], sql: Sql, load: Load, play: Play,
                                                                   seconds: float) -> None:
    former = primary(members, sql)
    with load:
        machines.power_off(former)
        with power_on_after(former, seconds):
            failover = play("failover")
        load.go_on()
    if failover.returncode:
        assert f"its primary {former} lives" in failover.flat
        assert load.gaps() == {}
        play("deploy").ok()  # a slot that was made before it came back is needed no more
    else:
        assert len(load.gaps()) == 1
        play("rejoin", "-e", f"pg_rejoin={former}").ok()
    assert load.lost() == []
    assert load.two_primaries() == []
    wait_until(lambda: sql(members[primary(members, sql)], STREAMING) == "2")
    finds_nothing_to_do(play)
