# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the histories of two servers of one system part, and what that means for one of them that is to follow the other. Pure.

The sources are PostgreSQL's documentation, chapter 25.3.6 (timelines), and the page of ``pg_rewind``.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

from . import lsn
from .catalog import Switch

#: What the control file says of an instance that was a primary when its server ended: all of its WAL may be in its pages.
PRIMARY_STATES = ("shut down", "shutting down", "in production", "in crash recovery")

#: What it says when the server ended in order.
CLEAN_STATES = ("shut down", "shut down in recovery")


class Line(NamedTuple):
    """The timelines of a server.

    Attributes:
        timeline: the one it is on.
        switches: the ones before, oldest first, with where each was left.
    """

    timeline: int
    switches: Sequence[Switch] = ()

    @property
    def parts(self) -> List[Tuple[int, Optional[int]]]:
        """The timelines, oldest first, each with where it ends; None for the last, which goes on."""
        ended: List[Tuple[int, Optional[int]]] = [(switch.timeline, lsn.parse(switch.lsn)) for switch in self.switches]
        return ended + [(self.timeline, None)]

    def of_segment(self, begin: int, size: int) -> int:
        """Return the timeline that the file of a segment is named after, as the server wrote it: the newest in it.

        Args:
            begin: the LSN at which the segment begins.
            size: of a segment in bytes.
        """
        return next((timeline for timeline, end in self.parts if end is None or end >= begin + size), self.timeline)


class Fork(NamedTuple):
    """The end of what two servers have in common.

    Attributes:
        timeline: the last one that is part of both.
        position: the LSN at which they part; None where both are still on that timeline.
    """

    timeline: int
    position: Optional[int]

    @property
    def shown(self) -> Optional[str]:
        """The LSN as PostgreSQL writes it."""
        return None if self.position is None else lsn.show(self.position)


class End(NamedTuple):
    """How far a stopped instance has got.

    Attributes:
        timeline: the one it is on.
        state: as the control file has it.
        checkpoint: the LSN at which the record of its latest checkpoint begins.
        replayed: that of the last record that may be in its pages, of a standby; 0 of a primary.
        goes_on: whether there is WAL on its disk behind the point at which it parts from the other.
        has_more: whether there is WAL on its disk behind what it has replayed.
    """

    timeline: int
    state: str
    checkpoint: int
    replayed: int
    goes_on: bool = False
    has_more: bool = False

    @property
    def was_primary(self) -> bool:
        """Whether it was a primary when it ended."""
        return self.state in PRIMARY_STATES


def fork(one: Line, other: Line) -> Optional[Fork]:
    """Return where two servers part; None where they have nothing in common."""
    found = None
    for (timeline, end), (same, other_end) in zip(one.parts, other.parts):
        if timeline != same:
            break
        ends = [position for position in (end, other_end) if position is not None]
        found = Fork(timeline, min(ends) if ends else None)
        if end != other_end:
            break
    return found


def has_left(end: End, parting: Fork) -> bool:
    """Return whether pages of an instance may hold what the other server never had, so that it needs a rewind."""
    if parting.position is None:
        return False
    if end.timeline != parting.timeline or end.checkpoint >= parting.position or end.replayed > parting.position:
        return True
    return end.was_primary and end.goes_on


def must_be_recovered(end: End, is_rewound: bool) -> bool:
    """Return whether all the WAL on the disk of an instance has to be replayed before anything else.

    ``pg_rewind`` learns from the control file up to where it has to look, and what was a primary may have pages of later on. One
    that crashed before its first checkpoint after a promotion still has in there how far it had come as a standby, which is not
    0: started as a standby again, it would let clients in from there on, to read pages that are newer than what was replayed.
    """
    if end.state in CLEAN_STATES:
        return is_rewound and end.has_more
    return is_rewound or (end.was_primary and end.replayed > 0)


def must_be_cut(end: End, parting: Fork) -> bool:
    """Return whether WAL on its disk alone goes on where the other's does not.

    A standby that has received it and not replayed it would replay it when it starts, since it reads its disk first.
    """
    return end.goes_on and not has_left(end, parting)
