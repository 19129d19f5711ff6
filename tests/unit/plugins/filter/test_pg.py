# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters that the roles' templates use."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.pgmahout.cluster.plugins.filter.pg import FilterModule

FILTERS = FilterModule().filters()
ENTRY = {"type": "host", "database": "all", "user": "me", "address": "samehost", "method": "md5"}


@pytest.mark.parametrize(("name", "value", "text"), [
    ("pg_setting", True, "on"), ("pg_setting", "it's", "'it''s'"), ("pg_hba_line", ENTRY, "host all me samehost md5"),
    ("pg_conninfo", {"host": "a", "port": 5432, "user": "it's"}, "host=a port=5432 user='it\\'s'")])
def test_values_become_text(name: str, value: Any, text: str) -> None:
    assert FILTERS[name](value) == text


@pytest.mark.parametrize(("name", "value"), [
    ("pg_setting", ["a"]), ("pg_hba_line", {**ENTRY, "method": "trust"}), ("pg_conninfo", {"host": "a\0"})])
def test_bad_input_is_an_error_of_the_filter(name: str, value: Any) -> None:
    with pytest.raises(AnsibleFilterError):
        FILTERS[name](value)


def test_a_summary_takes_what_the_playbooks_have() -> None:
    inventory: dict[str, Any] = {"members": {}, "clusters": {}}
    topology: dict[str, Any] = {"members": {}, "clusters": {}, "refusals": ["Two primaries."]}
    assert FILTERS["pg_summary"]({}, inventory, topology)[0].startswith("CLUSTER")
    assert FILTERS["pg_complaints"]({}, inventory, topology) == ["Two primaries."]
