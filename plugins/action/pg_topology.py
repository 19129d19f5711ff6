# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of pg_topology: from what was found on the members to what each is to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import assumed, inventory, topology


class ActionModule(ActionBase):  # type: ignore[misc]
    """Return what each member is to be, or refuse to go on."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Do it; see the documentation of the module of the same name."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        known = task_vars["pg_inventory"]
        hosts = [host for host in known["members"] if host in task_vars["ansible_play_hosts_all"]]
        results = {host: task_vars["hostvars"][host]["pg_found"] for host in hosts}
        found = {host: topology.found_of(one) for host, one in results.items()}
        decided = topology.decide(known, self._assumed(known, found))
        fenced = [host for host, member in decided["members"].items() if member["fenced"]]
        for host, member in decided["members"].items():
            member["beside"] = beside(host, machines(results))
            member["hba"] = inventory.hba_entries(known["members"][host]["cluster"], known["members"], known["clusters"], fenced)
        refusals = problems(results) + inventory.clashes(known["members"], machines(results)) + decided["refusals"]
        if refusals and self._task.args.get("refuse", True):
            raise AnsibleActionFail("\n".join(refusals))
        result.update(decided, refusals=refusals, hosts=hosts)
        return result

    def _assumed(self, known: Mapping[str, Any], found: dict[str, topology.Found]) -> dict[str, topology.Found]:
        """Return the findings as they will be when the tasks that follow have done what the options say."""
        promoted, fenced = self._task.args.get("promoted", ""), self._task.args.get("fenced")
        if promoted and fenced is None:
            primary = topology.decide(known, found)["clusters"][known["members"][promoted]["cluster"]]["primary"]
            return assumed.reversed_roles(found, primary, promoted)
        if promoted:
            return assumed.failed_over(found, promoted, fenced)
        return assumed.returned(found, self._task.args.get("rejoined", ()), self._task.args.get("recloned", ()))


def beside(host: str, known: Mapping[str, str]) -> list[str]:
    """Return the members on the machine of a member, itself among them, in one order."""
    return [other for other in known if known[other] == known.get(host)]


def problems(results: Mapping[str, Any]) -> list[str]:
    """Return what each member's own reading complained about, or why it could not be read."""
    found = []
    for host, one in results.items():
        failed = [one["msg"]] if one.get("failed") and not one.get("unreachable") else []
        found += ["On %s: %s" % (host, text) for text in failed + list(one.get("problems", ()))]
    return found


def machines(results: Mapping[str, Any]) -> dict[str, str]:
    """Return what tells the machine of each member that answered from others."""
    return {host: one["host"]["machine"] for host, one in results.items() if "host" in one}
