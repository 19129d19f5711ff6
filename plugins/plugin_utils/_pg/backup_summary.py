# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person is shown of a backup and of a restore: one line each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def backup_line(result: Mapping[str, Any]) -> str:
    """Return what a run of ``pg_backup`` did, or would do where the result is of check mode."""
    backup, removed = result["backup"], result.get("removed", [])
    if "size_bytes" not in backup:
        return "%s backup would be taken" % _kind(backup["type"])
    gone = "; removed %s" % ", ".join(removed) if removed else ""
    return "%s, %s backup, %s in %.1f s from %s, verified, up to LSN %s%s" % (
        backup["id"], _kind(backup["type"]), size(backup["size_bytes"]), backup["duration_seconds"], backup["source"],
        backup["stop_lsn"], gone)


def _kind(type_: str) -> str:
    return "a full" if type_ == "full" else "an incremental"


def size(number: float) -> str:
    """Return a number of bytes as people read it, such as ``38.0 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1024:
            return "%d B" % number if unit == "B" else "%.1f %s" % (number, unit)
        number /= 1024
    return "%.1f TB" % number


def restore_line(placed: Mapping[str, Any], reached: Mapping[str, Any], place: str) -> str:
    """Return what a restore came to.

    Args:
        placed: the result of ``pg_backup_restore``.
        reached: that of ``pg_recovery``; without ``reached`` where nothing was to recover.
        place: where the instance is.
    """
    begin = "%s is restored to %s" % (place, placed["target"])
    if placed["backups"]:
        begin += " from the backup %s" % placed["backups"][-1]
    found = reached.get("reached")
    if not found:
        return begin
    words = "; ".join(found["log"])
    last = "the last transaction at %s" % found["time"] if found["time"] else "with no transaction behind the backup"
    return "%s and %s at LSN %s on timeline %d, %s%s" % (
        begin, "paused" if found["paused"] else "promoted", found["lsn"], found["timeline"], last,
        " (%s)" % words if words else "")
