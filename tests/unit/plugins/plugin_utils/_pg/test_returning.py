# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who comes back into a cluster, and who cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import returning

from .test_liveness import GONE, named, result, stream
from .test_topology import inventory

MARK = {"node1": {"timeline": 1, "lsn": "0/3000148"}}
CRASHED = result("primary", running=False)
PRIMARY = result("primary", 2, fenced=MARK)
STANDBY = result("standby", 2, upstream=stream("node2"))


def choose(*results: Mapping[str, Any], rejoin: tuple[str, ...] = (), reclone: tuple[str, ...] = ()) -> Any:
    found = named(*results)
    chosen = returning.choose(inventory(tuple(found)), found, rejoin, reclone)
    return chosen["refusals"] or (chosen["rejoined"], chosen["recloned"])


def test_everyone_who_was_left_alone_comes_back_unless_others_are_named() -> None:
    assert choose(CRASHED, PRIMARY, STANDBY) == (["node1"], [])
    assert choose(result("standby", running=False), PRIMARY, STANDBY) == (["node1"], [])
    assert choose(result("primary"), PRIMARY, STANDBY) == (["node1"], [])
    assert choose(CRASHED, result("primary", 2), result("standby", 3)) == (["node1", "node3"], [])
    assert choose(CRASHED, result("primary", 2), result("standby", 3), rejoin=("node3",)) == (["node3"], [])


def test_who_is_to_be_cloned_anew_is_not_rewound() -> None:
    assert choose(CRASHED, PRIMARY, STANDBY, reclone=("node1",)) == ([], ["node1"])
    assert choose({"instance": {**result("x")["instance"], "kind": "missing"}, "running": False}, PRIMARY, STANDBY,
                  reclone=("node1",)) == ([], ["node1"])


def test_who_follows_already_is_passed_over() -> None:
    assert choose(STANDBY, PRIMARY, STANDBY) == ([], [])
    assert choose(STANDBY, PRIMARY, STANDBY, rejoin=("node1",), reclone=("node3",)) == ([], [])


def test_a_cluster_of_which_nothing_can_be_said_is_told() -> None:
    assert "two primaries" in choose(result("primary"), result("primary", 2), STANDBY)[0]


def test_who_cannot_be_reached_stays_away() -> None:
    assert choose(GONE, PRIMARY, STANDBY) == ([], [])


@pytest.mark.parametrize(("results", "options", "told"), [
    ([GONE, PRIMARY, STANDBY], {"rejoin": ("node1",)}, "its host cannot be reached"),
    ([CRASHED, PRIMARY, STANDBY], {"rejoin": ("node7",)}, "no such member; it has node1, node2, node3"),
    ([CRASHED, PRIMARY, STANDBY], {"rejoin": ("node2",)}, "is the primary"),
    ([CRASHED, PRIMARY, STANDBY], {"reclone": ("node2",)}, "was to be cloned anew and is the primary"),
    ([{"instance": {**result("x")["instance"], "kind": "missing"}, "running": False}, PRIMARY, STANDBY], {"rejoin": ("node1",)},
     "playbook deploy, which clones it"),
    ([result("primary"), result("standby", fenced=MARK), result("standby")], {"rejoin": ("node1",)}, "no primary"),
    ([CRASHED, result("primary", 2, running=False, fenced=MARK), STANDBY], {"rejoin": ("node1",)}, "has no primary that runs"),
    ([result("primary", 2), result("primary", 2), STANDBY], {"rejoin": ("node1",)}, "stop the one that is wrong yourself"),
    ([result("primary", 3), result("primary", 2), STANDBY], {"rejoin": ("node1",)}, "as primary on timeline 3, and node2 on 2"),
])
def test_who_cannot_come_back_is_refused(results: list[Mapping[str, Any]], options: dict[str, Any], told: str) -> None:
    refused = choose(*results, **options)
    assert isinstance(refused, list), refused
    assert told in refused[0]


def test_of_two_primaries_the_older_comes_back_when_it_is_named() -> None:
    assert choose(result("primary", 1), result("primary", 2), STANDBY, rejoin=("node1",)) == (["node1"], [])
