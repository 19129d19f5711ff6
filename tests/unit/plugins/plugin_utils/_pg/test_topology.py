# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is what: properties that hold for whatever is found, and each refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import topology
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg.topology import Found

HOSTS = ("node1", "node2", "node3", "node4")
FLOORS = {"max_connections": 100}
NEW = Found(True)
DOWN = Found(False)


def of(role: str, timeline: int = 1, running: bool = True, **more: Any) -> Found:
    """The finding of a member with data."""
    return Found(True, "instance", running, role, more.pop("recovering", False), more.pop("system_identifier", "7001"), timeline,
                 more.pop("floors", {}), more.pop("slots", ()), more.pop("fenced", {}))


def inventory(hosts: tuple[str, ...] = HOSTS, upstreams: Mapping[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    members = {host: {"upstream": (upstreams or {}).get(host, ""), "bootstrap": host == changes.get("bootstrap"), "slot": host,
                      "floors": changes.get("floors", FLOORS), "wal": changes.get("wal", "none")} for host in hosts}
    return {"members": members, "clusters": {"orders": {"members": list(hosts)}}}


def decide(*found: Found, **changes: Any) -> dict[str, Any]:
    hosts = HOSTS[:len(found)]
    return topology.decide(inventory(hosts, **changes), dict(zip(hosts, found)))


def refusal(*found: Found, **changes: Any) -> str:
    decided = decide(*found, **changes)
    assert decided["members"] == {}, "a refused cluster has no decisions"
    assert len(decided["refusals"]) == 1
    return str(decided["refusals"][0])


def roles(decided: Mapping[str, Any]) -> list[str]:
    return [member["role"] for member in decided["members"].values()]


FINDING = st.one_of(
    st.just(DOWN), st.sampled_from([NEW, Found(True, "empty")]),
    st.builds(of, st.sampled_from(["primary", "standby"]), st.integers(1, 3), st.booleans(), recovering=st.booleans(),
              system_identifier=st.sampled_from(["7001", "7001", "7001", "7002"]),
              slots=st.sampled_from([(), ("node2", "mine")]),
              fenced=st.dictionaries(st.sampled_from(HOSTS), st.integers(1, 3), max_size=2)))
FINDINGS = st.tuples(*[FINDING] * 4)
UPSTREAMS = st.dictionaries(st.sampled_from(HOSTS), st.sampled_from(HOSTS))


@given(FINDINGS, UPSTREAMS)
def test_there_is_one_primary_or_a_refusal(found: tuple[Found, ...], upstreams: dict[str, str]) -> None:
    decided = decide(*found, upstreams=upstreams)
    assert roles(decided).count("primary") == (0 if decided["refusals"] else 1)


@given(FINDINGS, UPSTREAMS)
def test_data_is_never_made_anew(found: tuple[Found, ...], upstreams: dict[str, str]) -> None:
    for member, one in zip(decide(*found, upstreams=upstreams)["members"].values(), found):
        assert member["action"] in (("run", "follow", "leave") if one.has_data else ("create", "clone", "leave"))
        assert one.reachable or member["action"] == "leave"


@given(FINDINGS)
def test_an_instance_is_only_made_where_no_member_has_data(found: tuple[Found, ...]) -> None:
    if any(one.has_data or not one.reachable for one in found):
        assert "create" not in [member["action"] for member in decide(*found)["members"].values()]


@given(FINDINGS)
def test_a_former_primary_is_left_alone(found: tuple[Found, ...]) -> None:
    decided = decide(*found)
    for (host, member), one in zip(decided["members"].items(), found):
        if one.has_data and one.role == "primary" and decided["clusters"]["orders"]["primary"] != host:
            assert (member["role"], member["action"]) == ("left", "leave")
            assert host in member["note"]


@given(FINDINGS, UPSTREAMS)
def test_upstreams_lead_to_the_primary(found: tuple[Found, ...], upstreams: dict[str, str]) -> None:
    decided = decide(*found, upstreams=upstreams)
    members = decided["members"]
    for host, member in members.items():
        if member["role"] != "standby":
            assert (member["upstream"], member["depth"]) == ("", 0)
            continue
        path = [host]
        while members[path[-1]]["upstream"]:
            path.append(members[path[-1]]["upstream"])
            assert len(path) <= len(members), "the members follow each other in a circle"
        assert members[path[-1]]["role"] == "primary"
        assert member["depth"] == len(path) - 1
        assert host in members[member["upstream"]]["slots"]


@given(FINDINGS)
def test_a_slot_of_a_member_is_never_stale_where_it_is_used(found: tuple[Found, ...]) -> None:
    for member in decide(*found)["members"].values():
        assert not set(member["stale_slots"]) & set(member["slots"])
        assert "mine" not in member["stale_slots"], "a slot that is no member's is not ours"


def test_a_slot_that_is_used_goes_when_whoever_uses_it_is_to_follow_somebody_else() -> None:
    cascading = of("standby")._replace(active_slots=("node3", "mine"))
    stale = [member["stale_slots"] for member in decide(of("primary"), cascading, of("standby"))["members"].values()]
    assert stale == [[], ["node3"], []]
    stale = [member["stale_slots"] for member in decide(of("primary"), cascading, of("standby"),
                                                        upstreams={"node3": "node2"})["members"].values()]
    assert stale == [[], [], []]


def test_a_first_run_takes_the_member_that_is_flagged_or_the_first() -> None:
    assert roles(decide(NEW, NEW, NEW)) == ["primary", "standby", "standby"]
    decided = decide(NEW, Found(True, "empty"), bootstrap="node2")
    assert [member["action"] for member in decided["members"].values()] == ["clone", "create"]
    assert decided["clusters"]["orders"] == {"primary": "node2", "exists": False, "running": False}


def test_after_a_failover_the_new_primary_is_followed_and_the_flag_means_nothing() -> None:
    decided = decide(of("primary", 1, running=False), of("primary", 2), of("standby", 2), bootstrap="node1")
    assert roles(decided) == ["left", "primary", "standby"]
    assert decided["members"]["node3"]["upstream"] == "node2"
    assert "playbook rejoin" in decided["members"]["node1"]["note"]


def test_a_cascade_follows_its_declared_upstream_while_that_is_a_standby() -> None:
    upstreams = {"node3": "node2"}
    decided = decide(of("primary"), of("standby"), of("standby"), upstreams=upstreams)
    assert [member["upstream"] for member in decided["members"].values()] == ["", "node1", "node2"]
    assert decided["depth"] == 2
    assert decided["members"]["node2"]["slots"] == ["node3"]
    gone = decide(of("primary"), DOWN, of("standby"), upstreams=upstreams)
    assert gone["members"]["node3"]["upstream"] == "node1"
    promoted = decide(of("standby", 2), of("primary", 2), of("standby", 2), upstreams=upstreams)
    assert promoted["members"]["node3"]["upstream"] == "node2"


def test_a_slot_of_a_standby_that_follows_another_now_is_stale() -> None:
    decided = decide(of("primary", slots=["node3", "node2", "foreign"]), of("standby"), of("standby"),
                     upstreams={"node3": "node2"})
    assert decided["members"]["node1"]["stale_slots"] == ["node3"]


def marked(role: str = "primary", timeline: int = 2, **marks: int) -> Found:
    """The finding of a member whose data directory says who is fenced."""
    return of(role, timeline, fenced=marks)


@pytest.mark.parametrize("former", [of("primary", running=False), of("primary"), of("standby", running=False), of("standby"),
                                    DOWN])
def test_a_member_that_was_fenced_is_left_alone_however_it_is_found(former: Found) -> None:
    decided = decide(former, marked(node1=1), of("standby", 2), upstreams={"node3": "node1"})
    assert roles(decided) == ["left", "primary", "standby"]
    assert decided["members"]["node1"]["fenced"]
    assert decided["members"]["node1"]["returns"] == former.reachable
    assert "fenced by the failover to node2" in decided["members"]["node1"]["note"]
    assert "playbook rejoin" in decided["members"]["node1"]["note"]
    assert ("SECOND PRIMARY" in decided["members"]["node1"]["note"]) == (former.running and former.role == "primary")
    assert decided["members"]["node3"]["upstream"] == "node2"


def test_a_fence_holds_whoever_remembers_it_and_whatever_else_is_down() -> None:
    stopped = of("primary", 2, running=False)
    assert roles(decide(DOWN, stopped, marked("standby", node1=1))) == ["left", "primary", "standby"]
    assert "two primaries" in refusal(of("primary"), of("primary", 2), of("standby", 2))


def test_a_fence_has_ended_when_the_member_has_come_back_or_is_empty() -> None:
    assert roles(decide(of("standby", 2), marked(node1=1), of("standby", 2))) == ["standby", "primary", "standby"]
    decided = decide(NEW, marked(node1=1), of("standby", 2))
    assert decided["members"]["node1"]["action"] == "clone"


def test_the_slot_of_a_member_that_is_fenced_is_stale_where_it_cannot_be_reached_too() -> None:
    decided = decide(DOWN, marked(node1=1)._replace(slots=["node1", "node3"]), of("standby", 2))
    assert decided["members"]["node2"]["stale_slots"] == ["node1"]


def test_beside_a_fenced_member_nothing_is_made_anew() -> None:
    assert "which a failover fenced" in refusal(of("standby", running=False)._replace(fenced={"node1": 1}), NEW)


def test_the_slot_of_a_member_that_cannot_be_reached_is_kept() -> None:
    decided = decide(of("primary", slots=["node2", "node3"]), DOWN, of("standby"), upstreams={"node3": "node2"})
    assert decided["members"]["node1"]["slots"] == ["node3"]
    assert decided["members"]["node1"]["stale_slots"] == []


def test_what_is_lowered_is_kept_on_a_standby_until_its_primary_has_lowered_it() -> None:
    high, low = {"max_connections": 200}, {"max_connections": 50}
    floors = [member["floors"] for member in decide(of("primary", floors=high), of("standby", floors=low),
                                                    NEW)["members"].values()]
    assert floors == [{}, {"max_connections": 200}, {}]
    assert decide(of("primary", floors=low), of("standby", floors=low))["members"]["node2"]["floors"] == {}


def test_members_that_cannot_follow_are_left_with_a_reason() -> None:
    decided = decide(of("primary"), DOWN, of("standby", 2), of("standby", recovering=True))
    assert roles(decided) == ["primary", "left", "left", "left"]
    notes = [member["note"] for member in decided["members"].values()]
    assert "node2 cannot be reached" in notes[1]
    assert "node3 is a standby on timeline 2 and the primary node1 is on timeline 1" in notes[2]
    assert "node4 is in a point-in-time recovery" in notes[3]


@pytest.mark.parametrize(("found", "told"), [
    ([of("primary", 2), of("primary", 3)], "two primaries: node1 (running, timeline 2) and node2 (running, timeline 3)"),
    ([of("primary"), of("standby", system_identifier="7002")],
     "node1 has the system identifier 7001 and node2 has the system identifier 7002"),
    ([NEW, DOWN], "no data on any member that answers, and node2 cannot be reached"),
    ([of("standby"), of("standby", running=False)], "has standbys (node1, node2) and no primary"),
    ([DOWN, of("standby"), of("standby")],
     "has standbys (node2, node3) and no primary among the members that answer, and node1 cannot be reached and may be it"),
    ([of("primary", running=False), DOWN],
     "no running primary, and node2 cannot be reached and may have become it; node1 is not"),
    ([of("primary", 1, running=False), of("primary", 1, running=False)],
     "two stopped primaries: node1 (stopped, timeline 1) and node2 (stopped, timeline 1)"),
    ([of("primary", 1, running=False), of("standby", 2)],
     "node1 (stopped, timeline 1) stopped as primary, and node2 (running, timeline 2)"),
    ([of("primary", 1), of("primary", 2, running=False)],
     "runs with node1 (running, timeline 1) as primary, and node2 (stopped, timeline 2) was primary after it"),
])
def test_what_is_doubtful_is_refused_with_the_members_named(found: list[Found], told: str) -> None:
    said = refusal(*found)
    assert told in said
    assert said.startswith(("The cluster orders", "The members of the cluster orders"))


def test_a_stopped_cluster_is_started_with_its_last_primary() -> None:
    decided = decide(of("primary", 1, running=False), of("primary", 2, running=False), of("standby", 2, running=False))
    assert roles(decided) == ["left", "primary", "standby"]
    assert decided["clusters"]["orders"]["running"] is False


def test_a_refused_cluster_keeps_no_other_from_being_decided() -> None:
    both = inventory(("node1", "node2", "node3"))
    both["clusters"] = {"orders": {"members": ["node1", "node2"]}, "reporting": {"members": ["node3"]}}
    decided = topology.decide(both, {"node1": of("primary"), "node2": of("primary"), "node3": NEW})
    assert len(decided["refusals"]) == 1
    assert list(decided["members"]) == ["node3"]


INSTANCE = {"kind": "instance", "standby_signal": True, "recovery_signal": False, "system_identifier": "7001", "timeline": 3,
            "floors": {"max_connections": 100}, "control_state": "in production"}


def test_a_finding_is_what_the_live_server_says_before_what_the_files_say() -> None:
    live = topology.found_of({"instance": INSTANCE, "running": True, "answers": True, "role": "primary", "timeline": 4,
                              "settings": {"max_connections": "200"},
                              "slots": [{"name": name, "slot_type": kind, "active": active} for name, kind, active in (
                                  ("idle", "physical", False), ("busy", "physical", True), ("logical", "logical", False))]})
    assert live == Found(True, "instance", True, "primary", False, "7001", 4, {"max_connections": 200}, ["idle"],
                         active_slots=["busy"], logical_slots=["logical"], leftover_slots=[])
    stopped = topology.found_of({"instance": INSTANCE, "running": False})
    assert stopped == Found(True, "instance", False, "standby", False, "7001", 3, {"max_connections": 100}, [],
                            active_slots=[], logical_slots=[], leftover_slots=[])


@pytest.mark.parametrize("result", [{"unreachable": True, "instance": INSTANCE}, {"failed": True}, {}])
def test_a_host_that_told_nothing_is_unreachable(result: dict[str, Any]) -> None:
    assert topology.found_of(result) == DOWN


def test_a_part_of_a_cluster_is_refused_and_a_cluster_outside_of_the_run_passed_over() -> None:
    decided = topology.decide(inventory(HOSTS), {"node1": of("primary")})
    assert decided["members"] == {}
    assert decided["refusals"] == [
        "The cluster orders is only partly in this run, without node2, node3, node4; run it on all its members."]
    assert topology.decide(inventory(HOSTS), {})["refusals"] == []


def test_a_reading_that_failed_counts_as_unreachable() -> None:
    assert topology.found_of({"failed": True, "msg": "no psycopg2"}) == DOWN
    assert topology.found_of({"unreachable": True, "msg": "no route"}) == DOWN


def test_the_receiver_has_a_slot_of_the_primary_while_wal_is_streamed_and_nowhere_else() -> None:
    found = (of("primary", slots=["pgmahout_wal"]), of("standby", slots=["pgmahout_wal"]))
    streamed = decide(*found, wal="stream")["members"]
    assert streamed["node1"]["slots"] == ["node2", "pgmahout_wal"]
    assert [member["stale_slots"] for member in streamed.values()] == [[], ["pgmahout_wal"]]
    given_up = decide(*found)["members"]
    assert given_up["node1"]["slots"] == ["node2"]
    assert [member["stale_slots"] for member in given_up.values()] == [["pgmahout_wal"]] * 2


def test_the_receivers_slot_counts_as_its_own_also_while_it_is_used() -> None:
    slots = [{"name": name, "slot_type": "physical", "active": True} for name in ("pgmahout_wal", "node2")]
    instance = {"kind": "instance", "recovery_signal": False, "system_identifier": "7001", "timeline": 1, "floors": {}}
    result = {"instance": instance, "answers": True, "running": True, "role": "primary", "timeline": 1, "slots": slots}
    assert topology.found_of(result).slots == ["pgmahout_wal"]
