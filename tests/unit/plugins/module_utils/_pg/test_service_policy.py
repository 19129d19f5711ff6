# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What packages may do to services while we install: the script as a package asks it, and what is left at any moment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import service_policy

FOREIGN = "#!/bin/sh\necho \"$@\" >> \"$0.log\"\nexit 104\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policy-rc.d"


def foreign(path: Path, text: str = FOREIGN) -> None:
    path.write_text(text)
    path.chmod(0o755)


def answer(path: Path, *question: str, ours: bool = True) -> int:
    """The exit code for a question, as a package of our apt, or of another one, would get it."""
    environment = dict(os.environ, **(service_policy.ENVIRONMENT if ours else {}))
    return subprocess.run([path, *question], env=environment, check=False).returncode


@pytest.mark.parametrize(("question", "code"), [
    (["postgresql", "start", "2"], 101),
    (["postgresql@17-*", "stop"], 101),
    (["postgresql@17-orders.service", "restart"], 101),
    (["postgresql.service", "start"], 101),
    (["ssh", "restart"], 0),
    (["postgresqld", "start"], 0),
])
def test_only_postgresql_is_kept(path: Path, question: list[str], code: int) -> None:
    with service_policy.kept(str(path)):
        assert answer(path, *question) == code
    assert not path.exists()


def test_packages_of_another_apt_are_not_kept_from_anything(path: Path) -> None:
    with service_policy.kept(str(path)):
        assert answer(path, "postgresql", "start", ours=False) == 0


@pytest.mark.parametrize("is_link", [False, True])
def test_a_policy_of_somebody_else_goes_on_answering_and_comes_back(path: Path, is_link: bool) -> None:
    foreign(path.with_name("theirs") if is_link else path)
    if is_link:
        path.symlink_to("theirs")
    with service_policy.kept(str(path)):
        assert answer(path, "postgresql", "start") == 101
        assert answer(path, "ssh", "restart") == 104
        assert answer(path, "postgresql", "stop", ours=False) == 104
    assert path.read_text() == FOREIGN
    assert path.is_symlink() == is_link
    assert Path(f"{path}.pgmahout-kept.log").read_text() == "ssh restart\npostgresql stop\n"
    assert service_policy.repair(str(path)) == ""


def test_a_policy_that_nobody_may_run_is_not_asked(path: Path) -> None:
    path.write_text(FOREIGN)
    with service_policy.kept(str(path)):
        assert answer(path, "ssh", "restart") == 0


def test_it_goes_away_when_apt_fails(path: Path) -> None:
    foreign(path)
    with pytest.raises(RuntimeError, match="apt"), service_policy.kept(str(path)):
        raise RuntimeError("apt")
    assert sorted(os.listdir(path.parent)) == ["policy-rc.d"]


class Killed(BaseException):
    """No clean-up follows."""


@pytest.mark.parametrize("has_foreign", [False, True])
@pytest.mark.parametrize("call", range(5))
def test_what_a_killed_run_leaves_is_found_and_repaired(path: Path, monkeypatch: pytest.MonkeyPatch, has_foreign: bool,
                                                        call: int) -> None:
    """Each call that changes the directory is the last one once; in between, one of the policies is in force."""
    if has_foreign:
        foreign(path)
    calls: list[str] = []

    def last(name: str) -> None:
        real = getattr(os, name)

        def counted(*args: object, **options: object) -> object:
            if len(calls) == call:
                raise Killed
            calls.append(name)
            done = real(*args, **options)
            assert path.exists() or not has_foreign
            return done

        monkeypatch.setattr(os, name, counted)

    for name in ("link", "rename", "unlink"):
        last(name)
    try:
        with service_policy.kept(str(path)):
            pass
    except Killed:
        pass
    monkeypatch.undo()
    left = sorted(set(os.listdir(path.parent)) - ({"policy-rc.d"} if has_foreign else set()))
    assert bool(service_policy.repair(str(path))) == bool(left or (has_foreign and path.read_text() != FOREIGN))
    if service_policy.repair(str(path)):
        service_policy.restore(str(path))
    assert service_policy.repair(str(path)) == ""
    assert sorted(os.listdir(path.parent)) == (["policy-rc.d"] if has_foreign else [])
    assert not has_foreign or path.read_text() == FOREIGN
