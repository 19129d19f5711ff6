# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of pg_forget: take the secrets of a cluster out of the secrets file."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import secrets_file


class ActionModule(ActionBase):  # type: ignore[misc]
    """Forget the passwords and certificates of a cluster."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Do it; see the documentation of the module of the same name."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _checked, given = self.validate_argument_spec({
            "cluster": {"type": "str", "required": True}, "secrets_file": {"type": "path", "required": True}})
        try:
            result["changed"] = secrets_file.forget(os.path.expanduser(given["secrets_file"]), given["cluster"],
                                                    keep=self._task.check_mode)
        except secrets_file.Unusable as error:
            raise AnsibleActionFail(str(error)) from None
        return result
