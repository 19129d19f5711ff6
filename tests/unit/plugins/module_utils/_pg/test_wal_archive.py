# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository's directory: which steps follow from what is there."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import wal_archive
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import StateError

TEXTS = {"/r/bin/archive-wal": "a\n", "/r/bin/restore-wal": "b\n"}
ALL = {"/r": ["bin", "wal-7001"], "/r/bin": ["archive-wal", "restore-wal"]}


def wanted(**options: Any) -> wal_archive.Wanted:
    return wal_archive.desired({"directory": "/r/", "programs": {"archive-wal": "a\n", "restore-wal": "b\n"}, "user": "",
                                "state": "present", **options})


def steps(current: wal_archive.Current, **options: Any) -> list[str]:
    return [step.shown for step in wal_archive.plan(current, wanted(**options)).steps]


def test_everything_is_made_where_nothing_is() -> None:
    assert steps(wal_archive.Current({}, [], {})) == [
        "mkdir -m 0700 /r", "mkdir -m 0700 /r/bin", "write /r/bin/archive-wal", "write /r/bin/restore-wal"]


def test_nothing_is_done_where_all_is_right() -> None:
    assert steps(wal_archive.Current(ALL, [], TEXTS)) == []


def test_only_what_differs_is_done() -> None:
    current = wal_archive.Current(ALL, ["/r"], {**TEXTS, "/r/bin/restore-wal": "old\n"})
    assert steps(current) == ["chmod 0700 /r", "write /r/bin/restore-wal"]
    plan = wal_archive.plan(current, wanted())
    assert (plan.before["/r/bin/restore-wal"], plan.after["/r/bin/restore-wal"]) == (["old"], ["b"])


@pytest.mark.parametrize("names", [["base"], ["wal-20261122T190102Z"], ["catalog.json", "notes"], []])
def test_a_directory_with_something_of_a_repository_is_one(names: list[str]) -> None:
    assert steps(wal_archive.Current({"/r": names}, [], {}))[0] == "mkdir -m 0700 /r/bin"


def test_a_directory_with_other_things_alone_is_refused() -> None:
    with pytest.raises(StateError, match="which holds a, b, c and nothing of a repository"):
        steps(wal_archive.Current({"/r": ["a", "b", "c", "d"]}, [], {}))


@pytest.mark.parametrize(("directories", "gone"), [
    (ALL, ["/r/bin"]), ({**ALL, "/r": ["bin"]}, ["/r/bin", "/r"]), ({**ALL, "/r": ["base", "bin"]}, ["/r/bin"]),
    ({**ALL, "/r/bin": ["archive-wal", "mine", "restore-wal"]}, []), ({}, [])])
def test_what_holds_nothing_but_the_programs_goes_with_them(directories: dict[str, list[str]], gone: list[str]) -> None:
    programs = TEXTS if directories else {}
    found = steps(wal_archive.Current(directories, [], programs), state="absent")
    assert found == [f"rm {path}" for path in programs] + [f"rmdir {path}" for path in gone]
