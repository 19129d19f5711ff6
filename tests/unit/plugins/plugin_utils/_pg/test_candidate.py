# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who becomes primary: whom a switchover and a failover choose, who follows, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import lsn
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import candidate, quorum
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg.candidate import Wish
from tests.support.findings import END, Cluster


def switchover(cluster: Cluster, to: str = "", **wish: Any) -> dict[str, Any]:
    return candidate.switchover(cluster.inventory, cluster.results, Wish(**{"to": to, "is_named": bool(to), **wish}))


def failover(cluster: Cluster, to: str = "", **wish: Any) -> dict[str, Any]:
    return candidate.failover(cluster.inventory, cluster.results, Wish(**{"to": to, "is_named": bool(to), **wish}))


def dead(hosts: int = 3, **more: Any) -> Cluster:
    """A cluster whose primary's host is gone."""
    cluster = Cluster(hosts, **more)
    cluster.lose("node1")
    return cluster


def behind(cluster: Cluster, host: str, count: int) -> None:
    """Let a standby have received less."""
    cluster.results[host]["lsn"] = lsn.show(END - count)


# ---- which cluster

def test_the_only_cluster_with_standbys_needs_no_name_and_a_member_names_its_own() -> None:
    cluster = Cluster()
    assert switchover(cluster)["cluster"] == "orders"
    both = cluster.inventory
    both["clusters"]["reporting"]["members"] = ["alone", "beside"]
    assert candidate.cluster_of(both, Wish(to="node2")) == "orders"
    assert candidate.cluster_of(both, Wish("reporting")) == "reporting"


@pytest.mark.parametrize(("wish", "told"), [
    (Wish("order"), "The cluster order was named, which this inventory does not have; it has orders, reporting."),
    (Wish("orders", "alone"), "alone was named, which is no member of the cluster orders; it has node1, node2, node3."),
    (Wish(to="node9"), "node9 was named, which is no member of the cluster orders; it has node1, node2, node3."),
])
def test_what_the_inventory_does_not_have_is_refused(wish: Wish, told: str) -> None:
    cluster = Cluster()
    for decide in (candidate.switchover, candidate.failover):
        answer = decide(cluster.inventory, cluster.results, wish)
        assert answer["refusals"] == [told]
        assert answer["candidate"] == ""


def test_several_clusters_and_none_are_refused_without_a_name() -> None:
    inventory = Cluster().inventory
    inventory["clusters"]["reporting"]["members"] = ["alone", "beside"]
    told, = candidate.switchover(inventory, {}, Wish())["refusals"]
    assert told == "No cluster was named and several have standbys: orders, reporting; name one."
    assert candidate.switchover(Cluster(1).inventory, {}, Wish())["refusals"] == [
        "No cluster was named and none has a standby; name one."]


def test_a_part_of_a_cluster_is_refused() -> None:
    cluster = Cluster()
    del cluster.results["node3"]
    assert switchover(cluster)["refusals"] == [
        "The cluster orders is only partly in this run, without node3; run it on all its members."]


# ---- switchover: the candidate

def test_the_first_of_equals_is_chosen() -> None:
    answer = switchover(Cluster())
    assert (answer["primary"], answer["candidate"], answer["refusals"], answer["resume"]) == ("node1", "node2", [], False)


def test_a_delay_counts_before_synchrony_and_that_before_lag() -> None:
    cluster = Cluster(5)
    for host, lag, sync in (("node2", 0, "sync"), ("node3", 5, "async"), ("node4", 900, "quorum"), ("node5", 800, "sync")):
        cluster.sender(host).update(lag_bytes=lag, sync_state=sync)
    cluster.set("recovery_min_apply_delay", "1", "node2")
    chosen = []
    for _host in range(3):
        chosen.append(switchover(cluster)["candidate"])
        cluster.results["node1"]["standbys"].remove(cluster.sender(chosen[-1]))
    assert chosen == ["node5", "node4", "node3"]


def test_one_that_nothing_stands_against_is_chosen_before_a_better_one() -> None:
    cluster = Cluster()
    cluster.results["node2"]["replay_paused"] = True
    assert (switchover(cluster)["candidate"], switchover(cluster)["refusals"]) == ("node3", [])
    cluster.results["node3"]["pending_restart"] = [{"name": "x"}]
    answer = switchover(cluster)
    assert (answer["candidate"], answer["refusals"]) == ("node2", [
        "node2 has paused its replay; call pg_wal_replay_resume() on it."])


def test_a_cascading_standby_is_not_chosen() -> None:
    cluster = Cluster(3, {"node2": "node3"})
    assert switchover(cluster)["candidate"] == "node3"


def test_without_a_stream_there_is_no_candidate() -> None:
    cluster = Cluster()
    cluster.results["node1"]["standbys"] = []
    assert switchover(cluster)["refusals"] == [
        "The cluster orders has no standby that streams from the primary node1; run the playbook deploy."]


def test_the_primary_itself_is_refused() -> None:
    assert switchover(Cluster(), "node1")["refusals"] == [
        "node1 was named, which is the primary of the cluster orders already; name another of node1, node2, node3."]


def test_a_primary_that_does_not_answer_is_refused() -> None:
    cluster = Cluster()
    cluster.results["node1"] = {"instance": cluster.results["node1"]["instance"], "running": True, "answers": False,
                                "problems": ["Could not connect."]}
    assert switchover(cluster)["refusals"] == ["The primary node1 runs and does not answer: Could not connect."]


def test_a_cluster_whose_truth_is_doubtful_is_refused_as_the_topology_refuses_it() -> None:
    assert "promote the best standby with the playbook failover" in switchover(dead())["refusals"][0]
    cluster = Cluster()
    cluster.results["node2"].update(role="primary", timeline=2)
    assert "has two primaries: node1 (running, timeline 1) and node2" in switchover(cluster)["refusals"][0]


# ---- switchover: who follows, and when

def test_all_follow_the_candidate_and_without_synchrony_they_may_before() -> None:
    answer = switchover(Cluster(4), "node3")
    assert answer["followers"] == {host: {"upstream": "node3", "before": host != "node1"} for host in ("node1", "node2", "node4")}
    assert answer["slots"] == ["node1", "node2", "node4"]


def test_a_cascade_stays_where_it_is() -> None:
    answer = switchover(Cluster(4, {"node4": "node3"}), "node2")
    assert answer["followers"]["node4"] == {"upstream": "node3", "before": False}
    assert answer["slots"] == ["node1", "node3"]
    promoted = switchover(Cluster(4, {"node4": "node3"}), "node3")
    assert promoted["followers"]["node4"] == {"upstream": "node3", "before": False}
    assert promoted["slots"] == ["node1", "node2", "node4"]


def test_one_that_is_declared_to_follow_the_candidate_and_does_not_yet_may_before() -> None:
    cluster = Cluster(3)
    cluster.members["node3"]["upstream"] = "node2"
    assert switchover(cluster, "node2")["followers"]["node3"] == {"upstream": "node2", "before": True}


def test_the_receiver_of_the_wal_needs_its_slot_on_the_candidate() -> None:
    cluster = Cluster()
    for member in cluster.members.values():
        member["wal"] = "stream"
    assert switchover(cluster, "node2")["slots"] == ["node1", "node3", "pgmahout_wal"]


@pytest.mark.parametrize(("names", "before"), [
    ("", ["node3", "node4"]), ("ANY 1 (node2, node3, node4)", ["node3", "node4"]), ("ANY 2 (node2, node3, node4)", ["node3"]),
    ("FIRST 3 (node2, node3, node4)", []), ("node3", ["node4"]), ("FIRST 1 (node3, node4)", ["node3"]), ("*", ["node3", "node4"]),
    ("2 (*)", ["node3"])])
def test_those_whom_commits_wait_for_follow_only_afterwards(names: str, before: list[str]) -> None:
    cluster = Cluster(4)
    cluster.set("synchronous_standby_names", names, "node1")
    followers = switchover(cluster, "node2")["followers"]
    assert [host for host, one in followers.items() if one["before"]] == before


@given(st.integers(1, 4), st.lists(st.sampled_from(["node2", "node3", "node4", "node5", "gone"]), min_size=1, unique=True),
       st.sampled_from(["FIRST", "ANY"]), st.sets(st.sampled_from(["node3", "node4", "node5"])))
def test_commits_go_on_while_the_others_follow_already(needed: int, names: list[str], method: str, away: set[str]) -> None:
    cluster = Cluster(5)
    cluster.set("synchronous_standby_names", "%s %d (%s)" % (method, needed, ", ".join(names)), "node1")
    for host in away:
        cluster.sender(host)["state"] = "catchup"
    moved = [host for host, one in switchover(cluster, "node2")["followers"].items() if one["before"]]
    connected = {"node2", "node3", "node4", "node5"} - away
    rule = quorum.Rule(method, needed, tuple(names))
    assert not set(moved) & ({"node2"} | away)
    assert not moved or rule.is_met_by(connected - set(moved))
    for host in connected - {"node2", *moved}:
        assert not rule.is_met_by(connected - {*moved, host}), "one more could have followed"


def test_slots_that_the_candidate_keeps_in_step_by_itself_are_awaited() -> None:
    for version, expected in ((160002, []), (170001, ["sales_in"])):
        cluster = Cluster(version=version)
        cluster.publish()
        cluster.set("sync_replication_slots", "on", "node2")
        cluster.copy("node2")["temporary"] = version >= 170000
        decision = switchover(cluster, "node2")
        assert (decision["refusals"], decision["synchronized_slots"]) == ([], expected)


def test_slots_to_make_are_those_of_the_one_version_that_has_them_and_keeps_none_in_step() -> None:
    for version, expected in ((150004, []), (160002, ["sales_in"]), (170001, []), (180001, [])):
        cluster = Cluster(version=version)
        cluster.publish()
        cluster.results["node2"]["slots"].remove(cluster.copy("node2"))
        assert [slot["name"] for slot in switchover(cluster, "node2")["logical_slots"]] == expected
    cluster = Cluster(version=160002)
    cluster.publish()
    assert switchover(cluster)["logical_slots"] == []
    cluster.copy("node2")["confirmed_flush_lsn"] = "0/5000000"
    assert switchover(cluster, "node2")["logical_slots"] == [{
        "name": "sales_in", "plugin": "pgoutput", "database": "shop", "two_phase": False, "confirmed_flush_lsn": "0/4000000"}]


# ---- a switchover that was interrupted

def interrupted(follows: str = "127.0.0.1:5442", **more: Any) -> Cluster:
    cluster = Cluster()
    cluster.stop("node1", **{"standby_signal": True, "follows": follows, **more})
    return cluster


def test_an_interrupted_switchover_is_gone_on_with() -> None:
    answer = switchover(interrupted())
    assert (answer["primary"], answer["candidate"], answer["resume"], answer["refusals"]) == ("node1", "node2", True, [])
    assert answer["followers"] == dict.fromkeys(("node1", "node3"), {"upstream": "node2", "before": False})
    assert switchover(interrupted(wal_end=None))["candidate"] == "node2"


def test_the_one_that_may_have_been_asked_already_is_the_only_candidate() -> None:
    answer = switchover(interrupted(), "node3")
    assert answer["refusals"] == ["A switchover to node3 was asked for and one to node2 was interrupted, which node1 follows "
                                  "already; name node2."]
    assert answer["candidate"] == ""
    late = interrupted()
    behind(late, "node2", 8)
    told, = switchover(late)["refusals"]
    assert told == ("The primary node1 of the cluster orders does not run (shut down) and no standby that may be chosen is known "
                    "to have all that it wrote; start it with the playbook deploy.")


def test_a_primary_that_was_shut_down_before_it_followed_anybody_hands_over_to_whoever_has_all() -> None:
    cluster = interrupted("", standby_signal=False)
    behind(cluster, "node2", 8)
    assert (switchover(cluster)["candidate"], switchover(cluster)["resume"]) == ("node3", True)
    assert "start it with the playbook deploy" in switchover(cluster, "node2")["refusals"][0]
    cluster.set("recovery_min_apply_delay", "9", "node3")
    assert "name it by pg_switchover_to" in switchover(cluster)["refusals"][0]
    assert switchover(cluster, "node3")["refusals"] == []


@pytest.mark.parametrize("state", ["in production", "shutting down"])
def test_a_primary_that_ended_otherwise_is_started_first(state: str) -> None:
    cluster = Cluster()
    cluster.stop("node1", state)
    assert "does not run (%s)" % state in switchover(cluster)["refusals"][0]


def test_what_stands_against_an_interrupted_one_is_told() -> None:
    cluster = interrupted()
    cluster.results["node2"]["replay_paused"] = True
    cluster.results["node1"]["peers"] = [{"address": "127.0.0.1:5442", "problem": "No entry.", "system_identifier": ""}]
    cluster.stop("node3", "shut down in recovery")
    told = switchover(cluster)["refusals"]
    assert [text.split(" ")[0] for text in told] == ["node3", "node2", "node1"]


def test_a_member_that_cannot_be_reached_may_have_been_promoted() -> None:
    cluster = interrupted()
    cluster.lose("node2")
    assert "node2 cannot be reached and may have become it" in switchover(cluster)["refusals"][0]


# ---- failover

def test_the_one_with_the_most_wal_on_the_newest_timeline_is_promoted() -> None:
    cluster = dead(4)
    behind(cluster, "node2", 8)
    answer = failover(cluster)
    assert (answer["primary"], answer["candidate"], answer["refusals"]) == ("node1", "node3", [])
    assert answer["followers"] == dict.fromkeys(("node2", "node4"), {"upstream": "node3", "before": False})
    assert answer["slots"] == ["node2", "node4"]
    cluster.results["node2"]["timeline"] = 2
    assert failover(cluster)["candidate"] == "node2"


def test_a_cascade_follows_the_promoted_one() -> None:
    cluster = dead(3, upstreams={"node3": "node2"})
    assert failover(cluster)["candidate"] == "node2"
    assert failover(cluster)["followers"] == {"node3": {"upstream": "node2", "before": False}}
    behind(cluster, "node2", 8)
    assert failover(cluster)["followers"] == {"node2": {"upstream": "node3", "before": False}}


def test_a_delayed_standby_is_promoted_only_when_it_is_named() -> None:
    cluster = dead()
    cluster.set("recovery_min_apply_delay", "60000", "node2")
    assert failover(cluster)["candidate"] == "node3"
    assert (failover(cluster, "node2")["candidate"], failover(cluster, "node2")["refusals"]) == ("node2", [])
    cluster.set("recovery_min_apply_delay", "60000", "node3")
    assert failover(cluster)["refusals"] == ["The cluster orders has only standbys that replay with a delay (node2, node3); name "
                                             "the one that is to be primary."]


def test_one_that_has_less_is_promoted_by_force_alone() -> None:
    cluster = dead()
    behind(cluster, "node3", 8)
    told, = failover(cluster, "node3")["refusals"]
    assert told == ("node3 has received WAL up to 0/4FFFFF8 on timeline 1 and node2 up to 0/5000000 on timeline 1; name node2 by "
                    "pg_failover_to, or set pg_failover_force to true to lose what node3 lacks.")
    forced = failover(cluster, "node3", force=True)
    assert (forced["candidate"], forced["refusals"], forced["loss"]["nothing"]) == ("node3", [], False)
    assert (forced["ahead"], forced["followers"]) == (["node2"], {})
    assert failover(cluster)["ahead"] == []
    cluster.set("recovery_min_apply_delay", "60000", "node2")
    assert "and node2 up to" in failover(cluster)["refusals"][0], "a delayed one has it, and nobody is asked"


def test_who_cannot_be_promoted_is_refused() -> None:
    cluster = dead()
    cluster.stop("node3", "shut down in recovery")
    assert failover(cluster, "node3")["refusals"] == [
        "node3 was named, which is no standby of the cluster orders that runs and answers; name one of node2."]
    assert failover(cluster, "node1")["refusals"][0].endswith("name one of node2.")
    cluster.results["node2"]["instance"]["recovery_signal"] = True
    assert failover(cluster)["refusals"] == [
        "The cluster orders has no standby that runs and answers; start one, or make its host reachable."]


def test_a_standby_that_an_earlier_failover_fenced_is_not_promoted() -> None:
    cluster = dead()
    cluster.results["node3"]["instance"]["fenced"] = {"node2": {"timeline": 1, "lsn": "0/1"}}
    assert failover(cluster)["candidate"] == "node3"


def test_standbys_of_different_systems_are_refused() -> None:
    cluster = dead()
    cluster.results["node3"]["system_identifier"] = "7002"
    assert failover(cluster)["refusals"] == ["The standbys of the cluster orders are of different systems (node2: 7001, node3: "
                                             "7002); name the right data directories."]


def test_of_several_that_cannot_be_reached_nobody_is_known_as_the_primary() -> None:
    cluster = dead()
    cluster.lose("node3")
    answer = failover(cluster)
    assert (answer["primary"], answer["candidate"], answer["followers"]) == ("", "node2", {})
