# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from one state of a subscription to another, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import subscription_plan
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.subscription_state import (
    ABSENT,
    SINCE,
    Current,
    Subscription,
    Wanted,
)

CONNINFO = {"host": "h", "password": "s3cr et"}
SETTINGS = {"synchronous_commit": "off", "binary": False, "streaming": "off", "two_phase": False, "disable_on_error": False,
            "password_required": True, "run_as_owner": False, "origin": "any", "failover": False}


def want(**changes: Any) -> Wanted:
    plain = Wanted(name="s", present=True, conninfo=CONNINFO, publications=("p",), enabled=True, copy_data=True,
                   create_slot=True, slot_name=None, settings={}, owner=None, comment=None, refresh=False,
                   wait_for_sync=False, timeout=60, detach=False)
    return plain._replace(**changes)


def have(version: int = 18, superuser: bool = True, published: Any = None, **changes: Any) -> Current:
    known = {key: value for key, value in {**SETTINGS, **changes.pop("settings", {})}.items() if SINCE[key] <= version}
    plain = Subscription(oid="1", enabled=True, conninfo=CONNINFO, publications=frozenset("p"), slot_name="s",
                         settings=known, two_phase_runs=False, owner="postgres", comment="",
                         tables={("public", "t"): "r"})
    return Current(version * 10000, plain._replace(**changes), superuser, published)


def shown(current: Current, wanted: Wanted) -> list[str]:
    return [step.shown for step in subscription_plan.plan(current, wanted).steps]


def test_nothing_to_do() -> None:
    plan = subscription_plan.plan(have(), want())
    assert plan.steps == []
    assert plan.before == plan.after


def test_a_new_one_claims_its_slot_before_the_slot_is_made_and_is_enabled_last() -> None:
    plan = subscription_plan.plan(ABSENT, want(owner="o", comment="c", settings={"failover": True, "streaming": "on"}))
    assert [step.shown for step in plan.steps] == [
        "CREATE SUBSCRIPTION \"s\" CONNECTION 'host=h password=********' PUBLICATION \"p\" WITH (slot_name = NONE,"
        " streaming = 'on', enabled = false, create_slot = false, copy_data = true);"
        " ALTER SUBSCRIPTION \"s\" SET (slot_name = 's'); ALTER SUBSCRIPTION \"s\" OWNER TO \"o\";"
        " COMMENT ON SUBSCRIPTION \"s\" IS 'c'",
        "SELECT pg_catalog.pg_create_logical_replication_slot('s', 'pgoutput') -- on the publisher, unless it is there",
        'ALTER SUBSCRIPTION "s" SET (failover = true)',
        'ALTER SUBSCRIPTION "s" ENABLE']
    assert "host=h password=''s3cr et'''" in plan.steps[0].statement.text
    assert plan.before == {"state": "absent"}
    assert plan.after["conninfo"] == {"host": "h", "password": "********"}


def test_a_new_one_without_conninfo_or_publications_is_refused() -> None:
    with pytest.raises(InputError, match="conninfo and publications are needed"):
        subscription_plan.plan(ABSENT, want(publications=None))


def test_a_new_one_whose_name_cannot_be_a_slots_needs_slot_name() -> None:
    with pytest.raises(InputError, match="give slot_name"):
        subscription_plan.plan(ABSENT, want(name="My Sub"))
    assert subscription_plan.plan(ABSENT, want(name="My Sub", slot_name="mine")).after["slot_name"] == "mine"


def test_a_password_alone_is_one_statement_that_shows_neither() -> None:
    plan = subscription_plan.plan(have(), want(conninfo={**CONNINFO, "password": "0ther"}))
    assert len(plan.steps) == 1
    assert plan.steps[0].statement.secret
    assert "s3cr" not in repr((plan.before, plan.after, plan.steps[0].shown))
    assert "0ther" not in repr((plan.before, plan.after, plan.steps[0].shown))
    assert plan.before != plan.after


@pytest.mark.parametrize(("option", "since"), [item for item in SINCE.items() if item[1] > 13])
def test_an_option_is_refused_by_every_version_before_it(option: str, since: int) -> None:
    value = SETTINGS[option]
    for version in range(13, 19):
        if version < since:
            with pytest.raises(InputError, match=f"{option} needs PostgreSQL {since}"):
                subscription_plan.plan(have(version), want(settings={option: value}))
        else:
            assert shown(have(version), want(settings={option: value})) == []


def test_streaming_parallel_came_later_than_streaming() -> None:
    with pytest.raises(InputError, match="streaming: parallel needs PostgreSQL 16"):
        subscription_plan.plan(have(15), want(settings={"streaming": "parallel"}))


@pytest.mark.parametrize(("option", "version"), [("two_phase", 15), ("two_phase", 17)])
def test_what_the_version_cannot_change_is_refused(option: str, version: int) -> None:
    with pytest.raises(StateError, match="can neither change"):
        subscription_plan.plan(have(version), want(settings={option: True}))
    with pytest.raises(StateError, match="nor keep with another slot"):
        subscription_plan.plan(have(version, settings={option: True}), want(slot_name="another"))


def test_settings_of_the_slot_need_a_pause() -> None:
    assert shown(have(), want(settings={"failover": True, "binary": True})) == [
        'ALTER SUBSCRIPTION "s" SET (binary = true)', 'ALTER SUBSCRIPTION "s" DISABLE',
        'ALTER SUBSCRIPTION "s" SET (failover = true)', 'ALTER SUBSCRIPTION "s" ENABLE']


def test_tables_are_refreshed_after_two_phase_ends_and_before_it_begins() -> None:
    changed = "ALTER SUBSCRIPTION \"s\" SET PUBLICATION \"q\" WITH (copy_data = true)"
    running = have(settings={"two_phase": True}, two_phase_runs=True)
    assert shown(running, want(publications=("q",), settings={"two_phase": False}))[-1] == changed
    assert shown(have(), want(publications=("q",), settings={"two_phase": True}))[0] == changed
    with pytest.raises(StateError, match="copy_data: false"):
        subscription_plan.plan(running, want(publications=("q",)))
    assert len(shown(running, want(publications=("q",), copy_data=False))) == 1


def test_a_moved_slot_is_copied_while_disabled_and_gets_its_settings_back() -> None:
    assert shown(have(settings={"failover": True}), want(slot_name="n")) == [
        'ALTER SUBSCRIPTION "s" DISABLE', 'ALTER SUBSCRIPTION "s" SET (failover = false)',
        "SELECT pg_catalog.pg_copy_logical_replication_slot('s', 'n'), pg_catalog.pg_drop_replication_slot('s')"
        " -- on the publisher",
        "ALTER SUBSCRIPTION \"s\" SET (slot_name = 'n')", 'ALTER SUBSCRIPTION "s" SET (failover = true)',
        'ALTER SUBSCRIPTION "s" ENABLE']


def test_the_slot_that_stays_behind_is_named() -> None:
    assert subscription_plan.plan(have(), want(slot_name="none", enabled=False)).facts == {"slots_left": ["s"]}
    assert subscription_plan.plan(have(), want(slot_name="n", create_slot=False)).facts == {"slots_left": ["s"]}
    assert subscription_plan.plan(have(), want(slot_name="n")).facts == {}


def test_what_an_interrupted_run_left_is_finished() -> None:
    born = have(enabled=False)
    assert shown(born, want())[-2:] == ['ALTER SUBSCRIPTION "s" ENABLE',
                                        'ALTER SUBSCRIPTION "s" REFRESH PUBLICATION WITH (copy_data = true)']
    assert isinstance(subscription_plan.plan(born, want()).steps[0], subscription_plan.SlotStep)
    bare = have(enabled=False, slot_name=None)
    assert "ALTER SUBSCRIPTION \"s\" SET (slot_name = 's')" in shown(bare, want())


def test_a_disabled_one_changes_its_publications_without_asking_for_tables() -> None:
    assert shown(have(), want(enabled=False, publications=("q", "p"))) == [
        'ALTER SUBSCRIPTION "s" DISABLE', 'ALTER SUBSCRIPTION "s" SET PUBLICATION "p", "q" WITH (refresh = false)']


def test_refresh_only_where_the_tables_differ() -> None:
    same, more = frozenset({("public", "t")}), frozenset({("public", "t"), ("public", "u")})
    assert shown(have(published=same), want(refresh=True)) == []
    plan = subscription_plan.plan(have(published=more), want(refresh=True))
    assert [step.shown for step in plan.steps] == ['ALTER SUBSCRIPTION "s" REFRESH PUBLICATION WITH (copy_data = true)']
    assert plan.after["tables"] == ["public.t", "public.u"]


OFF, ON = (f'ALTER SUBSCRIPTION "s" SET (disable_on_error = {value})' for value in ("false", "true"))
CHANGE = 'ALTER SUBSCRIPTION "s" SET PUBLICATION "q" WITH (copy_data = true)'
REFRESH = 'ALTER SUBSCRIPTION "s" REFRESH PUBLICATION WITH (copy_data = true)'


@pytest.mark.parametrize(("before", "asked", "steps"), [
    (False, None, [CHANGE]), (False, False, [CHANGE]), (False, True, [CHANGE, ON]),
    (True, None, [OFF, CHANGE, ON]), (True, True, [OFF, CHANGE, ON]), (True, False, [OFF, CHANGE])])
def test_tables_leave_while_no_error_disables(before: bool, asked: bool | None, steps: list[str]) -> None:
    wanted = want(publications=("q",), settings={} if asked is None else {"disable_on_error": asked})
    plan = subscription_plan.plan(have(settings={"disable_on_error": before}), wanted)
    assert [step.shown for step in plan.steps] == steps
    is_on_after = before if asked is None else asked
    assert [step.shown for step in plan.steps if step.is_awaited] == ([step for step in steps if step != ON]
                                                                      if is_on_after else [])
    assert [step.shown for step in plan.steps if step.gives_back] == ([ON] if before and is_on_after else [])


def test_other_settings_do_not_wait_for_the_tables() -> None:
    assert shown(have(), want(publications=("q",), settings={"binary": True, "disable_on_error": True})) == [
        'ALTER SUBSCRIPTION "s" SET (binary = true)', CHANGE, ON]


def test_errors_disable_all_the_time_where_no_table_can_leave() -> None:
    on = {"disable_on_error": True}
    more = frozenset({("public", "t"), ("public", "u")})
    assert shown(have(settings=on), want()) == []
    assert shown(have(), want(settings=on)) == [ON]
    assert shown(have(settings=on, published=more), want(refresh=True)) == [REFRESH]
    assert shown(have(settings=on, tables={}), want(publications=("q",))) == [CHANGE]
    assert shown(have(settings=on), want(publications=("q",), enabled=False))[-1].endswith("(refresh = false)")
    assert shown(have(14), want(publications=("q",))) == [CHANGE]


def test_a_refresh_that_may_remove_a_table_is_guarded_too() -> None:
    on = {"disable_on_error": True}
    other = frozenset({("public", "u")})
    assert shown(have(settings=on, published=other), want(refresh=True)) == [OFF, REFRESH, ON]
    assert shown(have(settings=on, enabled=False), want())[1:] == [OFF, 'ALTER SUBSCRIPTION "s" ENABLE', REFRESH, ON]


@pytest.mark.parametrize("changes", [{"conninfo": {"host": "h"}}, {"conninfo": {"host": "h", "password": ""}}])
def test_an_owner_without_superuser_needs_a_password_from_16(changes: dict[str, Any]) -> None:
    with pytest.raises(StateError, match="has no password"):
        subscription_plan.plan(have(16, superuser=False), want(**changes))
    assert shown(have(16, superuser=False), want()) == []
    relaxed = want(**changes, settings={"password_required": False})
    assert subscription_plan.plan(have(16, superuser=False), relaxed).steps


def test_before_16_only_a_superuser_becomes_the_owner() -> None:
    with pytest.raises(StateError, match="only superusers may own"):
        subscription_plan.plan(have(15, superuser=False), want(owner="o"))
    assert shown(have(15, superuser=False), want()) == []


def test_absent() -> None:
    assert shown(have(), want(present=False)) == ['ALTER SUBSCRIPTION "s" DISABLE', 'DROP SUBSCRIPTION "s"']
    assert shown(have(enabled=False), want(present=False)) == ['DROP SUBSCRIPTION "s"']
    assert shown(ABSENT, want(present=False)) == []


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=15))
def test_texts_are_quoted_in_every_place(text: str) -> None:
    plan = subscription_plan.plan(have(), want(name=text, publications=(text,), owner=text, comment=text))
    name, words = '"%s"' % text.replace('"', '""'), "'%s'" % text.replace("'", "''")
    assert [step.shown for step in plan.steps] == ([] if text == "p" else [
        f"ALTER SUBSCRIPTION {name} SET PUBLICATION {name} WITH (copy_data = true)"]) + ([] if text == "postgres" else [
            f"ALTER SUBSCRIPTION {name} OWNER TO {name}"]) + [f"COMMENT ON SUBSCRIPTION {name} IS {words}"]
