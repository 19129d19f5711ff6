# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters of a primary and two standbys that different tools keep on the same three hosts, each on a port of its own."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import ClassVar

from benchmarks import hosts
from benchmarks.scene import ROOT, ContenderError, timed, wait_for

#: What the tools that are not ours need beside the server.
PACKAGES = ("repmgr", f"{hosts.SERVER}-repmgr", "patroni", "python3-etcd", "etcd-server", "etcd-client")
WRITER, DATABASE = "writer", "load"
_ADDRESSES = {name: f"10.86.0.1{number}" for number, name in enumerate(hosts.HOSTS, start=1)}
_STREAMING = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
_PATIENCE = 120  # seconds until a cluster is whole that was started: Patroni's members look every 10 s


class Cluster(ABC):
    """A cluster that one tool keeps.

    Attributes:
        name: the command that is measured.
        port: of each of its servers.
        members: address and port of each.
    """

    name: ClassVar[str]
    port: ClassVar[int]

    def __init__(self) -> None:
        self.members = {name: (address, self.port) for name, address in _ADDRESSES.items()}

    @abstractmethod
    def install(self) -> None:
        """Make it; it runs afterwards."""

    @abstractmethod
    def start(self) -> None:
        """Start it."""

    @abstractmethod
    def stop(self) -> None:
        """Stop all that belongs to it."""

    @abstractmethod
    def switch(self, candidate: str) -> None:
        """Let its primary and this standby change places."""

    def ask(self, member: str, sql: str) -> str:
        """Return what a member answers to its superuser."""
        return hosts.ask(member, sql, "postgres", self.port)

    def primary(self) -> str:
        """Return the member that is primary.

        Raises:
            ContenderError: none is, or a member in front of it does not answer.
        """
        for name in self.members:
            if self.ask(name, "SELECT pg_is_in_recovery()") == "f":
                return name
        raise ContenderError(f"A primary was to be there for {self.name}, and there are only standbys.")

    def await_whole(self) -> None:
        """Return when both standbys stream from the primary.

        Raises:
            ContenderError: they do not in time.
        """
        wait_for("2", self.name, _STREAMING, self._streaming, _PATIENCE)

    def admit_writer(self, verifier: str) -> None:
        """Make the database that is written to, and its owner, with a verifier for the password."""
        primary = self.primary()
        self.ask(primary, f"CREATE ROLE {WRITER} LOGIN PASSWORD '{verifier}'")
        self.ask(primary, f"CREATE DATABASE {DATABASE} OWNER {WRITER}")

    def _streaming(self) -> str:
        try:
            return self.ask(self.primary(), _STREAMING)
        except ContenderError as refusal:
            return str(refusal)


class Ours(Cluster):
    """What our playbooks keep; the role that writes is in their inventory."""

    name, port = "pgmahout.cluster.switchover", 5432
    _unit = "postgresql@17-orders"

    def install(self) -> None:
        self._play("deploy")

    def start(self) -> None:
        hosts.run_everywhere("systemctl", "start", self._unit)

    def stop(self) -> None:
        hosts.run_everywhere("systemctl", "stop", self._unit)

    def switch(self, candidate: str) -> None:
        self._play("switchover", "-e", "pg_switchover_cluster=orders", "-e", f"pg_switchover_to={candidate}")

    def password(self) -> str:
        """Return the password of the role that writes."""
        kept = json.loads((ROOT / ".ansible/bench/secrets.json").read_text())
        return str(kept["orders"][WRITER])

    def verifier(self) -> str:
        """Return what the server keeps of that password."""
        return self.ask(self.primary(), f"SELECT rolpassword FROM pg_authid WHERE rolname = '{WRITER}'")

    def _play(self, playbook: str, *arguments: str) -> None:
        timed(hosts.play(f"pgmahout.cluster.{playbook}", f"--inventory={ROOT}/benchmarks/switchover_lab.yml", *arguments))


class Repmgr(Cluster):
    """What repmgr keeps, so configured that it waits no longer than it must."""

    name, port = "repmgr standby switchover --siblings-follow", 5433

    def install(self) -> None:
        keys = hosts.run_everywhere("bash", "-c", _MAKE_KEY, user="postgres")
        hosts.run_everywhere("bash", "-c", _ADMIT_KEYS, "admit", "\n".join(keys))
        for number, (name, address) in enumerate(_ADDRESSES.items(), start=1):
            hosts.run(name, *hosts.script("repmgr.sh", str(self.port), str(number), address, _ADDRESSES[hosts.PRIMARY]))

    def start(self) -> None:
        self._pg_ctl("start", "--log=/var/log/postgresql/repmgr.log")

    def stop(self) -> None:
        self._pg_ctl("stop")

    def switch(self, candidate: str) -> None:
        hosts.run(candidate, "repmgr", "standby", "switchover", "--siblings-follow", user="postgres")

    def _pg_ctl(self, *arguments: str) -> None:
        hosts.run_everywhere("/usr/lib/postgresql/17/bin/pg_ctl", "--pgdata=/var/lib/postgresql/17/repmgr", "--silent",
                             *arguments, user="postgres")


class Patroni(Cluster):
    """What Patroni keeps, with an etcd of three."""

    name, port = "patronictl switchover", 5434

    def install(self) -> None:
        members = [f"{name}={address}" for name, address in _ADDRESSES.items()]
        hosts.run_everywhere(*hosts.script("patroni.sh", str(self.port), *members))

    def start(self) -> None:
        hosts.run_everywhere("systemctl", "start", "etcd", "patroni")

    def stop(self) -> None:
        hosts.run_everywhere("systemctl", "stop", "patroni", "etcd")

    def switch(self, candidate: str) -> None:
        self._patronictl("switchover", "bench", "--candidate", candidate, "--force")

    def await_whole(self) -> None:
        """Return when Patroni knows that the standbys stream; it refuses a switchover before.

        Raises:
            ContenderError: it does not in time.
        """
        wait_for("running streaming streaming", self.name, "patronictl list", self._states, _PATIENCE)
        super().await_whole()

    def _states(self) -> str:
        try:
            return " ".join(sorted(member["State"] for member in json.loads(self._patronictl("list", "--format", "json"))))
        except ContenderError as refusal:
            return str(refusal)

    def _patronictl(self, *arguments: str) -> str:
        return hosts.run(hosts.PRIMARY, "patronictl", "--config-file", "/etc/patroni/config.yml", *arguments, user="postgres")


#: The account postgres of each host gets a key.
_MAKE_KEY = r"""
set -e
cd
mkdir -p -m 700 .ssh
ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519
printf 'Host *\n  StrictHostKeyChecking accept-new\n' > .ssh/config
cat .ssh/id_ed25519.pub"""
#: The keys come in everywhere.
_ADMIT_KEYS = r"""
set -e
printf '%s\n' "$1" > ~postgres/.ssh/authorized_keys
echo 'AllowUsers postgres' > /etc/ssh/sshd_config.d/postgres.conf
systemctl reload ssh"""
