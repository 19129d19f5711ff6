# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_fence``: a former primary takes no writes whoever starts it, and every member knows who stays out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import instances
from tests.support.instances import instance, programs
from tests.support.modules import ok, refused, run_module
from tests.support.postgres import Server

MODULE = "pg_fence"
MARK = {"timeline": 1, "lsn": "0/3000148"}


@pytest.fixture
def primary() -> Iterator[Server]:
    with instances.primary(18) as server:
        yield server


def options(server: Server, **given: Any) -> dict[str, Any]:
    return {**programs(server), "data_directory": str(server.data), "members": ["node1"], **MARK, **given}


def read(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = ok("pg_replication_info", **programs(server), data_directory=str(server.data))
    return found


def test_a_member_that_stays_out_is_stopped_and_comes_back_without_writes(primary: Server) -> None:
    primary.sql("SELECT pg_create_physical_replication_slot('node2', true)")
    planned = run_module(MODULE, check=True, **options(primary, itself=True))
    assert (read(primary)["instance"]["fenced"], read(primary)["role"]) == ({}, "primary")
    fenced = ok(MODULE, **options(primary, itself=True))
    assert (fenced["commands"], fenced["diff"]) == (planned["commands"], planned["diff"])
    assert [command.split()[0] for command in fenced["commands"]] == ["touch", "write", "pg_ctl", "rm"]
    found = read(primary)
    assert (found["running"], found["instance"]["fenced"]) == (False, {"node1": MARK})
    assert ok(MODULE, **options(primary, itself=True))["changed"] is False
    ok("pg_instance", **instance(primary))
    assert (read(primary)["role"], read(primary)["slots"]) == ("standby", [])


def test_another_member_remembers_it_and_goes_on(primary: Server) -> None:
    started = instances.started(primary)
    ok(MODULE, **options(primary))
    assert json.loads((primary.data / "pgmahout.fenced").read_text()) == {"node1": MARK}
    ok(MODULE, **options(primary, members=["node2"], timeline=2))
    assert set(read(primary)["instance"]["fenced"]) == {"node1", "node2"}
    freed = ok(MODULE, **options(primary, state="free"))
    assert list(freed["fenced"]) == ["node2"]
    ok(MODULE, **options(primary, state="free", members=["node2"]))
    assert not (primary.data / "pgmahout.fenced").exists()
    assert ok(MODULE, **options(primary, state="free"))["changed"] is False
    assert instances.started(primary) == started


def test_the_files_are_the_servers(primary: Server) -> None:
    ok(MODULE, **options(primary, itself=True))
    owner = primary.data.stat()
    for name in ("pgmahout.fenced", "standby.signal"):
        file = (primary.data / name).stat()
        assert (file.st_uid, file.st_gid, file.st_mode & 0o777) == (owner.st_uid, owner.st_gid, 0o600)


def test_where_there_is_no_instance_nobody_is_fenced(primary: Server) -> None:
    assert "there is no instance" in refused(MODULE, **options(primary, data_directory=str(primary.home / "nothing")))
    assert ok(MODULE, **options(primary, data_directory=str(primary.home / "nothing"), state="free"))["changed"] is False


def test_marks_that_nobody_can_read_are_told(primary: Server) -> None:
    (primary.data / "pgmahout.fenced").write_text("{")
    assert "does not say which members are fenced" in refused(MODULE, **options(primary))
