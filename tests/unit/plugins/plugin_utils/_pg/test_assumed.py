# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What will be found after a failover or a rejoin leads to the topology that is wanted then."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import assumed, topology
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg.topology import Found

from .test_topology import DOWN, FINDING, HOSTS, inventory, of

CRASHED = of("primary", running=False)


def decided(found: dict[str, Found], **changes: Any) -> dict[str, Any]:
    return topology.decide(inventory(tuple(found), **changes), found)


def named(*found: Found) -> dict[str, Found]:
    return dict(zip(HOSTS, found))


def test_after_a_failover_the_others_follow_and_the_former_primary_is_left_alone() -> None:
    for former in (CRASHED, DOWN):
        after = decided(assumed.failed_over(named(former, of("standby"), of("standby")), "node2", ["node1"]))
        assert after["refusals"] == []
        assert [member["role"] for member in after["members"].values()] == ["left", "primary", "standby"]
        assert (after["members"]["node3"]["upstream"], after["members"]["node2"]["slots"]) == ("node2", ["node3"])
        assert after["clusters"]["orders"]["running"]
        assert [member["fenced"] for member in after["members"].values()] == [True, False, False]


def test_after_a_failover_a_cascading_standby_that_was_promoted_keeps_no_slot_of_its_upstream() -> None:
    found = named(CRASHED, of("standby", slots=["node3"]), of("standby", slots=["node2"]))
    after = decided(assumed.failed_over(found, "node3", ["node1"]), upstreams={"node3": "node2"})
    assert after["members"]["node2"]["upstream"] == "node3"
    assert after["members"]["node2"]["stale_slots"] == ["node3"]


def test_a_slot_that_is_used_before_a_failover_need_not_be_afterwards() -> None:
    found = named(CRASHED, of("standby")._replace(active_slots=["node3"]), of("standby"))
    after = decided(assumed.failed_over(found, "node3", ["node1"]))
    assert after["members"]["node2"]["stale_slots"] == ["node3"]


def test_after_a_rejoin_the_former_primary_follows() -> None:
    marked = of("primary", 2)._replace(fenced={"node1": 1})
    for former in (CRASHED, of("primary"), of("standby", running=False), of("standby", 3, running=False)):
        after = decided(assumed.returned(named(former, marked, of("standby", 2)), ["node1"], []))
        assert after["refusals"] == []
        member = after["members"]["node1"]
        assert (member["role"], member["action"], member["upstream"], member["running"]) == ("standby", "follow", "node2", False)
        assert not member["fenced"]


def test_after_a_rejoin_by_a_clone_there_is_nothing_to_follow_with_yet() -> None:
    marked = of("primary", 2)._replace(fenced={"node1": 1})
    after = decided(assumed.returned(named(CRASHED, marked, of("standby", 2)), [], ["node1"]))
    assert (after["members"]["node1"]["action"], after["members"]["node1"]["exists"]) == ("clone", False)


@given(st.tuples(*[FINDING] * 4))
def test_nobody_else_changes_when_nobody_comes_back(found: tuple[Found, ...]) -> None:
    assert assumed.returned(named(*found), [], []) == named(*found)
