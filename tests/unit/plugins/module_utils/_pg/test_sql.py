# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQL text: a name stays a name and a text stays a text, whatever they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import sql
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError

NAME = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=15)


@given(NAME)
def test_an_identifier_is_one_quoted_name(name: str) -> None:
    quoted = sql.ident(name)
    assert quoted[0] == quoted[-1] == '"'
    assert '"' not in quoted[1:-1].replace('""', "")
    assert quoted[1:-1].replace('""', '"') == name


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_literal_is_one_quoted_text(text: str) -> None:
    quoted = sql.literal(text)
    assert quoted[0] == quoted[-1] == "'"
    assert "'" not in quoted[1:-1].replace("''", "")
    assert quoted[1:-1].replace("''", "'") == text


@given(NAME, NAME)
def test_a_quoted_relation_name_is_split_into_its_parts(schema: str, name: str) -> None:
    assert sql.split_name(sql.qualified(schema, name)) == (schema, name)
    assert sql.split_name(sql.ident(name), "other") == ("other", name)


@pytest.mark.parametrize(("text", "parts"), [
    ("orders", ["public", "orders"]), ("Orders", ["public", "Orders"]), ("sales.orders", ["sales", "orders"]),
    ('"a.b"."c""d"', ["a.b", 'c"d']), ('sales."a b"', ["sales", "a b"]), ("a b.c", ["a b", "c"])])
def test_bare_parts_keep_their_case(text: str, parts: list[str]) -> None:
    assert list(sql.split_name(text)) == parts


@pytest.mark.parametrize("text", ["", "a.", ".a", "a.b.c", '""', '"a', '"a"b', '"a"."b', "a..b"])
def test_what_is_no_relation_name_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="relation name"):
        sql.split_name(text)


@pytest.mark.parametrize(("name", "told"), [("", "empty"), ("a\0", "NUL"), ("a" * 64, "63 bytes"), ("\u00e9" * 32, "63 bytes")])
def test_a_name_that_the_server_would_change_is_refused(name: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        sql.ident(name)


def test_63_bytes_are_a_name() -> None:
    assert sql.ident("\u00e9" * 31 + "a") == '"%s"' % ("\u00e9" * 31 + "a")


def test_a_statement_is_secret_exactly_when_it_is_not_shown_as_it_is() -> None:
    assert not sql.statement("SELECT 1").secret
    assert sql.statement("SELECT 'x'", "SELECT '%s'" % sql.MASK).secret


def test_literals_of_other_kinds() -> None:
    assert (sql.literal(None), sql.boolean(True), sql.boolean(False), sql.idents(["a", "b"])) == ("NULL", "true", "false",
                                                                                                  '"a", "b"')
    with pytest.raises(InputError, match="NUL"):
        sql.literal("a\0")
