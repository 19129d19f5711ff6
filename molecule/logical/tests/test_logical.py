# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two clusters of different versions, each of which publishes to the other, encrypted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from testinfra.host import Host

from tests.support.playbooks import Run, wait_until

Sql = Callable[..., str]


@pytest.fixture(scope="module")
def hosts(hosts_of: Callable[[str], dict[str, Host]]) -> dict[str, Host]:
    """Return the members of both clusters."""
    return {**hosts_of("orders"), **hosts_of("archive")}


def test_there_are_two_members_of_two_versions(hosts: dict[str, Host], sql: Sql) -> None:
    assert list(hosts) == ["node1", "old1"]
    assert sql(hosts["old1"], "SHOW server_version_num").startswith("15")
    assert sql(hosts["node1"], "SHOW server_version_num") != sql(hosts["old1"], "SHOW server_version_num")


@pytest.mark.parametrize(("publisher", "source", "table", "subscriber", "target"), [
    ("old1", "depot", "articles", "node1", "shelves"), ("node1", "shop", "orders", "old1", "dwh")])
def test_rows_arrive(hosts: dict[str, Host], sql: Sql, publisher: str, source: str, table: str, subscriber: str,
                     target: str) -> None:
    written = sql(hosts[publisher], f"INSERT INTO {table} SELECT count(*) + 1 FROM {table} RETURNING id", source)
    wait_until(lambda: sql(hosts[subscriber], f"SELECT max(id) FROM {table}", target) == written)


@pytest.mark.parametrize(("publisher", "subscriber", "target"), [("old1", "node1", "shelves"), ("node1", "old1", "dwh")])
def test_a_subscriber_makes_sure_whom_it_talks_to(hosts: dict[str, Host], sql: Sql, publisher: str, subscriber: str,
                                                  target: str) -> None:
    conninfo = sql(hosts[subscriber], "SELECT subconninfo FROM pg_subscription", target)
    assert "sslmode=verify-full" in conninfo.replace("'", "")
    assert "sslrootcert=/etc/postgresql/" in conninfo.replace("'", "")
    assert "password=" not in conninfo
    assert sql(hosts[publisher], "SELECT ssl FROM pg_stat_replication JOIN pg_stat_ssl USING (pid)") == "t"


def test_the_plan_for_clusters_that_are_right_is_empty(play: Callable[..., Run]) -> None:
    assert play("deploy", "--check", "--diff").ok().changed == {"node1": 0, "old1": 0}
