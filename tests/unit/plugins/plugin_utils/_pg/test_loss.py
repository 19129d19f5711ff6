# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a failover may lose: what is certain, what is measured, and what nobody can know."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import lsn
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import loss
from tests.support.findings import END, Cluster


def expected(cluster: Cluster, candidate: str = "node2", primary: str = "node1") -> dict[str, Any]:
    standbys = [host for host in cluster.hosts if cluster.results[host].get("role") == "standby"]
    return loss.expected(cluster.view, primary, candidate, standbys)


def dead(names: str = "", hosts: int = 3) -> Cluster:
    cluster = Cluster(hosts)
    cluster.set("synchronous_standby_names", names)
    cluster.lose("node1")
    return cluster


def test_nobody_knows_what_a_host_had_that_cannot_be_reached() -> None:
    found = expected(dead())
    assert (found["bytes"], found["nothing"]) == (None, False)
    assert "What node1 wrote last and node2 has not received is lost" in found["told"]
    assert "What the former primary wrote last" in expected(dead(), primary="")["told"]


@pytest.mark.parametrize(("ahead", "nothing", "told"), [
    (0, True, "Nothing is lost: node2 has all that node1 wrote."),
    (-8, True, "Nothing is lost: node2 has all that node1 wrote."),
    (120, False, "Up to 120 B of WAL are lost, which node1 wrote and node2 has not received.")])
def test_what_the_data_directory_of_the_former_primary_tells_is_measured(ahead: int, nothing: bool, told: str) -> None:
    cluster = Cluster()
    cluster.stop("node1", "in production", lsn.show(END + ahead))
    assert expected(cluster) == {"bytes": max(0, ahead), "nothing": nothing, "told": told}


def test_a_former_primary_of_an_older_timeline_tells_nothing() -> None:
    cluster = Cluster()
    cluster.stop("node1", "in production")
    for host in ("node2", "node3"):
        cluster.results[host]["timeline"] = 2
    assert expected(cluster)["bytes"] is None


@pytest.mark.parametrize(("names", "nothing"), [
    ("ANY 1 (node1, node2, node3)", True), ("FIRST 1 (node2, node3)", True), ("ANY 1 (node2, node3, elsewhere)", False),
    ("ANY 2 (node2, node3, elsewhere)", True), ("FIRST 1 (elsewhere)", False), ("*", False), ("", False)])
def test_synchronous_replication_proves_it_or_not(names: str, nothing: bool) -> None:
    found = expected(dead(names))
    assert (found["bytes"], found["nothing"]) == (None, nothing)
    assert ("synchronous_standby_names %r" % names in found["told"]) == nothing


def test_unacknowledged_wal_is_counted_beside_the_proof() -> None:
    cluster = Cluster()
    cluster.set("synchronous_standby_names", "ANY 1 (node2, node3)")
    cluster.stop("node1", "in production", lsn.show(END + 40))
    assert (expected(cluster)["bytes"], expected(cluster)["nothing"]) == (40, True)


def test_nothing_is_proven_for_one_that_has_less_than_another() -> None:
    cluster = dead("ANY 1 (node2, node3)")
    cluster.results["node2"]["lsn"] = lsn.show(END - 8)
    assert not expected(cluster, "node2")["nothing"]
    assert expected(cluster, "node3")["nothing"]


def test_nothing_is_proven_where_the_standbys_disagree_or_commits_do_not_wait() -> None:
    cluster = dead("ANY 1 (node2, node3)")
    cluster.set("synchronous_commit", "local", "node3")
    assert not expected(cluster)["nothing"]
    for setting in ("on", "remote_apply", "remote_write"):
        cluster.set("synchronous_commit", setting, "node2", "node3")
        assert expected(cluster)["nothing"]
    cluster.set("synchronous_standby_names", "ANY 1 (node2)", "node3")
    assert not expected(cluster)["nothing"]


@given(st.integers(1, 3), st.sampled_from(["ANY", "FIRST"]), st.lists(st.integers(0, 20), min_size=3, max_size=3),
       st.sets(st.sampled_from(["node2", "node3", "node4"]), min_size=1), st.data())
def test_no_acknowledged_commit_is_lost_when_that_is_said(needed: int, method: str, received: list[int], seen: set[str],
                                                          data: st.DataObject) -> None:
    """A model: a commit at some position is acknowledged when as many as needed have received up to it."""
    hosts = ["node2", "node3", "node4"]
    at = dict(zip(hosts, received))
    ackers = [host for host in hosts if host in data.draw(st.sets(st.sampled_from(hosts)))]
    cluster = dead("%s %d (%s)" % (method, needed, ", ".join(hosts)), 4)
    for host in hosts:
        cluster.results[host]["lsn"] = lsn.show(END + 8 * at[host])
        if host not in seen:
            cluster.lose(host)
    candidate = max(sorted(seen), key=lambda host: at[host])
    said = expected(cluster, candidate)["nothing"]
    if len(ackers) >= needed and said:
        acknowledged = min(at[host] for host in ackers)
        assert at[candidate] >= acknowledged
    assert said == (3 - len(seen) < needed)


def published(**node2: Any) -> Cluster:
    cluster = Cluster()
    cluster.publish()
    cluster.copy("node2").update(node2)
    cluster.lose("node1")
    return cluster


def test_a_subscription_whose_slot_is_in_step_goes_on() -> None:
    assert "subscription" not in expected(published())["told"]


@pytest.mark.parametrize("broken", [
    {"temporary": True}, {"invalidation_reason": "rows_removed"}, {"conflicting": True}, {"wal_status": "lost"},
    {"name": "other", "synced": False}, {"slot_type": "physical"}])
def test_a_subscription_whose_slot_is_not_in_step_is_told(broken: dict[str, Any]) -> None:
    assert expected(published(**broken))["told"].endswith(
        " The subscription sales_in cannot go on, since node2 does not have its slot in step, as node3 does; "
        "drop it, empty its tables and make it again.")


def test_a_slot_that_no_standby_has_in_step_is_told_where_one_had_begun_with_it() -> None:
    cluster = published(temporary=True)
    cluster.copy("node3")["temporary"] = True
    cluster.members["node1"]["publishers"].clear()
    assert "since node2 does not have its slot in step; drop it" in expected(cluster)["told"]


def test_a_subscription_to_another_cluster_is_of_no_concern() -> None:
    cluster = Cluster()
    cluster.members["node1"]["publishers"]["sales_in"] = {"host": "127.0.0.1,127.0.0.2", "port": "5440,5442"}
    cluster.lose("node1")
    assert "subscription" not in expected(cluster)["told"]


def test_before_slots_can_be_on_a_standby_every_subscription_ends() -> None:
    cluster = Cluster(version=150000)
    cluster.publish()
    for host in ("node2", "node3"):
        cluster.results[host]["slots"].clear()
    cluster.lose("node1")
    assert "The subscription sales_in cannot go on" in expected(cluster)["told"]
