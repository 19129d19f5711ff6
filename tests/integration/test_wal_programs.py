# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""archive-wal and restore-wal: what a server may rely on, whatever happens while they work."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import conninfo
from tests.support.archives import Archiving, archiving
from tests.support.instances import PASSWORD, REPLICATOR
from tests.support.playbooks import ROOT, wait_until
from tests.support.postgres import bindir, free_port, packs

FILES = ROOT / "roles" / "pg_backup" / "files"
SEGMENT = "000000010000000000000007"
SIZE = 16 * 1024 * 1024
SUFFIXES = {kind: suffix for kind, suffix in {"none": "", "gzip": ".gz", "zstd": ".zst", "lz4": ".lz4"}.items() if packs(kind)}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A repository, and a data directory with a segment in it."""
    (tmp_path / "repository").mkdir()
    (tmp_path / "data" / "pg_wal").mkdir(parents=True)
    (tmp_path / "data" / "pg_wal" / SEGMENT).write_bytes(os.urandom(SIZE // 16) * 16)
    return tmp_path


def archive(place: Path, name: str = SEGMENT, compress: str = "gzip") -> subprocess.CompletedProcess[str]:
    return subprocess.run([FILES / "archive-wal", "-c", compress, place / "repository", f"pg_wal/{name}"], cwd=place / "data",
                          text=True, capture_output=True)


def restore(place: Path, name: str = SEGMENT, *size: str, directory: str = "wal") -> subprocess.CompletedProcess[str]:
    return subprocess.run([FILES / "restore-wal", place / "repository" / directory, name, "pg_wal/RECOVERYXLOG", *size],
                          cwd=place / "data", text=True, capture_output=True)


def original(place: Path, name: str = SEGMENT) -> bytes:
    return (place / "data" / "pg_wal" / name).read_bytes()


def restored(place: Path) -> bytes:
    return (place / "data" / "pg_wal" / "RECOVERYXLOG").read_bytes()


def archived(place: Path) -> list[str]:
    return sorted(path.name for path in (place / "repository" / "wal").iterdir())


def one_sentence(done: subprocess.CompletedProcess[str], program: str) -> str:
    assert done.stderr.startswith(f"{program}: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize(("compress", "suffix"), SUFFIXES.items())
def test_what_was_archived_comes_back(place: Path, compress: str, suffix: str) -> None:
    done = archive(place, compress=compress)
    assert (done.returncode, done.stderr) == (0, "")
    assert archived(place) == [SEGMENT + suffix]
    assert (place / "repository" / "wal" / (SEGMENT + suffix)).stat().st_mode & 0o777 == 0o600
    assert restore(place).returncode == 0
    assert restored(place) == original(place)


@pytest.mark.parametrize("before", SUFFIXES)
@pytest.mark.parametrize("after", ["none", "gzip"])
def test_the_same_again_is_a_success_however_it_was_compressed(place: Path, before: str, after: str) -> None:
    archive(place, compress=before)
    again = archive(place, compress=after)
    assert (again.returncode, again.stderr) == (0, "")
    assert archived(place) == [SEGMENT + SUFFIXES[before]]


@pytest.mark.parametrize(("compress", "suffix"), SUFFIXES.items())
def test_another_file_under_the_same_name_is_a_failure(place: Path, compress: str, suffix: str) -> None:
    archive(place, compress=compress)
    kept = (place / "repository" / "wal" / (SEGMENT + suffix)).read_bytes()
    with (place / "data" / "pg_wal" / SEGMENT).open("r+b") as file:
        file.write(b"other")
    refused = archive(place, compress=compress)
    assert refused.returncode == 1
    assert f"{SEGMENT}{suffix} holds something else" in one_sentence(refused, "archive-wal")
    assert (place / "repository" / "wal" / (SEGMENT + suffix)).read_bytes() == kept


def test_one_that_is_damaged_in_its_checksum_alone_is_not_the_same(place: Path) -> None:
    archive(place)
    path = place / "repository" / "wal" / f"{SEGMENT}.gz"
    packed = bytearray(path.read_bytes())
    packed[-8] ^= 1
    path.write_bytes(packed)
    assert archive(place).returncode == 1


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_file_and_directory_are_on_disk_in_this_order(place: Path) -> None:
    """The file before it gets its name, the name before the server may recycle its own."""
    trace = place / "trace"
    subprocess.run(["strace", "-f", "-y", "-o", trace, "-e", "trace=fsync,rename,renameat,renameat2", FILES / "archive-wal",
                    place / "repository", f"pg_wal/{SEGMENT}"], cwd=place / "data", check=True)
    calls = re.findall(r"(fsync|rename\w*)\((.*)\) += 0", trace.read_text())
    done = [("fsync", re.sub(r".*<(.*)>", r"\1", found)) if call == "fsync" else ("rename", "") for call, found in calls]
    wal = place / "repository" / "wal"
    assert [call for call, _path in done] == ["fsync", "fsync", "rename", "fsync"]
    assert done[0][1] == str(place / "repository")
    assert done[1][1].startswith(f"{wal}/{SEGMENT}.pgmahout-")
    assert done[3][1] == str(wal)


@pytest.mark.parametrize("compress", SUFFIXES)
def test_a_kill_in_the_middle_leaves_nothing_under_the_name(place: Path, compress: str) -> None:
    """What compresses is stopped by a pipe that gives no more, and the whole group is killed there."""
    data = place / "data" / "pg_wal" / SEGMENT
    content = data.read_bytes()
    data.unlink()
    os.mkfifo(data)
    running = subprocess.Popen([FILES / "archive-wal", "-c", compress, place / "repository", f"pg_wal/{SEGMENT}"],
                               cwd=place / "data", start_new_session=True)
    with data.open("wb", buffering=0) as pipe:
        pipe.write(content[:4 * 1024 * 1024])
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    assert all(".pgmahout-" in name for name in archived(place))
    assert archived(place) != []
    data.unlink()
    data.write_bytes(content)
    assert archive(place, compress=compress).returncode == 0
    assert archived(place) == [SEGMENT + SUFFIXES[compress]]
    assert restore(place).returncode == 0
    assert restored(place) == content


def test_one_that_is_asked_to_stop_leaves_nothing(place: Path) -> None:
    data = place / "data" / "pg_wal" / SEGMENT
    data.unlink()
    os.mkfifo(data)
    running = subprocess.Popen([FILES / "archive-wal", place / "repository", f"pg_wal/{SEGMENT}"], cwd=place / "data",
                               stderr=subprocess.PIPE, text=True, start_new_session=True)
    with data.open("wb", buffering=0) as pipe:
        pipe.write(b"x" * 4096)
        os.killpg(running.pid, signal.SIGTERM)
        _out, said = running.communicate()
    assert running.returncode == 1
    assert "archive-wal: " in said
    assert archived(place) == []


@contextlib.contextmanager
def small(path: Path, size: str) -> Iterator[None]:
    """A file system of its own, of a few MB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    path.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"this machine mounts no tmpfs: {mounted.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize("compress", SUFFIXES)
def test_a_full_disk_is_a_failure_that_leaves_nothing_and_ends_when_there_is_room(place: Path, compress: str) -> None:
    (place / "data" / "pg_wal" / SEGMENT).write_bytes(os.urandom(SIZE))
    with small(place / "repository", "8M"):
        full = archive(place, compress=compress)
        assert full.returncode == 1
        # Of a full disk lz4 says no more than this.
        assert ("Write error" if compress == "lz4" else "No space left") in one_sentence(full, "archive-wal")
        assert archived(place) == []
        subprocess.run(["mount", "-o", "remount,size=32M", place / "repository"], check=True)
        assert archive(place, compress=compress).returncode == 0
        assert restore(place).returncode == 0
        assert restored(place) == original(place)


def test_a_full_disk_at_a_restore_is_no_end_of_the_wal(place: Path) -> None:
    archive(place, compress="none")
    with small(place / "room", "8M"):
        done = subprocess.run([FILES / "restore-wal", place / "repository" / "wal", SEGMENT, place / "room" / "RECOVERYXLOG"],
                              text=True, capture_output=True)
        assert done.returncode == 200
        assert "No space left" in one_sentence(done, "restore-wal")
        assert list((place / "room").iterdir()) == []


def test_what_is_not_there_is_the_end_of_the_wal(place: Path) -> None:
    archive(place)
    for name in ("000000010000000000000008", "00000002.history", "000000010000000000000007.00000028.backup"):
        done = restore(place, name)
        assert (done.returncode, done.stderr) == (1, "")


def test_an_archive_that_is_not_there_is_not_the_end_of_the_wal(place: Path) -> None:
    done = restore(place)
    assert done.returncode == 200
    assert f"{place}/repository/wal is not there" in one_sentence(done, "restore-wal")


@pytest.mark.parametrize("compress", [kind for kind in SUFFIXES if kind != "none"])
@pytest.mark.parametrize("damage", ["flipped", "cut off"])
def test_what_is_damaged_is_not_the_end_of_the_wal(place: Path, compress: str, damage: str) -> None:
    archive(place, compress=compress)
    path = place / "repository" / "wal" / (SEGMENT + SUFFIXES[compress])
    packed = bytearray(path.read_bytes())
    packed[len(packed) // 2] ^= 1
    path.write_bytes(packed if damage == "flipped" else packed[:len(packed) // 2])
    done = restore(place)
    assert done.returncode == 200
    assert f"{path} was to be restored and is damaged" in one_sentence(done, "restore-wal")
    assert not (place / "data" / "pg_wal" / "RECOVERYXLOG").exists()


@pytest.mark.parametrize("kind", [".partial", ".partial.gz", ".gz.partial"])
def test_of_the_segment_that_was_being_written_there_is_what_was_written(place: Path, kind: str) -> None:
    archive(place)
    written = original(place)[:SIZE // 2]
    packed = gzip.compress(written)
    # pg_receivewal flushes and does not end what it compresses; a server that archives its last segment does.
    content = {".partial": written, ".partial.gz": packed, ".gz.partial": packed[:-12]}[kind]
    (place / "repository" / "wal" / f"000000010000000000000008{kind}").write_bytes(content)
    done = restore(place, "000000010000000000000008", str(SIZE))
    assert (done.returncode, done.stderr) == (0, "")
    assert len(restored(place)) == SIZE
    kept = restored(place).rstrip(b"\0")
    assert written.startswith(kept)
    assert len(kept) > len(written) - 65536


def test_the_whole_segment_is_preferred_to_its_part(place: Path) -> None:
    archive(place)
    (place / "repository" / "wal" / f"{SEGMENT}.partial").write_bytes(b"part")
    assert restore(place).returncode == 0
    assert restored(place) == original(place)


def test_a_part_of_which_nothing_was_written_is_the_end_of_the_wal(place: Path) -> None:
    archive(place)
    (place / "repository" / "wal" / "000000010000000000000008.gz.partial").write_bytes(b"")
    assert restore(place, "000000010000000000000008").returncode == 1
    assert not (place / "data" / "pg_wal" / "RECOVERYXLOG").exists()


def test_a_restored_server_archives_elsewhere(place: Path) -> None:
    (place / "data" / "pgmahout.archive").write_text("wal-20261122T190102Z\n")
    assert archive(place).returncode == 0
    assert not (place / "repository" / "wal").exists()
    assert restore(place, directory="wal-20261122T190102Z").returncode == 0


@pytest.mark.parametrize("name", ["", "../wal", "base", "wal-/etc", "wal-", "wal x"])
def test_a_name_that_is_no_archive_is_refused(place: Path, name: str) -> None:
    (place / "data" / "pgmahout.archive").write_text(name + "\n")
    done = archive(place)
    assert done.returncode == 1
    assert "names no archive" in one_sentence(done, "archive-wal")
    assert list((place / "repository").iterdir()) == []


@pytest.mark.parametrize(("arguments", "told"), [
    (["-c", "rar", "repository", "x"], "compression rar"), (["repository"], "1 arguments"),
    (["nowhere", "data/pg_wal/x"], "repository nowhere is not there")])
def test_a_wrong_call_is_refused(place: Path, arguments: list[str], told: str) -> None:
    done = subprocess.run([FILES / "archive-wal", *arguments], cwd=place, text=True, capture_output=True)
    assert done.returncode == 1
    assert told in one_sentence(done, "archive-wal")


@pytest.fixture(params=[15, 18], ids=lambda major: f"pg{major}")
def server(request: pytest.FixtureRequest) -> Iterator[Archiving]:
    if bindir(request.param) is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed on this machine")
    with archiving(request.param) as made:
        yield made


def test_a_server_gets_over_a_kill_of_its_archiver(server: Archiving) -> None:
    segment = server.segment()
    wait_until((server.wal / f"{segment}.gz").exists)
    path = server.wal / f"{segment}.gz"
    content = path.read_bytes()
    # The server crashes before it notes that the segment is archived, and asks again for the same.
    ready = server.server.data / "pg_wal" / "archive_status" / f"{segment}.ready"
    wait_until(ready.with_suffix(".done").exists)
    server.server.stop("immediate")
    ready.with_suffix(".done").rename(ready)
    server.server.start()
    wait_until(ready.with_suffix(".done").exists)
    assert path.read_bytes() == content
    assert server.server.sql("SELECT failed_count FROM pg_stat_archiver") == [(0,)]


def test_a_server_does_not_overwrite_what_another_archived(server: Archiving) -> None:
    name = server.server.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")[0][0]
    (server.wal / f"{name}.gz").write_bytes(gzip.compress(b"of another server"))
    assert server.segment() == name
    wait_until(lambda: bool(server.server.sql("SELECT failed_count > 0 FROM pg_stat_archiver")[0][0]))
    assert gzip.decompress((server.wal / f"{name}.gz").read_bytes()) == b"of another server"
    assert f"{name}.gz holds something else" in server.server.log


def test_a_damaged_segment_stops_recovery_with_the_name_of_the_file(server: Archiving) -> None:
    """Were the damage taken for the end of the WAL, the server would open without what was committed behind it."""
    copy = server.server.home / "copy"
    login = conninfo.render({"host": "127.0.0.1", "port": server.server.port, "user": REPLICATOR, "password": PASSWORD})
    server.server.run("pg_basebackup", f"--pgdata={copy}", f"--dbname={login}", "--wal-method=none", "--checkpoint=fast",
                      "--no-sync")
    segments = [server.segment() for _turn in range(3)]
    wait_until((server.wal / f"{segments[-1]}.gz").exists)
    path = server.wal / f"{segments[1]}.gz"
    packed = bytearray(path.read_bytes())
    packed[len(packed) // 2] ^= 0xFF
    path.write_bytes(packed)
    (copy / "recovery.signal").touch()
    with (copy / "postgresql.auto.conf").open("a") as file:
        file.write(f"restore_command = '{server.repository}/bin/restore-wal {server.wal} %f %p'\narchive_mode = off\n")
    shutil.chown(copy / "recovery.signal", server.server.data.owner())
    log = server.server.home / "copy.log"
    with pytest.raises(subprocess.CalledProcessError):
        server.server.run("pg_ctl", "-D", str(copy), "-l", str(log), "-o", f"-p {free_port()}", "-w", "start")
    said = log.read_text()
    assert f"restore-wal: {path} was to be restored and is damaged" in said
    assert "FATAL:  could not restore file" in said
    assert "database system is ready to accept connections" not in said
