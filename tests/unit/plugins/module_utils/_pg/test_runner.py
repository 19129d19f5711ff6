# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel: check mode plans and does not apply, changed is a plan with steps, errors are one message."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils import _internal
from ansible.module_utils.testing import patch_module_args

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import plan, runner
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError, Unreachable

SPEC = {"wanted": {"type": "int", "required": True}, "password": {"type": "str", "no_log": True},
        "login_planned": {"type": "bool", "default": False}}


class Counter:
    """A context that holds a number, and what was done to it."""

    shown_as = "commands"

    def __init__(self, value: int = 0) -> None:
        self.value = value
        self.journal: list[str] = []

    @contextlib.contextmanager
    def lock(self, *names: str) -> Iterator[None]:
        self.journal.append("lock %s" % "/".join(names))
        yield
        self.journal.append("unlock")

    def execute(self, step: plan.Action) -> None:
        self.journal.append(step.shown)
        self.value += 1


def resource(**changes: Any) -> Any:
    def planned(current: int, wanted: int) -> plan.Plan:
        steps = [plan.Action("add", "add 1")] * (wanted - current)
        return plan.Plan(steps, {"value": current}, {"value": max(wanted, current)}, {"fact": wanted}, ["careful"][:wanted - 1])

    made = {"desired": lambda params: params["wanted"], "read": lambda context, _wanted: context.value, "plan": planned,
            "ABSENT": 0, "__name__": "package.counters"}
    return SimpleNamespace(**{**made, **changes})


@pytest.fixture(autouse=True)
def _on_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning of a module is part of its result, unless it is on the controller, as other tests of this process are."""
    monkeypatch.setattr(_internal, "is_controller", False)


def run(found: Any, context: Counter, check: bool = False, opener: Any = None, **options: Any) -> dict[str, Any]:
    @contextlib.contextmanager
    def opened(_params: Mapping[str, Any]) -> Iterator[Counter]:
        yield context

    printed = io.StringIO()
    with patch_module_args({"wanted": 2, **options, "_ansible_check_mode": check}), contextlib.redirect_stdout(printed), \
            contextlib.suppress(SystemExit):
        runner.run(found, SPEC, opener or opened)
    result: dict[str, Any] = json.loads(printed.getvalue())
    return result


@pytest.mark.parametrize("check", [True, False])
def test_check_mode_tells_what_the_real_run_does(check: bool) -> None:
    context = Counter()
    result = run(resource(), context, check)
    assert (result["changed"], result["commands"], result["fact"]) == (True, ["add 1", "add 1"], 2)
    assert result["diff"] == {"before": {"value": 0}, "after": {"value": 2}}
    assert "careful" in json.dumps(result["warnings"])
    assert context.journal == ([] if check else ["lock counters", "add 1", "add 1", "unlock"])


def test_nothing_to_do_is_no_change_and_takes_no_lock() -> None:
    context = Counter(2)
    result = run(resource(), context)
    assert (result["changed"], result["commands"], context.journal) == (False, [], [])


def test_what_another_run_did_while_we_waited_is_not_done_again() -> None:
    context = Counter()

    @contextlib.contextmanager
    def lock(*_names: str) -> Iterator[None]:
        context.value = 1
        yield

    context.lock = lock  # type: ignore[method-assign]
    result = run(resource(), context)
    assert result["commands"] == ["add 1"]
    assert context.value == 2


def test_a_resource_may_apply_and_settle_by_itself() -> None:
    context = Counter()
    found = resource(apply=lambda context, _wanted, steps: {"extra": len(steps)},
                     settle=lambda context, wanted: context.journal.append("settled at %d" % wanted))
    assert run(found, context)["extra"] == 2
    assert context.journal[-1] == "settled at 2"
    context.value = 2
    context.journal.clear()
    assert run(found, context)["changed"] is False
    assert context.journal == ["settled at 2"]
    context.journal.clear()
    run(found, context, check=True)
    assert context.journal == []


@pytest.mark.parametrize("where", ["desired", "read", "plan"])
def test_an_error_is_one_message(where: str) -> None:
    def fail(*_args: Any) -> Any:
        raise StateError("It is not right.")

    result = run(resource(**{where: fail}), Counter())
    assert (result["failed"], result["msg"]) == (True, "It is not right.")
    assert "Traceback" not in json.dumps(result)


def test_bad_input_is_refused_before_anything_is_opened() -> None:
    def desired(_params: Any) -> Any:
        raise InputError("The option wanted is wrong.")

    def opener(_params: Any) -> Any:
        raise AssertionError("it was opened")

    assert run(resource(desired=desired), Counter(), opener=opener)["msg"] == "The option wanted is wrong."


@pytest.mark.parametrize(("check", "planned"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_server_that_is_not_there_yet_counts_as_empty_in_a_planned_check(check: bool, planned: bool) -> None:
    def opener(_params: Any) -> Any:
        raise Unreachable("No server.")

    result = run(resource(), Counter(), check, opener, login_planned=planned)
    if check and planned:
        assert result["statements"] == ["add 1", "add 1"]
    else:
        assert result["msg"] == "No server."


def test_a_password_is_in_no_result() -> None:
    found = resource(plan=lambda *_args: plan.Plan([plan.Action("a", "set s3cret")], {}, {"value": "s3cret"}))
    assert "s3cret" not in json.dumps(run(found, Counter(), password="s3cret"))
