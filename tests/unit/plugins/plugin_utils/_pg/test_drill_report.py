# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a drill: what it concludes from what was measured."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import drill_report
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg.drill_report import build

SCHEMA = json.loads((Path(__file__).parents[5] / "docs" / "drill-report.schema.json").read_text())
NOW = 1795374848.5
ENTRY: dict[str, Any] = {
    "id": "20261122T190102Z", "type": "full", "parent": None, "format": "plain", "compress": "", "cluster": "orders",
    "system_identifier": "7711076263936823935", "version": 18, "timeline": 1, "start_lsn": "0/3000028", "stop_lsn": "0/3000158",
    "start_time": "2026-11-22T19:01:02.000000Z", "stop_time": "2026-11-22T19:01:03.500000Z", "next_xid": 800,
    "size_bytes": 45_000_000, "duration_seconds": 2.5, "verified": True, "archive": "wal", "wal_segment_size": 16777216,
    "tablespaces": {}, "source": "127.0.0.1:5440"}
ORDERS = {"database": "shop", "table": '"public"."orders"', "rows": 3000, "hash": "00d01e6e052a6e91"}
FACTS: dict[str, Any] = {
    "cluster": "orders", "drill": {"host": "node1", "data_directory": "/srv/drill/data"},
    "versions": {"postgresql": "18.6", "pgmahout.cluster": "1.0.0", "ansible-core": "2.19.14"},
    "started": NOW, "ended": NOW + 20,
    "before": {"backup": ENTRY, "backups": [ENTRY], "missing_segment": "", "segments": 3,
               "newest_segment": "000000010000000000000006.gz",
               "end_lsn": "0/7000000", "last_commit": {"xid": 900, "lsn": "0/6FFFF00", "time": NOW - 9}},
    "primary": {"host": "node1", "first_lsn": "0/7000400", "first_time": NOW, "lsn": "0/7000500", "tables": [ORDERS],
                "probes": [{"name": "newest", "found": [["42"]]}]},
    "after": {"last_commit": {"xid": 990, "lsn": "0/7000380", "time": NOW - 1.5}},
    "target": {"kind": "lsn", "value": "0/7000500", "inclusive": False, "timeline": "1", "origin": "mark"},
    "restore": {"phases": [{"name": "choose", "started": NOW + 2, "ended": NOW + 2.5},
                           {"name": "place", "started": NOW + 2.5, "ended": NOW + 5}]},
    "restored": {"in_recovery": False, "timeline": 2, "system_identifier": ENTRY["system_identifier"],
                 "replayed_lsn": "0/7000500", "replayed_time": NOW + 1, "server_started": NOW + 6, "recovered": NOW + 8,
                 "started": NOW + 9, "answered": NOW + 9.25, "tables": [ORDERS], "probes": [
                     {"name": "no orphan", "expected": [["0"]], "found": [["0"]], "error": ""},
                     {"name": "newest", "expected": None, "found": [["42"]], "error": ""}]},
    "checked": [{"program": "pg_amcheck", "status": "passed", "found": "All tables and indexes are sound."},
                {"program": "pg_checksums", "status": "skipped", "found": "The instance has no checksums."}],
    "limits": {"rto": 60, "rpo": 0}, "failure": {},
}


def report(**changes: Any) -> dict[str, Any]:
    """The report of a drill that went well but for some facts, which is as the schema says."""
    found = build({**copy.deepcopy(FACTS), **changes})
    jsonschema.validate(json.loads(json.dumps(found)), SCHEMA, format_checker=jsonschema.FormatChecker())
    return found


def changed(name: str, **changes: Any) -> dict[str, Any]:
    return {name: {**copy.deepcopy(FACTS[name]), **changes}}


def test_a_drill_that_went_well_passes_with_its_figures() -> None:
    found = report()
    assert (found["verdict"], found["complaints"]) == ("passed", [])
    assert found["summary"] == (
        "The cluster orders was restored from the backup 20261122T190102Z and answered after 7.2 s; 9 comparisons passed; "
        "1.0 KiB of WAL with 7.5 s of commits would have been lost.")
    assert found["backup"] == ENTRY
    assert {one["status"] for one in found["tables"]} == {"passed"}


def test_the_time_to_the_first_answer_is_split_without_a_rest() -> None:
    rto = report()["rto"]
    assert rto["seconds"] == 7.25
    assert [(one["name"], one["offset_seconds"], one["seconds"]) for one in rto["phases"]] == [
        ("choose", 0.0, 0.5), ("place", 0.5, 2.5), ("replay", 4.0, 2.0), ("answer", 7.0, 0.25)]
    assert sum(one["seconds"] for one in rto["phases"]) + rto["between_seconds"] == rto["seconds"]


def test_what_would_be_lost_is_what_the_primary_had_and_the_repository_not() -> None:
    rpo = report()["rpo"]
    assert (rpo["bytes"], rpo["seconds"]) == (0x400, 7.5)
    assert rpo["kept"] == {"lsn": "0/7000000", "segment": "000000010000000000000006.gz", "time": drill_report.moment(NOW - 9)}


def test_nothing_would_be_lost_where_the_archive_is_level() -> None:
    found = report(**changed("before", end_lsn="0/7000400"))
    assert (found["rpo"]["bytes"], found["rpo"]["seconds"]) == (0, 0.0)
    assert "nothing would have been lost" in found["summary"]


def test_bytes_without_a_commit_cost_no_time() -> None:
    before = FACTS["before"]["last_commit"]
    assert report(after={"last_commit": before})["rpo"]["seconds"] == 0.0


def test_without_an_archive_the_time_is_counted_from_the_backup() -> None:
    nothing = changed("before", end_lsn=ENTRY["stop_lsn"], last_commit=None, newest_segment="", segments=0)
    found = report(**nothing, after={}, target={**FACTS["target"], "origin": "backup"})
    assert found["rpo"]["seconds"] == pytest.approx(NOW - drill_report._epoch(ENTRY["stop_time"]), abs=0.002)
    assert "upper bound" in found["rpo"]["note"]
    assert {one["status"] for one in found["tables"]} == {"told"}
    assert found["verdict"] == "passed"


def test_a_primary_that_is_gone_leaves_the_loss_unknown() -> None:
    found = report(primary={}, after={})
    assert (found["rpo"]["bytes"], found["rpo"]["seconds"], found["primary"]) == (None, None, None)
    assert found["verdict"] == "passed"


@pytest.mark.parametrize(("changes", "told"), [
    (changed("restored", in_recovery=True), "still in recovery"),
    (changed("restored", system_identifier="1"), "system 7711076263936823935 was expected and this was found: system 1."),
    (changed("restored", tables=[]), "is on the primary and was not restored"),
    (changed("restored", tables=[{**ORDERS, "rows": 2999}]), "had 3000 rows on the primary and has 2999 as it was restored"),
    (changed("restored", tables=[{**ORDERS, "hash": "f" * 16}]), "another content (hash ffffffffffffffff"),
    (changed("restored", probes=[{"name": "p", "expected": [["0"]], "found": [["1", None]], "error": ""}]),
     "p: 0 was expected and this was found: 1|NULL."),
    (changed("restored", probes=[{"name": "newest", "expected": None, "found": [["41"]], "error": ""}]),
     "newest: 42 was expected and this was found: 41."),
    (changed("restored", probes=[{"name": "p", "expected": None, "found": None, "error": "no such table"}]),
     "this was found: an error: no such table."),
    (changed("before", missing_segment="000000010000000000000007"), "000000010000000000000007 is missing"),
    ({"checked": [{"program": "pg_amcheck", "status": "failed", "found": "pg_amcheck found 2 faults."}]}, "found 2 faults."),
    ({"limits": {"rto": 7, "rpo": 0}}, "at most 7 s was expected and this was found: 7.2 s."),
    ({"limits": {"rto": 0, "rpo": 5}}, "at most 5 s was expected and this was found: 7.5 s."),
    ({"failure": {"task": "The backup is whole", "message": "base/1 is damaged."}}, "The backup is whole: base/1 is damaged."),
])
def test_whatever_is_not_as_it_should_be_fails_the_drill_and_is_told(changes: dict[str, Any], told: str) -> None:
    found = report(**changes)
    assert found["verdict"] == "failed"
    assert len(found["complaints"]) == 1
    assert told in found["complaints"][0]
    assert found["complaints"][0] in found["summary"]


def test_a_drill_that_broke_off_still_has_a_report() -> None:
    failure = {"task": "A backup is there", "message": "There is none."}
    found = report(before={}, primary={}, after={}, target={}, restore={}, restored={}, checked=[], failure=failure)
    assert (found["verdict"], found["backup"], found["rto"], found["rpo"], found["tables"]) == ("failed", None, None, None, [])
    assert found["summary"] == "The drill of the cluster orders failed. A backup is there: There is none."


def test_the_backup_is_the_one_that_was_restored() -> None:
    older = {**ENTRY, "id": "20261121T190102Z"}
    found = report(**changed("before", backups=[ENTRY, older]), **changed("restore", backups=["20261121T190102Z"]))
    assert found["backup"] == older


def test_tables_are_not_compared_where_the_target_was_another() -> None:
    found = report(**changed("target", origin="asked"), **changed("restored", tables=[{**ORDERS, "rows": 1}]))
    assert [one["status"] for one in found["tables"]] == ["told"]


def test_a_table_that_only_the_restored_instance_has_is_told() -> None:
    other = {**ORDERS, "table": '"public"."other"'}
    found = report(**changed("restored", tables=[ORDERS, other]))
    assert [one["status"] for one in found["tables"]] == ["passed", "told"]


@given(st.lists(st.lists(st.none() | st.text(), min_size=1, max_size=3), max_size=30))
def test_rows_are_told_in_one_bounded_line(rows: list[list[str | None]]) -> None:
    shown = drill_report.shown(rows)
    assert shown
    if len(rows) > 20:
        assert shown.endswith(f"; and {len(rows) - 20} rows more")


@pytest.mark.parametrize(("count", "told"), [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (45_000_000, "42.9 MiB"),
                                             (3 << 40, "3.0 TiB")])
def test_sizes_are_told_as_people_read_them(count: int, told: str) -> None:
    assert drill_report.size(count) == told
