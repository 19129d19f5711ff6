# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two servers that part: a standby that is promoted while its primary goes on, and how the latter comes back."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.archiver import archive_of

from . import instances
from .archives import PROGRAMS
from .instances import REPLICATOR, clone, follow, instance, passfile, place, programs, upstream_of
from .modules import ok
from .postgres import Server, bindir, server_user
from .replication import await_true

#: Small segments, so that a few rows fill one.
INITDB = {"wal_segment_size": 1, "data_checksums": True}
SETTINGS = {"wal_keep_size": "64MB", "min_wal_size": "2MB", "max_wal_size": "4MB", "checkpoint_timeout": "1h",
            "autovacuum": "off"}


@dataclass
class Parted:
    """Two servers of one system, which part when they are told to.

    Attributes:
        old: the one that is the primary at first.
        new: the one that is promoted.
        settings: of both.
    """

    old: Server
    new: Server
    settings: dict[str, str]

    def part(self, rows: int = 3, checkpoint: bool = True) -> None:
        """Promote the standby, and let both write.

        Args:
            rows: that the old one writes which the new one never has; none where it is to be stopped before, in order.
            checkpoint: whether the new one does one, so that its control file names its timeline.
        """
        self.caught_up(self.new)
        if not rows:
            self.old.stop()
        ok("pg_promote", **self.new.login)
        if rows:
            self.old.sql(f"INSERT INTO t SELECT i, 'lost' FROM generate_series(1, {rows}) i; CREATE TABLE lost (id int)")
        self.new.sql("INSERT INTO t VALUES (-1, 'kept'); UPDATE t SET t = 'changed' WHERE id = 1")
        if checkpoint:
            self.new.sql("CHECKPOINT")

    def caught_up(self, standby: Server) -> None:
        """Wait until a standby has all that the old one has written."""
        [(position,)] = self.old.sql("SELECT pg_current_wal_flush_lsn()")
        await_true(lambda: standby.sql(f"SELECT pg_last_wal_replay_lsn() >= '{position}'") == [(True,)])

    def options(self, server: Server | None = None, **options: Any) -> dict[str, Any]:
        """The options of pg_rewind, by which the old one, or another, is to follow the new one."""
        server = server or self.old
        return {**programs(server), "data_directory": str(server.data), "log_file": str(server.home / "log"),
                "conninfo": upstream_of(server, self.new), **options}

    def comes_back(self, server: Server | None = None) -> None:
        """Start the old one, or another, and see that it streams from the new one and has its rows."""
        server = server or self.old
        ok("pg_instance", **instance(server, self.settings, create=False, **passfile(server, self.new)))
        assert ok("pg_recovery", **follow(server, self.new))["changed"] is False
        self.new.sql("INSERT INTO t VALUES (-2, 'streamed')")
        rows = self.new.sql("SELECT * FROM t ORDER BY id, t")
        await_true(lambda: server.sql("SELECT * FROM t ORDER BY id, t") == rows)
        assert server.sql("SELECT pg_is_in_recovery(), to_regclass('lost') IS NULL") == [(True, True)]
        assert server.sql("SHOW port") == [(str(server.port),)]

    def turned(self) -> None:
        """Take the new one for the old one, and the other way round."""
        self.old, self.new = self.new, self.old


@contextlib.contextmanager
def parted(major: int, settings: dict[str, str] | None = None, spaces: bool = False, **initdb: Any) -> Iterator[Parted]:
    """A primary and its standby.

    Args:
        major: their version.
        settings: of both.
        spaces: whether there is a tablespace, at different places, since the two are on one host.
        initdb: of both.
    """
    wanted = {**SETTINGS, **(settings or {})}
    with place(major) as old, place(major) as new:
        ok("pg_instance", **instance(old, wanted, initdb={**INITDB, **initdb}, **passfile(old, new)))
        instances.make_replicator(old)
        ok("pg_replication_role", name=REPLICATOR, may=["rewind"], **old.login)
        old.sql("CREATE TABLE t (id int, t text); INSERT INTO t SELECT i, 'both' FROM generate_series(1, 100) i")
        mapping = {}
        if spaces:
            mapping = {str(empty(old, "space")): str(new.home / "space")}
            old.sql(f"CREATE TABLESPACE space LOCATION '{old.home}/space'")
            old.sql("ALTER TABLE t SET TABLESPACE space")
        ok("pg_basebackup", **clone(new, old, tablespace_mapping=mapping))
        ok("pg_instance", **instance(new, wanted, create=False))
        ok("pg_recovery", **follow(new, old))
        yield Parted(old, new, wanted)


def empty(server: Server, name: str) -> Path:
    """An empty directory of the server's account."""
    path = server.home / name
    path.mkdir()
    if (user := server_user()) is not None:
        shutil.chown(path, user)
    return path


def churn(server: Server) -> None:
    """Write until the WAL before is recycled, where nothing keeps it."""
    for _ in range(6):
        server.sql("SELECT pg_logical_emit_message(false, 'test', 'x')")
        server.sql("SELECT pg_switch_wal()")
        server.sql("CHECKPOINT")


def starts(server: Server) -> bool:
    """Whether anybody could start the server, with a configuration that lies elsewhere; it is stopped again."""
    elsewhere, hba = server.home / "elsewhere.conf", server.home / "elsewhere.hba"
    hba.write_text(instances.HBA)
    elsewhere.write_text(instances.configuration(server, hba_file=str(hba)))
    try:
        server.run("pg_ctl", "-D", str(server.data), "-l", str(server.home / "log"), "-w", "-o", f"-c config_file={elsewhere}",
                   "start")
    except subprocess.CalledProcessError:
        return False
    server.stop()
    return True


@contextlib.contextmanager
def archive(server: Server) -> Iterator[Archive]:
    """A repository beside a server that is still to be made."""
    directory = server.home / "backups"
    ok("pg_wal_archive", directory=str(directory), programs=PROGRAMS, user=server_user() or "")
    yield Archive(directory)


@dataclass
class Archive:
    """A repository into which both servers archive."""

    directory: Path

    @property
    def settings(self) -> dict[str, str]:
        """By which a server archives."""
        return {"archive_mode": "on", "archive_command": f"{self.directory}/bin/archive-wal -c none {self.directory} %p"}

    def command(self, server: Server) -> str:
        """The command by which a server's WAL is fetched."""
        return f"{self.directory}/bin/restore-wal {self.directory}/{archive_of(str(server.data))} %f %p 1048576"


@contextlib.contextmanager
def programs_but(server: Server, rewind: str) -> Iterator[str]:
    """A directory of programs in which another stands for ``pg_rewind``.

    Args:
        server: of the version.
        rewind: what a shell does in its place when it is no trial; ``$REAL`` is the real one, ``$REACHED`` a file to make.
    """
    real, directory = bindir(server.major), empty(server, "bin")
    assert real is not None
    for path in real.iterdir():
        (directory / path.name).symlink_to(path)
    script = directory / "pg_rewind"
    script.unlink()
    script.write_text(f'#!/bin/sh\nREAL={real}/pg_rewind REACHED={server.home}/reached\n'
                      f'case " $* " in *" --dry-run "*) exec $REAL "$@" ;; esac\n{rewind}\n')
    script.chmod(0o755)
    try:
        yield str(directory)
    finally:
        shutil.rmtree(directory)
