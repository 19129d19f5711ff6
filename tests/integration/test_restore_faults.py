# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with backups and restores: each is told by name, nothing is lost by it, and the next right run works."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import lsn
from tests.support import instances
from tests.support.commit_record import Entry, Record, Target, Writer, read_rows
from tests.support.faults import digests, flipped, missing, module_process, small_disk
from tests.support.modules import ok, refused, run_module
from tests.support.postgres import Server
from tests.support.replication import await_true
from tests.support.restores import (
    Source,
    instance_options,
    recovery_options,
    restore,
    restore_options,
    restored,
    source,
)

SEED = int(os.environ.get("PGMAHOUT_SEED", "20261122"))


class Kept(NamedTuple):
    """A source that nobody writes to any more, all of whose WAL is archived.

    Attributes:
        source: with the backups ``first`` (a directory) and ``second`` (packed), the restore point ``once`` between them, and two
            that are called ``twice`` behind them.
        record: what was written.
        late: the end of a transaction behind both backups, with several segments of WAL in front of it and behind it.
    """

    source: Source
    record: Record
    late: Entry

    @property
    def target(self) -> dict[str, Any]:
        """The options of pg_backup_restore for the moment of ``late``."""
        assert self.late.time is not None
        return {"target_time": self.late.time.isoformat()}

    def is_right(self, server: Server, target: Target | None = None, backup: str = "second") -> bool:
        """Whether a server has the rows of a target, by default those of ``late``."""
        since = lsn.parse(self.source.backups[backup]["start_lsn"])
        return read_rows(server) == self.record.rows(target or Target("time", self.late.time), since)


@contextlib.contextmanager
def keep(compress: str) -> Iterator[Kept]:
    with source(18, "archive", compress) as made:
        writer = Writer(made.server, SEED, pause=0.005)
        with writer.running():
            made.backup("first")
            grow(writer, 40)
            made.server.sql("SELECT pg_create_restore_point('once')")
            grow(writer, 40)
            made.backup("second", format="tar", compress="gzip")
            for _ in range(2):
                grow(writer, 100)
                made.server.sql("SELECT pg_create_restore_point('twice')")
                made.ship()
            middle = made.server.sql("SELECT pg_current_wal_lsn()")[0][0]
            for transactions in (150, 50, 50):
                grow(writer, transactions)
                made.ship()
            grow(writer, 50)
        made.ship()
        record = writer.record()
        yield Kept(made, record, [end for end in record.ends_of_transactions() if end.lsn > lsn.parse(middle)][75])


def grow(writer: Writer, transactions: int) -> None:
    enough = writer.count + transactions
    await_true(lambda: writer.count >= enough)


@pytest.fixture(scope="module")
def packed() -> Iterator[Kept]:
    """Its WAL is compressed."""
    with keep("gzip") as made:
        yield made


@pytest.fixture(scope="module")
def bare() -> Iterator[Kept]:
    """Its WAL is as the server wrote it."""
    with keep("none") as made:
        yield made


@contextlib.contextmanager
def unharmed(kept: Kept) -> Iterator[Server]:
    """A place to restore to. Whatever happens there, the backups and the archive are what they were."""
    before = lineage(kept)
    with instances.place(18) as server:
        yield server
    assert lineage(kept) == before


def lineage(kept: Kept) -> dict[str, str]:
    """A hash of each file of the repository but for the archives that restored servers write to."""
    return {path: hash_ for path, hash_ in digests(kept.source.repository).items() if not path.startswith("wal-")}


def refused_restore(kept: Kept, server: Server, **options: Any) -> str:
    """What a restore is refused with, of which nothing is left."""
    said = refused("pg_backup_restore", **restore_options(kept.source, server, **options))
    assert [path.name for path in server.home.iterdir() if not path.name.endswith(".pgmahout-new")] == []
    assert one_sentence(said), said
    return said


def one_sentence(said: str) -> bool:
    return "\n" not in said and "Traceback" not in said


def failed_recovery(kept: Kept, server: Server, **options: Any) -> str:
    """What a restore fails with whose data directory is made and whose server does not come to the target."""
    chosen = ok("pg_backup_restore", **restore_options(kept.source, server, **options))
    started = run_module("pg_instance", **instance_options(kept.source, server))
    if started.get("failed"):
        return str(started["msg"])
    return refused("pg_recovery", **recovery_options(server, chosen, **options))


def test_what_was_committed_by_a_moment_is_restored_and_a_second_run_changes_nothing(packed: Kept) -> None:
    with unharmed(packed) as server:
        done = restore(packed.source, server, **packed.target)
        assert packed.is_right(server)
        assert done.reached["reached"]["paused"] is False
        again = restore(packed.source, server, **packed.target)
        assert again.chosen["changed"] is False
        assert again.reached["changed"] is False


#: What nobody can mean: the options of pg_backup_restore, and what its refusal says of them.
REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "before all backups": ({"target_time": "2026-01-01 00:00:00Z"}, ["lies before the end of the first backup", "{first}"]),
    "future": ({"target_time": "2999-01-01 00:00:00Z"}, ["2999-01-01", "lies in the future"]),
    "no time zone": ({"target_time": "2026-11-22 18:30:00"}, ["2026-11-22 18:30:00", "time zone"]),
    "no time": ({"target_time": "yesterday"}, ["yesterday", "time zone"]),
    "no such day": ({"target_time": "2026-02-30 12:00:00Z"}, ["2026-02-30 12:00:00Z", "calendar"]),
    "old transaction": ({"target_xid": "5"}, ["transaction 5", "lies before the end of the first backup", "{first}"]),
    "no transaction id": ({"target_xid": "last"}, ["'last'", "target_xid"]),
    "old position": ({"target_lsn": "0/1000"}, ["LSN 0/1000", "lies before the end of the first backup", "{first}"]),
    "position behind the WAL": ({"target_lsn": "FF/1000"}, ["LSN FF/1000", "ends before it", "segment"]),
    "no position": ({"target_lsn": "12345"}, ["12345", "slash"]),
    "unknown name": ({"target_name": "never"}, ["restore point never", "no WAL of the archive has it"]),
    "name that is there twice": ({"target_name": "twice"}, ["restore point twice", "2 times", "target_lsn"]),
    "two targets": ({"target_xid": "5", "target_time": "2026-11-22 18:30Z"}, ["target_time and target_xid", "give one of them"]),
    "unknown backup": ({"backup": "20200101T000000Z"}, ["20200101T000000Z", "{first}", "{second}"]),
    "pause without a target": ({"target_action": "pause"}, ["target_action", "pause"]),
    "shutdown": ({"target_immediate": True, "target_action": "shutdown"}, ["target_action", "shutdown", "promote"]),
    "no timeline": ({"target_timeline": "newest"}, ["target_timeline", "newest"]),
    "no repository": ({"directory": "/nowhere"}, ["/nowhere"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_target_that_cannot_be_meant_is_refused_before_anything_is_touched(packed: Kept, case: str) -> None:
    options, words = REFUSED[case]
    ids = {name: entry["id"] for name, entry in packed.source.backups.items()}
    with unharmed(packed) as server:
        said = refused("pg_backup_restore", **{**restore_options(packed.source, server), **options})
        assert [word for word in words if word.format(**ids) not in said] == [], said
        assert list(server.home.iterdir()) == []


def test_a_transaction_that_never_ended_is_told_in_the_servers_words_and_another_target_works_at_once(packed: Kept) -> None:
    with unharmed(packed) as server:
        never = str(max(packed.record.transactions) + 1000)
        said = failed_recovery(packed, server, target_xid=never)
        assert "recovery ended before configured recovery target was reached" in said
        restore(packed.source, server, **packed.target)
        assert packed.is_right(server)


def test_a_moment_behind_the_wal_is_told_in_the_servers_words(packed: Kept) -> None:
    with unharmed(packed) as server:
        said = failed_recovery(packed, server, target_time=datetime.now(timezone.utc).isoformat())
        assert "recovery ended before configured recovery target was reached" in said


def test_a_restore_point_leads_to_the_backup_in_front_of_it(packed: Kept) -> None:
    with unharmed(packed) as server:
        done = restore(packed.source, server, target_name="once")
        assert done.chosen["backups"] == [packed.source.backups["first"]["id"]]
        assert packed.is_right(server, Target("name", "once"), "first")


@pytest.mark.parametrize(("backup", "pattern"), [
    ("first", "base/5/1259"), ("first", "global/pg_control"), ("first", "pg_wal/0*"), ("first", "backup_manifest"),
    ("second", "base.tar.gz"), ("second", "pg_wal.tar.gz"), ("second", "backup_manifest")])
def test_a_byte_of_a_backup_that_is_another_is_told_by_its_file(packed: Kept, backup: str, pattern: str) -> None:
    chosen = packed.source.backups[backup]["id"]
    file = min((packed.source.repository / "base" / chosen / "data").glob(pattern))
    with unharmed(packed) as server:
        # Of the backup's own segment only the beginning is in use.
        with flipped(file, offset=60 if "pg_wal/" in pattern else file.stat().st_size // 2):
            said = refused_restore(packed, server, backup=chosen, target_immediate=True)
            assert file.name.replace("backup_", "") in said, said
            assert chosen in said, said
        restore(packed.source, server, backup=chosen, target_immediate=True)
        assert packed.is_right(server, Target("immediate", lsn.parse(packed.source.backups[backup]["stop_lsn"])), backup)


@pytest.mark.parametrize(("backup", "pattern"), [("first", "base/5/1259"), ("first", "pg_wal/0*"), ("first", "backup_manifest"),
                                                 ("second", "base.tar.gz"), ("second", "pg_wal.tar.gz")])
def test_a_file_of_a_backup_that_is_missing_is_told(packed: Kept, backup: str, pattern: str) -> None:
    chosen = packed.source.backups[backup]["id"]
    file = min((packed.source.repository / "base" / chosen / "data").glob(pattern))
    with unharmed(packed) as server, missing(file):
        said = refused_restore(packed, server, backup=chosen, target_immediate=True)
        assert file.name.split(".tar")[0] in said, said


@pytest.mark.parametrize("backup", ["first", "second"])
def test_a_backup_that_lacks_its_label_is_not_restored(packed: Kept, backup: str) -> None:
    chosen = packed.source.backups[backup]["id"]
    data = packed.source.repository / "base" / chosen / "data"
    with unharmed(packed) as server:
        with without_label(data):
            assert "backup_label" in refused_restore(packed, server, backup=chosen, target_immediate=True)
        restore(packed.source, server, backup=chosen, target_immediate=True)


@contextlib.contextmanager
def without_label(data: Path) -> Iterator[None]:
    """A backup without ``backup_label``, of which the manifest knows nothing either, so that every checksum is right."""
    manifest = data / "backup_manifest"
    whole = manifest.read_bytes()
    found = json.loads(whole)
    found["Files"] = [file for file in found["Files"] if file["Path"] != "backup_label"]
    del found["Manifest-Checksum"]
    text = json.dumps(found)[:-1] + ",\n"
    manifest.write_text(text + '"Manifest-Checksum": "' + hashlib.sha256(text.encode()).hexdigest() + '"}\n')
    packed_data = data / "base.tar.gz"
    kept = packed_data.read_bytes() if packed_data.exists() else b""
    if kept:
        plain = gzip.decompress(kept)
        with tarfile.open(fileobj=io.BytesIO(plain)) as old, tarfile.open(packed_data, "w:gz") as new:
            for member in old:
                if member.name != "backup_label":
                    new.addfile(member, old.extractfile(member))
    try:
        with contextlib.nullcontext() if kept else missing(data / "backup_label"):
            yield
    finally:
        manifest.write_bytes(whole)
        if kept:
            packed_data.write_bytes(kept)


def middle_segment(kept: Kept) -> Path:
    """A segment in front of the one that ``late`` is in, and behind those that the backups have themselves."""
    number = kept.late.lsn // (1 << 20) - 1
    assert number > lsn.parse(kept.source.backups["second"]["stop_lsn"]) // (1 << 20)
    return next(kept.source.archive.glob(f"00000001{number >> 12:08X}{number & 0xFFF:08X}*"))


@pytest.mark.parametrize("target", ["time", "latest"])
def test_a_byte_of_a_packed_segment_that_is_another_is_told_by_its_file(packed: Kept, target: str) -> None:
    file = middle_segment(packed)
    options = packed.target if target == "time" else {}
    with unharmed(packed) as server:
        with flipped(file, offset=file.stat().st_size // 2):
            said = failed_recovery(packed, server, **options)
            assert file.name in said, said
        restore(packed.source, server, **options)
        assert packed.is_right(server, None if target == "time" else Target("latest", 1 << 62))


#: Which byte is damaged: of a record, or of the head of the page that the record is in.
IN_RECORD = {"length": 2, "predecessor": 9, "kind": 17, "checksum": 20, "content": 26}
IN_PAGE = {"mark": 0, "timeline": 4, "address": 9}


@pytest.mark.parametrize("place", [*IN_RECORD, *IN_PAGE])
@pytest.mark.parametrize("is_last", [False, True], ids=["middle", "last"])
def test_a_byte_of_the_wal_that_is_another_never_ends_a_recovery_unnoticed(bare: Kept, is_last: bool, place: str) -> None:
    file, offset = damage(bare, is_last, place)
    with unharmed(bare) as server, flipped(file, offset):
        said = failed_recovery(bare, server)
        assert file.name in said, said
        assert one_sentence(said), said
    with unharmed(bare) as server:
        restore(bare.source, server)
        assert bare.is_right(server, Target("latest", 1 << 62))


def damage(kept: Kept, is_last: bool, place: str) -> tuple[Path, int]:
    """Return a segment and where in it a byte is to be another: in some record of it, or in the head of that record's page."""
    segments = sorted(path for path in kept.source.archive.iterdir() if re.fullmatch("[0-9A-F]{24}", path.name))
    file = segments[-1] if is_last else middle_segment(kept)
    begin = int(file.name[-8:], 16) << 20
    # Behind the first page, since its head is longer; and not the last record, which switches to the next segment.
    inside = [entry.lsn - begin for entry in kept.record.wal if begin + 8192 <= entry.lsn < begin + (1 << 20)][:-1]
    offset = random.Random(f"{SEED} {is_last} {place}").choice(inside)
    return file, offset + IN_RECORD[place] if place in IN_RECORD else offset // 8192 * 8192 + IN_PAGE[place]


def test_a_segment_that_is_missing_is_told_by_its_name(packed: Kept) -> None:
    file = middle_segment(packed)
    with unharmed(packed) as server:
        with missing(file):
            assert file.name[:24] in refused_restore(packed, server)
        restore(packed.source, server)
        assert packed.is_right(server, Target("latest", 1 << 62))


def test_a_segment_that_is_missing_is_told_where_nobody_knows_whether_it_is_in_front_of_the_target(packed: Kept) -> None:
    file = middle_segment(packed)
    before = f"{int(file.name[:24], 16) - 1:024X}"
    with unharmed(packed) as server:
        with missing(file):
            checked = run_module("pg_backup_restore", check=True, **restore_options(packed.source, server, **packed.target))
            assert file.name[:24] in str(checked["warnings"])
            said = failed_recovery(packed, server, **packed.target)
            assert "recovery ended before configured recovery target was reached" in said
            assert f"the last segment from the archive was {before}" in said
        restore(packed.source, server, **packed.target)
        assert packed.is_right(server)


def refused_or_failed(kept: Kept, server: Server, **options: Any) -> str:
    """What a restore ends with, before or after its server was started."""
    result = run_module("pg_backup_restore", **restore_options(kept.source, server, **options))
    return str(result["msg"]) if result.get("failed") else failed_recovery(kept, server, **options)


def test_the_segment_in_which_the_backup_ended_is_missing_and_that_is_told(packed: Kept) -> None:
    number = lsn.parse(packed.source.backups["second"]["stop_lsn"]) // (1 << 20)
    file = next(path for path in packed.source.archive.glob(f"00000001{number >> 12:08X}{number & 0xFFF:08X}*")
                if ".backup" not in path.name)
    with unharmed(packed) as server, missing(file):
        result = run_module("pg_backup_restore", **restore_options(packed.source, server))
        if result.get("failed"):
            assert file.name[:24] in result["msg"]
        else:
            restore(packed.source, server)
            assert packed.is_right(server, Target("latest", 1 << 62))


def test_a_segment_that_is_missing_behind_the_target_does_not_matter(packed: Kept) -> None:
    last = sorted(path for path in packed.source.archive.iterdir() if re.match("[0-9A-F]{24}", path.name))[-2]
    with unharmed(packed) as server, missing(last):
        restore(packed.source, server, **packed.target)
        assert packed.is_right(server)


def test_a_backup_of_another_cluster_is_not_taken_for_one_of_ours(packed: Kept) -> None:
    ours, base = packed.source.backups["second"], packed.source.repository / "base"
    foreign = base / "20990101T000000Z"
    with unharmed(packed) as server:
        shutil.copytree(base / ours["id"], foreign)
        entry = {**ours, "id": foreign.name, "system_identifier": "7000000000000000001", "cluster": "other"}
        (foreign / "backup.json").write_text(json.dumps(entry))
        try:
            said = refused_restore(packed, server, **packed.target)
            assert ours["system_identifier"] in said
            assert "7000000000000000001" in said
            restore(packed.source, server, system_identifier=ours["system_identifier"], **packed.target)
            assert packed.is_right(server)
        finally:
            shutil.rmtree(foreign)


def test_a_second_restore_from_the_same_archive_loses_no_row_when_the_first_one_was_promoted(packed: Kept) -> None:
    with unharmed(packed) as first, instances.place(18) as second:
        restore(packed.source, first, **packed.target)
        first.sql("DELETE FROM ledger")
        first.sql("SELECT pg_switch_wal()")
        await_true(lambda: first.sql("SELECT last_archived_wal >= '000000020' FROM pg_stat_archiver") == [(True,)])
        own = (first.data / "pgmahout.archive").read_text().strip()
        assert own.startswith("wal-")
        assert any(path.name.startswith("00000002") for path in (packed.source.repository / own).iterdir())
        restore(packed.source, second)
        assert packed.is_right(second, Target("latest", 1 << 62))


def test_a_server_that_pauses_at_its_target_is_restored_and_can_be_read(packed: Kept) -> None:
    with unharmed(packed) as server:
        for changed in (True, False):
            done = restore(packed.source, server, **packed.target, target_action="pause")
            assert done.reached["reached"]["paused"] is True
            assert done.chosen["changed"] is changed
            assert packed.is_right(server)
            assert server.sql("SELECT pg_is_in_recovery()") == [(True,)]


def test_a_server_that_would_shut_down_instead_of_pausing_is_told(packed: Kept) -> None:
    """Without hot standby PostgreSQL cannot pause, and shuts down without a word of the target."""
    with unharmed(packed) as server:
        options = {**packed.target, "target_action": "pause"}
        chosen = ok("pg_backup_restore", **restore_options(packed.source, server, **options))
        started = run_module("pg_instance", **instance_options(packed.source, server, {"hot_standby": "off"}))
        said = started["msg"] if started.get("failed") else refused("pg_recovery", **recovery_options(server, chosen, **options))
        assert one_sentence(said), said
        assert "hot_standby" in said
        restore(packed.source, server, **options)
        assert packed.is_right(server)


def test_a_server_that_was_told_to_shut_down_at_its_target_goes_on_when_it_is_told_to_be_promoted(packed: Kept) -> None:
    """It left its signal file, so that each further start would end in the same way."""
    with unharmed(packed) as server:
        chosen = ok("pg_backup_restore", **restore_options(packed.source, server, **packed.target))
        settings = server.data / "postgresql.auto.conf"
        settings.write_text(settings.read_text().replace("'promote'", "'shutdown'"))
        for _ in range(2):
            run_module("pg_instance", **instance_options(packed.source, server))
            await_true(lambda: not (server.data / "postmaster.pid").exists())
            assert (server.data / "recovery.signal").exists()
        fixed = ok("pg_recovery", **recovery_options(server, chosen, **packed.target, wait=False))
        assert fixed["changed"] is True
        restore(packed.source, server, **packed.target)
        assert packed.is_right(server)


def test_of_both_signal_files_the_one_of_a_standby_goes(packed: Kept) -> None:
    with unharmed(packed) as server:
        chosen = ok("pg_backup_restore", **restore_options(packed.source, server, **packed.target))
        (server.data / "standby.signal").touch()
        fixed = ok("pg_recovery", **recovery_options(server, chosen, **packed.target, wait=False))
        assert fixed["commands"] == [f"rm {server.data}/standby.signal"]
        assert sorted(path.name for path in server.data.glob("*.signal")) == ["recovery.signal"]
        done = restore(packed.source, server, **packed.target)
        assert done.reached["reached"]["timeline"] == 2
        assert packed.is_right(server)


def test_a_data_directory_without_a_label_is_not_made_to_recover(packed: Kept) -> None:
    with unharmed(packed) as server:
        chosen = ok("pg_backup_restore", **restore_options(packed.source, server, **packed.target))
        for name in ("backup_label", "recovery.signal", "postgresql.auto.conf"):
            (server.data / name).unlink()
        said = refused("pg_recovery", **recovery_options(server, chosen, **packed.target, wait=False))
        assert "backup_label" in said
        assert not (server.data / "recovery.signal").exists()


def test_a_recovery_that_takes_longer_than_the_time_out_goes_on_and_is_awaited_by_the_next_run(packed: Kept) -> None:
    program = packed.source.repository / "bin/restore-wal"
    with unharmed(packed) as server, replaced(program, program.read_text().replace("set -u", "set -u\nsleep 0.4", 1)):
        chosen = ok("pg_backup_restore", **restore_options(packed.source, server, **packed.target))
        started = run_module("pg_instance", **{**instance_options(packed.source, server), "timeout": 1})
        said = started["msg"] if started.get("failed") else refused(
            "pg_recovery", **{**recovery_options(server, chosen, **packed.target), "timeout": 1})
        assert "1 s" in said
        assert one_sentence(said), said
        process = (server.data / "postmaster.pid").read_text().splitlines()[0]
        restore(packed.source, server, **packed.target)
        assert packed.is_right(server)
        assert (server.data / "postmaster.pid").read_text().splitlines()[0] == process


@contextlib.contextmanager
def replaced(path: Path, text: str) -> Iterator[None]:
    whole = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(whole)


def test_a_program_that_fetches_no_wal_is_told_and_not_taken_for_the_end_of_the_archive(packed: Kept) -> None:
    program = packed.source.repository / "bin/restore-wal"
    with unharmed(packed) as server:
        with missing(program):
            assert "restore-wal" in refused_or_failed(packed, server)
        restore(packed.source, server)
        assert packed.is_right(server, Target("latest", 1 << 62))


@pytest.mark.parametrize("text", ["", "{}", '{"id": "'])
def test_an_entry_that_cannot_be_read_is_told_by_its_file(packed: Kept, text: str) -> None:
    entry = packed.source.repository / "base" / packed.source.backups["first"]["id"] / "backup.json"
    with unharmed(packed) as server:
        with replaced(entry, text):
            assert str(entry) in refused_restore(packed, server)
        restore(packed.source, server)


def test_a_backup_that_is_killed_leaves_none_and_the_next_one_clears_up(packed: Kept) -> None:
    base = packed.source.repository / "base"
    with unharmed_backups(packed):
        with module_process("pg_backup", **packed.source.backup_options(max_rate="1M")):
            await_true(lambda: any(base.glob("*.pgmahout-new/data/base/*")))
        assert len(list(base.glob("*.pgmahout-new"))) == 1
        assert {path.name for path in base.iterdir() if "." not in path.name} == ids(packed)
        made = packed.source.backup("after the kill")
        assert {path.name for path in base.iterdir()} == ids(packed)
        catalog = json.loads((packed.source.repository / "catalog.json").read_text())
        assert {entry["id"] for entry in catalog["backups"]} == ids(packed)
        with restored(packed.source, backup=made["id"], target_immediate=True) as done:
            assert packed.is_right(done.server, Target("latest", 1 << 62))


def ids(kept: Kept) -> set[str]:
    return {entry["id"] for entry in kept.source.backups.values()}


@contextlib.contextmanager
def unharmed_backups(kept: Kept) -> Iterator[None]:
    """Whatever happens, what was in the repository is still there and as it was, but for what tells of all backups."""
    before = lineage(kept)
    yield
    after = lineage(kept)
    summaries = ("catalog.json", "status.json", "status.prom")
    assert [path for path in before if path not in summaries and after.get(path) != before[path]] == []


@pytest.mark.parametrize("trial", range(6))
def test_a_restore_that_is_killed_at_any_moment_leaves_no_data_directory_and_the_next_one_works(packed: Kept, trial: int) -> None:
    with unharmed(packed) as server:
        options = restore_options(packed.source, server, **packed.target)
        with module_process("pg_backup_restore", **options) as process:
            await_true(lambda: process.poll() is not None or any(server.home.iterdir()))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(random.Random(SEED + trial).uniform(0, 0.6))
        # It has its name only with all that makes it recover.
        assert not server.data.exists() or (server.data / "recovery.signal").exists()
        restore(packed.source, server, **packed.target)
        assert packed.is_right(server)
        assert [path.name for path in server.home.iterdir() if "pgmahout" in path.name] == []


def test_a_disk_that_is_full_under_the_backup_is_told_and_the_next_one_works_when_there_is_room(packed: Kept) -> None:
    made = packed.source
    disk = made.server.home / "disk"
    with small_disk(disk, "12m") as directory:
        options = made.backup_options(directory=str(directory / "repository"))
        said = refused("pg_backup", **options)
        assert "No space left on device" in said
        assert one_sentence(said), said
        assert [path.name for path in (directory / "repository/base").iterdir() if "." not in path.name] == []
        status = json.loads((directory / "repository/status.json").read_text())
        assert "No space left on device" in json.dumps(status)
        subprocess.run(["mount", "-o", "remount,size=100m", disk], check=True)
        assert ok("pg_backup", **options)["backup"]["verified"] is True
        assert len(list((directory / "repository/base").iterdir())) == 1


def test_a_disk_that_is_full_under_the_restore_is_told_and_the_next_one_works_when_there_is_room(packed: Kept) -> None:
    with unharmed(packed) as server, small_disk(server.home / "disk", "12m") as disk:
        place = Server(18, disk, server.port)
        said = refused("pg_backup_restore", **restore_options(packed.source, place, **packed.target))
        assert "No space left on device" in said
        assert not place.data.exists()
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        restore(packed.source, place, **packed.target)
        assert packed.is_right(place)
        place.stop("immediate")


def test_a_disk_that_is_full_under_the_archive_keeps_the_wal_on_the_server_until_there_is_room() -> None:
    with source(18, "archive", "none", wal_keep_size="0") as made, small_disk(made.archive, "4m") as disk:
        writer = Writer(made.server, SEED, pause=0.005)
        with writer.running():
            made.backup("first")
            await_true(lambda: made.server.sql("SELECT failed_count > 0 FROM pg_stat_archiver") == [(True,)], 60)
            grow(writer, 50)
        assert "No space left on device" in made.server.log
        committed = read_rows(made.server)
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        made.ship()
        with restored(made) as done:
            assert read_rows(done.server) == committed
