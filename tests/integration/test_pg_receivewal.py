# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_receivewal as a process: it streams, is kept as it is, restarted when asked to be otherwise, and gone when it is to be."""

from __future__ import annotations

import contextlib
import gzip
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import receiver
from tests.support.instances import PASSWORD, REPLICATOR, passfile, primary, programs, standby, upstream_of
from tests.support.modules import ok, refused, run_module
from tests.support.playbooks import ROOT, wait_until
from tests.support.postgres import Server, bindir

SLOT = "pgmahout_wal"


@dataclass
class Archive:
    """A server and the place of its archive."""

    server: Server

    @property
    def directory(self) -> Path:
        return self.server.home / "backups" / "wal"

    @property
    def log(self) -> Path:
        return self.server.home / "receivewal.log"

    def options(self, **options: Any) -> dict[str, Any]:
        conninfo = upstream_of(self.server, self.server, application_name=SLOT)
        return {**programs(self.server), "directory": str(self.directory), "conninfo": conninfo, "slot": SLOT,
                "log_file": str(self.log), **passfile(self.server, self.server), **options}

    def process(self) -> receiver.Process | None:
        return receiver.find(str(self.directory.parent))

    def pid(self) -> int:
        found = self.process()
        assert found is not None
        return found.pid

    def stop(self) -> None:
        if found := self.process():
            os.kill(found.pid, signal.SIGKILL)
            wait_until(lambda: self.process() is None)


@pytest.fixture(params=[15, 18], ids=lambda major: f"pg{major}")
def archive(request: pytest.FixtureRequest) -> Iterator[Archive]:
    """A primary with the slot, and whatever receiver a test starts, which is gone afterwards."""
    if bindir(request.param) is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed on this machine")
    with primary(request.param) as server, contextlib.ExitStack() as stack:
        server.sql(f"SELECT pg_create_physical_replication_slot('{SLOT}', true)")
        made = Archive(server)
        stack.callback(made.stop)
        yield made


def test_it_streams_and_is_left_alone_the_second_time(archive: Archive) -> None:
    planned = run_module("pg_receivewal", check=True, **archive.options())
    assert planned["changed"]
    assert not archive.directory.exists()
    assert archive.process() is None
    done = ok("pg_receivewal", **archive.options())
    assert done["commands"] == planned["commands"]
    assert archive.server.sql(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{SLOT}'") == [(True,)]
    pid = archive.pid()
    assert not ok("pg_receivewal", **archive.options())["changed"]
    assert archive.pid() == pid


def test_a_switched_segment_is_there_whole_and_on_disk_for_the_server(archive: Archive) -> None:
    ok("pg_receivewal", **archive.options())
    [(segment, lsn)] = archive.server.sql("SELECT pg_walfile_name(lsn - 1), lsn FROM pg_switch_wal() AS lsn")
    wait_until(lambda: (archive.directory / f"{segment}.gz").exists())
    assert len(gzip.decompress((archive.directory / f"{segment}.gz").read_bytes())) == 16 * 1024 * 1024
    behind = f"SELECT FROM pg_stat_replication WHERE flush_lsn >= '{lsn}' AND application_name = '{SLOT}'"
    wait_until(lambda: bool(archive.server.sql(behind)))


@pytest.mark.parametrize("compress", ["none", "gzip"])
def test_it_goes_on_where_a_timeline_ended_with_its_segment(archive: Archive, compress: str) -> None:
    with standby(archive.server) as promoted:
        promoted.sql(f"SELECT pg_create_physical_replication_slot('{SLOT}', true)")
        ok("pg_receivewal", **archive.options(compress=compress))
        [(last, lsn)] = archive.server.sql("SELECT pg_walfile_name(lsn - 1), lsn FROM pg_switch_wal() AS lsn")
        wait_until(lambda: promoted.sql(f"SELECT pg_last_wal_receive_lsn() >= '{lsn}'") == [(True,)])
        wait_until(lambda: not {last, f"{last}.gz"}.isdisjoint(path.name for path in archive.directory.iterdir()))
        archive.stop()
        archive.server.stop("immediate")
        for path in archive.directory.glob("*.partial"):  # nothing was received of what came next
            path.unlink()
        promoted.sql("SELECT pg_promote()")
        options = archive.options(compress=compress, conninfo=upstream_of(promoted, promoted, application_name=SLOT),
                                  **passfile(promoted, promoted))
        ok("pg_receivewal", **options)
        segment = promoted.sql("SELECT pg_walfile_name(pg_switch_wal() - 1)")[0][0]
        wait_until(lambda: any(path.name.startswith(segment) and not path.name.endswith(".partial")
                               for path in archive.directory.iterdir()))
        assert any(path.name.startswith("00000002.history") for path in archive.directory.iterdir())


@pytest.mark.parametrize("compress", ["none", "gzip", "lz4"])
def test_of_the_segment_being_written_all_that_was_committed_comes_back(archive: Archive, compress: str) -> None:
    if compress == "lz4" and archive.server.major != 15:
        pytest.skip("this build has no lz4")
    ok("pg_receivewal", **archive.options(compress=compress))
    marks = [f"mark {turn} {os.urandom(8).hex()}" for turn in range(20)]
    for mark in marks:
        archive.server.sql(f"SELECT pg_logical_emit_message(true, 'test', '{mark}')")
    [(name, lsn)] = archive.server.sql("SELECT pg_walfile_name(pg_current_wal_flush_lsn()), pg_current_wal_flush_lsn()")
    wait_until(lambda: bool(archive.server.sql(f"SELECT FROM pg_stat_replication WHERE flush_lsn >= '{lsn}'")))
    archive.stop()
    target = archive.server.home / "RECOVERYXLOG"
    program = ROOT / "roles" / "pg_backup" / "files" / "restore-wal"
    done = subprocess.run([program, archive.directory, name, target], text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert target.stat().st_size == 16 * 1024 * 1024
    content = target.read_bytes()
    assert [mark for mark in marks if mark.encode() not in content] == []


def test_one_that_was_killed_comes_back(archive: Archive) -> None:
    ok("pg_receivewal", **archive.options())
    archive.stop()
    done = ok("pg_receivewal", **archive.options())
    assert [command.split()[0].rpartition("/")[2] for command in done["commands"]] == ["pg_receivewal"]
    assert archive.process() is not None


def test_other_options_restart_it(archive: Archive) -> None:
    ok("pg_receivewal", **archive.options())
    before = archive.pid()
    assert ok("pg_receivewal", **archive.options(compress="none"))["changed"]
    assert archive.pid() != before
    assert not ok("pg_receivewal", **archive.options(compress="none"))["changed"]


def test_another_archive_of_the_repository_takes_its_place(archive: Archive) -> None:
    ok("pg_receivewal", **archive.options())
    other = archive.directory.with_name("wal-20261122T190102Z")
    assert ok("pg_receivewal", **archive.options(directory=str(other)))["changed"]
    found = archive.process()
    assert found is not None
    assert f"--directory={other}" in found.arguments
    wait_until(lambda: any(other.iterdir()))


@pytest.mark.parametrize("state", ["stopped", "absent"])
def test_when_it_is_gone_its_slot_is_free(archive: Archive, state: str) -> None:
    ok("pg_receivewal", **archive.options())
    assert run_module("pg_receivewal", check=True, **archive.options(state=state))["changed"]
    assert archive.process() is not None
    assert ok("pg_receivewal", **archive.options(state=state))["changed"]
    assert archive.process() is None
    archive.server.sql(f"SELECT pg_drop_replication_slot('{SLOT}')")
    assert not ok("pg_receivewal", **archive.options(state=state))["changed"]


def test_one_without_a_slot_is_an_error_with_what_it_said(archive: Archive) -> None:
    message = refused("pg_receivewal", **archive.options(slot="nowhere", timeout=3))
    assert 'replication slot "nowhere" does not exist' in message
    assert "\n" not in message


def test_one_that_is_not_let_in_is_an_error(archive: Archive) -> None:
    archive.server.sql(f"ALTER ROLE {REPLICATOR} NOLOGIN")
    message = refused("pg_receivewal", **archive.options(timeout=3))
    assert "not permitted to log in" in message


def test_a_compression_that_the_build_lacks_is_an_error_with_what_it_said(archive: Archive) -> None:
    if archive.server.major == 15:
        pytest.skip("this build has lz4")
    assert "LZ4" in refused("pg_receivewal", **archive.options(compress="lz4", timeout=3))


def test_the_password_is_nowhere(archive: Archive) -> None:
    done = ok("pg_receivewal", **archive.options())
    found = archive.process()
    assert found is not None
    environment = Path(f"/proc/{found.pid}/environ").read_bytes()
    shown = str({key: value for key, value in done.items() if key != "invocation"})
    assert PASSWORD not in shown + "".join(found.arguments) + archive.log.read_text()
    assert PASSWORD.encode() not in environment
    assert "option conninfo holds password" in refused("pg_receivewal", **archive.options(
        conninfo={"host": "127.0.0.1", "password": "x"}))
