# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages of this very host, in check mode, as its dpkg and its apt know them; the lab installs for real."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.modules import ok, refused

STATUS = Path("/var/lib/dpkg/status")
CREATECLUSTER = Path("/etc/postgresql-common/createcluster.d/pgmahout.conf")
MISSING = "pgmahout-is-no-package"

pytestmark = pytest.mark.skipif(not STATUS.exists() or os.geteuid() != 0, reason="needs root on Debian or Ubuntu")


def version(name: str) -> str:
    asked = ["dpkg-query", "--show", "--showformat=${Version}", name]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout


def test_what_is_missing_would_be_installed_and_is_not() -> None:
    before = STATUS.read_text(), CREATECLUSTER.exists()
    result = ok("pg_packages", check=True, packages=["dpkg", MISSING], hold=[MISSING])
    assert result["changed"] is True
    assert result["commands"][-1] == f"apt-mark hold {MISSING}"
    assert result["commands"][-2].startswith("apt-get install ")
    assert result["commands"][-2].endswith(f" {MISSING}")
    assert "dpkg" not in result["commands"][-2].split()
    assert result["diff"]["before"]["dpkg"]["version"] == version("dpkg") == result["diff"]["after"]["dpkg"]["version"]
    assert result["diff"]["before"][MISSING] == {"version": "missing", "held": False}
    assert result["diff"]["after"][MISSING] == {"version": "installed", "held": True}
    assert before == (STATUS.read_text(), CREATECLUSTER.exists())


def test_what_is_newest_is_asked_of_apt() -> None:
    policy = subprocess.run(["apt-cache", "policy", "dpkg"], check=True, capture_output=True, text=True,
                            env={**os.environ, "LC_ALL": "C"}).stdout
    newest = policy.partition("Candidate: ")[2].split("\n")[0]
    result = ok("pg_packages", check=True, packages=["dpkg"], state="latest")
    assert result["diff"]["after"]["dpkg"]["version"] == newest
    assert result["upgraded"] == (["dpkg"] if newest != version("dpkg") else [])


def test_a_user_who_is_not_root_is_refused() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.seteuid(65534)
        os.write(writer, refused("pg_packages", check=True, packages=["dpkg"]).encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reader, 4096).decode() == (
        "The packages of this host were asked for and this task does not run as root; run it with become.")
