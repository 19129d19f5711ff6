# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_scratch``: a place that is fresh each time, and removed with the server that runs there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import instances
from tests.support.instances import instance, programs
from tests.support.modules import ok, refused, run_module
from tests.support.postgres import Server

MODULE = "pg_scratch"


@pytest.fixture
def there() -> Iterator[Server]:
    """A server whose home is the scratch directory's parent."""
    with instances.place(18) as server:
        yield server


def options(there: Server, **given: Any) -> dict[str, Any]:
    return {**programs(there), "directory": str(there.home / "drill"), **given}


def test_it_is_made_and_goes_with_all_that_is_in_it(there: Server) -> None:
    planned = run_module(MODULE, check=True, **options(there))
    assert not (there.home / "drill").exists()
    made = ok(MODULE, **options(there))
    assert (made["commands"], made["changed"]) == (planned["commands"], True)
    for path in (there.home / "drill", there.home / "drill" / "run"):
        assert path.stat().st_mode & 0o777 == 0o700
    (there.home / "drill" / "data").mkdir()
    gone = ok(MODULE, **options(there, state="absent"))
    assert (gone["changed"], list(there.home.iterdir())) == (True, [])
    assert ok(MODULE, **options(there, state="absent"))["changed"] is False


def test_a_server_that_runs_there_is_stopped_and_what_it_had_is_gone(there: Server) -> None:
    made = ok(MODULE, **options(there))
    inner = Server(18, Path(made["directory"]), there.port)
    ok("pg_instance", **instance(inner))
    assert inner.sql("SELECT 1") == [(1,)]
    fresh = ok(MODULE, **options(there))
    assert [command.split()[0] for command in fresh["commands"]] == ["pg_ctl", "rm", "mkdir"]
    assert sorted(path.name for path in inner.home.iterdir()) == ["pgmahout.scratch", "run"]
    ok("pg_instance", **instance(inner))
    ok(MODULE, **options(there, state="absent"))
    assert list(there.home.iterdir()) == []


@pytest.mark.parametrize("state", ["fresh", "absent"])
def test_what_is_not_ours_stays(there: Server, state: str) -> None:
    precious = there.home / "drill" / "data"
    precious.mkdir(parents=True)
    assert "holds something else; choose a directory" in refused(MODULE, **options(there, state=state))
    assert precious.exists()


def test_a_removal_that_was_killed_is_ended(there: Server) -> None:
    (there.home / "drill.pgmahout-removed" / "data").mkdir(parents=True)
    ok(MODULE, **options(there, state="absent"))
    assert list(there.home.iterdir()) == []
