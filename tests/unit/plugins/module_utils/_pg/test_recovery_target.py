# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets of a recovery: what is understood, what is refused, and the settings that say so to the server."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import recovery_target
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError

NOTHING: dict[str, Any] = {name: option["default"] for name, option in recovery_target.SPEC.items()}


def target(**options: Any) -> recovery_target.Target:
    return recovery_target.desired({**NOTHING, **options})


@pytest.mark.parametrize(("text", "meant"), [
    ("2026-11-22 18:30:00+00", "2026-11-22 18:30:00.000000+00"),
    ("2026-11-22T18:30:00.5Z", "2026-11-22 18:30:00.500000+00"),
    ("2026-11-22 18:30:00.123456 UTC", "2026-11-22 18:30:00.123456+00"),
    ("2026-11-22 18:30:00+01:00", "2026-11-22 17:30:00.000000+00"),
    ("2026-11-22 18:30 -0530", "2026-11-23 00:00:00.000000+00"),
    ("2026-01-01 00:30:00+02", "2025-12-31 22:30:00.000000+00"),
])
def test_a_time_is_told_to_the_server_in_utc(text: str, meant: str) -> None:
    assert target(target_time=text).value == meant


@pytest.mark.parametrize("text", ["2026-11-22 18:30:00", "2026-11-22", "yesterday", "2026-11-22 18:30:00 CET", "1795372200"])
def test_a_time_that_could_mean_several_moments_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="time zone") as refusal:
        target(target_time=text)
    assert text in str(refusal.value)


@pytest.mark.parametrize("text", ["2026-02-30 10:00:00Z", "2026-11-22 25:00:00Z"])
def test_a_time_that_never_was_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no moment of the calendar"):
        target(target_time=text)


def test_two_targets_are_refused_and_both_named() -> None:
    with pytest.raises(InputError, match="target_xid and target_lsn"):
        target(target_xid="750", target_lsn="0/3000000")


@pytest.mark.parametrize(("options", "word"), [
    ({"target_xid": "seven"}, "target_xid"), ({"target_xid": "2"}, "target_xid"), ({"target_lsn": "0-3"}, "0-3"),
    ({"target_name": "n" * 64}, "63 bytes"), ({"target_timeline": "next"}, "target_timeline"),
    ({"target_timeline": "0"}, "target_timeline"), ({"target_action": "pause"}, "always promotes")])
def test_what_has_no_meaning_is_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        target(**options)


@pytest.mark.parametrize(("options", "expected"), [
    ({}, {"recovery_target_timeline": "current"}),
    ({"target_timeline": "0x2"}, {"recovery_target_timeline": "2"}),
    ({"target_immediate": True}, {"recovery_target": "immediate", "recovery_target_action": "promote"}),
    ({"target_name": "before"}, {"recovery_target_name": "before", "recovery_target_action": "promote"}),
    ({"target_xid": "4294968000", "target_inclusive": False, "target_action": "pause"},
     {"recovery_target_xid": "704", "recovery_target_inclusive": "false", "recovery_target_action": "pause"}),
    ({"target_lsn": "0/03000060"}, {
        "recovery_target_lsn": "0/3000060", "recovery_target_inclusive": "true", "recovery_target_action": "promote"}),
])
def test_only_what_was_asked_for_is_set_and_the_timeline_always(options: dict[str, Any], expected: dict[str, str]) -> None:
    found = recovery_target.settings(target(**options))
    assert {name: value for name, value in found.items() if value is not None} == {
        "recovery_target_timeline": "current", **expected}
    assert set(found) == set(recovery_target.SETTINGS)
