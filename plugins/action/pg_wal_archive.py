# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the module of this name is run, with the programs that it installs; see ``plugin_utils/_pg/here.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import here

PROGRAMS = Path(__file__).parent.parent.parent / "roles" / "pg_backup" / "files"


class ActionModule(here.ActionModule):
    """Run the module."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Run it, with the programs of this collection where no others are given."""
        if not self._task.args.get("programs"):
            self._task.args["programs"] = {path.name: path.read_text(encoding="utf-8") for path in sorted(PROGRAMS.iterdir())}
        return super().run(tmp, task_vars)
