# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps as files: what kind one is, and whether it is whole."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import dump_files
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.dump_files import Kind, Text
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import StateError

DATABASE = b"""--
-- PostgreSQL database dump
--

\\restrict abc
-- Dumped by pg_dump version 17.6
CREATE TABLE t (a text);
COPY t FROM stdin;
-- PostgreSQL database dump complete
\\.
--
-- PostgreSQL database dump complete
--

\\unrestrict abc

"""
GLOBALS = b"""--
-- PostgreSQL database cluster dump
--
CREATE ROLE a;
CREATE ROLE "B c";
--
-- PostgreSQL database cluster dump complete
--
"""
CLUSTER = GLOBALS.replace(b'--\n-- PostgreSQL database cluster dump complete', b"\\connect a\n" + DATABASE
                          + b"--\n-- PostgreSQL database cluster dump complete")


@pytest.mark.parametrize(("head", "kind"), [
    (b"PGDMP\1\20", Kind("custom")), (b"toc.dat" + bytes(100), Kind("tar")), (DATABASE, Kind("plain")), (CLUSTER, Kind("plain")),
    (gzip.compress(DATABASE), Kind("plain", "gzip")), (b"\x28\xb5\x2f\xfd", Kind("plain", "zstd")),
    (b"\x04\x22\x4d\x18", Kind("plain", "lz4")), (b"", Kind("foreign")), (b"SELECT 1;", Kind("foreign"))])
def test_a_file_is_known_by_its_beginning(tmp_path: Path, head: bytes, kind: Kind) -> None:
    (tmp_path / "it").write_bytes(head)
    assert dump_files.identify(str(tmp_path / "it")) == kind


def test_a_directory_is_known_by_its_contents(tmp_path: Path) -> None:
    assert dump_files.identify(str(tmp_path / "it")) == Kind("missing")
    assert dump_files.identify(str(tmp_path)) == Kind("foreign")
    (tmp_path / "toc.dat").write_bytes(b"PGDMP\1")
    assert dump_files.identify(str(tmp_path)) == Kind("directory")


@pytest.mark.parametrize("compression", ["", "gzip", "zstd", "lz4"])
@pytest.mark.parametrize(("text", "found"), [
    (DATABASE, Text("database", 17, ())), (GLOBALS, Text("globals", 0, ("a", "B c"))),
    (CLUSTER, Text("cluster", 17, ("a", "B c")))])
def test_a_text_says_what_it_is_of(tmp_path: Path, compression: str, text: bytes, found: Text) -> None:
    path = tmp_path / "it"
    path.write_bytes(text)
    if compression:
        if shutil.which(compression) is None:
            pytest.skip(f"there is no {compression} on this machine")
        packed = subprocess.run([compression, "-c", path], stdout=subprocess.PIPE, check=True).stdout
        path.write_bytes(packed)
    assert dump_files.read_text_dump(str(path), compression) == found
    if compression:
        path.write_bytes(packed[:-6])
        with pytest.raises(StateError, match="is damaged: "):
            dump_files.read_text_dump(str(path), compression)


@pytest.mark.parametrize("end", range(20, len(DATABASE) - 60, 7))
def test_a_text_that_was_cut_off_is_none(tmp_path: Path, end: int) -> None:
    (tmp_path / "it").write_bytes(DATABASE[:end])
    with pytest.raises(StateError, match="was cut off"):
        dump_files.read_text_dump(str(tmp_path / "it"), "")


def test_a_text_that_goes_to_a_database_of_its_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"\\connect shop\n" + DATABASE)
    with pytest.raises(StateError, match="was made with --create"):
        dump_files.read_text_dump(str(tmp_path / "it"), "")


@pytest.mark.parametrize(("output", "reason"), [
    ("", "it said nothing"), ("pg_dump: x\n", "pg_dump: x"),
    ("pg_dump: warning: w\npg_dump: error: query failed: ERROR:  no.\npg_dump: detail: Query was: q", "query failed: ERROR: no"),
    ("pg_dump: error: Dumping failed.\npg_dump: detail: Error message from server: ERROR:  gone.", "Dumping failed, ERROR: gone"),
    ('pg_restore: error: could not execute query: ERROR:  no\nCommand was: CREATE TABLE "a b"."c" (\nx int);',
     'could not execute query: ERROR: no, at CREATE TABLE "a b"."c"'),
    ("pg_restore: error: could not execute query: ERROR:  no\nCommand was: CREATE SUBSCRIPTION s CONNECTION 'password=s3cret';",
     "could not execute query: ERROR: no, at CREATE SUBSCRIPTION s"),
    ('psql:<stdin>:7: ERROR:  duplicate key\nDETAIL:  Key (a)=(secret)\n', "ERROR: duplicate key"),
    ("psql: error: connection failed: FATAL:  no", "connection failed: FATAL: no")])
def test_the_reason_is_the_first_error_and_the_object_and_no_row(output: str, reason: str) -> None:
    assert dump_files.reason(output) == reason


def test_a_directory_loses_its_name_before_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "it").mkdir()
    seen: list[str] = []
    monkeypatch.setattr(shutil, "rmtree", seen.append)
    dump_files.remove(str(tmp_path / "it"))
    assert seen == [str(tmp_path / "it.pgmahout-removed")]
    dump_files.remove(str(tmp_path / "nothing"))
