# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of the topology: what was read of the members, put together."""

from __future__ import annotations

from ansible_collections.pgmahout.cluster.plugins.action.pg_topology import machines, problems


def test_every_members_own_complaint_is_told_with_its_name() -> None:
    found = {"node1": {"problems": ["A.", "B."]}, "node2": {"problems": []}, "node3": {"unreachable": True}}
    assert problems(found) == ["On node1: A.", "On node1: B."]


def test_a_host_that_did_not_answer_has_no_machine() -> None:
    assert machines({"node1": {"host": {"machine": "a"}}, "node2": {"unreachable": True}}) == {"node1": "a"}
