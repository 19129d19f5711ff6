# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A healthy cluster as pg_replication_info reads it, for tests to break one thing in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import lsn
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg.view import View

END = lsn.parse("0/5000000")
SETTINGS = {
    "max_connections": "100", "max_worker_processes": "8", "max_wal_senders": "10", "max_prepared_transactions": "0",
    "max_locks_per_transaction": "64", "max_replication_slots": "10", "archive_mode": "off", "wal_level": "logical",
    "default_transaction_read_only": "off", "recovery_min_apply_delay": "0", "synchronous_standby_names": "",
    "synchronous_commit": "on", "synchronized_standby_slots": ""}


class Cluster:
    """The members node1 (primary), node2, node3 and whoever else, each streaming from its upstream.

    Attributes:
        members: what the inventory has of them.
        results: what was read of them.
    """

    def __init__(self, hosts: int = 3, upstreams: Mapping[str, str] | None = None, version: int = 180001) -> None:
        self.hosts = ["node%d" % number for number in range(1, hosts + 1)]
        declared = upstreams or {}
        self.members = {host: _member(host, declared.get(host, "")) for host in self.hosts}
        self.results = {host: _result("standby" if number else "primary", version) for number, host in enumerate(self.hosts)}
        for host in self.hosts[1:]:
            self.follow(host, declared.get(host, "node1"))
        for host in self.hosts:
            self.results[host]["peers"] = [
                {"address": self.address(other), "answers": True, "system_identifier": "7001", "problem": ""}
                for other in self.hosts if other != host]

    @property
    def inventory(self) -> dict[str, Any]:
        """As pg_inventory returns it, with a cluster beside that has no standby."""
        members = {**self.members, "alone": {**_member("alone", ""), "cluster": "reporting"}}
        return {"members": members, "clusters": {"orders": {"members": self.hosts}, "reporting": {"members": ["alone"]}}}

    @property
    def view(self) -> View:
        return View("orders", self.hosts, self.members, self.results)

    def address(self, host: str) -> str:
        return "127.0.0.1:%d" % self.members[host]["port"]

    def follow(self, host: str, upstream: str, **sender: Any) -> None:
        """Let a standby stream from another member."""
        slot = self.members[host]["slot"]
        self.results[upstream]["standbys"].append({
            "application_name": host, "slot_name": slot, "slot_type": "physical", "state": "streaming", "sync_state": "async",
            "lag_bytes": 0, **sender})
        self.results[upstream]["slots"].append(_slot(slot, slot_type="physical"))

    def sender(self, host: str, upstream: str = "node1") -> dict[str, Any]:
        """The WAL sender by which a member serves another."""
        found: dict[str, Any] = next(one for one in self.results[upstream]["standbys"] if one["application_name"] == host)
        return found

    def set(self, name: str, value: str, *hosts: str) -> None:
        """Give a setting to some members, by default to all."""
        for host in hosts or self.hosts:
            self.results[host]["settings"][name] = value

    def publish(self, slot: str = "sales_in", **more: Any) -> None:
        """Add a logical slot to the primary, and its copy to each standby as PostgreSQL 17 makes it."""
        self.results["node1"]["slots"].append(_slot(slot, **{"failover": True, **more}))
        for host in self.hosts[1:]:
            self.results[host]["slots"].append(_slot(slot, **{"failover": True, "synced": True, **more}))
        self.members["node1"]["publishers"][slot] = {
            "host": ",".join(self.members[host]["address"] for host in self.hosts),
            "port": ",".join(str(self.members[host]["port"]) for host in self.hosts)}

    def copy(self, host: str, slot: str = "sales_in") -> dict[str, Any]:
        """A slot of a member."""
        found: dict[str, Any] = next(one for one in self.results[host]["slots"] if one["name"] == slot)
        return found

    def lose(self, host: str) -> None:
        """Let a host not answer any more, with what it served."""
        self.results[host] = {"unreachable": True, "msg": "no route"}

    def stop(self, host: str, state: str = "shut down", wal_end: str | None = "0/5000000", **instance: Any) -> None:
        """Let a server not run, on a host that can be reached."""
        there = {**self.results[host]["instance"], "control_state": state, "wal_end": wal_end, "checkpoint_lsn": "0/4FFFF88",
                 **instance}
        self.results[host] = {"running": False, "instance": there, "problems": [], "peers": []}


def _member(host: str, upstream: str) -> dict[str, Any]:
    number = int(host[-1]) if host[-1].isdigit() else 9
    return {"cluster": "orders", "upstream": upstream, "bootstrap": False, "slot": host, "wal": "none", "address": "127.0.0.1",
            "port": 5440 + number, "floors": {}, "publishers": {}, "backup_host": "", "backup_directory": "/backups"}


def _result(role: str, version: int) -> dict[str, Any]:
    instance = {"kind": "instance", "standby_signal": role == "standby", "recovery_signal": False, "system_identifier": "7001",
                "timeline": 1, "floors": {}, "control_state": "in production", "follows": "", "wal_end": None, "fenced": {}}
    return {"instance": instance, "running": True, "answers": True, "problems": [], "role": role, "timeline": 1,
            "system_identifier": "7001", "server_version_num": version, "lsn": lsn.show(END),
            "replay_paused": None if role == "primary" else False, "settings": dict(SETTINGS), "pending_restart": [],
            "standbys": [], "slots": [], "base_backups": 0,
            "archiver": {"failing": False, "ready": 0, "reason": "", "last_failed_wal": None}}


def _slot(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "slot_type": "logical", "plugin": "pgoutput", "database": "shop", "active": True, "temporary": False,
            "two_phase": False, "confirmed_flush_lsn": "0/4000000", "invalidation_reason": None, "failover": False,
            "synced": False, "conflicting": False, "wal_status": "reserved", **more}
