# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository of backups beside a scratch server, and what is restored from it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .instances import instance, make_replicator, passfile, place, programs, upstream_of
from .modules import ok
from .postgres import Server, server_user

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "roles" / "pg_backup" / "files"


@dataclass
class Repository:
    """A repository, and the primary whose backups it holds."""

    primary: Server

    @property
    def path(self) -> Path:
        return self.primary.home / "repository"

    def options(self, **options: Any) -> dict[str, Any]:
        """The options of pg_backup."""
        return {**programs(self.primary), "directory": str(self.path), "cluster": "orders", "timeout": 60,
                "conninfo": upstream_of(self.primary, self.primary), **passfile(self.primary, self.primary), **options}

    def backup(self, **options: Any) -> dict[str, Any]:
        """Take a backup; its entry."""
        entry: dict[str, Any] = ok("pg_backup", **self.options(**options))["backup"]
        return entry

    def place_options(self, server: Server, **options: Any) -> dict[str, Any]:
        """The options of pg_backup_restore."""
        return {**programs(server), "directory": str(self.path), "data_directory": str(server.data), "timeout": 60, **options}

    def restore(self, server: Server, settings: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
        """Restore into a place and wait for the target; what pg_recovery returned."""
        placed = ok("pg_backup_restore", **self.place_options(server, **options))
        ok("pg_instance", **instance(server, {"archive_mode": "off", **(settings or {})}, create=False, timeout=60))
        target = {name: value for name, value in options.items() if name.startswith("target_")}
        return ok("pg_recovery", **programs(server), data_directory=str(server.data), mode="targeted",
                  restore_command=placed["restore_command"], until_segment=placed["until_segment"], log_file=str(server.home / "log"), **target)


@contextlib.contextmanager
def archiving(major: int, compress: str = "gzip", **settings: str) -> Iterator[Repository]:
    """A primary whose WAL is archived by archive_command into a repository of its own."""
    with place(major) as server:
        repository = Repository(server)
        (repository.path / "bin").mkdir(parents=True)
        for program in PROGRAMS.iterdir():
            shutil.copy(program, repository.path / "bin")
        if (user := server_user()) is not None:
            for path in (repository.path, repository.path / "bin"):
                shutil.chown(path, user)
        command = f"{repository.path}/bin/archive-wal -c {compress} {repository.path} %p"
        ok("pg_instance", **instance(server, {
            "archive_mode": "on", "archive_command": command, "wal_level": "replica", **settings}))
        make_replicator(server)
        ok("pg_instance", **instance(server, {
            "archive_mode": "on", "archive_command": command, "wal_level": "replica", **settings},
            **passfile(server, server)))
        yield repository


def restored(repository: Repository) -> contextlib.AbstractContextManager[Server]:
    """A place to restore to."""
    return place(repository.primary.major)
