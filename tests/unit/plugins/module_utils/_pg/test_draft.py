# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of databases that are not complete yet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import draft


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    lambda name: len(name.encode()) <= 63 and not name.endswith(".pgmahout")))
def test_a_draft_has_a_name_of_its_own_that_fits(name: str) -> None:
    found = draft.draft_name(name)
    assert len(found.encode()) <= 63
    assert found != name
    assert found.endswith(".pgmahout")


def test_long_names_that_begin_alike_have_different_drafts() -> None:
    assert draft.draft_name("x" * 62 + "a") != draft.draft_name("x" * 62 + "b")
