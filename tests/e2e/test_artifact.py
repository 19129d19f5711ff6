# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artifact that users install holds what they need and nothing else, and runs from an empty directory."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.lab import new_lab
from tests.support.playbooks import ROOT, Run

BIN = Path(sys.executable).parent
#: The environment of a user who has no checkout.
CLEAN = {**{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}, "LC_ALL": "C.UTF-8",
         "ANSIBLE_NOCOLOR": "1"}
USERS_NEED = {"CHANGELOG.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "changelogs", "docs", "inventories", "meta",
              "playbooks", "plugins", "roles"}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection, built."""
    directory = tmp_path_factory.mktemp("artifact")
    subprocess.run([BIN / "ansible-galaxy", "collection", "build", ROOT, "--output-path", directory], check=True,
                   capture_output=True, cwd=directory, env=CLEAN)
    return next(directory.glob("pgmahout-cluster-*.tar.gz"))


def test_it_holds_what_a_user_needs_and_nothing_else(artifact: Path) -> None:
    with tarfile.open(artifact) as archive:
        names = archive.getnames()
    assert {name.split("/")[0] for name in names} == USERS_NEED
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_it_runs_where_nothing_else_is(artifact: Path, tmp_path: Path) -> None:
    subprocess.run([BIN / "ansible-galaxy", "collection", "install", "--offline", artifact, "-p", tmp_path], check=True,
                   capture_output=True, cwd=tmp_path, env=CLEAN)
    inventory: dict[str, Any] = yaml.safe_load((ROOT / "inventories" / "local.yml").read_text())
    for unwanted in ("node3",):
        del inventory["all"]["children"]["orders"]["hosts"][unwanted]
    environment = {**CLEAN, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path)}
    with new_lab(inventory) as lab:
        for expected in (True, False):
            done = subprocess.run(lab.command("deploy"), cwd=tmp_path, env=environment, text=True, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            assert (sum(Run(done.returncode, done.stdout).ok().changed.values()) > 0) is expected
            assert "WARNING" not in done.stdout
            assert "DEPRECATION" not in done.stdout
