# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which entries of an archive a subscriber gets, and the likeness of a table with a column list."""

from __future__ import annotations

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import schema

LISTING = """;
; Archive created at 2026-01-01
;     dbname: shop
;
215; 1259 16385 TABLE public orders postgres
216; 1259 16386 TABLE "odd s" FK CONSTRAINT postgres
3005; 2606 16390 CONSTRAINT public orders orders_pkey postgres
3006; 2606 16391 FK CONSTRAINT public orders orders_customer_fkey postgres
3007; 2620 16392 TRIGGER public orders t postgres
3008; 3466 16393 EVENT TRIGGER - e postgres
3009; 2618 16394 RULE public orders r postgres
3010; 3256 16395 POLICY public orders p postgres
3011; 1417 16396 SERVER - other postgres
3012; 1418 16397 USER MAPPING - USER MAPPING someone SERVER other postgres
3013; 2328 16398 FOREIGN DATA WRAPPER - w postgres
220; 1255 16400 FUNCTION public wants_customer() postgres
221; 1255 16401 FUNCTION public plain() postgres
"""


def test_relations_keys_and_functions_are_kept() -> None:
    kept = schema.select(LISTING, frozenset()).splitlines()
    assert [line.split(";")[0] for line in kept] == ["215", "216", "3005", "220", "221"]


def test_what_depends_on_an_excluded_relation_is_left_out_by_catalog_and_oid() -> None:
    kept = schema.select(LISTING, frozenset({(1255, 16400), (1259, 16401)}))
    assert "wants_customer" not in kept
    assert "plain" in kept


@pytest.mark.parametrize("listing", ["", ";\n; nothing\n"])
def test_an_empty_archive_stays_empty(listing: str) -> None:
    assert schema.select(listing, frozenset()) == ""


def column(name: str, kind: str, not_null: bool = False, collation: list[str] | None = None) -> dict[str, object]:
    return {"name": name, "type": kind, "not_null": not_null, "collation": collation}


def test_a_likeness_has_the_columns_that_arrive_and_their_key() -> None:
    columns = [column('a"b', "integer", not_null=True), column("c", "text", collation=["pg_catalog", "C"])]
    assert schema.likeness("odd s", "t", columns, ['a"b']) == (
        'CREATE TABLE "odd s"."t" ("a""b" integer NOT NULL, "c" text COLLATE "pg_catalog"."C", PRIMARY KEY ("a""b"))')
    assert schema.likeness("s", "t", [column("c", "text")], []) == 'CREATE TABLE "s"."t" ("c" text)'
