# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one path of a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError

from ansible_collections.pgmahout.cluster.plugins.lookup.pg_secret import LookupModule


def look(path: Path, check: bool = False, **term: Any) -> Any:
    node1 = {"pg_cluster_name": "orders", "pg_cluster_passwords": {"given": 1234}, "pg_cluster_secrets_file": str(path)}
    variables = {"hostvars": {"node1": node1, "node2": {"pg_cluster_name": "orders"}}, "ansible_check_mode": check,
                 "pg_cluster_secrets_file": str(path)}
    return LookupModule().run([{"member": "node1", **term}], variables)[0]


def test_a_password_that_was_given_wins_and_is_kept_nowhere(tmp_path: Path) -> None:
    assert look(tmp_path / "s.json", user="given") == {"user": "given", "password": "1234"}
    assert not (tmp_path / "s.json").exists()


def test_one_that_is_made_is_the_same_for_every_member(tmp_path: Path) -> None:
    made = look(tmp_path / "s.json", user="made")["password"]
    assert look(tmp_path / "s.json", user="made")["password"] == made
    assert look(tmp_path / "s.json", user="made", member="node2")["password"] == made


def test_check_mode_keeps_nothing(tmp_path: Path) -> None:
    assert look(tmp_path / "s.json", check=True, user="made")["password"]
    assert list(tmp_path.iterdir()) == []


def test_further_keys_are_handed_through(tmp_path: Path) -> None:
    assert look(tmp_path / "s.json", user="given", host="a", port="1") == {"user": "given", "host": "a", "port": "1",
                                                                           "password": "1234"}


def test_a_file_that_others_can_read_is_an_error_without_its_content(tmp_path: Path) -> None:
    made = look(tmp_path / "s.json", user="made")["password"]
    (tmp_path / "s.json").chmod(0o644)
    with pytest.raises(AnsibleError, match="can be read by others") as failure:
        look(tmp_path / "s.json", user="made")
    assert made not in str(failure.value)
