# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A primary and two standbys whose network and power fail: deploy says what is wrong, and never makes a second primary."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from testinfra.host import Host

from tests.support import machines
from tests.support.playbooks import Run, wait_until

Sql = Callable[..., str]
NOTHING = {"node1": 0, "node2": 0, "node3": 0}


@pytest.fixture(autouse=True)
def healed(members: dict[str, Host], sql: Sql) -> None:
    """Let a test begin only when the standbys stream, which those do by themselves when the one before has ended."""
    wait_until(lambda: sql(members["node1"], "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'"
                                             " ORDER BY 1").split() == ["node2", "node3"], 120)


def primaries(members: dict[str, Host], sql: Sql, *running: str) -> list[str]:
    """Return which of the members whose machines run take writes."""
    return [name for name in running or members if sql(members[name], "SELECT pg_is_in_recovery()") == "f"]


def test_there_are_three_members(members: dict[str, Host]) -> None:
    assert list(members) == ["node1", "node2", "node3"]


def test_standbys_that_are_cut_off_or_dead_are_left_alone(members: dict[str, Host], addresses: dict[str, str], sql: Sql,
                                                          play: Callable[..., Run]) -> None:
    machines.unplug("node2")
    machines.power_off("node3")
    deployed = play("deploy").ok()
    for standby in ("node2", "node3"):
        assert f"{standby} cannot be reached and is left alone; run this again when it answers." in deployed.flat
    assert deployed.changed == NOTHING
    assert primaries(members, sql, "node1", "node2") == ["node1"]
    written = sql(members["node1"], "INSERT INTO orders VALUES (1) RETURNING id", "shop")
    machines.plug("node2", addresses["node2"])
    machines.power_on("node3")
    for standby in (members["node2"], members["node3"]):
        wait_until(lambda: sql(standby, "SELECT id FROM orders", "shop") == written)  # noqa: B023 - called within the same turn


def test_no_standby_takes_the_place_of_a_primary_that_is_cut_off(members: dict[str, Host], addresses: dict[str, str], sql: Sql,
                                                                 play: Callable[..., Run]) -> None:
    machines.unplug("node1")
    play("deploy").refused("The cluster orders", "node1 cannot be reached and may be it")
    assert primaries(members, sql) == ["node1"]
    machines.plug("node1", addresses["node1"])


def test_no_standby_takes_the_place_of_a_primary_whose_machine_is_dead(members: dict[str, Host], sql: Sql,
                                                                       play: Callable[..., Run]) -> None:
    machines.power_off("node1")
    play("deploy").refused("The cluster orders", "node1 cannot be reached and may be it")
    assert primaries(members, sql, "node2", "node3") == []
    machines.power_on("node1")
    wait_until(lambda: primaries(members, sql) == ["node1"])


def test_nothing_is_left_to_do_after_a_reboot_of_the_primary(play: Callable[..., Run]) -> None:
    machines.reboot(["node1"])
    assert play("deploy").ok().changed == NOTHING
