# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of pg_hba.conf: each is one line, and a name in it means the name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import hba
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError

ENTRY: dict[str, Any] = {"type": "host", "database": "shop", "user": "me", "address": "10.0.0.0/8", "method": "scram-sha-256"}
NAME = st.text(st.characters(exclude_characters="\0\r\n,", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name == name.strip())


def fields(line: str) -> list[list[tuple[str, bool]]]:
    """Split a line as the server does: blanks end a field, commas a name; with each name, whether it begins with a quote."""
    found: list[list[tuple[str, bool]]] = []
    index = 0
    while index < len(line):
        if line[index] in " \t":
            index += 1
            continue
        names = [""]
        starts = [index]
        inside = False
        while index < len(line) and (inside or line[index] not in " \t"):
            char = line[index]
            if char == '"' and inside and line[index + 1:index + 2] == '"':
                names[-1] += '"'
                index += 1
            elif char == '"':
                inside = not inside
            elif char == "," and not inside:
                names.append("")
                starts.append(index + 1)
            else:
                names[-1] += char
            index += 1
        assert not inside, line
        found.append([(name, line[start] == '"') for name, start in zip(names, starts)])
    return found


@given(st.lists(NAME, min_size=1, max_size=3), st.lists(NAME, min_size=1, max_size=3))
def test_a_name_stays_one_field_and_means_itself(databases: list[str], users: list[str]) -> None:
    line = hba.line({**ENTRY, "database": ",".join(databases), "user": ",".join(users)})
    kind, found_databases, found_users, address, method = fields(line)
    assert [name for name, _quoted in found_databases] == databases
    assert [name for name, _quoted in found_users] == users
    assert [kind, address, method] == [[(text, False)] for text in ("host", "10.0.0.0/8", "scram-sha-256")]
    for name, quoted in found_databases + found_users:
        assert quoted or name.replace("_", "a").isalnum(), "a bare name with a sign may be a group, a file or a pattern"


@given(NAME)
def test_the_value_of_an_option_stays_in_its_field(value: str) -> None:
    line = hba.line({**ENTRY, "method": "ldap", "options": {"ldapprefix": value, "ldapport": 389}})
    assert fields(line)[5:] == [[("ldapport=389", False)], [("ldapprefix=" + value, False)]]


@pytest.mark.parametrize(("entry", "line"), [
    ({}, "host shop me 10.0.0.0/8 scram-sha-256"),
    ({"database": "all", "user": "all"}, "host all all 10.0.0.0/8 scram-sha-256"),
    ({"database": "replication", "user": "replication"}, 'host replication "replication" 10.0.0.0/8 scram-sha-256'),
    ({"database": "a,all", "user": "sameuser,+group"}, 'host a,all "sameuser","+group" 10.0.0.0/8 scram-sha-256'),
    ({"database": 'o"dd'}, 'host "o""dd" me 10.0.0.0/8 scram-sha-256'),
    ({"type": "local", "address": None, "method": "peer", "options": {"map": "m"}}, "local shop me peer map=m"),
    ({"type": "hostssl", "address": "::1/128", "method": "cert"}, "hostssl shop me ::1/128 cert"),
    ({"address": ".example.org"}, "host shop me .example.org scram-sha-256"),
])
def test_a_line_is_as_the_manual_writes_it(entry: dict[str, Any], line: str) -> None:
    assert hba.line({**ENTRY, **entry}) == line


@pytest.mark.parametrize(("entry", "told"), [
    ({"type": "Host"}, "type 'Host'"), ({"method": "trust"}, "trust and password are not offered"),
    ({"method": "password"}, "trust and password are not offered"), ({"type": "local"}, "local has no address"),
    ({"address": ""}, "host needs an address"), ({"address": "a b"}, "address 'a b'"), ({"address": "a\nhost"}, "address"),
    ({"user": "a\nhost all all all trust"}, "line break"), ({"database": "a\0"}, "NUL"), ({"database": "a\rb"}, "line break"),
    ({"options": {"map=x y": "m"}}, "option 'map=x y'"), ({"options": {"map": "m\n"}}, "line break"),
])
def test_what_would_be_another_line_or_let_anyone_in_is_refused(entry: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        hba.line({**ENTRY, **entry})


@pytest.mark.parametrize("names", ["shop, dwh", "shop,", " ,shop"])
def test_a_blank_or_nothing_beside_a_comma_is_refused(names: str) -> None:
    with pytest.raises(InputError, match="beside a comma"):
        hba.line({"type": "host", "database": names, "user": "all", "address": "samehost", "method": "reject"})
