# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rights as sets of functions."""

from __future__ import annotations

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import rights


def test_each_right_has_its_functions() -> None:
    assert rights.functions_of([]) == frozenset()
    assert rights.functions_of(["promote"]) == {"pg_promote(boolean,integer)"}
    assert rights.functions_of(["promote", "rewind"]) == set(rights.ALL)


def test_a_right_that_lacks_a_function_says_so() -> None:
    assert rights.shown(rights.ALL) == ["promote", "rewind"]
    assert rights.shown(["pg_read_binary_file(text)", "pg_promote(boolean,integer)"]) == ["promote", "rewind, in part"]
    assert rights.shown([]) == rights.shown(["pg_sleep(double precision)"]) == []


def test_functions_are_named_with_their_schema_always_in_the_same_order() -> None:
    assert rights.qualified({"pg_stat_file(text,boolean)", "pg_promote(boolean,integer)"}) == [
        "pg_catalog.pg_promote(boolean,integer)", "pg_catalog.pg_stat_file(text,boolean)"]
