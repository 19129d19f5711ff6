# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of pg_candidate: from what was found on the members to who becomes primary."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import candidate


class ActionModule(ActionBase):  # type: ignore[misc]
    """Return the candidate, or refuse with all that stands against it."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Do it; see the documentation of the module of the same name."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _result, given = self.validate_argument_spec(argument_spec={
            "action": {"type": "str", "choices": ["switchover", "failover"], "required": True},
            "cluster": {"type": "str", "default": ""},
            "to": {"type": "str", "default": ""},
            "named": {"type": "bool"},
            "max_lag_bytes": {"type": "int", "default": 16 * 1024 ** 2},
            "force": {"type": "bool", "default": False},
            "refuse": {"type": "bool", "default": True},
        })
        if given["max_lag_bytes"] < 0:
            raise AnsibleActionFail("The max_lag_bytes is %d; give 0 or more." % given["max_lag_bytes"])
        is_named = bool(given["to"]) if given["named"] is None else given["named"]
        wish = candidate.Wish(given["cluster"], given["to"], is_named, given["max_lag_bytes"], given["force"])
        known = task_vars["pg_inventory"]
        results = {host: task_vars["hostvars"][host]["pg_found"] for host in known["members"]
                   if host in task_vars["ansible_play_hosts_all"]}
        decide = {"switchover": candidate.switchover, "failover": candidate.failover}[given["action"]]
        answer = decide(known, results, wish)
        if answer["refusals"] and given["refuse"]:
            raise AnsibleActionFail("\n".join(answer["refusals"]))
        result.update(answer)
        return result
