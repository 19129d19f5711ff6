# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two clusters on the same two machines: each has its own instances, and one goes without the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from testinfra.host import Host

from tests.support.playbooks import Run, wait_until

Sql = Callable[..., str]


@pytest.fixture(scope="module")
def orders(hosts_of: Callable[[str], dict[str, Host]]) -> dict[str, Host]:
    """Return the members of the first cluster."""
    return hosts_of("orders")


@pytest.fixture(scope="module")
def stock(hosts_of: Callable[[str], dict[str, Host]]) -> dict[str, Host]:
    """Return the members of the second cluster."""
    return hosts_of("stock")


def instances(host: Host) -> list[list[str]]:
    """Return name, port and state of the instances that Debian knows on a machine."""
    return [line.split()[1:4] for line in host.check_output("pg_lsclusters --no-header").splitlines()]


def units(host: Host) -> set[str]:
    """Return the names of the instances that systemd runs on a machine."""
    running = host.check_output("systemctl list-units --plain --no-legend --state=running 'postgresql@*'").splitlines()
    return {unit.split()[0].split("-")[1] for unit in running}


def test_there_are_four_members_on_two_machines(orders: dict[str, Host], stock: dict[str, Host]) -> None:
    assert [*orders, *stock] == ["node1", "node2", "stock2", "stock1"]
    hosts = [*orders.values(), *stock.values()]
    assert [host.check_output("hostname") for host in hosts] == ["node1", "node2", "node2", "node1"]


def test_debian_and_systemd_know_both_instances_of_each_machine(orders: dict[str, Host]) -> None:
    assert instances(orders["node1"]) == [["orders", "5432", "online"], ["stock", "5433", "online,recovery"]]
    assert instances(orders["node2"]) == [["orders", "5432", "online,recovery"], ["stock", "5433", "online"]]
    assert units(orders["node1"]) == units(orders["node2"]) == {"orders.service", "stock.service"}


def test_each_standby_follows_the_primary_of_its_own_cluster(orders: dict[str, Host], stock: dict[str, Host], sql: Sql) -> None:
    streaming = "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'"
    assert sql(orders["node1"], streaming) == "node2"
    assert sql(stock["stock2"], streaming, port=5433) == "stock1"
    assert sql(orders["node1"], "SELECT system_identifier FROM pg_control_system()") != sql(
        stock["stock2"], "SELECT system_identifier FROM pg_control_system()", port=5433)


def test_the_replication_user_of_one_cluster_is_a_stranger_to_the_other(orders: dict[str, Host]) -> None:
    own, address = "/etc/postgresql/*/orders", orders["node2"].addr("node2").ipv4_addresses[0]
    reaches = f"user=replicator host={address} dbname=postgres sslmode=verify-full"
    for port, comes_in in ((5432, True), (5433, False)):
        done = orders["node1"].run(
            f"runuser --user=postgres -- sh -c 'sed s/:[0-9]*:/:{port}:/ {own}/passfile > /tmp/passfile; chmod 600 /tmp/passfile;"
            f' psql -Xqwc "SELECT 1" "port={port} {reaches} sslrootcert=$(echo {own}/ca.crt) passfile=/tmp/passfile"\'')
        assert done.succeeded == comes_in, done.stderr
        assert comes_in or "password authentication failed" in done.stderr


def test_one_is_destroyed_and_the_other_does_not_notice(orders: dict[str, Host], stock: dict[str, Host], sql: Sql,
                                                        play: Callable[..., Run]) -> None:
    started = "SELECT pg_postmaster_start_time()"
    before = {name: sql(host, started) for name, host in orders.items()}
    fail(stock["stock1"], "stock")
    play("destroy", "-e", "pg_destroy=stock").ok()
    for host in stock.values():
        assert host.check_output("systemctl --failed --no-legend") == ""
        assert [name for name, _port, _state in instances(host)] == ["orders"]
        assert units(host) == {"orders.service"}
        assert host.run("ls -d /etc/postgresql/*/stock /var/lib/postgresql/*/stock /var/log/postgresql/*stock*").stdout == ""
    assert {name: sql(host, started) for name, host in orders.items()} == before
    written = sql(orders["node1"], "INSERT INTO orders VALUES (1) RETURNING id", "shop")
    wait_until(lambda: sql(orders["node2"], "SELECT id FROM orders", "shop") == written)


def fail(host: Host, name: str) -> None:
    """Let an instance not start any more."""
    version = host.check_output("pg_lsclusters --no-header").split()[0]
    unit = f"postgresql@{version}-{name}"
    host.check_output("systemctl stop %s", unit)
    host.check_output("echo no_such_setting = 1 >> %s", f"/etc/postgresql/{version}/{name}/postgresql.conf")
    host.run("systemctl start %s", unit)
    wait_until(lambda: host.run("systemctl is-failed %s", unit).stdout.strip() == "failed")
