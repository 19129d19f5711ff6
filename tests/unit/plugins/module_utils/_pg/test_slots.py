# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replication slots: what is refused, and the way from every slot to what is wanted, without a server."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import slots
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError

OPTIONS: dict[str, Any] = {"name": "s", "slots": None, "state": "present", "slot_type": "physical", "plugin": None,
                           "free_planned": False, "check_mode": False, "reserve_wal": False, "two_phase": None,
                           "failover": None, "on_mismatch": "fail"}
PHYSICAL: dict[str, Any] = {"slot_type": "physical", "plugin": None, "database": None, "temporary": False, "active": False,
                            "active_pid": None, "restart_lsn": "0/1", "confirmed_flush_lsn": None, "wal_status": "reserved",
                            "two_phase": False, "failover": False, "synced": False, "invalidation_reason": None,
                            "lost": False}
LOGICAL = {**PHYSICAL, "slot_type": "logical", "plugin": "pgoutput", "database": "shop"}
IN_USE = {"active": True, "active_pid": 4711}
LOST = {"lost": True, "wal_status": "lost", "restart_lsn": None}
DROP = "SELECT pg_catalog.pg_drop_replication_slot('s')"


def wanted(**options: Any) -> slots.Wanted:
    return slots.desired({**OPTIONS, **options})


def current(slot: dict[str, Any] | None = None, version: int = 18, **facts: Any) -> slots.Current:
    found = slots.Current({} if slot is None else {"s": slot}, version * 10000, "shop", False)
    return found._replace(**facts)


def texts(found: slots.Current, **options: Any) -> list[str]:
    return [step.text for step in slots.plan(found, wanted(**options)).steps]


@pytest.mark.parametrize(("options", "call"), [
    ({}, "pg_create_physical_replication_slot('s', false)"),
    ({"reserve_wal": True}, "pg_create_physical_replication_slot('s', true)"),
    ({"slot_type": "logical"}, "pg_create_logical_replication_slot('s', 'pgoutput', false)"),
    ({"slot_type": "logical", "plugin": "o'dd"}, "pg_create_logical_replication_slot('s', 'o''dd', false)"),
    ({"slot_type": "logical", "two_phase": True}, "pg_create_logical_replication_slot('s', 'pgoutput', false, true)"),
    ({"slot_type": "logical", "failover": True},
     "pg_create_logical_replication_slot('s', 'pgoutput', false, false, true)"),
])
def test_a_new_slot_is_made_as_asked(options: dict[str, Any], call: str) -> None:
    assert texts(current(), **options) == [f"SELECT pg_catalog.{call}"]


def test_one_task_makes_several_slots_and_leaves_others_alone() -> None:
    found = current(PHYSICAL)
    plan = slots.plan(found, wanted(name=None, slots=["s", "t"]))
    assert [step.text for step in plan.steps] == ["SELECT pg_catalog.pg_create_physical_replication_slot('t', false)"]
    assert [slot["name"] for slot in plan.facts["slots"]] == ["s", "t"]
    assert slots.plan(found, wanted(name=None, slots=[])).steps == ()


@pytest.mark.parametrize(("slot", "options", "said"), [
    (PHYSICAL, {"slot_type": "logical"}, "physical, not logical"),
    (LOGICAL, {}, "logical, not physical"),
    ({**LOGICAL, "plugin": "test_decoding"}, {"slot_type": "logical"}, "plugin test_decoding, not pgoutput"),
    ({**LOGICAL, "database": "other"}, {"slot_type": "logical"}, "database 'other', not 'shop'"),
    ({**PHYSICAL, "temporary": True}, {}, "temporary"),
])
def test_drift_is_an_error_or_recreated_on_request(slot: dict[str, Any], options: dict[str, Any], said: str) -> None:
    with pytest.raises(StateError, match=re.escape(said)):
        slots.plan(current(slot), wanted(**options))
    made = texts(current(slot), on_mismatch="recreate", **options)
    assert made[0] == DROP
    assert made[1].startswith("SELECT pg_catalog.pg_create_")
    with pytest.raises(StateError, match="4711"):
        slots.plan(current({**slot, **IN_USE}), wanted(on_mismatch="recreate", **options))


def test_two_phase_needs_a_new_slot_before_version_18() -> None:
    options = {"slot_type": "logical", "two_phase": True}
    with pytest.raises(StateError, match="two_phase false, not true"):
        slots.plan(current(LOGICAL, version=17), wanted(**options))
    assert texts(current(LOGICAL, version=18), **options) == ['ALTER_REPLICATION_SLOT "s" (TWO_PHASE true)']


def test_failover_is_altered_in_place_and_only_of_a_slot_that_is_not_in_use() -> None:
    options = {"slot_type": "logical", "failover": True}
    assert texts(current(LOGICAL, version=17), **options) == ['ALTER_REPLICATION_SLOT "s" (FAILOVER true)']
    with pytest.raises(StateError, match="pid 4711"):
        slots.plan(current({**LOGICAL, **IN_USE}), wanted(**options))
    assert texts(current({**LOGICAL, **IN_USE, "failover": True}), **options) == []


@pytest.mark.parametrize(("options", "version"), [({"two_phase": True}, 13), ({"failover": False}, 16)])
def test_an_option_that_the_version_lacks_is_refused(options: dict[str, Any], version: int) -> None:
    with pytest.raises(InputError, match=rf"The option {next(iter(options))} needs PostgreSQL {version + 1} or newer"):
        slots.plan(current(version=version), wanted(slot_type="logical", **options))


def test_a_logical_slot_on_a_standby_needs_version_16() -> None:
    with pytest.raises(StateError, match="since 16"):
        slots.plan(current(version=15, is_standby=True), wanted(slot_type="logical"))
    assert len(texts(current(version=16, is_standby=True), slot_type="logical")) == 1
    assert len(texts(current(version=15, is_standby=True))) == 1


def test_a_lost_slot_is_reported_and_recreated_on_request_only() -> None:
    lost = current({**PHYSICAL, **LOST})
    plan = slots.plan(lost, wanted(reserve_wal=True))
    assert plan.steps == ()
    assert "is lost" in plan.warnings[0]
    assert plan.facts["slots"][0]["lost"] is True
    again = slots.plan(lost, wanted(on_mismatch="recreate"))
    assert [step.text for step in again.steps][0] == DROP
    assert again.warnings == ()
    assert again.facts["slots"][0]["lost"] is False


def test_a_slot_that_reserves_nothing_is_made_again_unless_in_use() -> None:
    idle = {**PHYSICAL, "restart_lsn": None, "wal_status": None}
    assert texts(current(idle), reserve_wal=True) == [
        DROP, "SELECT pg_catalog.pg_create_physical_replication_slot('s', true)"]
    assert texts(current(idle)) == []
    assert texts(current({**idle, **IN_USE}), reserve_wal=True) == []
    assert texts(current(PHYSICAL), reserve_wal=True) == []


def test_absent_drops_what_is_not_in_use() -> None:
    assert texts(current(LOGICAL), state="absent") == [DROP]
    assert texts(current(), state="absent") == []
    with pytest.raises(StateError, match="pid 4711"):
        slots.plan(current({**PHYSICAL, **IN_USE}), wanted(state="absent"))


def test_a_slot_that_will_be_free_by_then_is_dropped_in_the_plan_and_not_otherwise() -> None:
    in_use = current({**PHYSICAL, **IN_USE})
    assert texts(in_use, state="absent", free_planned=True, check_mode=True) == [DROP]
    with pytest.raises(StateError, match="in use by the process with pid 4711"):
        slots.plan(in_use, wanted(state="absent", free_planned=True))


@pytest.mark.parametrize("options", [
    {}, {"reserve_wal": True}, {"slot_type": "logical"}, {"slot_type": "logical", "two_phase": True, "failover": True}])
def test_after_the_steps_nothing_is_left_to_do(options: dict[str, Any]) -> None:
    after = slots.plan(current(), wanted(**options)).after["s"]
    made = {**PHYSICAL, **{key: value for key, value in after.items() if key in PHYSICAL}}
    made["restart_lsn"] = "0/1" if after["reserves_wal"] else None
    again = slots.plan(current(made), wanted(**options))
    assert again.steps == ()
    assert again.before == again.after == {"s": after}


@pytest.mark.parametrize(("options", "said"), [
    ({"slot_type": "physical", "plugin": "pgoutput"}, "option plugin"),
    ({"two_phase": True}, "option two_phase"), ({"failover": True}, "option failover"),
    ({"slot_type": "logical", "reserve_wal": True}, "option reserve_wal"),
    ({"name": None, "slots": ["a", "a"]}, "twice"),
])
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        wanted(**options)


@given(st.text())
def test_only_names_that_a_slot_can_have_are_accepted(name: str) -> None:
    is_good = 1 <= len(name) <= 63 and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
    try:
        assert wanted(name=name).names == (name,)
    except InputError:
        assert not is_good
    else:
        assert is_good


@pytest.mark.parametrize("name", ["node-1", "Node1", "a" * 64, "", "a\n", "é"])
def test_names_that_a_host_may_have_and_a_slot_may_not(name: str) -> None:
    with pytest.raises(InputError, match="lower-case letters, digits and underscores"):
        wanted(name=name)
