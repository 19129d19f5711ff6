# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a host and of a directory, without a server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import info, instance, programs
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import StateError

CONTROL = instance.Control("7001", "shut down", 1, "0/3000060", "0/0", {"max_connections": 100}, True)


def test_a_directory_without_a_server_is_told_as_it_is() -> None:
    found = info._instance(instance.Instance("/d", "instance", 18, CONTROL, None, True, False, 3), 180001)
    assert (found["kind"], found["timeline"], found["system_identifier"], found["port"]) == ("instance", 3, "7001", None)
    assert (found["standby_signal"], found["floors"], found["programs_version_num"]) == (True, {"max_connections": 100}, 180001)
    missing = info._instance(instance.Instance("/d", "missing"), 180001)
    assert (missing["system_identifier"], missing["floors"], missing["checkpoint_lsn"]) == ("", {}, None)


def test_two_runs_on_one_host_see_the_same_machine() -> None:
    params = {"bindir": "/bin", "programs_directory": "", "user": "", "backup_directory": ""}
    one, other = info._host(params), info._host(params)
    assert one == other
    assert one["uid"] == os.geteuid()
    assert one["machine"].count(":[") == 2


def test_a_host_without_programs_can_still_ask_a_server_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(_params: object) -> None:
        raise StateError("There is no pg_ctl on the PATH.")

    monkeypatch.setattr(programs, "locate", nowhere)
    assert info._host({"bindir": "", "programs_directory": "", "user": "", "backup_directory": ""})["bindir"] == ""


def test_a_client_without_its_server_is_no_programs_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "psql").touch(0o755)
    monkeypatch.setattr(info, "_problems", lambda host, *_rest: [] if host is None else ["there were programs"])
    result: dict[str, object] = {}
    params = {"programs_planned": True, "bindir": str(tmp_path), "data_directory": str(tmp_path / "data")}
    assert info._read(params, result).kind == "missing"
    assert result["problems"] == []
