# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A data directory as it is, and files that are whole or not there."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import instance, programs
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import StateError, ToolError
from tests.support.postgres import server_user

PRINTED = """pg_control version number:            1800
Database system identifier:           7575208263548962345
Database cluster state:               in archive recovery
Latest checkpoint location:           0/3000060
Latest checkpoint's TimeLineID:       2
Latest checkpoint's full_page_writes: on
Minimum recovery ending location:     0/3000100
Min recovery ending loc's timeline:   3
wal_log_hints setting:                off
max_connections setting:              100
max_worker_processes setting:         8
max_wal_senders setting:              10
max_prepared_xacts setting:           0
max_locks_per_xact setting:           64
Bytes per WAL segment:                1048576
Data page checksum version:           1
"""


class Fake:
    """Programs that print what they are told."""

    bindir = "/bin"
    version_num = 180001
    user = None

    def __init__(self, printed: str = PRINTED) -> None:
        self.printed = printed

    def run(self, *_args: str) -> str:
        return self.printed


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What looks like an instance."""
    made = tmp_path / "data"
    (made / "global").mkdir(parents=True)
    (made / "pg_wal").mkdir()
    (made / "global" / "pg_control").touch()
    (made / "PG_VERSION").write_text("18\n")
    return made


def read(path: Path, printed: str = PRINTED) -> instance.Instance:
    programs: Any = Fake(printed)
    return instance.read(programs, str(path))


def host(path: Path, timeout: float = 1) -> instance.Host:
    (path / "postgres").touch(0o755)
    return instance.Host(programs.Installation(str(path)), server_user() or "", str(path / "data"), timeout)


def test_what_is_no_instance_is_told_apart(tmp_path: Path, data: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert [read(tmp_path / name).kind for name in ("none", "empty", "file", "data")] == [
        "missing", "empty", "foreign", "instance"]
    (data / "global" / "pg_control").unlink()
    assert read(data).kind == "foreign"


def test_an_instance_is_read(data: Path) -> None:
    (data / "standby.signal").touch()
    (data / "pg_wal" / "00000003.history").touch()
    (data / "pg_wal" / "00000009.history.done").touch()
    found = read(data)
    assert found.control == instance.Control(
        "7575208263548962345", "in archive recovery", 2, "0/3000060", "0/3000100",
        {"max_connections": 100, "max_worker_processes": 8, "max_wal_senders": 10, "max_prepared_transactions": 0,
         "max_locks_per_transaction": 64}, True, wal_log_hints=False, full_page_writes=True, minimum_recovery_timeline=3,
        wal_segment_size=1 << 20)
    assert (found.standby_signal, found.recovery_signal, found.newest_timeline, found.process) == (True, False, 3, None)


def test_a_standby_is_on_the_newest_timeline_that_it_has_wal_of(tmp_path: Path) -> None:
    (tmp_path / "pg_wal").mkdir()
    assert instance.wal_timeline(str(tmp_path)) == 0
    for name in ("000000010000000000000009", "000000020000000000000003", "00000003.history", "archive_status",
                 "000000040000000000000003.partial"):
        (tmp_path / "pg_wal" / name).touch()
    assert instance.wal_timeline(str(tmp_path)) == 2


def test_another_major_version_is_refused(data: Path) -> None:
    (data / "PG_VERSION").write_text("15\n")
    with pytest.raises(StateError, match="made by PostgreSQL 15 and the programs in /bin are of version 18"):
        read(data)


def test_a_control_file_of_another_kind_is_refused(data: Path) -> None:
    with pytest.raises(ToolError, match="printed no line 'Database cluster state'"):
        read(data, PRINTED.replace("Database cluster state", "Zustand"))


@pytest.mark.parametrize("text", ["", "4711\n", "4194305\n/x\n0\n5432\n/run\n*\n 1 2\nready\n"])
def test_a_stale_pid_file_is_no_server(data: Path, text: str) -> None:
    (data / "postmaster.pid").write_text(text)
    assert instance.read_process(str(data)) is None


def test_a_process_that_took_the_number_of_a_server_is_none(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "postmaster.pid").write_text("%d\n%s\n1700000000\n5440\n/run\n*\n 1 2\nready   \n" % (os.getpid(), data))
    assert instance.read_process(str(data)) is None
    monkeypatch.chdir(data)
    assert instance.read_process(str(data)) == instance.Process(os.getpid(), 1700000000, 5440, "/run", "ready")


@pytest.mark.parametrize(("text", "socket_directory"), [("\n", ""), ("/run\n", "/run"), ("/run\n*\n 1 2\n", "/run")])
def test_a_server_that_has_not_said_yet_how_it_is_starts(data: Path, monkeypatch: pytest.MonkeyPatch, text: str,
                                                         socket_directory: str) -> None:
    monkeypatch.chdir(data)
    (data / "postmaster.pid").write_text("%d\n%s\n1700000000\n5440\n%s" % (os.getpid(), data, text))
    assert instance.read_process(str(data)) == instance.Process(os.getpid(), 1700000000, 5440, socket_directory, "starting")


def test_a_port_is_taken_while_somebody_listens() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert [instance.port_is_taken(address, port) for address in ("127.0.0.1", "*", "localhost")] == [True] * 3
    assert not instance.port_is_taken("127.0.0.1", port)
    assert not instance.port_is_taken("no such host.invalid", port)


def test_waiting_ends_when_it_holds_or_when_the_time_is_over() -> None:
    answers = iter([False, False, True])
    assert instance.wait_until(lambda: next(answers), 10)
    assert not instance.wait_until(lambda: False, 0)


def test_one_data_directory_is_worked_on_by_one_run(tmp_path: Path) -> None:
    one, other = host(tmp_path, 0), host(tmp_path, 0)
    with one.lock(), pytest.raises(StateError, match="is being worked on by another run"), other.lock():
        pass
    with other.lock():
        pass


def test_two_data_directories_do_not_wait_for_each_other(tmp_path: Path) -> None:
    long = "/" + "x" * 200
    one, other = host(tmp_path, 0), host(tmp_path, 0)
    one.data_directory, other.data_directory = "/a" + long, "/b" + long
    with one.lock(), other.lock():
        pass


def test_a_file_is_written_whole_and_for_the_servers_account_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    path.chmod(0o644)
    writer = host(tmp_path)
    writer.write(str(path), "text \udcff\n")
    assert path.read_bytes() == b"text \xff\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_uid == writer.account.uid
    assert {entry.name for entry in tmp_path.iterdir()} == {"file", "postgres"}


def test_a_hash_is_the_same_in_every_process() -> None:
    assert instance.hash_of("/srv/orders/node1/data") == 1552574716
    assert instance.hash_of("a") != instance.hash_of("b")


def test_a_text_that_is_no_utf_8_is_read_and_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert instance.read_text(str(path)) is None
    path.write_bytes(b"\xff\n")
    text = instance.read_text(str(path))
    assert text is not None
    assert text.encode("utf-8", "surrogateescape") == b"\xff\n"
