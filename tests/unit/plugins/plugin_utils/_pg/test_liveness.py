# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A primary is gone when nothing of it is seen from anywhere: each sign of life, one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import liveness

HOSTS = ("node1", "node2", "node3")
INVENTORY = {"members": {host: {"address": "10.0.0.%s" % host[-1], "port": 5432} for host in HOSTS}}
GONE: Mapping[str, Any] = {"unreachable": True}


def result(role: str, timeline: int = 1, running: bool = True, **more: Any) -> dict[str, Any]:
    """What pg_replication_info returns, as far as it matters here; the other members do not answer."""
    instance = {"kind": "instance", "standby_signal": role == "standby", "recovery_signal": False, "system_identifier": "7001",
                "timeline": timeline, "floors": {}, "control_state": more.pop("control_state", "in production"),
                "fenced": more.pop("fenced", {})}
    return {"running": running, "answers": running, "role": role, "timeline": timeline, "instance": instance,
            "peers": more.pop("peers", [peer("node1")]), **more}


def peer(host: str, answers: bool = False, identifier: str = "") -> dict[str, Any]:
    return {"address": "10.0.0.%s:5432" % host[-1], "answers": answers, "system_identifier": identifier, "problem": ""}


def stream(host: str, **changes: Any) -> dict[str, Any]:
    return {"status": "streaming", "host": "10.0.0.%s" % host[-1], "port": 5432, "silent_seconds": 0.1, **changes}


def named(*results: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return dict(zip(HOSTS, results))


@pytest.mark.parametrize(("results", "expected"), [
    ([result("primary"), result("standby"), result("standby")], ["node1"]),
    ([result("primary", running=False), result("standby"), GONE], ["node1"]),
    ([GONE, result("standby"), result("standby")], ["node1"]),
    ([result("standby", running=False, control_state="shut down"), result("standby"), result("standby")], ["node1"]),
    ([GONE, result("standby"), GONE], ["node1", "node3"]),
    ([result("primary", 1, running=False), result("primary", 2, running=False), result("standby", 2)], ["node2"]),
    ([result("primary", 1), result("primary", 2), result("standby", 2)], ["node1", "node2"]),
    ([GONE, result("primary", 2, running=False, fenced={"node1": {"timeline": 1}}), result("standby", 2)], ["node2"]),
    ([GONE, result("standby", fenced={"node1": {"timeline": 1}}), result("standby")], []),
    ([result("standby", running=False, fenced={"node1": {"timeline": 1}}), result("standby"), GONE], ["node1"]),
    ([result("standby", running=False), result("standby", 2, fenced={"node1": {"timeline": 1}}), GONE], ["node3"]),
])
def test_the_former_primary_is_who_was_it_last_or_may_be_it(results: list[Mapping[str, Any]], expected: list[str]) -> None:
    assert liveness.former(HOSTS, named(*results)) == expected


def signs(first: Mapping[str, Any], second: Mapping[str, Any], knocked: bool = False) -> list[str]:
    results = named(first, second, result("standby"))
    return liveness.signs(["node1"], HOSTS, INVENTORY, results, {"node1": knocked}).get("node1", [])


@pytest.mark.parametrize("first", [GONE, result("primary", running=False)])
def test_nothing_of_a_primary_that_is_gone_is_seen(first: Mapping[str, Any]) -> None:
    assert signs(first, result("standby")) == []
    assert signs(first, GONE) == []


def test_each_sign_of_life_is_seen() -> None:
    assert signs(result("primary"), result("standby")) == ["runs on its host"]
    assert signs(GONE, result("standby"), knocked=True) == ["answers to the controller"]
    assert signs(GONE, result("standby", peers=[peer("node1", True)])) == ["answers to node2"]
    assert signs(GONE, result("standby", peers=[peer("node1", True, "7001")])) == ["answers to node2"]
    assert signs(GONE, result("standby", upstream=stream("node1"))) == ["streams to node2"]


def test_what_only_looks_alive_is_none() -> None:
    assert signs(GONE, result("standby", peers=[peer("node1", True, "7002")])) == [], "another system took its place"
    assert signs(GONE, result("standby", peers=[peer("node3", True)])) == []
    assert signs(GONE, result("standby", upstream=stream("node3"))) == [], "a cascade"
    assert signs(GONE, result("standby", upstream=stream("node1", silent_seconds=20))) == [], "nobody has ended the connection"
    assert signs(GONE, result("standby", upstream=stream("node1", status="waiting"))) == []
    assert signs(GONE, result("standby", upstream=None)) == []


def test_a_primary_that_lives_is_replaced_by_force_alone_and_only_where_it_can_be_stopped() -> None:
    reached, cut_off = named(result("primary"), result("standby")), named(GONE, result("standby"))
    assert "switchover" in liveness.refusals("orders", {"node1": ["runs on its host"]}, reached, False)[0]
    assert liveness.refusals("orders", {"node1": ["runs on its host"]}, reached, True) == []
    for force in (False, True):
        told = liveness.refusals("orders", {"node1": ["answers to node2"]}, cut_off, force)[0]
        assert "node1 lives: it answers to node2" in told
        assert ("cannot be reached to stop it" in told) == force
    assert liveness.refusals("orders", {}, cut_off, False) == []


def test_a_standby_that_streams_from_nobody_known_has_a_primary() -> None:
    known = named(result("standby", upstream=stream("node2")), result("standby"), GONE)
    assert liveness.strangers(HOSTS, INVENTORY, known) == []
    foreign = named(result("standby", upstream=stream("node9")), result("standby"), GONE)
    assert "node1 streams from 10.0.0.9:5432" in liveness.strangers(HOSTS, INVENTORY, foreign)[0]
