# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of made passwords: closed to others, one password for all who ask at once, nothing written when only looking."""

from __future__ import annotations

import json
import multiprocessing
import stat
from pathlib import Path

import pytest

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import secrets_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "secrets.json"


def ask(path: Path, user: str = "replicator", keep: bool = True, cluster: str = "orders") -> str:
    return secrets_file.password(str(path), cluster, user, keep)


def ask_together(path: Path, user: str, start: object, answers: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    answers.put((user, ask(path, user)))  # type: ignore[attr-defined]


def test_a_password_is_made_once_and_kept_closed_to_others(path: Path) -> None:
    made = ask(path)
    assert len(made) >= 32
    assert ask(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {"orders": {"replicator": made}}
    assert len({made, ask(path, "other"), ask(path, cluster="reporting")}) == 3
    assert [entry.name for entry in path.parent.iterdir()] == ["secrets.json"]


def test_looking_writes_nothing_and_still_finds_what_is_there(path: Path) -> None:
    assert ask(path, keep=False) != ask(path, keep=False)
    assert not path.parent.exists()
    made = ask(path)
    before = path.stat()
    assert ask(path, keep=False) == made
    ask(path, "other", keep=False)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_known_password_is_read_without_a_write(path: Path) -> None:
    ask(path)
    before = path.stat().st_ino
    ask(path)
    assert path.stat().st_ino == before


def test_all_who_ask_at_once_get_one_password(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, answers = context.Event(), context.Queue()
    workers = [context.Process(target=ask_together, args=(path, user, start, answers)) for user in ("a", "b") * 4]
    for worker in workers:
        worker.start()
    start.set()
    found = {answers.get(timeout=20) for _worker in workers}
    for worker in workers:
        worker.join()
    assert {user for user, _password in found} == {"a", "b"}
    assert dict(found) == json.loads(path.read_text())["orders"]
    assert len(found) == 2


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(path: Path, mode: int) -> None:
    made = ask(path)
    path.chmod(mode)
    for keep in (True, False):
        with pytest.raises(secrets_file.Unusable, match="can be read by others; give it the mode 0600") as refusal:
            ask(path, keep=keep)
        assert made not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "{", '{"orders": s3cret}', "[]", '{"orders": "s3cret"}', "\udcff"])
def test_a_file_that_is_not_ours_is_refused_and_left_as_it_is(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.touch(0o600)
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(secrets_file.Unusable, match="remove it to have new passwords made") as refusal:
        ask(path)
    assert "s3cret" not in str(refusal.value)
    assert path.read_bytes() == text.encode(errors="surrogateescape")


def test_a_file_of_the_working_directory_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ask(Path("secrets.json")) == ask(tmp_path / "secrets.json")


def test_a_cluster_is_forgotten_alone_and_the_last_one_takes_the_file_along(path: Path) -> None:
    ask(path)
    kept = ask(path, cluster="reporting")
    assert secrets_file.forget(str(path), "orders", keep=True)
    assert "orders" in json.loads(path.read_text())
    assert secrets_file.forget(str(path), "orders", keep=False)
    assert not secrets_file.forget(str(path), "orders", keep=False)
    assert json.loads(path.read_text()) == {"reporting": {"replicator": kept}}
    assert secrets_file.forget(str(path), "reporting", keep=False)
    assert not path.parent.exists()


def test_a_directory_with_other_files_stays(path: Path) -> None:
    ask(path)
    (path.parent / "other").touch()
    secrets_file.forget(str(path), "orders", keep=False)
    assert [entry.name for entry in path.parent.iterdir()] == ["other"]


def test_nothing_is_forgotten_where_there_is_nothing(path: Path) -> None:
    assert not secrets_file.forget(str(path), "orders", keep=False)
    assert not path.parent.exists()
