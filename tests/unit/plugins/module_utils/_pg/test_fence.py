# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps that keep a former primary out, and that let it in again."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import fence
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.fence import Current
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.instance import Instance, Process

MARK = {"timeline": 1, "lsn": "0/3000148"}
OTHER = {"timeline": 4, "lsn": "0/9000000"}
STOPPED = Instance("/d", "instance")
RUNNING = STOPPED._replace(process=Process(1, 0, 5432, "/run", "ready"))
OPTIONS = {"data_directory": "/d/", "state": "fenced", "members": ["node1"], **MARK, "itself": False, "unit": "", "timeout": 60}


def shown(current: Current, **options: Any) -> list[str]:
    return [step.shown for step in fence.plan(current, fence.desired({**OPTIONS, **options})).steps]


def test_a_member_that_stays_out_has_its_signal_before_it_is_stopped() -> None:
    assert shown(Current(RUNNING, {}), itself=True) == [
        "touch /d/standby.signal", "write /d/pgmahout.fenced", "pg_ctl stop --pgdata=/d --mode=fast"]
    assert shown(Current(RUNNING, {}), itself=True, unit="postgresql@17-main") == [
        "touch /d/standby.signal", "write /d/pgmahout.fenced", "systemctl stop postgresql@17-main",
        "systemctl mask postgresql@17-main"]
    assert shown(Current(STOPPED, {}), itself=True) == ["touch /d/standby.signal", "write /d/pgmahout.fenced"]


def test_a_member_that_stays_out_feeds_no_standby() -> None:
    running = Current(RUNNING._replace(standby_signal=True), {"node1": MARK}, True, ["node2", "sales"])
    assert shown(running, itself=True, unit="u") == [
        "systemctl stop u", "rm -r /d/pg_replslot/{node2,sales}"]
    assert shown(Current(STOPPED, {"node1": MARK}, False, ["node2"]), state="free", itself=True) == ["rm /d/pgmahout.fenced"]


def test_another_member_only_learns_of_it() -> None:
    assert shown(Current(RUNNING, {}), unit="postgresql@17-main") == ["write /d/pgmahout.fenced"]


def test_again_changes_nothing() -> None:
    assert shown(Current(RUNNING, {"node1": MARK})) == []
    assert shown(Current(STOPPED._replace(standby_signal=True), {"node1": MARK}, True), itself=True, unit="u") == []
    assert shown(Current(RUNNING, {"node2": OTHER}), state="free") == []


def test_the_marks_of_others_stay() -> None:
    added = fence.plan(Current(RUNNING, {"node2": OTHER}), fence.desired(OPTIONS))
    assert added.facts["fenced"] == {"node1": MARK, "node2": OTHER}
    taken = fence.plan(Current(RUNNING, added.facts["fenced"]), fence.desired({**OPTIONS, "state": "free"}))
    assert taken.facts["fenced"] == {"node2": OTHER}
    assert [step.action for step in taken.steps] == ["write"]


def test_the_last_mark_goes_with_its_file_and_the_mask_with_it() -> None:
    assert shown(Current(STOPPED, {"node1": MARK}, True), state="free", itself=True, unit="u") == [
        "rm /d/pgmahout.fenced", "systemctl unmask u"]
    assert shown(Current(Instance("/d", "missing"), {}, True), state="free", itself=True, unit="u") == ["systemctl unmask u"]


def test_a_member_is_kept_from_writes_without_a_mark() -> None:
    assert shown(Current(STOPPED, {}), itself=True, members=[], timeline=None, lsn=None) == ["touch /d/standby.signal"]


@pytest.mark.parametrize("missing", ["timeline", "lsn"])
def test_from_nowhere_on_nobody_is_fenced(missing: str) -> None:
    with pytest.raises(InputError, match="node1 were to be fenced and timeline or lsn is not given"):
        fence.desired({**OPTIONS, missing: None})


def test_where_there_is_no_instance_nobody_is_fenced() -> None:
    with pytest.raises(StateError, match="there is no instance"):
        shown(Current(Instance("/d", "missing"), {}))
