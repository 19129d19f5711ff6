# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that archives its WAL into a repository, by the programs of the collection."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.archiver import archive_of
from tests.support.instances import instance, make_replicator, place
from tests.support.modules import ok
from tests.support.playbooks import ROOT
from tests.support.postgres import Server, server_user

#: The programs that pg_wal_archive installs, as its action plugin gives them.
PROGRAMS = {path.name: path.read_text() for path in (ROOT / "roles" / "pg_backup" / "files").iterdir()}


@dataclass
class Archiving:
    """A server and its repository."""

    server: Server

    @property
    def repository(self) -> Path:
        return self.server.home / "backups"

    @property
    def wal(self) -> Path:
        return self.repository / archive_of(str(self.server.data))

    def segment(self) -> str:
        """End a segment with something in it, and return its name."""
        self.server.sql("SELECT pg_logical_emit_message(false, 'test', 'x')")
        [(name,)] = self.server.sql("SELECT pg_walfile_name(pg_switch_wal())")
        return str(name)


def repository(server: Server, **options: Any) -> dict[str, Any]:
    """The options of pg_wal_archive."""
    return {"directory": str(server.home / "backups"), "programs": PROGRAMS, "user": server_user() or "", **options}


@contextlib.contextmanager
def archiving(major: int, compress: str = "gzip") -> Iterator[Archiving]:
    """A primary that archives."""
    with place(major) as server:
        ok("pg_wal_archive", **repository(server))
        made = Archiving(server)
        command = f"{made.repository}/bin/archive-wal -c {compress} {made.repository} %p"
        ok("pg_instance", **instance(server, {"archive_mode": "on", "archive_command": command}))
        make_replicator(server)
        # The first segment would make it; tests look into it before.
        made.wal.mkdir()
        if (user := server_user()) is not None:
            shutil.chown(made.wal, user)
        yield made
