# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three bare Debian hosts of the lab, and what is done on them by hand."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from benchmarks.contenders import our_env
from benchmarks.scene import ROOT, ContenderError, Job, timed, wait_for

PRIMARY, CASCADING = "node1", "node3"
HOSTS = (PRIMARY, "node2", CASCADING)
SERVER = "postgresql-17"
_LAB = ROOT / "molecule/default"
_SSH = ["ssh", "-F", str(ROOT / ".ansible/bench/ssh_config")]


class Writing(NamedTuple):
    """What a client that wrote all the time has to tell.

    Attributes:
        commits: how many rows were committed.
        longest: the longest time between two of them, in seconds.
    """

    commits: int
    longest: float


@contextlib.contextmanager
def bare_hosts() -> Iterator[None]:
    """Give hosts that have nothing but Debian and an administrator; their caches have the packages that earlier ones fetched."""
    timed(play(f"{_LAB}/destroy.yml"))
    try:
        timed(play(f"{_LAB}/create.yml"))
        yield
    finally:
        timed(play(f"{_LAB}/destroy.yml"))


def play(playbook: str, *arguments: str) -> Job:
    """A playbook on the hosts; it prints the name of each task when it begins, also of those that have nothing to do."""
    argv = [str(ROOT / ".venv/bin/ansible-playbook"), playbook, f"--inventory={_LAB}/inventory.yml",
            f"--inventory={ROOT}/benchmarks/lab.yml", "--limit=orders", *arguments]
    return Job(argv, our_env(ANSIBLE_DISPLAY_SKIPPED_HOSTS="true"), None, {})


def on(host: str, *argv: str, user: str = "root") -> Job:
    """A command on a host."""
    return Job([*_SSH, host, shlex.join(["sudo", "--user", user, "--", *argv])], dict(os.environ), None, {})


def run(host: str, *argv: str, user: str = "root") -> str:
    """Run a command on a host, and return what it prints.

    Raises:
        ContenderError: it failed.
    """
    return timed(on(host, *argv, user=user))[1].strip()


def run_everywhere(*argv: str, user: str = "root") -> list[str]:
    """Run a command on all hosts at once, and return what it prints on each.

    Raises:
        ContenderError: it failed on one.
    """
    with ThreadPoolExecutor(len(HOSTS)) as pool:
        return list(pool.map(lambda host: run(host, *argv, user=user), HOSTS))


def script(name: str, *arguments: str) -> list[str]:
    """The command that runs one of the scripts of this directory."""
    return ["bash", "-c", (ROOT / "benchmarks" / name).read_text(), name, *arguments]


def apt_get(*arguments: str) -> list[str]:
    """The command that brings the lists of packages up to date and runs apt-get."""
    return ["env", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", f"apt-get update && apt-get {shlex.join(arguments)}"]


def offer_newer_server(number: int) -> None:
    """Let each host know a newer version of the server's package."""
    run_everywhere(*script("newer.sh", SERVER, str(number)))


def version(host: str, package: str = SERVER) -> str:
    """The version of a package on a host."""
    return run(host, "dpkg-query", "--show", "--showformat", "${Version}", package)


def ask(host: str, sql: str, database: str = "shop", port: int = 5432) -> str:
    """What the server on a host answers, columns separated by bars."""
    return run(host, "psql", "-XAtq", "-p", str(port), "-d", database, "-c", sql, user="postgres")


def expect(answer: str, host: str, sql: str) -> None:
    """Wait until the server on a host gives an answer.

    Raises:
        ContenderError: it did not for 30 s.
    """
    wait_for(answer, host, sql, lambda: ask(host, sql))


def written_during(work: Callable[[], object]) -> Writing:
    """What a client that writes on the primary all the time notices of some work.

    Raises:
        ContenderError: the client or the work failed.
    """
    job = on(PRIMARY, "python3", "-c", (ROOT / "benchmarks/writer.py").read_text(), user="postgres")
    with subprocess.Popen(job.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        if client.stdout.readline():
            work()
        client.stdin.close()
        told = client.stdout.read()
    if client.returncode:
        raise ContenderError(f"A client was to write on {PRIMARY} and ended with exit code {client.returncode}, see above.")
    return Writing(**json.loads(told))
