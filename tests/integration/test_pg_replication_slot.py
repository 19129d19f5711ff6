# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_replication_slot`` on real servers."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extras import PhysicalReplicationConnection

from tests.support.modules import ok, refused
from tests.support.postgres import Server, free_port, scratch_server, server_user
from tests.support.statements import Watch

MODULE = "pg_replication_slot"
NAMES = ["test_1", "2_test"]


def slots_of(server: Server) -> dict[str, tuple[Any, ...]]:
    rows = server.sql("SELECT slot_name, slot_type, plugin, database, restart_lsn IS NOT NULL, two_phase,"
                      " coalesce((to_jsonb(s) ->> 'failover')::bool, false) FROM pg_replication_slots s")
    return {row[0]: row[1:] for row in rows}


def drop_all(server: Server) -> None:
    server.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name IN ('%s')"
               % "', '".join(NAMES))


@pytest.fixture
def empty(server: Server) -> Iterator[Server]:
    """A server without the slots of these tests, before and afterwards, and with a database of their own."""
    drop_all(server)
    server.sql("CREATE DATABASE test_slots")
    yield server
    drop_all(server)
    server.sql("DROP DATABASE test_slots")


def states(major: int) -> dict[str, tuple[dict[str, Any], tuple[Any, ...] | None]]:
    """What slots can be asked to be, and what the catalog has then."""
    logical = {"slot_type": "logical", "two_phase": False, **({"failover": False} if major >= 17 else {})}
    found: dict[str, tuple[dict[str, Any], tuple[Any, ...] | None]] = {
        "absent": ({"state": "absent"}, None),
        "physical": ({"reserve_wal": True}, ("physical", None, None, True, False, False)),
        "logical": (logical, ("logical", "pgoutput", "postgres", True, False, False)),
        "other database": ({**logical, "login_db": "test_slots"},
                           ("logical", "pgoutput", "test_slots", True, False, False)),
        "two phases": ({**logical, "two_phase": True}, ("logical", "pgoutput", "postgres", True, True, False)),
    }
    if major != 16:  # its wheel ships pgoutput alone
        found["other plugin"] = ({**logical, "plugin": "test_decoding"},
                                 ("logical", "test_decoding", "postgres", True, False, False))
    if major >= 17:
        found["failover"] = ({**logical, "failover": True}, ("logical", "pgoutput", "postgres", True, False, True))
        found["both"] = ({**logical, "failover": True, "two_phase": True},
                         ("logical", "pgoutput", "postgres", True, True, True))
    return found


def test_from_every_state_to_every_other(empty: Server) -> None:
    every = states(empty.major)
    for before, after in itertools.permutations(every, 2):
        asked = {"slots": NAMES, "on_mismatch": "recreate", **empty.login, **every[after][0]}
        ok(MODULE, **{"slots": NAMES, "on_mismatch": "recreate", **empty.login, **every[before][0]})
        watch = Watch(empty)
        checked = ok(MODULE, check=True, **asked)
        assert len(watch.statements()) == 1
        done = ok(MODULE, **asked)
        assert done["changed"] is checked["changed"] is True, (before, after)
        assert done["statements"] == checked["statements"]
        assert done["diff"] == checked["diff"], (before, after)
        found = slots_of(empty)
        assert [found.get(name) for name in NAMES] == [every[after][1]] * 2, (before, after)
        again = ok(MODULE, **asked)
        assert (again["changed"], again["statements"]) == (False, []), (before, after)
        assert again["diff"]["before"] == done["diff"]["after"], (before, after)
        assert again["slots"] == done["slots"]


def test_drift_is_an_error_that_changes_nothing(empty: Server) -> None:
    ok(MODULE, name="test_1", slot_type="logical", **empty.login)
    before = slots_of(empty)
    assert "logical, not physical" in refused(MODULE, name="test_1", **empty.login)
    assert "plugin pgoutput, not test_decoding" in refused(MODULE, name="test_1", slot_type="logical",
                                                           plugin="test_decoding", **empty.login)
    assert "database 'postgres', not 'test_slots'" in refused(
        MODULE, **{"name": "test_1", "slot_type": "logical", **empty.login, "login_db": "test_slots"})
    assert slots_of(empty) == before


def test_a_plugin_that_does_not_exist_is_refused_by_the_server(empty: Server) -> None:
    assert "no_such_plugin" in refused(MODULE, name="test_1", slot_type="logical", plugin="no_such_plugin", **empty.login)
    assert slots_of(empty) == {}


def test_a_slot_that_reserves_nothing_is_made_again_without_asking(empty: Server) -> None:
    ok(MODULE, name="test_1", **empty.login)
    assert slots_of(empty)["test_1"][3] is False
    assert ok(MODULE, name="test_1", **empty.login)["changed"] is False
    done = ok(MODULE, name="test_1", reserve_wal=True, **empty.login)
    assert done["slots"][0]["restart_lsn"] is not None
    assert ok(MODULE, name="test_1", reserve_wal=True, **empty.login)["changed"] is False
    assert ok(MODULE, name="test_1", **empty.login)["changed"] is False


def test_an_option_that_the_version_lacks_is_refused(empty: Server) -> None:
    if empty.major >= 17:
        ok(MODULE, name="test_1", slot_type="logical", failover=True, **empty.login)
    else:
        assert "needs PostgreSQL 17" in refused(MODULE, name="test_1", slot_type="logical", failover=True, **empty.login)
        assert slots_of(empty) == {}


def test_a_slot_in_use_is_never_dropped_nor_recreated(empty: Server) -> None:
    made = ok(MODULE, name="test_1", reserve_wal=True, **empty.login)
    streaming = psycopg2.connect(host=str(empty.home), port=empty.port, user=empty.superuser,
                                 connection_factory=PhysicalReplicationConnection)
    try:
        with streaming.cursor() as cursor:
            cursor.start_replication(slot_name="test_1", start_lsn=made["slots"][0]["restart_lsn"])
        pid = active_pid(empty, "test_1")
        for options in ({"state": "absent"}, {"slot_type": "logical", "on_mismatch": "recreate"}):
            for check in (True, False):
                message = refused(MODULE, name="test_1", check=check, **options, **empty.login)
                assert f"in use by the process with pid {pid}" in message
        assert ok(MODULE, name="test_1", reserve_wal=True, **empty.login)["slots"][0]["active_pid"] == pid
    finally:
        streaming.close()
    until(lambda: empty.sql("SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'test_1'")[0][0])


def active_pid(server: Server, slot: str) -> int:
    query = f"SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{slot}'"
    until(lambda: server.sql(query)[0][0] is not None)
    return int(server.sql(query)[0][0])


def until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < deadline, "the state did not come in 20 s"
        time.sleep(0.05)


@pytest.mark.parametrize("major", [15, 18])
def test_a_lost_slot_is_reported_and_recreated_on_request(major: int) -> None:
    with scratch_server(major, ("--wal-segsize=1",), max_slot_wal_keep_size="1MB", min_wal_size="2MB",
                        max_wal_size="2MB") as server:
        ok(MODULE, name="test_1", reserve_wal=True, **server.login)
        server.sql("CREATE TABLE t AS SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g")
        for _ in range(4):
            server.sql("SELECT pg_switch_wal(); INSERT INTO t SELECT * FROM t LIMIT 1")
        server.sql("CHECKPOINT")
        server.sql("SELECT pg_switch_wal()")
        server.sql("CHECKPOINT")
        assert server.sql("SELECT wal_status FROM pg_replication_slots") == [("lost",)]
        found = ok(MODULE, name="test_1", reserve_wal=True, **server.login)
        assert found["changed"] is False
        assert found["slots"][0]["lost"] is True
        assert "test_1 is lost" in str(found["warnings"])
        options = {"name": "test_1", "reserve_wal": True, "on_mismatch": "recreate", **server.login}
        checked = ok(MODULE, check=True, **options)
        done = ok(MODULE, **options)
        assert done["changed"] is checked["changed"] is True
        assert done["diff"] == checked["diff"]
        assert done["slots"][0]["lost"] is False
        assert ok(MODULE, **options)["changed"] is False


@contextlib.contextmanager
def standby_of(primary: Server) -> Iterator[Server]:
    """A running standby of a shared server, thrown away afterwards."""
    with tempfile.TemporaryDirectory(prefix="standby-") as directory:
        home = Path(directory)
        account = server_user()
        if account is not None:
            shutil.chown(home, account)
        standby = Server(primary.major, home, free_port())
        standby.run("pg_basebackup", "-h", str(primary.home), "-p", str(primary.port), "-U", primary.superuser,
                    "-D", str(standby.data), "-R", "--checkpoint=fast", "--no-sync")
        with (standby.data / "postgresql.conf").open("a") as config:
            config.write(f"port = {standby.port}\nunix_socket_directories = '{home}'\nhot_standby_feedback = on\n")
        standby.start()
        try:
            yield standby
        finally:
            standby.stop("immediate")


@contextlib.contextmanager
def telling_snapshots(primary: Server) -> Iterator[None]:
    """Meanwhile the primary tells its standbys again and again which transactions run; a new slot there waits for that."""
    is_done = threading.Event()

    def tell() -> None:
        while not is_done.wait(0.1):
            primary.sql("SELECT pg_log_standby_snapshot()")

    thread = threading.Thread(target=tell)
    thread.start()
    try:
        yield
    finally:
        is_done.set()
        thread.join()


@pytest.mark.parametrize("major", [15, 16, 18])
def test_slots_on_a_standby(server_of: Callable[[int], Server], major: int) -> None:
    primary = server_of(major)
    with standby_of(primary) as standby:
        options = {"slots": NAMES, "reserve_wal": True, **standby.login}
        assert ok(MODULE, **options)["changed"] is True
        assert ok(MODULE, **options)["changed"] is False
        assert ok(MODULE, slots=NAMES, state="absent", **standby.login)["changed"] is True
        if major < 16:
            message = refused(MODULE, name="test_1", slot_type="logical", **standby.login)
            assert "since 16" in message
            return
        with telling_snapshots(primary):
            assert ok(MODULE, name="test_1", slot_type="logical", **standby.login)["changed"] is True
        assert ok(MODULE, name="test_1", slot_type="logical", **standby.login)["changed"] is False
        assert ok(MODULE, name="test_1", state="absent", **standby.login)["changed"] is True
