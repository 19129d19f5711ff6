# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_basebackup`` as a backup on real servers: each format starts with the right rows, and no damage stays unseen."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import base_backup, instance, programs
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import ToolError
from tests.support import instances
from tests.support.instances import PASSWORD, clone, place
from tests.support.modules import ok, refused, run_module
from tests.support.playbooks import ROOT, wait_until
from tests.support.postgres import Server, bindir, packs, server_user

MODULE = "pg_basebackup"
VERSIONS = (15, 18)

#: What each build can compress with; the wheel has no LZ4 and no Zstandard.
COMPRESS = {15: tuple(filter(packs, ("gzip", "lz4", "zstd"))), 18: ("gzip",)}


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda major: f"pg{major}")
def primary(request: pytest.FixtureRequest) -> Iterator[Server]:
    if bindir(request.param) is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed on this machine")
    with place(request.param) as server:
        settings = {"summarize_wal": "on"} if request.param >= 17 else {}
        ok("pg_instance", **instances.instance(server, settings))
        instances.make_replicator(server)
        server.sql("CREATE TABLE t AS SELECT i, repeat('x', 1000) FROM generate_series(1, 4000) i")
        yield server


@pytest.fixture
def there(primary: Server) -> Iterator[Server]:
    """The place for a backup."""
    with place(primary.major) as server:
        yield server


newest_only = pytest.mark.parametrize("primary", [18], indirect=True, ids=["pg18"])


def backup(there: Server, primary: Server, **options: Any) -> dict[str, Any]:
    """The options of a backup that is no standby."""
    return clone(there, primary, dest=str(there.home / "backup"), **options)


def host_of(server: Server) -> instance.Host:
    """The host as a module has it."""
    found = programs.locate({"bindir": str(bindir(server.major)), "programs_directory": ""})
    return instance.Host(found, server_user() or "", str(server.data), 20)


def owned(server: Server, path: Path) -> Path:
    """A new directory for the server's account."""
    path.mkdir(mode=0o700)
    os.chown(path, server.home.stat().st_uid, -1)
    return path


def restored(there: Server) -> list[tuple[Any, ...]]:
    """What a plain backup at the server's place has in table t, once started as a primary of its own."""
    ok("pg_instance", **instances.instance(there, create=False))
    try:
        return there.sql("SELECT count(*)::int, max(i), pg_is_in_recovery() FROM t")
    finally:
        there.stop()


def untar(there: Server, source: Path) -> None:
    """Make the data directory of a backup in tar format, by no code of ours."""
    owned(there, there.data)
    for archive in sorted(source.glob("*.tar*")):
        target = there.data / "pg_wal" if archive.name.startswith("pg_wal") else there.data
        packer = {".gz": "gzip", ".lz4": "lz4", ".zst": "zstd"}.get(archive.suffix, "cat")
        unpack = f"{packer} -dc {archive}" if packer != "cat" else f"cat {archive}"
        subprocess.run(f"{unpack} | tar -x -C {target}", shell=True, check=True, user=server_user())


def kinds(major: int) -> list[dict[str, Any]]:
    """Every way to take a backup that a build knows."""
    found: list[dict[str, Any]] = [{"write_recovery_conf": False, "wal_method": method} for method in ("stream", "fetch")]
    found += [{"format": "tar", "wal_method": method} for method in ("stream", "fetch")]
    for method in COMPRESS[major]:
        found += [{"write_recovery_conf": False, "compress": f"server-{method}"}, {"format": "tar", "compress": f"{method}:1"},
                  {"format": "tar", "compress": f"server-{method}", "wal_method": "fetch"}]
    return found


def named(options: dict[str, Any]) -> str:
    return "-".join(str(value) for key, value in options.items() if key != "write_recovery_conf")


@pytest.mark.parametrize(("primary", "options"), [(major, options) for major in VERSIONS for options in kinds(major)],
                         indirect=["primary"], ids=lambda value: named(value) if isinstance(value, dict) else f"pg{value}")
def test_a_backup_of_every_kind_starts_with_the_rows_and_is_no_change_again(
        primary: Server, there: Server, options: dict[str, Any]) -> None:
    wanted = backup(there, primary, **options)
    predicted = run_module(MODULE, check=True, **wanted)
    assert list(there.home.iterdir()) == []
    done = ok(MODULE, **wanted)
    assert (done["commands"], done["diff"]) == (predicted["commands"], predicted["diff"])
    assert sorted(os.listdir(there.home)) == ["backup", "passfile"]
    assert {entry.stat().st_uid for entry in (there.home / "backup").iterdir()} == {primary.data.stat().st_uid}
    before = instances.tree(there.home / "backup")
    for check in (True, False):
        again = run_module(MODULE, check=check, **wanted)
        assert (again["changed"], again["commands"]) == (False, [])
    assert instances.tree(there.home / "backup") == before
    if options.get("format") == "tar":
        untar(there, there.home / "backup")
    else:
        (there.home / "backup").rename(there.data)
    assert not (there.data / "standby.signal").exists()
    assert restored(there) == [(4000, 4000, False)]
    for text in (json.dumps(done, ensure_ascii=False), primary.log, there.log, "".join(before)):
        assert PASSWORD not in text
        assert "s3cr" not in text


def test_without_wal_the_files_are_verified_all_the_same(primary: Server, there: Server) -> None:
    for form in ("plain", "tar"):
        dest = there.home / form
        ok(MODULE, **backup(there, primary, wal_method="none", format=form) | {"dest": str(dest)})
        assert not list(dest.glob("pg_wal/0*")) + list(dest.glob("pg_wal.tar*"))


@pytest.mark.parametrize("form", ["plain", "tar"])
def test_a_backup_of_another_system_or_format_is_refused_and_left(primary: Server, there: Server, form: str) -> None:
    ok(MODULE, **backup(there, primary, format=form, write_recovery_conf=False))
    before = instances.tree(there.home)
    other = "plain" if form == "tar" else "tar"
    said = refused(MODULE, **backup(there, primary, format=other, write_recovery_conf=False))
    assert f"in the format {other} was asked for" in said
    with instances.primary(primary.major) as stranger:
        keywords = {"host": str(stranger.home), "port": str(stranger.port), "user": "postgres"}
        with (stranger.data / "pg_hba.conf").open("a") as hba:
            hba.write("local replication all trust\n")
        stranger.sql("SELECT pg_reload_conf()")
        said = refused(MODULE, **backup(there, primary, format=form, write_recovery_conf=False) | {"conninfo": keywords})
    assert instances.tree(there.home) == before
    theirs = primary.sql("SELECT system_identifier::text FROM pg_control_system()")[0][0]
    assert f"an instance of the system {theirs} is there" in said


@newest_only
def test_what_the_build_lacks_is_told(primary: Server, there: Server) -> None:
    assert "does not support compression with ZSTD" in refused(MODULE, **backup(there, primary, format="tar", compress="zstd"))
    assert not (there.home / "backup").exists()


def test_a_slot_is_made_once_and_kept(primary: Server, there: Server) -> None:
    options = clone(there, primary, slot="there", create_slot=True)
    try:
        ok(MODULE, **options)
        lsn = primary.sql("SELECT restart_lsn::text FROM pg_replication_slots WHERE slot_name = 'there'")[0][0]
        assert lsn
        assert "primary_slot_name = 'there'" in (there.data / "postgresql.auto.conf").read_text()
        assert ok(MODULE, **options)["changed"] is False
        # As after a run that was killed between the two.
        shutil.rmtree(there.data)
        ok(MODULE, **options)
    finally:
        primary.sql("SELECT pg_drop_replication_slot('there')")


@newest_only
def test_a_chain_of_three_is_combined_to_the_rows_of_its_last(primary: Server, there: Server) -> None:
    primary.sql("CREATE TABLE c (i int)")
    options = backup(there, primary, write_recovery_conf=False)
    ok(MODULE, **{**options, "dest": str(there.home / "0")})
    for number in (1, 2):
        primary.sql(f"INSERT INTO c VALUES ({number}); CHECKPOINT")
        parent = there.home / str(number - 1) / ("backup_manifest" if number == 2 else "")
        ok(MODULE, **{**options, "dest": str(there.home / str(number)), "incremental_from": str(parent),
                      "write_recovery_conf": None})
        assert list((there.home / str(number)).rglob("INCREMENTAL.*"))
        assert not (there.home / str(number) / "standby.signal").exists()
    again = ok(MODULE, **{**options, "dest": str(there.home / "2"), "incremental_from": str(there.home / "1")})
    assert again["changed"] is False
    there.run("pg_combinebackup", "-o", str(there.data), *(str(there.home / str(number)) for number in (0, 1, 2)))
    there.run("pg_verifybackup", str(there.data))
    ok("pg_instance", **instances.instance(there, create=False))
    assert there.sql("SELECT i FROM c ORDER BY i") == [(1,), (2,)]
    primary.sql("DROP TABLE c")


def escaped(password: str) -> str:
    """A password as a passfile has it."""
    return password.replace("\\", "\\\\").replace(":", "\\:")


@newest_only
def test_an_incremental_backup_of_another_system_or_without_summaries_is_refused(primary: Server, there: Server) -> None:
    ok(MODULE, **backup(there, primary, write_recovery_conf=False))
    second = {"incremental_from": str(there.home / "backup"), "dest": str(there.home / "second")}
    primary.sql("ALTER SYSTEM SET summarize_wal = off")
    primary.sql("SELECT pg_reload_conf()")
    try:
        wait_until(lambda: primary.sql("SHOW summarize_wal") == [("off",)])
        for check in (True, False):
            said = run_module(MODULE, check=check, **{**backup(there, primary), **second})["msg"]
            assert "set summarize_wal to on there" in said
    finally:
        primary.sql("ALTER SYSTEM RESET summarize_wal")
        primary.sql("SELECT pg_reload_conf()")
    with instances.primary(18) as stranger:
        theirs = stranger.sql("SELECT system_identifier::text FROM pg_control_system()")[0][0]
        ours = primary.sql("SELECT system_identifier::text FROM pg_control_system()")[0][0]
        lines = instances.passfile(there, stranger)["passfile_entries"][0]
        (there.home / "passfile").write_text(f"*:*:*:*:{escaped(lines['password'])}\n")
        said = refused(MODULE, **{**clone(there, stranger), **second})
        assert f"of the system {theirs} was asked for" in said
        assert f"is of the system {ours}" in said
    (there.home / "backup" / "backup_manifest").unlink()
    second["incremental_from"] += "/backup_manifest"
    assert "backup_manifest was to be the manifest" in refused(MODULE, **{**backup(there, primary), **second})
    assert sorted(os.listdir(there.home)) == ["backup", "passfile"]


@pytest.mark.parametrize("primary", [15], indirect=True, ids=["pg15"])
def test_an_incremental_backup_before_17_is_refused(primary: Server, there: Server) -> None:
    ok(MODULE, **backup(there, primary, write_recovery_conf=False))
    said = refused(MODULE, **{**backup(there, primary, incremental_from=str(there.home / "backup")), "dest": str(there.data)})
    assert "incremental_from needs PostgreSQL 17 or newer" in said


@contextlib.contextmanager
def tablespace(primary: Server) -> Iterator[Path]:
    """A tablespace of the primary with a table in it."""
    space = owned(primary, primary.home / "space")
    primary.sql(f"CREATE TABLESPACE ts LOCATION '{space}'")
    primary.sql("CREATE TABLE in_ts TABLESPACE ts AS SELECT 2 AS a")
    try:
        yield space
    finally:
        primary.sql("DROP TABLE in_ts")
        primary.sql("DROP TABLESPACE ts")
        space.rmdir()


@pytest.mark.parametrize("killed_before", ["dest", "space"])
def test_a_run_killed_between_the_names_of_its_directories_is_done_again(
        primary: Server, there: Server, monkeypatch: pytest.MonkeyPatch, killed_before: str) -> None:
    other = there.home / "a=b"
    victim = str(there.data if killed_before == "dest" else other)
    rename = os.rename

    def killed(source: str, target: str) -> None:
        if target == victim:
            raise KeyboardInterrupt
        rename(source, target)

    with tablespace(primary) as space:
        options = clone(there, primary, tablespace_mapping={str(space): str(other)})
        monkeypatch.setattr(os, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            run_module(MODULE, **options)
        monkeypatch.setattr(os, "rename", rename)
        assert not there.data.exists()
        assert other.exists() is (killed_before == "dest")
        ok(MODULE, **options)
        assert sorted(os.listdir(there.home)) == ["a=b", "data", "passfile"]
        assert [os.readlink(link) for link in (there.data / "pg_tblspc").iterdir()] == [str(other)]
        ok("pg_instance", **instances.instance(there, create=False))
        assert there.sql("SELECT a FROM in_ts") == [(2,)]
        there.stop()


def test_a_place_of_a_tablespace_that_holds_something_is_refused_and_left(primary: Server, there: Server) -> None:
    other = there.home / "other"
    other.mkdir()
    (other / "precious").write_text("x")
    with tablespace(primary) as space:
        said = refused(MODULE, **clone(there, primary, tablespace_mapping={str(space): str(other)}))
    assert f"to be copied to {other} and that is not empty" in said
    assert [entry.name for entry in there.home.iterdir()] == ["other"]
    assert (other / "precious").read_text() == "x"


def test_a_tablespace_in_tar_format_is_verified_with_the_rest(primary: Server, there: Server) -> None:
    with tablespace(primary):
        ok(MODULE, **backup(there, primary, format="tar", compress="gzip"))
    (archive,) = (there.home / "backup").glob("[0-9]*.tar.gz")
    subprocess.run(["gzip", "-d", archive], check=True)
    flip(archive.with_suffix(""), b"\x02\x00\x00\x00")
    with pytest.raises(ToolError, match=r'checksum mismatch for file "pg_tblspc/\d+/PG_'):
        base_backup.verify(host_of(there), str(there.home / "backup"), "tar", "stream")


def flip(path: Path, around: bytes = b"", offset: int = 0) -> None:
    """Turn one bit of a file, at an offset from the start or from some bytes in it."""
    raw = bytearray(path.read_bytes())
    raw[raw.index(around) + offset] ^= 1
    path.write_bytes(raw)


#: Each a damage, and the file that must be named; ``{wal}`` is the first segment that the backup needs.
PLAIN = [("base/1/1259", 3000, 'checksum mismatch for file "base/1/1259"'),
         ("global/pg_control", 5, "global/pg_control"),
         ("postgresql.auto.conf", 3, 'checksum mismatch for file "postgresql.auto.conf"'),
         ("backup_label", 3, 'checksum mismatch for file "backup_label"'),
         ("pg_wal/{wal}", 60, "{wal}"), ("pg_wal/{wal}", 0, "{wal}"),
         ("backup_manifest", 300, "manifest")]


@pytest.mark.parametrize("number", range(len(PLAIN)), ids=[f"{name}-{offset}" for name, offset, _told in PLAIN])
def test_one_bit_turned_in_a_plain_backup_is_found(primary: Server, there: Server, number: int) -> None:
    host, taken = whole(primary, there, "plain")
    name, offset, told = (str(part).format(wal=segment(taken)) for part in PLAIN[number])
    flip(taken / name, offset=int(offset))
    with pytest.raises(ToolError, match=told) as error:
        base_backup.verify(host, str(taken), "plain", "stream")
    assert str(error.value).startswith(f"The base backup in {taken} is damaged: ")


def whole(primary: Server, there: Server, form: str, **options: Any) -> tuple[instance.Host, Path]:
    """A host and a backup there that is whole."""
    options = backup(there, primary, format=form, write_recovery_conf=False, **options)
    ok(MODULE, **options)
    host, taken = host_of(there), there.home / "backup"
    base_backup.verify(host, str(taken), form, options.get("wal_method", "stream"))
    assert sorted(os.listdir(there.home)) == ["backup", "passfile"]
    return host, taken


def segment(taken: Path) -> str:
    """The name of the segment that a backup of 16 MB segments needs first."""
    part = base_backup.manifest(str(taken)).wal[0]
    high, low = (int(half, 16) for half in part.start_lsn.split("/"))
    return f"{part.timeline:08X}{high:08X}{low >> 24:08X}"


#: By the archive: what stands before the bit that is turned, how far behind it, and what must be told.
TAR = [("base.tar", b"postgresql.auto.conf", 515, 'checksum mismatch for file "postgresql.auto.conf"'),
       ("base.tar", b"START WAL LOCATION", 3, 'checksum mismatch for file "backup_label"'),
       ("base.tar", b"global/pg_control\0", 517, 'checksum mismatch for file "global/pg_control"'),
       ("pg_wal.tar", b"{wal}", 572, "{wal}"),
       ("backup_manifest", b"", 300, "manifest")]


@pytest.mark.parametrize("compress", ["", "gzip"])
@pytest.mark.parametrize("number", range(len(TAR)), ids=[f"{name}-{around.decode()[:12]}" for name, around, _o, _t in TAR])
def test_one_bit_turned_in_a_tar_backup_is_found(primary: Server, there: Server, compress: str, number: int) -> None:
    host, taken = whole(primary, there, "tar", compress=compress)
    name, around, offset, told = TAR[number]
    wal, archive = segment(taken), taken / name
    packed = taken / f"{name}.gz"
    if packed.exists():
        subprocess.run(["gzip", "-d", packed], check=True)
    flip(archive, around.replace(b"{wal}", wal.encode()), offset)
    if compress and name != "backup_manifest":
        subprocess.run(["gzip", "-1", archive], check=True)
    with pytest.raises(ToolError, match=told.format(wal=wal)):
        base_backup.verify(host, str(taken), "tar", "stream")
    assert sorted(os.listdir(there.home)) == ["backup", "passfile"]


@pytest.mark.parametrize("compress", ["gzip", "lz4", "zstd"])
def test_one_bit_turned_in_a_compressed_file_is_found(primary: Server, there: Server, compress: str) -> None:
    if compress not in COMPRESS[primary.major]:
        pytest.skip("this build cannot")
    host, taken = whole(primary, there, "tar", compress=compress)
    (archive,) = taken.glob("base.tar.*")
    flip(archive, offset=archive.stat().st_size // 2)
    with pytest.raises(ToolError, match=f"The base backup in {taken} is damaged: "):
        base_backup.verify(host, str(taken), "tar", "stream")


def leave_out(archive: Path, name: str) -> None:
    """Write a tar file anew without one of its members."""
    with tarfile.open(archive) as whole_one, tarfile.open(archive.with_suffix(".new"), "w") as rest:
        for member in whole_one:
            if not member.name.endswith(name):
                rest.addfile(member, whole_one.extractfile(member) if member.isfile() else None)
    archive.with_suffix(".new").rename(archive)


@pytest.mark.parametrize(("form", "method"), [("plain", "stream"), ("plain", "fetch"), ("tar", "stream"), ("tar", "fetch")])
def test_a_segment_of_wal_that_is_missing_is_told(primary: Server, there: Server, form: str, method: str) -> None:
    host, taken = whole(primary, there, form, wal_method=method)
    wal = segment(taken)
    if form == "plain":
        (taken / "pg_wal" / wal).unlink()
    else:
        leave_out(taken / ("pg_wal.tar" if method == "stream" else "base.tar"), wal)
    with pytest.raises(ToolError, match='in "pg_wal" of timeline 1 from 0/'):
        base_backup.verify(host, str(taken), form, method)


def test_a_whole_archive_that_is_missing_is_told(primary: Server, there: Server) -> None:
    host, taken = whole(primary, there, "tar")
    (taken / "pg_wal.tar").unlink()
    with pytest.raises(ToolError, match=r"has no pg_wal\.tar"):
        base_backup.verify(host, str(taken), "tar", "stream")


def beside(options: dict[str, Any]) -> subprocess.Popen[bytes]:
    """The module, in a process of its own."""
    code = f"from tests.support.modules import ok; ok({MODULE!r}, **{options!r})"
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT,
                            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/.collections"})


def working_on(directory: Path) -> list[int]:
    """The processes that write a backup to a directory."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if f"--pgdata={directory}".encode() in Path("/proc", pid, "cmdline").read_bytes().split(b"\0"):
                found.append(int(pid))
    return found


@pytest.mark.parametrize("form", ["plain", "tar"])
def test_a_run_that_is_killed_leaves_no_backup_and_no_process_to_the_next(primary: Server, there: Server, form: str) -> None:
    slow = backup(there, primary, format=form, write_recovery_conf=False, max_rate="1M")
    draft = there.home / "backup.pgmahout-new"
    module = beside(slow)
    wait_until(lambda: draft.exists() and len(working_on(draft)) == 2 and any(draft.rglob("*")))
    module.send_signal(signal.SIGKILL)
    module.wait()
    assert not (there.home / "backup").exists()
    left = working_on(draft)
    assert len(left) == 2
    for pid in left:
        os.kill(pid, signal.SIGSTOP)  # else they would end by themselves, once their directory is gone
    try:
        ok(MODULE, **{**slow, "max_rate": ""})
        assert working_on(draft) == []
    finally:
        for pid in working_on(draft):
            os.kill(pid, signal.SIGKILL)
    assert sorted(os.listdir(there.home)) == ["backup", "passfile"]
    wait_until(lambda: primary.sql("SELECT FROM pg_replication_slots") == [])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
@pytest.mark.parametrize("form", ["plain", "tar"])
def test_a_disk_that_is_full_is_told_and_leaves_nothing(primary: Server, there: Server, form: str) -> None:
    disk = owned(there, there.home / "disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=24m,mode=755,uid={disk.stat().st_uid}", "tmpfs", disk], check=True)
    try:
        options = {**backup(there, primary, format=form, write_recovery_conf=False), "dest": str(disk / "backup")}
        assert "No space left on device" in refused(MODULE, **options)
        assert not (disk / "backup").exists()
        subprocess.run(["mount", "-o", "remount,size=400m", disk], check=True)
        ok(MODULE, **options)
        assert os.listdir(disk) == ["backup"]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_progress_is_told_while_it_runs_and_the_file_is_gone_then(primary: Server, there: Server, tmp_path: Path) -> None:
    file, said = tmp_path / "progress", []
    options = backup(there, primary, write_recovery_conf=False, max_rate="10M", _progress_file=str(file))
    module = beside(options)
    while module.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            said.append(json.loads(file.read_text()))
    assert module.returncode == 0
    assert list(tmp_path.iterdir()) == []
    streamed = [part for part in said if part["doing"] == "streaming database files" and part["done"]]
    assert streamed
    assert all(0 < part["done"] <= part["total"] * 1.1 for part in streamed)
    assert said[-1]["doing"] == "verifying"


def test_a_role_that_may_not_connect_has_a_backup_without_progress(primary: Server, there: Server, tmp_path: Path) -> None:
    hba = primary.data / "pg_hba.conf"
    text = hba.read_text()
    hba.write_text(f"host postgres {instances.REPLICATOR} 127.0.0.1/32 reject\n{text}")
    primary.sql("SELECT pg_reload_conf()")
    try:
        options = backup(there, primary, write_recovery_conf=False, max_rate="10M", verify=False)
        assert ok(MODULE, **options, _progress_file=str(tmp_path / "p"))["changed"]
    finally:
        hba.write_text(text)
        primary.sql("SELECT pg_reload_conf()")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("in_process", [True, False])
@newest_only
def test_a_playbook_shows_how_far_a_long_backup_is(primary: Server, there: Server, in_process: bool) -> None:
    task = {"name": "A backup is there", "pgmahout.cluster.pg_basebackup": backup(
        there, primary, write_recovery_conf=False, max_rate="2M")}
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "pg_in_process": in_process}
    play, inventory = there.home / "play.yml", there.home / "hosts.yml"
    play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    inventory.write_text(json.dumps({"all": {"hosts": {"node2": host}}}))
    run = subprocess.run([str(Path(sys.executable).with_name("ansible-playbook")), "-i", inventory, play], cwd=ROOT, text=True,
                         env={**os.environ, "ANSIBLE_CONFIG": f"{ROOT}/ansible.cfg", "LC_ALL": "C.UTF-8"},
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert run.returncode == 0, run.stdout
    assert "[node2] pg_basebackup: streaming database files, " in run.stdout
    assert " MB of " in run.stdout
