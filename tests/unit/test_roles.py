# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles: what is declared is what is used, and both places that declare it agree."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())

#: Facts that the playbooks and the roles make, with what each comes from.
FACTS = {"pg_drill_failure", "pg_found", "pg_inventory", "pg_restore_result", "pg_server_result", "pg_topology"}
_NAME = re.compile(r"(?<![\w.'])(_{0,2}pg_\w+)")


def load(*parts: str) -> Any:
    path = ROOT.joinpath("roles", *parts)
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def options(role: str) -> dict[str, Any]:
    found: dict[str, Any] = load(role, "meta", "argument_specs.yml")["argument_specs"]["main"]["options"]
    return found


def texts(role: str) -> dict[Path, str]:
    """What a role evaluates: the expressions and conditions of its tasks, variables and templates."""
    paths = [path for folder in ("tasks", "templates", "vars", "defaults") for path in (ROOT / "roles" / role / folder).glob("*")]
    return {path: re.sub(r"pgmahout\.cluster\.\w+|#.*|pg_\w+\.conf|(?m:^\s*name: pg.*$)", "", path.read_text()) for path in paths}


DECLARED = {name for role in ROLES for name in [*options(role), *load(role, "vars", "main.yml")]}


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_argument_specs_have_the_same_keys_and_values(role: str) -> None:
    declared = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert declared == (load(role, "defaults", "main.yml") or {})


@pytest.mark.parametrize("role", ROLES)
def test_what_has_no_default_is_required(role: str) -> None:
    assert [name for name, option in options(role).items() if ("default" in option) == bool(option.get("required"))] == []


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_that_is_used_is_declared(role: str) -> None:
    local = set()
    for text in texts(role).values():
        local |= set(re.findall(r"(?:register|loop_var): (\w+)", text))
    for path, text in texts(role).items():
        used = set(_NAME.findall(re.sub(r"(?:register|loop_var): \w+", "", text)))
        assert used - DECLARED - FACTS - local == set(), path


@pytest.mark.parametrize("role", ROLES)
def test_every_option_is_used_somewhere(role: str) -> None:
    everything = "".join(path.read_text() for folder in ("roles", "playbooks", "plugins") for path in (ROOT / folder).rglob("*")
                         if path.is_file() and path.suffix in (".yml", ".j2", ".py") and path.name != "argument_specs.yml")
    for name in options(role):
        assert len(re.findall(r"\b%s\b" % name, everything)) > 1, f"{name} is declared and nothing reads it"


@pytest.mark.parametrize("role", ROLES)
def test_names_tell_which_role_they_belong_to(role: str) -> None:
    prefixes = (f"{role}_", "pg_cluster_") if role == "pg_server" else (f"{role}_",)
    assert [name for name in options(role) if not name.startswith(prefixes)] == []
    assert [name for name in load(role, "vars", "main.yml") or {} if not name.startswith(f"__{role}_")] == []


@pytest.mark.parametrize("role", ROLES)
def test_every_task_file_that_can_be_called_is_described(role: str) -> None:
    entries = load(role, "meta", "argument_specs.yml")["argument_specs"]
    assert all(entry.get("short_description") for entry in entries.values())
    files = {path.stem for path in (ROOT / "roles" / role / "tasks").glob("*.yml")}
    assert set(entries) <= files


@pytest.mark.parametrize("role", ROLES)
def test_no_option_holds_a_password_in_the_open(role: str) -> None:
    for name, option in options(role).items():
        if re.search(r"passwords?$", name):
            assert option.get("no_log") is True, name
