# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_backup_schedule``: what cron would run takes backups of a real server, by itself; systemd is the lab's."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import schedule
from tests.integration.conftest import VERSIONS
from tests.support import instances
from tests.support.instances import PASSWORD, REPLICATOR, programs
from tests.support.modules import ok, refused, run_module
from tests.support.postgres import Server, bindir, server_user

MODULE = "pg_backup_schedule"


class Place:
    """A directory that stands for the host's own files, with a repository in it."""

    def __init__(self, root: Path, server: Server) -> None:
        self.root = root
        self.server = server
        self.repository = root / "back ups"
        self.passfile = root / "passfile"
        self.program = self.repository / "bin" / "take-backup"
        self.options_file = self.repository / "schedule.json"
        self.table = root / "etc" / "cron.d" / "pgmahout-backup-orders"

    @property
    def backup(self) -> dict[str, Any]:
        """The options of a backup."""
        conninfo = {"host": "127.0.0.1", "port": str(self.server.port), "user": REPLICATOR, "passfile": str(self.passfile),
                    "target_session_attrs": "read-write"}
        return {**programs(self.server), "directory": str(self.repository), "cluster": "orders", "conninfo": conninfo}

    def options(self, **changes: Any) -> dict[str, Any]:
        return {**self.backup, "schedule": "0 2 * * *", "schedule_with": "cron", **changes}

    def run(self) -> subprocess.CompletedProcess[str]:
        """Do what cron does at that time: hand the line to a shell of the account, in an empty environment."""
        line = self.table.read_text().splitlines()[-1]
        assert line.startswith(f"0 2 * * * {self.user} ")
        command = line.split(f" {self.user} ", 1)[1].replace("\\%", "%")
        return subprocess.run(["/bin/sh", "-c", command], user=server_user(), cwd="/", env={"HOME": "/"}, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL)

    @property
    def user(self) -> str:
        return server_user() or self.root.owner()

    @property
    def backups(self) -> list[str]:
        return [each["id"] for each in json.loads((self.repository / "catalog.json").read_text())["backups"]]

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.repository / "status.json").read_text())
        return found

    def files(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.root.rglob("*")
                if path.is_file() and "base" not in path.relative_to(self.root).parts}


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda major: f"pg{major}")
def primary(request: pytest.FixtureRequest) -> Iterator[Server]:
    if bindir(request.param) is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed on this machine")
    with instances.primary(request.param) as server:
        yield server


@pytest.fixture
def there(primary: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A host with cron and a Python for the account, in the place of this one."""
    root = Path(tempfile.mkdtemp(prefix="pgm-"))
    root.chmod(0o755)
    if (user := server_user()) is not None:
        shutil.chown(root, user)
    there = Place(root, primary)
    password = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    there.passfile.write_text(f"127.0.0.1:*:*:{REPLICATOR}:{password}\n")
    there.passfile.chmod(0o600)
    shutil.chown(there.passfile, there.user)
    (root / "sbin").mkdir()
    for name, text in {"cron": "", "python": f'PYTHONPATH={sysconfig.get_path("purelib")} exec /usr/bin/python3 "$@"\n'}.items():
        (root / "sbin" / name).write_text("#!/bin/sh\n" + text)
        (root / "sbin" / name).chmod(0o755)
    if user is not None:
        # Ours may be in the closed home of root; then the system's does, with our psycopg2.
        monkeypatch.setattr(sys, "executable", str(root / "sbin" / "python"))
    monkeypatch.setattr(schedule, "ROOT", str(root))
    monkeypatch.setattr(schedule, "_PATH", str(root / "sbin"))
    try:
        yield there
    finally:
        shutil.rmtree(root)


newest_only = pytest.mark.parametrize("primary", [18], indirect=True, ids=["pg18"])
root_only = pytest.mark.skipif(server_user() is None, reason="the table of the system is root's")


@root_only
def test_what_cron_runs_takes_a_backup_each_time(there: Place) -> None:
    ok("pg_backup", **there.backup)
    before = there.files()
    planned = run_module(MODULE, check=True, **there.options())
    assert there.files() == before
    done = ok(MODULE, **there.options())
    assert (done["changed"], done["commands"], done["diff"]) == (True, planned["commands"], planned["diff"])
    for ended in (there.run(), there.run()):
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert len(there.backups) == 3
    assert there.status["last_run"]["failed"] is False
    assert there.status["last_success"]["id"] == there.backups[-1]
    assert ok(MODULE, **there.options())["changed"] is False


@root_only
@newest_only
def test_the_program_is_the_account_s_and_holds_no_secret(there: Place) -> None:
    done = ok(MODULE, **there.options())
    assert (there.program.stat().st_mode & 0o777, there.options_file.stat().st_mode & 0o777) == (0o700, 0o600)
    assert there.program.owner() == there.options_file.owner() == there.user
    assert "0123 s3cr" not in json.dumps(done)
    assert not [path for path, text in there.files().items() if b"0123 s3cr" in text and path != str(there.passfile)]


@root_only
@newest_only
def test_without_a_schedule_nothing_of_it_is_left_and_backups_stay(there: Place) -> None:
    ok("pg_backup", **there.backup)
    before = there.files()
    ok(MODULE, **there.options())
    gone = {"directory": str(there.repository), "cluster": "orders", "state": "absent", "conninfo": {}}
    planned = run_module(MODULE, check=True, **gone)
    done = ok(MODULE, **gone)
    assert (done["changed"], done["commands"]) == (True, planned["commands"])
    assert there.files() == before
    assert ok(MODULE, **gone)["changed"] is False


@root_only
@newest_only
def test_a_server_that_is_down_is_one_sentence_and_known_to_monitoring(there: Place) -> None:
    ok("pg_backup", **there.backup)
    ok(MODULE, **there.options())
    there.server.stop()
    try:
        ended = there.run()
    finally:
        there.server.start()
    assert ended.returncode == 1
    assert ended.stderr.startswith("Could not connect to database 'postgres' at 127.0.0.1")
    assert len(ended.stderr.splitlines()) == 1
    assert there.status["last_run"]["failed"] is True
    assert there.status["last_run"]["error"] == ended.stderr.strip()
    assert there.status["last_success"]["id"] == there.backups[-1]
    assert 'pgmahout_backup_last_run_failed{cluster="orders"} 1\n' in (there.repository / "status.prom").read_text()
    assert there.run().returncode == 0
    assert there.status["last_run"]["failed"] is False


@root_only
@newest_only
def test_only_the_machine_with_the_primary_takes_a_backup(there: Place) -> None:
    ok("pg_backup", **there.backup)
    with instances.standby(there.server) as standby:
        ports = [str(server.port) for server in (standby, there.server)]
        conninfo = {**there.backup["conninfo"], "host": "127.0.0.1,127.0.0.1", "port": ",".join(ports)}
        conninfo["target_session_attrs"] = "prefer-standby"
        ok(MODULE, **there.options(conninfo=conninfo, only_with_primary_at=[f"127.0.0.1:{standby.port}"]))
        assert there.run().returncode == 0
        assert len(there.backups) == 1
        ok(MODULE, **there.options(conninfo=conninfo, only_with_primary_at=[f"127.0.0.1:{there.server.port}"]))
        assert there.run().returncode == 0
        taken = json.loads((there.repository / "catalog.json").read_text())["backups"]
        assert [each["source"] for each in taken] == [f"127.0.0.1:{port}" for port in reversed(ports)]
        assert ok(MODULE, **there.options(conninfo=conninfo))["changed"] is True


@newest_only
def test_what_this_host_cannot_do_is_refused(there: Place) -> None:
    def told(**changes: Any) -> str:
        message = refused(MODULE, **there.options(**changes))
        assert not there.program.exists()
        return message

    assert "The schedule '0 25 * * *' has 25 as hour" in told(schedule="0 25 * * *")
    assert "The option schedule is ''" in told(schedule="")
    assert "this host is not run by systemd" in told(schedule_with="systemd", schedule="daily")
    assert "The option keep_count is 0" in told(keep_count=0)
    assert "conninfo holds password" in told(conninfo={"host": "node1", "password": PASSWORD})
    (there.root / "sbin" / "cron").unlink()
    assert "this host has no cron" in told()


@newest_only
def test_a_time_that_systemd_does_not_know_is_refused(there: Place) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze on this machine")
    (there.root / "run" / "systemd" / "system").mkdir(parents=True)
    message = refused(MODULE, check=True, **there.options(schedule_with="systemd", schedule="Mondays at two"))
    assert "at 'Mondays at two' by systemd and systemd does not take it for a time" in message


@newest_only
def test_a_python_that_the_account_cannot_use_is_refused(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (there.root / "sbin" / "python").chmod(0o600)
    monkeypatch.setattr(sys, "executable", str(there.root / "sbin" / "python"))
    if subprocess.run(["/usr/bin/python3", "-c", "import psycopg2"], capture_output=True).returncode == 0:
        pytest.skip("the Python of this machine has psycopg2")
    assert "can run no Python 3.8 or newer with psycopg2, neither" in refused(MODULE, **there.options())
