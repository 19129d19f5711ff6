# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may read a repository: one key, one command, and not for long; lines of others stay as they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import repository_access
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.repository_access import Current

KEY = "ssh-ed25519 AAAAC3Nza"
THEIRS = ["# mine", "ssh-ed25519 AAAAother admin@example.org",
          'command="/bin/true",expiry-time="20200101000000" ssh-rsa AAAAold x']
OPTIONS: dict[str, Any] = {
    "directory": "/srv/it's \"here\"", "user": "postgres", "public_key": KEY + " somebody", "backups": ["20261122T190102Z"],
    "archive": "wal", "first_segment": "000000010000000000000007", "valid": 600, "state": "present", "timeout": 1,
    "check_mode": False}


def desired(**options: Any) -> repository_access.Wanted:
    return repository_access.desired({**OPTIONS, **options})


def current(*lines: str, now: str = "20261122190000") -> Current:
    return Current([*THEIRS, *lines], now, "20261122191000", ["ssh-ed25519 AAAAhost"],
                   ["sudo", "--non-interactive", "--user=postgres", "--"], "admin")


def after(found: Current, wanted: repository_access.Wanted) -> list[str]:
    steps = repository_access.plan(found, wanted).steps
    lines: list[str] = steps[0].values["lines"] if steps else list(found.lines)
    return lines


def test_the_key_may_run_one_command_until_a_time_and_nothing_else() -> None:
    line = after(current(), desired())[-1]
    assert line == (
        'restrict,expiry-time="20261122191000",command="sudo --non-interactive --user=postgres -- '
        "'/srv/it'\\\"'\\\"'s \\\"here\\\"/bin/serve-backup' '/srv/it'\\\"'\\\"'s \\\"here\\\"' "
        'wal 000000010000000000000007 20261122T190102Z" ssh-ed25519 AAAAC3Nza pgmahout-transfer')
    facts = repository_access.plan(current(), desired()).facts
    assert facts == {"host_keys": ["ssh-ed25519 AAAAhost"], "login_user": "admin"}


def test_lines_of_others_stay_whatever_is_in_them() -> None:
    ours = after(current(), desired())[-1]
    for found, wanted in ((current(), desired()), (current(ours), desired(state="absent")),
                          (current(ours, now="20270101000000"), desired())):
        assert after(found, wanted)[:3] == THEIRS


def test_again_changes_nothing_and_absent_takes_it_away() -> None:
    ours = after(current(), desired())[-1]
    assert repository_access.plan(current(ours), desired()).steps == []
    assert after(current(ours), desired(state="absent")) == THEIRS
    assert repository_access.plan(current(), desired(state="absent")).steps == []


def test_a_key_that_may_do_something_else_is_not_enough() -> None:
    ours = after(current(), desired())[-1]
    assert len(after(current(ours), desired(backups=["20261123T190102Z"]))) == len(THEIRS) + 2


def test_what_a_killed_run_has_left_goes_when_its_time_is_over() -> None:
    ours = after(current(), desired())[-1]
    other = desired(public_key="ssh-ed25519 AAAAnew x", state="absent")
    assert after(current(ours), other) == [*THEIRS, ours]
    assert after(current(ours, now="20261122191000"), other) == THEIRS


@pytest.mark.parametrize(("options", "told"), [
    ({"public_key": "nonsense"}, "public_key is 'nonsense'"), ({"public_key": ""}, "public_key is ''"),
    ({"public_key": 'a b" command="sh'}, "public_key"), ({"directory": "srv"}, "directory is 'srv'"),
    ({"backups": ["../.."]}, r"backups has '\.\./\.\.'"), ({"archive": "wal;reboot"}, "archive has 'wal;reboot'"),
    ({"first_segment": "1"}, "first_segment has '1'"), ({"valid": 0}, "valid is 0")])
def test_what_makes_no_sense_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        desired(**options)


def test_before_the_key_exists_check_mode_shows_the_rest() -> None:
    assert desired(public_key="", check_mode=True).key == ""
    kept = current("restrict x pgmahout-transfer")
    assert repository_access.plan(kept, desired(public_key="", check_mode=True, state="absent")).steps == []


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> repository_access.Login:
    """Return a login whose files, and the keys of whose sshd, are in a temporary directory."""
    (tmp_path / "ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAAhost root@host\n")
    monkeypatch.setattr(repository_access, "HOST_KEYS", str(tmp_path / "ssh_host_*_key.pub"))
    made = repository_access.Login(1)
    made.file = str(tmp_path / ".ssh" / "authorized_keys")
    return made


def test_the_file_is_made_closed_and_sshd_is_found(login: repository_access.Login, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "serve-backup").write_text("#!/bin/sh\n")
    wanted = desired(directory=str(tmp_path), user="")
    with pytest.raises(StateError, match="run the playbook deploy, which installs it"):
        repository_access.read(login, wanted)
    (tmp_path / "bin" / "serve-backup").chmod(0o700)
    found = repository_access.read(login, wanted)
    assert (found.host_keys, found.lines, found.become) == (["ssh-ed25519 AAAAhost"], [], [])
    with login.lock():
        repository_access.apply(login, wanted, repository_access.plan(found, wanted).steps)
    assert [oct(os.stat(path).st_mode & 0o777) for path in (login.file, os.path.dirname(login.file))] == ["0o600", "0o700"]
    assert repository_access.plan(repository_access.read(login, wanted), wanted).steps == []


def test_a_host_without_sshd_is_told(login: repository_access.Login, tmp_path: Path) -> None:
    (tmp_path / "ssh_host_ed25519_key.pub").unlink()
    with pytest.raises(StateError, match="install openssh-server"):
        repository_access.read(login, desired(directory=str(tmp_path), user="")._replace(command=["/bin/sh"]))


def test_two_runs_do_not_write_at_once(login: repository_access.Login) -> None:
    with login.lock(), pytest.raises(StateError, match="worked on by another run"), login.lock():
        pass
