# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed at any moment and run again, a deploy converges to the same state."""

from __future__ import annotations

import copy
import os
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.lab import Lab, new_lab
from tests.support.playbooks import wait_until

KILLS = int(os.environ.get("PGMAHOUT_KILLS", "20"))
SEED = int(os.environ.get("PGMAHOUT_SEED", "20261122"))

INVENTORY: dict[str, Any] = {"all": {
    "vars": {
        "ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "pg_server_address": "127.0.0.1", "pg_server_settings": {"shared_buffers": "16MB"},
    },
    "children": {
        "orders": {"hosts": {"node1": {}, "node2": {}}, "vars": {
            "pg_cluster_name": "orders",
            "pg_primary_databases": [{"name": "shop", "script": "CREATE TABLE t (id int PRIMARY KEY);"
                                      " INSERT INTO t SELECT generate_series(1, 5000);"}],
            "pg_publisher_publications": [{"name": "p", "database": "shop", "tables": [{"name": "public.t"}]}],
        }},
        "reporting": {"hosts": {"reporting1": {}}, "vars": {
            "pg_cluster_name": "reporting",
            "pg_subscriber_subscriptions": [{"name": "s", "database": "shop", "cluster": "orders", "publications": ["p"]}],
        }},
    },
}}


@pytest.fixture(scope="module")
def whole() -> Iterator[tuple[float, dict[str, Any]]]:
    """How long a deploy takes that is left alone, in seconds, and the state it leads to."""
    with new_lab(inventory()) as lab:
        begin = time.monotonic()
        lab.deploy().ok()
        yield time.monotonic() - begin, state(lab)


def inventory() -> dict[str, Any]:
    return copy.deepcopy(INVENTORY)


def state(lab: Lab) -> dict[str, Any]:
    """All that must be the same each time, and nothing that may differ."""
    hosts = ("node1", "node2", "reporting1")
    found: dict[str, Any] = {host: lab.sql(
        host, "SELECT pg_is_in_recovery(), (SELECT array_agg(datname::text ORDER BY 1) FROM pg_database),"
        " (SELECT array_agg(rolname::text ORDER BY 1) FROM pg_roles WHERE rolname !~ '^pg_'),"
        " (SELECT array_agg(slot_name || ' ' || slot_type || ' ' || active ORDER BY 1) FROM pg_replication_slots"
        " WHERE NOT temporary)") for host in hosts}
    found["publications"] = lab.sql("node1", "SELECT pubname, schemaname, tablename FROM pg_publication_tables", "shop")
    found["subscriptions"] = lab.sql("reporting1", "SELECT subname, subenabled, subslotname FROM pg_subscription", "shop")
    for host in hosts:
        found[f"rows on {host}"] = lab.value(host, "SELECT count(*) || ' ' || sum(id) FROM t", "shop")
    found["files"] = sorted(str(path.relative_to(lab.home)) for pattern in ("pg/*", "pg/*/*", "pg/*/*/*", "secrets/*")
                            for path in lab.home.glob(pattern) if ".s.PGSQL" not in path.name)
    return found


@pytest.mark.parametrize("trial", range(KILLS))
def test_killed_at_a_random_moment_it_converges_when_run_again(whole: tuple[float, dict[str, Any]], trial: int) -> None:
    seconds, wanted = whole
    moment = random.Random(SEED + trial).uniform(0.02, 0.98) * seconds
    with new_lab(inventory()) as lab:
        lab.kill_after(moment)
        lab.deploy().ok()
        wait_until(lambda: lab.value("node1", "SELECT bool_and(active) FROM pg_replication_slots WHERE NOT temporary"))
        assert state(lab) == wanted, f"killed after {moment:.2f} s of {seconds:.2f} s"
        assert set(lab.deploy().ok().changed.values()) == {0}
