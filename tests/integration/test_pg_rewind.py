# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_rewind`` on real servers: a former primary comes back as a standby, or is told what helps, and is no primary."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import VERSIONS
from tests.support import instances
from tests.support.faults import digests, module_process
from tests.support.instances import PASSWORD, REPLICATOR, clone, follow, instance, passfile
from tests.support.modules import ok, refused
from tests.support.postgres import Server, bindir
from tests.support.replication import await_true
from tests.support.rewinds import Parted, archive, churn, empty, parted, programs_but, starts

MODULE = "pg_rewind"


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda major: f"pg{major}")
def major(request: pytest.FixtureRequest) -> int:
    """Each version in turn."""
    if bindir(request.param) is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed on this machine")
    return int(request.param)


@pytest.fixture(scope="module")
def running(major: int) -> Iterator[Parted]:
    """A primary and its standby."""
    with parted(major) as pair:
        yield pair


@pytest.fixture
def pair(running: Parted) -> Iterator[Parted]:
    """The same; a test that succeeds has brought the former primary back, so that the next finds them the other way round."""
    yield running
    running.turned()


newest_only = pytest.mark.parametrize("major", [18], indirect=True, ids=["pg18"])


def names(result: dict[str, Any]) -> list[str]:
    """The programs of what was done, but for what is left of an earlier test."""
    return [text.split()[0] for text in result["commands"] if not text.endswith("postgresql.auto.conf")]


def put(server: Server, name: str, text: str) -> None:
    """Write a file into the data directory, for the server's account."""
    path = server.data / name
    path.write_text(text)
    shutil.chown(path, path.parent.stat().st_uid)
    path.chmod(0o600)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_one_that_has_diverged_is_rewound(pair: Parted, mode: str) -> None:
    pair.part()
    pair.old.stop(mode)
    before = digests(pair.old.data)
    own = {path.name: path.read_text() for path in pair.old.data.glob("*.conf") if path.name != "postgresql.auto.conf"}
    predicted = ok(MODULE, check=True, **pair.options())
    assert digests(pair.old.data) == before
    done = ok(MODULE, **pair.options())
    assert predicted == done
    assert names(done) == ["touch", *(["postgres"] if mode == "immediate" else []), "pg_rewind"]
    assert (done["needed"], done["timeline"]) == (True, done["timeline_before"] + 1)
    history = (pair.new.data / "pg_wal" / f"{done['timeline']:08X}.history").read_text().split("\n")[-2]
    assert done["diverged_at"] == history.split()[1]
    assert {name: (pair.old.data / name).read_text() for name in own} == own
    assert not list(pair.old.home.glob("*.pgmahout-*"))
    again = ok(MODULE, **pair.options())
    assert (again["changed"], again["needed"], again["diverged_at"], again["commands"]) == (False, False, None, [])
    pair.comes_back()
    assert ok(MODULE, **pair.options())["changed"] is False  # it streams


def test_one_that_has_not_only_follows(pair: Parted) -> None:
    pair.part(rows=0)
    before = digests(pair.old.data)
    predicted = ok(MODULE, check=True, **pair.options())
    assert digests(pair.old.data) == before
    done = ok(MODULE, **pair.options())
    assert predicted == done
    assert (done["needed"], done["diverged_at"], names(done)) == (False, None, ["touch"])
    changed = {name for name, value in digests(pair.old.data).items() if before.get(name) != value}
    assert changed <= {"standby.signal", "postgresql.auto.conf"}
    assert ok(MODULE, **pair.options())["changed"] is False
    pair.comes_back()


def test_one_that_was_fenced_after_a_crash_is_never_without_its_signal(pair: Parted) -> None:
    pair.part()
    pair.old.stop("immediate")
    (pair.old.data / "standby.signal").touch()
    # As the server makes one in advance; pg_waldump takes any one in the directory for a measure.
    put(pair.old, "pg_wal/0000000100000000000000FF", "\0" * (1 << 20))
    done = ok(MODULE, **pair.options())
    assert (done["needed"], names(done)) == (True, ["postgres", "pg_rewind"])
    pair.comes_back()


def test_a_source_that_was_just_promoted_is_not_mistaken(pair: Parted) -> None:
    # With as much to write, the checkpoint that a server does by itself takes its time, and comes to the other table last.
    pair.old.sql("CREATE TABLE much AS SELECT i, repeat('x', 500) FROM generate_series(1, 5000) i")
    pair.old.sql("CREATE TABLE late AS SELECT 'first' AS at, i FROM generate_series(1, 10) i")
    pair.old.sql("UPDATE late SET at = 'before the last checkpoint of both'")
    pair.old.sql("CHECKPOINT")
    pair.part(checkpoint=False)
    pair.old.sql("UPDATE late SET at = 'lost'")
    pair.old.stop()
    [(named,)] = pair.new.sql("SELECT timeline_id FROM pg_control_checkpoint()")
    predicted = ok(MODULE, check=True, **pair.options())
    assert predicted["needed"] is True
    assert named < predicted["timeline"]
    assert "has done no checkpoint since, for 1 s now" in refused(MODULE, **pair.options(timeout=1))
    pair.new.sql("CHECKPOINT")
    assert ok(MODULE, **pair.options())["needed"] is True
    pair.comes_back()
    assert pair.old.sql("SELECT DISTINCT at FROM late") == [("before the last checkpoint of both",)]
    pair.new.sql("DROP TABLE much, late")


@contextlib.contextmanager
def without_checkpoints(server: Server) -> Iterator[None]:
    """Hold the process of a server that does checkpoints; a server that is killed meanwhile has ended."""
    [(checkpointer,)] = server.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
    os.kill(checkpointer, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(checkpointer, signal.SIGCONT)


def test_one_that_crashed_before_its_first_checkpoint_is_replayed_to_its_end(major: int) -> None:
    """Its control file says that it is consistent where it was promoted, where a table is missing that was dropped later."""
    with parted(major) as pair:
        pair.old.sql("CREATE TABLE gone AS SELECT i FROM generate_series(1, 10) i")
        pair.old.sql("CHECKPOINT")
        pair.caught_up(pair.new)
        pair.new.sql("CHECKPOINT")
        pair.old.sql("UPDATE gone SET i = 0")
        with without_checkpoints(pair.new):
            pair.part(rows=0, checkpoint=False)
            # The whole page is not logged again, since it was after the last checkpoint that this server has done.
            pair.new.sql("UPDATE gone SET i = 1")
        assert names(ok(MODULE, **pair.options())) == ["touch"]
        pair.comes_back()
        pair.turned()
        pair.caught_up(pair.new)
        with without_checkpoints(pair.new):
            pair.part(rows=0, checkpoint=False)
            pair.new.sql("DROP TABLE gone; INSERT INTO t SELECT i, 'both' FROM generate_series(1, 30000) i")
            assert names(ok(MODULE, **pair.options())) == ["touch"]
            pair.comes_back()
            pair.turned()
            pair.part()
            pair.old.kill()
        if major < 16:  # whose pg_rewind takes the timeline of the last checkpoint for that of the server
            assert "cannot be rewound, since pg_rewind says" in refused(MODULE, **pair.options())
            return
        done = ok(MODULE, **pair.options())
        assert (done["needed"], names(done)) == (True, ["touch", "postgres", "pg_rewind"])
        pair.comes_back()


def test_one_whose_recovery_was_interrupted_is_recovered_again(pair: Parted) -> None:
    pair.part()
    pair.old.stop("immediate")
    put(pair.old, "standby.signal", "")
    put(pair.old, "pgmahout.recovering", "")
    pair.old.start()
    pair.old.stop()  # its control file tells of a standby now, which has replayed all that it will say
    done = ok(MODULE, **pair.options())
    assert (done["needed"], names(done)) == (True, ["postgres", "pg_rewind"])
    assert not (pair.old.data / "pgmahout.recovering").exists()
    pair.comes_back()


def test_files_that_are_not_the_servers_stay_as_they_are(pair: Parted) -> None:
    for server in (pair.old, pair.new):
        empty(server, "data/tls")
        put(server, "tls/server.key", f"the key of {server.port}")
        put(server, "passfile", f"passwords of {server.port}")
        put(server, "pgmahout.fenced", f"as {server.port} knows")
    put(pair.new, "stranger", "of the source")
    pair.part()
    pair.old.stop()
    ok(MODULE, **pair.options())
    assert (pair.old.data / "tls" / "server.key").read_text() == f"the key of {pair.old.port}"
    assert (pair.old.data / "passfile").read_text() == f"passwords of {pair.old.port}"
    assert (pair.old.data / "pgmahout.fenced").read_text() == f"as {pair.new.port} knows"
    assert (pair.old.data / "pgmahout.archive").read_text() == (pair.new.data / "pgmahout.archive").read_text()
    assert not (pair.old.data / "stranger").exists()
    assert "port=%d" % pair.new.port in (pair.old.data / "postgresql.auto.conf").read_text()
    pair.comes_back()
    (pair.new.data / "stranger").unlink()


#: What stands for pg_rewind, by the moment at which it is killed together with its caller, or not.
KILLS = {
    "before it begins": "touch $REACHED; sleep 60",
    "while it works": '$REAL "$@" & sleep 0.03; kill -9 $!; touch $REACHED; sleep 60',
    "when it has ended": '$REAL "$@"; touch $REACHED; sleep 60',
    "and it goes on": """exec setsid sh -c 'touch $0; sleep 2; exec "$@" 2>/dev/null' $REACHED $REAL "$@" """,
}


@pytest.mark.parametrize("moment", KILLS)
def test_a_run_that_is_killed_leaves_nothing_that_starts(pair: Parted, moment: str) -> None:
    pair.part()
    pair.old.stop()
    own = (pair.old.data / "postgresql.conf").read_text()
    with programs_but(pair.old, KILLS[moment]) as bin_directory:
        with module_process(MODULE, **pair.options(bindir=bin_directory)) as process:
            await_true(lambda: (pair.old.home / "reached").exists() or process.poll() is not None)
            assert process.poll() is None, process.communicate()
        assert not starts(pair.old)
        assert "has invalid permissions" in pair.old.log
        if moment == "and it goes on":
            assert "another pg_rewind works there" in refused(MODULE, **pair.options(timeout=0))
    done = ok(MODULE, **pair.options())
    is_rewound = moment in ("when it has ended", "and it goes on")
    assert names(done) == ["mv" if is_rewound else "pg_rewind"]
    assert (pair.old.data / "postgresql.conf").read_text() == own
    assert (pair.old.data / "standby.signal").exists()
    assert not list(pair.old.home.glob("*.pgmahout-*"))
    (pair.old.home / "reached").unlink()
    pair.comes_back()


@newest_only
def test_one_that_breaks_off_for_good_needs_a_clone(pair: Parted) -> None:
    pair.part()
    pair.old.stop()
    with programs_but(pair.old, "echo 'pg_rewind: error: the disk is on fire' >&2; exit 1") as bin_directory:
        said = refused(MODULE, **pair.options(bindir=bin_directory))
    assert "broke off, since pg_rewind says: pg_rewind: error: the disk is on fire; nobody can start it as it is" in said
    assert "clone it anew, in the playbook rejoin by pg_rejoin_reclone" in said
    assert not starts(pair.old)
    ok(MODULE, **pair.options())
    pair.comes_back()


@newest_only
def test_what_cannot_be_is_refused_before_anything_is_touched(pair: Parted, newest: Server) -> None:
    assert "that is a standby; name the primary" in refused(MODULE, **pair.options())
    pair.part()
    assert "its server runs; stop it first" in refused(MODULE, **pair.options())
    pair.old.stop()
    before = digests(pair.old.data)
    upstream = instances.upstream_of(pair.old, pair.new)
    assert "holds password, which would be stored in clear" in refused(
        MODULE, **pair.options(conninfo={**upstream, "password": PASSWORD}))
    assert "names no host" in refused(MODULE, **pair.options(conninfo={"user": "x"}))
    assert "restore_target_wal was given without restore_command" in refused(MODULE, **pair.options(restore_target_wal=True))
    assert "Could not connect" in refused(MODULE, **pair.options(conninfo={**upstream, "user": "nobody_there"}))
    other = {"host": str(newest.home), "port": str(newest.port), "user": "postgres"}
    assert "these are different systems" in refused(MODULE, **pair.options(conninfo=other))
    ok("pg_replication_role", name=REPLICATOR, may=[], **pair.new.login)
    assert "may not execute pg_catalog.pg_ls_dir(text,boolean,boolean), " in refused(MODULE, **pair.options())
    ok("pg_replication_role", name=REPLICATOR, may=["rewind"], **pair.new.login)
    (pair.old.data / "recovery.signal").touch()
    assert "point-in-time recovery is under way" in refused(MODULE, **pair.options())
    (pair.old.data / "recovery.signal").unlink()
    space = empty(pair.new, "late")
    pair.new.sql(f"CREATE TABLESPACE late LOCATION '{space}'")
    assert f"its source has a tablespace in {space}, which is no empty directory here" in refused(MODULE, **pair.options())
    pair.new.sql("DROP TABLESPACE late")
    assert digests(pair.old.data) == before
    ok(MODULE, **pair.options())
    pair.comes_back()


@newest_only
def test_one_that_an_earlier_task_stops_is_planned_as_if_it_was(pair: Parted) -> None:
    pair.part()
    assert ok(MODULE, check=True, planned=True, **pair.options())["needed"] is True
    assert "its server runs; stop it first" in refused(MODULE, planned=True, **pair.options())
    pair.old.stop()
    ok(MODULE, **pair.options())
    pair.comes_back()


def test_wal_that_was_recycled_comes_from_the_archive_or_is_missed(major: int) -> None:
    with instances.place(major) as home, archive(home) as stored, parted(
            major, {**stored.settings, "wal_keep_size": "0"}) as pair:
        pair.part()
        for server in (pair.old, pair.new):
            churn(server)
        pair.old.stop()
        before = digests(pair.old.data)
        said = refused(MODULE, **pair.options())
        assert "cannot be rewound, since pg_rewind says: " in said
        assert "clone it anew, in the playbook rejoin by pg_rejoin_reclone, or let it read the archive, by restore_" in said
        assert {name: value for name, value in digests(pair.old.data).items() if before.get(name) != value}.keys() <= {
            "standby.signal", "postgresql.auto.conf"}
        assert (pair.old.data / "standby.signal").exists()
        done = ok(MODULE, **pair.options(restore_target_wal=True, restore_command=stored.command(pair.old)))
        assert done["needed"] is True
        assert "restore-wal" not in (pair.old.data / "postgresql.auto.conf").read_text()
        pair.comes_back()


def test_wal_that_both_had_and_the_source_has_recycled_stays(major: int) -> None:
    with parted(major, {"wal_keep_size": "0", "max_wal_size": "64MB"}) as pair:
        pair.old.sql("CHECKPOINT")
        pair.old.sql("INSERT INTO t SELECT i, 'both' FROM generate_series(1, 50000) i")
        pair.part()
        pair.new.sql("CHECKPOINT")
        pair.old.stop("immediate")
        has = [len(list((server.data / "pg_wal").glob("0" * 7 + "1*"))) for server in (pair.old, pair.new)]
        assert has[0] > has[1] + 1
        # As the first releases of each version do, which keep nothing that the source does not have.
        with programs_but(pair.old, f'$REAL "$@" && find {pair.old.data}/pg_wal -name "{"0" * 7}1*" -delete') as bin_directory:
            assert ok(MODULE, **pair.options(bindir=bin_directory))["needed"] is True
        pair.comes_back()


def test_wal_that_the_source_has_recycled_comes_from_the_archive_or_is_missed(major: int) -> None:
    with instances.place(major) as home, archive(home) as stored, parted(
            major, {**stored.settings, "wal_keep_size": "0"}) as pair:
        pair.part()
        pair.old.stop("immediate")
        churn(pair.new)
        said = refused(MODULE, **pair.options())
        assert "has recycled the WAL from 0000000" in said
        ok(MODULE, **pair.options(restore_target_wal=True, restore_command=stored.command(pair.old)))
        pair.comes_back()


def test_tablespaces_are_rewound_too(major: int) -> None:
    with parted(major, spaces=True) as pair:
        pair.part()
        pair.old.stop()
        assert ok(MODULE, **pair.options())["needed"] is True
        assert len(list((pair.old.home / "space").iterdir())) == 1
        pair.comes_back()


@newest_only
def test_without_checksums_a_clone_is_needed(major: int) -> None:
    with parted(major, data_checksums=False) as pair:
        pair.part()
        pair.old.stop()
        before = digests(pair.old.data)
        assert "has neither data checksums nor wal_log_hints; clone it anew" in refused(MODULE, **pair.options())
        assert digests(pair.old.data) == before


@newest_only
def test_with_wal_log_hints_no_checksums_are_needed(major: int) -> None:
    with parted(major, {"wal_log_hints": "on"}, data_checksums=False) as pair:
        pair.part()
        pair.old.stop()
        ok(MODULE, **pair.options())
        pair.comes_back()


def test_a_standby_that_has_received_too_much_and_not_replayed_it_loses_that(major: int) -> None:
    with parted(major) as pair, instances.place(major) as third:
        entries = [passfile(third, upstream)["passfile_entries"][0] for upstream in (pair.old, pair.new)]
        ok("pg_basebackup", **clone(third, pair.old))
        ok("pg_instance", **instance(third, pair.settings, create=False, passfile=str(third.home / "passfile"),
                                     passfile_entries=entries))
        ok("pg_recovery", **follow(third, pair.old))
        pair.caught_up(third)
        third.sql("SELECT pg_wal_replay_pause()")
        ok("pg_recovery", wait=False, **{**follow(pair.new, pair.old), "primary_conninfo": {"host": "/nowhere"}})
        await_true(lambda: pair.new.sql("SELECT FROM pg_stat_wal_receiver") == [])
        pair.old.sql("INSERT INTO t SELECT i, 'lost' FROM generate_series(1, 30000) i; CREATE TABLE lost (id int)")
        [(position,)] = pair.old.sql("SELECT pg_current_wal_flush_lsn()")
        await_true(lambda: third.sql(f"SELECT pg_last_wal_receive_lsn() >= '{position}'") == [(True,)])
        pair.old.stop("immediate")
        ok("pg_promote", **pair.new.login)
        pair.new.sql("INSERT INTO t VALUES (-1, 'kept')")
        third.stop()
        done = ok(MODULE, **pair.options(third))
        assert (done["needed"], names(done)) == (False, ["truncate"])
        assert ok(MODULE, **pair.options(third))["changed"] is False
        pair.comes_back(third)


@newest_only
def test_nothing_secret_is_told(pair: Parted) -> None:
    pair.part()
    pair.old.stop()
    assert "s3cr" not in json.dumps(ok(MODULE, **pair.options()))
    assert "s3cr" not in (pair.old.data / "postgresql.auto.conf").read_text()
    pair.comes_back()
