# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the main job takes: ours beside plain shell commands and a playbook with community.postgresql.

Every round runs each contender once, so that a machine that is busy for a while is so for all of them. What a run
made is checked outside the time that is measured. The results are printed and kept in benchmarks/results.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# The checkout is not installed anywhere, so Python is told where it is.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import contenders, report
from benchmarks.scene import Job, Scene, scene, server_version, timed

BARE, PEER, PEER_AGAIN, OURS, OURS_AGAIN = (
    "bare shell commands", "community.postgresql, fresh", "community.postgresql, again", "pgmahout.cluster, fresh",
    "pgmahout.cluster, again")
APART, APART_AGAIN = (f"{name}, every module a process" for name in (OURS, OURS_AGAIN))
CONTENDERS: list[tuple[Callable[[Scene], Job], str, str | None]] = [
    (contenders.bare, BARE, None),
    (contenders.peer, PEER, PEER_AGAIN),
    (contenders.ours, OURS, OURS_AGAIN),
    (partial(contenders.ours, in_process=False), APART, APART_AGAIN),
]
AIMS = [(OURS, BARE, 2.5), (OURS, PEER, 0.75), (OURS_AGAIN, BARE, 1.2), (OURS_AGAIN, PEER_AGAIN, 0.5)]
STANDBYS = (2, 4, 8)

Samples = dict[Any, list[float]]


def measure_main_job(samples: Samples) -> None:
    """Run every contender once, and where it can be run again, once more."""
    for make, fresh, again in CONTENDERS:
        with scene(contenders.MAIN_JOB) as here:
            job = make(here)
            note(samples, fresh, timed(job)[0])
            contenders.check_main_job(here, job)
            if again:
                seconds, printed = timed(job)
                contenders.check_unchanged(printed)
                note(samples, again, seconds)


def measure_growth(samples: Samples) -> None:
    """Make a primary with each number of direct standbys once."""
    for count in STANDBYS:
        with scene([f"node{number}" for number in range(1, count + 2)]) as here:
            job = contenders.ours(here)
            note(samples, count, timed(job)[0])
            contenders.check_standbys(here, job)


def note(samples: Samples, what: Any, seconds: float) -> None:
    """Keep a figure and tell it."""
    samples.setdefault(what, []).append(round(seconds, 3))
    report.tell(seconds, f"{what} standbys" if what in STANDBYS else what)


def ratios(samples: Samples) -> list[dict[str, Any]]:
    """The medians' ratios that have an aim."""
    found = []
    for what, to, aim in AIMS:
        ratio = statistics.median(samples[what]) / statistics.median(samples[to])
        found.append({"what": what, "to": to, "ratio": round(ratio, 2), "aim": aim, "met": ratio <= aim})
    return found


def further(growth: Samples, count: int) -> str:
    """The seconds that each standby costs beyond the next smaller number of them."""
    index = STANDBYS.index(count)
    if index == 0:
        return "-"
    fewer = STANDBYS[index - 1]
    return f"{(statistics.median(growth[count]) - statistics.median(growth[fewer])) / (count - fewer):.2f} s"


def keep(size: dict[str, Any], samples: Samples, growth: Samples) -> str:
    """Keep the results, and return them as they are for people."""
    return report.keep("main_job", [
        "One primary, two standbys (one cascading) and one logical subscriber on one machine, with a database, roles, slots"
        f" and a publication. {report.measured_on(size)}; runs of each: {len(samples[BARE])}, taken in turn.",
        report.table(["what", "median", "min", "max"], [[what, *report.spread(figures)] for what, figures in samples.items()]),
        report.table(["ratio of the medians", "measured", "aim", ""],
                     [[f"{row['what']} / {row['to']}", f"{row['ratio']:.2f}", f"at most {row['aim']}",
                       report.verdict(row["met"])] for row in ratios(samples)]),
        report.table(["direct standbys of one primary, fresh", "median", "min", "max", "each further one"],
                     [[str(count), *report.spread(figures), further(growth, count)] for count, figures in growth.items()]),
    ], {**size, "seconds": samples, "ratios": ratios(samples), "seconds_by_standbys": growth})


def benchmark(runs: int) -> str:
    """Measure and keep the results."""
    samples: Samples = {}
    growth: Samples = {}
    contenders.install_peer()
    for number in range(1, runs + 1):
        print(f"round {number} of {runs}", file=sys.stderr)
        measure_main_job(samples)
        measure_growth(growth)
    return keep(report.machine(server_version()), samples, growth)


if __name__ == "__main__":
    report.command(__doc__, 5, "each contender runs", benchmark)
