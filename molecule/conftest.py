# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of all scenarios use: the hosts of the inventory's groups, and SQL on them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

HERE = Path(__file__).parent
SSH_CONFIG = HERE.parent / ".ansible" / "lab" / "ssh_config"


@pytest.fixture(scope="module")
def hosts_of(request: pytest.FixtureRequest) -> Callable[[str], dict[str, Host]]:
    """Return a function from a group's name to its hosts, by name, as the inventory of the test's scenario has them."""
    scenario = request.path.parent.parent
    inventories = dict.fromkeys([HERE / "default" / "inventory.yml", scenario / "inventory.yml"])
    argv = [str(Path(sys.executable).with_name("ansible-inventory")), "--list", *(f"--inventory={path}" for path in inventories)]
    groups = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    return lambda group: {
        name: testinfra.get_host(f"ssh://{name}", ssh_config=str(SSH_CONFIG), sudo=True) for name in groups[group]["hosts"]
    }


@pytest.fixture(scope="module")
def sql() -> Callable[..., str]:
    """Return a function that runs SQL on a host, as the server's account, and returns what it selects."""

    def run(host: Host, statement: str, database: str = "postgres", port: int = 5432) -> str:
        with host.sudo("postgres"):
            return str(host.check_output("psql -XqAt --port=%s --dbname=%s --command=%s", str(port), database, statement))

    return run
