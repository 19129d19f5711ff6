# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles: what is refused, and the way from every role to what is wanted, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import rights, roles, scram
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError

OPTIONS: dict[str, Any] = {
    "name": "repl", "state": "present", "password": None, "login": None, "replication": None, "connection_limit": None,
    "valid_until": None, "member_of": None, "comment": None, "may": None, "login_planned": False,
}
ROLE = roles.Role(superuser=False, login=True, replication=True, connection_limit=-1, valid_until="infinity", comment="",
                  grants=frozenset(), password=None, dependents={})


def wanted(**options: Any) -> roles.Wanted:
    return roles.desired({**OPTIONS, **options})


def current(role: roles.Role | None, **facts: Any) -> roles.Current:
    known = {"version_num": 160000, "user": "postgres", "reads_passwords": True, "iterations": 7, "valid_until": None,
             "known": frozenset({"a", "b"})}
    return roles.Current(role, **{**known, **facts})


def texts(found: roles.Current, **options: Any) -> list[str]:
    return [step.text for step in roles.plan(found, wanted(**options)).steps]


def test_a_new_role_may_log_in_and_replicate_unless_told_otherwise() -> None:
    assert texts(current(None)) == ['CREATE ROLE "repl" LOGIN REPLICATION']
    assert texts(current(None), login=False, replication=False) == ['CREATE ROLE "repl" NOLOGIN NOREPLICATION']


def test_options_that_are_not_given_are_left_alone() -> None:
    odd = ROLE._replace(login=False, replication=False, connection_limit=5, comment="x", grants=frozenset({("a", "p")}))
    assert roles.plan(current(odd), wanted()).steps == ()


@pytest.mark.parametrize(("options", "text"), [
    ({"login": False}, 'ALTER ROLE "repl" NOLOGIN'),
    ({"replication": False}, 'ALTER ROLE "repl" NOREPLICATION'),
    ({"connection_limit": 0}, 'ALTER ROLE "repl" CONNECTION LIMIT 0'),
    ({"comment": "it's"}, "COMMENT ON ROLE \"repl\" IS 'it''s'"),
    ({"member_of": ["b", "a"]}, 'GRANT "a", "b" TO "repl"'),
])
def test_each_option_changes_what_it_says(options: dict[str, Any], text: str) -> None:
    assert texts(current(ROLE), **options) == [text]


def test_a_time_is_compared_as_the_server_reads_it() -> None:
    role = ROLE._replace(valid_until="2030-01-01 00:00:00+00")
    same = current(role, valid_until="2030-01-01 00:00:00+00")
    other = current(role, valid_until="2031-01-01 00:00:00+00")
    assert texts(same, valid_until="2030-01-01T01:00:00+01") == []
    assert texts(other, valid_until="2031-01-01") == ["ALTER ROLE \"repl\" VALID UNTIL '2031-01-01 00:00:00+00'"]


def test_memberships_are_exactly_those_given() -> None:
    role = ROLE._replace(grants=frozenset({("a", "x"), ("c", "x"), ("c", "y"), ("d", "x")}))
    assert texts(current(role), member_of=["a", "b"]) == [
        'GRANT "b" TO "repl"', 'REVOKE "c", "d" FROM "repl" GRANTED BY "x"', 'REVOKE "c" FROM "repl" GRANTED BY "y"']


def test_before_version_16_a_membership_has_one_grantor() -> None:
    role = ROLE._replace(grants=frozenset({("a", "x"), ("c", "x"), ("d", "y")}))
    assert texts(current(role, version_num=150000), member_of=["a"]) == ['REVOKE "c", "d" FROM "repl"']


def test_the_right_password_is_no_change() -> None:
    role = ROLE._replace(password=scram.verifier("right", 3))
    assert texts(current(role), password="right") == []
    assert texts(current(role), password=role.password) == []


@pytest.mark.parametrize(("stored", "said"), [
    (None, "none"), ("md5" + "0" * 32, "an md5 hash"), (scram.verifier("wrong", 3), "another"),
    (scram.verifier("wrong", 7), "another")])
def test_any_other_password_is_one_change_with_the_servers_iterations(stored: str | None, said: str) -> None:
    plan = roles.plan(current(ROLE._replace(password=stored)), wanted(password="right"))
    assert len(plan.steps) == 1
    made = plan.steps[0].text.split("'")[1]
    assert scram.matches(made, "right")
    assert scram.iterations_of(made) == 7
    assert plan.steps[0].shown == "ALTER ROLE \"repl\" PASSWORD '********'"
    assert (plan.before["password"], plan.after["password"]) == (said, "as given")


def test_a_verifier_is_stored_as_given() -> None:
    given_verifier = scram.verifier("x", 3)
    assert texts(current(None), password=given_verifier) == [
        f"CREATE ROLE \"repl\" LOGIN REPLICATION PASSWORD '{given_verifier}'"]


def test_a_password_that_cannot_be_compared_is_an_error_and_not_a_change() -> None:
    with pytest.raises(StateError, match="may not read pg_authid"):
        roles.plan(current(ROLE, reads_passwords=False, user="admin"), wanted(password="x"))


def test_planning_twice_gives_the_same_statement() -> None:
    asked = wanted(password="x")
    assert roles.plan(current(None), asked) == roles.plan(current(None), asked)


@pytest.mark.parametrize("options", [{"login": False}, {"replication": False}, {"state": "absent"}])
def test_a_superuser_is_never_lowered(options: dict[str, Any]) -> None:
    with pytest.raises(StateError, match="is a superuser"):
        roles.plan(current(ROLE._replace(superuser=True)), wanted(**options))


@given(st.booleans(), st.booleans(), st.one_of(st.none(), st.booleans()), st.one_of(st.none(), st.integers(-1, 9)),
       st.one_of(st.none(), st.sets(st.sampled_from("ab"))), st.one_of(st.none(), st.text(max_size=5)))
def test_no_statement_ever_names_superuser(superuser: bool, login: bool, want_login: bool | None, limit: int | None,
                                           groups: set[str] | None, comment: str | None) -> None:
    role = ROLE._replace(superuser=superuser, login=login)
    options = {"login": want_login, "connection_limit": limit, "member_of": None if groups is None else sorted(groups),
               "comment": comment and comment.replace("\0", "")}
    try:
        found = texts(current(role), **options)
    except StateError:
        assert superuser
        assert want_login is False
    else:
        assert all("SUPERUSER" not in text.replace(str(options["comment"]), "") for text in found)


def test_a_role_that_something_depends_on_is_not_dropped() -> None:
    with pytest.raises(StateError, match=r"2 in database 'shop'.*REASSIGN OWNED"):
        roles.plan(current(ROLE._replace(dependents={"shop": 2})), wanted(state="absent"))
    assert texts(current(ROLE), state="absent") == ['DROP ROLE "repl"']
    assert texts(current(None), state="absent") == []


def test_a_role_may_do_exactly_what_was_asked_for() -> None:
    promote, one = "pg_promote(boolean,integer)", "pg_stat_file(text,boolean)"
    assert texts(current(ROLE), may=["promote"]) == [f'GRANT EXECUTE ON FUNCTION pg_catalog.{promote} TO "repl"']
    assert texts(current(ROLE._replace(functions=frozenset({promote, one}))), may=["promote"]) == [
        f'REVOKE EXECUTE ON FUNCTION pg_catalog.{one} FROM "repl"']
    plan = roles.plan(current(ROLE._replace(functions=frozenset({promote, one}))), wanted(may=["rewind"]))
    assert [step.text for step in plan.steps] == [
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text,boolean,boolean), pg_catalog.pg_read_binary_file(text),"
        ' pg_catalog.pg_read_binary_file(text,bigint,bigint,boolean) TO "repl"',
        f'REVOKE EXECUTE ON FUNCTION pg_catalog.{promote} FROM "repl"']
    assert (plan.before["may"], plan.after["may"]) == (["promote", "rewind, in part"], ["rewind"])
    assert texts(current(ROLE._replace(functions=frozenset(rights.ALL))), may=["rewind", "promote"]) == []


def test_a_superuser_needs_no_rights_and_keeps_those_that_it_has() -> None:
    role = ROLE._replace(superuser=True, functions=frozenset({"pg_promote(boolean,integer)"}))
    assert texts(current(role), may=[]) == texts(current(role), may=["rewind"]) == []


def test_rights_go_before_the_role() -> None:
    role = ROLE._replace(functions=frozenset({"pg_promote(boolean,integer)"}))
    assert texts(current(role), state="absent") == [
        'REVOKE EXECUTE ON FUNCTION pg_catalog.pg_promote(boolean,integer) FROM "repl"', 'DROP ROLE "repl"']


def test_an_unknown_group_is_refused_unless_the_play_is_only_planned() -> None:
    with pytest.raises(StateError, match="'missing', which does not exist"):
        roles.plan(current(None), wanted(member_of=["a", "missing"]))
    assert texts(current(None), member_of=["missing"], login_planned=True) == [
        'CREATE ROLE "repl" LOGIN REPLICATION IN ROLE "missing"']


def test_a_server_that_does_not_exist_yet_gets_everything() -> None:
    plan = roles.plan(roles.ABSENT, wanted(password="x", valid_until="2030-01-01", member_of=["anything"], comment="c"))
    assert [step.shown for step in plan.steps] == [
        "CREATE ROLE \"repl\" LOGIN REPLICATION VALID UNTIL '2030-01-01' IN ROLE \"anything\" PASSWORD '********'",
        "COMMENT ON ROLE \"repl\" IS 'c'"]


@pytest.mark.parametrize(("options", "said"), [
    ({"name": ""}, "empty"), ({"name": "x" * 64}, "63 bytes"), ({"name": "a\0b"}, "NUL"),
    ({"name": "pg_monitor"}, "keeps for itself"), ({"name": "public"}, "keeps for itself"),
    ({"password": ""}, "empty"), ({"password": "a\0b"}, "NUL"), ({"password": "\ud800"}, "Unicode"),
    ({"password": "md5" + "0" * 32}, "md5 hash"),
    ({"valid_until": "tomorrow"}, "valid_until"), ({"valid_until": "2030-01-01'; DROP ROLE x; --"}, "valid_until"),
    ({"connection_limit": -2}, "connection_limit"), ({"member_of": ["repl"]}, "itself"), ({"member_of": [""]}, "empty"),
])
def test_bad_input_is_refused_in_one_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as refusal:
        wanted(**options)
    assert str(refusal.value).endswith(".")
    assert str(refusal.value).count(". ") == 0
