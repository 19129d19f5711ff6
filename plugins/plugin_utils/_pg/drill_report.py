# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a drill measured to its report. Pure.

The report is a dictionary with the schema ``pgmahout.drill-report``, version 1, which docs/drill-report.schema.json describes.
The page for people is made from it by ``drill_page``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import lsn

SCHEMA = "pgmahout.drill-report"
VERSION = 1

#: What each phase of the way to the first answer is called; the modules name them.
PHASES = {
    "choose": "Choose the backup", "programs": "Bring the programs", "clear": "Clear the place",
    "place": "Copy and verify the data", "recover": "Prepare the recovery", "rename": "Give it its name",
    "replay": "Start and replay the WAL", "answer": "First answer",
}


def build(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report.

    Args:
        facts: what was measured. What a drill did not come to is missing or empty.

            - ``cluster``; ``drill``: ``host`` and ``data_directory`` of the scratch instance; ``versions``: of what by
              name
            - ``started``, ``ended``: of the drill, in seconds since the epoch, as all times here
            - ``before``: what ``pg_archive_info`` returned when the drill began, with the backup that it is of
            - ``primary``: what ``pg_probe`` returned of the primary then, with its ``host``; its tables and probes are compared
              where the ``origin`` of the target is ``mark``
            - ``after``: what ``pg_archive_info`` returned for the WAL up to the position that ``primary`` had at the first query
            - ``target``: ``kind``, ``value``, ``inclusive``, ``timeline``, ``origin`` (``mark``, ``asked``, ``backup`` or
              ``archive``)
            - ``restore``: what ``pg_backup_restore`` returned: the ids ``backups`` and ``phases``
            - ``restored``: what ``pg_probe`` returned of the scratch instance
            - ``checked``: what ``pg_check`` returned, each time
            - ``limits``: ``rto`` and ``rpo`` in seconds, 0 for none
            - ``failure``: ``task`` and ``message`` of what went wrong
    """
    rto, rpo = _rto(facts), _rpo(facts)
    tables, checks = _tables(facts), _checks(facts, rto, rpo)
    complaints = _complaints(facts, tables, checks)
    started, ended = facts["started"], facts["ended"]
    return {
        "schema": SCHEMA, "version": VERSION, "verdict": "failed" if complaints else "passed",
        "summary": _summary(facts, rto, rpo, len(tables) + len(checks), complaints), "complaints": complaints,
        "cluster": facts["cluster"], "started": moment(started), "ended": moment(ended), "seconds": _seconds(started, ended),
        "backup": _backup(facts), "target": facts.get("target") or None, "reached": _reached(facts),
        "rto": rto, "rpo": rpo, "checks": checks, "tables": tables, "scratch": facts["drill"],
        "primary": (facts.get("primary") or {}).get("host"), "versions": facts["versions"],
    }


def _backup(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the entry of the backup that was restored, else of the one that was to be, None when there was none."""
    before = facts.get("before") or {}
    used = (facts.get("restore") or {}).get("backups") or []
    found = [one for one in before.get("backups", ()) if one["id"] in used[-1:]]
    return found[0] if found else before.get("backup")


def moment(seconds: float) -> str:
    """Return a time as RFC 3339 has it, in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(started: float, ended: float) -> float:
    return round(max(0.0, ended - started), 3)


def _reached(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    restored = facts.get("restored") or {}
    if not restored:
        return None
    time = restored["replayed_time"]
    return {"lsn": restored["replayed_lsn"], "time": None if time is None else moment(time), "timeline": restored["timeline"]}


def _rto(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the time from the start of the restore to the first answer, None when it did not come to one."""
    phases, restored = (facts.get("restore") or {}).get("phases") or [], facts.get("restored") or {}
    if not phases or not restored:
        return None
    recovered = restored["recovered"] or restored["started"]
    done = [*phases, {"name": "replay", "started": restored["server_started"], "ended": recovered},
            {"name": "answer", "started": restored["started"], "ended": restored["answered"]}]
    begin, end = done[0]["started"], restored["answered"]
    told = [{"name": one["name"], "title": PHASES.get(one["name"], one["name"]), "started": moment(one["started"]),
             "offset_seconds": _seconds(begin, one["started"]), "seconds": _seconds(one["started"], one["ended"])}
            for one in done]
    total = _seconds(begin, end)
    return {"seconds": total, "phases": told,
            "between_seconds": round(max(0.0, total - sum(one["seconds"] for one in told)), 3)}


def _rpo(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what would have been lost, had the primary been lost when the drill began; None when there is nothing to compare."""
    before, primary, after = (facts.get(name) or {} for name in ("before", "primary", "after"))
    if not before:
        return None
    commit = before["last_commit"]
    kept = {"lsn": before["end_lsn"], "segment": before["newest_segment"] or None,
            "time": moment(commit["time"]) if commit else before["backup"]["stop_time"]}
    if not primary:
        return {"bytes": None, "seconds": None, "primary": None, "kept": kept,
                "note": "The primary did not answer, so what is newer on it is not known."}
    size = max(0, lsn.parse(primary["first_lsn"]) - lsn.parse(before["end_lsn"]))
    last = after.get("last_commit")
    kept_time = commit["time"] if commit else _epoch(before["backup"]["stop_time"])
    if size and not after:
        newest = primary["first_time"]
        note = "Without a WAL archive all that was written since the backup is lost; the time is an upper bound."
    else:
        newest, note = last["time"] if last else kept_time, ""
    return {"bytes": size, "seconds": round(max(0.0, newest - kept_time), 3) if size else 0.0,
            "primary": {"lsn": primary["first_lsn"], "time": moment(newest)}, "kept": kept, "note": note}


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _tables(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each table of the mark beside what was restored of it, or what was restored alone where nothing was marked."""
    if not facts.get("restored"):
        return []
    restored = {(one["database"], one["table"]): one for one in facts["restored"]["tables"]}
    marked = {(one["database"], one["table"]): one for one in _mark(facts).get("tables", ())}
    return [_table(key, marked.get(key), restored.get(key)) for key in sorted({*restored, *marked})]


def _mark(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the primary held at exactly the target, empty when that is not known."""
    is_marked = (facts.get("target") or {}).get("origin") == "mark"
    return (facts.get("primary") or {}) if is_marked else {}


def _table(key: tuple[str, str], expected: Mapping[str, Any] | None, found: Mapping[str, Any] | None) -> dict[str, Any]:
    def told(one: Mapping[str, Any] | None) -> dict[str, Any] | None:
        return None if one is None else {"rows": one["rows"], "hash": one["hash"]}

    status = "told" if expected is None else "passed" if told(expected) == told(found) else "failed"
    return {"database": key[0], "table": key[1], "status": status, "expected": told(expected), "found": told(found)}


def _check(kind: str, name: str, passed: bool | str, expected: str, found: str) -> dict[str, str]:
    status = passed if isinstance(passed, str) else "passed" if passed else "failed"
    return {"kind": kind, "name": name, "status": status, "expected": expected, "found": found}


def _checks(facts: Mapping[str, Any], rto: Mapping[str, Any] | None, rpo: Mapping[str, Any] | None) -> list[dict[str, str]]:
    before, restored = facts.get("before") or {}, facts.get("restored") or {}
    found = []
    if before:
        gap = before["missing_segment"]
        found.append(_check("archive", "The WAL follows the backup without a gap", not gap, "no segment is missing",
                            f"{gap} is missing" if gap else f"{before['segments']} segments, up to {before['end_lsn']}"))
    if restored:
        found += _instance_checks(before, restored)
        found += [_probe_check(one, _mark(facts)) for one in restored.get("probes", ())]
    found += [_check("structure", one["program"], one["status"], "nothing to complain of", one["found"])
              for one in facts.get("checked") or ()]
    return found + _limit_checks(facts.get("limits") or {}, rto, rpo)


def _instance_checks(before: Mapping[str, Any], restored: Mapping[str, Any]) -> list[dict[str, str]]:
    identifier = before["backup"]["system_identifier"] if before else restored["system_identifier"]
    is_up = not restored["in_recovery"]
    return [
        _check("instance", "The restored instance has ended its recovery and answers", is_up, "out of recovery",
               "out of recovery, on timeline %d" % restored["timeline"] if is_up else "still in recovery"),
        _check("instance", "It is the cluster that was backed up", identifier == restored["system_identifier"],
               f"system {identifier}", f"system {restored['system_identifier']}"),
    ]


def _probe_check(probe: Mapping[str, Any], mark: Mapping[str, Any]) -> dict[str, str]:
    """Return a probe; one that says nothing of what it expects should find what the primary had at the mark."""
    expected = probe["expected"]
    if expected is None:
        expected = next((one["found"] for one in mark.get("probes", ()) if one["name"] == probe["name"]), None)
    passed = not probe["error"] and (expected is None or expected == probe["found"])
    return _check("probe", probe["name"], passed, "any answer" if expected is None else shown(expected),
                  f"an error: {probe['error']}" if probe["error"] else shown(probe["found"]))


def shown(rows: Sequence[Sequence[str | None]]) -> str:
    """Return rows in one line: columns with a bar between them as psql has them, rows with a semicolon."""
    lines = ["|".join("NULL" if value is None else value or "''" for value in row) for row in rows]
    return "; ".join(lines[:20]) + (f"; and {len(lines) - 20} rows more" if len(lines) > 20 else "") if lines else "no row"


def _limit_checks(limits: Mapping[str, float], rto: Mapping[str, Any] | None,
                  rpo: Mapping[str, Any] | None) -> list[dict[str, str]]:
    found = []
    for name, title, measured in (("rto", "The restore is quick enough", rto), ("rpo", "Little enough would be lost", rpo)):
        limit, seconds = limits.get(name) or 0, measured["seconds"] if measured else None
        if limit and seconds is not None:
            found.append(_check("limit", title, seconds <= limit, f"at most {limit:g} s", f"{seconds:.1f} s"))
    return found


def _complaints(facts: Mapping[str, Any], tables: Sequence[Mapping[str, Any]], checks: Sequence[Mapping[str, str]]) -> list[str]:
    """Return all that went wrong, each in a sentence."""
    failure = facts.get("failure") or {}
    found = [f"{failure['task']}: {failure['message']}"] if failure else []
    found += [f"{one['name']}: {one['expected']} was expected and this was found: {one['found'].rstrip('.')}."
              for one in checks if one["status"] == "failed"]
    return found + [_table_complaint(one) for one in tables if one["status"] == "failed"]


def _table_complaint(one: Mapping[str, Any]) -> str:
    name = f"The table {one['table']} of the database {one['database']}"
    if one["found"] is None:
        return f"{name} is on the primary and was not restored."
    expected, found = one["expected"], one["found"]
    if expected["rows"] != found["rows"]:
        return f"{name} had {expected['rows']} rows on the primary and has {found['rows']} as it was restored."
    return (f"{name} has {found['rows']} rows as on the primary and another content (hash {found['hash']} instead of "
            f"{expected['hash']}).")


def _summary(facts: Mapping[str, Any], rto: Mapping[str, Any] | None, rpo: Mapping[str, Any] | None, count: int,
             complaints: Sequence[str]) -> str:
    cluster, backup = facts["cluster"], _backup(facts)
    if complaints or not rto or not backup:
        more = f" There are {len(complaints) - 1} more complaints." if len(complaints) > 1 else ""
        first = complaints[0] if complaints else "It did not come to an answer."
        return f"The drill of the cluster {cluster} failed. {first}{more}"
    return (f"The cluster {cluster} was restored from the backup {backup['id']} and answered after {rto['seconds']:.1f} s; "
            f"{count} comparisons passed; {loss(rpo)}.")


def loss(rpo: Mapping[str, Any] | None) -> str:
    """Return in words what would have been lost."""
    if not rpo or rpo["bytes"] is None:
        return "what would have been lost is not known"
    if not rpo["bytes"]:
        return "nothing would have been lost"
    return f"{size(rpo['bytes'])} of WAL with {rpo['seconds']:.1f} s of commits would have been lost"


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
