# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_wal_archive: the repository's directory and the programs, made once, closed to others, and never emptied."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.archives import PROGRAMS
from tests.support.modules import ok, refused, run_module
from tests.support.postgres import server_user


def options(place: Path, **given: Any) -> dict[str, Any]:
    return {"directory": str(place), "programs": PROGRAMS, "user": server_user() or "", **given}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "backups" / "orders"


def test_it_is_made_as_planned_and_then_left_alone(repository: Path) -> None:
    planned = run_module("pg_wal_archive", check=True, **options(repository))
    assert not repository.parent.exists()
    done = ok("pg_wal_archive", **options(repository))
    assert done["commands"] == planned["commands"]
    assert done["diff"] == planned["diff"]
    for directory in (repository, repository / "bin"):
        assert directory.stat().st_mode & 0o777 == 0o700
        assert directory.owner() == (server_user() or directory.owner())
    for name, text in PROGRAMS.items():
        assert (repository / "bin" / name).read_text() == text
        assert os.access(repository / "bin" / name, os.X_OK)
    again = ok("pg_wal_archive", **options(repository))
    assert (again["changed"], again["commands"]) == (False, [])


def test_what_was_changed_by_hand_is_put_right(repository: Path) -> None:
    ok("pg_wal_archive", **options(repository))
    (repository / "bin" / "archive-wal").write_text("exit 0")
    (repository / "bin" / "restore-wal").chmod(0o600)
    repository.chmod(0o755)
    done = ok("pg_wal_archive", **options(repository))
    assert [command.split()[0] for command in done["commands"]] == ["chmod", "write", "write"]
    assert done["diff"]["before"][str(repository / "bin" / "archive-wal")] == ["exit 0"]
    assert not ok("pg_wal_archive", **options(repository))["changed"]


def test_a_directory_that_holds_something_else_is_refused(repository: Path) -> None:
    repository.mkdir(parents=True)
    (repository / "letters").touch()
    assert "which holds letters and nothing of a repository" in refused("pg_wal_archive", **options(repository))
    assert [path.name for path in repository.iterdir()] == ["letters"]


def test_a_file_system_of_its_own_is_taken(repository: Path) -> None:
    (repository / "lost+found").mkdir(parents=True)
    assert ok("pg_wal_archive", **options(repository))["changed"]


def test_when_it_goes_what_was_archived_stays(repository: Path) -> None:
    ok("pg_wal_archive", **options(repository))
    (repository / "wal-7001").mkdir()
    (repository / "wal-7001" / "000000010000000000000001.gz").touch()
    assert ok("pg_wal_archive", **options(repository, state="absent"))["changed"]
    left = sorted(str(path.relative_to(repository)) for path in repository.rglob("*"))
    assert left == ["wal-7001", "wal-7001/000000010000000000000001.gz"]
    assert not ok("pg_wal_archive", **options(repository, state="absent"))["changed"]
    shutil.rmtree(repository / "wal-7001")
    repository.mkdir(exist_ok=True)
    ok("pg_wal_archive", **options(repository, state="absent"))
    assert not repository.exists()


@pytest.mark.parametrize(("given", "told"), [
    ({"directory": "backups"}, "no absolute path"), ({"programs": {"../x": ""}}, "no plain file name"),
    ({"programs": {"": ""}}, "no plain file name")])
def test_what_cannot_be_meant_is_refused(repository: Path, given: dict[str, Any], told: str) -> None:
    assert told in refused("pg_wal_archive", **options(repository, **given))
