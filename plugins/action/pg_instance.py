# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the module of this name is run, with the program that guards a start; see ``plugin_utils/_pg/here.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import here

PROGRAM = Path(__file__).parent.parent.parent / "roles" / "pg_server" / "files" / "start-guard"


class ActionModule(here.ActionModule):
    """Run the module."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Run it, with the program of this collection where it is needed and no other is given."""
        if self._task.args.get("start_guard") and not self._task.args.get("start_guard_program"):
            self._task.args["start_guard_program"] = PROGRAM.read_text(encoding="utf-8")
        return super().run(tmp, task_vars)
