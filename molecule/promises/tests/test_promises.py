# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The promises on Debian hosts, from bare ones to a failover: these tests build on each other in the order of the file."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.support import playbooks
from tests.support.playbooks import ROOT, Run, wait_until

SEED = int(os.environ.get("PGMAHOUT_SEED", "20261122"))
#: During which tasks a deploy is killed, and how many seconds after they have begun at the latest.
KILLS = {"The packages are there": 8.0, "The server runs with its configuration": 0.6, "A clone of the upstream is there": 1.5,
         "Databases with the published schema exist": 0.8}
RESTART = ("--extra-vars",
           json.dumps({"pg_server_settings": {"shared_buffers": "32MB", "log_statement": "all", "max_connections": 120}}))

#: What is on the hosts again, as before a first deploy, when another scenario has used them; apt keeps what else it installed.
MAKE_BARE = ("dpkg-query --show --showformat='${Package}\\n' 'postgresql-[1-9]*' python3-psycopg2"
             " | DEBIAN_FRONTEND=noninteractive xargs --no-run-if-empty apt-get purge --quiet --yes --allow-change-held-packages")
#: Every argv and every environment of a process that is there for more than a moment, until a file of this name is.
ENDS = "/run/pgmahout-watched"
WATCH = f"""
import glob, os, time
seen = set()
while not os.path.exists({ENDS!r}):
    for path in glob.glob('/proc/[0-9]*/cmdline') + glob.glob('/proc/[0-9]*/environ'):
        try:
            seen.add(open(path, 'rb').read())
        except OSError:
            pass
    time.sleep(0.05)
print(seen)
"""
#: All that a host has written about what happened, as printable characters.
WRITTEN = ("{ journalctl --quiet --no-pager; cat /var/lib/postgresql/*/*/postgresql.auto.conf;"
           " find /var/log /var/tmp /tmp -xdev -type f -exec cat {} +; } | LC_ALL=C tr -cd '\\11\\12\\40-\\176'")
SLOTS = "SELECT slot_name, slot_type, active FROM pg_replication_slots WHERE NOT temporary ORDER BY 1"
STREAMS = "SELECT application_name, pid, backend_start FROM pg_stat_replication WHERE state = 'streaming' ORDER BY 1"

Sql = Callable[..., str]


@pytest.fixture(scope="module")
def members(hosts_of: Callable[[str], dict[str, Host]]) -> dict[str, Host]:
    """Return the members of both clusters, without PostgreSQL when the first test begins."""
    found = {**hosts_of("orders"), **hosts_of("reporting")}
    for host in found.values():
        host.check_output(MAKE_BARE)
    return found


class Deploys:
    """Runs of deploy, as talkative as can be, and all that they print."""

    def __init__(self, inventories: list[Path], log: Path) -> None:
        self._inventories = inventories
        self._log = log
        self.printed: list[str] = []

    def run(self, *arguments: str) -> Run:
        """Run it to its end."""
        done = playbooks.run(self._command(arguments))
        self.printed.append(done.output)
        return done

    def kill(self, task: str, seconds: float, *arguments: str) -> bool:
        """Kill it with all its workers, some time after a task has begun; what it has started on the hosts goes on.

        Return whether there was something to kill: what the run before went on with may have left nothing to do.
        """
        running = playbooks.begin(self._command(arguments), self._log, task, 600)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(seconds)
        self.printed.append(self._log.read_text())
        if running.returncode is None:
            playbooks.kill(running)
        return running.wait() == -signal.SIGKILL

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return playbooks.command("deploy", self._inventories, "-vvv", "--diff", *arguments)


@pytest.fixture(scope="module")
def deploys(inventories: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Deploys:
    """Return what runs deploy on the hosts of this scenario."""
    return Deploys(inventories, tmp_path_factory.mktemp("promises") / "printed")


@pytest.fixture(scope="module", autouse=True)
def watched(members: dict[str, Host]) -> Iterator[Callable[[], list[str]]]:
    """Watch the processes of the hosts from now on; return a function that ends it and returns what was seen on each."""
    with ThreadPoolExecutor(len(members)) as pool:
        for host in members.values():
            host.check_output("rm -f %s", ENDS)
        seen = [pool.submit(host.check_output, "python3 -c %s", WATCH) for host in members.values()]

        def end() -> list[str]:
            for host in members.values():
                host.check_output("touch %s", ENDS)
            return [future.result() for future in seen]

        yield end
        end()


def test_there_are_three_members(members: dict[str, Host]) -> None:
    assert list(members) == ["node1", "node2", "node3"]


def test_killed_again_and_again_a_deploy_goes_on_where_it_was(
        members: dict[str, Host], deploys: Deploys, sql: Sql) -> None:
    moment = random.Random(SEED)
    killed = [deploys.kill(task, moment.uniform(0.1, latest)) for task, latest in KILLS.items()]
    assert sum(killed) >= len(KILLS) - 1
    deploys.run().ok()
    assert_whole(members, sql)


def test_killed_amid_a_rolling_restart_the_next_run_ends_it(
        members: dict[str, Host], deploys: Deploys, sql: Sql) -> None:
    assert deploys.kill("The standby is restarted", random.Random(SEED).uniform(0.1, 2), *RESTART)
    deploys.run(*RESTART).ok()
    assert [sql(host, "SHOW max_connections") for host in members.values()] == ["120"] * 3
    assert_whole(members, sql)
    assert set(deploys.run(*RESTART, "--check").ok().changed.values()) == {0}


def assert_whole(members: dict[str, Host], sql: Sql) -> None:
    """Everything that a deploy makes is there, and nothing that a killed one may have left."""
    streams = ["node2", "sales_in"]
    wait_until(lambda: sql(members["node1"], "SELECT application_name FROM pg_stat_replication ORDER BY 1").split() == streams)
    assert sql(members["node1"], SLOTS).split() == ["node2|physical|t", "sales_in|logical|t"]
    assert sql(members["node3"], SLOTS) == ""
    for name, host in members.items():
        cluster, database = ("reporting", "dwh") if name == "node3" else ("orders", "shop")
        assert sql(host, "SELECT count(*) FROM orders", database) == "5000"
        assert host.check_output("ls -A /var/lib/postgresql/*/") == cluster
        files = set(host.check_output("ls -A /etc/postgresql/*/*/").split())
        # Where there is another member to ask, the unit asks it.
        guard = set() if name == "node3" else {"start-guard", "start-guard.peers"}
        assert files == {"ca.crt", "environment", "passfile", "pg_ctl.conf", "pg_hba.conf", "pg_ident.conf", "postgresql.conf",
                         "server.crt", "server.key", "start.conf"} | guard
        assert_tidy(host)
    signals = {name: host.check_output("ls /var/lib/postgresql/*/*/ | grep signal || true") for name, host in members.items()}
    assert signals == {"node1": "", "node2": "standby.signal", "node3": ""}


def assert_tidy(host: Host) -> None:
    """The packages are consistent, their policy is what it was, and no file of ours is where temporary files are."""
    assert host.check_output("dpkg --audit") == ""
    assert host.check_output("ls -A /var/lib/dpkg/updates") == ""
    assert host.check_output("find /usr/sbin -name 'policy-rc.d*'") == ""
    assert host.check_output("find /tmp /var/tmp -name '*ansible*' -o -name '*pgmahout*'") == ""
    assert host.check_output("systemctl --failed --no-legend") == ""


def test_no_secret_can_be_read_anywhere(
        members: dict[str, Host], deploys: Deploys, watched: Callable[[], list[str]]) -> None:
    texts = {"output": "".join(deploys.printed)}
    for name, processes in zip(members, watched(), strict=True):
        assert "pg_basebackup" in processes or name != "node2"
        texts[f"processes of {name}"] = processes
        texts[f"logs and files of {name}"] = members[name].check_output(WRITTEN)
    path = ROOT / ".ansible" / "lab" / "secrets.json"
    held = secrets_in(json.loads(path.read_text()))
    assert len(held) >= 3 + 4 * 2  # three passwords, and a line at least of the keys of three members and of their authority
    for where, text in texts.items():
        assert not [secret for secret in held if secret in text], f"a secret is in the {where}"
    for place, mode in [(path, path.stat().st_mode & 0o777)] + [
            (file, host.file(file).mode) for host in members.values()
            for file in host.check_output("ls /etc/postgresql/*/*/passfile /etc/postgresql/*/*/server.key").split()]:
        assert mode == 0o600, place


def secrets_in(document: Any) -> set[str]:
    """Return every password of a secrets file, and every line of its private keys."""
    if isinstance(document, dict):
        return set[str]().union(*map(secrets_in, document.values()))
    if "CERTIFICATE" in document:
        return set()
    return {line for line in document.splitlines() if not line.startswith("-----")}


def test_certificates_are_replaced_and_no_connection_ends(members: dict[str, Host], deploys: Deploys, sql: Sql) -> None:
    before = [certificate(host) for host in members.values()]
    streams = sql(members["node1"], STREAMS)
    after = datetime.now(timezone.utc).isoformat(timespec="seconds")
    rotation = (*RESTART, "--extra-vars", f"pg_server_tls_issued_after={after}")
    deploys.run(*rotation).ok()
    assert not set(before) & {certificate(host) for host in members.values()}
    assert sql(members["node1"], STREAMS) == streams
    assert set(deploys.run(*rotation).ok().changed.values()) == {0}
    sql(members["node1"], "SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
    wait_until(lambda: len(sql(members["node1"], STREAMS).splitlines()) == 2 and sql(members["node1"], STREAMS) != streams)


def certificate(host: Host) -> str:
    """Return the serial number of the certificate that a server shows."""
    shown = host.check_output("openssl s_client -starttls postgres -connect $(hostname -i):5432 < /dev/null 2> /dev/null"
                              " | openssl x509 -noout -serial")
    return str(shown)


def test_a_standby_promoted_by_hand_is_followed_and_the_old_primary_left_alone(
        members: dict[str, Host], deploys: Deploys, sql: Sql) -> None:
    await_slot(members["node1"], members["node2"], sql)
    control(members["node1"], "stop")
    control(members["node2"], "promote")
    run = deploys.run(*RESTART).ok()
    assert "node1 was primary on timeline 1 and node2 is primary on timeline 2" in run.flat
    assert set(run.changed.values()) == {0}
    assert "down" in members["node1"].check_output("pg_lsclusters --no-header")
    sql(members["node2"], "INSERT INTO orders VALUES (0)", "shop")
    wait_until(lambda: sql(members["node3"], "SELECT count(*) FROM orders", "dwh") == "5001")


def await_slot(primary: Host, standby: Host, sql: Sql) -> None:
    """Wait until the subscriber's slot would outlive the primary; it comes in step no faster than snapshots are in the WAL."""
    def is_in_step() -> bool:
        sql(primary, "SELECT pg_log_standby_snapshot()")
        return sql(standby, "SELECT synced AND NOT temporary FROM pg_replication_slots") == "t"

    wait_until(is_in_step)


def test_the_old_primary_is_not_started_beside_the_new_one(members: dict[str, Host]) -> None:
    with pytest.raises(AssertionError, match="postgresql@.*failed"):
        control(members["node1"], "start")
    assert re.search(r"start-guard: The server .* of timeline 1 and was not started, since node2 .* takes writes on timeline 2",
                     members["node1"].check_output("journalctl --boot --unit='postgresql@*' --output=cat"))
    assert "down" in members["node1"].check_output("pg_lsclusters --no-header")


def test_two_primaries_are_refused_by_name(members: dict[str, Host], deploys: Deploys, sql: Sql) -> None:
    """Somebody got past the unit, which would not have started the second one."""
    control(members["node1"], "start", "--skip-systemctl-redirect")
    deploys.run(*RESTART).refused("two primaries", "node1 (running, timeline 1)", "node2 (running, timeline 2)")
    assert [sql(members[name], "SELECT pg_is_in_recovery()") for name in ("node1", "node2")] == ["f", "f"]
    control(members["node1"], "stop", "--skip-systemctl-redirect")


def control(host: Host, action: str, *options: str) -> None:
    """Start, stop or promote the one instance of a host, as somebody would who does not use Ansible."""
    version, name = host.check_output("pg_lsclusters --no-header").split()[:2]
    host.check_output(" ".join(["pg_ctlcluster", *options, version, name, action]))


def test_nothing_was_warned_of(deploys: Deploys) -> None:
    assert len(deploys.printed) == len(KILLS) + 1 + 3 + 2 + 2
    assert not [line for text in deploys.printed for line in text.splitlines() if re.search("WARNING|DEPRECAT", line)]
