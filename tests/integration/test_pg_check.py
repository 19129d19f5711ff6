# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_check`` on real instances: what is sound passes, what is damaged is named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import VERSIONS
from tests.support.instances import programs
from tests.support.modules import ok, refused, run_module
from tests.support.postgres import Server, bindir, scratch_server

MODULE = "pg_check"


@pytest.fixture(params=VERSIONS, ids=lambda major: f"pg{major}")
def instance(request: pytest.FixtureRequest) -> Iterator[Server]:
    if bindir(request.param) is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed on this machine")
    with scratch_server(request.param, initdb=("--data-checksums",)) as server:
        server.sql("CREATE TABLE t AS SELECT g AS a FROM generate_series(1, 1000) g; CHECKPOINT")
        yield server


def options(server: Server, program: str) -> dict[str, Any]:
    return {**programs(server), "data_directory": str(server.data), "program": program, "superuser": server.superuser}


def has_amcheck(server: Server) -> bool:
    return server.sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'") == [(1,)]


def test_what_is_sound_passes(instance: Server) -> None:
    found = ok(MODULE, **options(instance, "pg_amcheck"))
    assert (found["status"], found["found"]) == (
        ("passed", "All tables and indexes are sound.") if has_amcheck(instance) else
        ("skipped", "The server has no extension amcheck; install PostgreSQL's contrib modules."))
    instance.stop()
    found = ok(MODULE, **options(instance, "pg_checksums"))
    assert found["status"] == "passed"
    assert found["changed"] is False
    assert found["started"] <= found["ended"]


def test_an_index_that_lacks_a_row_is_found(instance: Server) -> None:
    if not has_amcheck(instance):
        pytest.skip("this build has no extension amcheck")
    instance.sql("CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'; CREATE INDEX by_f ON t (f(a));"
                 " CREATE OR REPLACE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT -$1'")
    found = ok(MODULE, **options(instance, "pg_amcheck"))
    assert found["status"] == "failed"
    assert "by_f" in found["found"]
    assert any("lacks matching index tuple" in line for line in found["complaints"])


def test_a_page_with_a_flipped_byte_is_found_and_named(instance: Server) -> None:
    path = instance.sql("SELECT pg_relation_filepath('t')")[0][0]
    instance.stop()
    with (instance.data / path).open("r+b") as file:
        file.seek(8192 + 4000)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    found = ok(MODULE, **options(instance, "pg_checksums"))
    assert found["status"] == "failed"
    assert path in found["found"]
    assert "block 1" in found["found"]


def test_what_is_in_the_wrong_state_is_refused(instance: Server) -> None:
    assert "the instance is running; stop it cleanly first" in refused(MODULE, **options(instance, "pg_checksums"))
    instance.stop("immediate")
    assert "the instance is in production; stop it cleanly first" in refused(MODULE, **options(instance, "pg_checksums"))
    assert "no server runs there; start it first" in refused(MODULE, **options(instance, "pg_amcheck"))


def test_check_mode_makes_no_extension(instance: Server) -> None:
    assert run_module(MODULE, check=True, **options(instance, "pg_amcheck"))["status"] == "skipped"
    assert instance.sql("SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'") == [(0,)]


def test_an_instance_without_checksums_is_skipped() -> None:
    with scratch_server(18, initdb=("--no-data-checksums",)) as server:
        server.stop()
        found = ok(MODULE, **options(server, "pg_checksums"))
    assert found["status"] == "skipped"
    assert "has no checksums" in found["found"]
