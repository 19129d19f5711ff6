# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WAL archives, both ways side by side: deployed, proven, broken, mended, followed through a failover, and given up.

The cluster orders archives by archive_command, the cluster events streams to a receiver.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import receiver
from tests.e2e.lab import Lab, new_lab
from tests.support.playbooks import wait_until

SETTINGS = {"shared_buffers": "16MB"}
INVENTORY: dict[str, Any] = {"all": {
    "vars": {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}",
             "pg_server_provider": "embedded", "pg_server_address": "127.0.0.1", "pg_server_settings": SETTINGS},
    "children": {
        "orders": {"hosts": {"node1": {}, "node2": {}}, "vars": {"pg_cluster_name": "orders", "pg_backup_wal": "archive"}},
        "events": {"hosts": {"node3": {}, "node4": {}}, "vars": {"pg_cluster_name": "events", "pg_backup_wal": "stream"}}}}}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """The two clusters, for all tests of this module, which run in the order of the file."""
    with new_lab(INVENTORY) as made:
        yield made


def repository(lab: Lab, cluster: str) -> Path:
    return lab.home / "pg" / "backups" / cluster


def archived(lab: Lab, cluster: str) -> set[str]:
    return {path.name for directory in repository(lab, cluster).glob("wal*") for path in directory.iterdir()}


def end_segment(lab: Lab, host: str) -> str:
    """End a segment with something in it, and return its name."""
    lab.sql(host, "SELECT pg_logical_emit_message(false, 'test', 'x')")
    return str(lab.value(host, "SELECT pg_walfile_name(pg_switch_wal())"))


def received(lab: Lab) -> receiver.Process | None:
    return receiver.find(str(repository(lab, "events")))


def gets_there(lab: Lab, cluster: str, host: str) -> None:
    segment = end_segment(lab, host)
    wait_until(lambda: f"{segment}.gz" in archived(lab, cluster))


def test_deploy_does_what_it_planned_and_proves_both_archives(lab: Lab) -> None:
    planned = lab.deploy("--check").ok()
    assert not (lab.home / "pg").exists()
    done = lab.deploy().ok()
    assert done.changes == planned.changes
    assert any(name.startswith("000000010000000000000") and name.endswith(".gz") for name in archived(lab, "orders"))
    assert received(lab) is not None
    for cluster in ("orders", "events"):
        assert (repository(lab, cluster) / "bin" / "restore-wal").exists()
        assert repository(lab, cluster).stat().st_mode & 0o777 == 0o700


def test_again_nothing_changes(lab: Lab) -> None:
    before = received(lab)
    assert set(lab.deploy("--check").ok().changed.values()) == {0}
    assert set(lab.deploy().ok().changed.values()) == {0}
    assert received(lab) == before


def test_what_is_written_gets_there(lab: Lab) -> None:
    gets_there(lab, "orders", "node1")
    gets_there(lab, "events", "node3")


def test_status_tells_where_the_archives_are(lab: Lab) -> None:
    told = lab.play("status").ok().flat
    assert f"orders: archive: {repository(lab, 'orders')}/{lab.archive('node1')}, last 0000" in told
    assert f"events: archive: {repository(lab, 'events')}/{lab.archive('node3')} on node3, streamed up to 0/" in told


def test_an_archive_that_cannot_be_written_is_told_with_its_reason(lab: Lab) -> None:
    wal = repository(lab, "orders") / lab.archive("node1")
    wal.rename(wal.with_name("moved"))
    wal.write_text("in the way")
    try:
        end_segment(lab, "node1")
        wait_until(lambda: bool(lab.value("node1", "SELECT failed_count > 2 FROM pg_stat_archiver")))
        status = lab.play("status")
        assert status.returncode != 0
        assert "node1 cannot archive its WAL, since 0000" in status.flat
        assert "mkdir" in status.flat
    finally:
        wal.unlink()
        wal.with_name("moved").rename(wal)
    assert set(lab.deploy().ok().changed.values()) == {0}
    lab.play("status").ok()


def test_a_receiver_that_was_killed_is_told_and_comes_back(lab: Lab) -> None:
    found = received(lab)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    wait_until(lambda: not lab.value("node3", "SELECT active FROM pg_replication_slots WHERE slot_name = 'pgmahout_wal'"))
    segment = end_segment(lab, "node3")
    status = lab.play("status")
    assert status.returncode != 0
    assert "node3 has nothing that receives its WAL" in status.flat
    planned = lab.deploy("--check").ok()
    done = lab.deploy().ok()
    assert done.changes == planned.changes == [("The receiver is started", "node3")]
    wait_until(lambda: f"{segment}.gz" in archived(lab, "events"))


def test_the_archives_go_on_with_whoever_is_primary(lab: Lab) -> None:
    for cluster, first, second in (("orders", "node1", "node2"), ("events", "node3", "node4")):
        planned = lab.play("switchover", "--check", "-e", f"pg_switchover_cluster={cluster}").ok()
        assert lab.play("switchover", "-e", f"pg_switchover_cluster={cluster}").ok().changes == planned.changes
        gets_there(lab, cluster, second)
        lab.stop(second, "immediate")
        planned = lab.play("failover", "--check", "-e", f"pg_failover_cluster={cluster}").ok()
        assert lab.play("failover", "-e", f"pg_failover_cluster={cluster}").ok().changes == planned.changes
        gets_there(lab, cluster, first)
    assert set(lab.deploy().ok().changed.values()) == {0}
    lab.play("rejoin").ok()
    assert set(lab.deploy().ok().changed.values()) == {0}
    lab.play("status").ok()


def test_after_a_failover_by_hand_the_archives_go_on_with_the_new_primaries(lab: Lab) -> None:
    for old, new in (("node1", "node2"), ("node3", "node4")):
        lab.stop(old, "immediate")
        lab.sql(new, "SELECT pg_promote()")
    lab.deploy().ok()
    gets_there(lab, "orders", "node2")
    gets_there(lab, "events", "node4")
    assert set(lab.deploy().ok().changed.values()) == {0}
    for cluster in ("orders", "events"):
        names = archived(lab, cluster)
        assert any(name.startswith("00000002.history") for name in names)
        assert any(name.startswith("000000010") and name.endswith(".gz") for name in names)


def test_what_a_restored_server_archives_goes_elsewhere(lab: Lab) -> None:
    for host, cluster in (("node2", "orders"), ("node4", "events")):
        path = lab.directory(host) / "data" / "pgmahout.archive"
        path.write_text("wal-20261122T190102Z\n")
        os.chown(path, (lab.directory(host) / "data").stat().st_uid, -1)
        lab.deploy().ok()
        segment = end_segment(lab, host)
        places = [path.name for path in repository(lab, cluster).glob("wal*")]
        wait_until((repository(lab, cluster) / "wal-20261122T190102Z" / f"{segment}.gz").exists)
        assert not [name for name in places if name != "wal-20261122T190102Z" and (
            repository(lab, cluster) / name / f"{segment}.gz").exists()]
    assert set(lab.deploy().ok().changed.values()) == {0}


def test_an_archive_that_is_given_up_leaves_no_slot_and_no_receiver(lab: Lab) -> None:
    with lab.changed_inventory():
        lab.cluster("orders")["pg_backup_wal"] = lab.cluster("events")["pg_backup_wal"] = "none"
        planned = lab.deploy("--check").ok()
        done = lab.deploy().ok()
        assert done.changes == planned.changes
        assert set(lab.deploy().ok().changed.values()) == {0}
    assert lab.value("node2", "SHOW archive_mode") == "off"
    assert lab.sql("node4", "SELECT FROM pg_replication_slots WHERE slot_name = 'pgmahout_wal'") == []
    assert received(lab) is None


def test_what_the_archive_sets_is_not_to_be_set_otherwise(lab: Lab) -> None:
    with lab.changed_inventory():
        lab.cluster("orders")["pg_server_settings"] = {**SETTINGS, "archive_command": "true"}
        lab.deploy().refused("hold archive_command while pg_backup_wal is archive")


def test_destroy_leaves_the_archives(lab: Lab) -> None:
    lab.deploy().ok()
    assert received(lab) is not None
    told = lab.play("destroy", "-e", "pg_destroy=orders,events").ok().flat
    assert received(lab) is None
    for cluster in ("orders", "events"):
        assert f"backups of the cluster {cluster} stay in {repository(lab, cluster)}" in told
        assert archived(lab, cluster)
    assert [path.name for path in (lab.home / "pg").iterdir()] == ["backups"]
