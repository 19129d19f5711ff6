# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A part of a repository comes over whole or has another name; only SSH itself is left out here, which molecule/restore has."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import repository_copy
from tests.support.modules import ok, refused, run_module
from tests.support.postgres import server_user

SERVE = Path(__file__).parents[2] / "roles" / "pg_backup" / "files" / "serve-backup"
FULL, NEXT = "20261122T190102Z", "20261123T190102Z"
SOURCE = {"address": "vault", "login_user": "admin", "host_keys": ["ssh-ed25519 AAAA"]}
FIRST = "000000010000000000000003"
SEGMENTS = [f"0000000{timeline}00000000{number:08X}{suffix}" for timeline, number, suffix in (
    (1, 2, ".gz"), (1, 3, ".gz"), (2, 3, ""), (1, 0x10, ".zst"))]


@pytest.fixture
def home() -> Iterator[Path]:
    """Give a directory that the server's account may write."""
    made = Path(tempfile.mkdtemp(prefix="pgm-"))
    if (user := server_user()) is not None:
        shutil.chown(made, user)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def repository(home: Path) -> Path:
    """Return a repository with two backups and an archive, which everybody may read."""
    made = home / "repository"
    for backup in (FULL, NEXT):
        data = made / "base" / backup / "data"
        (data / "pg_notify").mkdir(parents=True)
        (data / "a file").write_bytes(os.urandom(100_000))
        (data / "link").symlink_to("/nowhere")
        entry: dict[str, Any] = {
            "id": backup, "type": "full", "parent": None, "format": "plain", "compress": "", "cluster": "orders",
            "system_identifier": "7", "version": 17, "timeline": 1, "start_lsn": "0/3000028", "stop_lsn": "0/3000100",
            "start_time": "2026-11-22T19:01:02.000000Z", "stop_time": "2026-11-22T19:01:03.000000Z", "next_xid": 750,
            "size_bytes": 1, "duration_seconds": 1.0, "verified": True, "archive": "wal", "wal_segment_size": 16777216,
            "tablespaces": {}, "source": "node1:5432"}
        (data.parent / "backup.json").write_text(json.dumps(entry))
    (made / "wal").mkdir()
    for name in [*SEGMENTS, "00000002.history.gz", "000000010000000000000011.gz.partial",
                 "000000010000000000000003.00000028.backup", "000000010000000000000012.pgmahout-x"]:
        (made / "wal" / name).write_bytes(os.urandom(1000))
    (made / "bin").mkdir()
    (made / "bin" / "restore-wal").write_text("#!/bin/sh\n")
    home.chmod(0o755)
    return made


@pytest.fixture
def copy(home: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the options for a copy; what it fetches is served without SSH."""
    monkeypatch.setattr(repository_copy, "_ssh", lambda _wanted: ["sh", str(SERVE), str(repository), "wal", FIRST, FULL])
    return {"directory": str(home / "copy"), "user": server_user() or "", "backups": [FULL], "cluster": "orders"}


def fetch(copy: dict[str, Any]) -> dict[str, Any]:
    """Make the copy, in the two steps that the role takes."""
    assert ok("pg_repository_copy", **copy, state="prepared")["public_key"].startswith("ssh-ed25519 ")
    return ok("pg_repository_copy", **copy, source=SOURCE)


def test_what_is_needed_comes_and_nothing_else(repository: Path, copy: dict[str, Any]) -> None:
    done = fetch(copy)
    place = Path(copy["directory"])
    assert {path.name for path in (place / "base").iterdir()} == {FULL}
    wal = {path.name for path in (place / "wal").iterdir()}
    assert wal == {*SEGMENTS[1:], "00000002.history.gz", "000000010000000000000011.gz.partial"}
    for path in ("wal/" + SEGMENTS[2], f"base/{FULL}/data/a file", "bin/restore-wal"):
        assert (place / path).read_bytes() == (repository / path).read_bytes()
    assert (place / f"base/{FULL}/data/link").is_symlink()
    assert (place / f"base/{FULL}/data/pg_notify").is_dir()
    assert [one["id"] for one in json.loads((place / "catalog.json").read_text())["backups"]] == [FULL]
    assert done["bytes"] > 100_000
    assert not Path(copy["directory"] + ".pgmahout-new").exists()
    assert oct(place.stat().st_mode & 0o777) == "0o700"
    assert not (place / "ssh").exists()


def test_what_broke_off_has_another_name_and_is_gone_on_with(repository: Path, copy: dict[str, Any],
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    served = repository_copy._ssh
    broken = ["sh", "-c", "\"$@\" | head -c 60000; echo 'closed by vault' >&2; exit 255", "-"]
    monkeypatch.setattr(repository_copy, "_ssh", lambda wanted: [*broken, *served(wanted)])
    ok("pg_repository_copy", **copy, state="prepared")
    told = refused("pg_repository_copy", **copy, source=SOURCE)
    assert told == (f"The backups {FULL} were to be copied from vault and that failed: closed by vault; "
                    "what came is kept, run this again.")
    assert not Path(copy["directory"]).exists()
    assert not Path(copy["directory"] + ".pgmahout-new", "ssh").exists()
    monkeypatch.setattr(repository_copy, "_ssh", served)
    fetch(copy)
    for path in (f"base/{FULL}/data/a file", "wal/" + SEGMENTS[1]):
        assert Path(copy["directory"], path).read_bytes() == (repository / path).read_bytes()


def test_a_second_copy_fetches_what_is_new_alone(repository: Path, copy: dict[str, Any]) -> None:
    fetch(copy)
    (repository / "wal" / "000000010000000000000011.gz.partial").rename(repository / "wal" / "000000010000000000000011.gz")
    assert fetch(copy)["bytes"] == 1000
    assert Path(copy["directory"], "wal", "000000010000000000000011.gz").exists()


def test_backups_that_are_not_asked_for_any_more_go(repository: Path, copy: dict[str, Any],
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    fetch(copy)
    monkeypatch.setattr(repository_copy, "_ssh", lambda _wanted: ["sh", str(SERVE), str(repository), "wal", FIRST, NEXT])
    fetch({**copy, "backups": [NEXT]})
    assert os.listdir(os.path.join(copy["directory"], "base")) == [NEXT]


def test_a_backup_that_is_gone_is_told(repository: Path, copy: dict[str, Any]) -> None:
    (repository / "base" / FULL).rename(repository / "base" / "elsewhere")
    ok("pg_repository_copy", **copy, state="prepared")
    assert f"base/{FULL} in {repository} cannot be read" in refused("pg_repository_copy", **copy, source=SOURCE)


def test_a_directory_of_somebody_else_is_refused_and_absent_takes_ours_away(copy: dict[str, Any]) -> None:
    Path(copy["directory"]).mkdir()
    Path(copy["directory"], "mine").touch()
    for state in ("prepared", "absent"):
        assert "holds something else" in refused("pg_repository_copy", **copy, state=state)
    Path(copy["directory"], "mine").unlink()
    Path(copy["directory"]).rmdir()
    fetch(copy)
    assert ok("pg_repository_copy", **copy, state="absent")["changed"]
    assert not Path(copy["directory"]).exists()
    assert not ok("pg_repository_copy", **copy, state="absent")["changed"]


def test_check_mode_writes_nothing(copy: dict[str, Any]) -> None:
    for state in ("prepared", "present"):
        assert run_module("pg_repository_copy", check=True, **copy, source=SOURCE, state=state)["changed"]
    assert not [name for name in os.listdir(os.path.dirname(copy["directory"])) if name.startswith("copy")]
