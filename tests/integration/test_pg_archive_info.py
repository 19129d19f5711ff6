# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_archive_info`` on real repositories: how far the WAL goes and which commit is the last in it, by either way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import lsn
from tests.support.instances import programs
from tests.support.modules import ok, refused
from tests.support.postgres import bindir
from tests.support.replication import await_true
from tests.support.restores import SEGMENT_SIZE, Source, source

MODULE = "pg_archive_info"


@pytest.fixture(scope="module", params=[(15, "archive", "zstd"), (18, "archive", "gzip"), (18, "stream", "none"),
                                        (18, "stream", "gzip")], ids=lambda param: "-".join(str(part) for part in param))
def made(request: pytest.FixtureRequest) -> Iterator[Source]:
    major, way, compress = request.param
    if bindir(major) is None:
        pytest.skip(f"PostgreSQL {major} is not installed on this machine")
    with source(major, way, compress, track_commit_timestamp="on") as prepared:
        prepared.server.sql("CREATE TABLE t (a int)")
        prepared.backup("first")
        yield prepared


def found(made: Source, **options: Any) -> dict[str, Any]:
    return ok(MODULE, **{**programs(made.server), "directory": str(made.repository), **options})


def commit(made: Source) -> tuple[int, float]:
    """Commit a row; return its transaction and when the server says that it was."""
    made.server.sql("INSERT INTO t VALUES (1)")
    return last_commit(made)


def last_commit(made: Source) -> tuple[int, float]:
    [(xid, at)] = made.server.sql("SELECT xid::text::int8 & 4294967295, extract(epoch FROM timestamp)::float8"
                                  " FROM pg_last_committed_xact()")
    return xid, at


def test_the_last_commit_is_the_one_that_the_server_knows(made: Source) -> None:
    commit(made)
    made.ship()
    xid, at = last_commit(made)
    # The commit of what ships is not waited for, and so may be received a moment later.
    await_true(lambda: found(made)["last_commit"]["xid"] == xid)
    one = found(made)
    assert (one["last_commit"]["xid"], one["last_commit"]["time"]) == (xid, pytest.approx(at, abs=1e-5))
    assert one["missing_segment"] == ""
    assert one["backup"]["id"] == made.backups["first"]["id"]
    assert lsn.parse(one["last_commit"]["lsn"]) < lsn.parse(one["end_lsn"])
    if made.way == "stream":
        assert one["newest_segment"].endswith(".partial")


def test_what_was_committed_behind_a_position_does_not_count(made: Source) -> None:
    xid, _at = commit(made)
    position = made.server.sql("SELECT pg_current_wal_insert_lsn()::text")[0][0]
    commit(made)
    made.ship()
    assert found(made, until_lsn=position)["last_commit"]["xid"] == xid


def test_the_last_commit_may_be_several_segments_back(made: Source) -> None:
    xid, at = commit(made)
    for _segment in range(3):
        made.server.sql("SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000)); SELECT pg_switch_wal()")
    position = made.server.sql("SELECT pg_current_wal_insert_lsn()::text")[0][0]
    made.server.sql("SELECT pg_logical_emit_message(false, 'test', 'x'); SELECT pg_switch_wal()")
    one = found(made, until_lsn=position, await_lsn=position, timeout=20)
    assert one["last_commit"] == {"xid": xid, "lsn": one["last_commit"]["lsn"], "time": pytest.approx(at, abs=1e-5)}


def test_the_end_is_what_was_received(made: Source) -> None:
    commit(made)
    upto = lsn.parse(made.ship())
    end = lsn.parse(found(made)["end_lsn"])
    if made.way == "archive":
        assert end % SEGMENT_SIZE == 0
        assert end >= upto
        return
    # Every 200 ms the server may write a record of its own.
    def is_level() -> bool:
        position = lsn.parse(made.position())
        return abs(lsn.parse(found(made)["end_lsn"]) - position) < 8192

    await_true(is_level)


def test_wal_that_does_not_come_is_told(made: Source) -> None:
    said = refused(MODULE, **programs(made.server) | {"directory": str(made.repository), "await_lsn": "FF/0", "timeout": 1})
    assert "The WAL up to FF/0 was awaited in" in said
    assert "after 1 s it goes up to 0000000100000000" in said


def test_a_backup_that_is_not_there_is_refused_by_name(made: Source) -> None:
    said = refused(MODULE, **programs(made.server), directory=str(made.repository), backup="nothing")
    assert f"has {made.backups['first']['id']}; name one of these" in said


def test_a_missing_segment_is_named_and_ends_the_wal(made: Source) -> None:
    made.ship()
    before = found(made)
    [*_older, victim] = sorted(path for path in made.archive.iterdir() if "partial" not in path.name and len(path.name) < 32)[:-1]
    kept = victim.read_bytes()
    commit(made)
    made.ship()
    commit(made)
    made.ship()
    victim.unlink()
    try:
        one = found(made)
        assert one["missing_segment"] == victim.name[:24]
        assert lsn.parse(one["end_lsn"]) < lsn.parse(before["end_lsn"])
    finally:
        victim.write_bytes(kept)
        victim.chmod(0o644)
