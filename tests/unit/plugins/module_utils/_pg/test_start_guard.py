# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a unit asks before it starts its server: which files, with what in them, and that they go as they came."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import start_guard
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.instance import Host
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.programs import Installation

ETC, UNIT = "/etc/postgresql/17/orders", "postgresql@17-orders"
DROP_IN = f"/etc/systemd/system/{UNIT}.service.d/70-pgmahout-start-guard.conf"
NODE2 = {"host": "10.0.0.2", "port": "5432", "dbname": "postgres", "user": "replicator", "passfile": f"{ETC}/passfile",
         "password": None}
OPTIONS: dict[str, Any] = {
    "start_guard": [NODE2, {**NODE2, "host": "10.0.0.3"}], "start_guard_program": "#!/bin/sh\n", "unit": UNIT,
    "user": "no-such-account", "bindir": "/usr/lib/postgresql/17/bin", "programs_directory": "",
    "data_directory": "/var/lib/postgresql/17/orders/"}


def desired(config_directory: str = ETC, **options: Any) -> list[start_guard.File]:
    return start_guard.desired({**OPTIONS, **options}, config_directory)


def shown(present: dict[str, str | None], files: list[start_guard.File]) -> list[str]:
    return [step.shown for step in start_guard.writes(present, files)]


def test_the_program_is_there_before_systemd_is_told_to_run_it() -> None:
    program, peers, drop_in = desired()
    assert (program.path, program.text, program.mode) == (f"{ETC}/start-guard", "#!/bin/sh\n", 0o755)
    conninfo = "host=10.0.0.%d port=5432 dbname=postgres user=replicator passfile=/etc/postgresql/17/orders/passfile\n"
    assert (peers.path, peers.text) == (f"{ETC}/start-guard.peers", conninfo % 2 + conninfo % 3)
    assert (drop_in.path, drop_in.mode) == (DROP_IN, 0o644)
    assert shown({}, desired()) == [f"write {ETC}/start-guard", f"write {ETC}/start-guard.peers", f"write {DROP_IN}"]
    assert shown({file.path: file.text for file in desired()}, desired()) == []


def test_it_runs_as_the_server_s_account_when_the_network_is_up() -> None:
    lines = (desired()[2].text or "").splitlines()
    assert lines[-1] == (
        "ExecStartPre=/usr/bin/setpriv --reuid=no-such-account --regid=no-such-account --init-groups --reset-env"
        f" {ETC}/start-guard /usr/lib/postgresql/17/bin /var/lib/postgresql/17/orders {ETC}/start-guard.peers")
    assert {"Wants=network-online.target", "After=network-online.target"} < set(lines)
    assert "--reuid=nobody --regid=nogroup " in (desired(user="nobody")[2].text or "")
    assert f"--reuid={pwd.getpwuid(os.geteuid()).pw_name} " in (desired(user="")[2].text or "")


def test_a_path_means_itself_to_systemd() -> None:
    text = desired("/etc/my 100% $HOME")[2].text or ""
    assert ' "/etc/my 100%% $$HOME/start-guard" ' in text


def test_left_out_it_is_left_alone_and_without_members_it_goes() -> None:
    assert desired(start_guard=None) == []
    present: dict[str, str | None] = {file.path: file.text for file in desired()}
    gone = desired(start_guard=[])
    assert shown(present, gone) == [f"rm {DROP_IN}", f"rm {ETC}/start-guard.peers", f"rm {ETC}/start-guard"]
    assert shown(dict.fromkeys(present), gone) == []


def test_what_no_unit_could_ask_is_refused() -> None:
    with pytest.raises(InputError, match="start_guard was given without unit"):
        desired(unit="")
    with pytest.raises(InputError, match="a line break in it"):
        desired(start_guard=[{"host": "a\nb"}])


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError, match="has a member with password, .* give a passfile") as refused:
        desired(start_guard=[{**NODE2, "password": "hush"}])
    assert "hush" not in str(refused.value)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(start_guard, "ROOT", str(tmp_path))
    # What is ours already is handed over to nobody, also where we are root.
    monkeypatch.setattr(Host, "_hand_over", lambda _host, _path: None)
    (tmp_path / "config").mkdir()
    return tmp_path


def do(root: Path, **options: Any) -> list[str]:
    files = desired(str(root / "config"), **options)
    host = Host(Installation("/usr/bin"), "", str(root), 1)
    for step in start_guard.writes(start_guard.read(files), files):
        start_guard.do(host, step)
    assert start_guard.writes(start_guard.read(files), files) == []
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


@pytest.mark.parametrize("others", [[], ["50-other.conf"]])
def test_it_comes_and_goes_and_leaves_what_others_have(root: Path, others: list[str]) -> None:
    directory = root / f"etc/systemd/system/{UNIT}.service.d"
    if others:
        directory.mkdir(parents=True)
        (directory / others[0]).touch()
    kept = [f"etc/systemd/system/{UNIT}.service.d/{name}" for name in others]
    assert do(root) == sorted([*kept, "config/start-guard", "config/start-guard.peers", DROP_IN.lstrip("/")])
    assert os.access(root / "config/start-guard", os.X_OK)
    assert start_guard.leftovers(UNIT) == [f"{root}{DROP_IN}" if others else str(directory)]
    assert do(root, start_guard=[]) == kept
    assert directory.exists() is bool(others)
    assert start_guard.leftovers(UNIT) == start_guard.leftovers("") == []
