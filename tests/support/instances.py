# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances that the modules under test make: where they are, and the options for them."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .modules import ok
from .postgres import Server, bindir, free_port, server_user

HBA = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n"
PASSWORD = "0123 s3cr'et\\ :=ünd\"$x$"
REPLICATOR = "replicator"
SETTINGS = {"listen_addresses": "127.0.0.1", "fsync": "off", "log_statement": "all", "max_connections": "20",
            "shared_buffers": "16MB",
            "wal_receiver_timeout": "5s", "wal_retrieve_retry_interval": "100ms"}


@contextlib.contextmanager
def place(major: int) -> Iterator[Server]:
    """A home and a free port for an instance that does not exist yet; what runs there at the end is stopped."""
    home = Path(tempfile.mkdtemp(prefix=f"pg{major}-"))
    if (user := server_user()) is not None:
        shutil.chown(home, user)
    server = Server(major, home, free_port())
    try:
        yield server
    finally:
        if (server.data / "postmaster.pid").exists():
            with contextlib.suppress(subprocess.CalledProcessError):
                server.stop("immediate")
        shutil.rmtree(home, ignore_errors=True)


def programs(server: Server) -> dict[str, Any]:
    """The options that name the programs and the account."""
    return {"bindir": str(bindir(server.major)), "user": server_user() or "", "timeout": 20}


def configuration(server: Server, **settings: str) -> str:
    """The text of postgresql.conf; a setting given here wins."""
    wanted = {"port": str(server.port), "unix_socket_directories": str(server.home), **SETTINGS, **settings}
    return "".join(f"{name} = '{value}'\n" for name, value in wanted.items())


def instance(server: Server, settings: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
    """The options of pg_instance."""
    return {**programs(server), "data_directory": str(server.data), "port": server.port, "log_file": str(server.home / "log"),
            "socket_directory": str(server.home), "listen_address": "127.0.0.1", "hba": HBA,
            "configuration": configuration(server, **(settings or {})), **options}


def passfile(server: Server, upstream: Server) -> dict[str, Any]:
    """The options that give a server the password of its upstream."""
    return {"passfile": str(server.home / "passfile"), "passfile_entries": [
        {"host": "127.0.0.1", "port": str(upstream.port), "user": REPLICATOR, "password": PASSWORD}]}


def upstream_of(server: Server, upstream: Server, **keywords: str) -> dict[str, str]:
    """The conninfo by which a standby follows its upstream."""
    return {"host": "127.0.0.1", "port": str(upstream.port), "user": REPLICATOR, "passfile": str(server.home / "passfile"),
            "application_name": "standby", **keywords}


def make_replicator(server: Server) -> None:
    """Make the role that standbys connect as, without its password in the log."""
    quoted = PASSWORD.replace("'", "''")
    server.sql(f"CREATE ROLE {REPLICATOR} LOGIN REPLICATION PASSWORD '{quoted}'", options="-c log_statement=none")


def started(server: Server) -> Any:
    """When the postmaster was started."""
    return server.sql("SELECT pg_postmaster_start_time()")[0][0]


def tree(path: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file below a directory, those that a running server writes by itself left out."""
    busy = ("pg_wal", "pg_stat", "pg_logical", "base", "global", "log", "pg_stat_tmp", "pg_xact", "pg_subtrans")
    return {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in path.rglob("*")
            if file.is_file() and not set(file.relative_to(path).parts) & set(busy)}


@contextlib.contextmanager
def primary(major: int) -> Iterator[Server]:
    """A running primary that standbys can follow."""
    with place(major) as server:
        ok("pg_instance", **instance(server))
        make_replicator(server)
        yield server


def clone(server: Server, upstream: Server, **options: Any) -> dict[str, Any]:
    """The options of pg_basebackup."""
    return {**programs(server), "dest": str(server.data),
            "conninfo": upstream_of(server, upstream), **passfile(server, upstream), **options}


def follow(server: Server, upstream: Server, **options: Any) -> dict[str, Any]:
    """The options of pg_recovery."""
    return {**programs(server), "data_directory": str(server.data), "mode": "standby",
            "primary_conninfo": upstream_of(server, upstream), **options}


@contextlib.contextmanager
def standby(upstream: Server) -> Iterator[Server]:
    """A running standby of an upstream."""
    with place(upstream.major) as server:
        ok("pg_basebackup", **clone(server, upstream))
        ok("pg_instance", **instance(server, create=False))
        ok("pg_recovery", **follow(server, upstream))
        yield server
