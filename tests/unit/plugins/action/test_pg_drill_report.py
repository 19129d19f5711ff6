# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a drill as files, and what of the facts is one."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.pgmahout.cluster.plugins.action.pg_drill_report import collection_version, measured, write


def test_files_are_written_whole_and_over_older_ones(tmp_path: Path) -> None:
    for text in ("old", "new"):
        write(tmp_path / "a" / "b", {"x.json": text, "x.html": text})
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == ["x.html", "x.json"]
    assert (tmp_path / "a" / "b" / "x.json").read_text() == "new"


def test_a_directory_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AnsibleActionFail, match="set pg_drill_report_directory to a directory"):
        write(tmp_path / "file" / "b", {"x": ""})


def test_what_failed_or_was_skipped_is_no_measurement() -> None:
    found = measured({"before": {"failed": True, "msg": "x"}, "after": {"skipped": True}, "restored": {"server_version": "18.6"}})
    assert (found["before"], found["after"]) == ({}, {})
    assert found["versions"]["postgresql"] == "18.6"
    assert found["started"] == found["ended"]


def test_the_times_of_the_drill_win(tmp_path: Path) -> None:
    assert measured({"started": 1.0, "ended": 2.0})["ended"] == 2.0


def test_the_collection_knows_its_version() -> None:
    assert collection_version().count(".") == 2
