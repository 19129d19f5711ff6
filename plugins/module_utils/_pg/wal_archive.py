# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository's directory on a host, with the place of its WAL archive and the programs that servers archive and restore by.

The source is PostgreSQL's documentation, chapters 25.3.1 (setting up WAL archiving) and 25.3.5 (recovering using an archive).
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from .errors import InputError, StateError
from .instance import Host, read_text
from .plan import Action, Plan
from .programs import Installation
from .tools import account

#: What a repository consists of; archives are called ``wal-`` and the history that they hold.
_OURS = ("base", "bin", "catalog.json", "dumps", "schedule.json", "status.json", "status.prom", "wal")
#: What a file system has of its own.
_NOBODYS = ("lost+found",)

_CLOSED = 0o700
_PROGRAM = 0o755


class Wanted(NamedTuple):
    """What the options ask for; ``programs`` are texts by path."""

    directory: str
    user: str
    present: bool
    programs: Mapping[str, str]

    @property
    def directories(self) -> List[str]:
        """The directories, outermost first."""
        return [self.directory, os.path.join(self.directory, "bin")]


class Current(NamedTuple):
    """What is there.

    Attributes:
        directories: the names in each that is there, by path.
        open: those of them that others may enter or own.
        programs: the texts of those that are there and can be run, by path.
    """

    directories: Mapping[str, Sequence[str]]
    open: Sequence[str]
    programs: Mapping[str, str]


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: the directory is not absolute, or a program's name is a path.
    """
    directory = os.path.normpath(params["directory"])
    if not os.path.isabs(directory):
        raise InputError("The repository was asked for in %r, which is no absolute path; give one." % params["directory"])
    for name in params["programs"]:
        if os.path.basename(name) != name or not name:
            raise InputError("The option programs names %r, which is no plain file name; give one." % name)
    programs = {os.path.join(directory, "bin", name): text for name, text in params["programs"].items()}
    return Wanted(directory, params["user"], params["state"] == "present", programs)


@contextmanager
def opener(params: Mapping[str, Any]) -> Iterator[Host]:
    """Give the host that the module runs on, from its options."""
    yield Host(Installation(""), params["user"], os.path.normpath(params["directory"]), params["timeout"])


def read(_host: Host, wanted: Wanted) -> Current:
    """Return what is there.

    Raises:
        StateError: the directory cannot be read.
    """
    directories = {path: _names(path) for path in wanted.directories if os.path.isdir(path)}
    return Current(directories, [path for path in directories if not _is_closed(path, wanted.user)], _programs(wanted))


def _names(directory: str) -> List[str]:
    try:
        return sorted(name for name in os.listdir(directory) if name not in _NOBODYS)
    except OSError as error:
        raise StateError("The repository %s cannot be read: %s; run as root or as its owner." % (
            directory, error.strerror)) from None


def _is_closed(path: str, user: str) -> bool:
    status = os.stat(path)
    return stat.S_IMODE(status.st_mode) == _CLOSED and (not user or status.st_uid == account(user).uid)


def _programs(wanted: Wanted) -> Dict[str, str]:
    found: Dict[str, str] = {}
    for path in wanted.programs:
        text = read_text(path)
        if text is not None and stat.S_IMODE(os.stat(path).st_mode) == _PROGRAM:
            found[path] = text
    return found


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps; backups and WAL are never among what goes.

    Raises:
        StateError: the directory holds something else.
    """
    names = current.directories.get(wanted.directory, ())
    if names and not any(name in _OURS or name.startswith("wal-") for name in names):
        raise StateError("A repository was asked for in %s, which holds %s and nothing of a repository; choose a directory of "
                         "its own." % (wanted.directory, ", ".join(names[:3])))
    steps = _present(current, wanted) if wanted.present else _absent(current, wanted)
    return Plan(steps, _shown(steps, wanted, "before"), _shown(steps, wanted, "after"), {"directory": wanted.directory})


def _present(current: Current, wanted: Wanted) -> List[Action]:
    steps = []
    for path in wanted.directories:
        if path not in current.directories:
            steps.append(Action("directory", "mkdir -m 0700 %s" % path, {"path": path, "before": "missing", "after": "0700"}))
        elif path in current.open:
            steps.append(Action("close", "chmod 0700 %s" % path, {"path": path, "before": "open to others", "after": "0700"}))
    return steps + [Action("write", "write %s" % path, {"path": path, "text": text, "before": _lines(current.programs.get(path)),
                                                        "after": _lines(text)})
                    for path, text in sorted(wanted.programs.items()) if current.programs.get(path) != text]


def _absent(current: Current, wanted: Wanted) -> List[Action]:
    """Return the steps that take away the programs, and the directories as far as these then hold nothing."""
    steps = [Action("remove", "rm %s" % path, {"path": path, "before": _lines(text), "after": []})
             for path, text in sorted(current.programs.items())]
    gone = {step.values["path"] for step in steps}
    for path in reversed(wanted.directories):
        if path in current.directories and not {os.path.join(path, name) for name in current.directories[path]} - gone:
            steps.append(Action("empty", "rmdir %s" % path, {"path": path, "before": "empty", "after": "missing"}))
            gone.add(path)
    return steps


def _lines(text: Optional[str]) -> List[str]:
    return (text or "").splitlines()


def _shown(steps: Sequence[Action], wanted: Wanted, when: str) -> Dict[str, Any]:
    return dict({"directory": wanted.directory}, **{step.values["path"]: step.values[when] for step in steps})


def apply(host: Host, _wanted: Wanted, steps: Sequence[Action]) -> None:
    """Do the steps."""
    doers = {"directory": _do_directory, "close": _do_close, "write": _do_write, "remove": _do_remove, "empty": _do_empty}
    for step in steps:
        doers[step.action](host, step)


def _do_directory(host: Host, step: Action) -> None:
    host.make_directory(step.values["path"], _CLOSED)


def _do_close(host: Host, step: Action) -> None:
    owner = host.account
    if os.stat(step.values["path"]).st_uid != owner.uid:
        os.chown(step.values["path"], owner.uid, owner.gid)
    os.chmod(step.values["path"], _CLOSED)


def _do_write(host: Host, step: Action) -> None:
    host.write(step.values["path"], step.values["text"], _PROGRAM)


def _do_remove(_host: Host, step: Action) -> None:
    os.unlink(step.values["path"])


def _do_empty(_host: Host, step: Action) -> None:
    os.rmdir(step.values["path"])
