# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to the lab's machines from outside: reboots, power failures, cables that are pulled."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

NETWORK = "pgmahout-lab"
#: Seconds after which a machine that is to boot or to stop is taken for one that hangs.
ENDLESS = 180


def container(host: str) -> str:
    """Return the container that a host of the lab is."""
    return f"pgmahout-lab-{host}"


def reboot(hosts: Iterable[str]) -> None:
    """Shut hosts down in order, all at once, and return when they have booted."""
    names = list(hosts)
    restarts = [subprocess.Popen(["docker", "restart", "-t", "60", container(host)], stdout=subprocess.DEVNULL)
                for host in names]
    assert [restart.wait(ENDLESS) for restart in restarts] == [0] * len(names)
    for host in names:
        wait_for_boot(host)


def power_off(host: str) -> None:
    """Stop a host as a power failure does: nothing on it gets to say goodbye."""
    _docker("kill", container(host))


def power_on(host: str) -> None:
    """Start a host, and return when it has booted."""
    _docker("start", container(host))
    wait_for_boot(host)


def wait_for_boot(host: str) -> None:
    """Return when systemd has started, or has failed to start, everything."""
    _docker("exec", container(host), "sh", "-c", "until [ -S /run/systemd/private ]; do sleep 0.1; done")
    state = 'case "$(systemctl is-system-running --wait)" in running|degraded) ;; *) exit 1; esac'
    _docker("exec", container(host), "sh", "-c", state)


def unplug(host: str) -> None:
    """Cut a host off from everybody, us included; nothing on it is stopped."""
    _docker("network", "disconnect", NETWORK, container(host))


def plug(host: str, address: str) -> None:
    """Connect a host again, with the address that it had."""
    _docker("network", "connect", f"--ip={address}", f"--alias={host}", NETWORK, container(host))


def _docker(*arguments: str) -> None:
    done = subprocess.run(["docker", *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=ENDLESS)
    assert done.returncode == 0, done.stdout
