# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of the inventory: what looks like ours and is none is told."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.action.pg_inventory import unknown

SPECS: dict[str, Any] = {"pg_server_port": {}, "pg_server_settings": {}, "pg_cluster_name": {}}


@pytest.mark.parametrize(("name", "told"), [
    ("pg_server_prot", "did you mean pg_server_port"), ("pg_cluster_zzzzzzzzzzzz", "see the roles' argument_specs")])
def test_a_name_that_is_none_of_ours_is_told_with_what_was_meant(name: str, told: str) -> None:
    found = unknown("node1", {name: 1, "pg_server_port": 5432}, SPECS)
    assert len(found) == 1
    assert name in found[0]
    assert "node1" in found[0]
    assert told in found[0]


@pytest.mark.parametrize("name", ["pg_server_port", "pg_inventory", "pg_topology", "pg_hosts", "ansible_host", "pgbouncer_port"])
def test_other_names_are_none_of_our_business(name: str) -> None:
    assert unknown("node1", {name: 1}, SPECS) == []
