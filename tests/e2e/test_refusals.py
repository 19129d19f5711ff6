# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input and a host that is not fit are refused before anything is touched, in one sentence each."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.lab import Lab, new_lab


@pytest.fixture
def fresh() -> Iterator[Lab]:
    """A lab in which nothing exists."""
    with new_lab() as made:
        yield made


Break = Callable[[dict[str, Any], Lab], None]


def orders(inventory: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = inventory["all"]["children"]["orders"]
    return found


def unknown_setting(inventory: dict[str, Any], lab: Lab) -> None:
    orders(inventory)["vars"]["pg_server_settings"]["shared_bufers"] = "1GB"


def impossible_value(inventory: dict[str, Any], lab: Lab) -> None:
    orders(inventory)["vars"]["pg_server_settings"]["max_connections"] = "many"


def unknown_key(inventory: dict[str, Any], lab: Lab) -> None:
    orders(inventory)["vars"]["pg_publisher_publications"][0]["tabels"] = []


def unknown_variable(inventory: dict[str, Any], lab: Lab) -> None:
    orders(inventory)["vars"]["pg_server_setings"] = {}


def one_port_twice(inventory: dict[str, Any], lab: Lab) -> None:
    orders(inventory)["hosts"]["node2"]["pg_server_port"] = orders(inventory)["hosts"]["node1"]["pg_server_port"]


def stranger_as_upstream(inventory: dict[str, Any], lab: Lab) -> None:
    orders(inventory)["hosts"]["node3"]["pg_standby_upstream"] = "reporting1"


def circle(inventory: dict[str, Any], lab: Lab) -> None:
    orders(inventory)["hosts"]["node2"]["pg_standby_upstream"] = "node3"


def missing_binary(inventory: dict[str, Any], lab: Lab) -> None:
    orders(inventory)["hosts"]["node1"]["pg_server_bindir"] = "/opt/no/such/directory"


def other_version(inventory: dict[str, Any], lab: Lab) -> None:
    orders(inventory)["vars"]["pg_cluster_version"] = 17


def foreign_content(inventory: dict[str, Any], lab: Lab) -> None:
    data = lab.directory("node2") / "data"
    data.mkdir(parents=True)
    (data / "thesis.txt").write_text("the only copy")


def unknown_publication(inventory: dict[str, Any], lab: Lab) -> None:
    inventory["all"]["children"]["reporting"]["vars"]["pg_subscriber_subscriptions"][0]["publications"] = ["salse"]


def two_first_primaries(inventory: dict[str, Any], lab: Lab) -> None:
    for host in ("node1", "node2"):
        orders(inventory)["hosts"][host]["pg_cluster_bootstrap_primary"] = True


def socket_name_too_long(inventory: dict[str, Any], lab: Lab) -> None:
    inventory["all"]["vars"]["pg_server_socket_directory"] = "/tmp/" + "x" * 100


def trust(inventory: dict[str, Any], lab: Lab) -> None:
    orders(inventory)["vars"]["pg_server_hba"] = [
        {"type": "host", "database": "all", "user": "all", "address": "samehost", "method": "trust"}]


def floors_differ(inventory: dict[str, Any], lab: Lab) -> None:
    orders(inventory)["hosts"]["node2"]["pg_server_settings"] = {"max_connections": 50}


CASES: dict[Break, tuple[str, ...]] = {
    unknown_setting: ("unrecognized configuration parameter \"shared_bufers\"", "pg_server_settings"),
    impossible_value: ("invalid value for parameter \"max_connections\": \"many\"", "pg_server_settings"),
    unknown_key: ("tabels", "pg_publisher_publications"),
    unknown_variable: ("pg_server_setings", "did you mean pg_server_settings"),
    one_port_twice: ("node1 and node2 are on one machine and have the same port",),
    stranger_as_upstream: ("pg_standby_upstream of node3 is reporting1", "no member of the cluster orders"),
    circle: ("node2 -> node3 -> node2", "in a circle"),
    missing_binary: ("/opt/no/such/directory", "set bindir"),
    other_version: ("PostgreSQL 17 was asked for", "version 18"),
    foreign_content: ("node2/data is not empty and holds no PostgreSQL instance",),
    unknown_publication: ("publication salse", "cluster orders does not declare"),
    two_first_primaries: ("pg_cluster_bootstrap_primary on node1 and node2",),
    socket_name_too_long: ("would have a name of", "choose a shorter directory"),
    trust: ("trust", "pg_server_hba"),
    floors_differ: ("max_connections differs in the cluster orders",),
}


def contents(lab: Lab) -> list[tuple[str, str]]:
    return sorted((str(path), path.read_text()) for path in (lab.home / "pg").rglob("*") if path.is_file())


@pytest.mark.parametrize("make", CASES, ids=lambda make: str(make.__name__))
def test_what_cannot_be_is_refused_before_anything_is_touched(fresh: Lab, make: Break) -> None:
    make(fresh.inventory, fresh)
    before = contents(fresh)
    fresh.deploy().refused(*CASES[make])
    assert contents(fresh) == before


def test_a_port_in_use_is_refused(fresh: Lab) -> None:
    port = fresh.host("node3")["pg_server_port"]
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        fresh.deploy().refused(f"127.0.0.1 port {port}", "something else does already")
    assert not Path(fresh.home / "pg").exists()


def test_everything_that_is_wrong_is_told_at_once(fresh: Lab) -> None:
    circle(fresh.inventory, fresh)
    unknown_publication(fresh.inventory, fresh)
    fresh.deploy().refused("in a circle", "publication salse")
