# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Four Debian hosts: a primary, two standbys of which a commit waits for one, and a cascading standby."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from testinfra.host import Host

from tests.support import machines
from tests.support.playbooks import Run, wait_until

Sql = Callable[..., str]
INSERT = "INSERT INTO orders SELECT count(*) + 1 FROM orders RETURNING id"


@pytest.fixture(scope="module")
def members(hosts_of: Callable[[str], dict[str, Host]]) -> dict[str, Host]:
    """Return the members of the cluster."""
    return hosts_of("orders")


@pytest.fixture(scope="module")
def version(members: dict[str, Host]) -> str:
    """Return the version of PostgreSQL that these hosts' Debian has."""
    release = members["node1"].check_output(". /etc/os-release && echo $VERSION_CODENAME")
    return {"bullseye": "13", "bookworm": "15", "trixie": "17", "forky": "18"}[release]


@pytest.fixture(scope="module")
def addresses(members: dict[str, Host]) -> list[str]:
    """Return the addresses of the members."""
    return [host.addr(name).ipv4_addresses[0] for name, host in members.items()]


def everybody_streams(members: dict[str, Host], sql: Sql) -> bool:
    """Return whether each standby streams from its upstream, encrypted, and is as synchronous as it was asked to be."""
    query = """SELECT application_name, state, sync_state, ssl FROM pg_stat_replication JOIN pg_stat_ssl USING (pid) ORDER BY 1"""
    return {name: sql(host, query).split() for name, host in members.items()} == {
        "node1": ["node2|streaming|quorum|t", "node3|streaming|quorum|t"], "node2": ["node4|streaming|async|t"],
        "node3": [], "node4": []}


def test_there_are_four_members(members: dict[str, Host]) -> None:
    assert list(members) == ["node1", "node2", "node3", "node4"]


def test_debian_and_systemd_know_the_instance_and_no_other(members: dict[str, Host], version: str) -> None:
    for name, host in members.items():
        assert host.check_output("pg_lsclusters --no-header").split() == [
            version, "orders", "5432", "online" if name == "node1" else "online,recovery", "postgres",
            f"/var/lib/postgresql/{version}/orders", f"/var/log/postgresql/postgresql-{version}-orders.log"]
        units = host.check_output("systemctl list-units --plain --no-legend --all 'postgresql@*'").splitlines()
        assert [unit.split()[:4] for unit in units] == [[f"postgresql@{version}-orders.service", "loaded", "active", "running"]]


def test_the_unit_is_that_server_and_starts_at_boot(members: dict[str, Host], version: str) -> None:
    for host in members.values():
        unit = host.service(f"postgresql@{version}-orders")
        assert unit.is_enabled
        pid, directory, _started, port = host.file(
            f"/var/lib/postgresql/{version}/orders/postmaster.pid").content_string.splitlines()[:4]
        assert (directory, port) == (f"/var/lib/postgresql/{version}/orders", "5432")
        assert pid == host.check_output(f"systemctl show --property=MainPID --value {unit.name}")


def test_no_upgrade_of_packages_restarts_the_server(members: dict[str, Host], version: str) -> None:
    for host in members.values():
        assert host.check_output("apt-mark showhold") == f"postgresql-{version}"


def test_each_standby_streams_from_its_upstream_encrypted(members: dict[str, Host], sql: Sql) -> None:
    wait_until(lambda: everybody_streams(members, sql))


def test_a_row_reaches_every_standby(members: dict[str, Host], sql: Sql) -> None:
    written = sql(members["node1"], INSERT, "shop")
    wait_until(lambda: [sql(host, "SELECT max(id) FROM orders", "shop") for host in members.values()] == [written] * 4)


def test_only_members_may_connect_and_the_rest_is_rejected(members: dict[str, Host], addresses: list[str], sql: Sql) -> None:
    query = "SELECT type, database, user_name, address, netmask, auth_method FROM pg_hba_file_rules ORDER BY line_number"
    for host in members.values():
        assert sql(host, query).splitlines() == [
            "local|{all}|{postgres}|||peer",
            "local|{all}|{all}|||peer",
            *(f"hostssl|{{{database}}}|{{replicator}}|{address}|255.255.255.255|scram-sha-256"
              for address in addresses for database in ("replication", "postgres")),
            "hostssl|{all}|{all}|samehost||scram-sha-256",
            "host|{all}|{all}|all||reject",
            "host|{replication}|{all}|all||reject"]


@pytest.mark.parametrize(("security", "answer"), [
    ("sslmode=verify-full sslrootcert={own}/ca.crt", "TLS"),
    ("sslmode=verify-full sslrootcert=/etc/ssl/certs/ssl-cert-snakeoil.pem", "certificate verify failed"),
    ("sslmode=disable", "pg_hba.conf rejects connection"),
])
def test_a_client_comes_in_by_tls_alone(members: dict[str, Host], addresses: list[str], version: str, security: str,
                                        answer: str) -> None:
    own = f"/etc/postgresql/{version}/orders"
    client = f"host={addresses[0]} user=replicator dbname=postgres passfile={own}/passfile {security.format(own=own)}"
    done = members["node2"].run("runuser --user=postgres -- psql -XqAt --no-password --dbname=%s --command=%s", client,
                                "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    assert answer in (done.stdout or done.stderr)
    assert done.succeeded == (answer == "TLS")


def test_commits_need_one_standby_and_no_more(members: dict[str, Host], version: str, sql: Sql) -> None:
    unit = f"postgresql@{version}-orders"
    primary = members["node1"]
    members["node2"].check_output(f"systemctl stop {unit}")
    sql(primary, INSERT, "shop")
    members["node3"].check_output(f"systemctl stop {unit}")
    with ThreadPoolExecutor() as pool:
        commit = pool.submit(sql, primary, INSERT, "shop")
        wait_until(lambda: sql(primary, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1")
        assert not commit.done()
        members["node3"].check_output(f"systemctl start {unit}")
        assert commit.result() == sql(primary, "SELECT max(id) FROM orders", "shop")
    members["node2"].check_output(f"systemctl start {unit}")
    wait_until(lambda: everybody_streams(members, sql))


def test_the_plan_for_a_cluster_that_is_right_is_empty(play: Callable[..., Run]) -> None:
    planned = play("deploy", "--check", "--diff").ok()
    assert planned.changed == {"node1": 0, "node2": 0, "node3": 0, "node4": 0}


def test_all_stream_again_after_a_reboot(members: dict[str, Host], sql: Sql, play: Callable[..., Run]) -> None:
    machines.reboot(members)
    wait_until(lambda: everybody_streams(members, sql))
    assert play("deploy").ok().changed == {"node1": 0, "node2": 0, "node3": 0, "node4": 0}
