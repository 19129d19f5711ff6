# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The place of a scratch instance: what is removed, and what never is."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import scratch
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.instance import Process
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.scratch import Current, Wanted

SERVER = Process(1, 0, 5432, "/drill/run", "ready")


def wanted(**changes: Any) -> Wanted:
    return Wanted("/drill", "fresh", False, 60)._replace(**changes)


def actions(current: Current, asked: Wanted) -> list[str]:
    return [step.action for step in scratch.plan(current, asked).steps]


@pytest.mark.parametrize(("current", "state", "expected"), [
    (Current("missing"), "fresh", ["make"]),
    (Current("empty"), "fresh", ["make"]),
    (Current("scratch"), "fresh", ["remove", "make"]),
    (Current("scratch", SERVER), "fresh", ["stop", "remove", "make"]),
    (Current("missing", removed=True), "fresh", ["remove", "make"]),
    (Current("missing"), "absent", []),
    (Current("empty"), "absent", []),
    (Current("scratch"), "absent", ["remove"]),
    (Current("scratch", SERVER), "absent", ["stop", "remove"]),
    (Current("missing", removed=True), "absent", ["remove"]),
])
def test_what_an_earlier_run_left_goes_first(current: Current, state: str, expected: list[str]) -> None:
    assert actions(current, wanted(state=state)) == expected


@pytest.mark.parametrize("state", ["fresh", "absent"])
def test_what_is_not_ours_is_refused(state: str) -> None:
    with pytest.raises(StateError, match="in /drill and that holds something else"):
        scratch.plan(Current("foreign"), wanted(state=state))


def test_what_an_earlier_task_would_make_would_be_removed() -> None:
    assert actions(Current("missing"), wanted(state="absent", planned=True)) == ["remove"]


@pytest.mark.parametrize("directory", ["relative", "/", "/a/.."])
def test_a_directory_that_cannot_be_for_it_alone_is_refused(directory: str) -> None:
    options = {"directory": directory, "state": "fresh", "planned": False, "check_mode": False, "timeout": 60}
    with pytest.raises(InputError, match="scratch instance alone"):
        scratch.desired(options)
