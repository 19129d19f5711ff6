# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of pg_candidate: from the options of a task to a wish, and from refusals to an error."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.pgmahout.cluster.plugins.action.pg_candidate import ActionModule
from tests.support.findings import Cluster


def run(cluster: Cluster, **options: Any) -> dict[str, Any]:
    """Run the task among the members of the cluster; another cluster of the inventory is not in this run."""
    task = SimpleNamespace(args=options, async_val=0, check_mode=False, diff=False, environment=None, action="pg_candidate")
    action = ActionModule(task, SimpleNamespace(_shell=SimpleNamespace(tmpdir=None)), None, None, None, None)
    found: dict[str, Any] = action.run(task_vars={
        "pg_inventory": cluster.inventory, "ansible_play_hosts_all": cluster.hosts,
        "hostvars": {host: {"pg_found": result} for host, result in cluster.results.items()}})
    return found


def test_the_action_decides_what_is_asked() -> None:
    cluster = Cluster()
    assert run(cluster, action="switchover", to="node3")["candidate"] == "node3"
    cluster.lose("node1")
    assert run(cluster, action="failover")["loss"]["bytes"] is None


def test_all_refusals_are_one_error_or_a_result() -> None:
    cluster = Cluster()
    cluster.results["node2"]["replay_paused"] = True
    cluster.results["node1"]["base_backups"] = 1
    found = run(cluster, action="switchover", to="node2", refuse=False)
    assert len(found["refusals"]) == 2
    with pytest.raises(AnsibleActionFail) as refused:
        run(cluster, action="switchover", to="node2")
    assert str(refused.value) == "\n".join(found["refusals"])


def test_who_gives_a_member_has_named_it_unless_the_task_says_otherwise() -> None:
    cluster = Cluster()
    cluster.set("recovery_min_apply_delay", "9", "node2")
    named = {"action": "switchover", "to": "node2", "refuse": False}
    assert run(cluster, **named)["refusals"] == []
    assert len(run(cluster, **named, named=False)["refusals"]) == 1


def test_a_negative_lag_is_refused() -> None:
    with pytest.raises(AnsibleActionFail, match="max_lag_bytes is -1; give 0 or more"):
        run(Cluster(), action="switchover", max_lag_bytes=-1)
