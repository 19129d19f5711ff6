# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``backup`` and ``restore`` as users run them: beside the cluster, and in the place of a primary that was lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.e2e.lab import Lab, new_lab
from tests.support.playbooks import Run
from tests.support.postgres import free_port

#: Tasks of a restore that change something, whatever the target.
RESTORED = ["The data directory is there and ready to recover", "The server runs with its configuration"]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A primary and a standby with an archive."""
    hosts: dict[str, Any] = {"node1": {}, "node2": {}}
    variables = {"pg_cluster_name": "orders", "pg_backup_wal": "archive", "pg_backup_keep_count": 3, "pg_backup_incremental": 1,
                 "pg_server_settings": {"shared_buffers": "16MB"}}
    inventory: dict[str, Any] = {"all": {
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                 "pg_server_provider": "embedded", "pg_server_address": "127.0.0.1"},
        "children": {"orders": {"hosts": hosts, "vars": variables}}}}
    with new_lab(inventory) as made:
        made.deploy().ok()
        made.sql("node1", "CREATE TABLE t (i int PRIMARY KEY)")
        yield made


def repository(lab: Lab) -> Path:
    return lab.home / "pg" / "backups" / "orders"


def catalog(lab: Lab) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((repository(lab) / "catalog.json").read_text())["backups"]
    return found


def rows(lab: Lab, port: int) -> list[int]:
    connection = psycopg2.connect(host=str(lab.home / "pg" / "run"), port=port, user="postgres", dbname="postgres")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT i FROM t ORDER BY i")
            return [i for (i,) in cursor.fetchall()]
    finally:
        connection.close()


def archive(lab: Lab, name: str) -> dict[str, tuple[int, int]]:
    """Size and time of each file of an archive."""
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in (repository(lab) / name).iterdir()}


def moment(lab: Lab) -> str:
    """Now, by the clock of the primary, behind all that was committed."""
    return str(lab.value("node1", "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || ' UTC'"))


def changed(run: Run) -> list[str]:
    return [task for task, _host in run.changes]


def test_each_backup_is_a_new_one_and_nothing_else_changes(lab: Lab) -> None:
    lab.sql("node1", "INSERT INTO t VALUES (1)")
    planned = lab.play("backup", "--check").ok()
    assert not (repository(lab) / "catalog.json").exists()
    for run in (lab.play("backup").ok(), lab.play("backup").ok()):
        assert run.changes == planned.changes == [("A new backup is kept", "node1")]
    found = catalog(lab)
    assert [one["type"] for one in found] == ["full", "incremental"]
    assert all(one["verified"] and one["cluster"] == "orders" for one in found)
    status = json.loads((repository(lab) / "status.json").read_text())
    assert status["last_success"]["id"] == found[-1]["id"]
    assert sum(lab.deploy().ok().changed.values()) == 0


def test_the_moment_before_an_accident_is_restored_beside_the_cluster(lab: Lab) -> None:
    lab.sql("node1", "INSERT INTO t VALUES (2), (3)")
    before = moment(lab)
    lab.sql("node1", "DELETE FROM t")
    lab.sql("node1", "INSERT INTO t VALUES (9)")
    port, place = free_port(), lab.home / "pg" / "beside"
    asked = ("-e", f"pg_restore_data_directory={place}", "-e", f"pg_restore_port={port}",
             "-e", f"pg_restore_target_time='{before}'")
    assert [task for task, _host in lab.play("restore", "--check", *asked).ok().changes] == RESTORED
    assert not place.exists()
    run = lab.play("restore", *asked).ok()
    assert changed(run) == RESTORED
    assert "recovery stopping before commit of transaction" in run.flat
    assert rows(lab, port) == [1, 2, 3]
    assert rows(lab, lab.host("node1")["pg_server_port"]) == [9]
    known = archive(lab, lab.archive("node1"))
    again = lab.play("restore", *asked).ok()
    assert changed(again) == []
    assert "recovery stopping before commit of transaction" in again.flat
    connection = psycopg2.connect(host=str(lab.home / "pg" / "run"), port=port, user="postgres", dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (4)")
        cursor.execute("SELECT pg_switch_wal()")
        cursor.execute("SHOW archive_mode")
        assert cursor.fetchall() == [("off",)]
    connection.close()
    assert not [name for name in archive(lab, lab.archive("node1")) if name.startswith("00000002")]
    assert set(known) <= set(archive(lab, lab.archive("node1")))
    other = lab.play("restore", *asked[:-1], "pg_restore_target_immediate=true")
    assert "is there that was restored to the time" in other.refused("choose another data_directory")
    lab.stop_server(place)


@pytest.mark.parametrize(("asked", "words"), [
    (("pg_restore_target_time='2026-01-01 10:00:00'",), "time zone"),
    (("pg_restore_target_time='2026-01-01 10:00:00 UTC'",), "first backup"),
    (("pg_restore_target_time='2126-01-01 10:00:00 UTC'",), "lies in the future"),
    (("pg_restore_target_lsn=0/1000028", "pg_restore_target_xid=800"), "target_xid and target_lsn"),
    (("pg_restore_backup=20200101T000000Z",), "name one of these"),
    (("pg_restore_port=0",), "give pg_restore_port"),
    (("pg_restore_cluster=sales",), "this inventory has orders"),
    (("pg_restore_data_directory=",), "move it away yourself"),
    (("pg_restore_data_directory=", "pg_restore_host=node2"), "node1 runs as primary of the cluster"),
])
def test_what_cannot_be_meant_is_refused_before_anything_is_touched(lab: Lab, asked: tuple[str, ...], words: str) -> None:
    place = lab.home / "pg" / "refused"
    given = (f"pg_restore_data_directory={place}", f"pg_restore_port={free_port()}", *asked)
    assert words in lab.play("restore", *(part for one in given for part in ("-e", one))).refused()
    assert not place.exists()
    assert not place.with_name("refused.pgmahout-new").exists()


def test_a_lost_primary_is_restored_in_its_place_and_its_standby_cloned_anew_when_asked(lab: Lab) -> None:
    lab.sql("node1", "INSERT INTO t VALUES (10)")
    before, source, kept = moment(lab), lab.archive("node1"), rows(lab, lab.host("node1")["pg_server_port"])
    lab.sql("node1", "INSERT INTO t VALUES (11)")
    lab.archive_all("node1")
    lab.stop("node1")
    lab.stop("node2")
    shutil.move(lab.directory("node1") / "data", lab.home / "lost")
    known = archive(lab, source)
    asked = ("-e", "pg_restore_host=node1", "-e", f"pg_restore_target_time='{before}'", "-e", "pg_restore_reclone=node2")
    run = lab.play("restore", *asked).ok()
    assert changed(run) == [*RESTORED, "The instance is gone"]
    assert not (lab.directory("node2") / "data").exists()
    assert rows(lab, lab.host("node1")["pg_server_port"]) == kept
    lab.deploy().ok()
    assert rows(lab, lab.host("node2")["pg_server_port"]) == kept
    assert sum(lab.deploy().ok().changed.values()) == 0
    lab.play("status").ok()
    assert archive(lab, source) == known
    assert lab.archive("node1") != source


def test_what_goes_on_from_a_restore_is_backed_up_and_can_be_restored(lab: Lab) -> None:
    lab.play("backup").ok()
    lab.sql("node1", "INSERT INTO t VALUES (12)")
    assert catalog(lab)[-1]["archive"] == lab.archive("node1")
    assert catalog(lab)[-1]["timeline"] == 2
    port, place = free_port(), lab.home / "pg" / "later"
    lab.play("restore", "-e", f"pg_restore_data_directory={place}", "-e", f"pg_restore_port={port}").ok()
    assert rows(lab, port) == rows(lab, lab.host("node1")["pg_server_port"])
    assert rows(lab, port)[-1] == 12
    lab.stop_server(place)


def test_a_cluster_made_anew_beside_the_backups_of_the_old_one_has_an_archive_of_its_own(lab: Lab) -> None:
    old = lab.archive("node1")
    lab.play("destroy", "-e", "pg_destroy=orders").ok()
    lab.deploy().ok()
    assert lab.archive("node1") != old
    lab.sql("node1", "CREATE TABLE t AS SELECT 77 AS i")
    lab.play("backup").ok()
    assert len({one["system_identifier"] for one in catalog(lab)}) == 2
    port, place = free_port(), lab.home / "pg" / "anew"
    lab.play("restore", "-e", f"pg_restore_data_directory={place}", "-e", f"pg_restore_port={port}").ok()
    assert rows(lab, port) == [77]
    lab.stop_server(place)
