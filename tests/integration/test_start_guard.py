# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""start-guard: a former primary is not started beside another one, and nothing else keeps a primary from starting."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import conninfo
from tests.integration.conftest import VERSIONS
from tests.support import instances
from tests.support.instances import PASSWORD, REPLICATOR
from tests.support.modules import ok
from tests.support.playbooks import ROOT, wait_until
from tests.support.postgres import Server, bindir, free_port, server_user

PROGRAM = ROOT / "roles" / "pg_server" / "files" / "start-guard"
REJOIN = "pgmahout.cluster.rejoin"


@dataclass
class Cluster:
    """A primary that stopped, and two standbys, of which the first was promoted and the second follows it."""

    former: Server
    primary: Server
    standby: Server

    @property
    def passfile(self) -> Path:
        return self.standby.home / "everyone"

    def write_passfile(self, name: str, password: str) -> Path:
        path = self.standby.home / name
        entry = {"host": "*", "port": "*", "database": "*", "user": REPLICATOR, "password": password}
        path.write_text(conninfo.passfile([entry]))
        path.chmod(0o600)
        own(path)
        return path

    def conninfo(self, server: Server, **keywords: str) -> str:
        return conninfo.render({"host": "127.0.0.1", "port": server.port, "dbname": "postgres", "user": REPLICATOR,
                                "passfile": str(self.passfile), **keywords})

    def guard(self, *peers: str, data: Path | None = None) -> subprocess.CompletedProcess[str]:
        file = self.former.home / "peers"
        file.write_text("".join(f"{peer}\n" for peer in peers))
        file.chmod(0o644)
        return self.run(data or self.former.data, file)

    def run(self, data: Path, file: Path) -> subprocess.CompletedProcess[str]:
        directory = bindir(self.former.major)
        assert directory is not None
        # The account must be able to run it, also where the checkout is in a closed home.
        program = self.former.home / "start-guard"
        shutil.copy(PROGRAM, program)
        return subprocess.run([program, directory, data, file], user=server_user(), cwd="/", text=True, capture_output=True,
                              env={"PATH": "/usr/bin:/bin"}, stdin=subprocess.DEVNULL)


def own(path: Path) -> None:
    if (user := server_user()) is not None:
        for found in (path, *path.rglob("*")):
            shutil.chown(found, user)


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda major: f"pg{major}")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    if bindir(request.param) is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed on this machine")
    with instances.primary(request.param) as former, instances.standby(former) as first, instances.standby(former) as second:
        made = Cluster(former, first, second)
        made.write_passfile("everyone", PASSWORD)
        ok("pg_instance", **instances.instance(first, {"cluster_name": "node2"}))
        # One that has less than another must not be promoted.
        wait_until(lambda: former.sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == [(2,)])
        former.stop()
        first.sql("SELECT pg_promote()")
        ok("pg_recovery", **instances.follow(second, first, primary_conninfo=instances.upstream_of(
            second, first, passfile=str(made.passfile))))
        wait_until(lambda: second.sql("SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'") == [(2,)])
        yield made


def allowed(done: subprocess.CompletedProcess[str]) -> str:
    """What it told while it let the server start."""
    assert (done.returncode, done.stdout) == (0, ""), done
    return done.stderr


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence that it told."""
    assert (done.returncode, done.stdout) == (1, ""), done
    told, _end, rest = done.stderr.rpartition("start-guard: The server in ")[2].partition("\n")
    assert rest == ""
    assert REJOIN in told
    return told


def test_a_former_primary_is_not_started_beside_the_new_one(cluster: Cluster) -> None:
    told = refused(cluster.guard(cluster.conninfo(cluster.primary), cluster.conninfo(cluster.standby)))
    assert told == (f"{cluster.former.data} is a primary of timeline 1 and was not started, since node2 at 127.0.0.1:"
                    f"{cluster.primary.port} takes writes on timeline 2 and there would be two primaries; make it a standby "
                    f"by the playbook {REJOIN}.")


def test_whoever_follows_the_new_primary_tells_of_it_too(cluster: Cluster) -> None:
    assert f" since 127.0.0.1:{cluster.standby.port} follows a primary on timeline 2 " in refused(
        cluster.guard(cluster.conninfo(cluster.standby)))


def test_what_a_member_warns_of_hides_nothing(cluster: Cluster) -> None:
    """As after an upgrade of its system, whose collations have another version."""
    cluster.primary.sql("UPDATE pg_database SET datcollversion = 'older'")
    try:
        assert " takes writes on timeline 2 " in refused(cluster.guard(cluster.conninfo(cluster.primary)))
    finally:
        cluster.primary.sql("UPDATE pg_database SET datcollversion = NULL")


@pytest.mark.parametrize("name", ["standby.signal", "recovery.signal"])
def test_a_standby_and_a_restore_are_started(cluster: Cluster, name: str) -> None:
    (cluster.former.data / name).touch()
    try:
        assert allowed(cluster.guard(cluster.conninfo(cluster.primary))) == ""
    finally:
        (cluster.former.data / name).unlink()


def test_the_new_primary_is_started_again(cluster: Cluster) -> None:
    """Beside a standby of its own, and beside the former primary that somebody started past its unit."""
    assert allowed(cluster.guard(cluster.conninfo(cluster.standby), data=cluster.primary.data)) == ""
    cluster.former.start()
    try:
        assert allowed(cluster.guard(cluster.conninfo(cluster.former), cluster.conninfo(cluster.standby),
                                     data=cluster.primary.data)) == ""
    finally:
        cluster.former.stop()


def test_one_that_crashed_right_after_its_promotion_knows_of_it(cluster: Cluster, tmp_path: Path) -> None:
    """Its control file still has the timeline of the former primary, which runs again."""
    data = cluster.former.home / "crashed"
    shutil.copytree(cluster.former.data, data)
    shutil.copy(cluster.primary.data / "pg_wal" / "00000002.history", data / "pg_wal")
    own(data)
    cluster.former.start()
    try:
        assert allowed(cluster.guard(cluster.conninfo(cluster.former), data=data)) == ""
    finally:
        cluster.former.stop()
        shutil.rmtree(data)


def test_two_that_were_promoted_at_once_are_not_started_both(cluster: Cluster) -> None:
    data = cluster.former.home / "twin"
    shutil.copytree(cluster.primary.data, data)
    own(data)
    try:
        assert " takes writes on timeline 2 " in refused(cluster.guard(cluster.conninfo(cluster.primary), data=data))
    finally:
        shutil.rmtree(data)


def test_a_cluster_that_lost_its_power_comes_back(cluster: Cluster) -> None:
    """Nobody listens where the others are to be; the sentence names the place and no secret."""
    gone = free_port()
    told = allowed(cluster.guard(f"host=127.0.0.1 port={gone} dbname=postgres user={REPLICATOR} passfile="
                                 f"{cluster.passfile}"))
    assert told.startswith("start-guard: a member was asked what it knows and did not say: ")
    assert f"port {gone} failed" in told


def test_hosts_that_are_gone_cost_the_time_of_one_and_hide_nobody(cluster: Cluster) -> None:
    """A listener that never says a word is what a host looks like that lost its power in the middle."""
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _number in range(3)]
        conninfos = [f"host=127.0.0.1 port={each.getsockname()[1]} user={REPLICATOR}" for each in silent]
        begun = time.monotonic()
        assert allowed(cluster.guard(*conninfos)).count("did not say") == 3
        assert time.monotonic() - begun < 5
        refused(cluster.guard(*conninfos, cluster.conninfo(cluster.primary)))


@pytest.mark.parametrize("keywords", [
    {"passfile": "/nonexistent"}, {"user": "postgres"}, {"dbname": "missing"}, {"sslmode": "bogus"},
    {"host": "no.such.host.invalid"}])
def test_who_is_not_let_in_learns_nothing_and_starts(cluster: Cluster, keywords: dict[str, str]) -> None:
    assert "did not say" in allowed(cluster.guard(cluster.conninfo(cluster.primary, **keywords)))


def test_a_wrong_password_keeps_nobody_from_starting_and_is_not_told(cluster: Cluster) -> None:
    wrong = cluster.write_passfile("wrong", "hush-hush")
    told = allowed(cluster.guard(cluster.conninfo(cluster.primary, passfile=str(wrong))))
    assert "password authentication failed" in told
    assert "hush" not in told


def test_another_system_is_none_of_its_business(cluster: Cluster) -> None:
    with instances.primary(cluster.former.major) as other:
        # On the newest timeline of all.
        other.stop()
        (other.data / "standby.signal").touch()
        own(other.data)
        other.start()
        other.sql("SELECT pg_promote()")
        assert allowed(cluster.guard(cluster.conninfo(other))) == ""


def test_without_data_or_members_there_is_nothing_to_ask(cluster: Cluster) -> None:
    empty = cluster.former.home / "empty"
    empty.mkdir()
    assert allowed(cluster.guard(cluster.conninfo(cluster.primary), data=empty)) == ""
    assert allowed(cluster.run(cluster.former.data, cluster.former.home / "missing")) == ""
    assert allowed(cluster.guard()) == ""
