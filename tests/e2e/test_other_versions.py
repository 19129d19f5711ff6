# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same playbooks on the programs of another version, which are found in a directory instead of the wheel."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.e2e.lab import new_lab
from tests.support.playbooks import ROOT
from tests.support.postgres import bindir


@pytest.mark.parametrize("major", [15, 16])
def test_a_cluster_of_another_version(major: int) -> None:
    programs = bindir(major)
    if programs is None:
        pytest.skip(f"PostgreSQL {major} is not installed on this machine")
    inventory: dict[str, Any] = yaml.safe_load((ROOT / "inventories" / "local.yml").read_text())
    inventory["all"]["vars"].update(pg_server_bindir=str(programs), pg_cluster_version=major)
    # Debian's programs can encrypt; those of the wheels cannot.
    encrypted = str(programs).startswith("/usr/lib/postgresql/")
    inventory["all"]["vars"]["pg_server_tls"] = encrypted
    # Slots that outlive a failover came with PostgreSQL 17.
    del inventory["all"]["children"]["reporting"]["vars"]["pg_subscriber_subscriptions"][0]["failover"]
    with new_lab(inventory) as lab:
        planned = lab.deploy("--check").ok()
        assert lab.deploy().ok().changes == planned.changes
        assert set(lab.deploy().ok().changed.values()) == {0}
        lab.play("status").ok()
        assert lab.sql("node1", "SELECT DISTINCT ssl FROM pg_stat_replication JOIN pg_stat_ssl USING (pid)") == [(encrypted,)]
        assert lab.value("node3", "SHOW server_version_num")[:2] == str(major)
        assert lab.value("reporting1", "SELECT count(*) FROM customers", "dwh") == 1000
        lab.play("destroy", "-e", "pg_destroy=orders,reporting").ok()
        assert [path.name for path in (lab.home / "pg").iterdir()] == ["backups"]
