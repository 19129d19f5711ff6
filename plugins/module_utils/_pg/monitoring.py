# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What monitoring is told of a repository of backups: a pure function of its entries and of how the last run ended.

``status`` is what ``status.json`` holds. ``prometheus`` says the same in the text format of Prometheus (exposition formats,
"Text-based format"), for the textfile collector of its node exporter. What is not known has no sample there, so that a missing
first backup is a missing series and not a zero that looks like 1970.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import catalog, recovery_target

SCHEMA = "pgmahout.status"
VERSION = 1

#: Names of the metrics behind ``pgmahout_backup_``, each with its help.
_METRICS = {
    "last_run_timestamp_seconds": "When the last run ended, seconds since 1970.",
    "last_run_failed": "Whether the last run failed, 1 or 0.",
    "last_success_timestamp_seconds": "The end of the newest backup, seconds since 1970.",
    "last_success_duration_seconds": "How long the newest backup took.",
    "last_success_size_bytes": "The size of the newest backup.",
    "count": "How many backups there are.",
    "size_bytes": "The size of all backups, without the WAL archive.",
    "oldest_restorable_timestamp_seconds": "The earliest moment that can be restored, seconds since 1970.",
}


class Outcome(NamedTuple):
    """How a run of ``pg_backup`` ended.

    Attributes:
        cluster: whose backups these are.
        started: RFC 3339, UTC.
        ended: the same.
        backup: the ID of the backup that was made; None when the run failed.
        error: the sentence that it failed with; ``""`` when it did not.
    """

    cluster: str
    started: str
    ended: str
    backup: Optional[str] = None
    error: str = ""


def status(entries: Sequence[catalog.Entry], outcome: Outcome) -> Dict[str, Any]:
    """Return what monitoring is to know.

    Args:
        entries: all of the catalog, in any order.
        outcome: of the last run.
    """
    complete = sorted((one for one in entries if catalog.is_complete(entries, one)), key=lambda one: (one.stopped, one.id))
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "cluster": outcome.cluster,
        "last_run": {
            "started": outcome.started,
            "ended": outcome.ended,
            "duration_seconds": round(_epoch(outcome.ended) - _epoch(outcome.started), 3),
            "failed": bool(outcome.error),
            "backup": outcome.backup,
            "error": outcome.error,
        },
        "last_success": _newest(complete[-1]) if complete else None,
        "backups": {
            "count": len(entries),
            "full": sum(one.type == "full" for one in entries),
            "incremental": sum(one.type == "incremental" for one in entries),
            "size_bytes": sum(one.size_bytes for one in entries),
        },
        "oldest_restorable": {"time": complete[0].stop_time, "lsn": complete[0].stop_lsn} if complete else None,
    }


def _newest(one: catalog.Entry) -> Dict[str, Any]:
    return {"id": one.id, "type": one.type, "stop_time": one.stop_time, "stop_lsn": one.stop_lsn,
            "duration_seconds": one.duration_seconds, "size_bytes": one.size_bytes}


def prometheus(found: Mapping[str, Any]) -> str:
    """Return a status as Prometheus reads it."""
    lines: List[str] = []
    samples = _samples(found)
    for name, text in _METRICS.items():
        values = [(labels, value) for metric, labels, value in samples if metric == name]
        if values:
            lines += ["# HELP pgmahout_backup_%s %s" % (name, text), "# TYPE pgmahout_backup_%s gauge" % name]
            lines += ["pgmahout_backup_%s{%s} %s" % (name, _labels(dict(labels, cluster=found["cluster"])), _number(value))
                      for labels, value in values]
    return "\n".join(lines) + "\n"


def _samples(found: Mapping[str, Any]) -> List[Tuple[str, Dict[str, str], float]]:
    run, newest, oldest, kept = (found[name] for name in ("last_run", "last_success", "oldest_restorable", "backups"))
    made: List[Tuple[str, Dict[str, str], float]] = [
        ("last_run_timestamp_seconds", {}, _epoch(run["ended"])),
        ("last_run_failed", {}, int(run["failed"])),
        ("count", {"type": "full"}, kept["full"]),
        ("count", {"type": "incremental"}, kept["incremental"]),
        ("size_bytes", {}, kept["size_bytes"]),
    ]
    if newest:
        made += [("last_success_timestamp_seconds", {}, _epoch(newest["stop_time"])),
                 ("last_success_duration_seconds", {}, newest["duration_seconds"]),
                 ("last_success_size_bytes", {}, newest["size_bytes"])]
    if oldest:
        made.append(("oldest_restorable_timestamp_seconds", {}, _epoch(oldest["time"])))
    return made


def _epoch(text: str) -> float:
    return recovery_target.moment(text).timestamp()


def _labels(labels: Mapping[str, str]) -> str:
    escaped = {name: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for name, value in labels.items()}
    return ",".join('%s="%s"' % (name, escaped[name]) for name in sorted(escaped))


def _number(value: float) -> str:
    return "%d" % value if value == int(value) else repr(float(value))
