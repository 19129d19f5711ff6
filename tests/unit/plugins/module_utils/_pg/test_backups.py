# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base backups: what is refused, and what would be done, without a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import backups, instance
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError

DEST = "/srv/node2/data"
DRAFT = DEST + instance.UNFINISHED
PASS = "/srv/node2/passfile"
LINE = {"host": "node1", "port": "5440", "database": "*", "user": "replicator", "password": "s3cret"}
OPTIONS: dict[str, Any] = {
    "dest": DEST + "/", "dest_planned": False, "conninfo": {"host": "node1", "user": "it's", "password": None},
    "format": "plain", "compress": "",
    "wal_method": "stream", "slot": "", "create_slot": False, "checkpoint": "fast", "max_rate": "", "incremental_from": "",
    "tablespace_mapping": {}, "write_recovery_conf": None, "verify": True, "progress": True, "_progress_file": "/tmp/p",
    "passfile": "", "passfile_entries": None, "tls_directory": "", "tls_certificate": None, "tls_key": None, "tls_ca": None}
CONTROL = instance.Control("7001", "in production", 1, "0/1", "0/0", {}, True)
BACKUP = ("pg_basebackup --pgdata=%s --dbname=host=node1 user='it\\'s' --no-password --checkpoint=fast --wal-method=stream"
          % DRAFT)
VERIFY, TOUCH, RENAME = "pg_verifybackup " + DRAFT, "touch %s/standby.signal" % DRAFT, "mv %s %s" % (DRAFT, DEST)
MISSING = instance.Instance(DEST, "missing")
INSTANCE = instance.Instance(DEST, "instance", 18, CONTROL)
FOREIGN = instance.Instance(DEST, "foreign")


def plan(found: instance.Instance, text: str | None = None, present: str = "", upstream: str = "", parent: str = "",
         summarizes: bool = True, version_num: int = 180000, occupied: list[str] | None = None, copy: str = "",
         **options: Any) -> Any:
    current = backups.Current(found, present, upstream, parent, summarizes, version_num, occupied or [], {PASS: text}, copy)
    return backups.plan(current, backups.desired({**OPTIONS, **options}))


def desired(**options: Any) -> backups.Wanted:
    return backups.desired({**OPTIONS, **options})


@pytest.mark.parametrize("kind", ["missing", "empty"])
@pytest.mark.parametrize(("options", "expected"), [
    ({}, [BACKUP, VERIFY, TOUCH, RENAME]),
    ({"verify": False}, [BACKUP, TOUCH, RENAME]),
    ({"write_recovery_conf": False}, [BACKUP, VERIFY, RENAME]),
    ({"write_recovery_conf": True}, [BACKUP, VERIFY, TOUCH, RENAME]),
    ({"slot": "node2"}, [BACKUP + " --slot=node2", VERIFY, TOUCH, RENAME]),
    ({"slot": "node2", "create_slot": True},
     ["CREATE_REPLICATION_SLOT node2 PHYSICAL RESERVE_WAL", BACKUP + " --slot=node2", VERIFY, TOUCH, RENAME]),
    ({"checkpoint": "spread", "max_rate": "64M"},
     [BACKUP.replace("fast", "spread") + " --max-rate=64M", VERIFY, TOUCH, RENAME]),
    ({"format": "tar", "compress": "zstd"}, [BACKUP + " --format=tar --compress=zstd", VERIFY, RENAME]),
    ({"incremental_from": "/a/m", "upstream": "7001", "parent": "7001"}, [BACKUP + " --incremental=/a/m", VERIFY, RENAME]),
    ({"tablespace_mapping": {"/b": "/d", "/a=x": "/c=y"}},
     [BACKUP + r" --tablespace-mapping=/a\=x=/c\=y.pgmahout-new --tablespace-mapping=/b=/d.pgmahout-new", VERIFY, TOUCH,
      "ln -sfn ... %s/pg_tblspc" % DRAFT, "mv /c=y.pgmahout-new /c=y", "mv /d.pgmahout-new /d", RENAME]),
    ({"copy": "cp -r a b"}, ["cp -r a b", BACKUP, VERIFY, TOUCH, RENAME]),
    ({"passfile": PASS, "passfile_entries": [LINE]}, ["write " + PASS, BACKUP, VERIFY, TOUCH, RENAME]),
    ({"passfile": PASS, "passfile_entries": [LINE], "text": "node1:5440:*:replicator:s3cret\n"},
     [BACKUP, VERIFY, TOUCH, RENAME]),
])
def test_a_backup_is_taken_beside_its_place(kind: str, options: dict[str, Any], expected: list[str]) -> None:
    found = plan(instance.Instance(DEST, kind), **options)
    assert [step.shown for step in found.steps] == expected
    made = "backup" if options.get("format") == "tar" else "instance"
    assert (found.before["state"], found.after["state"]) == (kind, made)
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize("options", [{}, {"write_recovery_conf": False}, {"incremental_from": "/a/m", "summarizes": False}])
def test_a_copy_of_the_same_system_is_no_change(options: dict[str, Any]) -> None:
    found = plan(INSTANCE, present="7001", upstream="7001", **options)
    assert found.steps == []
    assert found.before == found.after == {"dest": DEST, "state": "instance"}


def test_a_backup_in_tar_format_of_the_same_system_is_no_change() -> None:
    found = plan(FOREIGN, present="7001", upstream="7001", format="tar")
    assert found.steps == []
    assert found.before == found.after == {"dest": DEST, "state": "backup"}


@pytest.mark.parametrize("found", [INSTANCE, FOREIGN])
def test_another_system_is_refused_with_both_names(found: instance.Instance) -> None:
    told = "system 7002 was asked for in %s and an instance of the system 7001 is there" % DEST
    with pytest.raises(StateError, match=told):
        plan(found, present="7001", upstream="7002", format="tar" if found is FOREIGN else "plain")


@pytest.mark.parametrize(("found", "form"), [(INSTANCE, "tar"), (FOREIGN, "plain")])
def test_the_other_format_is_refused(found: instance.Instance, form: str) -> None:
    with pytest.raises(StateError, match="in the format %s was asked for in %s and one in the other format" % (form, DEST)):
        plan(found, present="7001", upstream="7001", format=form)


def test_something_else_is_refused() -> None:
    with pytest.raises(StateError, match="not empty and holds no PostgreSQL instance"):
        plan(FOREIGN)


@pytest.mark.parametrize("mapping", [{"a": "/b"}, {"/a": "b"}, {"": "/b"}])
def test_a_mapping_that_is_not_absolute_is_refused(mapping: dict[str, str]) -> None:
    with pytest.raises(InputError, match="both must be absolute paths"):
        desired(tablespace_mapping=mapping)


def test_a_slot_without_a_name_is_refused() -> None:
    with pytest.raises(InputError, match="create_slot was given without a slot"):
        desired(create_slot=True)


def test_a_tablespace_whose_place_is_taken_is_refused() -> None:
    with pytest.raises(StateError, match="to be copied to /d and that is not empty"):
        plan(MISSING, tablespace_mapping={"/b": "/d"}, occupied=["/d"])


def test_a_password_in_the_connection_is_refused() -> None:
    with pytest.raises(InputError, match="option conninfo holds password") as refusal:
        desired(conninfo={"host": "a", "password": "s3cret"})
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize("options", [{"format": "tar"}, {"incremental_from": "/a"}])
def test_what_cannot_be_started_is_no_standby(options: dict[str, Any]) -> None:
    assert desired(**options).write_recovery_conf is False
    assert desired(**options, write_recovery_conf=False).write_recovery_conf is False
    with pytest.raises(InputError, match="write_recovery_conf was given with"):
        desired(**options, write_recovery_conf=True)


def test_a_version_that_cannot_is_refused_before_anything_is_done() -> None:
    with pytest.raises(InputError, match="incremental_from needs PostgreSQL 17 or newer and this server is version 15"):
        plan(MISSING, incremental_from="/a", version_num=150000)
    assert plan(MISSING, incremental_from="/a", version_num=0).steps  # an earlier task would install the programs


def test_an_incremental_backup_needs_one_of_the_same_system() -> None:
    with pytest.raises(StateError, match="system 7001 was asked for and the manifest /a/m is of the system 7002"):
        plan(MISSING, incremental_from="/a/m", upstream="7001", parent="7002")


def test_an_incremental_backup_needs_a_server_that_summarizes() -> None:
    with pytest.raises(StateError, match="set summarize_wal to on there, and take a full backup first"):
        plan(MISSING, incremental_from="/a/m", summarizes=False)


def test_an_incremental_backup_is_from_a_manifest_or_the_directory_that_holds_it(tmp_path: Path) -> None:
    assert desired(incremental_from=str(tmp_path)).request.incremental_from == str(tmp_path / "backup_manifest")
    assert desired(incremental_from="/a/m").request.incremental_from == "/a/m"


def test_progress_is_told_where_someone_watches() -> None:
    assert desired().progress_file == "/tmp/p"
    assert desired(progress=False).progress_file == ""
