# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``synchronous_standby_names``: how it is read, and what it proves, against a model of whom commits wait for."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg.quorum import Rule, parse

NAMES = ("n1", "n2", "n3", "n4")


@pytest.mark.parametrize(("text", "method", "count", "names"), [
    ("a", "FIRST", 1, ("a",)),
    (" a , b ", "FIRST", 1, ("a", "b")),
    ("*", "FIRST", 1, ("*",)),
    ("2 (s1,s2, s3)", "FIRST", 2, ("s1", "s2", "s3")),
    ("FIRST 1 (a)", "FIRST", 1, ("a",)),
    ('any 2(node_2,"No de""3",5)', "ANY", 2, ("node_2", 'No de"3', "5")),
    ('1, "("', "FIRST", 1, ("1", "(")),
    ('ANY 1 ("a(b,c)", "first", ä$1)', "ANY", 1, ("a(b,c)", "first", "ä$1")),
])
def test_each_form_is_read(text: str, method: str, count: int, names: tuple[str, ...]) -> None:
    assert parse(text) == Rule(method, count, names)


@pytest.mark.parametrize("text", ["", "  "])
def test_without_names_no_commit_waits(text: str) -> None:
    assert parse(text) is None


def test_names_are_the_same_whatever_their_case_and_a_star_is_everybody() -> None:
    assert Rule("ANY", 1, ("Node2",)).lists("nODE2")
    assert not Rule("ANY", 1, ("node2",)).lists("node3")
    assert Rule("FIRST", 1, ("*",)).lists("anybody")


def acknowledgers(rule: Rule, connected: tuple[str, ...]) -> list[set[str]]:
    """The sets of standbys each of which suffices for a commit (documentation, chapter 26.2.8), the model of the tests."""
    listed = [name for name in rule.names if name in connected]
    if len(listed) < rule.needed:
        return []
    return [set(listed[:rule.needed])] if rule.method == "FIRST" else [set(one) for one in combinations(listed, rule.needed)]


def subsets(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [one for size in range(len(names) + 1) for one in combinations(names, size)]


RULES = st.builds(lambda method, count, names: Rule(method, count, tuple(names)), st.sampled_from(["FIRST", "ANY"]),
                  st.integers(1, 4), st.lists(st.sampled_from([*NAMES, "primary"]), min_size=1, unique=True))
SOME = st.lists(st.sampled_from(NAMES), unique=True).map(tuple)


@given(RULES, SOME)
def test_what_is_proven_is_what_no_commit_escapes(rule: Rule, seen: tuple[str, ...]) -> None:
    """Whoever was connected when a commit was acknowledged: one of those who acknowledged it is seen, or it is not proven."""
    escapes = [ackers for connected in subsets(NAMES) for ackers in acknowledgers(rule, connected) if not ackers & set(seen)]
    assert rule.proves(seen, "primary") == (not escapes)


@given(RULES, SOME)
def test_commits_are_acknowledged_as_long_as_enough_are_connected(rule: Rule, connected: tuple[str, ...]) -> None:
    assert rule.is_met_by(connected) == bool(acknowledgers(rule, connected))


def test_a_star_proves_nothing_since_whatever_receives_wal_may_have_acknowledged() -> None:
    assert not Rule("ANY", 1, ("*",)).proves(NAMES, "primary")
    assert not Rule("FIRST", 1, ("n1", "*")).proves(NAMES, "primary")


def test_a_primary_that_is_not_known_counts_as_one_that_is_not_seen() -> None:
    rule = Rule("ANY", 1, ("n1", "n2"))
    assert rule.proves(("n2",), "n1")
    assert not rule.proves(("n2",), "")
