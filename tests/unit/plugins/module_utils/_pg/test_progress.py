# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module's progress: written down for who watches, and never in the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import progress
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import Unreachable
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.progress import Progress


class Gauge:
    """Says what a test gave it, one after the other."""

    def __init__(self, *found: Progress | Exception | None) -> None:
        self.found = list(found)
        self.is_closed = False

    def __call__(self) -> Progress | None:
        first = self.found.pop(0)
        if isinstance(first, Exception):
            raise first
        return first

    def close(self) -> None:
        self.is_closed = True


def test_what_the_gauge_says_is_in_the_file_until_the_end(tmp_path: Path) -> None:
    file, gauge = tmp_path / "p", Gauge(None, Progress("a", 1, 2), Progress("b", 2, None))
    with progress.watch(gauge, str(file)) as look:
        assert look is not None
        look()
        assert list(tmp_path.iterdir()) == []
        look()
        assert json.loads(file.read_text()) == {"doing": "a", "done": 1, "total": 2}
        look()
        assert json.loads(file.read_text()) == {"doing": "b", "done": 2, "total": None}
        assert (file.stat().st_mode & 0o777, gauge.is_closed) == (0o600, False)
    assert list(tmp_path.iterdir()) == []
    assert gauge.is_closed


def test_nobody_watches_nothing() -> None:
    with progress.watch(Gauge(), "") as look:
        assert look is None
    with progress.during("", "verifying"):
        pass


@pytest.mark.parametrize("error", [Unreachable("no"), OSError("full")])
def test_a_gauge_that_fails_is_not_asked_again(tmp_path: Path, error: Exception) -> None:
    gauge = Gauge(error, Progress("a", 1, 2))
    with progress.watch(gauge, str(tmp_path / "p")) as look:
        assert look is not None
        look()
        look()
    assert len(gauge.found) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_harms_nothing(tmp_path: Path) -> None:
    lost = str(tmp_path / "nowhere" / "p")
    with progress.watch(Gauge(Progress("a", 1, 2)), lost) as look:
        assert look is not None
        look()
    with progress.during(lost, "verifying"):
        pass


def test_no_link_is_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("x")
    (tmp_path / "p.new").symlink_to(precious)
    with progress.during(str(tmp_path / "p"), "verifying"):
        assert not (tmp_path / "p").exists()
    assert precious.read_text() == "x"


def test_what_takes_a_while_is_told_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "p"
    with progress.during(str(file), "verifying"):
        assert json.loads(file.read_text()) == {"doing": "verifying", "done": None, "total": None}
    assert list(tmp_path.iterdir()) == []
