# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job, from nothing to a failover, on one cluster: these tests build on each other in the order of the file."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.e2e.lab import Lab
from tests.e2e.orders import await_slots
from tests.support.playbooks import Run, wait_until

HOSTS = ("node1", "node2", "node3", "reporting1")
ORDERS = ("node1", "node2", "node3")
TABLES = {"customers": "id, name, email, country", "orders": "id, customer_id, status, total",
          "order_items": "order_id, line, article, quantity, price"}
FINGERPRINT = "SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM (SELECT {columns} FROM public.{table}{where}) t"


@pytest.fixture(scope="module")
def plan(lab: Lab) -> Run:
    """The plan of the first deploy, made when nothing exists."""
    return lab.deploy("--check", "--diff").ok()


def test_the_plan_of_the_first_deploy_touches_nothing(lab: Lab, plan: Run) -> None:
    assert not (lab.home / "pg").exists()
    assert not (lab.home / "secrets").exists()
    assert all(count > 0 for count in plan.changed.values())


def test_the_first_deploy_does_what_its_plan_said(lab: Lab, plan: Run) -> None:
    done = lab.deploy().ok()
    assert done.changes == plan.changes
    assert done.changed == plan.changed


def test_the_summary_connects_when_pasted(lab: Lab) -> None:
    output = lab.play("status").ok().output
    commands = re.findall(r"\S+/psql '[^']*'", output)
    assert len(commands) == len(HOSTS)
    for command in commands:
        printed = subprocess.run(["bash", "-c", f"{command} -Atc 'SELECT 40 + 2'"], text=True, capture_output=True, check=True)
        assert printed.stdout.strip() == "42"


def test_standbys_stream_and_cascade(lab: Lab) -> None:
    for host, upstream in (("node2", "node1"), ("node3", "node2")):
        status, port = lab.sql(host, "SELECT status, sender_port FROM pg_stat_wal_receiver")[0]
        assert (status, port) == ("streaming", lab.host(upstream)["pg_server_port"])


def test_the_subscriber_has_the_rows_and_columns_that_are_published(lab: Lab) -> None:
    assert {state for (state,) in lab.sql("reporting1", "SELECT srsubstate FROM pg_subscription_rel", "dwh")} == {"r"}
    assert lab.value("reporting1", "SELECT count(*) FROM orders WHERE status = 'cancelled'", "dwh") == 0
    columns = lab.sql("reporting1", "SELECT attname FROM pg_attribute WHERE attrelid = 'customers'::regclass AND attnum > 0",
                      "dwh")
    assert [name for (name,) in columns] == ["id", "name", "country"]
    assert_all_agree(lab)


def test_nobody_comes_in_without_a_password(lab: Lab) -> None:
    for host in HOSTS:
        port = lab.host(host)["pg_server_port"]
        for dbname, user in (("postgres", "postgres"), ("postgres", "replicator"), ("shop", "subscriber")):
            with pytest.raises(psycopg2.OperationalError, match="password|pg_hba|no password"):
                psycopg2.connect(host="127.0.0.1", port=port, user=user, dbname=dbname, password="wrong")
        assert lab.value(host, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust'") == 0


def test_again_changes_nothing_and_restarts_nothing(lab: Lab) -> None:
    started = [lab.started(host) for host in HOSTS]
    assert set(lab.deploy().ok().changed.values()) == {0}
    assert set(lab.deploy("--check", "--diff").ok().changed.values()) == {0}
    assert [lab.started(host) for host in HOSTS] == started


def test_every_instance_agrees_after_a_writer(lab: Lab) -> None:
    seconds, writers = 30, 2
    written = [0] * writers

    def write(number: int) -> None:
        until = time.monotonic() + seconds
        connection = psycopg2.connect(host=str(lab.home / "pg" / "run"), port=lab.host("node1")["pg_server_port"],
                                      user="postgres", dbname="shop")
        with connection, connection.cursor() as cursor:
            while time.monotonic() < until:
                for statement in WRITES:
                    cursor.execute(statement)
                    connection.commit()
                    written[number] += 1
        connection.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(written) > 100
    assert_all_agree(lab)


#: Changes that move rows into and out of what is published.
WRITES = (
    "INSERT INTO orders (customer_id, status, total) SELECT 1 + (random() * 999)::int, 'open', random() * 100",
    "UPDATE orders SET status = (ARRAY['open', 'paid', 'shipped', 'cancelled'])[1 + (random() * 3)::int]"
    " WHERE id = (SELECT 1 + (random() * 2999)::int)",
    "INSERT INTO order_items SELECT 1 + (random() * 2999)::int, 100 + (random() * 1e9)::int, 'new', 1, 1 ON CONFLICT DO NOTHING",
    "DELETE FROM order_items WHERE order_id = (SELECT 1 + (random() * 2999)::int) AND line = 1",
    "UPDATE customers SET name = 'renamed ' || random() WHERE id = (SELECT 1 + (random() * 999)::int)",
)


def fingerprint(lab: Lab, host: str, dbname: str, table: str, columns: str, where: str = "") -> Any:
    return lab.value(host, FINGERPRINT.format(columns=columns, table=table, where=where), dbname)


def assert_all_agree(lab: Lab, primary: str = "node1", standbys: tuple[str, ...] = ("node2", "node3")) -> None:
    """Every row of every table is the same everywhere, once what was written has arrived."""
    lsn = lab.value(primary, "SELECT pg_current_wal_lsn()")
    for host in standbys:
        wait_until(lambda: lab.value(host, f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'"))  # noqa: B023 - called at once
        for table, columns in TABLES.items():
            assert fingerprint(lab, host, "shop", table, columns) == fingerprint(lab, primary, "shop", table, columns)
    wait_until(lambda: lab.value(
        primary, f"SELECT confirmed_flush_lsn >= '{lsn}' FROM pg_replication_slots WHERE slot_name = 'sales_in'"))
    for table, (columns, where) in {
        "customers": ("id, name, country", ""), "orders": (TABLES["orders"], " WHERE status <> 'cancelled'"),
        "order_items": (TABLES["order_items"], ""),
    }.items():
        there = fingerprint(lab, "reporting1", "dwh", table, columns)
        assert there == fingerprint(lab, primary, "shop", table, columns, where)


def deploy_as_planned(lab: Lab, *only: str) -> Run:
    """Deploy, once the plan was seen to be just what then happens; ``only`` are the hosts that may change."""
    planned = lab.deploy("--check", "--diff").ok()
    done = lab.deploy("--diff").ok()
    assert done.changes == planned.changes
    assert files_in(done) == files_in(planned)
    assert {host for _task, host in done.changes} == set(only)
    assert set(lab.deploy().ok().changed.values()) == {0}
    return done


def files_in(run: Run) -> list[str]:
    """The lines that a run's diff adds or takes away, and nothing else."""
    return sorted(line for line in run.output.splitlines() if re.match(r"^[+-] ", line))


def test_a_setting_that_can_be_reloaded_is_reloaded(lab: Lab) -> None:
    started = [lab.started(host) for host in HOSTS]
    lab.cluster("orders")["pg_server_settings"]["work_mem"] = "9MB"
    deploy_as_planned(lab, *ORDERS)
    assert [lab.value(host, "SHOW work_mem") for host in HOSTS] == ["9MB", "9MB", "9MB", "4MB"]
    assert [lab.started(host) for host in HOSTS] == started


def test_a_setting_that_needs_it_restarts_standbys_first_and_the_primary_last(lab: Lab) -> None:
    lab.cluster("orders")["pg_server_settings"]["max_connections"] = 130
    before = lab.started("reporting1")
    deploy_as_planned(lab, *ORDERS)
    assert [lab.value(host, "SHOW max_connections") for host in ORDERS] == ["130"] * 3
    assert max(lab.started("node2"), lab.started("node3")) < lab.started("node1")
    assert lab.started("reporting1") == before
    assert_replay_advances(lab)


def test_what_a_standby_must_not_have_lower_is_lowered_on_the_primary_first(lab: Lab) -> None:
    settings = lab.cluster("orders")["pg_server_settings"]
    settings["max_connections"] = 110
    deploy_as_planned(lab, *ORDERS)
    assert [lab.value(host, "SHOW max_connections") for host in ORDERS] == ["110"] * 3
    assert lab.started("node1") < min(lab.started("node2"), lab.started("node3"))
    assert_replay_advances(lab)


def test_raising_one_and_lowering_another_keeps_every_standby_replaying(lab: Lab) -> None:
    settings = lab.cluster("orders")["pg_server_settings"]
    settings.update(max_connections=100, max_worker_processes=12)
    lab.deploy().ok()
    assert [lab.value(host, "SHOW max_connections") for host in ORDERS] == ["100"] * 3
    assert [lab.value(host, "SHOW max_worker_processes") for host in ORDERS] == ["12"] * 3
    for host in ("node2", "node3"):
        log = (lab.directory(host) / "postgresql.log").read_text()
        assert "insufficient parameter settings" not in log
    assert_replay_advances(lab)
    assert set(lab.deploy().ok().changed.values()) == {0}


def assert_replay_advances(lab: Lab) -> None:
    lab.sql("node1", "UPDATE customers SET name = name WHERE id = 1", "shop")
    assert_all_agree(lab)


def test_what_somebody_altered_by_hand_is_set_back(lab: Lab) -> None:
    lab.sql("node1", "ALTER SYSTEM SET work_mem = '77MB'")
    lab.sql("node1", "SELECT pg_reload_conf()")
    wait_until(lambda: lab.value("node1", "SHOW work_mem") == "77MB")
    deploy_as_planned(lab, "node1")
    assert lab.value("node1", "SHOW work_mem") == "9MB"


def test_a_server_that_was_stopped_is_started(lab: Lab) -> None:
    lab.stop("node3")
    lab.stop("reporting1", "immediate")
    lab.deploy().ok()
    assert lab.answers("node3")
    assert lab.answers("reporting1")
    assert_replay_advances(lab)


def test_a_whole_cluster_that_was_stopped_comes_back_as_it_was(lab: Lab) -> None:
    for host in ("node1", "node2", "node3"):
        lab.stop(host, "immediate")
    lab.deploy().ok()
    assert not lab.value("node1", "SELECT pg_is_in_recovery()")
    assert lab.value("node2", "SELECT pg_is_in_recovery()")
    assert_replay_advances(lab)
    assert set(lab.deploy().ok().changed.values()) == {0}


def test_a_run_on_one_cluster_leaves_what_the_others_need(lab: Lab) -> None:
    assert set(lab.deploy("--limit", "orders").ok().changed.values()) == {0}
    assert set(lab.deploy("--limit", "reporting").ok().changed.values()) == {0}
    lab.deploy("--limit", "node1").refused("only partly in this run, without node2, node3")


@pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh to fail to connect with")
def test_a_host_that_cannot_be_reached_is_told_and_left_alone(lab: Lab) -> None:
    with lab.changed_inventory():
        lab.host("node3").update(ansible_connection="ssh", ansible_host="127.0.0.1", ansible_port=1)
        run = lab.deploy().ok()
        assert "node3 cannot be reached and is left alone" in run.output
        assert set(run.changed.values()) == {0}
        assert lab.play("status").returncode != 0
    assert lab.value("node3", "SELECT status FROM pg_stat_wal_receiver") == "streaming"


def test_no_password_can_be_read_anywhere(lab: Lab) -> None:
    passwords = re.findall(r'": "([^"]+)"', (lab.home / "secrets" / "secrets.json").read_text())
    assert len(passwords) == 3
    assert (lab.home / "secrets" / "secrets.json").stat().st_mode & 0o777 == 0o600
    seen: list[bytes] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            for name in ("cmdline", "environ"):
                for path in Path("/proc").glob(f"[0-9]*/{name}"):
                    try:
                        seen.append(path.read_bytes())
                    except OSError:
                        continue
            seen[:] = [text for text in seen if any(password.encode() in text for password in passwords)]

    watcher = threading.Thread(target=watch)
    watcher.start()
    lab.cluster("orders")["pg_server_settings"]["log_statement"] = "all"
    try:
        for host in HOSTS[1:]:
            lab.stop(host)
        shutil.rmtree(lab.directory("node3") / "data")
        shutil.rmtree(lab.directory("reporting1") / "data")
        lab.sql("node1", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'sales_in'")
        lab.sql("node1", "ALTER ROLE subscriber PASSWORD 'another'")
        output = lab.deploy("-vvv", "--diff").ok().output
    finally:
        ended.set()
        watcher.join()
    texts = {"output": output, "processes": repr(seen)}
    for host in HOSTS:
        texts[f"log of {host}"] = (lab.directory(host) / "postgresql.log").read_text()
        texts[f"auto.conf of {host}"] = (lab.directory(host) / "data" / "postgresql.auto.conf").read_text()
    for where, text in texts.items():
        assert not [password for password in passwords if password in text], f"a password is in the {where}"
    for host in HOSTS:
        assert (lab.directory(host) / "passfile").stat().st_mode & 0o777 == 0o600


def test_a_standby_promoted_by_hand_is_followed_and_the_old_primary_left_alone(lab: Lab) -> None:
    assert_replay_advances(lab)
    await_slots(lab, "node1", ["node2"])
    lab.stop("node1")
    lab.sql("node2", "SELECT pg_promote()")
    run = lab.deploy().ok()
    assert "node1 was primary on timeline 1 and node2 is primary on timeline 2" in run.output
    assert set(run.changed.values()) == {0}
    assert not lab.answers("node1")
    lab.sql("node2", "INSERT INTO orders (customer_id, status) VALUES (1, 'open')", "shop")
    assert_all_agree(lab, "node2", ("node3",))
    assert lab.play("status").returncode != 0


def test_two_primaries_are_refused_by_name(lab: Lab) -> None:
    lab.start("node1")
    lab.deploy().refused("two primaries", "node1 (running, timeline 1)", "node2 (running, timeline 2)")
    lab.deploy("--check").refused("two primaries")
    assert lab.value("node1", "SELECT NOT pg_is_in_recovery()")
    lab.stop("node1")
    assert set(lab.deploy().ok().changed.values()) == {0}


def test_destroy_needs_the_name_and_removes_only_what_was_made(lab: Lab) -> None:
    lab.play("destroy").refused("must be named in pg_destroy", "orders, reporting")
    lab.play("destroy", "-e", "pg_destroy=other").refused("it holds other")
    assert lab.answers("node2")
    foreign = lab.home / "pg" / "orders" / "notes.txt"
    foreign.write_text("not ours")
    lab.play("destroy", "-e", "pg_destroy=reporting").ok()
    assert lab.answers("node2")
    assert lab.value("node2", "SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'logical'") == 0
    destroyed = lab.play("destroy", "-e", "pg_destroy=orders").ok()
    assert f"backups of the cluster orders stay in {lab.home}/pg/backups/orders" in destroyed.flat
    left = sorted(str(path.relative_to(lab.home / "pg")) for path in (lab.home / "pg").rglob("*"))
    assert [path for path in left if not path.startswith("backups")] == ["orders", "orders/notes.txt"]
    assert any(path.startswith("backups/orders/wal-") for path in left), "the archive was removed"
    assert not (lab.home / "secrets").exists()
    assert set(lab.play("destroy", "-e", "pg_destroy=orders").ok().changed.values()) == {0}
