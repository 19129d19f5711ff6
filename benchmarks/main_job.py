# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the main job takes: ours beside plain shell commands and a playbook with community.postgresql.

Every round runs each contender once, so that a machine that is busy for a while is so for all of them. What a run
made is checked outside the time that is measured. The results are printed and kept in benchmarks/results.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

# The checkout is not installed anywhere, so Python is told where it is.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import contenders
from benchmarks.scene import ROOT, ContenderError, Job, Scene, scene, timed
from tests.support.postgres import bindir

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
RESULTS = ROOT / "benchmarks" / "results"

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
    """Keep a figure and tell it, since the whole takes minutes."""
    samples.setdefault(what, []).append(round(seconds, 3))
    label = f"{what} standbys" if what in STANDBYS else what
    print(f"{seconds:8.2f} s  {label}", file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """The date, the machine's size, and the versions."""
    programs = bindir(18)
    assert programs is not None
    told = subprocess.run([programs / "postgres", "--version"], text=True, capture_output=True, check=True).stdout
    return {"date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(), "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "postgresql": told.split()[-1], "ansible_core": importlib.metadata.version("ansible-core")}


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


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in markdown, its columns aligned; all but the first are figures."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        figures = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:])]
        return "| " + " | ".join([cells[0].ljust(widths[0]), *figures]) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(map(line, [head, rule, *rows]))


def spread(samples: Sequence[float]) -> list[str]:
    """Median, least and most."""
    return [f"{value:.2f} s" for value in (statistics.median(samples), min(samples), max(samples))]


def report(size: dict[str, Any], samples: Samples, growth: Samples) -> str:
    """The results in markdown."""
    runs = len(samples[BARE])
    return "\n\n".join([
        "One primary, two standbys (one cascading) and one logical subscriber on one machine, with a database, roles, slots"
        f" and a publication. Measured on {size['date']}: {size['cores']} cores, {size['memory_gib']} GiB of memory,"
        f" PostgreSQL {size['postgresql']}, ansible-core {size['ansible_core']}; runs of each: {runs}, taken in turn.",
        table(["what", "median", "min", "max"], [[what, *spread(figures)] for what, figures in samples.items()]),
        table(["ratio of the medians", "measured", "aim", ""],
              [[f"{row['what']} / {row['to']}", f"{row['ratio']:.2f}", f"at most {row['aim']}",
                "met" if row["met"] else "missed"] for row in ratios(samples)]),
        table(["direct standbys of one primary, fresh", "median", "min", "max", "each further one"],
              [[str(count), *spread(figures), further(growth, count)] for count, figures in growth.items()]),
    ]) + "\n"


def keep(size: dict[str, Any], samples: Samples, growth: Samples) -> str:
    """Write the results for programs and for people, and return the latter."""
    text = report(size, samples, growth)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "main_job.md").write_text(text)
    (RESULTS / "main_job.json").write_text(json.dumps(
        {**size, "seconds": samples, "ratios": ratios(samples), "seconds_by_standbys": growth}, indent=2) + "\n")
    return text


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="how often each contender runs (default: 5)")
    runs = parser.parse_args().runs
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    samples: Samples = {}
    growth: Samples = {}
    try:
        contenders.install_peer()
        for number in range(1, runs + 1):
            print(f"round {number} of {runs}", file=sys.stderr)
            measure_main_job(samples)
            measure_growth(growth)
    except ContenderError as failure:
        sys.exit(str(failure))
    print(keep(machine(), samples, growth))


if __name__ == "__main__":
    main()
