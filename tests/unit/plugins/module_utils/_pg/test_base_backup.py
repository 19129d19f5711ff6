# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A base backup as pg_basebackup is asked for it, and what it leaves, without a server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import base_backup
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.base_backup import Request
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError

SERVER = {"host": "node1", "user": "it's"}
ALWAYS = ["--pgdata=/b", "--dbname=host=node1 user='it\\'s'", "--no-password"]
MANIFEST = """{ "PostgreSQL-Backup-Manifest-Version": 2,
"System-Identifier": 7711075973924524260,
"Files": [
{ "Path": "backup_label", "Size": 225, "Last-Modified": "2026-11-22 19:13:00 GMT",
  "Checksum-Algorithm": "CRC32C", "Checksum": "a1" },
{ "Encoded-Path": "66ff", "Size": 3, "Last-Modified": "2026-11-22 19:13:00 GMT" }
],
"WAL-Ranges": [
{ "Timeline": 1, "Start-LSN": "0/3000028", "End-LSN": "0/3000120" },
{ "Timeline": 2, "Start-LSN": "0/3000120", "End-LSN": "0/3000200" }
],
"Manifest-Checksum": "x"}
"""


@pytest.mark.parametrize(("asked", "expected"), [
    ({}, []),
    ({"format": "tar", "compress": "server-zstd:3"}, ["--format=tar", "--compress=server-zstd:3"]),
    ({"max_rate": "64M", "slot": "s", "label": "a b"}, ["--max-rate=64M", "--slot=s", "--label=a b"]),
    ({"incremental_from": "/a/backup_manifest"}, ["--incremental=/a/backup_manifest"]),
    ({"tablespace_mapping": {"/b": "/d", "/a=x": "/c=y"}}, ["--tablespace-mapping=/a\\=x=/c\\=y", "--tablespace-mapping=/b=/d"]),
])
def test_what_pg_basebackup_is_asked_for(asked: dict[str, Any], expected: list[str]) -> None:
    assert base_backup.arguments(Request(SERVER, **asked), "/b") == [
        *ALWAYS, "--checkpoint=fast", "--wal-method=stream", *expected]


@pytest.mark.parametrize(("asked", "since"), [
    ({}, 13),
    ({"format": "tar", "compress": "gzip"}, 13),
    ({"format": "tar", "compress": "client-gzip:9", "wal_method": "fetch", "max_rate": "32"}, 13),
    ({"format": "tar", "compress": "zstd"}, 15),
    ({"format": "tar", "compress": "server-gzip"}, 15),
    ({"compress": "server-lz4:level=3"}, 15),
    ({"incremental_from": "/a"}, 17),
])
def test_what_came_with_a_version_is_refused_before(asked: dict[str, Any], since: int) -> None:
    for major in range(13, 19):
        if major >= since:
            base_backup.refuse_unknown(Request(SERVER, **asked), major * 10000)
        else:
            with pytest.raises(InputError, match=f"version {major}"):
                base_backup.refuse_unknown(Request(SERVER, **asked), major * 10000)


@pytest.mark.parametrize(("asked", "told"), [
    ({"compress": "gzip"}, "compress is gzip and a plain backup is not compressed"),
    ({"compress": "client-zstd:3"}, "ask for the format tar, or for server-zstd"),
    ({"format": "tar", "compress": "bzip2"}, "compress is 'bzip2' and must be"),
    ({"format": "tar", "compress": "5"}, "compress is '5' and must be"),
    ({"slot": "s", "wal_method": "fetch"}, "slot is s with wal_method fetch"),
    ({"slot": "s", "wal_method": "none"}, "slot is s with wal_method none"),
    ({"format": "tar", "tablespace_mapping": {"/a": "/b"}}, "tablespace_mapping was given with the format tar"),
    ({"tablespace_mapping": {"a": "/b"}}, "both must be absolute paths"),
    ({"tablespace_mapping": {"/a": "b"}}, "both must be absolute paths"),
    ({"max_rate": "31"}, "max_rate is '31' and must be from 32k to 1024M"),
    ({"max_rate": "1025M"}, "max_rate is '1025M'"),
    ({"max_rate": "fast"}, "max_rate is 'fast'"),
])
def test_what_no_version_can_do_is_refused(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        base_backup.refuse_unknown(Request(SERVER, **asked), 180000)


@pytest.mark.parametrize(("asked", "older"), [
    ("none", "--compress=0"), ("gzip", "--gzip"), ("client-gzip", "--gzip"), ("gzip:5", "--compress=5"),
    ("client-gzip:5", "--compress=5"),
])
def test_before_version_15_compression_is_a_level(asked: str, older: str) -> None:
    argv = base_backup.arguments(Request(SERVER, format="tar", compress=asked), "/b")
    assert base_backup._for(150000, argv) == argv
    assert base_backup._for(140000, argv) == [*argv[:-1], older]


def test_a_checksum_is_what_postgresql_calculates() -> None:
    # The check value that CRC-32C is published with is e3069283; a manifest has it from the lowest byte on.
    assert base_backup.crc32c(b"123456789") == "839206e3"


def test_a_manifest_tells_the_system_the_wal_and_the_files(tmp_path: Path) -> None:
    (tmp_path / "backup_manifest").write_text(MANIFEST)
    found = base_backup.manifest(str(tmp_path))
    assert found.system_identifier == "7711075973924524260"
    assert found.wal == [(1, "0/3000028", "0/3000120"), (2, "0/3000120", "0/3000200")]
    assert found.size == 228
    assert found.checksums == {"backup_label": "CRC32C:a1", os.fsdecode(b"f\xff"): ""}


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"Files": []}', MANIFEST.replace("Size", "S"), MANIFEST[:-40]])
def test_what_is_no_manifest_is_refused_by_its_name(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "backup_manifest").write_text(text)
    with pytest.raises(StateError, match=f"{tmp_path}/backup_manifest was to be the manifest .* missing or damaged"):
        base_backup.manifest(str(tmp_path))


@pytest.mark.parametrize(("names", "expected"), [
    ([], False), (["backup_manifest"], False), (["base.tar"], False), (["backup_manifest", "base"], False),
    (["backup_manifest", "base.tar"], True), (["backup_manifest", "base.tar.zst"], True),
])
def test_a_backup_in_tar_format_is_told_by_its_files(tmp_path: Path, names: list[str], expected: bool) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert base_backup.is_tar(str(tmp_path)) is expected


def test_a_directory_without_base_tar_is_refused_as_a_tar_backup(tmp_path: Path) -> None:
    (tmp_path / "16384.tar").touch()
    with pytest.raises(StateError, match=r"has no base\.tar"):
        base_backup._archives(str(tmp_path))
    (tmp_path / "base.tar.gz").touch()
    (tmp_path / "pg_wal.tar").touch()
    assert base_backup._archives(str(tmp_path)) == {"16384": "16384.tar", "base": "base.tar.gz", "pg_wal": "pg_wal.tar"}


def test_links_to_tablespaces_that_moved_follow_and_others_stay(tmp_path: Path) -> None:
    links = tmp_path / "pg_tblspc"
    links.mkdir()
    (links / "1").symlink_to("/a.new")
    (links / "2").symlink_to("/b")
    (links / "3").mkdir()
    base_backup.relink(str(tmp_path), {"/a.new": "/a"})
    assert base_backup.tablespaces(str(tmp_path)) == {"/a": str(links / "1"), "/b": str(links / "2")}
    assert sorted(os.listdir(links)) == ["1", "2", "3"]


@pytest.mark.parametrize(("complaint", "expected"), [
    ("could not find file \"000000010000000000000003\": No such file", ""),
    ("error in WAL record at 0/4000028: incorrect checksum", ' in file "pg_wal/000000020000000000000004"'),
    ("could not read", ' in file "pg_wal/000000020000000000000003"'),
])
def test_a_complaint_about_wal_names_the_segment(tmp_path: Path, complaint: str, expected: str) -> None:
    part = base_backup.Range(2, "0/3000028", "0/5000100")
    assert base_backup._segment_with("could not find any WAL file", str(tmp_path), part) == (
        ' in "pg_wal" of timeline 2 from 0/3000028 on')
    with (tmp_path / "000000020000000000000003").open("wb") as file:
        file.truncate(16 << 20)
    assert base_backup._segment_with(complaint, str(tmp_path), part) == expected
