# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What monitoring is told: after a success, after a failure, before the first backup, and as Prometheus reads it."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import catalog, monitoring

GOOD = monitoring.Outcome("orders", "2026-11-22T19:01:02.000000Z", "2026-11-22T19:01:04.500000Z", "20261122T190102Z")
FAILED = monitoring.Outcome("orders", "2026-11-23T19:01:02.000000Z", "2026-11-23T19:01:03.000000Z", error="The disk is full.")
LINE = re.compile(r'^(pgmahout_backup_\w+)\{(\w+="(?:[^"\\\n]|\\.)*"(?:,\w+="(?:[^"\\\n]|\\.)*")*)\} (\S+)$')


def entry(number: int, parent: str | None = None, **changes: Any) -> catalog.Entry:
    """The backup of a day of November."""
    full = catalog.Entry(
        id=f"202611{number:02}T190102Z", type="incremental" if parent else "full", parent=parent, format="plain", compress="",
        cluster="orders", system_identifier="7001", version=18, timeline=1, start_lsn=f"0/{number:X}000028",
        stop_lsn=f"0/{number:X}000100", start_time=f"2026-11-{number:02}T19:01:02.000000Z",
        stop_time=f"2026-11-{number:02}T19:01:04.250000Z", next_xid=800, size_bytes=1000 + number, duration_seconds=2.25,
        verified=True, archive="wal", wal_segment_size=16777216, tablespaces={}, source="127.0.0.1:5440")
    return full._replace(**changes)


def samples(text: str) -> dict[str, float]:
    """What Prometheus would read; every other line must be a comment that belongs to the sample below it."""
    found = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.match(r"^# (HELP|TYPE) pgmahout_backup_\w+ .+$", line)
            continue
        match = LINE.match(line)
        assert match, line
        found[f"{match[1]}{{{match[2]}}}".replace('cluster="orders"', "").replace(",}", "}").replace("{,", "{").replace(
            "{}", "")] = float(match[3])
    return found


def test_after_a_success() -> None:
    full = entry(20)
    status = monitoring.status([entry(22, full.id), full], GOOD)
    assert status["last_run"] == {"started": GOOD.started, "ended": GOOD.ended, "duration_seconds": 2.5, "failed": False,
                                  "backup": GOOD.backup, "error": ""}
    assert status["last_success"]["id"] == "20261122T190102Z"
    assert status["backups"] == {"count": 2, "full": 1, "incremental": 1, "size_bytes": 2042}
    assert status["oldest_restorable"] == {"time": full.stop_time, "lsn": full.stop_lsn}
    assert samples(monitoring.prometheus(status)) == {
        "pgmahout_backup_last_run_timestamp_seconds": 1795374064.5,
        "pgmahout_backup_last_run_failed": 0,
        "pgmahout_backup_last_success_timestamp_seconds": 1795374064.25,
        "pgmahout_backup_last_success_duration_seconds": 2.25,
        "pgmahout_backup_last_success_size_bytes": 1022,
        'pgmahout_backup_count{type="full"}': 1,
        'pgmahout_backup_count{type="incremental"}': 1,
        "pgmahout_backup_size_bytes": 2042,
        "pgmahout_backup_oldest_restorable_timestamp_seconds": 1795201264.25,
    }


def test_a_failure_does_not_hide_the_last_success() -> None:
    status = monitoring.status([entry(22)], FAILED)
    assert (status["last_run"]["failed"], status["last_run"]["error"], status["last_run"]["backup"]) == (
        True, "The disk is full.", None)
    found = samples(monitoring.prometheus(status))
    assert found["pgmahout_backup_last_run_failed"] == 1
    assert found["pgmahout_backup_last_success_timestamp_seconds"] == 1795374064.25
    assert found["pgmahout_backup_last_run_timestamp_seconds"] == 1795374063 + 86400


def test_before_the_first_backup_there_are_no_samples_of_one() -> None:
    status = monitoring.status([], FAILED)
    assert status["last_success"] is None
    assert status["oldest_restorable"] is None
    assert set(samples(monitoring.prometheus(status))) == {
        "pgmahout_backup_last_run_timestamp_seconds", "pgmahout_backup_last_run_failed", "pgmahout_backup_size_bytes",
        'pgmahout_backup_count{type="full"}', 'pgmahout_backup_count{type="incremental"}'}


def test_a_difference_from_a_backup_that_is_gone_can_not_be_restored() -> None:
    orphan = entry(20, "20261119T190102Z")
    status = monitoring.status([orphan, entry(22), entry(23, orphan.id)], GOOD)
    assert status["oldest_restorable"]["time"] == entry(22).stop_time
    assert status["last_success"]["id"] == entry(22).id


def test_any_name_of_a_cluster_is_one_label() -> None:
    text = monitoring.prometheus(monitoring.status([entry(22)], GOOD._replace(cluster='a "b"\\c\nd')))
    assert samples(text)
    assert r'cluster="a \"b\"\\c\nd"' in text


def test_a_backup_that_was_not_verified_is_no_success() -> None:
    status = monitoring.status([entry(22), entry(23, verified=False)], GOOD)
    assert (status["last_success"]["id"], status["backups"]["count"]) == (entry(22).id, 2)
