# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook switchover on one cluster under load: these tests build on each other in the order of the file.

``PGMAHOUT_TURNS`` says how many switchovers there are; more of them are measured by ``benchmarks/switchover.py``.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.lab import Lab
from tests.e2e.orders import MEMBERS, assert_as_described, load_on, primary
from tests.support import playbooks
from tests.support.load import Load, turns
from tests.support.playbooks import ROOT, Run, wait_until

TURNS = turns(2)
pytestmark = pytest.mark.timeout(900 * TURNS)


@pytest.fixture(scope="module", autouse=True)
def deployed(lab: Lab) -> None:
    lab.deploy().ok()


@pytest.fixture
def load(lab: Lab) -> Iterator[Load]:
    """Clients, and one for each member alone, that write for the length of a test; nothing of theirs may be lost."""
    with load_on(lab) as running:
        yield running
        running.go_on()
        assert (running.lost(), running.two_primaries()) == ([], [])


def outage(run: Run) -> float:
    found = re.search(r"writes were refused for ([0-9.]+) ms, and no commit was lost", run.flat) or re.search(
        r"writes were refused for ([0-9.]+) ms and no commit was lost", run.flat)
    assert found, run.output[-3000:]
    return float(found.group(1))


def test_the_plan_of_a_switchover_is_the_switchover(lab: Lab, load: Load) -> None:
    planned = lab.play("switchover", "--check", "--diff").ok()
    assert primary(lab) == "node1"
    done = lab.play("switchover").ok()
    assert done.changes == planned.changes
    assert primary(lab) == "node2"
    load.go_on()
    assert outage(done) < 1000
    assert load.gaps()[2] < 1


def test_the_cluster_is_as_the_inventory_says_afterwards(lab: Lab) -> None:
    assert_as_described(lab)


def test_back_and_forth(lab: Lab, load: Load) -> None:
    for turn in range(TURNS):
        wanted = MEMBERS[turn % 2]
        done = lab.play("switchover", "-e", f"pg_switchover_to={wanted}").ok()
        assert primary(lab) == wanted
        load.go_on()
        assert outage(done) < 1000
    assert all(gap < 1 for gap in load.gaps().values())


def test_the_cluster_is_as_the_inventory_says_after_many(lab: Lab) -> None:
    assert_as_described(lab)


def test_who_is_primary_already_is_refused(lab: Lab) -> None:
    now = primary(lab)
    lab.play("switchover", "-e", f"pg_switchover_to={now}").refused(now)


def test_the_hook_runs_at_the_promotion_and_its_failure_undoes_nothing(lab: Lab) -> None:
    former = primary(lab)
    tasks = lab.home / "hook.yml"
    tasks.write_text("""
- name: The address moves
  ansible.builtin.copy:
    content: "{{ former }} {{ promoted }}"
    dest: "{{ hook_directory }}/{{ inventory_hostname }}"
    mode: "0600"
""")
    told = lab.home / "told"
    options: dict[str, Any] = {
        "pg_promotion_tasks": str(tasks), "hook_directory": str(lab.home),
        "pg_promotion_command": ["/bin/sh", "-c", f"echo $PGMAHOUT_FORMER $PGMAHOUT_PROMOTED > {told}; exit 3"]}
    done = lab.play("switchover", "-e", json.dumps(options))
    now = primary(lab)
    assert done.returncode != 0
    assert f"{now} is primary and stays it" in done.flat, done.output[-3000:]
    assert now != former
    assert told.read_text().split() == [former, now]
    assert [(lab.home / host).read_text() for host in MEMBERS] == [f"{former} {now}"] * 3
    assert_as_described(lab)


def test_a_synchronous_cluster_changes_its_roles(lab: Lab, load: Load) -> None:
    with lab.changed_inventory():
        lab.cluster("orders")["pg_server_settings"]["synchronous_standby_names"] = "ANY 1 (node1, node2, node3)"
        lab.deploy().ok()
        for _turn in range(2):
            done = lab.play("switchover").ok()
            load.go_on()
            assert outage(done) < 1000
        assert set(lab.deploy().ok().changed.values()) == {0}
    lab.deploy().ok()


_KILLED = """
import os, signal, sys
from ansible.cli.playbook import main
from ansible.executor.playbook_executor import PlaybookExecutor

name, run = sys.argv.pop(1), PlaybookExecutor.run

def with_a_kill(self):
    # Not before: Ansible finds collections in its own way, which by now it has set up.
    from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import switchover
    step = switchover.STEPS[name]
    def killed(section):
        step(section)
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    switchover.STEPS[name] = killed
    return run(self)

PlaybookExecutor.run = with_a_kill
main()
"""


def killed(lab: Lab, name: str) -> None:
    """Run the playbook, and kill it and its module after a step; the module runs in a process that Ansible forked."""
    argv = lab.command("switchover")[1:]
    program = [sys.executable, "-c", _KILLED, name, *argv]
    done = subprocess.run(program, cwd=ROOT, env=playbooks.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, timeout=120)
    assert done.returncode == -signal.SIGKILL


# Each step, before and after it, with the module alone: tests/integration/test_pg_switchover.py.
@pytest.mark.parametrize(("name", "next_one"), [
    ("stop", "deploy"), ("point", "switchover"), ("prove", "deploy"), ("promote", "deploy")])
def test_killed_after_a_step_the_next_playbook_finds_the_truth(lab: Lab, load: Load, name: str, next_one: str) -> None:
    former = primary(lab)
    killed(lab, name)
    data = Path(lab.directory(former)) / "data"
    # What the kill left on its way ends by itself.
    wait_until(lambda: not (data / "postmaster.pid").exists())
    lab.play(next_one).ok()
    load.go_on()
    assert_as_described(lab)
