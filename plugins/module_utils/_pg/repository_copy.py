# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A part of a repository on another host, to restore from: some backups and the WAL that follows them, fetched over SSH.

While it is being made it has another name, so that what is called as asked for is whole. A run that was killed leaves the other
name, and the next one fetches what is missing there. The source of the options is the manual page ssh_config(5).
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence

from . import repository, tools
from .durable import sync_directory
from .errors import InputError, StateError, ToolError
from .instance import UNFINISHED, Host, read_text
from .plan import Action, Plan
from .programs import Installation

#: The file that says of a directory that it is such a copy, and may be removed.
MARK = "pgmahout.copy"

#: The directory, in an unfinished copy, of the key and of what the other host is known by.
_KEYS = "ssh"

#: What the other host is called in the file of its keys, whatever its address is.
_ALIAS = "backup-host"

SOURCE_SPEC: Dict[str, Any] = {
    "type": "dict",
    "options": {
        "address": {"type": "str", "required": True},
        "port": {"type": "int", "default": 22},
        "login_user": {"type": "str", "required": True},
        "host_keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
    },
}


class Wanted(NamedTuple):
    """What the options ask for; ``source`` is None but for the state present."""

    directory: str
    state: str
    backups: Sequence[str]
    source: Mapping[str, Any]
    cluster: str

    @property
    def unfinished(self) -> str:
        """What the copy is called while it is being made."""
        return self.directory + UNFINISHED

    @property
    def key(self) -> str:
        """The file of the private key."""
        return os.path.join(self.unfinished, _KEYS, "key")


class Current(NamedTuple):
    """What is there.

    Attributes:
        is_whole: whether there is a copy.
        is_begun: whether there is an unfinished one.
        strays: the backups of it that are not asked for, which may lack something.
    """

    is_whole: bool
    is_begun: bool
    strays: Sequence[str] = ()


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: a path that is not absolute, or no backups to copy.
    """
    if not os.path.isabs(params["directory"]):
        raise InputError("The option directory is %r; give an absolute path." % params["directory"])
    if params["state"] != "absent" and not params["backups"]:
        raise InputError("A copy was asked for in %s and the option backups names none; give the ids of a chain of backups."
                         % params["directory"])
    return Wanted(os.path.normpath(params["directory"]), params["state"], params["backups"], params["source"] or {},
                  params["cluster"])


@contextmanager
def opener(params: Mapping[str, Any]) -> Iterator[Host]:
    """Give the host that the module runs on."""
    yield Host(Installation(""), params["user"], os.path.normpath(params["directory"]), params["timeout"])


def read(_host: Host, wanted: Wanted) -> Current:
    """Return what is there.

    Raises:
        StateError: it is a repository in its own right.
    """
    is_whole, is_begun = os.path.isdir(wanted.directory), os.path.isdir(wanted.unfinished)
    for place in [wanted.directory] * is_whole + [wanted.unfinished] * is_begun:
        names = os.listdir(place)
        if names and MARK not in names:
            raise StateError("A copy was asked for in %s, which holds something else, such as backups of its own; choose another "
                             "directory." % place)
    base = repository.base(wanted.directory if is_whole else wanted.unfinished)
    strays = sorted(set(os.listdir(base)) - set(wanted.backups)) if os.path.isdir(base) else ()
    return Current(is_whole, is_begun, strays)


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps."""
    steps = {"prepared": _prepared, "present": _present, "absent": _absent}[wanted.state](current, wanted)
    before = {"directory": wanted.directory, "state": "whole" if current.is_whole else "begun" if current.is_begun else "missing"}
    after = {"prepared": "begun", "present": "whole", "absent": "missing"}[wanted.state]
    return Plan(steps, before, dict(before, state=after), {"directory": wanted.directory})


def _prepared(current: Current, wanted: Wanted) -> List[Action]:
    steps: List[Action] = []
    if current.is_whole:
        steps.append(Action("move", "mv %s %s" % (wanted.directory, wanted.unfinished)))
    elif not current.is_begun:
        steps.append(Action("make", "mkdir -m 0700 %s" % wanted.unfinished))
    steps += [Action("prune", "rm -r %s" % os.path.join(repository.base(wanted.unfinished), name), {"name": name})
              for name in current.strays]
    return steps + [Action("key", "ssh-keygen -t ed25519 -f %s" % wanted.key)]


def _present(_current: Current, wanted: Wanted) -> List[Action]:
    return [Action("copy", "%s | %s" % (" ".join(_ssh(wanted)), " ".join(_tar(wanted)))),
            Action("finish", "mv %s %s" % (wanted.unfinished, wanted.directory))]


def _absent(current: Current, wanted: Wanted) -> List[Action]:
    places = [(wanted.directory, current.is_whole), (wanted.unfinished, current.is_begun)]
    return [Action("remove", "rm -r %s" % place, {"path": place}) for place, is_there in places if is_there]


def _ssh(wanted: Wanted) -> List[str]:
    """Return the command that prints what the other host serves; nothing of the account's own configuration counts."""
    options = {
        "BatchMode": "yes", "PreferredAuthentications": "publickey", "IdentitiesOnly": "yes", "StrictHostKeyChecking": "yes",
        "HostKeyAlias": _ALIAS, "UserKnownHostsFile": wanted.key + ".known_hosts", "GlobalKnownHostsFile": "/dev/null",
        "UpdateHostKeys": "no", "ConnectTimeout": "30", "ServerAliveInterval": "15", "LogLevel": "ERROR",
        # The quickest where the processor helps, and only the order of what is offered.
        "Ciphers": "^aes128-gcm@openssh.com"}
    source = wanted.source
    return ["ssh", "-F", "/dev/null", "-T", "-i", wanted.key, *("-o%s=%s" % option for option in options.items()),
            "-p", str(source["port"]), "-l", source["login_user"], "--", source["address"], "serve-backup"]


def _tar(wanted: Wanted) -> List[str]:
    """Return the command that unpacks what is served, which may be several archives."""
    return ["tar", "--extract", "--file=-", "--ignore-zeros", "--no-same-owner", "--directory=%s" % wanted.unfinished]


def apply(host: Host, wanted: Wanted, steps: Sequence[Action]) -> Dict[str, Any]:
    """Do the steps; return the public key, or how much came and how long that took."""
    doers = {"move": _do_move, "make": _do_make, "prune": _do_prune, "key": _do_key, "copy": _do_copy, "finish": _do_finish,
             "remove": _do_remove}
    found: Dict[str, Any] = {}
    for step in steps:
        found.update(doers[step.action](host, wanted, step) or {})
    return found


def _do_move(_host: Host, wanted: Wanted, _step: Action) -> None:
    shutil.rmtree(wanted.unfinished, ignore_errors=True)
    os.rename(wanted.directory, wanted.unfinished)


def _do_make(host: Host, wanted: Wanted, _step: Action) -> None:
    host.make_directory(wanted.unfinished)
    host.write(os.path.join(wanted.unfinished, MARK), "A copy of a part of a repository, to restore from.\n")


def _do_prune(_host: Host, wanted: Wanted, step: Action) -> None:
    shutil.rmtree(os.path.join(repository.base(wanted.unfinished), step.values["name"]))


def _do_key(host: Host, wanted: Wanted, _step: Action) -> Dict[str, Any]:
    _remove_key(wanted)
    host.make_directory(os.path.dirname(wanted.key))
    tools.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "pgmahout", "-f", wanted.key], host.programs.user)
    return {"public_key": (read_text(wanted.key + ".pub") or "").strip()}


def _remove_key(wanted: Wanted) -> None:
    shutil.rmtree(os.path.dirname(wanted.key), ignore_errors=True)


def _do_copy(host: Host, wanted: Wanted, _step: Action) -> Dict[str, Any]:
    if not os.path.exists(wanted.key):
        raise StateError("A copy was asked for in %s and no key is prepared there; run this with state=prepared before."
                         % wanted.directory)
    started = time.monotonic()
    try:
        known = "".join("%s %s\n" % (_ALIAS, key) for key in wanted.source["host_keys"])
        host.write(wanted.key + ".known_hosts", known)
        had = _files(wanted.unfinished)
        told = "".join("%d %s\n" % (size, path) for path, size in had.items())
        tools.pipe(_ssh(wanted), _tar(wanted), told, host.programs.user)
        has = _files(wanted.unfinished)
    except ToolError as error:
        raise StateError("The backups %s were to be copied from %s and that failed: %s; what came is kept, run this again." % (
            ", ".join(wanted.backups), wanted.source["address"], error.complaint or str(error))) from None
    finally:
        _remove_key(wanted)
    tools.run(["sync", "--file-system", wanted.unfinished])
    return {"bytes": sum(size for path, size in has.items() if had.get(path) != size),
            "seconds": round(time.monotonic() - started, 3)}


def _files(directory: str) -> Dict[str, int]:
    """Return the sizes of the files of a copy, by their paths in it."""
    return {os.path.relpath(os.path.join(place, name), directory): os.lstat(os.path.join(place, name)).st_size
            for place, _names, files in os.walk(directory) for name in files
            if place != os.path.join(directory, _KEYS) and not os.path.islink(os.path.join(place, name))}


def _do_finish(host: Host, wanted: Wanted, _step: Action) -> None:
    repository.write_catalog(host, wanted.unfinished, wanted.cluster)
    os.rename(wanted.unfinished, wanted.directory)
    sync_directory(os.path.dirname(wanted.directory))


def _do_remove(_host: Host, _wanted: Wanted, step: Action) -> None:
    shutil.rmtree(step.values["path"])
