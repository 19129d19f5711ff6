# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes: as whom, with what environment, and what is told when they fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import tools
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError, ToolError
from tests.support.postgres import server_user

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


def shell(text: str, **options: object) -> str:
    return tools.run(["/bin/sh", "-c", text], **options)  # type: ignore[arg-type]


def test_the_callers_environment_reaches_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "s3cret")
    monkeypatch.setenv("PGHOST", "elsewhere")
    names = {line.split("=")[0] for line in shell("env").splitlines()} - {"PWD", "SHLVL", "_", "OLDPWD"}
    assert names == {"PATH", "LC_ALL", "TZ", "HOME"}
    assert "PGPASSFILE=/p\n" in shell("env", env={"PGPASSFILE": "/p"})


def test_an_argument_is_never_read_by_a_shell() -> None:
    assert tools.run(["/bin/echo", "$HOME; echo 'x'"]) == "$HOME; echo 'x'\n"


@pytest.mark.parametrize(("script", "told"), [
    ("echo a >&2; echo 'x: FATAL: no' >&2; echo z >&2; exit 3", "ended with exit code 3: x: FATAL: no"),
    ("echo 'pg_x: error: bad' >&2; echo 'pg_x: error: gave up' >&2; exit 1", "exit code 1: pg_x: error: bad"),
    ("echo a >&2; echo b >&2; exit 1", "exit code 1: b"), ("echo out; exit 1", "exit code 1: out"),
    ("exit 1", "exit code 1: it said nothing."),
])
def test_an_error_tells_the_most_telling_line(script: str, told: str) -> None:
    with pytest.raises(ToolError) as failure:
        shell(script)
    assert str(failure.value).endswith(told)


def test_an_exit_code_can_be_accepted() -> None:
    assert shell("echo x; exit 3", accept=(0, 3)) == "x\n"


def test_a_missing_program_is_told() -> None:
    with pytest.raises(ToolError, match="/nowhere/initdb could not be started: No such file or directory; check bindir"):
        tools.run(["/nowhere/initdb"])
    with pytest.raises(StateError, match="program initdb was asked for in /nowhere and is not there"):
        tools.Programs("/nowhere").path("initdb")


@as_root
def test_root_runs_programs_as_the_servers_account_with_its_groups() -> None:
    user = server_user()
    assert user is not None
    assert shell("id -un; id -Gn; echo $HOME; pwd", user=user).splitlines()[0] == user
    assert "root" not in shell("id -Gn", user=user).split()


@as_root
def test_no_server_runs_as_root() -> None:
    for name in ("root", None):
        with pytest.raises(InputError, match="asked to run as root, which PostgreSQL refuses"):
            tools.account(name)


def test_an_unknown_account_is_refused() -> None:
    with pytest.raises(InputError, match="account no_such_account was asked for"):
        tools.account("no_such_account")


def test_a_server_outlives_us_in_a_session_of_its_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    spawned = tools.spawn(["/bin/sh", "-c", "echo started; ps -o sid= -p $$ 2>/dev/null || cut -d' ' -f6 /proc/$$/stat"],
                          server_user(), str(log))
    assert spawned.wait(10) == 0
    assert log.read_text().split() == ["started", str(spawned.pid)]
    assert log.stat().st_mode & 0o777 == 0o600
    assert log.stat().st_uid == tools.account(server_user()).uid


def test_the_version_is_asked_once(tmp_path: Path) -> None:
    program = tmp_path / "postgres"
    program.write_text("#!/bin/sh\necho asked >> %s/asked\necho 'postgres (PostgreSQL) 16.3'\n" % tmp_path)
    program.chmod(0o755)
    found = tools.Programs(str(tmp_path))
    assert [found.version_num, found.version_num] == [160003, 160003]
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_a_program_reads_what_is_made_for_it(tmp_path: Path) -> None:
    tools.feed(["/bin/sh", "-c", f"cat > {tmp_path}/it"], [b"a\n"] * 50000)
    assert (tmp_path / "it").read_bytes() == b"a\n" * 50000


def test_a_program_never_sees_an_end_that_came_too_early(tmp_path: Path) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"half\n"
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        tools.feed(["/bin/sh", "-c", f"cat > /dev/null; touch {tmp_path}/end"], breaking())
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_reads_no_further_tells_why() -> None:
    with pytest.raises(ToolError, match="ended with exit code 3: psql: error: no more"):
        tools.feed(["/bin/sh", "-c", "read x; echo 'psql: error: no more' >&2; exit 3"], [b"a" * 100000] * 50)


def test_lines_come_as_they_are_printed_and_end_with_the_error() -> None:
    assert list(tools.lines(["/bin/sh", "-c", "echo a; echo b"])) == [b"a\n", b"b\n"]
    found = tools.lines(["/bin/sh", "-c", "echo a; echo bad >&2; exit 1"])
    assert next(found) == b"a\n"
    with pytest.raises(ToolError, match="exit code 1: bad"):
        next(found)


def test_what_one_program_prints_another_one_reads(tmp_path: Path) -> None:
    tools.pipe(["/bin/sh", "-c", "cat; echo b"], ["/bin/sh", "-c", f"cat > {tmp_path}/read"], "a\n")
    assert (tmp_path / "read").read_text() == "a\nb\n"


@pytest.mark.parametrize(("source", "sink", "told"), [
    ("echo 'no route' >&2; exit 255", "cat > /dev/null; echo 'unexpected end' >&2; exit 2", "exit code 255: no route"),
    ("exit 3", "cat > /dev/null", "exit code 3"),
    ("cat /dev/zero", "echo 'no space left' >&2; exit 2", "exit code 2: no space left"),
    ("echo 'a warning' >&2", "cat > /dev/null; echo 'bad block' >&2; exit 2", "exit code 2: bad block")])
def test_of_two_programs_the_one_is_told_that_failed(source: str, sink: str, told: str) -> None:
    with pytest.raises(ToolError, match=told):
        tools.pipe(["/bin/sh", "-c", source], ["/bin/sh", "-c", sink], "")
