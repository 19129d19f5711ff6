# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups on a host of their own, restored on another one: these tests build on each other in the order of the file."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.support import machines, playbooks
from tests.support.playbooks import Run, wait_until

Sql = Callable[..., str]
Play = Callable[..., Run]

REPOSITORY = "/var/backups/pgmahout/orders"
RECEIVER = "pgmahout-receivewal-orders"
SCHEDULE = "pgmahout-backup-orders"
RESTORED = "/var/lib/postgresql/restored"
NOTHING = {"node1": 0, "node2": 0}

#: Single rows, each a transaction of its own, until somebody says stop.
WRITE = """
DO $$
BEGIN
  LOOP
    INSERT INTO orders (item) SELECT md5(random()::text);
    COMMIT;
    EXIT WHEN to_regclass('enough') IS NOT NULL;
    PERFORM pg_sleep(0.01);
  END LOOP;
END
$$
"""
#: The rows as they were at a moment, by the server's own record of when each was committed.
AT = "SELECT count(*), md5(string_agg(id || item, ',' ORDER BY id)) FROM orders WHERE pg_xact_commit_timestamp(xmin) <= '{}'"
#: With all six digits, as the restore repeats it.
NOW = "SELECT to_char(clock_timestamp(), 'YYYY-MM-DD HH24:MI:SS.USOF')"
ALL = "SELECT count(*), md5(string_agg(id || item, ',' ORDER BY id)) FROM orders"


@pytest.fixture(scope="module")
def members(hosts_of: Callable[[str], dict[str, Host]]) -> dict[str, Host]:
    """Return the members of the cluster."""
    return hosts_of("orders")


@pytest.fixture(scope="module")
def vault(hosts_of: Callable[[str], dict[str, Host]]) -> Host:
    """Return the host that keeps the backups."""
    return hosts_of("vaults")["node3"]


@pytest.fixture(scope="module")
def spare(hosts_of: Callable[[str], dict[str, Host]]) -> Host:
    """Return the host that backups are restored on."""
    return hosts_of("spares")["node4"]


@pytest.fixture
def written(members: dict[str, Host], sql: Sql) -> Iterator[None]:
    """Write to the primary all the while."""
    with ThreadPoolExecutor(1) as pool:
        sql(members["node1"], "DROP TABLE IF EXISTS enough", "shop")
        command = "runuser --user=postgres -- psql -Xq --dbname=shop --command=%s"
        writing = pool.submit(members["node1"].check_output, command, WRITE)
        yield
        sql(members["node1"], "CREATE TABLE enough ()", "shop")
        writing.result(120)


def catalog(vault: Host) -> list[dict[str, Any]]:
    """Return what the repository's catalog has, the oldest first."""
    found: list[dict[str, Any]] = json.loads(vault.file(f"{REPOSITORY}/catalog.json").content_string)["backups"]
    return found


def keys(vault: Host) -> list[str]:
    """Return the lines by which sshd lets somebody in for a restore."""
    lines = vault.file("/home/admin/.ssh/authorized_keys").content_string.splitlines()
    return [line for line in lines if "serve-backup" in line]


def restore_on_spare(target: str, directory: str = RESTORED) -> list[str]:
    """Return the arguments of a restore to a moment, beside the cluster."""
    return ["--extra-vars", json.dumps({"pg_restore_host": "node4", "pg_restore_port": 5499, "pg_restore_target_time": target,
                                        "pg_restore_data_directory": directory})]


def test_there_are_two_members_and_two_hosts_that_are_none(members: dict[str, Host], vault: Host, spare: Host) -> None:
    assert list(members) == ["node1", "node2"]
    assert [host.check_output("hostname") for host in (vault, spare)] == ["node3", "node4"]


def test_the_backup_host_runs_no_server_and_its_secrets_are_closed(vault: Host) -> None:
    assert vault.check_output("pg_lsclusters --no-header") == ""
    archive = vault.check_output(f"ls -d {REPOSITORY}/wal-*")
    modes = {path: (oct(vault.file(path).mode), vault.file(path).user) for path in (
        REPOSITORY, archive, "/etc/pgmahout/orders/passfile", "/etc/pgmahout/orders/ca.crt")}
    assert modes == {REPOSITORY: ("0o700", "postgres"), archive: ("0o700", "postgres"),
                     "/etc/pgmahout/orders/passfile": ("0o600", "postgres"), "/etc/pgmahout/orders/ca.crt": ("0o644", "postgres")}


def test_the_members_let_the_backup_host_in_and_their_wal_streams_there_encrypted(members: dict[str, Host], vault: Host,
                                                                                  sql: Sql) -> None:
    address = vault.addr("node3").ipv4_addresses[0]
    rules = f"SELECT type, database[1], auth_method FROM pg_hba_file_rules WHERE address = '{address}' ORDER BY 2"
    for host in members.values():
        assert sql(host, rules).split() == ["hostssl|postgres|scram-sha-256", "hostssl|replication|scram-sha-256"]
    assert sql(members["node1"], "SELECT ssl, client_addr FROM pg_stat_replication JOIN pg_stat_ssl USING (pid)"
                                 " WHERE application_name = 'pgmahout_wal'") == f"t|{address}"
    assert vault.service(RECEIVER).is_enabled


def test_a_full_backup_and_one_that_builds_on_it(vault: Host, play: Play, members: dict[str, Host], sql: Sql) -> None:
    before = len(catalog(vault)) if vault.file(f"{REPOSITORY}/catalog.json").exists else 0
    for _turn in range(2):
        assert play("backup").ok().changed == {"node1": 1, "node2": 0}
        sql(members["node1"], "INSERT INTO orders (item) SELECT 'between ' || n FROM generate_series(1, 1000) n", "shop")
    found = catalog(vault)[before:]
    has_incremental = int(sql(members["node1"], "SHOW server_version_num")) >= 170000
    assert [one["type"] for one in found] == ["full", "incremental" if has_incremental else "full"]
    assert all(one["verified"] for one in found)
    assert play("deploy", "--check").ok().changed == NOTHING


@pytest.mark.usefixtures("written")
def test_another_host_has_exactly_the_rows_of_a_moment_amid_the_load(members: dict[str, Host], vault: Host, spare: Host, sql: Sql,
                                                                     play: Play) -> None:
    wait_until(lambda: int(sql(members["node1"], "SELECT count(*) FROM orders", "shop")) > 2100)
    moment = sql(members["node1"], NOW)
    received = "SELECT flush_lsn > '%s' FROM pg_stat_replication WHERE application_name = 'pgmahout_wal'"
    received %= sql(members["node1"], "SELECT pg_current_wal_insert_lsn()")
    wait_until(lambda: sql(members["node1"], received) == "t")
    shown = play("restore", *restore_on_spare(moment)).ok().flat
    assert f"is restored to the time {moment}" in shown
    assert sql(spare, ALL, "shop", 5499) == sql(members["node1"], AT.format(moment), "shop")
    assert sql(spare, ALL, "shop", 5499) != sql(members["node1"], ALL, "shop")
    assert keys(vault) == []
    assert not spare.file(f"{REPOSITORY}.copy/ssh").exists
    assert play("restore", *restore_on_spare(moment)).ok().changed == NOTHING


def test_a_restore_that_is_killed_lets_nobody_in_for_long_and_the_next_one_ends_it(
        members: dict[str, Host], vault: Host, spare: Host, sql: Sql, play: Play, inventories: list[Path],
        tmp_path: Path) -> None:
    spare.check_output("runuser --user=postgres -- /usr/lib/postgresql/*/bin/pg_ctl stop --pgdata=%s", RESTORED)
    moment = sql(members["node1"], NOW)
    sql(members["node1"], "INSERT INTO orders (item) VALUES ('too late')", "shop")
    arguments = restore_on_spare(moment, RESTORED + "2")
    command = playbooks.command("restore", inventories, *arguments)
    running = playbooks.begin(command, tmp_path / "printed", "The backups are there")
    playbooks.kill(running)
    assert running.wait() == -signal.SIGKILL
    left = keys(vault)
    assert [line.startswith("restrict,expiry-time=") for line in left] == [True]
    play("restore", *arguments).ok()
    # The line of the killed run goes with its time, which sshd itself looks at.
    assert [line for line in keys(vault) if line not in left] == []
    assert sql(spare, "SELECT count(*) FROM orders WHERE item = 'too late'", "shop", 5499) == "0"
    assert sql(spare, ALL, "shop", 5499) == sql(members["node1"], AT.format(moment), "shop")


def test_a_receiver_that_dies_comes_back_by_itself_also_after_a_reboot(members: dict[str, Host], vault: Host, sql: Sql) -> None:
    def streams() -> bool:
        return sql(members["node1"], "SELECT active FROM pg_replication_slots WHERE slot_name = 'pgmahout_wal'") == "t"

    vault.check_output("systemctl kill --signal=KILL %s", RECEIVER)
    wait_until(lambda: streams() and vault.service(RECEIVER).is_running)
    machines.reboot(["node3"])
    wait_until(streams)


def test_a_receiver_that_is_stopped_is_told_and_deploy_starts_it(vault: Host, play: Play) -> None:
    vault.check_output("systemctl stop %s", RECEIVER)
    told = play("status")
    assert told.returncode != 0
    assert "pgmahout_wal" in told.flat
    assert play("deploy").ok().changed == {"node1": 1, "node2": 0}
    play("status").ok()


def test_a_backup_takes_place_by_itself(vault: Host, play: Play) -> None:
    assert vault.service(f"{SCHEDULE}.timer").is_enabled
    assert " 02:00:00 " in vault.check_output("systemctl show --property=NextElapseUSecRealtime --value %s.timer", SCHEDULE)
    before = {one["id"] for one in catalog(vault)}
    vault.check_output("systemctl start %s.service", SCHEDULE)
    assert len({one["id"] for one in catalog(vault)} - before) == 1
    assert json.loads(vault.file(f"{REPOSITORY}/status.json").content_string)["last_run"]["failed"] is False
    assert play("deploy").ok().changed == NOTHING


def test_a_drill_on_the_spare_host_passes_and_leaves_nothing(spare: Host, play: Play, tmp_path: Path) -> None:
    instances = "find /var/lib/postgresql -name PG_VERSION -maxdepth 6 | sort"
    before = spare.check_output(instances)
    play("drill", "--extra-vars", json.dumps({"pg_drill_host": "node4", "pg_drill_report_directory": str(tmp_path)})).ok()
    assert json.loads((tmp_path / "drill-report.json").read_text())["verdict"] == "passed"
    assert spare.check_output(instances) == before


def test_a_primary_whose_disk_is_lost_is_restored_in_its_place_with_every_row_that_was_received(
        members: dict[str, Host], sql: Sql, play: Play) -> None:
    sql(members["node1"], "INSERT INTO orders (item) VALUES ('the last one')", "shop")
    received = "SELECT flush_lsn >= '%s' FROM pg_stat_replication WHERE application_name = 'pgmahout_wal'"
    received %= sql(members["node1"], "SELECT pg_current_wal_insert_lsn()")
    wait_until(lambda: sql(members["node1"], received) == "t")
    rows = sql(members["node1"], ALL, "shop")
    version = members["node1"].check_output("pg_lsclusters --no-header").split()[0]
    members["node1"].check_output("systemctl kill --signal=KILL postgresql@%s-orders", version)
    members["node1"].check_output("rm -r /var/lib/postgresql/%s/orders", version)
    play("restore", "--extra-vars", json.dumps({"pg_restore_host": "node1", "pg_restore_reclone": ["node2"]})).ok()
    assert sql(members["node1"], ALL, "shop") == rows
    play("deploy").ok()
    wait_until(lambda: sql(members["node2"], ALL, "shop") == rows)
    assert play("backup").ok().changed["node1"] == 1
    play("status").ok()
