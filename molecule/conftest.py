# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of all scenarios use: the hosts of the inventory's groups, SQL on them, and the playbooks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

from tests.support import machines, playbooks

HERE = Path(__file__).parent
SSH_CONFIG = HERE.parent / ".ansible" / "lab" / "ssh_config"


@pytest.fixture(scope="module")
def inventories(request: pytest.FixtureRequest) -> list[Path]:
    """Return the inventories of the test's scenario."""
    return list(dict.fromkeys([HERE / "default" / "inventory.yml", request.path.parent.parent / "inventory.yml"]))


@pytest.fixture(scope="module")
def hosts_of(inventories: list[Path]) -> Callable[[str], dict[str, Host]]:
    """Return a function from a group's name to its hosts, by name."""
    argv = [str(Path(sys.executable).with_name("ansible-inventory")), "--list", *(f"--inventory={path}" for path in inventories)]
    groups = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    addresses = {name: given["ansible_host"] for name, given in groups["_meta"]["hostvars"].items()}
    return lambda group: {name: testinfra.get_host(f"ssh://{addresses[name]}", ssh_config=str(SSH_CONFIG), sudo=True)
                          for name in groups[group]["hosts"]}


@pytest.fixture(scope="session")
def console() -> Callable[[str], Host]:
    """Return a function from a machine's name to it, which no network is needed for."""
    return lambda name: testinfra.get_host(f"docker://{machines.container(name)}")


@pytest.fixture(scope="module")
def members(hosts_of: Callable[[str], dict[str, Host]], console: Callable[[str], Host]) -> dict[str, Host]:
    """Return the members of the cluster, seen whatever happens to the network; some scenarios have their own."""
    return {name: console(name) for name in hosts_of("orders")}


@pytest.fixture(scope="module")
def addresses(members: dict[str, Host]) -> dict[str, str]:
    """Return the addresses of the members."""
    return {name: members["node1"].addr(name).ipv4_addresses[0] for name in members}


@pytest.fixture(scope="session")
def sql() -> Callable[..., str]:
    """Return a function that runs SQL on a host, as the server's account, for at most a minute, and returns what it selects."""

    def run(host: Host, statement: str, database: str = "postgres", port: int = 5432) -> str:
        return str(host.check_output("runuser --user=postgres -- timeout 60 psql -XqAt --port=%s --dbname=%s --command=%s",
                                     str(port), database, statement))

    return run


@pytest.fixture(scope="module")
def play(inventories: list[Path]) -> Callable[..., playbooks.Run]:
    """Return a function that runs a playbook of the collection with the scenario's inventories."""
    return lambda playbook, *arguments: playbooks.run(playbooks.command(playbook, inventories, *arguments))
