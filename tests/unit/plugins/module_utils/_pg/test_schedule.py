# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schedules: the way from every state of a host, what is refused, and what the files say, without a host."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import schedule, tools
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import StateError
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.plan import Plan

DIRECTORY = "/srv/back ups/orders"
PROGRAM, OPTIONS = DIRECTORY + "/bin/take-backup", DIRECTORY + "/schedule.json"
UNITS = ["/etc/systemd/system/pgmahout-backup-orders.service", "/etc/systemd/system/pgmahout-backup-orders.timer"]
CRON = "/etc/cron.d/pgmahout-backup-orders"
PATHS = [OPTIONS, PROGRAM, *UNITS, CRON]
ON = {"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active", "NeedDaemonReload": "no"}
OFF = {"LoadState": "not-found", "UnitFileState": "", "ActiveState": "inactive", "NeedDaemonReload": "no"}
RELOAD, TIMER = "systemctl daemon-reload", "pgmahout-backup-orders.timer"

SYSTEMD = schedule.Wanted("pgmahout-backup-orders", "orders", "Mon *-*-* 02:00", "systemd", DIRECTORY, '{"a": 1}\n',
                          {"scheduled": ""}, False)
CRON_WANTED = SYSTEMD._replace(kind="cron", schedule="0 2 * * *")
NONE = SYSTEMD._replace(kind="", schedule="", options="{}\n", modules={})
BARE = schedule.Current(dict.fromkeys(PATHS), None, "/usr/bin/python3", "postgres", "", OFF, is_root=True)
USER = BARE._replace(crontab="", user="me", timer={}, is_root=False)


def after(current: schedule.Current, wanted: schedule.Wanted) -> schedule.Current:
    """The host once the steps are done."""
    files, timer, crontab = dict(current.files), dict(current.timer), current.crontab
    for step in schedule.plan(current, wanted).steps:
        if step.action == "file":
            files[step.values["path"]] = step.values["text"]
        elif step.action == "crontab":
            crontab = step.values["text"]
        else:
            timer = {"enable": ON, "disable": {**OFF, "LoadState": "loaded"}}.get(step.values["argv"][0], timer)
            if step.values["argv"] == ["daemon-reload"]:
                timer = {**timer, "NeedDaemonReload": "no", "LoadState": "loaded" if files[UNITS[1]] else "not-found"}
    return current._replace(files=files, timer=timer, crontab=crontab)


def shown(plan: Plan) -> list[str]:
    return [step.shown for step in plan.steps]


def text(current: schedule.Current, path: str) -> str:
    found = current.files[path]
    assert found is not None
    return found.decode()


def test_a_timer_of_systemd() -> None:
    plan = schedule.plan(BARE, SYSTEMD)
    assert shown(plan) == [f"write {path}" for path in PATHS[:4]] + [RELOAD, f"systemctl enable --now {TIMER}"]
    assert (plan.before["timer"], plan.after["timer"]) == (False, True)
    made = after(BARE, SYSTEMD)
    assert schedule.plan(made, SYSTEMD).steps == []
    assert f'\nUser=postgres\nUMask=0077\nExecStart=/usr/bin/python3 "{PROGRAM}" "{OPTIONS}"\n' in text(made, UNITS[0])
    assert "\nOnCalendar=Mon *-*-* 02:00\nPersistent=true\n" in text(made, UNITS[1])


def test_a_line_of_cron_for_root_names_the_account() -> None:
    plan = schedule.plan(BARE, CRON_WANTED)
    assert shown(plan) == [f"write {OPTIONS}", f"write {PROGRAM}", f"write {CRON}"]
    made = after(BARE, CRON_WANTED)
    assert schedule.plan(made, CRON_WANTED).steps == []
    assert text(made, CRON).splitlines()[1:] == [
        f"0 2 * * * postgres /usr/bin/python3 '{PROGRAM}' '{OPTIONS}' > /dev/null"]


def test_a_line_of_cron_in_the_crontab_of_the_account() -> None:
    theirs = "MAILTO=me\n1 1 * * * true"
    current = USER._replace(crontab=theirs)
    made = after(current, CRON_WANTED)
    line = f"0 2 * * * /usr/bin/python3 '{PROGRAM}' '{OPTIONS}' > /dev/null"
    assert made.crontab == f"{theirs}\n# BEGIN pgmahout-backup-orders\n{line}\n# END pgmahout-backup-orders\n"
    assert schedule.plan(made, CRON_WANTED).steps == []
    later = after(made, CRON_WANTED._replace(schedule="5 3 * * *"))
    assert later.crontab == made.crontab.replace("0 2", "5 3")
    assert after(later, NONE).crontab == theirs + "\n"


@pytest.mark.parametrize("timer", [OFF, {}])
@pytest.mark.parametrize("wanted", [SYSTEMD, CRON_WANTED])
def test_nothing_is_left_when_there_is_no_schedule(wanted: schedule.Wanted, timer: dict[str, str]) -> None:
    made = after(BARE._replace(timer=timer), wanted)
    gone = after(made, NONE)
    assert set(gone.files.values()) == {None}
    assert schedule.plan(gone, NONE).steps == []
    if timer and wanted is SYSTEMD:
        assert shown(schedule.plan(made, NONE))[0] == f"systemctl disable --now {TIMER}"
        assert shown(schedule.plan(made, NONE))[-2:] == [f"rm {OPTIONS}", RELOAD]


@pytest.mark.parametrize(("first", "second"), [(SYSTEMD, CRON_WANTED), (CRON_WANTED, SYSTEMD)])
def test_the_other_kind_takes_the_place_of_the_first(first: schedule.Wanted, second: schedule.Wanted) -> None:
    made = after(after(BARE, first), second)
    assert made._replace(timer={}) == after(BARE, second)._replace(timer={})
    assert schedule.plan(made, second).steps == []


def test_another_time_is_another_file_that_systemd_reads() -> None:
    made = after(BARE, SYSTEMD)
    assert shown(schedule.plan(made, SYSTEMD._replace(schedule="daily"))) == [f"write {UNITS[1]}", RELOAD]


@pytest.mark.parametrize(("timer", "steps"), [
    ({**ON, "NeedDaemonReload": "yes"}, [RELOAD]),
    ({**ON, "UnitFileState": "disabled"}, [f"systemctl enable --now {TIMER}"]),
    ({**ON, "ActiveState": "failed"}, [f"systemctl enable --now {TIMER}"])])
def test_a_run_that_was_killed_is_completed(timer: dict[str, str], steps: list[str]) -> None:
    assert shown(schedule.plan(after(BARE, SYSTEMD)._replace(timer=timer), SYSTEMD)) == steps


def test_a_removal_that_was_killed_is_completed() -> None:
    assert shown(schedule.plan(BARE._replace(timer={**OFF, "LoadState": "loaded"}), NONE)) == [RELOAD]


def test_the_program_of_another_interpreter_is_another_one() -> None:
    made = after(BARE, SYSTEMD)
    steps = shown(schedule.plan(made._replace(interpreter="/opt/python"), SYSTEMD))
    assert steps == [f"write {PROGRAM}", f"write {UNITS[0]}", RELOAD]


@pytest.mark.parametrize(("current", "wanted", "told"), [
    (BARE._replace(unusable="this host is not run by systemd; set schedule_with to cron."), SYSTEMD,
     "at 'Mon .*' by systemd and this host is not run by systemd"),
    (BARE._replace(interpreter=""), SYSTEMD, "the account postgres can run no Python 3.8"),
    (USER, SYSTEMD, "pgmahout-backup-orders.service was to be written and this task does not run as root"),
    (USER._replace(files={**BARE.files, CRON: b""}), NONE, "cron.d/pgmahout-backup-orders was to be removed and this task"),
    (USER._replace(crontab=None), CRON_WANTED, "this host has no program crontab"),
])
def test_what_a_host_cannot_have_is_refused(current: schedule.Current, wanted: schedule.Wanted, told: str) -> None:
    with pytest.raises(StateError, match=told):
        schedule.plan(current, wanted)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_names_of_files_are_for_cron_and_differ(one: str, other: str) -> None:
    names = [schedule._name(cluster) for cluster in (one, other)]
    assert (names[0] == names[1]) == (one == other)
    assert all(name.replace("-", "").replace("_", "").isalnum() and name.isascii() for name in names)


def test_the_crontab_of_the_account_is_read_and_replaced_by_its_own_program(monkeypatch: pytest.MonkeyPatch) -> None:
    table = "1 1 * * * true\n"
    calls: list[Sequence[str]] = []

    def crontab(argv: Sequence[str], accept: Sequence[int] = (0,)) -> str:
        nonlocal table
        calls.append(argv)
        if argv[1] != "-l":
            table = Path(argv[1]).read_text()
        return table if accept == (0, 1) else ""

    monkeypatch.setattr(tools, "run", crontab)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda name, path: f"/usr/bin/{name}")
    current = USER._replace(crontab=schedule._crontab())
    steps = [step for step in schedule.plan(current, CRON_WANTED).steps if step.action == "crontab"]
    schedule.apply(None, CRON_WANTED, steps)  # type: ignore[arg-type]
    assert table.splitlines()[0] == "1 1 * * * true"
    assert table.splitlines()[2].startswith("0 2 * * * /usr/bin/python3 ")
    assert [argv[0] for argv in calls] == ["crontab", "crontab"]
    assert not Path(calls[1][1]).exists()
