# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an instance recovers: what is refused, and the way from every state, without a host."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import instance, recovery
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError

DATA = "/srv/node2/data"
OPTIONS: dict[str, Any] = {
    "data_directory": DATA + "/", "mode": "standby", "primary_conninfo": {"host": "node1", "port": "5440", "password": None},
    "primary_slot_name": None, "restore_command": None, "superuser": "postgres", "wait": True, "timeout": 10}
CONTROL = instance.Control("7001", "shut down", 1, "0/1", "0/0", {}, True)
STOPPED = instance.Instance(DATA, "instance", 18, CONTROL)
PRIMARY = STOPPED._replace(process=instance.Process(4711, 0, 5432, "/run", "ready"))
STANDBY = PRIMARY._replace(standby_signal=True)
SETTLED = "primary_conninfo = 'host=node1 port=5440'\n"
WRITE, TOUCH, RM = "write %s/postgresql.auto.conf" % DATA, "touch %s/standby.signal" % DATA, "rm %s/standby.signal" % DATA
RELOAD = "pg_ctl reload --pgdata=" + DATA


def plan(found: instance.Instance, text: str, **options: Any) -> Any:
    stale = options.pop("stale", False)
    return recovery.plan(recovery.Current(found, text, stale), recovery.desired({**OPTIONS, **options}))


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
