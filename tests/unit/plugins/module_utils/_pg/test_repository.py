# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository's files: what is a backup, what was left unfinished, and what cannot be understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import repository
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import StateError

from .test_catalog import FULL, LATER


def keep(place: Path, entry: Any = FULL, name: str = "") -> Path:
    directory = place / "base" / (name or entry.id)
    directory.mkdir(parents=True)
    (directory / "backup.json").write_text(json.dumps(entry._asdict()))
    return directory


def test_a_repository_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert repository.read(str(tmp_path / "missing")) == repository.Repository(str(tmp_path / "missing"), [], [], [])


def test_backups_archives_and_what_killed_runs_left_are_told_apart(tmp_path: Path) -> None:
    for entry in (LATER, FULL):
        keep(tmp_path, entry)
    left = ["base/20261122T000000Z.pgmahout-new", "base/20261121T000000Z.pgmahout-removed",
            "wal-20261120T000000Z.pgmahout-removed"]
    for name in ["wal", "wal-7001", "wal-20261122T190102Z", "walrus", "dumps", "bin", *left]:
        (tmp_path / name).mkdir()
    found = repository.read(str(tmp_path))
    assert found.entries == [FULL, LATER]
    assert sorted(found.leftovers) == sorted(str(tmp_path / name) for name in left)
    assert found.archives == ["wal", "wal-20261122T190102Z", "wal-7001"]
    assert found.data(FULL.id) == f"{tmp_path}/base/{FULL.id}/data"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"id": "x"}', '"text"'])
def test_an_entry_that_cannot_be_understood_is_told_by_its_file(tmp_path: Path, text: str) -> None:
    file = keep(tmp_path) / "backup.json"
    file.write_text(text)
    with pytest.raises(StateError, match=r"cannot be understood") as refusal:
        repository.read(str(tmp_path))
    assert str(file) in str(refusal.value)


def test_what_lies_among_the_backups_and_is_none_is_told(tmp_path: Path) -> None:
    keep(tmp_path)
    (tmp_path / "base" / "copy").mkdir()
    with pytest.raises(StateError, match=r"base/copy is among the backups and has no backup\.json"):
        repository.read(str(tmp_path))


def test_a_backup_under_the_name_of_another_is_told(tmp_path: Path) -> None:
    keep(tmp_path, FULL, LATER.id)
    with pytest.raises(StateError, match=f"is of the backup {FULL.id} and lies in the directory of another"):
        repository.read(str(tmp_path))


def test_what_is_removed_loses_its_name_first_also_where_a_killed_run_left_one(tmp_path: Path) -> None:
    place = keep(tmp_path)
    left = Path(f"{place}.pgmahout-removed")
    left.mkdir()
    (left / "file").touch()
    repository.remove(str(place))
    assert list((tmp_path / "base").iterdir()) == []
    left.mkdir()
    repository.remove(str(left))
    assert list((tmp_path / "base").iterdir()) == []


def test_a_size_is_that_of_the_files_and_not_of_what_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below/file").write_bytes(b"x" * 1000)
    (tmp_path / "file").write_bytes(b"x" * 24)
    (tmp_path / "link").symlink_to("file")
    assert repository.size(str(tmp_path)) == 1024 + len("file")
