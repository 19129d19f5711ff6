# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection strings and passfiles: what is written is read back, by us and by libpq."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg2.extensions import parse_dsn

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import conninfo
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.sql import MASK

#: Those that every libpq at hand knows.
COMMON = ("host", "port", "dbname", "user", "password", "passfile", "options", "application_name", "sslmode", "sslcert")
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
FIELD = st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), min_size=1)


@given(st.dictionaries(st.sampled_from(COMMON), TEXT))
def test_what_is_rendered_is_read_back_by_us_and_by_libpq(keywords: dict[str, str]) -> None:
    text = conninfo.render(keywords)
    assert conninfo.parse(text) == keywords
    assert parse_dsn(text) == keywords


@given(st.lists(st.tuples(st.sampled_from(COMMON), st.text("ab=/'\\ \t1.", max_size=6)), max_size=3))
def test_whatever_form_we_accept_libpq_reads_alike(pairs: list[tuple[str, str]]) -> None:
    text = " ".join("%s = %s" % pair for pair in pairs)
    try:
        found = conninfo.parse(text)
    except InputError:
        return
    # Which keywords there are is for libpq to know.
    if set(found) <= set(COMMON):
        assert parse_dsn(text) == found


@pytest.mark.parametrize("text", [
    "", "  ", "host=a", "host = a  port= 5432", "host='' port=1", r"password='it\'s' user=a\ b", r"user=a\\b", "user=it's",
    "postgresql://", "postgresql:///shop", "postgres://node1", "postgresql://node1:5440/shop", "postgresql://me@node1/shop",
    "postgresql://me:p%40ss%3A@node1:5440/shop?sslmode=require&application_name=a%20b", "postgresql://[2001:db8::1]:5440/shop",
    "postgresql://node1:1,node2:2/shop?target_session_attrs=read-write", "postgresql://%2Fvar%2Frun/shop",
    "postgresql:///shop?host=/tmp&port=5440", "postgresql://node1?application_name=a+b;c", "postgresql://node1/shop?options=",
])
def test_both_forms_are_read_as_libpq_reads_them(text: str) -> None:
    assert conninfo.parse(text) == parse_dsn(text)


@pytest.mark.parametrize("text", ["host", "host='a", "=a", "password='s3cret' x", r"host='a\'"])
def test_what_is_no_connection_string_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(InputError, match=r"from its character \d+ on") as refusal:
        conninfo.parse(text)
    assert "s3cret" not in str(refusal.value)


def test_a_keyword_without_a_value_is_left_out_and_a_boolean_is_a_digit() -> None:
    assert conninfo.render({"host": None, "keepalives": True, "sslcompression": False, "port": 5432}) == (
        "keepalives=1 sslcompression=0 port=5432")


@pytest.mark.parametrize(("keywords", "told"), [
    ({"host=x user": "a"}, "host=x user"), ({"Host": "a"}, "Host"), ({"password": "a\0s3cret"}, "keyword password holds a NUL"),
])
def test_what_no_connection_string_can_hold_is_refused(keywords: dict[str, str], told: str) -> None:
    with pytest.raises(InputError, match=told) as refusal:
        conninfo.render(keywords)
    assert "s3cret" not in str(refusal.value)


def test_an_option_is_left_with_what_was_given() -> None:
    assert conninfo.given({"host": "a", "port": None, "options": ""}) == {"host": "a", "options": ""}
    assert conninfo.given(None) == {}


@pytest.mark.parametrize("key", conninfo.SECRETS)
def test_every_secret_is_masked_and_nothing_else(key: str) -> None:
    assert conninfo.masked({"host": "a", "port": 5432, key: "s3cret", "user": None}) == {
        "host": "a", "port": "5432", key: MASK}


def test_every_keyword_is_an_option_and_only_secrets_are_hidden() -> None:
    options = conninfo.SPEC["options"]
    assert set(options) == set(conninfo.KEYWORDS) | set(conninfo.SECRETS)
    assert {key for key, option in options.items() if option["no_log"]} == set(conninfo.SECRETS)


def fields_as_libpq_reads_them(line: str) -> list[str]:
    """Split at colons without a backslash before them; a backslash makes the next character itself (chapter 32.16)."""
    return [re.sub(r"\\(.)", r"\1", field, flags=re.DOTALL) for field in re.findall(r"((?:[^:\\]|\\.)+)(?::|\Z)", line,
                                                                                    re.DOTALL)]


@given(st.lists(st.tuples(FIELD, FIELD, FIELD, FIELD, FIELD), max_size=3))
def test_the_fields_of_a_passfile_stay_five(rows: list[tuple[str, ...]]) -> None:
    names = ("host", "port", "database", "user", "password")
    text = conninfo.passfile([dict(zip(names, row)) for row in rows])
    assert [fields_as_libpq_reads_them(line) for line in text.split("\n")[:-1]] == [list(row) for row in rows]


@pytest.mark.parametrize("char", "\n\r\0")
def test_a_line_break_in_a_passfile_is_refused_without_the_password(char: str) -> None:
    entry = {"host": "node1", "port": "5432", "database": "*", "user": "me", "password": "s3cret" + char}
    with pytest.raises(InputError, match="'me' at node1:5432 holds a line break") as refusal:
        conninfo.passfile([entry])
    assert "s3cret" not in str(refusal.value)


def test_plain_values_stay_readable() -> None:
    plain = string.ascii_letters + string.digits + "_./,:@%+*-"
    assert conninfo.render({"host": plain}) == "host=" + plain
