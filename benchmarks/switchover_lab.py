# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For how long a planned switchover keeps clients from writing, ours beside repmgr and Patroni, on three Debian 13 hosts.

The hosts are containers with systemd, made with the playbooks of molecule/default under names of their own, so a lab that runs is
left alone. Each tool keeps a cluster of its own there, a primary and two standbys with the same settings, from Debian's packages;
while one is measured the others are stopped. The clients write from outside the hosts, over TLS. Every round measures each tool
some times, back and forth. The results are printed and kept in benchmarks/results.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

# The checkout is not installed anywhere, so Python is told where it is.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import clusters, hosts, outage, report
from benchmarks.clusters import Cluster, Ours, Patroni, Repmgr

TURNS = 4  # of each tool in a round: twice there, twice back
SHOWN = (hosts.SERVER, "repmgr", "patroni", "etcd-server")
INSTALL = ("install", "-y", "--no-install-recommends")


def install() -> tuple[dict[str, str], list[Cluster]]:
    """Make all clusters, and return how clients log in and the clusters, which are stopped."""
    ours = Ours()
    ours.install()
    ours.await_whole()
    login = {"user": clusters.WRITER, "password": ours.password(), "dbname": clusters.DATABASE}
    verifier = ours.verifier()
    ours.stop()
    hosts.run_everywhere(*hosts.apt_get(*INSTALL, *clusters.PACKAGES))
    others: list[Cluster] = [Repmgr(), Patroni()]
    for cluster in others:
        cluster.install()
        cluster.await_whole()
        cluster.admit_writer(verifier)
        cluster.stop()
    return login, [ours, *others]


def measure_round(login: dict[str, str], cluster: Cluster) -> list[outage.Turn]:
    """Start a cluster, let its members change places some times, and stop it."""
    cluster.start()
    found = []
    for _turn in range(TURNS):
        cluster.await_whole()
        candidate = hosts.HOSTS[1] if cluster.primary() == hosts.HOSTS[0] else hosts.HOSTS[0]
        found.append(outage.measured(cluster.members, login, cluster.name, partial(cluster.switch, candidate)))
    cluster.await_whole()
    cluster.stop()
    return found


def measure(runs: int) -> str:
    """Measure so many rounds, and return the report."""
    with hosts.bare_hosts():
        login, measured = install()
        turns: outage.Turns = {cluster.name: [] for cluster in measured}
        for _round in range(runs):
            for cluster in measured:
                turns[cluster.name] += measure_round(login, cluster)
        versions = {package: hosts.version(hosts.PRIMARY, package) for package in SHOWN}
    return keep(versions, turns)


def keep(versions: dict[str, str], turns: outage.Turns) -> str:
    """Keep the results, and return them as they are for people."""
    size = report.machine(versions[hosts.SERVER].split("-")[0])
    tools = ", ".join(f"{package} {version}" for package, version in versions.items())
    medians = {name: outage.median(taken) for name, taken in turns.items()}
    shortest = min(medians, key=lambda name: medians[name])
    return report.keep("switchover_lab", [
        "# The write outage of a planned switchover, on three hosts",
        f"A primary and two standbys that follow it, on three Debian 13 hosts (containers with systemd); {tools}."
        f" {report.measured_on(size)}. {outage.LOAD}, from outside the hosts, over TLS. The outage is the time between the last"
        " commit acknowledged on one timeline and the first on the next. Each tool keeps a cluster of its own with the same"
        " settings, and the others are stopped while it is measured.",
        report.table(outage.HEAD, [outage.row(name, taken) for name, taken in turns.items()]),
        report.table(["aim", "measured", ""],
                     [["the shortest median is ours", shortest, report.verdict(shortest == Ours.name)]]),
    ], {**size, "versions": versions, "turns": {name: [turn._asdict() for turn in taken] for name, taken in turns.items()}})


if __name__ == "__main__":
    report.command(__doc__, 3, f"each tool is measured {TURNS} times", measure)
