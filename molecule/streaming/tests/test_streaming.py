# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three Debian hosts: a primary, a standby, a cascading standby."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from testinfra.host import Host


@pytest.fixture(scope="module")
def members(hosts_of: Callable[[str], dict[str, Host]]) -> dict[str, Host]:
    """Return the members of the cluster."""
    return hosts_of("orders")


@pytest.fixture(scope="module")
def version(members: dict[str, Host]) -> str:
    """Return the version of PostgreSQL that these hosts' Debian has."""
    release = members["node1"].system_info.release.split(".")[0]
    return {"11": "13", "12": "15", "13": "17"}.get(release, "18")


def test_there_are_three_members(members: dict[str, Host]) -> None:
    assert list(members) == ["node1", "node2", "node3"]


def test_systemd_runs_the_instance_and_starts_it_at_boot(members: dict[str, Host], version: str) -> None:
    for host in members.values():
        unit = host.service(f"postgresql@{version}-orders")
        assert unit.is_running
        assert unit.is_enabled


def test_debian_knows_the_instance_and_no_other(members: dict[str, Host], version: str) -> None:
    found = {name: host.check_output("pg_lsclusters --no-header").split()[:4] for name, host in members.items()}
    assert found == {
        "node1": [version, "orders", "5432", "online"],
        "node2": [version, "orders", "5432", "online,recovery"],
        "node3": [version, "orders", "5432", "online,recovery"],
    }


def test_each_standby_streams_from_its_upstream(members: dict[str, Host], sql: Callable[..., str]) -> None:
    standbys = {name: sql(host, "SELECT application_name, state FROM pg_stat_replication") for name, host in members.items()}
    assert standbys == {"node1": "node2|streaming", "node2": "node3|streaming", "node3": ""}


def test_a_row_reaches_every_standby(members: dict[str, Host], sql: Callable[..., str]) -> None:
    written = sql(members["node1"], "INSERT INTO orders SELECT count(*) + 1 FROM orders RETURNING id", "shop")
    deadline = time.monotonic() + 30
    for host in members.values():
        while sql(host, "SELECT max(id) FROM orders", "shop") != written:
            assert time.monotonic() < deadline
