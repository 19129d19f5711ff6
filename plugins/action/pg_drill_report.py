# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of pg_drill_report: the report of a drill, as data and as a page."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import drill_page, drill_report

ROOT = Path(__file__).parent.parent.parent


class ActionModule(ActionBase):  # type: ignore[misc]
    """Write the report."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Do it; see the documentation of the module of the same name."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _checked, given = self.validate_argument_spec({
            "directory": {"type": "path", "required": True}, "facts": {"type": "dict", "required": True}})
        report = drill_report.build(measured(given["facts"]))
        files = {"drill-report.json": json.dumps(report, indent=2) + "\n", "drill-report.html": drill_page.render(report)}
        directory = Path(given["directory"]).absolute()
        if not self._task.check_mode:
            write(directory, files)
        result.update(changed=True, report=report, passed=report["verdict"] == "passed",
                      files=[str(directory / name) for name in files])
        return result


def measured(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a drill, without what failed or did not take place, with versions and what it took no time for."""
    now = time.time()
    found = {name: {} if isinstance(value, Mapping) and (value.get("failed") or value.get("skipped")) else value
             for name, value in facts.items()}
    versions = {"pgmahout.cluster": collection_version(), "ansible-core": ansible_version}
    if found.get("restored"):
        versions = {"postgresql": found["restored"]["server_version"], **versions}
    return {"started": now, "ended": now, **found, "versions": versions}


def collection_version() -> str:
    """Return the version of this collection, as it was installed or as it is being worked on."""
    if (ROOT / "MANIFEST.json").exists():
        return str(json.loads((ROOT / "MANIFEST.json").read_text())["collection_info"]["version"])
    return str(yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"])


def write(directory: Path, files: dict[str, str]) -> None:
    """Write files, each whole or not at all.

    Raises:
        AnsibleActionFail: they cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            draft = directory / (name + ".pgmahout")
            draft.write_text(text, encoding="utf-8")
            os.replace(draft, directory / name)
    except OSError as error:
        raise AnsibleActionFail(f"The report of the drill was to be written into {directory} and that failed: {error.strerror}; "
                                f"set pg_drill_report_directory to a directory that you may write to.") from None
