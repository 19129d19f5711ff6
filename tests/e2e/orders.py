# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster ``orders`` while its members change roles: who is primary, clients that write, and that all is as described."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from tests.support.load import Load
from tests.support.playbooks import wait_until

from .lab import Lab

MEMBERS = ("node1", "node2", "node3")
_SUMMARY = "SELECT count(*), sum(total) FROM orders"


def primary(lab: Lab) -> str:
    """The one member that takes writes."""
    found = [host for host in MEMBERS if lab.answers(host) and not lab.value(host, "SELECT pg_is_in_recovery()")]
    assert len(found) == 1, found
    return found[0]


def await_slots(lab: Lab, now: str, standbys: Iterable[str]) -> None:
    """Wait until the subscriber's slot on these standbys would outlive who is primary now.

    It comes in step no faster than the subscriber confirms and snapshots are in the WAL.
    """
    def are_in_step() -> bool:
        lab.sql(now, "SELECT pg_log_standby_snapshot()")
        return all(lab.value(standby, "SELECT bool_and(synced AND NOT temporary) FROM pg_replication_slots WHERE failover")
                   for standby in standbys)

    wait_until(are_in_step)


@contextlib.contextmanager
def load_on(lab: Lab) -> Iterator[Load]:
    """Clients that find the primary, and one for each member alone, whatever that is."""
    members = {host: (str(lab.home / "pg" / "run"), int(lab.host(host)["pg_server_port"])) for host in MEMBERS}
    with Load(members, {"user": "postgres"}, everywhere=True) as running:
        yield running


def assert_as_described(lab: Lab) -> None:
    """Every member follows, no slot and no fence is left over, the subscriber has all, and deploy finds nothing to do."""
    again = lab.deploy().ok()
    assert set(again.changed.values()) == {0}, again.changes
    lab.play("status").ok()
    now = primary(lab)
    lab.sql(now, "INSERT INTO orders (customer_id, status, total) VALUES (1, 'paid', 1)", "shop")
    published = lab.sql(now, _SUMMARY + " WHERE status <> 'cancelled'", "shop")
    wait_until(lambda: lab.sql("reporting1", _SUMMARY, "dwh") == published)
    for host in MEMBERS:
        assert lab.sql(host, "SELECT slot_name FROM pg_replication_slots"
                             " WHERE (slot_type = 'physical' AND NOT active) OR wal_status = 'lost'") == [], host
        assert not (lab.directory(host) / "data" / "pgmahout.fenced").exists(), host
