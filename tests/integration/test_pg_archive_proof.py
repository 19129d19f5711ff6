# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_archive_proof: an archive that works is proven, one that does not is an error with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.archives import Archiving, archiving
from tests.support.modules import ok, refused, run_module
from tests.support.postgres import bindir


@pytest.fixture(params=[15, 18], ids=lambda major: f"pg{major}")
def made(request: pytest.FixtureRequest) -> Iterator[Archiving]:
    if bindir(request.param) is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed on this machine")
    with archiving(request.param) as found:
        yield found


def options(made: Archiving, **given: Any) -> dict[str, Any]:
    return {**made.server.login, "method": "archive", "directory": str(made.wal), "log_file": str(made.server.home / "log"),
            "timeout": 20, **given}


def position(made: Archiving) -> Any:
    return made.server.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")


def test_a_segment_is_ended_once_and_seen_in_the_archive(made: Archiving) -> None:
    assert run_module("pg_archive_proof", check=True, **options(made))["changed"] is False
    assert list(made.wal.iterdir()) == []
    done = ok("pg_archive_proof", **options(made))
    assert (made.wal / done["file"]).exists()
    before = position(made)
    again = ok("pg_archive_proof", **options(made))
    assert again["file"] == done["file"]
    assert position(made) == before


def test_a_file_that_is_gone_from_the_archive_proves_nothing(made: Archiving) -> None:
    done = ok("pg_archive_proof", **options(made))
    (made.wal / done["file"]).unlink()
    again = ok("pg_archive_proof", **options(made))
    assert again["file"] > done["file"]
    assert (made.wal / again["file"]).exists()


def test_a_failing_archiver_is_an_error_with_what_the_program_said(made: Archiving) -> None:
    made.wal.rename(made.wal.with_name("elsewhere"))
    made.wal.write_text("no directory")
    message = refused("pg_archive_proof", **options(made))
    assert "fails: pg_wal/0000" in message
    assert "mkdir" in message
    assert "\n" not in message
    made.wal.unlink()
    made.wal.with_name("elsewhere").rename(made.wal)
    assert ok("pg_archive_proof", **options(made))["file"]


def test_an_archiver_that_is_off_is_an_error(made: Archiving) -> None:
    made.server.sql("ALTER SYSTEM SET archive_mode = off")
    made.server.restart()
    assert "archive_mode is off" in refused("pg_archive_proof", **options(made))


def test_a_slot_that_nothing_receives_from_proves_nothing(made: Archiving) -> None:
    streamed = options(made, method="stream", slot="pgmahout_wal", timeout=1)
    assert "the server has no such slot" in refused("pg_archive_proof", **streamed)
    made.server.sql("SELECT pg_create_physical_replication_slot('pgmahout_wal', true)")
    assert "nothing receives from it" in refused("pg_archive_proof", **streamed)


@pytest.mark.parametrize(("method", "missing"), [("archive", "directory"), ("stream", "slot")])
def test_the_option_that_the_method_needs_is_asked_for(method: str, missing: str) -> None:
    assert f"without the option {missing}" in refused("pg_archive_proof", method=method, login_unix_socket=str(Path("/nowhere")))


def test_a_server_that_an_earlier_task_makes_is_no_error_in_check_mode() -> None:
    asked = {"method": "archive", "directory": "/nowhere", "login_unix_socket": "/nowhere", "login_planned": True}
    assert run_module("pg_archive_proof", check=True, **asked)["file"] == ""
    assert "Could not connect" in refused("pg_archive_proof", **asked)
