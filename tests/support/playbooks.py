# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks as users run them, what they print and say they changed, and waiting for a state."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
#: Seconds after which a playbook is taken for one that hangs: no test of ours has one that takes half as long.
ENDLESS = 400
#: Seconds after which a state is taken for one that does not come.
PATIENCE = 120
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
TASK = re.compile(r"^TASK \[(?:\S+ : )?(.*)\] \**$")
CHANGED = re.compile(r"^changed: \[(\S+?)\]")


class Run:
    """A playbook that ran: what it printed, and what it says it changed."""

    def __init__(self, returncode: int, output: str) -> None:
        self.returncode = returncode
        self.output = output

    @property
    def flat(self) -> str:
        """What it printed, each run of white space as one space, so that a sentence is found wherever its lines break."""
        return re.sub(r"\s+", " ", self.output)

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks changed something on each host."""
        return {host: int(changed) for host, _ok, changed, _unreachable, _failed in RECAP.findall(self.output)}

    @property
    def changes(self) -> list[tuple[str, str]]:
        """The tasks that changed something, each with the host; hosts of one task in the order of their names."""
        found: list[tuple[str, str]] = []
        task = ""
        for line in self.output.splitlines():
            if match := TASK.match(line):
                task = match.group(1)
            elif match := CHANGED.match(line):
                found.append((task, match.group(1)))
        order = {name: position for position, (name, _host) in reversed(list(enumerate(found)))}
        return sorted(found, key=lambda pair: (order[pair[0]], pair[1]))

    def ok(self) -> Run:
        """Itself, once it is certain that it did not fail."""
        assert self.returncode == 0, self.output[-6000:]
        return self

    def refused(self, *words: str) -> str:
        """The output of a run that must have refused to go on, with these words, before it changed anything."""
        assert self.returncode != 0, "was expected to be refused and was not"
        assert sum(self.changed.values()) == 0, self.output[-6000:]
        for word in words:
            assert word in self.flat, f"{word!r} is not in: {self.flat[-3000:]}"
        return self.flat


def environment() -> dict[str, str]:
    """Return the environment in which playbooks run."""
    return {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0"}


def command(playbook: str, inventories: Iterable[Path], *arguments: str) -> list[str]:
    """Return the command that runs a playbook of the collection."""
    return [str(Path(sys.executable).with_name("ansible-playbook")), f"pgmahout.cluster.{playbook}",
            *(f"--inventory={path}" for path in inventories), *arguments]


def run(argv: list[str]) -> Run:
    """Run a playbook to its end; fail with what it printed when it has none."""
    running = subprocess.Popen(argv, cwd=ROOT, env=environment(), text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    try:
        output, _ = running.communicate(timeout=ENDLESS)
    except subprocess.TimeoutExpired:
        kill(running)
        output, _ = running.communicate()
        pytest.fail(f"{shlex.join(argv)} did not end in {ENDLESS} s; it printed: {output[-6000:]}", pytrace=False)
    return Run(running.returncode, output)


def begin(argv: list[str], log: Path, task: str, seconds: float = PATIENCE) -> subprocess.Popen[bytes]:
    """Begin a run that prints into a file, and return when it has begun a task, or has ended.

    Ansible shows a task once it has a result to show; where it shows all results, it shows the task before.
    """
    with log.open("w") as file:
        running = subprocess.Popen(argv, cwd=ROOT, env={**environment(), "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "true"},
                                   stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
    wait_until(lambda: f"{task}] ***" in log.read_text() or running.poll() is not None, seconds)
    return running


def kill(running: subprocess.Popen[Any]) -> None:
    """End a run at once with its workers, each of which has a session of its own and would wait for ever to be read."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGSTOP)
        workers = subprocess.run(["pgrep", f"--parent={running.pid}"], text=True, stdout=subprocess.PIPE).stdout.split()
        for pid in (running.pid, *map(int, workers)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def wait_until(holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until something holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "what was awaited did not come"
        time.sleep(0.05)
