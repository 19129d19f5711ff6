# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which archive a server writes to, and what its log says when it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import archiver


def test_a_server_writes_to_the_first_archive_unless_it_was_restored(tmp_path: Path) -> None:
    assert archiver.archive_of(str(tmp_path)) == "wal"
    (tmp_path / "pgmahout.archive").write_text("wal-20261122T190102Z\n")
    assert archiver.archive_of(str(tmp_path)) == "wal-20261122T190102Z"


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst", ".lz4"])
def test_a_file_is_found_however_it_is_compressed(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"0001{suffix}").touch()
    assert archiver.place(str(tmp_path), "0001") == f"0001{suffix}"


@pytest.mark.parametrize("name", ["0001", "", "0002"])
def test_a_draft_is_no_file_of_the_archive(tmp_path: Path, name: str) -> None:
    (tmp_path / "0001.pgmahout-aB3xYz").touch()
    assert archiver.place(str(tmp_path), name) == ""


@pytest.mark.parametrize(("log", "told"), [
    ("archive-wal: First.\n2026 LOG:  archive command failed with exit code 1\narchive-wal: Last.\n2026 LOG:  ready\n", "Last."),
    ("2026 LOG:  starting\n2026 LOG:  archive command failed with exit code 127\n", "archive command failed with exit code 127"),
    ("2026 LOG:  starting\n", "look at the server's log %s.")])
def test_the_program_is_heard_before_the_server(tmp_path: Path, log: str, told: str) -> None:
    path = tmp_path / "log"
    path.write_text(log)
    assert archiver.last_words(str(path)) == told.replace("%s", str(path))


def test_a_log_that_cannot_be_read_is_where_to_look(tmp_path: Path) -> None:
    assert archiver.last_words(str(tmp_path / "none")) == f"look at the server's log {tmp_path}/none."
    assert archiver.last_words("") == "look at the server's log."
