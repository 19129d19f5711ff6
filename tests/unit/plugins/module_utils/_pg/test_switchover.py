# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which steps of a switchover are left, from what the two members are."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import switchover
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import StateError
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.instance import Control, Instance, Process
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.switchover import Candidate, Current, Wanted

WANTED = Wanted("/data", {"host": "node2", "port": "5433", "user": "replicator"}, "node1", (), (), 16, "postgres", "/log", 60)
LEFT = ["point", "prove", "promote", "start"]


def current(running: bool = True, standby: bool = False, state: str = "in production", status: str = "ready",
            **candidate: Any) -> Current:
    """What is found where the two are a primary and its standby, but for what is given."""
    control = Control("7001", state, 3, "0/5000028", "0/0", {}, True)
    process = Process(42, 0, 5432, "/run", status) if running else None
    found: dict[str, Any] = {"system_identifier": "7001", "in_recovery": True, "timeline": 3, "received": "0/5000028",
                             "replayed": "0/5000028", "may_promote": True, **candidate}
    return Current(Instance("/data", "instance", 18, control, process, standby, False, 3), "", Candidate(**found))


@pytest.mark.parametrize(("found", "steps"), [
    (current(), list(switchover.STEPS)),
    (current(status="stopping"), LEFT),
    (current(running=False, state="shut down"), LEFT),
    (current(running=False, standby=True, state="shut down"), LEFT),
    (current(running=False, standby=True, state="shut down", in_recovery=False, may_promote=False), ["start"]),
    (current(running=False, standby=True, state="shut down in recovery", in_recovery=False), ["start"]),
    (current(standby=True, state="in archive recovery", in_recovery=False), []),
], ids=["primary", "stopping", "stopped", "pointed", "promoted", "stopped again", "done"])
def test_the_steps_that_are_left(found: Current, steps: list[str]) -> None:
    plan = switchover.plan(found, WANTED)
    assert [step.action for step in plan.steps] == steps
    assert plan.after == {"primary": "node2:5433"}
    assert plan.before == {"primary": "/data" if found.candidate.in_recovery else "node2:5433"}
    assert plan.facts["timeline_before"] == 3


@pytest.mark.parametrize(("found", "words"), [
    (current(in_recovery=False), "(control file: in production) and the second a primary; bring the first back"),
    (current(standby=True), "a running standby (control file: in production) and the second a standby; promote the best"),
    (current(running=False), "a stopped primary (control file: in production) and the second a standby"),
    (current(running=False, standby=True, state="shut down in recovery"), "a stopped standby (control"),
    (current(system_identifier="7002"), "different systems (7001 and 7002)"),
    (current(may_promote=False), "the role replicator may not call pg_promote() there; run the playbook deploy"),
    (current()._replace(instance=Instance("/data", "missing")), "there is no instance"),
], ids=["two primaries", "two standbys", "crashed", "stopped standby", "strangers", "right", "nothing"])
def test_what_a_switchover_does_not_lead_to_is_refused(found: Current, words: str) -> None:
    with pytest.raises(StateError, match="asked for") as told:
        switchover.plan(found, WANTED)
    assert words in str(told.value)
