# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept while a data directory is rewound, whenever it is interrupted."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import rewind_guard
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.instance import Host
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.programs import Installation
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.tools import Account

OWN = {"postgresql.conf": "ours", "conf.d/more.conf": "ours", "postgresql.auto.conf": "ours"}
SERVERS = {"PG_VERSION": "18", "base/1/2": "pages", "pg_wal/000000010000000000000001": "records", "pgmahout.archive": "wal"}


class Interrupted(Exception):
    pass


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    fill(path, {**OWN, **SERVERS})
    path.chmod(0o700)
    return path


@pytest.fixture
def host(data: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    us = Account("us", os.geteuid(), os.getegid(), str(data.parent))
    monkeypatch.setattr(Host, "account", property(lambda _self: us))
    return Host(Installation("/nowhere"), "", str(data), 1)


def fill(path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)


def files(path: Path) -> dict[str, str]:
    return {str(file.relative_to(path)): file.read_text() for file in path.rglob("*") if file.is_file()}


def can_start(data: Path) -> bool:
    """Whether PostgreSQL accepts the directory's permissions, and finds its configuration there."""
    return not stat.S_IMODE(data.stat().st_mode) & 0o027 and (data / "postgresql.conf").exists()


def rewind(data: Path) -> None:
    """Do what pg_rewind does: everything becomes as it is at the source."""
    fill(data, {"postgresql.conf": "the source's", "stranger": "the source's", "base/1/2": "its pages",
                "pgmahout.archive": "its wal"})
    (data / "pg_wal" / "000000010000000000000001").write_text("")


def run(host: Host, data: Path, work: Callable[[Path], None]) -> None:
    """Do what the module does."""
    path = str(data)
    had_begun = rewind_guard.has_begun(path)
    rewind_guard.hold(host, path)
    if had_begun:
        rewind_guard.put_wal_back(host, path)
    assert (data / "pg_wal" / "000000010000000000000001").read_text() == "records"
    assert not can_start(data)
    if not had_begun:
        rewind_guard.keep_wal(host, path, ["000000010000000000000001"])
    work(data)
    assert not can_start(data)
    rewind_guard.release(host, path)


AFTER = {**OWN, "PG_VERSION": "18", "base/1/2": "its pages", "pg_wal/000000010000000000000001": "", "pgmahout.archive": "its wal",
         "standby.signal": ""}


def test_what_is_not_the_servers_stays_as_it_was(host: Host, data: Path) -> None:
    run(host, data, rewind)
    assert files(data) == AFTER
    assert can_start(data)
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert os.listdir(data.parent) == ["data"]


def test_a_file_is_found_wherever_it_is(host: Host, data: Path) -> None:
    path = str(data)
    assert rewind_guard.path(path, "postgresql.auto.conf") == f"{path}/postgresql.auto.conf"
    assert not rewind_guard.is_held(path)
    rewind_guard.hold(host, path)
    assert Path(rewind_guard.path(path, "postgresql.auto.conf")).read_text() == "ours"
    assert rewind_guard.is_held(path)
    rewind_guard.release(host, path)
    assert files(data) == {**OWN, **SERVERS, "standby.signal": ""}


def test_the_history_is_that_before_the_rewind(host: Host, data: Path) -> None:
    path = str(data)
    assert rewind_guard.history(path, 1) == ""
    fill(data, {"pg_wal/00000002.history": "own"})
    rewind_guard.keep_wal(host, path, ["00000002.history"])
    fill(data, {"pg_wal/00000002.history": "", "pg_wal/00000003.history": "the source's"})
    assert (rewind_guard.history(path, 2), rewind_guard.history(path, 3)) == ("own", "the source's")


#: What the guard does to the file system, each of which may be the last thing that a run does.
CALLS = ((os, "rename"), (os, "chmod"), (os, "unlink"), (shutil, "rmtree"), (shutil, "copyfileobj"))


@contextlib.contextmanager
def interrupted_after(count: int) -> Iterator[None]:
    """Let so many changes of the file system happen, and end whatever is under way instead of the next."""
    left = [count]

    def counted(real: Callable[..., None]) -> Callable[..., None]:
        def call(*args: object, **keywords: object) -> None:
            if left[0] == 0:
                raise Interrupted
            left[0] -= 1
            real(*args, **keywords)
        return call

    with contextlib.ExitStack() as stack, contextlib.suppress(Interrupted):
        for module, name in CALLS:
            stack.enter_context(patch.object(module, name, counted(getattr(module, name))))
        yield


@pytest.mark.parametrize("count", range(25))
def test_interrupted_anywhere_it_starts_nothing_but_a_standby_and_ends_the_same(host: Host, data: Path, count: int) -> None:
    with interrupted_after(count):
        run(host, data, rewind)
    is_rewound = (data / "base/1/2").read_text() == "its pages"
    if can_start(data) and is_rewound:
        assert (data / "standby.signal").exists()
        assert {name: text for name, text in files(data).items() if name in OWN or name == "stranger"} == OWN
    # As the module sees it by the control file: what is rewound needs no rewind.
    if not is_rewound:
        run(host, data, rewind)
    elif rewind_guard.is_held(str(data)):
        rewind_guard.hold(host, str(data))
        rewind_guard.release(host, str(data))
    assert files(data) == AFTER
    assert can_start(data)
    assert os.listdir(data.parent) == ["data"]


def test_so_many_interruptions_are_enough(host: Host, data: Path) -> None:
    with interrupted_after(24):
        run(host, data, rewind)
    assert not rewind_guard.is_held(str(data))
