# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages of a host: every way to what is wanted, and apt as it is called, with a host of files and an apt of ours."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import apt, apt_repository, service_policy, tools
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError, ToolError
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.packages import Package

KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINBGPL\n-----END PGP PUBLIC KEY BLOCK-----\n"
PGDG: dict[str, Any] = {"uri": "http://apt.postgresql.org/pub/repos/apt", "suite": None, "components": ["main"], "key": KEY}
OPTIONS: dict[str, Any] = {"packages": ["postgresql-17", "python3-psycopg2"], "hold": ["postgresql-17"], "state": "present",
                           "repository": None, "cache_valid_time": 3600, "lock_timeout": 5, "check_mode": False}
NO_CLUSTER_TEXT = "# Made by pgmahout.cluster.pg_packages, which undoes other changes.\ncreate_main_cluster = false\n"
FILES = {apt.CREATECLUSTER_FILE: NO_CLUSTER_TEXT,
         apt_repository.KEY_FILE: None, apt_repository.SOURCES_FILE: None}
BARE = apt.Current({"dpkg": Package("install", "1")}, dict.fromkeys(FILES), "trixie", stale=True)
SERVER, PSYCOPG2 = Package("hold", "17.5-1"), Package("install", "2.9.10-1")
SETTLED = apt.Current({"postgresql-17": SERVER, "python3-psycopg2": PSYCOPG2}, FILES, "trixie", serves=True)
NEWER = SETTLED._replace(candidates={"postgresql-17": "17.6-1", "python3-psycopg2": "2.9.10-1"})

INSTALL = "apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=5 "
MOVE = INSTALL + "--allow-change-held-packages "
NO_CLUSTER, HOLD, UPDATE = "write " + apt.CREATECLUSTER_FILE, "apt-mark hold postgresql-17", "apt-get update"
WRITE_KEY, WRITE_SOURCES = "write " + apt_repository.KEY_FILE, "write " + apt_repository.SOURCES_FILE
WITH_PGDG = dict(FILES, **apt_repository.files(apt_repository.desired(PGDG), "trixie"))


def plan(current: apt.Current, **options: Any) -> Any:
    return apt.plan(current, apt.desired({**OPTIONS, **options}))


@pytest.mark.parametrize(("current", "options", "expected"), [
    (BARE, {}, [NO_CLUSTER, UPDATE, INSTALL + "postgresql-17 python3-psycopg2", HOLD]),
    (BARE, {"state": "latest"}, [NO_CLUSTER, INSTALL + "postgresql-17 python3-psycopg2", HOLD]),
    (BARE, {"hold": [], "packages": ["dpkg"]}, [NO_CLUSTER]),
    (BARE._replace(stale=False), {"hold": []}, [NO_CLUSTER, INSTALL + "postgresql-17 python3-psycopg2"]),
    (BARE, {"repository": PGDG},
     [NO_CLUSTER, WRITE_KEY, WRITE_SOURCES, UPDATE, INSTALL + "postgresql-17 python3-psycopg2", HOLD]),
    (SETTLED, {}, []),
    (SETTLED._replace(stale=True), {}, []),
    (SETTLED, {"hold": []}, []),
    (NEWER, {}, []),
    (SETTLED, {"packages": ["postgresql-17", "more"]}, [INSTALL + "more"]),
    (SETTLED, {"hold": ["python3-psycopg2"]}, ["apt-mark hold python3-psycopg2"]),
    (SETTLED, {"state": "latest"}, []),
    (NEWER, {"state": "latest"}, [MOVE + "postgresql-17", HOLD]),
    (NEWER, {"state": "latest", "hold": []}, [MOVE + "postgresql-17", HOLD]),
    (NEWER._replace(stale=True), {"state": "latest"}, [MOVE + "postgresql-17", HOLD]),
    (NEWER, {"state": "latest", "packages": ["postgresql-17", "more"]}, [MOVE + "postgresql-17 more", HOLD]),
    (SETTLED._replace(files=WITH_PGDG), {"repository": PGDG}, []),
    (SETTLED, {"repository": PGDG}, [WRITE_KEY, WRITE_SOURCES]),
    (SETTLED._replace(files=dict(WITH_PGDG, **{apt_repository.KEY_FILE: "another"})), {"repository": PGDG}, [WRITE_KEY]),
    (NEWER, {"repository": PGDG, "state": "latest"},
     [WRITE_KEY, WRITE_SOURCES, UPDATE, MOVE + "postgresql-17 python3-psycopg2", HOLD]),
    (SETTLED._replace(files=WITH_PGDG), {}, ["rm " + apt_repository.KEY_FILE, "rm " + apt_repository.SOURCES_FILE]),
    (SETTLED._replace(policy_repair="rm x"), {}, ["rm x"]),
    (SETTLED._replace(interrupted=True), {}, ["dpkg --configure -a"]),
    (BARE._replace(policy_repair="rm x", interrupted=True), {"packages": ["a2"], "hold": []},
     ["rm x", NO_CLUSTER, "dpkg --configure -a", UPDATE, INSTALL + "a2"]),
])
def test_every_state_leads_to_what_is_wanted(current: apt.Current, options: dict[str, Any], expected: list[str]) -> None:
    assert [step.shown for step in plan(current, **options).steps] == expected


@pytest.mark.parametrize(("current", "keeps"), [(SETTLED, True), (BARE, False)])
def test_services_are_kept_where_there_are_any(current: apt.Current, keeps: bool) -> None:
    steps = plan(current._replace(interrupted=True), packages=["postgresql-17", "more"]).steps
    asked = {step.shown.split()[0]: step.values["keeps_services"] for step in steps if step.action == "run"}
    assert asked["apt-get"] == asked["dpkg"] == keeps


def test_before_and_after_are_what_the_steps_lead_from_and_to() -> None:
    found = plan(BARE, packages=["postgresql-17", "dpkg"])
    assert found.before == {"postgresql-17": {"version": "missing", "held": False}, "dpkg": {"version": "1", "held": False},
                            apt.CREATECLUSTER_FILE: []}
    assert found.after == {"postgresql-17": {"version": "installed", "held": True}, "dpkg": {"version": "1", "held": False},
                           apt.CREATECLUSTER_FILE: NO_CLUSTER_TEXT.splitlines()}
    assert found.facts == {"upgraded": []}
    found = plan(NEWER, state="latest")
    assert found.after["postgresql-17"] == {"version": "17.6-1", "held": True}
    assert found.facts == {"upgraded": ["postgresql-17"]}
    assert plan(NEWER, state="latest", repository=PGDG).after["postgresql-17"] == {"version": "newest", "held": True}


@pytest.mark.parametrize(("options", "told"), [
    ({"packages": ["postgresql-17=17.5-1"]}, "option packages has 'postgresql-17=17.5-1'; give names"),
    ({"packages": ["--purge"]}, "option packages has '--purge'"),
    ({"packages": ["libpq5:i386"]}, "option packages has 'libpq5:i386'"),
    ({"hold": ["libpq5"]}, "option hold has libpq5 and packages has not"),
    ({"lock_timeout": -1}, "option lock_timeout is -1"),
    ({"cache_valid_time": -1}, "option cache_valid_time is -1"),
    ({"repository": dict(PGDG, key="")}, "repository.key"),
])
def test_what_cannot_be_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        apt.desired({**OPTIONS, **options})


class Debian:
    """A host of files, whose apt and dpkg do with these what the real ones would.

    Attributes:
        offered: the newest version of each package.
        calls: what was run that may change something, as one line each.
        answers: errors to answer the next calls with.
        questions: what the policy answers, at each call, when it is asked for leave to stop a server.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.offered: dict[str, str] = {}
        self.calls: list[str] = []
        self.answers: list[str] = []
        self.questions: list[int] = []
        for directory in ("var/lib/dpkg/updates", "var/lib/apt/lists", "etc/apt/sources.list.d", "usr/sbin"):
            (root / directory).mkdir(parents=True)
        (root / "etc/apt/sources.list").write_text("deb http://deb.debian.org/debian trixie main\n")
        (root / "etc/os-release").write_text("VERSION_CODENAME=trixie\n")
        self.status({"dpkg": ("install", "1")})

    def status(self, packages: Mapping[str, Sequence[str]]) -> None:
        stanzas = [f"Package: {name}\nStatus: {selection} ok installed\nArchitecture: all\nVersion: {version}\n"
                   for name, (selection, version) in packages.items()]
        (self.root / "var/lib/dpkg/status").write_text("\n".join(stanzas))

    def fetched(self, ago: float) -> None:
        """Let the lists have been fetched some seconds ago, from sources that are older."""
        lists = self.root / "var/lib/apt/lists"
        (lists / "deb.debian.org_debian_dists_trixie_InRelease").touch()
        for path in (self.root / "etc/apt/sources.list", self.root / "etc/apt/sources.list.d"):
            os.utime(path, (0, 0))
        os.utime(lists, (time.time() - ago,) * 2)

    def instance(self) -> None:
        directory = self.root / "etc/postgresql/17/orders"
        directory.mkdir(parents=True)
        (directory / "postgresql.conf").touch()

    def run(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> str:
        if argv[1] == "policy":
            return "".join(f"{name}:\n  Installed: x\n  Candidate: {version}\n" for name, version in self.offered.items())
        self.calls.append(" ".join(word for word in argv if not word.startswith("-") and "::" not in word))
        policy = self.root / "usr/sbin/policy-rc.d"
        asked = [str(policy), "postgresql@17-orders", "stop"] if policy.exists() else ["true"]
        self.questions.append(subprocess.run(asked, env={**os.environ, **(env or {})}, check=False).returncode)
        if self.answers:
            raise ToolError("it failed", self.answers.pop(0))
        have = {name: list(package) for name, package in apt._installed().items()}
        for name in argv[2:]:
            if argv[1] == "hold":
                have[name][0] = "hold"
            elif name in self.offered:
                have[name] = ["install", self.offered[name]]
        self.status(have)
        if argv[0] == "dpkg":
            for path in (self.root / "var/lib/dpkg/updates").iterdir():
                path.unlink()
        return ""


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Debian:
    host = Debian(tmp_path)
    monkeypatch.setattr(apt, "ROOT", str(tmp_path))
    monkeypatch.setattr(tools, "run", host.run)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return host


def converge(check: bool = False, **options: Any) -> Any:
    """Read, plan and apply as the runner does; return the plan and what applying it returned."""
    params = {**OPTIONS, **options, "check_mode": check}
    wanted = apt.desired(params)
    with apt.opener(params) as host:
        found = apt.plan(apt.read(host, wanted), wanted)
        if check or not found.steps:
            return found, {}
        with host.lock("apt"):
            found = apt.plan(apt.read(host, wanted), wanted)
            return found, apt.apply(host, wanted, found.steps)


def test_a_bare_host_gets_all_and_then_nothing_more(debian: Debian) -> None:
    debian.offered = {"postgresql-17": "17.5-1", "python3-psycopg2": "2.9.10-1"}
    foreseen, _ = converge(check=True, repository=PGDG)
    assert debian.calls == []
    assert not (debian.root / apt_repository.KEY_FILE[1:]).exists()
    done, extra = converge(repository=PGDG)
    assert done == foreseen
    assert extra == {"upgraded": []}
    assert debian.calls == ["apt-get update", "apt-get install postgresql-17 python3-psycopg2", HOLD]
    assert "Suites: trixie-pgdg\n" in (debian.root / apt_repository.SOURCES_FILE[1:]).read_text()
    assert apt._installed()["postgresql-17"] == Package("hold", "17.5-1")
    assert converge(repository=PGDG)[0].steps == []
    assert converge()[0].steps != []
    assert not (debian.root / apt_repository.SOURCES_FILE[1:]).exists()
    assert len(debian.calls) == 3


def test_an_upgrade_leaves_servers_alone(debian: Debian) -> None:
    debian.fetched(ago=10)
    debian.instance()
    debian.status({"postgresql-17": ("hold", "17.5-1"), "python3-psycopg2": ("install", "2.9.10-1")})
    debian.offered = {"postgresql-17": "17.6-1", "python3-psycopg2": "2.9.10-1"}
    _done, extra = converge(state="latest")
    assert extra == {"upgraded": ["postgresql-17"]}
    assert list(zip(debian.calls, debian.questions, strict=True)) == [("apt-get install postgresql-17", 101), (HOLD, 0)]
    assert os.listdir(debian.root / "usr/sbin") == []
    assert converge(state="latest")[0].steps == []


@pytest.mark.parametrize(("options", "ago", "expected"), [
    ({}, 10, []),
    ({}, 7200, ["apt-get update"]),
    ({"cache_valid_time": 9000}, 7200, []),
    ({"cache_valid_time": 0}, 10, ["apt-get update"]),
])
def test_lists_are_fetched_when_they_are_old(debian: Debian, options: dict[str, Any], ago: int, expected: list[str]) -> None:
    debian.fetched(ago)
    debian.offered = {"a2": "1"}
    converge(packages=["a2"], hold=[], **options)
    assert debian.calls == [*expected, "apt-get install a2"]


@pytest.mark.parametrize("changed", ["etc/apt/sources.list", "etc/apt/sources.list.d", "etc/apt/sources.list.d/other.list"])
def test_lists_are_fetched_when_they_are_older_than_their_sources(debian: Debian, changed: str) -> None:
    (debian.root / "etc/apt/sources.list.d/other.list").touch()
    os.utime(debian.root / "etc/apt/sources.list.d/other.list", (0, 0))
    debian.fetched(ago=10)
    assert not apt._is_stale(3600)
    os.utime(debian.root / changed)
    assert apt._is_stale(3600)


def test_lists_that_were_not_there_or_not_fetched_are_not_fresh(debian: Debian) -> None:
    assert apt._is_stale(3600)
    debian.fetched(ago=10)
    assert not apt._is_stale(3600)
    debian.answers = ["E: The repository 'http://host trixie-pgdg InRelease' is not signed.\n"]
    with pytest.raises(StateError, match="InRelease' is not signed; put right"):
        apt._update(5)
    assert apt._is_stale(3600)
    apt._update(5)
    assert not apt._is_stale(3600)


def test_a_repository_that_cannot_be_read_is_no_obstacle_to_the_right_one(debian: Debian) -> None:
    debian.offered = {"postgresql-17": "17.5-1", "python3-psycopg2": "2.9.10-1"}
    debian.answers = ["E: The repository 'http://host trixie-pgdg InRelease' is not signed.\n"]
    with pytest.raises(StateError, match="not signed"):
        converge(repository=dict(PGDG, uri="http://host/apt"), state="latest")
    converge(repository=PGDG, state="latest")
    assert debian.calls[1:] == ["apt-get update", "apt-get install postgresql-17 python3-psycopg2", HOLD]


def test_nothing_is_fetched_in_check_mode(debian: Debian) -> None:
    debian.fetched(ago=7200)
    debian.offered = {"postgresql-17": "17.6-1"}
    debian.status({"postgresql-17": ("hold", "17.5-1")})
    assert converge(check=True, state="latest")[0].facts == {"upgraded": ["postgresql-17"]}
    assert debian.calls == []
    assert (debian.root / "var/lib/apt/lists").stat().st_mtime < time.time() - 3600


def test_what_a_killed_run_left_is_repaired(debian: Debian) -> None:
    debian.fetched(ago=10)
    debian.instance()
    debian.status({"postgresql-17": ("hold", "17.5-1"), "python3-psycopg2": ("install", "2.9.10-1")})
    debian.offered = {"postgresql-17": "17.6-1"}
    (debian.root / "var/lib/dpkg/updates/0001").write_text(
        "Package: postgresql-17\nStatus: install reinstreq half-installed\nArchitecture: all\nVersion: 17.5-1\n")
    left = service_policy.kept(str(debian.root / "usr/sbin/policy-rc.d"))
    left.__enter__()  # and the run was killed
    foreseen, _ = converge(check=True)
    done, _ = converge()
    assert done == foreseen
    assert done.steps[0].shown == "rm %s/usr/sbin/policy-rc.d" % debian.root
    assert list(zip(debian.calls, debian.questions, strict=True)) == [
        ("dpkg", 101), ("apt-get install postgresql-17", 101), (HOLD, 0)]
    assert converge()[0].steps == []


@pytest.mark.parametrize(("said", "told"), [
    ("E: Unable to locate package postgresql-17\nE: Another\n", r"failed: Unable to locate package postgresql-17; put right"),
    ("W: be careful\nE: Held packages were changed and -y was used without --allow-change-held-packages.\n",
     r"failed: Held packages were changed and -y was used without --allow-change-held-packages; put right"),
    ("dpkg: error processing package a2 (--configure):\n installed a2 package\nE: Sub-process /usr/bin/dpkg returned an error\n",
     r"failed: dpkg: error processing package a2 \(--configure\); put right"),
    ("nothing telling\n", r"failed: it failed; put right"),
])
def test_what_apt_refuses_is_one_sentence(debian: Debian, said: str, told: str) -> None:
    debian.fetched(ago=10)
    debian.answers = [said]
    with pytest.raises(StateError, match=told) as refusal:
        converge()
    assert "\n" not in str(refusal.value)
    assert len(re.findall(r"\. |\.$", str(refusal.value))) == 1


@pytest.mark.parametrize("said", [
    "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 123 (apt-get)\nE: Unable to lock directory\n",
    "dpkg: error: dpkg frontend lock was locked by another process with pid 123\n",
    "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n",
])
def test_another_apt_is_waited_for(debian: Debian, said: str) -> None:
    debian.fetched(ago=10)
    debian.offered = {"a2": "1"}
    debian.answers = [said, said]
    converge(packages=["a2"], hold=[])
    assert debian.calls == ["apt-get install a2"] * 3
    debian.status({})
    debian.answers = [said] * 1000
    with pytest.raises(StateError, match="apt-get install .* a2 was run and failed: "):
        converge(packages=["a2"], hold=[], lock_timeout=0)


@contextlib.contextmanager
def held(path: Path, seconds: float) -> Iterator[None]:
    """A process that holds a directory, as a run of ours does, or a file, as apt and dpkg do."""
    lock, mode = ("flock", os.O_RDONLY) if path.is_dir() else ("lockf", os.O_RDWR)
    program = (f"import fcntl, os, time; fcntl.{lock}(os.open({str(path)!r}, {mode}), fcntl.LOCK_EX); print(flush=True); "
               f"time.sleep({seconds})")
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline()
        try:
            yield
        finally:
            holder.kill()


@pytest.mark.parametrize("name", ["", "lock-frontend", "lock"])
def test_another_run_is_waited_for(debian: Debian, name: str) -> None:
    path = debian.root / "var/lib/dpkg" / name
    if name:
        path.touch()
    with held(path, 0.7):
        with pytest.raises(StateError, match="worked on by another program"), apt.Host(0).lock():
            pass
        since = time.monotonic()
        with apt.Host(30).lock():
            assert 0.1 < time.monotonic() - since < 20


def test_a_journal_that_dpkg_is_writing_is_no_interruption(debian: Debian) -> None:
    (debian.root / "var/lib/dpkg/updates/0001").write_text("Package: x\nStatus: install ok unpacked\nVersion: 1\n")
    wanted = apt.desired(OPTIONS)
    assert apt.read(apt.Host(5), wanted).interrupted
    (debian.root / "var/lib/dpkg/lock").touch()
    with held(debian.root / "var/lib/dpkg/lock", 30):
        assert not apt.read(apt.Host(5), wanted).interrupted


def test_a_package_that_others_only_provide_is_told(debian: Debian) -> None:
    debian.fetched(ago=10)
    with pytest.raises(StateError, match="package mail-transport-agent was installed by apt-get and is not there"):
        converge(packages=["mail-transport-agent"], hold=[])


def test_only_root_may_and_only_where_there_is_dpkg(debian: Debian, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(StateError, match="does not run as root; run it with become"):
        converge(check=True)
    (debian.root / "var/lib/dpkg/status").unlink()
    with pytest.raises(StateError, match="has no dpkg"):
        converge(check=True)


def test_a_proxy_reaches_apt_and_nothing_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("LD_PRELOAD", "x")
    made = apt._environment()
    assert made["https_proxy"] == "http://proxy:3128"
    assert (made["DEBIAN_FRONTEND"], made["NEEDRESTART_SUSPEND"]) == ("noninteractive", "1")
    assert "LD_PRELOAD" not in made
