# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver: its arguments, its unit, and which steps follow from what runs."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import receiver
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError

PROGRAM = "/opt/pg/bin/pg_receivewal"
OPTIONS: dict[str, Any] = {
    "directory": "/r/wal", "state": "started", "conninfo": {"host": "a,b", "user": "replicator"}, "slot": "pgmahout_wal",
    "compress": "gzip", "unit": "", "user": "postgres", "log_file": "/l/log", "passfile": "", "passfile_entries": None,
    "tls_directory": "", "tls_certificate": None, "tls_key": None, "tls_ca": None}
ARGUMENTS = [PROGRAM, "--directory=/r/wal", "--slot=pgmahout_wal", "--synchronous", "--no-password", "--compress=gzip",
             "--dbname=host=a,b user=replicator"]
UNIT = "/etc/systemd/system/u.service"


def wanted(**options: Any) -> receiver.Wanted:
    return receiver.desired({**OPTIONS, **options})


def current(**found: Any) -> receiver.Current:
    return receiver.Current(**{"program": PROGRAM, "major": 18, "has_directory": True, "arguments": None, "unit_text": None,
                               "credentials": {}, "copy_of_programs": "", **found})


def steps(found: receiver.Current, **options: Any) -> list[str]:
    return [step.shown for step in receiver.plan(found, wanted(**options)).steps]


@pytest.mark.parametrize(("major", "compress", "told"), [
    (18, "gzip", ["--compress=gzip"]), (18, "lz4", ["--compress=lz4"]), (18, "none", []), (14, "gzip", ["--compress=6"]),
    (14, "none", [])])
def test_compression_is_asked_for_as_the_version_has_it(major: int, compress: str, told: list[str]) -> None:
    given = receiver.arguments(current(major=major), wanted(compress=compress))
    assert [value for value in given if value.startswith("--compress")] == told


def test_a_compression_that_came_later_is_refused() -> None:
    with pytest.raises(InputError, match="lz4, which pg_receivewal has since PostgreSQL 15"):
        receiver.plan(current(major=14), wanted(compress="lz4"))


def test_one_that_does_not_run_is_started_and_its_directory_made() -> None:
    assert steps(current()) == [" ".join(ARGUMENTS)]
    assert steps(current(has_directory=False)) == ["mkdir -m 0700 /r/wal", " ".join(ARGUMENTS)]


def test_one_that_runs_as_asked_is_left_alone() -> None:
    assert steps(current(arguments=ARGUMENTS)) == []


def test_one_that_runs_otherwise_is_restarted() -> None:
    assert steps(current(arguments=ARGUMENTS), slot="other") != []
    assert steps(current(arguments=[*ARGUMENTS, "--verbose"])) != []


def test_a_unit_is_written_and_restarted_when_its_text_differs() -> None:
    text = receiver.unit_text(ARGUMENTS, wanted(unit="u"))
    assert steps(current(), unit="u") == [f"write {UNIT}", "systemctl restart u"]
    assert steps(current(arguments=ARGUMENTS, unit_text=text), unit="u") == []
    assert steps(current(arguments=ARGUMENTS, unit_text="old"), unit="u") == [f"write {UNIT}", "systemctl restart u"]
    assert steps(current(arguments=None, unit_text=text), unit="u") == ["systemctl restart u"]


def test_a_unit_keeps_to_the_words_of_systemd() -> None:
    text = receiver.unit_text([PROGRAM, '--directory=/a b/"c"/$d/%e\\f'], wanted(unit="u"))
    assert 'ExecStart="/opt/pg/bin/pg_receivewal" "--directory=/a b/\\"c\\"/$$d/%%e\\\\f"' in text
    assert "Restart=always" in text
    assert "User=postgres" in text
    assert "StandardError=append:/l/log" in text


@pytest.mark.parametrize(("found", "state", "done"), [
    ({"arguments": ARGUMENTS}, "stopped", ["systemctl stop u"]), ({"unit_text": "x"}, "stopped", []),
    ({"arguments": ARGUMENTS, "unit_text": "x"}, "absent", ["systemctl stop u", f"rm {UNIT}"]),
    ({"unit_text": "x"}, "absent", [f"rm {UNIT}"]), ({}, "absent", [])])
def test_it_goes_as_far_as_asked(found: dict[str, Any], state: str, done: list[str]) -> None:
    assert steps(current(**found), state=state, unit="u") == done


@pytest.mark.parametrize(("options", "told"), [
    ({"directory": "wal"}, "no absolute path"), ({"slot": ""}, "without the option slot"),
    ({"conninfo": {}}, "the option conninfo"), ({"log_file": ""}, "the option log_file"),
    ({"conninfo": {"host": "a", "password": "s3cret"}}, "option conninfo holds password")])
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told) as refusal:
        wanted(**options)
    assert "s3cret" not in str(refusal.value)


def test_what_is_only_stopped_needs_no_server() -> None:
    assert wanted(state="absent", conninfo=None, slot="", log_file="").state == "absent"
