# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each SQL module costs beside its counterpart of community.postgresql, at one server, at 10 and 1,000 tables.

Measured is the module as a process on its host, from the start of the interpreter to the end: the very program that Ansible
sends (see payload.py), made once beforehand, so that the controller's part is in no figure. Both sides run with the same
Python, ansible-core and psycopg2. Each round takes every module of both sides once from one of two states to the other
("change") and then once more to the state that it is in ("no-op"). Statements and connections are those in the server's log.
The results are printed and kept in benchmarks/results.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

# The checkout is not installed anywhere, so Python is told where it is.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import report
from benchmarks.contenders import PEER_PACKAGE, PEER_VENV, install_peer
from benchmarks.scene import ROOT, ContenderError, Job, server_version, timed
from tests.support.postgres import Server, scratch_server

OURS, PEER = "pgmahout.cluster", "community.postgresql"
RUNS = ("no-op", "change")
SIZES = (10, 1000)
#: Workers of subscriptions log under the subscription's name, and are not what is counted.
SUBSCRIPTIONS = ("bench_pg_subscription", "bench_postgresql_subscription")
_STATEMENT = re.compile(r"^(?!bench_)[^|]*\|LOG:  statement: ", re.MULTILINE)
_CONNECTION = re.compile(r"LOG:  connection authorized: (?!.*application_name=bench_)")


class Side(NamedTuple):
    """A module of one collection with its arguments for the two states that a benchmark goes between."""

    collection: str
    module: str
    states: tuple[dict[str, Any], dict[str, Any]]


class Measurement(NamedTuple):
    """One run of a module."""

    seconds: float
    statements: int
    connections: int


Samples = dict[tuple[int, str, str, str], list[Measurement]]


def sides(server: Server, count: int, password: str) -> dict[str, tuple[Side, Side]]:
    """What is compared: by name, ours and its counterpart."""
    names = [f"public.t{number}" for number in range(1, count + 1)]
    conninfo = {"host": "127.0.0.1", "port": str(server.port), "dbname": "publisher", "user": "subscriber", "password": password}

    def side(collection: str, module: str, database: str, common: dict[str, Any], *states: dict[str, Any]) -> Side:
        login = {**server.login, "login_db": database, "name": f"bench_{module}"}
        return Side(collection, module, ({**login, **common, **states[0]}, {**login, **common, **states[1]}))

    role = {"password": password}
    return {
        "publication": (
            side(OURS, "pg_publication", "publisher", {}, *({"tables": [{"name": name} for name in some]}
                                                           for some in (names, names[:-1]))),
            side(PEER, "postgresql_publication", "publisher", {}, {"tables": names}, {"tables": names[:-1]})),
        "subscription": (
            side(OURS, "pg_subscription", "subscriber", {"conninfo": conninfo, "publications": ["everything"]},
                 {"enabled": True}, {"enabled": False}),
            side(PEER, "postgresql_subscription", "subscriber", {"connparams": conninfo, "publications": ["everything"]},
                 {"subsparams": {"enabled": True}}, {"subsparams": {"enabled": False}})),
        "slot": (
            side(OURS, "pg_replication_slot", "postgres", {}, {"state": "present"}, {"state": "absent"}),
            side(PEER, "postgresql_slot", "postgres", {"slot_type": "physical"}, {"state": "present"}, {"state": "absent"})),
        "role": (
            side(OURS, "pg_replication_role", "postgres", {**role, "login": True, "replication": True},
                 {"connection_limit": 10}, {"connection_limit": 20}),
            side(PEER, "postgresql_user", "postgres", {**role, "role_attr_flags": "LOGIN,REPLICATION"},
                 {"conn_limit": 10}, {"conn_limit": 20})),
    }


def prepare(server: Server, count: int, password: str) -> None:
    """Make the two databases with their tables, and the two subscriptions.

    A subscription to its own server needs its slot to exist before it.
    """
    server.sql(f"CREATE ROLE subscriber LOGIN REPLICATION PASSWORD '{password}'")
    for database in ("publisher", "subscriber"):
        server.sql(f"CREATE DATABASE {database}")
        server.sql(f"DO $$ BEGIN FOR i IN 1..{count} LOOP EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY)', i); END LOOP;"
                   " END $$", database)
    server.sql("CREATE PUBLICATION everything FOR ALL TABLES", "publisher")
    for name in SUBSCRIPTIONS:
        server.sql(f"SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')", "publisher")
        server.sql(f"CREATE SUBSCRIPTION {name} CONNECTION 'host=127.0.0.1 port={server.port} dbname=publisher user=subscriber"
                   f" password={password}' PUBLICATION everything WITH (create_slot = false, copy_data = false)", "subscriber")


def program(side: Side, state: int, folder: Path) -> Job:
    """The program that Ansible would send, as a job."""
    ours = side.collection == OURS
    python = Path(sys.executable) if ours else PEER_VENV / "bin/python"
    asked = {"module": f"{side.collection}.{side.module}", "args": side.states[state],
             "collections": [str(ROOT / ".collections")] if ours else []}
    made = subprocess.run([python, ROOT / "benchmarks/payload.py"], input=json.dumps(asked).encode(), stdout=subprocess.PIPE,
                          check=True)
    file = folder / f"{side.module}-{state}.py"
    file.touch(mode=0o600)
    file.write_bytes(made.stdout)
    return Job([str(python), str(file)], {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)}, None, {})


def measure(server: Server, job: Job, changes: bool) -> Measurement:
    """Run a module once.

    Raises:
        ContenderError: it did not say ``changed`` as it had to.
    """
    log = server.home / "log"
    start = log.stat().st_size
    seconds, printed = timed(job)
    if json.loads(printed[printed.index("{"):])["changed"] is not changes:
        raise ContenderError(f"{job.argv[1]} was to report changed={changes} and printed: {printed[-2000:]}")
    with log.open("rb") as file:
        file.seek(start)
        said = file.read().decode(errors="replace")
    return Measurement(seconds, len(_STATEMENT.findall(said)), len(_CONNECTION.findall(said)))


def measure_size(server: Server, count: int, rounds: int, samples: Samples) -> None:
    """Run every module of both sides at a number of tables."""
    password = secrets.token_hex(16)
    prepare(server, count, password)
    for what, pair in sides(server, count, password).items():
        folder = server.home / what
        folder.mkdir(mode=0o700)
        jobs = {side.collection: [program(side, state, folder) for state in (0, 1)] for side in pair}
        for programs in jobs.values():
            timed(programs[1])
        for collection, state in turns(rounds):
            for run in reversed(RUNS):
                measured = measure(server, jobs[collection][state], run == "change")
                samples.setdefault((count, what, run, collection), []).append(measured)
                report.tell(measured.seconds, f"{what}, {count} tables, {run}, {collection}")


def turns(rounds: int) -> Iterator[tuple[str, int]]:
    """Who goes to which state: both to each in turn, and each first in every other round."""
    for number in range(rounds):
        for collection in (OURS, PEER) if number % 2 == 0 else (PEER, OURS):
            yield collection, number % 2


def medians(samples: Samples) -> list[dict[str, Any]]:
    """One row for each size, module and kind of run, with the medians of both sides and their ratio."""
    rows = []
    for count, what, run in dict.fromkeys(key[:3] for key in samples):
        row: dict[str, Any] = {"tables": count, "module": what, "run": run}
        for collection in (OURS, PEER):
            figures = [statistics.median(figure) for figure in zip(*samples[count, what, run, collection])]
            row[collection] = {"seconds": round(figures[0], 3), "statements": figures[1], "connections": figures[2]}
        row["ratio"] = round(row[OURS]["seconds"] / row[PEER]["seconds"], 2)
        rows.append(row)
    return rows


def keep(size: dict[str, Any], samples: Samples) -> str:
    """Keep the results, and return them as they are for people."""
    rows = [[f"{row['module']}, {row['run']}", str(row["tables"]),
             *(f"{row[side]['seconds']:.2f} s" for side in (OURS, PEER)), f"{row['ratio']:.2f}",
             *(" / ".join(f"{row[side][what]:g}" for side in (OURS, PEER)) for what in ("statements", "connections"))]
            for row in medians(samples)]
    runs = [{"tables": count, "module": what, "run": run, "collection": collection,
             "seconds": [round(one.seconds, 3) for one in measured]}
            for (count, what, run, collection), measured in samples.items()]
    return report.keep("modules", [
        "Each SQL module beside its counterpart of community.postgresql, at one server: the module's whole process on its host,"
        f" medians of {len(next(iter(samples.values())))} runs taken in turn. {report.measured_on(size)}, community.postgresql of"
        f" {size['peer']}. Statements and connections are those in the server's log, ours / theirs.",
        report.table(["what", "tables", OURS, PEER, "ratio", "statements", "connections"], rows),
    ], {**size, "medians": medians(samples), "runs": runs})


def benchmark(runs: int) -> str:
    """Measure and keep the results."""
    samples: Samples = {}
    install_peer()
    for count in SIZES:
        with scratch_server(18, log_statement="all", log_connections="on", log_line_prefix="%a|") as server:
            measure_size(server, count, runs, samples)
    return keep({**report.machine(server_version()), "peer": PEER_PACKAGE.replace("==", " ")}, samples)


if __name__ == "__main__":
    report.command(__doc__, 5, "each module runs", benchmark)
