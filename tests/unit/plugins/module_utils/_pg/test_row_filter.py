# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Row filters: what is one expression, which columns it names, how EXPLAIN's answer is read."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import row_filter
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError


@pytest.mark.parametrize("where", [
    "total > 0", "(a) AND (b)", "a = ')'", 'a = ";"', "\"a;b\" > 1", "\"a\"\")\" > 1", "a = E'it\\'s ;'", "a = e'\\\\'",
    "a = 'it''s --'", "a = $$;)$$", "a = $x$ $$ ; $y$ $x$", "a = U&'\\0061;'", "col$1$ > 0", "name' ' = ''", "a - -1 > 0",
    "a = '\\'", "ä_ö > 0", "a = 'x'\n 'y;'", "nameE'\\' = ';'",
])
def test_one_expression_is_taken_as_it_is(where: str) -> None:
    assert row_filter.check(f" {where}\n", "t") == where


@pytest.mark.parametrize(("where", "wrong"), [
    ("", "nothing"), (" \n", "nothing"), ("a;b", "a semicolon"), ("a) OR (b", "a closing parenthesis"), ("(a", "an opening"),
    ("a -- b", "a comment"), ("a /* b */", "a comment"), ("a @-- b", "a comment"), ("a = 'x", "a quote"),
    ('"a', "a quote"), ('"" = 1', "a quote"), ("a = E'x\\'", "a quote"), ("a = e'x''", "a quote"),
    ("$1 = a", "a quote, a dollar"),
    ("a = $x$ b $y$", "a quote, a dollar"), ("a\0", "a quote, a dollar or a NUL"),
    ("E'a''b\\'", "a quote"), ("E'a'\n'b\\'", "a quote"), ("E'a' \r\n '\\' ; '", "a quote"), ("a''' ;", "a quote"),
])
def test_what_may_be_more_than_one_expression_is_refused(where: str, wrong: str) -> None:
    with pytest.raises(InputError, match="of the table t holds " + wrong):
        row_filter.check(where, "t")


PIECES = st.lists(st.sampled_from(["'", '"', "E'", "\\", "\n", " ", "$$", "$x$", "(", ")", ";", "--", "a", "E", "1"]),
                  max_size=12)


def lexed(text: str) -> str:
    """What a server would see of a text outside of quotes: an independent, slower lexer, one character at a time."""
    seen, index = "", 0
    while index < len(text):
        rest = text[index:]
        # A word that follows a number needs nothing between them.
        starts_word = not re.search(r"[^\W\d][\w$]*\Z", seen)
        if rest[0] == "'" or (rest[:2] in ("E'", "e'") and starts_word):
            index = after_string(text, index + (rest[0] != "'"), rest[0] != "'")
            seen += "'"
        elif rest[0] == '"':
            index = after_string(text, index, False, '"')
            seen += "'"
        elif rest[0] == "$" and starts_word and any(rest.startswith(tag) for tag in ("$$", "$x$")):
            tag = "$$" if rest.startswith("$$") else "$x$"
            end = text.find(tag, index + len(tag))
            if end < 0:
                return seen + "UNFINISHED"
            index, seen = end + len(tag), seen + "'"
        else:
            seen, index = seen + rest[0], index + 1
        if index < 0:
            return seen + "UNFINISHED"
    return seen


def after_string(text: str, start: int, escapes: bool, quote: str = "'") -> int:
    """The place after a quoted piece that begins at start, -1 when it does not end."""
    index = start + 1
    while index < len(text):
        if escapes and text[index] == "\\":
            index += 2
        elif text[index] != quote:
            index += 1
        elif text[index + 1:index + 2] == quote:
            index += 2
        else:
            rest = text[index + 1:]
            blank = rest[:len(rest) - len(rest.lstrip(" \n"))]
            if not (escapes and "\n" in blank and rest.lstrip(" \n").startswith("'")):
                return index + 1
            index += len(blank) + 2
    return -1


@given(PIECES.map("".join))
@example("1$$'$x$$x$")
@example("1E'\\''")
def test_what_is_accepted_has_nothing_dangerous_outside_of_quotes(text: str) -> None:
    try:
        row_filter.check(text, "t")
    except InputError:
        return
    seen = lexed(text)
    assert "UNFINISHED" not in seen
    assert ";" not in seen
    assert "--" not in seen
    depth = 0
    for char in seen:
        depth += (char == "(") - (char == ")")
        assert depth >= 0
    assert depth == 0


@pytest.mark.parametrize(("where", "names"), [
    ("Total > 0 AND \"Odd \"\"x\" IS NOT NULL", ["Odd \"x", "total"]),
    ("lower(v) = 'x'", ["v"]),
    ("pg_catalog.lower(t.v) = 'x'", ["v"]),
    ("cast(a AS text) || b::varchar COLLATE \"C\" > 'x'", ["a", "b"]),
    ("d > date '2020-01-01' OR e IN (1, 2)", ["d", "e"]),
    ("true", []),
    ("\"and\" > 1", ["and"]),
    ("a = 'b' AND c = $$d$$", ["a", "c"]),
])
def test_names_are_those_that_can_be_columns(where: str, names: list[str]) -> None:
    assert list(row_filter.names(where)) == names


def test_a_query_tags_each_pair_and_its_answer_is_read_by_tag() -> None:
    pairs = [row_filter.Pair("s", 't"', "(a = 1)", "a=1"), row_filter.Pair("s", "u", "NULL", "b")]
    assert row_filter.explain(pairs) == (
        "EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON)"
        " SELECT 0, ((a = 1)) IS TRUE, (a=1) IS TRUE FROM json_populate_record(NULL::\"s\".\"t\"\"\", '{}') AS \"t\"\"\""
        " UNION ALL SELECT 1, (NULL) IS TRUE, (b) IS TRUE FROM json_populate_record(NULL::\"s\".\"u\", '{}') AS \"u\"")
    answer = [{"Plan": {"Node Type": "Append", "Plans": [
        {"Node Type": "Function Scan", "Output": ["1", "false", "(u.b IS TRUE)"]},
        {"Node Type": "Function Scan", "Output": ["0", "((t.a = 1) IS TRUE)", "((t.a = 1) IS TRUE)"]}]}}]
    assert row_filter.same(pairs, answer) == [True, False]


def test_collations_are_compared_apart_since_explain_leaves_them_out() -> None:
    def same(stored: str, wanted: str) -> bool:
        answer = [{"Plan": {"Node Type": "Function Scan", "Output": ["0", "same", "same"]}}]
        return row_filter.same([row_filter.Pair("s", "t", stored, wanted)], answer)[0]

    assert same('((a COLLATE "C") > \'x\'::text)', "a collate pg_catalog.\"C\" > 'x'")
    assert not same('((a COLLATE "C") > \'x\'::text)', "a collate \"POSIX\" > 'x'")
    assert not same('(a > \'x\'::text)', "a collate \"C\" > 'x'")
    assert same("(a = ' collate x'::text)", "a = ' collate x'")
