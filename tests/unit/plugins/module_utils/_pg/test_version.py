# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of PostgreSQL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import version
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, ToolError


@pytest.mark.parametrize(("text", "number"), [
    ("postgres (PostgreSQL) 18.1\n", 180001), ("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", 150014),
    ("postgres (PostgreSQL) 19devel", 190000), ("postgres (PostgreSQL) 18beta2", 180000),
    ("postgres (PostgreSQL) 18rc1", 180000)])
def test_the_version_is_read_from_what_postgres_prints(text: str, number: int) -> None:
    assert version.parse(text) == number


@pytest.mark.parametrize("text", ["", "postgres", "busybox"])
def test_anything_else_names_no_version(text: str) -> None:
    with pytest.raises(ToolError, match="names no version of PostgreSQL; check bindir"):
        version.parse(text)


@given(st.integers(10, 30), st.integers(0, 99))
def test_the_major_version_is_what_counts(major: int, minor: int) -> None:
    assert version.major(version.parse("postgres (PostgreSQL) %d.%d" % (major, minor))) == major


def test_an_option_of_a_newer_version_is_refused_with_both_versions() -> None:
    version.require("failover", 17, 170000)
    with pytest.raises(InputError, match="failover needs PostgreSQL 17 or newer and this server is version 16"):
        version.require("failover", 17, 160010)
