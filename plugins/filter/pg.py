# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the templates of the roles need: a setting's value, a line of pg_hba.conf, a connection string."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import conninfo, guc, hba
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import PgError
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import backup_summary, summary


def _told(function: Callable[..., str]) -> Callable[..., str]:
    def filtered(value: Any) -> str:
        try:
            return function(value)
        except PgError as error:
            raise AnsibleFilterError(str(error)) from None

    return filtered


def _hba_line(entry: Mapping[str, Any]) -> str:
    return hba.line(entry)


def _summary(results: Mapping[str, Any], inventory: Mapping[str, Any], topology: Mapping[str, Any]) -> list[str]:
    return summary.lines(inventory, topology, results)


def _complaints(results: Mapping[str, Any], inventory: Mapping[str, Any], topology: Mapping[str, Any]) -> list[str]:
    return summary.complaints(inventory, topology, results)


class FilterModule:
    """The filters of the collection."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"pg_setting": _told(guc.render), "pg_hba_line": _told(_hba_line), "pg_conninfo": _told(conninfo.render),
                "pg_backup_line": backup_summary.backup_line, "pg_restore_line": backup_summary.restore_line,
                "pg_switchover_line": summary.switchover_line, "pg_summary": _summary, "pg_complaints": _complaints}
