# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an instance recovers: what is refused, and the way from every state, without a host."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import instance, recovery, recovery_target
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError

DATA = "/srv/node2/data"
OPTIONS: dict[str, Any] = {
    "data_directory": DATA + "/", "mode": "standby", "primary_conninfo": {"host": "node1", "port": "5440", "password": None},
    "primary_slot_name": None, "restore_command": None, "superuser": "postgres", "wait": True, "timeout": 10,
    "until_segment": "", "log_file": "", **{name: option["default"] for name, option in recovery_target.SPEC.items()}}
CONTROL = instance.Control("7001", "shut down", 1, "0/1", "0/0", {}, True)
STOPPED = instance.Instance(DATA, "instance", 18, CONTROL)
PRIMARY = STOPPED._replace(process=instance.Process(4711, 0, 5432, "/run", "ready"))
STANDBY = PRIMARY._replace(standby_signal=True)
SETTLED = "primary_conninfo = 'host=node1 port=5440'\n"
WRITE, TOUCH, RM = "write %s/postgresql.auto.conf" % DATA, "touch %s/standby.signal" % DATA, "rm %s/standby.signal" % DATA
RELOAD = "pg_ctl reload --pgdata=" + DATA


def plan(found: instance.Instance, text: str, **options: Any) -> Any:
    stale, is_backup = options.pop("stale", False), options.pop("is_backup", False)
    return recovery.plan(recovery.Current(found, text, stale, is_backup), recovery.desired({**OPTIONS, **options}))


@pytest.mark.parametrize("upstream", [None, {}, {"host": None}])
def test_a_standby_needs_an_upstream(upstream: dict[str, Any] | None) -> None:
    with pytest.raises(InputError, match="primary_conninfo names no upstream"):
        recovery.desired({**OPTIONS, "primary_conninfo": upstream})


def test_a_password_is_refused() -> None:
    with pytest.raises(InputError, match="primary_conninfo holds password") as refusal:
        recovery.desired({**OPTIONS, "primary_conninfo": {"host": "node1", "password": "s3cret"}})
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(("found", "text", "options", "expected"), [
    (STOPPED, "", {}, [WRITE, TOUCH]),
    (STOPPED, SETTLED, {}, [TOUCH]),
    (STANDBY, SETTLED, {}, []),
    (STANDBY, "primary_conninfo = 'port=5440 host=node1'\n", {}, []),
    (STANDBY, "", {}, [WRITE, RELOAD]),
    (STANDBY, SETTLED, {"stale": True}, [RELOAD]),
    (STANDBY, SETTLED, {"primary_slot_name": "s"}, [WRITE, RELOAD]),
    (STANDBY, SETTLED + "primary_slot_name = 's'\n", {"primary_slot_name": "s"}, []),
    (STANDBY, SETTLED + "primary_slot_name = 's'\n", {}, []),
    (STANDBY, SETTLED + "primary_slot_name = 's'\n", {"primary_slot_name": ""}, [WRITE, RELOAD]),
    (STANDBY, SETTLED + "restore_command = 'x'\n", {"restore_command": "y"}, [WRITE, RELOAD]),
    (STANDBY._replace(process=None), "", {}, [WRITE]),
    (STOPPED, "", {"mode": "none"}, []),
    (STOPPED, SETTLED, {"mode": "none"}, [WRITE]),
    (STANDBY._replace(process=None), SETTLED, {"mode": "none"}, [WRITE, RM]),
    (PRIMARY, "", {"mode": "none"}, []),
    (PRIMARY, SETTLED, {"mode": "none"}, [WRITE, RELOAD]),
])
def test_every_state_leads_to_what_is_wanted(found: instance.Instance, text: str, options: dict[str, Any],
                                             expected: list[str]) -> None:
    assert [step.shown for step in plan(found, text, **options).steps] == expected


@pytest.mark.parametrize(("found", "options", "told"), [
    (instance.Instance(DATA, "missing"), {}, "there is no instance; clone it first"),
    (instance.Instance(DATA, "foreign"), {}, "there is no instance"),
    (STOPPED._replace(recovery_signal=True), {}, "recovery.signal is there, so a point-in-time recovery is under way"),
    (PRIMARY, {}, "runs as a primary; stop it and bring it back with the playbook rejoin"),
    (STANDBY, {"mode": "none"}, "runs as a standby; promote it with pg_promote"),
])
def test_what_only_another_way_leads_to_is_refused_with_that_way(found: instance.Instance, options: dict[str, Any],
                                                                 told: str) -> None:
    with pytest.raises(StateError, match=told):
        plan(found, "", **options)


def test_before_and_after_are_what_the_steps_lead_from_and_to() -> None:
    found = plan(STANDBY, SETTLED + "port = '1'\n", primary_conninfo={"host": "node3", "passfile": "/p"}, primary_slot_name="s")
    assert found.before == {"primary_conninfo": {"host": "node1", "port": "5440"}, "primary_slot_name": None,
                            "restore_command": None, "standby.signal": True}
    assert found.after == {"primary_conninfo": {"host": "node3", "passfile": "/p"}, "primary_slot_name": "s",
                           "restore_command": None, "standby.signal": True}
    assert "port = '1'" in found.steps[0].values["text"]
    gone = plan(STANDBY._replace(process=None), SETTLED, mode="none").after
    assert gone == {"primary_conninfo": None, "primary_slot_name": None, "restore_command": None, "standby.signal": False}


TARGETED: dict[str, Any] = {
    "mode": "targeted", "primary_conninfo": None, "restore_command": "fetch %f %p", "target_lsn": "0/3000000"}
RECOVERING = ("restore_command = 'fetch %f %p'\nrecovery_target_timeline = 'current'\nrecovery_target_action = 'promote'\n"
              "recovery_target_lsn = '0/3000000'\nrecovery_target_inclusive = 'true'\n")
SIGNALLED = STOPPED._replace(recovery_signal=True)
TOUCH_RECOVERY = "touch %s/recovery.signal" % DATA


@pytest.mark.parametrize(("found", "text", "options", "expected"), [
    (STOPPED, "", {"is_backup": True}, [WRITE, TOUCH_RECOVERY]),
    (STOPPED, RECOVERING, {"is_backup": True}, [TOUCH_RECOVERY]),
    (SIGNALLED, RECOVERING, {"is_backup": True}, []),
    (SIGNALLED, RECOVERING, {}, []),
    (SIGNALLED, "", {}, [WRITE]),
    (SIGNALLED._replace(standby_signal=True), RECOVERING, {}, [RM]),
    (STOPPED._replace(standby_signal=True), RECOVERING, {"is_backup": True}, [RM, TOUCH_RECOVERY]),
    (STOPPED, SETTLED + RECOVERING, {"is_backup": True}, [WRITE, TOUCH_RECOVERY]),
    (PRIMARY._replace(recovery_signal=True), RECOVERING, {"is_backup": True}, []),
    (PRIMARY, RECOVERING, {}, []),
    (STOPPED, RECOVERING, {}, []),
])
def test_every_state_leads_to_a_recovery_to_the_target(
        found: instance.Instance, text: str, options: dict[str, Any], expected: list[str]) -> None:
    assert [step.shown for step in plan(found, text, **TARGETED, **options).steps] == expected


@pytest.mark.parametrize(("found", "text", "options", "sentence"), [
    (instance.Instance(DATA, "missing"), "", {}, "there is no instance; restore a backup first"),
    (STOPPED, "", {}, "there is no backup_label, so that this is no base backup and would start corrupt"),
    (PRIMARY, "", {"is_backup": False}, "a server runs there that is not on its way to it"),
    (STANDBY, RECOVERING, {}, "a server runs there that is not on its way to it"),
    (PRIMARY._replace(recovery_signal=True), RECOVERING.replace("0/3", "0/4"), {}, "a server runs there that is not on its way"),
])
def test_a_recovery_that_would_go_wrong_is_refused(
        found: instance.Instance, text: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(StateError, match=sentence):
        plan(found, text, **TARGETED, **options)


@pytest.mark.parametrize(("options", "sentence"), [
    ({"target_lsn": "0/3"}, "mode is standby and target_lsn was given"),
    ({"mode": "targeted", "restore_command": None}, "restore_command is not given"),
    ({**TARGETED, "target_xid": "750"}, "target_xid and target_lsn were given")])
def test_targets_and_modes_must_go_together(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        recovery.desired({**OPTIONS, **options})


def test_a_standby_loses_the_target_of_an_earlier_recovery() -> None:
    text = plan(STANDBY, SETTLED + RECOVERING).steps[0].values["text"]
    assert "recovery_target" not in text
