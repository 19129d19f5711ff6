# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of pg_liveness: what was found on the members, and a look from here."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import peers
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import liveness


class ActionModule(ActionBase):  # type: ignore[misc]
    """Return whether the primary that a failover is to replace still lives."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Do it; see the documentation of the module of the same name."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        name, known = self._task.args["cluster"], task_vars["pg_inventory"]
        hosts = known["clusters"][name]["members"]
        results = {host: task_vars["hostvars"][host]["pg_found"] for host in hosts}
        suspects = liveness.former(hosts, results)
        patience = float(self._task.args.get("timeout", 3))
        knocked = {host: peers.is_server(known["members"][host]["address"], int(known["members"][host]["port"]), patience)
                   for host in suspects}
        alive = liveness.signs(suspects, hosts, known, results, knocked)
        refusals = liveness.refusals(name, alive, results, bool(self._task.args.get("force")))
        if not suspects:
            refusals += liveness.strangers(hosts, known, results)
        result.update(former=suspects, signs=alive, refusals=refusals)
        return result
