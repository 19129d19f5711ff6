# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the content of a server is asked for, and how what is expected is read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import probe_query
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.probe_query import Choice, Table


@pytest.mark.parametrize(("table", "schema", "name"), [
    ("orders", "public", "orders"), ("sales.orders", "sales", "orders"), ("sales.*", "sales", "*"), ("*", "*", "*"),
    ('"odd.one"."T"', "odd.one", "T"), ("*.*", "*", "*"),
])
def test_tables_are_chosen_by_name_by_schema_or_all(table: str, schema: str, name: str) -> None:
    assert probe_query.choices([{"database": "", "table": table}], "shop") == [Choice("shop", schema, name)]
    assert probe_query.choices([{"database": "*", "table": table}], "shop") == [Choice("*", schema, name)]


def test_a_name_in_all_schemas_is_refused() -> None:
    with pytest.raises(InputError, match=r"write schema\.table, schema\.\* for a whole schema, or \* for all"):
        probe_query.choices([{"database": "", "table": "*.orders"}], "shop")


def test_a_whole_schema_leaves_out_what_is_not_users_or_not_kept() -> None:
    everything = probe_query.tables(Choice("shop", "*", "*"))
    for part in ("relpersistence = 'p'", "NOT c.relispartition", "information_schema"):
        assert part in everything
    named = probe_query.tables(Choice("shop", "o'hara", "t"))
    assert "n.nspname = 'o''hara'" in named
    assert "relispartition" not in named


def test_names_are_quoted_where_tables_are_locked() -> None:
    tables = [Table("d", "s", name) for name in ("b", 'c"')]
    assert probe_query.lock(tables, "SHARE") == 'LOCK TABLE "s"."b", "s"."c""" IN SHARE MODE'


@pytest.mark.parametrize(("total", "told"), [
    ("0", "0000000000000000"), ("-1", "ffffffffffffffff"), (str(1 << 64), "0000000000000000"), ("255", "00000000000000ff"),
])
def test_a_sum_of_hashes_is_told_in_16_digits(total: str, told: str) -> None:
    assert probe_query.digest(total) == told


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1)))
def test_the_digest_does_not_depend_on_order(hashes: list[int]) -> None:
    assert probe_query.digest(str(sum(hashes))) == probe_query.digest(str(sum(reversed(hashes))))


@pytest.mark.parametrize(("expected", "rows"), [
    (0, [["0"]]), ("x", [["x"]]), (True, [["t"]]), (False, [["f"]]), (1.5, [["1.5"]]), ([], []), ([1, None], [["1"], [None]]),
    ([[1, True], ["a", None]], [["1", "t"], ["a", None]]),
])
def test_what_is_expected_is_read_as_psql_shows_it(expected: Any, rows: list[list[str | None]]) -> None:
    assert probe_query.rows(expected) == rows


def test_a_probe_without_an_expectation_has_none() -> None:
    entry = {"name": "n", "database": "", "query": "SELECT 1", "expected": None}
    assert probe_query.probe(entry, "shop") == probe_query.Probe("n", "shop", "SELECT 1", None)
