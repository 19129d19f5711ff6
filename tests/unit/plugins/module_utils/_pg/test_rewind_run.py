# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The WAL of an instance as files: which of it a rewind reads, and where it is cut."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import rewind_run
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.instance import Control

SIZE = 1 << 20
CONTROL = Control("42", "shut down", 2, "0/500028", "0/0", {}, True, wal_segment_size=SIZE)


@pytest.fixture
def wal(tmp_path: Path) -> Path:
    path = tmp_path / "pg_wal"
    path.mkdir()
    for number in range(2, 9):
        (path / f"0000000100000000{number:08X}").write_bytes(b"\1" * SIZE)
    (path / "000000020000000000000005").write_bytes(b"\2" * SIZE)
    (path / "00000002.history").write_text("1\t0/500000\tno recovery target specified\n")
    return path


def test_a_rewind_reads_the_histories_and_what_is_between_the_checkpoint_and_the_end(wal: Path) -> None:
    names = rewind_run.read_by_rewind(str(wal.parent), CONTROL, 0x400010)
    assert names == ["00000002.history", "000000010000000000000004", "000000010000000000000005", "000000020000000000000005"]
    standby = CONTROL._replace(minimum_recovery_lsn="0/600100")
    assert "000000010000000000000006" in rewind_run.read_by_rewind(str(wal.parent), standby, 0x400010)
    assert rewind_run.read_by_rewind(str(wal.parent), CONTROL, None) == ["00000002.history"]


def test_a_timeline_is_cut_and_the_others_are_not(wal: Path) -> None:
    rewind_run.cut(str(wal.parent), 1, 0x400100, SIZE)
    left = sorted(path.name for path in wal.iterdir())
    assert left == ["000000010000000000000002", "000000010000000000000003", "000000010000000000000004", "00000002.history",
                    "000000020000000000000005"]
    assert (wal / "000000010000000000000003").read_bytes() == b"\1" * SIZE
    assert (wal / "000000010000000000000004").read_bytes() == b"\1" * 0x100 + b"\0" * (SIZE - 0x100)
    assert (wal / "000000020000000000000005").read_bytes() == b"\2" * SIZE


def test_the_connection_string_is_one_argument() -> None:
    request = rewind_run.Request("/srv/data", "host=a user='b c'", "cp %f", "/srv/data", "/srv/data.log", 5)
    assert shlex.split(rewind_run.shown(request)) == [
        "pg_rewind", "--target-pgdata=/srv/data", "--source-server=host=a user='b c'", "--no-ensure-shutdown",
        "--restore-target-wal"]


def test_a_command_is_expanded_as_the_server_does_it() -> None:
    values = {"%": "%", "f": "0000", "p": "/srv/%f"}
    assert rewind_run._expanded("cp /a/%f %p; date +%%s %x", values) == "cp /a/0000 /srv/%f; date +%s %x"
