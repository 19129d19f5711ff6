# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of pg_returning: from what was found on the members to who comes back."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import returning


class ActionModule(ActionBase):  # type: ignore[misc]
    """Return who comes back into their cluster, or refuse to go on."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Do it; see the documentation of the module of the same name."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        known = task_vars["pg_inventory"]
        results = {host: task_vars["hostvars"][host]["pg_found"] for host in known["members"]
                   if host in task_vars["ansible_play_hosts_all"]}
        chosen = returning.choose(known, results, self._names("members"), self._names("reclone"))
        if chosen["refusals"]:
            raise AnsibleActionFail("\n".join(chosen["refusals"]))
        result.update(chosen)
        return result

    def _names(self, option: str) -> list[str]:
        """Return names from a list, or from a text with commas, as options on the command line are."""
        given = self._task.args.get(option) or []
        names = given.split(",") if isinstance(given, str) else given
        return [str(name).strip() for name in names if str(name).strip()]
