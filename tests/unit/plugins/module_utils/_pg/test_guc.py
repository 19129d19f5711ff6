# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings: what is written is read back, and only what means the same counts as the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import guc
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError

VALUE = st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]))
NAMES = st.sampled_from(["work_mem", "port", "pg_stat_statements.track", "log_line_prefix"])


@given(VALUE)
def test_what_is_rendered_is_read_back(value: str) -> None:
    assert guc.parse("a = %s\nb = 1\n" % guc.render(value)) == {"a": value, "b": "1"}


@given(st.one_of(st.integers(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_and_booleans_are_written_as_the_server_reads_them(value: bool | int | float) -> None:
    text = guc.parse("a = %s" % guc.render(value))["a"]
    assert text == ("on" if value else "off") if isinstance(value, bool) else type(value)(text) == value


@pytest.mark.parametrize(("value", "text"), [
    (True, "on"), (100, "100"), ("128MB", "128MB"), (0.9, "0.9"), ("replica", "replica"), ("1.5GB", "'1.5GB'"), ("", "''"),
    ("a b", "'a b'"), ("it's", "'it''s'"), ("a\\n", "'a\\\\n'"), ("1e5", "'1e5'"), ("$libdir/x", "'$libdir/x'"),
    ("1\u0663", "'1\u0663'"),
])
def test_quotes_are_where_the_grammar_needs_them(value: object, text: str) -> None:
    assert guc.render(value) == text


@pytest.mark.parametrize("value", [["a"], {"a": 1}, None, ("a",)])
def test_what_is_no_value_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="write lists as one text"):
        guc.render(value)


@pytest.mark.parametrize("char", "\n\r\0")
def test_a_line_break_is_refused(char: str) -> None:
    with pytest.raises(InputError, match="line break or a NUL"):
        guc.render("a%sport = 1" % char)


@pytest.mark.parametrize(("line", "found"), [
    ("port = 5440", {"port": "5440"}), ("port 5440", {"port": "5440"}), ("port=5440#x", {"port": "5440"}),
    ("  PORT\t=\t'5440' # x", {"port": "5440"}), ("port'5440'", {"port": "5440"}), ("a.b = 'x''y\\'z'", {"a.b": "x'y'z"}),
    (r"a = '\t\101\8\\'", {"a": "\tA8\\"}), ("# port = 1", {}), ("", {}), ("port", {}), ("port = a b", {}), ("port = '1", {}),
    ("include 'other.conf'", {}), ("include_dir = 'conf.d'", {}), ("include_if_exists 'x'", {}), ("port = 1\r", {"port": "1"}),
    ("a = 1\na = 2", {"a": "2"}), ("a = 'x\x85y\u2028z\x0cw'", {"a": "x\x85y\u2028z\x0cw"}),
])
def test_lines_are_read_by_the_grammar_of_the_server(line: str, found: dict[str, str]) -> None:
    assert guc.parse(line) == found


@given(st.text())
def test_no_text_is_too_odd_to_be_read(text: str) -> None:
    guc.parse(text)
    guc.parse("a = '%s'" % text)


@given(st.dictionaries(NAMES, VALUE), st.dictionaries(NAMES, st.one_of(st.none(), VALUE)))
def test_an_edit_sets_and_removes_what_it_names_and_keeps_the_rest(present: dict[str, str],
                                                                   changes: dict[str, str | None]) -> None:
    text = "# first\n" + "".join("%s = %s\n" % (name, guc.render(value)) for name, value in present.items())
    edited = guc.edit(text, changes)
    wanted = {name: value for name, value in {**present, **changes}.items() if value is not None}
    assert guc.parse(edited) == wanted
    assert guc.edit(edited, changes) == edited
    untouched = [line for line in text.split("\n")[:-1] if line.split(" ")[0] not in changes]
    assert [line for line in edited.split("\n") if line in untouched] == untouched


@pytest.mark.parametrize(("text", "edited"), [("", ""), ("a = 1", "a = 1\n"), ("\n\na = 1\n\n", "\n\na = 1\n\n")])
def test_an_edit_of_nothing_keeps_every_line(text: str, edited: str) -> None:
    assert guc.edit(text, {"b": None}) == edited


def test_a_setting_that_is_right_keeps_its_line() -> None:
    assert guc.edit("Port = '1' # mine\nx=2\n", {"port": "1", "x": "3"}) == "Port = '1' # mine\nx = '3'\n"


@pytest.mark.parametrize(("wanted", "shown", "vartype", "unit"), [
    ("100", "100", "integer", None), ("128MB", "16384", "integer", "8kB"), ("1GB", "1024", "integer", "MB"),
    ("1min", "60", "integer", "s"),
    ("1.5s", "1500", "integer", "ms"), ("0.5h", "30", "integer", "min"), ("2e2", "200", "integer", None),
    ("0.90", "0.9", "real", None),
    ("TRUE", "on", "bool", None), ("no", "off", "bool", None), ("1", "on", "bool", None), ("Replica", "replica", "enum", None),
    ("a", "a", "string", None),
])
def test_spellings_of_one_value_are_the_same(wanted: str, shown: str, vartype: str, unit: str | None) -> None:
    assert guc.same(wanted, shown, vartype, unit)


@pytest.mark.parametrize(("wanted", "shown", "vartype", "unit"), [
    ("100", "101", "integer", None), ("128kB", "16384", "integer", "8kB"), ("128mb", "16384", "integer", "8kB"),
    ("1m", "60", "integer", "s"),
    ("yes", "off", "bool", None), ("maybe", "on", "bool", None), ("A", "a", "string", None), ("", "0", "integer", None),
    ("minimal", "replica", "enum", None), ("0x10", "16", "integer", None),
])
def test_what_differs_or_is_doubtful_is_not_the_same(wanted: str, shown: str, vartype: str, unit: str | None) -> None:
    assert not guc.same(wanted, shown, vartype, unit)
