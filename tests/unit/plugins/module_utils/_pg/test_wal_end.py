# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the WAL of a stopped primary ends: when it is read, and when it is better not to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import wal_end
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.instance import Control, Instance, Process
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.tools import Programs


class Told(Programs):
    """Programs that print what they are told to."""

    def __init__(self, printed: str) -> None:
        super().__init__("/bin")
        self.printed = printed
        self.arguments: list[str] = []

    def run(self, program: str, *args: str, **_keywords: Any) -> str:
        self.arguments = [program, *args]
        return self.printed


def stopped(state: str = "in production", timeline: int = 2, process: Process | None = None) -> Instance:
    control = Control("7001", state, timeline, "0/3000060", "0/0", {}, True)
    return Instance("/d", "instance", 18, control, process, False, False, 2)


@pytest.fixture
def on_disk(tmp_path: Path) -> Path:
    """A data directory with segments of two timelines, one of them made in advance."""
    wal = tmp_path / "pg_wal"
    wal.mkdir()
    for name in ("000000010000000000000003", "000000020000000000000003", "000000020000000000000004", "00000002.history"):
        with (wal / name).open("wb") as file:
            file.truncate(16 * 1024 ** 2 if len(name) == 24 else 10)
    return tmp_path


def test_it_is_read_from_the_checkpoint_on(on_disk: Path) -> None:
    programs = Told("WAL statistics between 0/3000060 and 1/AB00F8:\nType  N\n")
    assert wal_end.read(programs, stopped()._replace(data_directory=str(on_disk))) == "1/AB00F8"
    assert programs.arguments == ["pg_waldump", "--stats", f"--path={on_disk}/pg_wal", "--start=0/3000060",
                                  "000000020000000000000003", "000000020000000000000004"]


def test_without_the_segment_of_the_checkpoint_it_is_not_known(on_disk: Path) -> None:
    (on_disk / "pg_wal" / "000000020000000000000003").unlink()
    assert wal_end.read(Told("WAL statistics between 0/3000060 and 1/AB00F8:\n"),
                        stopped()._replace(data_directory=str(on_disk))) is None


@pytest.mark.parametrize("instance", [
    Instance("/d", "missing"), stopped("in archive recovery"), stopped("shut down in recovery"), stopped(timeline=1),
    stopped(process=Process(1, 0, 5432, "/run", "ready"))])
def test_nothing_is_read_where_it_would_say_nothing_of_a_primary(instance: Instance) -> None:
    programs = Told("WAL statistics between 0/3000060 and 1/AB00F8:\n")
    assert wal_end.read(programs, instance) is None
    assert programs.arguments == []


@pytest.mark.parametrize("printed", ["", "Type  N\n"])
def test_what_is_not_told_is_not_known(on_disk: Path, printed: str) -> None:
    assert wal_end.read(Told(printed), stopped("shut down")._replace(data_directory=str(on_disk))) is None
