# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a dump's table of contents that makes up some tables or schemas."""

from __future__ import annotations

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import dump_toc

#: As pg_restore --list --verbose prints it.
LISTING = """;
; Archive created at 2026-11-22 19:16:16 UTC
;     Dumped from database version: 15.18 (Debian 15.18-0+deb12u1)
;     Dumped by pg_dump version: 17.6 (Debian 17.6-0+deb13u1)
;
1; 0 0 ENCODING - ENCODING
2; 2615 1 SCHEMA - x postgres
3; 2615 2 SCHEMA - x y postgres
4; 0 0 COMMENT - SCHEMA x postgres
;	depends on: 2
5; 0 0 ACL - SCHEMA x y postgres
;	depends on: 3
6; 1255 3 FUNCTION public f() postgres
10; 1259 4 TABLE x t postgres
;	depends on: 2
11; 0 0 COMMENT x COLUMN t.g postgres
;	depends on: 10
12; 0 0 ACL x TABLE t postgres
;	depends on: 10
13; 1259 5 SEQUENCE x t_id_seq postgres
;	depends on: 10 2
14; 0 0 SEQUENCE OWNED BY x t_id_seq postgres
;	depends on: 13
15; 2604 6 DEFAULT x t id postgres
;	depends on: 13 10 10
20; 1259 7 TABLE public y postgres
;	depends on: 13
21; 2604 8 DEFAULT public y z postgres
;	depends on: 13 20
22; 2606 9 FK CONSTRAINT public y y_fkey postgres
;	depends on: 33 10 20
23; 2618 10 RULE public y r postgres
;	depends on: 20 10
24; 1259 11 VIEW public v postgres
;	depends on: 10
30; 0 4 TABLE DATA x t postgres
;	depends on: 10
31; 0 7 TABLE DATA public y postgres
;	depends on: 20
32; 0 0 SEQUENCE SET x t_id_seq postgres
;	depends on: 13
33; 2606 12 CONSTRAINT x t t_pkey postgres
;	depends on: 10
34; 1259 13 INDEX x i postgres
;	depends on: 10
35; 2620 14 TRIGGER x t tr postgres
;	depends on: 10 6
36; 3381 15 STATISTICS public es postgres
;	depends on: 10 10
37; 6104 16 PUBLICATION - pu postgres
38; 6106 17 PUBLICATION TABLE x pu t postgres
;	depends on: 37 10
40; 1259 18 TABLE public p postgres
41; 1259 19 TABLE x p 1 postgres
;	depends on: 40
42; 0 0 TABLE ATTACH x p 1 postgres
;	depends on: 40 41
43; 0 19 TABLE DATA x p 1 postgres
;	depends on: 41
44; 2606 20 CONSTRAINT public p p_pkey postgres
;	depends on: 40
45; 2606 21 CONSTRAINT x p 1 p1_pkey postgres
;	depends on: 41 44
46; 0 0 INDEX ATTACH x p1_pkey postgres
;	depends on: 44 45 41 40
"""
CONTENTS = dump_toc.parse(LISTING)


def test_the_program_that_made_it_and_all_entries_are_read() -> None:
    assert CONTENTS.made_by == 17
    assert len(CONTENTS.entries) == sum(line[:1].isdigit() for line in LISTING.splitlines())
    assert dump_toc.parse("").entries == []


@pytest.mark.parametrize(("relation", "named", "expected"), [
    (("x", "t"), {10, 11, 12, 30}, {10, 11, 12, 13, 14, 15, 30, 32, 33, 34, 35, 36}),
    (("public", "y"), {20, 31}, {20, 21, 22, 23, 31}),
    (("public", "p"), {40}, {40, 41, 42, 43, 44, 45, 46}),
    (("x", "p 1"), {41, 43}, {41, 43, 45}),
    (("x", "t_id_seq"), {13}, {13, 14, 32}), (("public", "v"), {24}, {24}), (("public", "no"), set(), set()),
])
def test_a_table_is_all_that_is_part_of_it_and_nothing_of_others(relation: tuple[str, str], named: set[int],
                                                                 expected: set[int]) -> None:
    assert dump_toc.of_table(CONTENTS, frozenset(named), relation) == expected


@pytest.mark.parametrize(("schema", "expected"), [("x", {2, 4}), ("x y", {3, 5}), ("y", set()), ("public", set())])
def test_a_schema_is_itself_with_its_comment_and_privileges(schema: str, expected: set[int]) -> None:
    assert dump_toc.of_schema(CONTENTS, schema) == expected


def test_publications_are_in_no_schema() -> None:
    assert dump_toc.in_schema(CONTENTS, frozenset({10, 30, 38})) == {10, 30}


def test_the_list_for_pg_restore_is_in_the_order_of_the_archive() -> None:
    assert dump_toc.listing(CONTENTS, [30, 10]) == "10; 0 0 TABLE x t postgres\n30; 0 0 TABLE DATA x t postgres\n"
