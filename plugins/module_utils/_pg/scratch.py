# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The place of a scratch instance: made fresh, and taken away with all that is in it.

A file in the directory says that it is one. Only what has it is ever removed, so that no directory is lost by a wrong name.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager
from typing import Any, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from .durable import sync_directory
from .errors import InputError, StateError
from .instance import REMOVED, Host, Process, read_process
from .plan import Action, Plan
from .programs import locate

MARK = "pgmahout.scratch"
_MARK_TEXT = "This directory holds a scratch instance of pgmahout.cluster, which removes it with all that is in it.\n"


class Wanted(NamedTuple):
    """What the options ask for."""

    directory: str
    state: str
    planned: bool
    timeout: int


class Current(NamedTuple):
    """What is.

    Attributes:
        kind: ``missing``, ``empty``, ``scratch`` (ours to remove) or ``foreign``.
        process: the server that runs there.
        removed: whether an earlier run was killed while it removed one.
    """

    kind: str
    process: Optional[Process] = None
    removed: bool = False


@contextmanager
def opener(params: Mapping[str, Any]) -> Iterator[Host]:
    """Give the host, with its lock on the data directory, on which a restore that was left alone may still work."""
    yield Host(locate(params), params["user"], data_of(os.path.normpath(params["directory"])), params["timeout"])


def data_of(directory: str) -> str:
    """Return the data directory of a scratch instance."""
    return os.path.join(directory, "data")


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: the directory is relative, or the root of everything.
    """
    directory = os.path.normpath(params["directory"])
    if not os.path.isabs(directory) or directory == "/":
        raise InputError("The option directory is %r; give the absolute path of a directory for the scratch instance alone."
                         % params["directory"])
    return Wanted(directory, params["state"], params["planned"] and params["check_mode"], params["timeout"])


def read(_host: Host, wanted: Wanted) -> Current:
    """Return what is.

    Raises:
        StateError: the directory cannot be read.
    """
    removed = os.path.exists(wanted.directory + REMOVED)
    try:
        names = os.listdir(wanted.directory)
    except FileNotFoundError:
        return Current("missing", removed=removed)
    except NotADirectoryError:
        return Current("foreign")
    except PermissionError:
        raise StateError("The directory %s cannot be read by this account; run as root or as its owner."
                         % wanted.directory) from None
    kind = "scratch" if MARK in names else "foreign" if names else "empty"
    return Current(kind, read_process(data_of(wanted.directory)), removed)


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps.

    Raises:
        StateError: the directory holds something else.
    """
    if current.kind == "foreign":
        raise StateError("A scratch instance was asked for in %s and that holds something else; choose a directory that is "
                         "missing or empty." % wanted.directory)
    steps: List[Action] = []
    if current.process is not None:
        steps.append(Action("stop", "pg_ctl stop --mode=immediate --pgdata=%s" % data_of(wanted.directory)))
    if current.kind == "scratch" or current.removed or (wanted.planned and wanted.state == "absent"):
        steps.append(Action("remove", "rm -r %s" % wanted.directory))
    if wanted.state == "fresh":
        steps.append(Action("make", "mkdir -p %s" % os.path.join(wanted.directory, "run")))
    before = {"directory": wanted.directory, "state": current.kind}
    facts = {"directory": wanted.directory, "data_directory": data_of(wanted.directory),
             "socket_directory": os.path.join(wanted.directory, "run"), "at": time.time()}
    after = "scratch" if wanted.state == "fresh" else "empty" if current.kind == "empty" else "missing"
    return Plan(steps, before, dict(before, state=after), facts)


def apply(host: Host, wanted: Wanted, steps: Sequence[Action]) -> None:
    """Do the steps."""
    for step in steps:
        {"stop": _do_stop, "remove": _do_remove, "make": _do_make}[step.action](host, wanted)


def _do_stop(host: Host, wanted: Wanted) -> None:
    host.programs.run("pg_ctl", "stop", "--pgdata=%s" % data_of(wanted.directory), "--mode=immediate", "--wait",
                      "--timeout=%d" % wanted.timeout)


def _do_remove(host: Host, wanted: Wanted) -> None:
    leaving = wanted.directory + REMOVED
    shutil.rmtree(leaving, ignore_errors=True)
    if os.path.exists(wanted.directory):
        os.rename(wanted.directory, leaving)
        sync_directory(os.path.dirname(leaving))
        shutil.rmtree(leaving)
    host.remove_empty_parents(wanted.directory)


def _do_make(host: Host, wanted: Wanted) -> None:
    host.make_directory(wanted.directory)
    host.write(os.path.join(wanted.directory, MARK), _MARK_TEXT)
    host.make_directory(os.path.join(wanted.directory, "run"))
