# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that runs in the worker process returns what it returns when it is run as any other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import COLLECTIONS
from tests.support.postgres import Server, bindir, scratch_server

PASSWORD = "s3cr'et \\ word"
ROOT = Path(__file__).parents[5]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    major = next(version for version in (18, 16, 15) if bindir(version))
    with scratch_server(major, log_statement="all") as started:
        yield started


def tasks(server: Server) -> list[dict[str, Any]]:
    """Tasks that change, change nothing, refuse, and hold a password."""
    modules: list[tuple[str, dict[str, Any]]] = [
        ("pg_replication_role", {"name": "made", "password": PASSWORD, "replication": True}),
        ("pg_replication_role", {"name": "made", "password": PASSWORD, "replication": True}),
        ("pg_replication_slot", {"name": "made", "slot_type": "physical"}),
        ("pg_replication_slot", {"name": "NOT A SLOT", "slot_type": "physical"}),
        ("pg_replication_slot", {"nmae": "made"}),
        ("pg_replication_info", {}),
        ("pg_publication", {"name": "made", "schemas": ["public"]}),
        ("pg_publication", {"name": "made", "all_tables": True}),
        ("pg_publication", {"name": "made", "state": "absent"}),
        ("pg_replication_slot", {"name": "made", "state": "absent"}),
        ("pg_replication_role", {"name": "made", "state": "absent"}),
    ]
    return [{"name": f"Task {number}", f"pgmahout.cluster.{module}": {**server.login, **options}, "register": f"result_{number}",
             "ignore_errors": True} for number, (module, options) in enumerate(modules)]


def play(server: Server, directory: Path, in_process: bool, check: bool = False) -> tuple[dict[str, Any], str]:
    """Run the tasks; return what was registered, and all that was printed with -vvv."""
    made = tasks(server)
    results = {"msg": "", "names": [task["register"] for task in made]}
    playbook = [{
        "hosts": "localhost", "gather_facts": False,
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                 "pg_in_process": in_process},
        "tasks": made + [{"name": "Keep", "ansible.builtin.copy": {
            "dest": str(directory / "results.json"), "mode": "0600",
            "content": "{{ dict(%s | zip(%s | map('extract', vars))) | to_json }}" % (results["names"], results["names"])},
            "check_mode": False, "no_log": True}]}]
    (directory / "play.yml").write_text(yaml.safe_dump(playbook))
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_LOCALHOST_WARNING": "false",
                   "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(directory / "tmp")}
    done = subprocess.run([Path(sys.executable).parent / "ansible-playbook", "-vvv", *(["--check"] if check else []),
                           directory / "play.yml"],
                          env=environment, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((directory / "results.json").read_text()), done.stdout + done.stderr


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    """What must be the same in two runs: all but positions and times of the server."""
    moving = ("lsn", "archiver", "replay_lsn", "slots")
    return {key: value for key, value in result.items() if key not in moving and not key.startswith("_ansible")}


@pytest.mark.parametrize("check", [False, True], ids=["run", "check"])
def test_both_ways_return_the_same_and_tell_no_secret(server: Server, tmp_path: Path, check: bool) -> None:
    found, printed = {}, {}
    for in_process in (True, False):
        directory = tmp_path / str(in_process)
        directory.mkdir()
        found[in_process], printed[in_process] = play(server, directory, in_process, check)
    here, there = found[True], found[False]
    assert list(here) == list(there) == [f"result_{number}" for number in range(11)]
    for name in here:
        assert comparable(here[name]) == comparable(there[name]), name
    assert [here[f"result_{number}"].get("failed", False) for number in (0, 3, 4, 5)] == [False, True, True, False]
    assert [here[f"result_{number}"]["changed"] for number in (0, 1, 5)] == [True, check, False]
    if not check:
        assert "dropped and made anew" in json.dumps(here["result_7"]["warnings"])
    for text in [*printed.values(), json.dumps(found), server.log]:
        assert PASSWORD not in text
        assert "s3cr" not in text
    sent = {in_process: len(re.findall(r"Using module file .*/pg_\w+\.py", text)) for in_process, text in printed.items()}
    assert sent == {True: 0, False: 11}, "in the worker process nothing is sent"


def test_every_module_has_an_action_that_may_run_it_in_process() -> None:
    for path in (ROOT / "plugins" / "modules").glob("pg_*.py"):
        assert (ROOT / "plugins" / "action" / path.name).exists(), path.name


def test_a_delegated_task_is_run_by_the_interpreter_of_the_host_it_is_for(tmp_path: Path) -> None:
    wrapper = tmp_path / "python3"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    hosts = {name: {"ansible_connection": "local", "ansible_python_interpreter": interpreter} for name, interpreter in (
        ("ours", "{{ ansible_playbook_python }}"), ("other", str(wrapper)))}
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    pairs = [("ours", "other"), ("other", "ours")]
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": host, "gather_facts": False, "tasks": [{
        "name": f"From {host} to {to}", "delegate_to": to, "pgmahout.cluster.pg_repository_copy": {
            "directory": str(tmp_path / "none"), "state": "absent"}}]} for host, to in pairs]))
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                   "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp")}
    done = subprocess.run([Path(sys.executable).parent / "ansible-playbook", "-vvv", "-i", tmp_path / "inventory.yml",
                           tmp_path / "play.yml"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [part.count("Using module file") for part in done.stdout.split("\nPLAY [")[1:]] == [1, 0]
