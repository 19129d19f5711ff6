# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For how long nobody can write while a primary and a standby change places, as clients see it who write all the time.

The outage is the time between the last commit that is acknowledged on one timeline and the first on the next, to any client.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.scene import ContenderError
from tests.support.load import Load

CLIENTS = 8
PAUSE = 0.002  # seconds between two transactions of a client
#: What the clients do, as the rest of a sentence in a report.
LOAD = (f"{CLIENTS} clients insert one row per transaction and pause {PAUSE * 1000:.0f} ms; one that is refused tries the members"
        " one after the other until one takes writes")


class Turn(NamedTuple):
    """A switchover.

    Attributes:
        outage: for how many seconds no commit was acknowledged.
        commits: how many were in all.
        lost: how many of them are not there afterwards.
    """

    outage: float
    commits: int
    lost: int


Turns = dict[str, list[Turn]]


def measured(members: Mapping[str, tuple[str, int]], login: Mapping[str, Any], what: str, switch: Callable[[], object]) -> Turn:
    """Let clients write while a primary and a standby change places, and tell for how long they could not.

    Args:
        members: as ``Load`` takes them.
        login: as ``Load`` takes it.
        what: what is told beside the figure.
        switch: returns when the new primary takes writes.

    Raises:
        ContenderError: another number of timelines than one was begun meanwhile.
    """
    with Load(members, login, CLIENTS, PAUSE) as load:
        switch()
        load.go_on()
    gaps = list(load.gaps().values())
    if len(gaps) != 1:
        raise ContenderError(f"{what} was to begin one timeline and began {len(gaps)}.")
    turn = Turn(round(gaps[0], 4), len(load.commits), len(load.lost()))
    print(f"{turn.outage * 1000:8.0f} ms  {what}, {turn.lost} of {turn.commits} commits lost", file=sys.stderr, flush=True)
    return turn


def outages(turns: Sequence[Turn]) -> list[float]:
    """Return the outages in seconds."""
    return [turn.outage for turn in turns]


def median(turns: Sequence[Turn]) -> float:
    """Return the median of the outages in seconds."""
    return statistics.median(outages(turns))


def percentile(samples: Sequence[float], percent: int) -> float:
    """Return the least sample that so many percent of all do not exceed."""
    return sorted(samples)[math.ceil(len(samples) * percent / 100) - 1]


def row(what: str, turns: Sequence[Turn]) -> list[str]:
    """Return a row of a table with the columns of ``HEAD``."""
    seconds = outages(turns)
    figures = (min(seconds), median(turns), percentile(seconds, 95), max(seconds))
    return [what, str(len(turns)), *(f"{figure * 1000:.0f} ms" for figure in figures), lost(turns)]


HEAD = ["write outage", "turns", "min", "median", "p95", "max", "commits lost"]


def lost(turns: Sequence[Turn]) -> str:
    """Return how many commits were lost, and of how many."""
    return f"{sum(turn.lost for turn in turns)} of {sum(turn.commits for turn in turns)}"
