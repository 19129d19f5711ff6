# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every benchmark has: its command line, the machine that it ran on, and a report for people and for programs."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import signal
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.scene import ROOT, ContenderError

RESULTS = ROOT / "benchmarks" / "results"


def command(page: str | None, runs: int, what: str, measure: Callable[[int], str]) -> None:
    """Run a benchmark as its command line asks, and print its report.

    Args:
        page: what the benchmark says about itself.
        runs: how often it measures unless it is told otherwise.
        what: what that is the number of runs of.
        measure: measures that often, keeps the report and returns it.
    """
    parser = argparse.ArgumentParser(description=page, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=runs, metavar="N", help=f"how often {what} (default: {runs})")
    asked = parser.parse_args().runs
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        print(measure(asked))
    except ContenderError as failure:
        sys.exit(str(failure))


def tell(seconds: float, what: str) -> None:
    """Tell a figure at once, since the whole takes minutes."""
    print(f"{seconds:8.2f} s  {what}", file=sys.stderr, flush=True)


def machine(postgresql: str) -> dict[str, Any]:
    """The date, the machine's size, and the versions."""
    return {"date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(), "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "postgresql": postgresql, "ansible_core": importlib.metadata.version("ansible-core")}


def measured_on(size: Mapping[str, Any]) -> str:
    """The machine and the versions as the beginning of a sentence."""
    return (f"Measured on {size['date']}: {size['cores']} cores, {size['memory_gib']} GiB of memory,"
            f" PostgreSQL {size['postgresql']}, ansible-core {size['ansible_core']}")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in markdown, its columns aligned; all but the first are figures."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        figures = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:])]
        return "| " + " | ".join([cells[0].ljust(widths[0]), *figures]) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(map(line, [head, rule, *rows]))


def spread(samples: Sequence[float], unit: str = "s") -> list[str]:
    """Median, least and most of a number of seconds, shown in seconds (s) or milliseconds (ms)."""
    shown = {"s": "{:.2f} s", "ms": "{:.0f} ms"}[unit]
    factor = {"s": 1, "ms": 1000}[unit]
    return [shown.format(value * factor) for value in (statistics.median(samples), min(samples), max(samples))]


def verdict(met: bool) -> str:
    """Whether an aim is reached."""
    return "met" if met else "missed"


def keep(name: str, paragraphs: Sequence[str], figures: Mapping[str, Any]) -> str:
    """Write a benchmark's results for people and for programs, and return the former."""
    text = "\n\n".join(paragraphs) + "\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)
    (RESULTS / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")
    return text
