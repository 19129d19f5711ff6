# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drill as users run it: it passes under a write load, and fails for whatever is wrong with what was backed up.

These tests build on each other in the order of the file.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import psycopg2
import pytest
import yaml

from tests.e2e.lab import Lab, new_lab
from tests.support import playbooks
from tests.support.playbooks import ROOT, Run, wait_until

SCHEMA = json.loads((ROOT / "docs" / "drill-report.schema.json").read_text())
PROBES: list[dict[str, Any]] = [
    {"name": "customers have names", "database": "shop", "expected": 0,
     "query": "SELECT count(*) FROM customers WHERE name = ''"},
    {"name": "the last order", "database": "shop", "query": "SELECT max(id), count(*) FROM orders"}]


def inventory(wal: str) -> dict[str, Any]:
    """One server with backups."""
    made: dict[str, Any] = yaml.safe_load((ROOT / "inventories" / "local.yml").read_text())
    orders = made["all"]["children"]["orders"]
    orders["hosts"] = {"node1": {}}
    del orders["vars"]["pg_publisher_publications"], made["all"]["children"]["reporting"]
    orders["vars"].update(pg_backup_wal=wal, pg_drill_probes=PROBES)
    return made


@contextlib.contextmanager
def backed_up(wal: str) -> Iterator[Lab]:
    with new_lab(inventory(wal)) as made:
        made.cluster("orders")["pg_drill_report_directory"] = str(made.home / "drill")
        made.deploy().ok()
        made.play("backup").ok()
        yield made


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with backed_up("archive") as made:
        yield made


@contextlib.contextmanager
def writing(lab: Lab) -> Iterator[list[int]]:
    """Write to the cluster meanwhile; give how often that was, in a list of one number."""
    written, end, errors = [0], threading.Event(), []

    def write() -> None:
        connection = psycopg2.connect(host=str(lab.home / "pg" / "run"), port=lab.host("node1")["pg_server_port"],
                                      user="postgres", dbname="shop")
        try:
            while not end.is_set():
                with connection, connection.cursor() as cursor:
                    cursor.execute("INSERT INTO orders (customer_id, status, total) VALUES (1, 'open', 1) RETURNING id")
                    order = next(iter(cursor))[0]
                    cursor.execute("INSERT INTO order_items VALUES (%s, 1, 'a', 1, 1)", (order,))
                    cursor.execute("UPDATE customers SET name = 'n' || %s WHERE id = 1 + %s %% 900", (order, order))
                written[0] += 1
        except psycopg2.Error as error:
            errors.append(error)
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield written
    finally:
        end.set()
        thread.join()
    assert errors == []


def report(lab: Lab) -> dict[str, Any]:
    """The report, which is as its schema says; its page says the same verdict."""
    found: dict[str, Any] = json.loads((lab.home / "drill" / "drill-report.json").read_text())
    jsonschema.validate(found, SCHEMA, format_checker=jsonschema.FormatChecker())
    assert f'<p class="verdict {found["verdict"]}">' in (lab.home / "drill" / "drill-report.html").read_text()
    return found


def failed(lab: Lab, run: Run, *words: str) -> dict[str, Any]:
    """The report of a drill that must have failed with these words, in what it printed and in its report."""
    assert run.returncode != 0, run.output[-6000:]
    found = report(lab)
    assert found["verdict"] == "failed"
    for word in words:
        assert word in " ".join(found["complaints"])
        assert word in run.flat
    assert_nothing_is_left(lab)
    return found


def assert_nothing_is_left(lab: Lab) -> None:
    assert not (lab.home / "pg" / "drill").exists()
    running = subprocess.run(["pgrep", "--full", str(lab.home / "pg" / "drill")], text=True, capture_output=True)
    assert running.stdout == ""


def assert_passed(lab: Lab, run: Run) -> dict[str, Any]:
    run.ok()
    found = report(lab)
    assert (found["verdict"], found["complaints"]) == ("passed", [])
    assert_nothing_is_left(lab)
    return found


def newest_backup(lab: Lab) -> Path:
    return sorted((lab.home / "pg" / "backups" / "orders" / "base").iterdir())[-1]


def test_check_mode_touches_nothing(lab: Lab) -> None:
    before = lab.value("node1", "SELECT pg_current_wal_insert_lsn()")
    run = lab.play("drill", "--check", "--diff").ok()
    assert "There is a place for the scratch instance" in [task for task, _host in run.changes]
    assert not (lab.home / "drill").exists()
    assert_nothing_is_left(lab)
    assert lab.value("node1", f"SELECT pg_current_wal_insert_lsn() - '{before}'") < 16384


def test_it_passes_under_a_write_load(lab: Lab) -> None:
    with writing(lab) as written:
        wait_until(lambda: written[0] > 50)
        run = lab.play("drill")
        during = written[0]
        wait_until(lambda: written[0] > during)
    found = assert_passed(lab, run)
    assert found["target"]["origin"] == "mark"
    assert found["reached"]["lsn"] == found["target"]["value"]
    assert {one["table"]: one["status"] for one in found["tables"]} == {
        '"public"."customers"': "passed", '"public"."order_items"': "passed", '"public"."orders"': "passed"}
    orders = next(one for one in found["tables"] if "orders" in one["table"])
    assert orders["found"]["rows"] > 3050
    checks = {one["name"]: one for one in found["checks"]}
    assert checks["the last order"]["expected"] == checks["the last order"]["found"] != "any answer"
    assert {one["status"] for one in found["checks"]} == {"passed"}
    assert {"pg_amcheck", "pg_checksums", "customers have names"} <= set(checks)
    phases = [one["name"] for one in found["rto"]["phases"]]
    assert phases == ["choose", "place", "recover", "rename", "replay", "answer"]
    assert 0 < found["rto"]["seconds"] < found["seconds"]
    assert found["rpo"]["bytes"] > 0
    assert found["rpo"]["seconds"] > 0


def test_again_works_the_same_and_leaves_the_cluster_alone(lab: Lab) -> None:
    started = lab.started("node1")
    archived = {path.name for path in (lab.home / "pg" / "backups" / "orders").iterdir()}
    assert_passed(lab, lab.play("drill"))
    assert lab.started("node1") == started
    assert {path.name for path in (lab.home / "pg" / "backups" / "orders").iterdir()} == archived
    assert set(lab.deploy().ok().changed.values()) == {0}


def test_a_wrong_answer_fails_it(lab: Lab) -> None:
    with lab.changed_inventory() as changed:
        changed["all"]["children"]["orders"]["vars"]["pg_drill_probes"] = [{**PROBES[0], "expected": 1}]
        found = failed(lab, lab.play("drill"), "customers have names: 1 was expected and this was found: 0.")
    assert {one["status"] for one in found["tables"]} == {"passed"}


def test_what_takes_too_long_fails_it(lab: Lab) -> None:
    failed(lab, lab.play("drill", "-e", "pg_drill_max_rto=0.001"), "The restore is quick enough: at most 0.001 s was expected")


def test_what_a_killed_drill_left_is_gone_with_the_next(lab: Lab) -> None:
    running = subprocess.Popen(lab.command("drill"), cwd=ROOT, env=playbooks.environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: (lab.home / "pg" / "drill" / "orders" / "data" / "postmaster.pid").exists())
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert (lab.home / "pg" / "drill" / "orders").exists()
    assert_passed(lab, lab.play("drill"))


def test_a_target_that_was_asked_for_is_reached(lab: Lab) -> None:
    lab.sql("node1", "SELECT pg_create_restore_point('before the sale'); SELECT pg_switch_wal()")
    lab.sql("node1", "DELETE FROM order_items", "shop")
    found = assert_passed(lab, lab.play("drill", "-e", "{pg_drill_target_name: before the sale}"))
    assert (found["target"]["kind"], found["target"]["origin"]) == ("name", "asked")
    items = next(one for one in found["tables"] if "items" in one["table"])
    assert (items["status"], items["found"]["rows"] > 5000) == ("told", True)


def test_a_segment_that_is_missing_fails_it(lab: Lab) -> None:
    archive = lab.home / "pg" / "backups" / "orders" / lab.archive("node1")
    for _segment in range(2):
        lab.sql("node1", "SELECT pg_logical_emit_message(false, 'test', 'x'); SELECT pg_switch_wal()")
    [*_older, victim] = sorted(path for path in archive.iterdir() if path.name.endswith(".gz") and len(path.name) == 27)[:-1]
    kept = victim.rename(lab.home / "kept")
    found = failed(lab, lab.play("drill"), f"the segment {victim.stem} is missing there", f"{victim.stem} is missing")
    assert found["rto"] is None
    kept.rename(victim)


def test_a_backup_with_a_flipped_byte_fails_it(lab: Lab) -> None:
    path = newest_backup(lab) / "data" / lab.value("node1", "SELECT pg_relation_filepath('customers')", "shop")
    content = path.read_bytes()
    path.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    failed(lab, lab.play("drill"), "checksum mismatch", path.name)
    path.write_bytes(content)


def test_without_its_primary_it_goes_to_the_end_of_the_archive(lab: Lab) -> None:
    lab.stop("node1")
    found = assert_passed(lab, lab.play("drill"))
    assert (found["target"]["kind"], found["primary"], found["rpo"]["bytes"]) == ("latest", None, None)
    assert {one["status"] for one in found["tables"]} == {"told"}


def test_it_passes_where_wal_is_received(tmp_path: Path) -> None:
    with backed_up("stream") as lab, writing(lab) as written:
        wait_until(lambda: written[0] > 50)
        found = assert_passed(lab, lab.play("drill"))
    assert {one["status"] for one in found["tables"]} == {"passed"}
    assert found["rpo"]["kept"]["segment"].endswith(".partial")


def test_without_an_archive_it_restores_the_backup_itself(tmp_path: Path) -> None:
    with backed_up("none") as lab:
        lab.sql("node1", "DELETE FROM order_items", "shop")
        found = assert_passed(lab, lab.play("drill"))
    assert (found["target"]["kind"], found["target"]["origin"]) == ("immediate", "backup")
    assert found["rpo"]["bytes"] > 0
    assert "upper bound" in found["rpo"]["note"]
