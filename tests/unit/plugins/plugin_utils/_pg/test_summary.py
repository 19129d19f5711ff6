# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person is shown, and what is not healthy."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import summary

MEMBER: dict[str, Any] = {"cluster": "orders", "address": "127.0.0.1", "port": 5440, "superuser": "postgres",
                          "databases": ["shop"], "wal": "none", "backup_host": "", "backup_directory": "/backups"}
INVENTORY: dict[str, Any] = {
    "members": {"node1": MEMBER, "node2": {**MEMBER, "port": 5441, "databases": []}},
    "clusters": {"orders": {"members": ["node1", "node2"]}}}
TOPOLOGY: dict[str, Any] = {"refusals": [], "clusters": {"orders": {"primary": "node1"}}, "members": {
    "node1": {"role": "primary", "upstream": "", "note": ""}, "node2": {"role": "standby", "upstream": "node1", "note": ""}}}
LIVE: dict[str, Any] = {
    "running": True, "answers": True, "role": "primary", "timeline": 3, "upstream": None, "replay_paused": None, "slots": [],
    "pending_restart": [], "subscriptions": [], "standbys": [], "problems": [], "host": {"bindir": "/opt/pg/bin"},
    "instance": {"kind": "instance", "socket_directory": "/run/pg", "port": 5440}}
PRIMARY = {**LIVE, "standbys": [{"application_name": "node2", "lag_bytes": 4096, "lag_seconds": 0.25}]}
STANDBY = {**LIVE, "role": "standby", "upstream": {"status": "streaming"}, "replay_paused": False}
SUBSCRIPTION = {"name": "sales", "database": "dwh", "enabled": True, "running": True, "tables": {"a": "r"}}


def lines(one: dict[str, Any] = PRIMARY, other: dict[str, Any] = STANDBY, **notes: str) -> list[str]:
    members = {host: {**member, **({"role": "left", "note": notes[host]} if host in notes else {})}
               for host, member in TOPOLOGY["members"].items()}
    return summary.lines(INVENTORY, {**TOPOLOGY, "members": members}, {"node1": one, "node2": other})


def complaints(one: dict[str, Any] = PRIMARY, other: dict[str, Any] = STANDBY, **topology: Any) -> list[str]:
    return summary.complaints(INVENTORY, {**TOPOLOGY, **topology}, {"node1": one, "node2": other})


def test_each_member_has_a_line_with_a_command_that_connects() -> None:
    head, first, second = lines()
    assert head.split() == ["CLUSTER", "HOST", "ROLE", "ADDRESS", "TL", "LAG", "CONNECT"]
    assert first.split()[:5] == ["orders", "node1", "primary", "127.0.0.1:5440", "3"]
    assert first.endswith("/opt/pg/bin/psql 'host=/run/pg port=5440 user=postgres dbname=shop'")
    assert "standby of node1" in second
    assert "4096 B, 0.2 s" in second
    assert head.index("ADDRESS") == first.index("127.0.0.1") == second.index("127.0.0.1")


@pytest.mark.parametrize(("other", "shown"), [
    ({"unreachable": True}, "unreachable"),
    ({**LIVE, "running": False, "answers": False, "role": None}, "standby (stopped)"),
    ({**LIVE, "running": False, "answers": False, "role": None, "instance": {"kind": "missing"}}, "standby (not there)"),
    ({**LIVE, "subscriptions": [SUBSCRIPTION]}, "subscriber"),
])
def test_a_role_is_shown_as_it_is(other: dict[str, Any], shown: str) -> None:
    assert shown in lines(other=other)[2]


def test_a_standby_without_a_stream_is_told() -> None:
    assert "no stream" in lines(one=LIVE)[2]


def test_what_is_left_alone_is_told_with_its_reason() -> None:
    found = lines(node2="node2 was primary.")
    assert "left alone" in found[2]
    assert found[3] == "node2 was primary."


def test_a_healthy_cluster_has_no_complaints() -> None:
    assert complaints() == []


@pytest.mark.parametrize(("one", "other", "told"), [
    (PRIMARY, {**STANDBY, "running": False}, "node2 does not run; start it"),
    (PRIMARY, {**STANDBY, "answers": False, "problems": ["No way in."]}, "No way in."),
    (PRIMARY, {**STANDBY, "upstream": None}, "node2 is a standby and does not stream from node1"),
    (PRIMARY, {**STANDBY, "upstream": {"status": "waiting"}}, "does not stream from node1"),
    (PRIMARY, {**STANDBY, "replay_paused": True}, "node2 has paused its replay"),
    ({**PRIMARY, "slots": [{"name": "s", "wal_status": "lost"}, {"name": "t", "wal_status": "reserved"}]}, STANDBY,
     "node1 has the slot s, whose WAL is gone"),
    ({**PRIMARY, "pending_restart": [{"name": "port"}, {"name": "ssl"}]}, STANDBY, "wait for a restart: port, ssl"),
    ({**PRIMARY, "subscriptions": [{**SUBSCRIPTION, "enabled": False}]}, STANDBY, "subscription sales disabled"),
    ({**PRIMARY, "subscriptions": [{**SUBSCRIPTION, "running": False}]}, STANDBY, "its worker does not run"),
    ({**PRIMARY, "subscriptions": [{**SUBSCRIPTION, "tables": {"b": "d", "a": "s", "c": "r"}}]}, STANDBY,
     "whose tables a, b are not in step yet"),
])
def test_whatever_is_not_healthy_is_one_complaint(one: dict[str, Any], other: dict[str, Any], told: str) -> None:
    found = complaints(one, other)
    assert len(found) == 1
    assert told in found[0]


def test_a_refusal_is_a_complaint() -> None:
    assert complaints(refusals=["Two primaries."]) == ["Two primaries."]
