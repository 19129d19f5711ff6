# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is concluded from acknowledged commits."""

from __future__ import annotations

import pytest

from tests.support.load import Commit, gaps, lost, two_primaries


def commit(number: int, member: str, timeline: int, at: float, took: float = 0.1) -> Commit:
    return Commit("1", number, member, timeline, at - took, at)


#: A switchover between 2.0 and 2.5, and one back between 4.0 and 4.25.
THERE_AND_BACK = [commit(1, "node1", 1, 1.0), commit(2, "node1", 1, 2.0), commit(3, "node2", 2, 2.5), commit(4, "node2", 2, 4.0),
                  commit(5, "node1", 3, 4.25)]


def test_a_commit_without_its_row_is_lost() -> None:
    rows = [("1", 1), ("1", 2), ("1", 4), ("1", 5)]
    assert lost(THERE_AND_BACK, rows) == [THERE_AND_BACK[2]]


def test_a_row_that_nobody_acknowledged_is_no_loss() -> None:
    assert lost(THERE_AND_BACK, [*(commit.row for commit in THERE_AND_BACK), ("1", 6)]) == []


def test_another_writers_row_does_not_stand_for_it() -> None:
    assert lost(THERE_AND_BACK[:1], [("2", 1)]) == THERE_AND_BACK[:1]


@pytest.mark.parametrize("seen", [THERE_AND_BACK, THERE_AND_BACK[::-1]])
def test_a_gap_lies_in_front_of_each_new_timeline(seen: list[Commit]) -> None:
    assert gaps(seen) == {2: 0.5, 3: 0.25}


def test_a_timeline_without_a_commit_belongs_to_the_gap() -> None:
    assert gaps([commit for commit in THERE_AND_BACK if commit.timeline != 2]) == {3: 2.25}


def test_one_timeline_has_no_gap() -> None:
    assert gaps(THERE_AND_BACK[:2]) == {}


def test_one_primary_after_the_other_is_never_two() -> None:
    assert two_primaries(THERE_AND_BACK) == []


def test_a_commit_on_an_old_timeline_that_was_sent_after_one_on_a_newer_is_a_second_primary() -> None:
    late = commit(6, "node1", 1, 3.0)
    assert two_primaries([*THERE_AND_BACK, late]) == [late]


def test_an_acknowledgement_that_came_late_proves_nothing() -> None:
    assert two_primaries([*THERE_AND_BACK, commit(6, "node1", 1, 3.0, took=1.5)]) == []


def test_two_members_that_began_the_same_timeline_are_two_primaries() -> None:
    other = commit(6, "node3", 2, 2.7)
    assert two_primaries([*THERE_AND_BACK, other]) == [other]
