# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab is what the other scenarios take it for: bare Debian servers, each a host of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from testinfra.host import Host


@pytest.fixture(scope="module")
def lab(hosts_of: Callable[[str], dict[str, Host]]) -> dict[str, Host]:
    """Return all hosts of the lab."""
    return hosts_of("lab")


def test_there_are_five_hosts(lab: dict[str, Host]) -> None:
    assert list(lab) == ["node1", "node2", "node3", "node4", "old1"]


def test_they_are_debian_with_systemd(lab: dict[str, Host]) -> None:
    assert {host.system_info.distribution for host in lab.values()} == {"debian"}
    assert {host.file("/proc/1/comm").content_string for host in lab.values()} == {"systemd\n"}
    assert {host.check_output("systemctl is-system-running") for host in lab.values()} == {"running"}


def test_they_are_bare(lab: dict[str, Host]) -> None:
    for host in lab.values():
        assert not host.package("postgresql-common").is_installed
        assert not host.package("python3-psycopg2").is_installed
        assert not host.file("/usr/sbin/policy-rc.d").exists  # images for Docker have one, and services would not start


def test_each_is_a_host_of_its_own(lab: dict[str, Host]) -> None:
    for path in ("/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub"):
        assert len({host.file(path).content_string for host in lab.values()}) == len(lab)
    # The processes of a unit are this host's: those of another would be shown as 0.
    for host in lab.values():
        assert "0" not in host.file("/sys/fs/cgroup/system.slice/ssh.service/cgroup.procs").content_string.split()


def test_they_know_each_other_by_name(lab: dict[str, Host]) -> None:
    for host in lab.values():
        addresses = [host.addr(name).ipv4_addresses for name in lab]
        assert addresses == [["10.87.0.11"], ["10.87.0.12"], ["10.87.0.13"], ["10.87.0.14"], ["10.87.0.21"]]


def test_nobody_comes_in_but_the_administrator_with_the_key(lab: dict[str, Host]) -> None:
    for host in lab.values():
        settings = host.check_output("sshd -T").lower().splitlines()
        assert {"allowusers admin", "passwordauthentication no"} <= set(settings)
