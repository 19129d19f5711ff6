# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One cluster as it was found: what is read off it."""

from __future__ import annotations

from tests.support.findings import END, Cluster


def test_who_streams_from_whom_is_what_the_upstream_says() -> None:
    cluster = Cluster(4, {"node4": "node2"})
    cluster.sender("node3")["state"] = "catchup"
    view = cluster.view
    assert (view.streams_from("node1"), view.streams_from("node2"), view.streams_from("node3")) == (["node2"], ["node4"], [])
    assert view.sender("node1", "node4") == {}


def test_the_stream_counts_before_a_backup_under_the_same_name() -> None:
    cluster = Cluster(2)
    cluster.results["node1"]["standbys"].insert(0, {**cluster.sender("node2"), "state": "backup"})
    cluster.results["node1"]["standbys"].append({**cluster.sender("node2"), "state": "backup"})
    assert cluster.view.sender("node1", "node2")["state"] == "streaming"


def test_settings_are_numbers_where_the_version_has_them() -> None:
    cluster = Cluster(2)
    view = cluster.view
    assert [view.number("node1", name) for name in ("max_connections", "not_yet")] == [100, 0]
    assert view.setting("node1", "not_yet") == ""
    cluster.set("recovery_min_apply_delay", "5", "node2")
    assert (view.is_delayed("node1"), view.is_delayed("node2")) == (False, True)


def test_members_are_known_by_where_they_listen() -> None:
    view = Cluster(2).view
    assert view.address("node2") == "127.0.0.1:5442"
    assert [view.at(address) for address in ("127.0.0.1:5442", "127.0.0.1:1", "")] == ["node2", "", ""]
    assert view.position("node1") == END


def test_a_host_that_is_gone_answers_nothing() -> None:
    cluster = Cluster(2)
    cluster.lose("node2")
    assert [cluster.view.answers(host) for host in cluster.hosts] == [True, False]
    assert cluster.view.streams_from("node2") == []
