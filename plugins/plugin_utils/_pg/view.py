# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One cluster as it was found, with what the questions about a change of its primary have in common. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import lsn
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import topology

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class View:
    """A cluster.

    Attributes:
        name: of the cluster.
        hosts: its members in the order of the inventory.
        members: what ``inventory.build`` has of every member.
        results: what pg_replication_info returned of each of them.
    """

    name: str
    hosts: Sequence[str]
    members: Mapping[str, Any]
    results: Mapping[str, Facts]

    @property
    def inventory(self) -> dict[str, Any]:
        """The inventory of this cluster alone."""
        return {"members": self.members, "clusters": {self.name: {"members": list(self.hosts)}}}

    @property
    def found(self) -> dict[str, topology.Found]:
        """What the topology is decided by."""
        return {host: topology.found_of(self.results[host]) for host in self.hosts}

    def decided(self, found: Mapping[str, topology.Found]) -> dict[str, Any]:
        """Return the topology that follows from findings."""
        return topology.decide(self.inventory, found)

    def answers(self, host: str) -> bool:
        """Return whether the server of a member told of itself."""
        return bool(self.results[host].get("answers"))

    def setting(self, host: str, name: str) -> str:
        """Return a setting of a running member; ``""`` where its version does not have it."""
        return str(self.results[host]["settings"].get(name, ""))

    def number(self, host: str, name: str) -> int:
        """Return a setting that is a number, in the setting's own unit; 0 where the version does not have it."""
        return int(self.setting(host, name) or 0)

    def is_delayed(self, host: str) -> bool:
        """Return whether a running member replays later than it could."""
        return self.number(host, "recovery_min_apply_delay") > 0

    def position(self, host: str) -> int:
        """Return how far the WAL of a running member reaches."""
        return lsn.parse(self.results[host]["lsn"])

    def address(self, host: str) -> str:
        """Return where a member listens, as the option ``peers`` of pg_replication_info names it."""
        return "%s:%s" % (self.members[host]["address"], self.members[host]["port"])

    def at(self, address: str) -> str:
        """Return the member that listens at an address; ``""`` when none does."""
        return next((host for host in self.hosts if self.address(host) == address), "")

    def subscriptions(self, publisher: str) -> list[str]:
        """Return the subscriptions that the inventory has to the cluster of a member; their slots are called the same."""
        place = (self.members[publisher]["address"], str(self.members[publisher]["port"]))
        return [name for member in self.members.values() for name, reached in member["publishers"].items()
                if place in zip(reached["host"].split(","), reached["port"].split(","))]

    def sender(self, upstream: str, host: str) -> Facts:
        """Return the WAL sender of a member that serves another; nothing where none does."""
        found = [one for one in self.results[upstream].get("standbys") or ()
                 if one["application_name"] == host and one["slot_type"] != "logical"]
        return max(found, key=lambda one: bool(one["state"] == "streaming"), default={})

    def streams_from(self, upstream: str) -> list[str]:
        """Return the members that stream from another one."""
        return [host for host in self.hosts if self.sender(upstream, host).get("state") == "streaming"]
