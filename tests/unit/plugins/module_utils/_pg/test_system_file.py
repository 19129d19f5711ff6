# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of the operating system: whole, readable by all, or an error of one sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import durable, system_file
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import StateError


@pytest.fixture(autouse=True)
def _narrow_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_a_file_and_its_directories_are_made_for_all_to_read(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    system_file.put(str(path), "text\n")
    assert path.read_text() == "text\n"
    assert [oct(os.stat(made).st_mode & 0o777) for made in (path, path.parent, path.parent.parent)] == ["0o644", "0o755", "0o755"]
    assert os.listdir(path.parent) == ["file"]


def test_a_file_is_replaced_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    system_file.put(str(path), "one")
    system_file.put(str(path), "two", 0o755)
    assert (path.read_text(), oct(path.stat().st_mode & 0o777)) == ("two", "0o755")
    system_file.put(str(path), None)
    assert os.listdir(tmp_path) == []


def test_a_run_that_was_killed_does_not_disturb_the_next(tmp_path: Path) -> None:
    (tmp_path / ("file" + durable.DRAFT)).write_text("a longer text, half wr")
    system_file.put(str(tmp_path / "file"), "text")
    assert (tmp_path / "file").read_text() == "text"
    assert os.listdir(tmp_path) == ["file"]


def test_what_the_file_system_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "parent").write_text("no directory")
    with pytest.raises(StateError, match=r"file .*/parent/file was to be changed and that failed: .*; look at its file system\."):
        system_file.put(str(tmp_path / "parent" / "file"), "text")
