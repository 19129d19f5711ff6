# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long deploy takes on three bare Debian 13 hosts, and how long a new minor version keeps a client from writing.

The hosts are containers with systemd, made with the playbooks of molecule/default under names of their own, so a lab that runs is
left alone. Every round makes them twice: for what apt-get alone takes to install the same packages on all three at once, and for
deploy. Packages that were fetched before are in the hosts' caches; the lists of packages are fetched within the time that is
measured. The results are printed and kept in benchmarks/results.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

# The checkout is not installed anywhere, so Python is told where it is.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import hosts, report
from benchmarks.contenders import check_unchanged
from benchmarks.scene import ContenderError, followed
from tests.support.playbooks import TASK

DEPLOY = "pgmahout.cluster.deploy"
LATEST = ("-e", "pg_server_packages_state=latest")
INSTALL = ("install", "-y", "--no-install-recommends")
PACKAGES = (hosts.SERVER, "python3-psycopg2")

APT, FRESH, AGAIN, UPGRADE = "apt-get alone", "deploy, fresh", "deploy, again", "deploy, new minor version"
ROLLING, BY_HAND = f"deploy {' '.join(LATEST)}", f"apt-get install {hosts.SERVER}, by hand"
AIMS = {FRESH: 60, AGAIN: 15}  # seconds
BEFORE = "(Ansible begins)"
SHOWN = 0.5  # seconds: tasks that take less are shown together

Samples = dict[str, list[float]]


class Findings(NamedTuple):
    """What was measured, in seconds.

    Attributes:
        seconds: how long each thing took.
        outages: the longest time between two commits while the server was upgraded in each way.
        tasks: by what was deployed, for each run, how long each task took.
        versions: of PostgreSQL, as it was installed in each round.
    """

    seconds: Samples
    outages: Samples
    tasks: dict[str, list[dict[str, float]]]
    versions: list[str]


def fill_caches() -> None:
    """Fetch the packages once, so that no figure has their way over the network in it."""
    with hosts.bare_hosts():
        hosts.run_everywhere(*hosts.apt_get(*INSTALL, "--download-only", *PACKAGES))


def measure(found: Findings) -> None:
    """Measure everything once."""
    with hosts.bare_hosts():
        start = time.perf_counter()
        hosts.run_everywhere(*hosts.apt_get(*INSTALL, *PACKAGES))
        note(found.seconds, APT, time.perf_counter() - start)
    with hosts.bare_hosts():
        deploy(found, FRESH)
        check_streaming()
        found.versions.append(hosts.ask(hosts.PRIMARY, "SHOW server_version").split()[0])
        check_unchanged(deploy(found, AGAIN))
        note(found.outages, ROLLING, outage(1, lambda: deploy(found, UPGRADE, *LATEST), hosts.HOSTS))
        note(found.outages, BY_HAND, outage(2, upgrade_by_hand, [hosts.PRIMARY]))


def deploy(found: Findings, what: str, *arguments: str) -> str:
    """Run deploy, keep how long it and each of its tasks took, and return what it printed."""
    seconds, lines = followed(hosts.play(DEPLOY, *arguments))
    note(found.seconds, what, seconds)
    found.tasks.setdefault(what, []).append(by_task(seconds, lines))
    return "".join(text for _at, text in lines)


def by_task(seconds: float, lines: Sequence[tuple[float, str]]) -> dict[str, float]:
    """How long each task took, those of one name together.

    Args:
        seconds: how long all of them took.
        lines: what Ansible printed, with the second at which it did.
    """
    begun = [(0.0, BEFORE), *((at, match[1]) for at, text in lines if (match := TASK.match(text)))]
    taken: dict[str, float] = {}
    for (at, name), (until, _next) in zip(begun, [*begun[1:], (seconds, "")]):
        taken[name] = round(taken.get(name, 0) + until - at, 3)
    return taken


def upgrade_by_hand() -> None:
    """Upgrade the primary as the distribution does: the package stops the server, is unpacked, and starts it."""
    hosts.run(hosts.PRIMARY, *hosts.apt_get(*INSTALL, "--allow-change-held-packages", hosts.SERVER))


def outage(number: int, upgrade: Callable[[], object], upgraded: Sequence[str]) -> float:
    """The longest time between two commits on the primary during an upgrade to a version with this number.

    Raises:
        ContenderError: a host that was to be upgraded has another version or was not restarted, or a commit was lost.
    """
    hosts.offer_newer_server(number)
    rows = int(hosts.ask(hosts.PRIMARY, "SELECT count(*) FROM commits"))
    started = {host: hosts.ask(host, "SELECT pg_postmaster_start_time()") for host in upgraded}
    writing = hosts.written_during(upgrade)
    for host in upgraded:
        version = hosts.version(host)
        if not version.endswith(f"+newer{number}") or hosts.ask(host, "SELECT pg_postmaster_start_time()") == started[host]:
            raise ContenderError(f"{host} was to run version newer{number}; it has {version}, and started at {started[host]}.")
    check_streaming()
    hosts.expect("t", hosts.CASCADING, f"SELECT count(*) >= {rows + writing.commits} FROM commits")
    return writing.longest


def check_streaming() -> None:
    """Check that each standby streams from its upstream.

    Raises:
        ContenderError: one does not.
    """
    for upstream, standby in zip(hosts.HOSTS, hosts.HOSTS[1:]):
        hosts.expect(f"{standby}|streaming", upstream, "SELECT application_name, state FROM pg_stat_replication")


def note(samples: Samples, what: str, seconds: float) -> None:
    """Keep a figure and tell it."""
    samples.setdefault(what, []).append(round(seconds, 3))
    report.tell(seconds, what)


def aim(what: str, samples: Sequence[float]) -> list[str]:
    """The aim that there is for something, and whether it is met."""
    if what not in AIMS:
        return ["-", ""]
    return [f"at most {AIMS[what]} s", report.verdict(statistics.median(samples) <= AIMS[what])]


def task_rows(tasks: dict[str, list[dict[str, float]]]) -> list[list[str]]:
    """The medians of the tasks in the order in which they run, with a column for each deploy; short ones are one row."""
    medians = {what: {name: statistics.median(run.get(name, 0) for run in runs) for name in runs[0]}
               for what, runs in tasks.items()}
    names = list(dict.fromkeys(name for taken in medians.values() for name in taken))
    long = [name for name in names if any(taken.get(name, 0) >= SHOWN for taken in medians.values())]
    rest = {what: sum(taken[name] for name in taken if name not in long) for what, taken in medians.items()}
    return [*([name, *(f"{taken.get(name, 0):.2f} s" for taken in medians.values())] for name in long),
            [f"{len(names) - len(long)} others", *(f"{seconds:.2f} s" for seconds in rest.values())]]


def keep(found: Findings) -> str:
    """Keep the results, and return them as they are for people."""
    size = report.machine(found.versions[-1])
    return report.keep("lab", [
        "A primary, a standby and a cascading standby with TLS and a database, on three bare Debian 13 hosts (containers with"
        " systemd, reached by SSH) whose caches have the packages; beside what `apt-get update` and `apt-get install` of the same"
        f" packages take alone, on all three at once. {report.measured_on(size)}; runs of each: {len(found.versions)}. Measured"
        " on such hosts, the strongest other collection, vitabaks.autobase 2.6, took 406 s to deploy its kind of cluster, with"
        " Patroni and etcd, and 158 s when there was nothing to do.",
        report.table(["what", "median", "min", "max", "aim", ""],
                     [[what, *report.spread(samples), *aim(what, samples)] for what, samples in found.seconds.items()]),
        "How long writing stops when the server gets a new minor version: the longest time between two commits of a client"
        " that commits every 5 ms on the primary. `deploy` exchanges the packages while the servers run and then restarts them,"
        " the primary last; by hand, the package stops the server before it is unpacked and starts it afterwards.",
        report.table(["write outage", "median", "min", "max"],
                     [[what, *report.spread(samples, "ms")] for what, samples in found.outages.items()]),
        "Where the time goes, by task, on all hosts together; tasks of one name are added up. Shown are those that take"
        f" {SHOWN} s or more in one of the columns, medians of all runs.",
        report.table(["task", *found.tasks], task_rows(found.tasks)),
    ], {**size, **found._asdict()})


def benchmark(runs: int) -> str:
    """Measure and keep the results."""
    found = Findings({}, {}, {}, [])
    fill_caches()
    for number in range(1, runs + 1):
        print(f"round {number} of {runs}", file=sys.stderr)
        measure(found)
    return keep(found)


if __name__ == "__main__":
    report.command(__doc__, 3, "everything is measured", benchmark)
