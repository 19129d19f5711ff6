# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The accident of docs/point-in-time.md, as ``make demo-pitr`` shows it: the right rows, nothing left, or no success."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from demo import point_in_time
from demo.point_in_time import Demo


def leftovers() -> set[Path]:
    """The directories of demos, and those of the servers that run in one."""
    return set(Path(tempfile.gettempdir()).glob("pgmahout-demo-*"))


def test_the_rows_from_before_the_accident_come_back_and_nothing_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    before = leftovers()
    assert point_in_time.main() == 0, capsys.readouterr().err
    assert "Exactly the 5 rows from before the accident are there again" in capsys.readouterr().out
    assert leftovers() == before


def test_rows_that_are_not_exactly_the_right_ones_are_a_failure(monkeypatch: pytest.MonkeyPatch,
                                                               capsys: pytest.CaptureFixture[str]) -> None:
    def note_too_late(demo: Demo) -> str:
        demo.sql("primary", "DELETE FROM orders WHERE customer = 'Emmy'")
        return demo.sql("primary", "SELECT clock_timestamp()")

    before = leftovers()
    monkeypatch.setattr(point_in_time, "note_the_time", note_too_late)
    assert point_in_time.main() == 1
    assert "The restored rows are ['Ada', 'Blaise', 'Carl', 'Dorothy'] and should be" in capsys.readouterr().err
    assert leftovers() == before
