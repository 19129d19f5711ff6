# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_switchover`` on real servers under load: no commit is lost, there is one primary, and what cannot be done is undone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import switchover
from tests.conftest import COLLECTIONS
from tests.integration.conftest import VERSIONS
from tests.support import instances
from tests.support.instances import REPLICATOR
from tests.support.load import Load
from tests.support.modules import ok, refused, run_module
from tests.support.playbooks import wait_until
from tests.support.postgres import Server, bindir

MODULE = "pg_switchover"
SLOT = "former"


class Two(NamedTuple):
    """Two members of a cluster, whichever of them is primary."""

    one: Server
    other: Server

    @property
    def primary(self) -> Server:
        return self.one if takes_writes(self.one) else self.other

    @property
    def standby(self) -> Server:
        return self.other if takes_writes(self.one) else self.one

    def load(self) -> Load:
        return Load({"one": (str(self.one.home), self.one.port), "other": (str(self.other.home), self.other.port)},
                    {"user": "postgres"}, writers=3, everywhere=True)


def takes_writes(server: Server) -> bool:
    return bool(server.sql("SELECT NOT pg_is_in_recovery()")[0][0])


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda major: f"pg{major}")
def running(request: pytest.FixtureRequest) -> Iterator[Two]:
    """A primary and its standby, of each version, each with the password of the other."""
    if bindir(request.param) is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed on this machine")
    with instances.primary(request.param) as one, instances.standby(one) as other:
        ok("pg_instance", **{**instances.instance(one), **instances.passfile(one, other)})
        yield Two(one, other)


@pytest.fixture
def two(running: Two) -> Two:
    """The same, one of them streaming from the other, with the slot for the switchover, as every test finds it."""
    primary, standby = running.primary, running.standby
    ok("pg_replication_role", **primary.login, name=REPLICATOR, replication=True, may=["promote"])
    options = instances.follow(standby, primary, primary_slot_name="")
    ok("pg_recovery", **{**options, "primary_conninfo": {**options["primary_conninfo"], "dbname": "postgres"}})
    ok("pg_replication_slot", **primary.login, name=SLOT, state="absent")
    ok("pg_replication_slot", **standby.login, name=SLOT, reserve_wal=True)
    return running


newest_only = pytest.mark.parametrize("running", [18], indirect=True, ids=["pg18"])


def options(former: Server, candidate: Server, **more: Any) -> dict[str, Any]:
    """The options of the module."""
    upstream = {**instances.upstream_of(former, candidate), "dbname": "postgres"}
    return {**instances.programs(former), "data_directory": str(former.data), "log_file": str(former.home / "log"),
            "primary_slot_name": SLOT, "primary_conninfo": upstream, **more}


def streams(upstream: Server) -> bool:
    return bool(upstream.sql("SELECT state = 'streaming' AND slot_name = 'former' FROM pg_stat_replication"
                             " JOIN pg_replication_slots ON active_pid = pid") == [(True,)])


def assert_changed(former: Server, candidate: Server, load: Load) -> None:
    """The roles have changed and nothing is lost."""
    wait_until(lambda: streams(candidate))
    assert (takes_writes(former), takes_writes(candidate)) == (False, True)
    load.go_on()
    assert (load.lost(), load.two_primaries()) == ([], [])


def test_the_roles_change_back_and_forth_without_a_lost_commit(two: Two) -> None:
    with two.load() as load:
        for _turn in range(2):
            former, candidate = two.primary, two.standby
            ok("pg_replication_slot", **candidate.login, name=SLOT, reserve_wal=True)
            for name in ("kept", "left_over"):
                former.sql(f"SELECT pg_create_physical_replication_slot('{name}')")
            before = int(former.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")[0][0][:8], 16)
            done = ok(MODULE, **options(former, candidate), leftover_slots=["left_over", "never_was"])
            assert_changed(former, candidate, load)
            assert (done["timeline_before"], done["timeline"]) == (before, before + 1)
            assert [one["step"] for one in done["steps"]] == list(switchover.STEPS)
            assert 0 < done["outage_ms"] < 1000
            again = ok(MODULE, **options(former, candidate))
            assert (again["changed"], again["commands"], again["timeline"]) == (False, [], before + 1)
            assert ("kept",) in (slots := former.sql("SELECT slot_name FROM pg_replication_slots"))
            assert ("left_over",) not in slots
            former.sql("SELECT pg_drop_replication_slot('kept')")
            ok("pg_replication_slot", **former.login, name=SLOT, state="absent")
    assert all(0 < gap < 1 for gap in load.gaps().values())


def test_check_mode_says_what_would_be_done_and_does_nothing(two: Two) -> None:
    former, candidate = two.primary, two.standby
    before = instances.tree(former.data)
    planned = run_module(MODULE, check=True, **options(former, candidate))
    assert instances.tree(former.data) == before
    assert takes_writes(former)
    done = ok(MODULE, **options(former, candidate))
    assert (planned["changed"], planned["commands"], planned["diff"]) == (True, done["commands"], done["diff"])


def assert_untouched(former: Server, before: dict[str, tuple[int, int]]) -> None:
    assert instances.tree(former.data) == before
    assert takes_writes(former)


@newest_only
def test_a_role_that_may_not_promote_is_refused(two: Two) -> None:
    former, candidate, before = two.primary, two.standby, instances.tree(two.primary.data)
    ok("pg_replication_role", **former.login, name=REPLICATOR, may=[])
    wait_until(lambda: candidate.sql("SELECT has_function_privilege('replicator', 'pg_promote(bool, int)', 'EXECUTE')")
               == [(False,)], 20)
    assert "may not call pg_promote()" in refused(MODULE, **options(former, candidate))
    assert_untouched(former, before)


@newest_only
def test_another_system_is_refused(two: Two) -> None:
    with instances.primary(18) as stranger:
        ok("pg_instance", **{**instances.instance(two.primary), **instances.passfile(two.primary, stranger)})
        before = instances.tree(two.primary.data)
        try:
            assert "different systems" in refused(MODULE, **options(two.primary, stranger))
        finally:
            ok("pg_instance", **{**instances.instance(two.primary), **instances.passfile(two.primary, two.standby)})
    assert before
    assert takes_writes(two.primary)


@newest_only
@pytest.mark.parametrize(("statement", "undone", "told"), [
    ("SELECT pg_wal_replay_pause()", "SELECT pg_wal_replay_resume()", "B yet to replay, and max_lag_bytes is 0"),
    ("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'; SELECT pg_reload_conf()", "", "was expected to receive"),
], ids=["replay", "receive"])
def test_a_candidate_that_is_behind_is_refused(two: Two, statement: str, undone: str, told: str) -> None:
    former, candidate, before = two.primary, two.standby, instances.tree(two.primary.data)
    for one in statement.split("; "):
        candidate.sql(one)
    try:
        if not undone:
            wait_until(lambda: former.sql("SELECT count(*) FROM pg_stat_replication") == [(0,)])
        former.sql("CREATE TABLE IF NOT EXISTS behind AS SELECT 1")
        assert told in refused(MODULE, **options(former, candidate, max_lag_bytes=0, timeout=2))
        assert_untouched(former, before)
    finally:
        if undone:
            candidate.sql(undone)


@newest_only
def test_no_instance_and_bad_input_are_refused(two: Two, tmp_path: Path) -> None:
    former, candidate = two.primary, two.standby
    assert "there is no instance" in refused(MODULE, **options(former, candidate, data_directory=str(tmp_path / "none")))
    assert "max_lag_bytes is -1" in refused(MODULE, **options(former, candidate, max_lag_bytes=-1))
    assert "names no candidate" in refused(MODULE, **options(former, candidate, primary_conninfo={"port": "1"}))
    assert "stored in clear" in refused(MODULE, **options(former, candidate, primary_conninfo={"host": "x", "password": "s3cr"}))


@contextlib.contextmanager
def before_step(name: str, act: Callable[[], object]) -> Iterator[None]:
    """Let something happen right before a step."""
    step = switchover.STEPS[name]

    def stepped(section: switchover.Section) -> None:
        act()
        step(section)

    with patch.dict(switchover.STEPS, {name: stepped}):
        yield


@newest_only
def test_where_the_candidate_does_not_receive_the_end_the_old_primary_goes_on(two: Two) -> None:
    former, candidate = two.primary, two.standby
    receiver = candidate.sql("SELECT pid FROM pg_stat_wal_receiver")[0][0]
    with two.load() as load:
        try:
            with before_step("stop", lambda: os.kill(receiver, signal.SIGSTOP)):
                told = refused(MODULE, **options(former, candidate, timeout=3))
        finally:
            os.kill(receiver, signal.SIGCONT)
        assert "was to receive the shutdown checkpoint" in told
        assert "takes writes; nothing was lost" in told
        load.go_on()
        assert (takes_writes(former), takes_writes(candidate)) == (True, False)
        assert not (former.data / "standby.signal").exists()
        assert (load.lost(), load.two_primaries()) == ([], [])


@newest_only
def test_where_the_candidate_refuses_to_be_promoted_the_old_primary_goes_on(two: Two) -> None:
    former, candidate = two.primary, two.standby

    def revoke() -> None:
        former.sql("REVOKE EXECUTE ON FUNCTION pg_promote(bool, int) FROM replicator")
        wait_until(lambda: candidate.sql("SELECT has_function_privilege('replicator', 'pg_promote(bool, int)', 'EXECUTE')")
                   == [(False,)], 20)

    text = (former.data / "postgresql.auto.conf").read_text()
    with two.load() as load, before_step("stop", revoke):
        told = refused(MODULE, **options(former, candidate))
        assert "permission denied" in told
        assert "takes writes; nothing was lost" in told
        load.go_on()
        assert (load.lost(), load.two_primaries()) == ([], [])
    assert (former.data / "postgresql.auto.conf").read_text() == text


@newest_only
def test_where_nobody_knows_whether_the_candidate_was_promoted_the_old_primary_stays_stopped(two: Two) -> None:
    former, candidate = two.primary, two.standby
    with two.load() as load:
        with before_step("promote", lambda: candidate.stop("immediate")):
            told = refused(MODULE, **options(former, candidate))
        assert "so the old primary stays stopped" in told
        assert not (former.data / "postmaster.pid").exists()
        ok("pg_instance", **instances.instance(candidate, create=False))
        done = ok(MODULE, **options(former, candidate))
        assert done["outage_ms"] is None
        assert_changed(former, candidate, load)


_PROGRAM = """
import json, os, signal, sys
sys.path[:0] = json.loads(sys.argv[1])
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import switchover
from tests.support.modules import run_module
name, when, number = sys.argv[2], sys.argv[3], int(sys.argv[4])
if number != signal.SIGKILL:
    # A shell in the background has its children ignore some of them.
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
step = switchover.STEPS[name]
def interrupted(section):
    if when == "after":
        step(section)
    os.kill(os.getpid(), number)
    if when == "before":
        step(section)
switchover.STEPS[name] = interrupted
run_module("pg_switchover", **json.loads(sys.argv[5]))
"""


def interrupted(name: str, when: str, number: int, **given: Any) -> int:
    """Run the module in a process that is sent a signal at a step, and return how it ended."""
    paths = [str(COLLECTIONS), str(Path(__file__).parents[2])]
    argv = [sys.executable, "-c", _PROGRAM, json.dumps(paths), name, when, str(int(number)), json.dumps(given)]
    return subprocess.run(argv, check=False, timeout=60).returncode


@newest_only
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", list(switchover.STEPS))
def test_killed_at_any_step_the_next_run_finds_the_truth(two: Two, name: str, when: str) -> None:
    former, candidate = two.primary, two.standby
    with two.load() as load:
        assert interrupted(name, when, signal.SIGKILL, **options(former, candidate)) == -signal.SIGKILL
        done = ok(MODULE, **options(former, candidate))
        assert done["changed"] is ((name, when) != ("start", "after"))
        assert_changed(former, candidate, load)


@newest_only
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_is_heard_when_the_section_has_ended(two: Two, number: signal.Signals) -> None:
    former, candidate = two.primary, two.standby
    with two.load() as load:
        assert interrupted("prove", "before", number, **options(former, candidate)) != 0
        assert_changed(former, candidate, load)
