# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where two histories part, and who has left the common one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import divergence
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.catalog import Switch
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.divergence import End, Fork, Line

#: The second timeline began at 0/3000, the third at 0/5000.
SECOND = Line(2, [Switch(1, "0/3000")])
THIRD = Line(3, [Switch(1, "0/3000"), Switch(2, "0/5000")])


@pytest.mark.parametrize(("one", "other", "parting"), [
    (Line(1), Line(1), Fork(1, None)),
    (Line(1), SECOND, Fork(1, 0x3000)),
    (SECOND, Line(1), Fork(1, 0x3000)),
    (SECOND, SECOND, Fork(2, None)),
    (SECOND, THIRD, Fork(2, 0x5000)),
    (Line(1), THIRD, Fork(1, 0x3000)),
    (Line(2, [Switch(1, "0/4000")]), Line(3, [Switch(1, "0/3000")]), Fork(1, 0x3000)),
    # Both promoted by themselves, and both took the next number.
    (Line(2, [Switch(1, "0/4000")]), SECOND, Fork(1, 0x3000)),
    (Line(7), SECOND, None),
])
def test_where_two_servers_part(one: Line, other: Line, parting: Fork | None) -> None:
    assert divergence.fork(one, other) == parting


def end(state: str, checkpoint: int, replayed: int = 0, goes_on: bool = False, timeline: int = 1) -> End:
    return End(timeline, state, checkpoint, replayed, goes_on)


@pytest.mark.parametrize(("one", "has_left", "is_cut"), [
    # The record of the shutdown checkpoint is the last that the other has.
    (end("shut down", 0x2F88), False, False),
    (end("shut down", 0x3000), True, False),
    (end("shut down", 0x9000, goes_on=True), True, False),
    (end("in production", 0x2000), False, False),
    (end("in production", 0x2000, goes_on=True), True, False),
    (end("in crash recovery", 0x2000, goes_on=True), True, False),
    # A standby's pages hold what it has replayed, whatever it has received.
    (end("shut down in recovery", 0x2000, 0x3000), False, False),
    (end("shut down in recovery", 0x2000, 0x3001), True, False),
    (end("shut down in recovery", 0x2000, 0x3000, goes_on=True), False, True),
    (end("in archive recovery", 0x2000, 0x2F00, goes_on=True), False, True),
    # It has begun a timeline of its own.
    (end("in archive recovery", 0x2000, 0x2F00, timeline=4), True, False),
])
def test_who_needs_a_rewind(one: End, has_left: bool, is_cut: bool) -> None:
    parting = Fork(1, 0x3000)
    assert (divergence.has_left(one, parting), divergence.must_be_cut(one, parting)) == (has_left, is_cut)
    assert not divergence.has_left(one, Fork(1, None))


def test_a_position_is_shown_as_postgresql_writes_it() -> None:
    assert (Fork(1, (2 << 32) + 0x3A).shown, Fork(1, None).shown) == ("2/3A", None)


def test_a_segment_is_named_after_the_newest_timeline_in_it() -> None:
    size = 0x1000
    assert [THIRD.of_segment(begin, size) for begin in (0x0, 0x2000, 0x3000, 0x4000, 0x5000)] == [1, 1, 2, 2, 3]
    assert Line(2, [Switch(1, "0/3800")]).of_segment(0x3000, size) == 2


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=5, unique=True), st.integers(1, 1000))
def test_a_line_and_its_own_past_part_where_it_left_that(positions: list[int], before: int) -> None:
    switches = [Switch(number + 1, f"0/{position:X}") for number, position in enumerate(sorted(positions))]
    line = Line(len(switches) + 1, switches)
    for number, switch in enumerate(switches):
        past = Line(switch.timeline, switches[:number])
        parting = divergence.fork(past, line)
        assert parting == divergence.fork(line, past) == Fork(switch.timeline, int(switch.lsn[2:], 16))
        assert parting is not None
        ended = end("shut down", int(switch.lsn[2:], 16) - before, timeline=switch.timeline)
        assert not divergence.has_left(ended, parting)


@pytest.mark.parametrize(("one", "is_rewound", "is_recovered"), [
    (end("shut down", 0x9000), True, False),
    (end("in production", 0x9000), True, True),
    (end("in production", 0x2000), False, False),
    # It was promoted, and crashed before its first checkpoint.
    (end("in production", 0x2000, 0x2F00), False, True),
    (end("in archive recovery", 0x2000, 0x4000), True, True),
    # A standby that crashed recovers by itself, and WAL that it has only received may have to be cut.
    (end("in archive recovery", 0x2000, 0x2F00), False, False),
    (end("shut down in recovery", 0x2000, 0x4000), True, False),
    (end("shut down in recovery", 0x2000, 0x4000)._replace(has_more=True), True, True),
    (end("shut down in recovery", 0x2000, 0x2F00)._replace(has_more=True), False, False),
])
def test_who_is_recovered_first(one: End, is_rewound: bool, is_recovered: bool) -> None:
    assert divergence.must_be_recovered(one, is_rewound) is is_recovered
