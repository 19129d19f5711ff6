# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server with a repository of backups and a write load on it, and restores from there by the modules, as the role has them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.archiver import archive_of

from . import instances
from .instances import passfile, programs, upstream_of
from .modules import ok
from .postgres import Server, packs
from .replication import await_true

PROGRAMS = Path(__file__).parents[2] / "roles/pg_backup/files"
SEGMENT_SIZE = 1 << 20
SLOT = "pgmahout_wal"
#: A source keeps all its WAL, since it is read from there who committed when.
SETTINGS = {"wal_keep_size": "2GB", "wal_level": "replica", "max_wal_senders": "10", "max_connections": "20",
            "log_statement": "none", "autovacuum_naptime": "5s"}


@dataclass
class Source:
    """A server whose backups are restored.

    Attributes:
        server: it runs.
        way: how WAL comes to the archive, ``archive`` or ``stream``.
        compress: how it is compressed there.
        backups: the entries by the names that tests give them.
    """

    server: Server
    way: str = "archive"
    compress: str = "none"
    backups: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def repository(self) -> Path:
        return self.server.home / "repository"

    @property
    def archive(self) -> Path:
        return self.repository / archive_of(str(self.server.data))

    @property
    def archiving(self) -> dict[str, str]:
        """The settings by which the server and those restored from it archive."""
        command = f"{self.repository}/bin/archive-wal -c {self.compress} {self.repository} %p"
        return {"archive_mode": "on", "archive_command": command} if self.way == "archive" else {}

    def position(self) -> str:
        """The LSN up to which the server has written."""
        return str(self.server.sql("SELECT pg_current_wal_flush_lsn()")[0][0])

    def ship(self) -> str:
        """Return the LSN up to which all is in the archive: all that had been written, at least."""
        # A segment that holds nothing would not be switched.
        self.server.sql("SELECT pg_current_xact_id()")
        upto = self.position()
        if self.way == "archive":
            last, upto = self.server.sql("SELECT pg_walfile_name(lsn), lsn::text FROM pg_switch_wal() AS lsn")[0]
            await_true(lambda: any((self.archive / (last + suffix)).exists() for suffix in ("", ".gz", ".zst", ".lz4")))
        else:
            await_true(lambda: self.server.sql("SELECT confirmed.restart_lsn >= '%s' FROM pg_replication_slots AS confirmed"
                                               " WHERE slot_name = '%s'" % (upto, SLOT)) == [(True,)])
        return upto

    def backup(self, name: str = "", **options: Any) -> dict[str, Any]:
        """Take a backup and remember it by a name."""
        made = ok("pg_backup", **self.backup_options(**options))["backup"]
        self.backups[name or made["id"]] = made
        return dict(made)

    def backup_options(self, **options: Any) -> dict[str, Any]:
        """The options of pg_backup."""
        return {**programs(self.server), **credentials(self.server), "directory": str(self.repository), "cluster": "orders",
                "keep_count": 100, "conninfo": conninfo(self.server), **options}


def credentials(server: Server) -> dict[str, Any]:
    """The options that give a server its own password."""
    return passfile(server, server)


def conninfo(server: Server) -> dict[str, str]:
    """How a server's backups and its WAL are fetched."""
    return {key: value for key, value in upstream_of(server, server).items() if key != "application_name"}


@contextlib.contextmanager
def source(major: int, way: str = "archive", compress: str = "none", **settings: str) -> Iterator[Source]:
    """A running server with small segments whose WAL goes to a repository beside it.

    Args:
        major: its version.
        way: how the WAL goes there, ``archive`` or ``stream``.
        compress: how it is compressed there.
        settings: of the server; they win.
    """
    if not packs(compress):
        pytest.skip(f"the program {compress} is not installed on this machine")
    with instances.place(major) as server:
        made = Source(server, way, compress)
        texts = {path.name: path.read_text() for path in PROGRAMS.iterdir()}
        ok("pg_wal_archive", directory=str(made.repository), programs=texts, user=programs(server)["user"])
        ok("pg_instance", **instances.instance(server, {**SETTINGS, **made.archiving, **settings}, initdb={"wal_segment_size": 1},
                                               **credentials(server)))
        instances.make_replicator(server)
        server.sql(f"GRANT pg_read_all_settings, pg_monitor TO {instances.REPLICATOR}")
        if way == "stream":
            ok("pg_replication_slot", **server.login, name=SLOT, slot_type="physical", reserve_wal=True)
            receive(made)
        try:
            yield made
        finally:
            if way == "stream":
                receive(made, state="stopped")


def receive(made: Source, **options: Any) -> None:
    """Receive the WAL of a source into its archive."""
    ok("pg_receivewal", **{**programs(made.server), **credentials(made.server), "directory": str(made.archive), "slot": SLOT,
                           "conninfo": conninfo(made.server), "compress": made.compress,
                           "log_file": str(made.server.home / "receiver.log"), **options})


@contextlib.contextmanager
def restored(made: Source, settings: dict[str, str] | None = None, **options: Any) -> Iterator[Restored]:
    """A server restored from a source's repository, at its target; see ``restore``."""
    with instances.place(made.server.major) as server:
        yield restore(made, server, settings, **options)


@dataclass
class Restored:
    """What a restore led to.

    Attributes:
        server: at its target.
        chosen: what pg_backup_restore returned.
        reached: what pg_recovery returned.
    """

    server: Server
    chosen: dict[str, Any]
    reached: dict[str, Any]


def restore(made: Source, server: Server, settings: dict[str, str] | None = None, **options: Any) -> Restored:
    """Restore a server from a source's repository as the role does.

    Args:
        made: the source.
        server: where to.
        settings: of the server; they win.
        options: of pg_backup_restore.
    """
    chosen = ok("pg_backup_restore", **restore_options(made, server, **options))
    ok("pg_instance", **instance_options(made, server, settings))
    return Restored(server, chosen, ok("pg_recovery", **recovery_options(server, chosen, **options)))


def restore_options(made: Source, server: Server, **options: Any) -> dict[str, Any]:
    """The options of pg_backup_restore."""
    return {**programs(server), "directory": str(made.repository), "data_directory": str(server.data), **options}


def instance_options(made: Source, server: Server, settings: dict[str, str] | None = None) -> dict[str, Any]:
    """The options of pg_instance; it archives as its source does."""
    return instances.instance(server, {**SETTINGS, **made.archiving, **(settings or {})}, create=False)


def recovery_options(server: Server, chosen: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The options of pg_recovery after those of pg_backup_restore and what that returned."""
    target = {name: value for name, value in options.items() if name.startswith("target_") or name == "wait"}
    return {**programs(server), "data_directory": str(server.data), "mode": "targeted", **target,
            "log_file": str(server.home / "log"), "restore_command": chosen["restore_command"],
            "until_segment": chosen["until_segment"]}
