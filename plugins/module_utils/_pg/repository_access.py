# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom sshd lets read some backups of a repository, for a short time: a line in the file authorized_keys of our own account.

The source is the manual page sshd(8), section AUTHORIZED_KEYS FILE FORMAT. The key of the line can do one thing, which is to run
the program serve-backup with the arguments that stand in the line. The account is the one that Ansible comes in as, since that is
known to be let in; the program runs as the owner of the repository.
"""

from __future__ import annotations

import fcntl
import glob
import os
import pwd
import re
import shlex
import shutil
import time
from contextlib import contextmanager
from typing import Any, Iterator, List, Mapping, NamedTuple, Sequence

from . import tools
from .errors import InputError, StateError, ToolError
from .instance import read_text, wait_until
from .plan import Action, Plan
from .system_file import put

#: The comment of our keys, by which the lines are known.
MARK = "pgmahout-transfer"

#: Where sshd has its own keys, the public ones for all to read.
HOST_KEYS = "/etc/ssh/ssh_host_*_key.pub"

_KEY = re.compile(r"\A[a-z0-9@.-]+ [A-Za-z0-9+/=]+\Z")
_EXPIRY = re.compile(r'expiry-time="(\d{14})"')
_SEGMENT = re.compile(r"\A[0-9A-F]{24}\Z")
_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9-]*\Z")


class Wanted(NamedTuple):
    """What the options ask for.

    Attributes:
        key: the public key, its type and itself; ``""`` in check mode, where there is none yet.
        command: what it may run.
        owner: the account that owns the repository; ``""`` for ours.
        valid: seconds for which a connection may be made.
    """

    key: str
    command: Sequence[str]
    owner: str
    valid: int
    present: bool


class Current(NamedTuple):
    """What is.

    Attributes:
        lines: of authorized_keys.
        now: by the clock and in the zone of this host, as sshd reads times.
        until: when access that is given now would end.
        host_keys: how sshd shows that it is this host.
        become: what stands before a command for it to run as the owner of the repository.
        login: the account that the key is let in as.
    """

    lines: Sequence[str]
    now: str
    until: str
    host_keys: Sequence[str]
    become: Sequence[str]
    login: str


class Login:
    """Our account, as sshd knows it."""

    shown_as = "commands"

    def __init__(self, timeout: int) -> None:
        self.name = pwd.getpwuid(os.geteuid()).pw_name
        # It may be a link to where it is kept.
        self.file = os.path.realpath(os.path.join(pwd.getpwuid(os.geteuid()).pw_dir, ".ssh", "authorized_keys"))
        self._timeout = timeout

    @contextmanager
    def lock(self, *_names: str) -> Iterator[None]:
        """Hold the file against other runs, by a lock on its directory.

        Raises:
            StateError: another run held it for the whole time-out.
        """
        directory = os.path.dirname(self.file)
        os.makedirs(directory, 0o700, exist_ok=True)
        handle = os.open(directory, os.O_RDONLY)

        def locked() -> bool:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            return True

        try:
            if not wait_until(locked, self._timeout):
                raise StateError("The file %s is being worked on by another run, for %d s now; wait for it to end."
                                 % (self.file, self._timeout))
            yield
        finally:
            os.close(handle)


@contextmanager
def opener(params: Mapping[str, Any]) -> Iterator[Login]:
    """Give the account that the module runs as."""
    yield Login(params["timeout"])


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: a key that is none, or a name that is no backup, archive or segment.
    """
    key = " ".join(params["public_key"].split()[:2])
    if _KEY.match(key) is None and not (params["check_mode"] and not key):
        raise InputError("The option public_key is %r; give a public key as ssh-keygen writes it." % params["public_key"])
    if not os.path.isabs(params["directory"]):
        raise InputError("The option directory is %r; give an absolute path." % params["directory"])
    for option, pattern, names in (("backups", _NAME, params["backups"]), ("archive", _NAME, [params["archive"]]),
                                   ("first_segment", _SEGMENT, [params["first_segment"]])):
        for name in names:
            if params["state"] == "present" and pattern.match(name) is None:
                raise InputError("The option %s has %r, which cannot be one; give it as the catalog has it." % (option, name))
    if params["valid"] < 1:
        raise InputError("The option valid is %d; give a number of seconds, 1 or more." % params["valid"])
    directory = os.path.normpath(params["directory"])
    command = [os.path.join(directory, "bin", "serve-backup"), directory, params["archive"], params["first_segment"]]
    return Wanted(key, command + list(params["backups"]), params["user"], params["valid"], params["state"] == "present")


def read(login: Login, wanted: Wanted) -> Current:
    """Return what is.

    Raises:
        StateError: the repository lacks the program, we may not become its owner, or sshd has no keys.
    """
    become = _become(wanted.owner, login.name)
    keys = [" ".join((read_text(path) or "").split()[:2]) for path in sorted(glob.glob(HOST_KEYS))]
    if wanted.present:
        _refuse_unusable(login, become, wanted)
        if not keys:
            raise StateError("The keys of sshd were looked for in %s and there are none; install openssh-server." % HOST_KEYS)
    now = time.time()
    return Current((read_text(login.file) or "").splitlines(), _shown(now), _shown(now + wanted.valid), keys, become,
                   login.name)


def _become(owner: str, login: str) -> List[str]:
    if owner in ("", login):
        return []
    return (["runuser"] if os.geteuid() == 0 else ["sudo", "--non-interactive"]) + ["--user=%s" % owner, "--"]


def _refuse_unusable(login: Login, become: Sequence[str], wanted: Wanted) -> None:
    for program in become[:1]:
        if shutil.which(program) is None:
            raise StateError("The backups belong to %s and are to be read by way of %s, which needs %s; install "
                             "that, or restore on this host." % (wanted.owner, login.name, program))
    try:
        tools.run(list(become) + ["test", "-x", wanted.command[0]])
    except ToolError as error:
        if become and error.output:
            raise StateError("The backups belong to %s, and %s may not become that account without a password (%s); allow it, or "
                             "restore on this host." % (wanted.owner, login.name, error.complaint.rstrip("."))) from None
        raise StateError("The program %s is not there, or not for %s to run; run the playbook deploy, which installs it."
                         % (wanted.command[0], wanted.owner or login.name)) from None


def _shown(when: float) -> str:
    return time.strftime("%Y%m%d%H%M%S", time.localtime(when))


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps; lines of ours whose time is over go in any case."""
    kept = [line for line in current.lines if not _is_over(line, current.now)]
    if not wanted.present:
        kept = [line for line in kept if not (_is_ours(line) and wanted.key and wanted.key in line)]
    elif not any(_allows(line, current, wanted) for line in kept):
        kept.append(_line(current, wanted))
    gone = [line for line in current.lines if line not in kept]
    come = [line for line in kept if line not in current.lines]
    shown = ["take out of authorized_keys: %s" % line for line in gone] + ["add to authorized_keys: %s" % line for line in come]
    steps = [Action("write", "; ".join(shown), {"lines": kept})] if shown else []
    return Plan(steps, {"authorized_keys": gone}, {"authorized_keys": come}, {
        "host_keys": list(current.host_keys), "login_user": current.login})


def _is_ours(line: str) -> bool:
    return line.endswith(" " + MARK)


def _is_over(line: str, now: str) -> bool:
    found = _EXPIRY.search(line)
    return _is_ours(line) and found is not None and found.group(1) <= now


def _allows(line: str, current: Current, wanted: Wanted) -> bool:
    return _EXPIRY.sub("", line) == _EXPIRY.sub("", _line(current, wanted))


def _line(current: Current, wanted: Wanted) -> str:
    """Return the line; sshd takes away a backslash before a quotation mark, and a shell reads what is left."""
    command = " ".join(shlex.quote(part) for part in [*current.become, *wanted.command]).replace('"', '\\"')
    return 'restrict,expiry-time="%s",command="%s" %s %s' % (current.until, command, wanted.key, MARK)


def apply(login: Login, _wanted: Wanted, steps: Sequence[Action]) -> None:
    """Do the step."""
    for step in steps:
        put(login.file, "".join(line + "\n" for line in step.values["lines"]), 0o600)
