# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is shown of a task that takes long, and that nothing is of one that does not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.utils.display import Display

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import progress


@pytest.mark.parametrize(("count", "expected"), [
    (0, "0 kB"), (512, "1 kB"), (41000, "41 kB"), (999_499, "999 kB"), (999_500, "1.0 MB"), (9_940_000, "9.9 MB"),
    (9_960_000, "10 MB"), (412_000_000, "412 MB"), (2_100_000_000, "2.1 GB"), (7 * 10**12, "7.0 TB"), (7 * 10**15, "7000 TB"),
])
def test_sizes_have_the_unit_that_people_use(count: int, expected: str) -> None:
    assert progress.size(count) == expected


@pytest.mark.parametrize(("done", "total", "expected"), [
    (412_000_000, 2_100_000_000, "streaming database files, 412 MB of 2.1 GB (19 %)"),
    (0, 2_100_000_000, "streaming database files, 0 kB of 2.1 GB (0 %)"),
    (2_200_000_000, 2_100_000_000, "streaming database files, 2.2 GB of 2.2 GB (100 %)"),
    (412_000_000, None, "streaming database files, 412 MB"),
    (None, None, "streaming database files"),
])
def test_a_line_tells_how_far_it_is(done: int | None, total: int | None, expected: str) -> None:
    assert progress.sentence({"doing": "streaming database files", "done": done, "total": total}) == expected


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was displayed; looks are quick here."""
    shown: list[str] = []
    monkeypatch.setattr(Display, "display", lambda _self, text: shown.append(text))
    monkeypatch.setattr(progress, "FIRST_LOOK", 0.02)
    monkeypatch.setattr(progress, "NEXT_LOOK", 0.01)
    return shown


def told(done: int) -> str:
    return json.dumps({"doing": "copying", "done": done, "total": 4000})


def after(*texts: str | Exception) -> tuple[Callable[[], str], list[Any]]:
    """What reads one text after the other, and the list of those that are left."""
    left = list(texts)

    def read() -> str:
        first = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(first, Exception):
            raise first
        return first

    return read, left


def wait_for(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_each_news_is_one_line(lines: list[str]) -> None:
    read, left = after("", told(1000), told(1000), told(2000), "")
    with progress.shown(read, "[a] m"):
        wait_for(lambda: left == [""])
    assert lines == ["[a] m: copying, 1 kB of 4 kB (25 %)", "[a] m: copying, 2 kB of 4 kB (50 %)"]


def test_a_short_task_is_not_looked_at(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_LOOK", 60)
    read, left = after(told(1000), "")
    begin = time.monotonic()
    with progress.shown(read, "[a] m"):
        pass
    assert (len(left), lines) == (2, [])
    assert time.monotonic() - begin < 1


@pytest.mark.parametrize("failure", ["no json", ValueError("gone"), SystemError("connection lost")])
def test_a_look_that_fails_is_the_last_and_harms_nothing(lines: list[str], failure: str | Exception) -> None:
    read, left = after(failure, told(1000), "")
    with progress.shown(read, "[a] m"):
        wait_for(lambda: len(left) == 2)
        time.sleep(0.05)
    assert (len(left), lines) == (2, [])


def test_the_task_fails_with_its_own_error(lines: list[str]) -> None:
    with pytest.raises(KeyError), progress.shown(lambda: "", "[a] m"):
        raise KeyError("of the task")
    assert lines == []


def test_a_look_that_hangs_holds_the_task_up_for_a_moment_only(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LAST_LOOK", 0.05)
    begin, looked = time.monotonic(), []

    def hang() -> str:
        looked.append(True)
        time.sleep(3)
        return told(1000)

    with progress.shown(hang, "[a] m"):
        wait_for(lambda: looked == [True])
    assert time.monotonic() - begin < 2
    assert lines == []


def test_a_file_of_this_host_is_read_as_it_is(tmp_path: Path) -> None:
    read = progress.here(str(tmp_path / "p"))
    assert read() == ""
    (tmp_path / "p").write_text("{}")
    assert read() == "{}"


def test_no_two_tasks_share_a_file() -> None:
    assert len({progress.new_file() for _ in range(100)}) == 100


class Connection:
    become: Any = None


class Action:
    """As much of an action plugin as is copied."""

    def __init__(self) -> None:
        self._connection = Connection()
        self._connection.become = Connection()
        self.commands: list[tuple[str, Any]] = []

    def _low_level_execute_command(self, command: str) -> dict[str, str]:
        self.commands.append((command, self._connection))
        return {"stdout": "{}"}


def test_a_file_of_another_host_is_read_over_a_connection_of_its_own() -> None:
    action = Action()
    assert progress.there(action, "/tmp/a b")() == "{}"
    ((command, connection),) = action.commands
    assert command == "cat '/tmp/a b' 2> /dev/null || true"
    assert connection is not action._connection
    assert connection.become is not action._connection.become
