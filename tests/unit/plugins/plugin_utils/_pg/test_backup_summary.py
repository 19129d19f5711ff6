# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines that a person is shown of a backup and of a restore."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import backup_summary

BACKUP: dict[str, Any] = {"id": "20261122T190102Z", "type": "full", "size_bytes": 39845888, "duration_seconds": 3.26,
                          "source": "node1:5432", "stop_lsn": "0/5000100"}
REACHED: dict[str, Any] = {"lsn": "0/6000000", "timeline": 2, "time": "2026-11-22T19:30:00.000000Z", "paused": False, "log": []}
PLACED: dict[str, Any] = {"target": "the time 2026-11-22 19:30:00.000000+00", "backups": ["20261121T190102Z", "20261122T190102Z"]}
RESTORED = "node2 is restored to the time 2026-11-22 19:30:00.000000+00 from the backup 20261122T190102Z"


@pytest.mark.parametrize(("result", "line"), [
    ({"backup": BACKUP, "removed": []},
     "20261122T190102Z, a full backup, 38.0 MB in 3.3 s from node1:5432, verified, up to LSN 0/5000100"),
    ({"backup": {**BACKUP, "type": "incremental"}, "removed": ["a", "b"]},
     "20261122T190102Z, an incremental backup, 38.0 MB in 3.3 s from node1:5432, verified, up to LSN 0/5000100; removed a, b"),
    ({"backup": {"id": "20261122T190102Z", "type": "full"}}, "a full backup would be taken"),
    ({"backup": {"id": "20261122T190102Z", "type": "incremental"}}, "an incremental backup would be taken")])
def test_a_backup(result: dict[str, Any], line: str) -> None:
    assert backup_summary.backup_line(result) == line


@pytest.mark.parametrize(("number", "shown"), [
    (0, "0 B"), (1023, "1023 B"), (1024, "1.0 kB"), (1536, "1.5 kB"), (1 << 20, "1.0 MB"), (5 << 30, "5.0 GB"),
    (1 << 40, "1.0 TB"), (2048 << 40, "2048.0 TB")])
def test_a_size(number: int, shown: str) -> None:
    assert backup_summary.size(number) == shown


@pytest.mark.parametrize(("placed", "reached", "line"), [
    (PLACED, {"reached": REACHED},
     RESTORED + " and promoted at LSN 0/6000000 on timeline 2, the last transaction at 2026-11-22T19:30:00.000000Z"),
    (PLACED, {"reached": {**REACHED, "paused": True, "timeline": 1, "time": None, "log": ["recovery stopping", "pausing"]}},
     RESTORED + " and paused at LSN 0/6000000 on timeline 1, with no transaction behind the backup (recovery stopping; pausing)"),
    (PLACED, {"changed": True}, RESTORED),
    ({"target": "the end of the WAL", "backups": []}, {}, "node2 is restored to the end of the WAL")])
def test_a_restore(placed: dict[str, Any], reached: dict[str, Any], line: str) -> None:
    assert backup_summary.restore_line(placed, reached, "node2") == line
