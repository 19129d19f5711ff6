# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against a switchover: one condition is broken at a time, and just that is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import candidate
from tests.support.findings import Cluster

Break = Callable[[Cluster], None]


def refusals(cluster: Cluster, to: str = "node2", **wish: Any) -> list[str]:
    asked = candidate.Wish(**{"to": to, "is_named": True, **wish})
    found: list[str] = candidate.switchover(cluster.inventory, cluster.results, asked)["refusals"]
    return found


def archiving(cluster: Cluster) -> None:
    cluster.set("archive_mode", "on")


def unreachable(cluster: Cluster) -> None:
    cluster.lose("node3")


def stopped(cluster: Cluster) -> None:
    cluster.stop("node3", "shut down in recovery")


def candidate_stopped(cluster: Cluster) -> None:
    cluster.stop("node2", "shut down in recovery")


def missing(cluster: Cluster) -> None:
    cluster.results["node3"] = {"instance": {**cluster.results["node3"]["instance"], "kind": "missing", "system_identifier": ""},
                                "running": False, "problems": []}


def mute(cluster: Cluster) -> None:
    cluster.results["node3"] = {"instance": cluster.results["node3"]["instance"], "running": True, "answers": False,
                                "problems": ["Could not connect."]}


def no_stream(cluster: Cluster) -> None:
    cluster.results["node1"]["standbys"].pop(0)


def catching_up(cluster: Cluster) -> None:
    cluster.sender("node2")["state"] = "catchup"


def other_timeline(cluster: Cluster) -> None:
    for host in ("node1", "node3"):
        cluster.results[host]["timeline"] = 2


def behind(cluster: Cluster) -> None:
    cluster.sender("node2")["lag_bytes"] = 16 * 1024 ** 2 + 1


def paused(cluster: Cluster) -> None:
    cluster.results["node2"]["replay_paused"] = True


def read_only(cluster: Cluster) -> None:
    cluster.set("default_transaction_read_only", "on", "node2")


def low_wal_level(cluster: Cluster) -> None:
    cluster.set("wal_level", "replica", "node2")


def no_archive(cluster: Cluster) -> None:
    cluster.set("archive_mode", "on", "node1")


def restart_pending(cluster: Cluster) -> None:
    cluster.results["node2"]["pending_restart"] = [{"name": "shared_buffers"}, {"name": "wal_level"}]


def higher_than_others(cluster: Cluster) -> None:
    cluster.set("max_connections", "200", "node2")


def lower_than_the_primary(cluster: Cluster) -> None:
    cluster.set("max_connections", "50", "node2", "node3")


def few_senders(cluster: Cluster) -> None:
    cluster.set("max_wal_senders", "1")


def few_slots(cluster: Cluster) -> None:
    cluster.results["node2"]["slots"] += [{"name": "other", "slot_type": "physical", "active": False}]
    cluster.set("max_replication_slots", "2")


def commits_would_wait(cluster: Cluster) -> None:
    cluster.set("synchronous_standby_names", "FIRST 1 (node2)")


def slots_would_wait(cluster: Cluster) -> None:
    cluster.set("synchronized_standby_slots", 'node1, "node2"')


def shut_out(cluster: Cluster) -> None:
    cluster.results["node3"]["peers"][1].update(system_identifier="", problem="No entry.")


def primary_shut_out(cluster: Cluster) -> None:
    cluster.results["node1"]["peers"][0].update(system_identifier="", problem="No entry.")


def other_system_there(cluster: Cluster) -> None:
    cluster.results["node3"]["peers"][1]["system_identifier"] = "7002"


def not_tried(cluster: Cluster) -> None:
    cluster.results["node3"]["peers"] = []


def backup(cluster: Cluster) -> None:
    cluster.results["node1"]["base_backups"] = 1


def backup_of_the_candidate(cluster: Cluster) -> None:
    cluster.results["node2"]["base_backups"] = 2


def archive_backlog(cluster: Cluster) -> None:
    archiving(cluster)
    cluster.results["node1"]["archiver"]["ready"] = 2


def archive_failing(cluster: Cluster) -> None:
    archiving(cluster)
    cluster.results["node1"]["archiver"].update(failing=True, last_failed_wal="0001", reason="No space left.")


def our_archive_failing(cluster: Cluster) -> None:
    archive_failing(cluster)
    for member in cluster.members.values():
        member["wal"] = "archive"


def receiver_gone(cluster: Cluster) -> None:
    for member in cluster.members.values():
        member["wal"] = "stream"


def slot_without_failover(cluster: Cluster) -> None:
    cluster.publish(failover=False)


def slot_without_copy(cluster: Cluster) -> None:
    cluster.publish()
    cluster.results["node2"]["slots"].remove(cluster.copy("node2"))
    cluster.results["node2"]["settings"]["sync_replication_slots"] = "off"


def copy_by_hand(cluster: Cluster) -> None:
    cluster.publish()
    cluster.copy("node2")["synced"] = False


def copy_invalid(cluster: Cluster) -> None:
    cluster.publish()
    cluster.copy("node2")["invalidation_reason"] = "wal_removed"


def copy_not_in_step(cluster: Cluster) -> None:
    cluster.publish()
    cluster.copy("node2")["temporary"] = True
    cluster.results["node2"]["settings"]["sync_replication_slots"] = "off"


CASES: dict[Break, str] = {
    unreachable: "node3 cannot be reached, and would go on following node1; make it reachable",
    stopped: "node3 does not run; start it with the playbook deploy.",
    candidate_stopped: "node2 does not run; start it with the playbook deploy.",
    missing: "node3 does not run; start it with the playbook deploy.",
    mute: "On node3: Could not connect.",
    no_stream: "node2 does not stream from the primary node1 itself; name one that does (node3).",
    catching_up: "node2 is not in step with the primary node1 yet (catchup); wait",
    other_timeline: "node2 is on timeline 1 and the primary node1 on timeline 2; wait",
    behind: "node2 has 16777217 B of WAL yet to replay and 16777216 B are allowed; wait until it has caught up, or allow more by "
            "pg_switchover_max_lag_bytes.",
    paused: "node2 has paused its replay; call pg_wal_replay_resume() on it.",
    read_only: "node2 has default_transaction_read_only on and the primary node1 has it off; make them equal",
    low_wal_level: "node2 has wal_level replica and the primary node1 has it logical; make them equal",
    no_archive: "node2 has archive_mode off and the primary node1 has it on; make them equal",
    restart_pending: "node2 has settings that wait for a restart (shared_buffers, wal_level); run the playbook deploy",
    higher_than_others: "node2 has max_connections 200 and node1 (100) and node3 (100) less, which would stop replaying",
    lower_than_the_primary: "node2 has max_connections 50 and the primary node1 has 100, which its clients may need",
    few_senders: "node2 has max_wal_senders 1, which leaves 1 for the 2 that would come to it; raise it in pg_server_settings",
    few_slots: "node2 has max_replication_slots 2, which leaves 1 for the 2 that would come to it; raise it",
    commits_would_wait: "node2 has synchronous_standby_names 'FIRST 1 (node2)', for which too few would follow it (node1, "
                        "node3), so that no commit would end; name more",
    slots_would_wait: "would not have node2, for which logical replication would wait; give each member the slots of the others",
    shut_out: "node3 cannot connect to node2 for replication; run the playbook deploy, and look at the network and the "
              "pg_hba.conf there: No entry.",
    primary_shut_out: "node1 cannot connect to node2 for replication;",
    other_system_there: "node3 finds the system 7002 at 127.0.0.1:5442, where node2 with the system 7001 should be;",
    not_tried: "node3 has not tried whether it can connect to node2; run this again.",
    backup: "node1 has 1 base backup(s) under way, which would fail; wait for the end.",
    backup_of_the_candidate: "node2 has 2 base backup(s) under way",
    archive_backlog: "node1 has 2 segments that wait for the archive, for which its shutdown would wait;",
    archive_failing: "node1 cannot archive its WAL, since 0001 fails: No space left.",
    our_archive_failing: "node1 cannot archive its WAL, since 0001 fails: No space left.",
    receiver_gone: "node1 has nothing that receives its WAL from the slot pgmahout_wal; look at the receiver's log",
    slot_without_failover: "The slot sales_in of the subscription sales_in on node1 would be lost, since it is not synchronized "
                           "to standbys; give the subscription failover: true.",
    slot_without_copy: "would be lost, since its copy on node2 is not there; see to sync_replication_slots there",
    copy_by_hand: "would be lost, since its copy on node2 is another of that name;",
    copy_invalid: "would be lost, since its copy on node2 is invalid (wal_removed); drop the copy",
    copy_not_in_step: "would be lost, since its copy on node2 is not in step; see to sync_replication_slots there.",
}


@pytest.mark.parametrize("make", CASES, ids=lambda make: str(make.__name__))
def test_each_condition_is_told_and_nothing_else(make: Break) -> None:
    cluster = Cluster()
    make(cluster)
    told, = refusals(cluster)
    assert CASES[make] in told
    assert told.endswith(".")


def test_a_healthy_cluster_has_nothing_against_it() -> None:
    cluster = Cluster()
    cluster.publish()
    archiving(cluster)
    cluster.results["node1"]["archiver"]["ready"] = 1
    cluster.set("synchronous_standby_names", "ANY 1 (node1, node2, node3)")
    cluster.set("synchronized_standby_slots", "node1, node3", "node2")
    cluster.sender("node2")["lag_bytes"] = 16 * 1024 ** 2
    assert refusals(cluster) == []


def test_all_that_is_wrong_is_told_at_once() -> None:
    cluster = Cluster()
    several: tuple[Break, ...] = (
        behind, paused, read_only, restart_pending, shut_out, backup, archive_backlog, slot_without_failover)
    for make in several:
        make(cluster)
    assert [CASES[make] in text for make, text in zip(several, refusals(cluster), strict=True)] == [True] * len(several)


def test_what_was_not_tried_by_anybody_is_not_told_before_the_candidate_is_known() -> None:
    cluster = Cluster()
    for host in cluster.hosts:
        cluster.results[host]["peers"] = []
    assert refusals(cluster) == []


def test_more_lag_may_be_allowed() -> None:
    cluster = Cluster()
    behind(cluster)
    assert refusals(cluster, max_lag_bytes=17 * 1024 ** 2) == []
    assert len(refusals(Cluster(), max_lag_bytes=0)) == 0


def test_what_a_role_may_not_see_is_no_lag_and_no_backlog() -> None:
    cluster = Cluster()
    archiving(cluster)
    cluster.sender("node2")["lag_bytes"] = cluster.results["node1"]["archiver"]["ready"] = None
    assert refusals(cluster) == []


def test_a_former_primary_that_is_left_alone_does_not_stand_against_it() -> None:
    cluster = Cluster()
    cluster.stop("node3", standby_signal=False, timeline=1)
    for host in ("node1", "node2"):
        cluster.results[host]["timeline"] = 2
    assert refusals(cluster) == []
    assert "node3 was primary on timeline 1" in refusals(cluster, "node3")[0]


def test_a_cascading_standby_is_refused_with_the_reason() -> None:
    told, = refusals(Cluster(upstreams={"node3": "node2"}), "node3")
    assert told == "node3 does not stream from the primary node1 itself; name one that does (node2)."


def test_a_subscription_of_the_same_name_is_no_stream() -> None:
    cluster = Cluster(2)
    cluster.sender("node2")["slot_type"] = "logical"
    assert refusals(cluster) == ["node2 does not stream from the primary node1 itself; look at its log."]


@pytest.mark.parametrize(("version", "told"), [
    (150004, "The slot sales_in of the subscription sales_in on node1 would be lost, since PostgreSQL 15 has none on standbys"),
    (160002, ""), (170001, "since it is not synchronized to standbys")])
def test_logical_slots_are_lost_by_version(version: int, told: str) -> None:
    cluster = Cluster(version=version)
    cluster.publish(failover=False if version >= 170000 else None)
    assert [told in text for text in refusals(cluster)] == ([True] if told else [])


@pytest.mark.parametrize("change", [{"conflicting": True}, {"wal_status": "lost"}, {"temporary": True}, {"slot_type": "physical"},
                                    {"name": "other"}, {"confirmed_flush_lsn": "0/4000001"}])
def test_a_slot_that_a_person_made_for_16_must_be_sound_and_not_further_than_the_consumer(change: dict[str, Any]) -> None:
    cluster = Cluster(version=160002)
    cluster.publish(failover=None, synced=None)
    assert refusals(cluster) == []
    cluster.copy("node2")["confirmed_flush_lsn"] = "0/3000000"
    assert refusals(cluster) == []
    cluster.copy("node2").update(change)
    told, = refusals(cluster)
    assert told == ("The slot sales_in of the subscription sales_in on node1 would be lost, since PostgreSQL 16 keeps none in "
                    "step with it on node2; make a slot of that name there, and wait until this one has passed it.")


def test_slots_that_go_with_their_session_are_not_missed() -> None:
    cluster = Cluster(version=150004)
    cluster.publish(temporary=True)
    assert refusals(cluster) == []


def test_a_slot_that_nobody_of_the_inventory_uses_is_told_too() -> None:
    cluster = Cluster(version=150004)
    cluster.publish("foreign")
    cluster.members["node1"]["publishers"] = {}
    assert "The slot foreign of whoever uses it on node1 would be lost" in refusals(cluster)[0]


def test_the_slots_that_are_there_already_need_no_room() -> None:
    cluster = Cluster()
    few_slots(cluster)
    cluster.results["node2"]["slots"][0]["name"] = "node3"
    assert refusals(cluster) == []


def test_a_delayed_standby_is_refused_unless_a_person_named_it() -> None:
    cluster = Cluster()
    cluster.set("recovery_min_apply_delay", "60000", "node2")
    assert refusals(cluster) == []
    assert "node2 replays with a delay of 60000 ms" in refusals(cluster, is_named=False)[0]
