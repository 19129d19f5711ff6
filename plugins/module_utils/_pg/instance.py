# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A data directory as it is: what it holds, its control file, its signal files, its running server; and the host under it.

The sources are PostgreSQL's documentation, chapters 66.1 (database file layout) and 26.2.2 (standby operation), and
``pg_controldata``.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Union

from . import version
from .durable import draft, sync_directory
from .errors import StateError, ToolError
from .guc import STANDBY_FLOOR
from .programs import Installation, locate
from .tools import Account, Programs, account

#: The suffix of a directory that is being made and becomes the real one by a rename, complete.
UNFINISHED = ".pgmahout-new"
#: The suffix of a directory that was renamed out of the way to be removed.
REMOVED = ".pgmahout-removed"
#: The suffix of the directory beside a data directory that is being rewound, with the files of it that are to stay as they are.
REWINDING = ".pgmahout-rewinding"

_POLL = 0.02


class Control(NamedTuple):
    """What ``pg_controldata`` says.

    Attributes:
        system_identifier: a 64-bit number, as text since YAML and JSON readers round it.
        state: such as ``in production``, ``shut down``, ``in archive recovery``.
        timeline: of the latest checkpoint; right after a promotion still the one before.
        checkpoint_lsn: of the latest checkpoint.
        minimum_recovery_lsn: how far a standby must replay before it is consistent.
        floors: the five settings that a standby must not have lower, as replayed.
        data_checksums: whether pages carry checksums.
        wal_log_hints: whether whole pages are logged where only hint bits change.
        full_page_writes: whether whole pages are logged after a checkpoint, at the latest one.
        minimum_recovery_timeline: that of ``minimum_recovery_lsn``; right after a promotion already the new one, 0 for none.
        wal_segment_size: in bytes.
    """

    system_identifier: str
    state: str
    timeline: int
    checkpoint_lsn: str
    minimum_recovery_lsn: str
    floors: Dict[str, int]
    data_checksums: bool
    wal_log_hints: bool = False
    full_page_writes: bool = True
    minimum_recovery_timeline: int = 0
    wal_segment_size: int = 16 << 20


class Process(NamedTuple):
    """What ``postmaster.pid`` says of a server that runs.

    Attributes:
        started: seconds since the epoch.
        socket_directory: ``""`` where it has none, or none yet.
        status: ``starting``, ``stopping``, ``ready`` or ``standby``.
    """

    pid: int
    started: int
    port: int
    socket_directory: str
    status: str


class Instance(NamedTuple):
    """A data directory.

    Attributes:
        kind: ``missing``, ``empty``, ``foreign`` (it holds something that is no instance) or ``instance``.
        major: the version in ``PG_VERSION``; 0 without an instance.
        control: None without an instance.
        process: None when no server runs.
        standby_signal: whether ``standby.signal`` is there.
        recovery_signal: whether ``recovery.signal`` is there.
        newest_timeline: of the control file and the timeline history files.
    """

    data_directory: str
    kind: str
    major: int = 0
    control: Optional[Control] = None
    process: Optional[Process] = None
    standby_signal: bool = False
    recovery_signal: bool = False
    newest_timeline: int = 0

    @property
    def exists(self) -> bool:
        """Whether there is an instance."""
        return self.kind == "instance"

    def refuse_foreign(self) -> None:
        """Refuse a directory that holds something else.

        Raises:
            StateError: it does.
        """
        if self.kind == "foreign":
            raise StateError("The data directory %s is not empty and holds no PostgreSQL instance; empty it yourself or "
                             "choose another data_directory." % self.data_directory)


def read(programs: Programs, data_directory: str) -> Instance:
    """Return what is in a data directory.

    Raises:
        StateError: it was made by another major version than the programs.
        ToolError: the control file cannot be read.
    """
    kind = kind_of(data_directory)
    if kind != "instance":
        return Instance(data_directory, kind)
    major = int(read_text(os.path.join(data_directory, "PG_VERSION")) or 0)
    if major != version.major(programs.version_num):
        ours = version.major(programs.version_num)
        raise StateError("The data directory %s was made by PostgreSQL %d and the programs in %s are of version %d; set bindir "
                         "to those of version %d." % (data_directory, major, programs.bindir, ours, major))
    control = read_control(programs, data_directory)
    return Instance(
        data_directory, kind, major, control,
        read_process(data_directory),
        os.path.exists(os.path.join(data_directory, "standby.signal")),
        os.path.exists(os.path.join(data_directory, "recovery.signal")),
        max([control.timeline] + _history(data_directory)),
    )


def kind_of(data_directory: str) -> str:
    """Return what a data directory is: ``missing``, ``empty``, ``foreign`` or ``instance``.

    Raises:
        StateError: it cannot be read.
    """
    try:
        names = os.listdir(data_directory)
    except FileNotFoundError:
        return "missing"
    except NotADirectoryError:
        return "foreign"
    except PermissionError:
        raise StateError("The data directory %s cannot be read by this account; run as root or as its owner."
                         % data_directory) from None
    if not names:
        return "empty"
    is_instance = "PG_VERSION" in names and os.path.exists(os.path.join(data_directory, "global", "pg_control"))
    return "instance" if is_instance else "foreign"


def read_control(programs: Programs, data_directory: str) -> Control:
    """Return what the control file says.

    Raises:
        ToolError: it cannot be read.
    """
    printed = programs.run("pg_controldata", "-D", data_directory)
    values = {}
    for line in printed.splitlines():
        key, _sep, value = line.partition(":")
        values[key.strip()] = value.strip()
    try:
        return Control(
            values["Database system identifier"], values["Database cluster state"],
            int(values["Latest checkpoint's TimeLineID"]), values["Latest checkpoint location"],
            values["Minimum recovery ending location"],
            {name: int(values[_control_name(name)]) for name in STANDBY_FLOOR},
            values["Data page checksum version"] != "0",
            values["wal_log_hints setting"] == "on",
            values["Latest checkpoint's full_page_writes"] == "on",
            int(values["Min recovery ending loc's timeline"]),
            int(values["Bytes per WAL segment"]))
    except KeyError as error:
        raise ToolError("pg_controldata of %s printed no line %s; check that bindir is of the instance's version."
                        % (data_directory, error)) from None


def _control_name(setting: str) -> str:
    return {"max_prepared_transactions": "max_prepared_xacts", "max_locks_per_transaction": "max_locks_per_xact"}.get(
        setting, setting) + " setting"


def _history(data_directory: str) -> List[int]:
    names = os.listdir(os.path.join(data_directory, "pg_wal"))
    return [int(name[:8], 16) for name in names if re.match(r"\A[0-9A-F]{8}\.history\Z", name)]


def wal_timeline(data_directory: str) -> int:
    """Return the newest timeline of which a data directory has WAL, 0 where it has none.

    A standby is on it, although its control file says so only from the next restartpoint on.
    """
    names = os.listdir(os.path.join(data_directory, "pg_wal"))
    return max((int(name[:8], 16) for name in names if re.match(r"\A[0-9A-F]{24}\Z", name)), default=0)


def read_process(data_directory: str) -> Optional[Process]:
    """Return the server that runs on a data directory, None when none does (a stale file counts as none).

    It writes the first five lines at once, and the others when it has its sockets, its shared memory and something to say.
    """
    lines = (read_text(os.path.join(data_directory, "postmaster.pid")) or "").splitlines()
    if len(lines) < 5 or not _serves(int(lines[0]), data_directory):
        return None
    return Process(int(lines[0]), int(lines[2]), int(lines[3]), lines[4], lines[7].strip() if len(lines) > 7 else "starting")


def _serves(pid: int, data_directory: str) -> bool:
    """Return whether a process lives and is a server of this directory, and not a later owner of its number."""
    try:
        return os.path.samefile("/proc/%d/cwd" % pid, data_directory)
    except PermissionError:
        return True
    except OSError:
        return False


def read_text(path: str) -> Optional[str]:
    """Return a file's text, None when it does not exist."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return None


def wait_until(holds: Callable[[], bool], timeout: float, first: float = _POLL) -> bool:
    """Wait until something holds; return whether it did within ``timeout`` seconds.

    It looks again after ``first`` seconds, and then ever less often, down to every tenfold of that.
    """
    deadline = time.monotonic() + timeout
    pause = first
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.05, 10 * first)
    return True


def port_is_taken(address: str, port: int) -> bool:
    """Return whether something listens on a TCP port of an address of this host (``*`` and names: any of theirs, ``""`` none)."""
    if not address:
        return False
    targets = {"*": [(socket.AF_INET, "0.0.0.0")]}.get(address)  # noqa: S104 - a probe that never listens
    if targets is None:
        try:
            targets = [(info[0], str(info[4][0])) for info in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)]
        except socket.gaierror:
            return False
    return any(_cannot_bind(family, host, port) for family, host in targets)


def _cannot_bind(family: int, host: str, port: int) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def place_taken(address: str, port: int, socket_directory: str) -> str:
    """Return where something listens already that a server is to listen on; ``""`` where nothing does.

    Args:
        address: of this host, as ``listen_addresses`` has it.
        port: TCP port, and part of the socket's name.
        socket_directory: of the Unix-domain socket; ``""`` for none.
    """
    if port_is_taken(address, port):
        return address
    return socket_directory if socket_directory and _answers(os.path.join(socket_directory, ".s.PGSQL.%d" % port)) else ""


def _answers(path: str) -> bool:
    """Return whether something listens on a Unix-domain socket; nothing does where the name is longer than any can be."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


class Host:
    """The host that a module runs on: its programs, and files made for the server's account."""

    shown_as = "commands"

    def __init__(self, installation: Installation, user: str, data_directory: str, timeout: float, unit: str = "") -> None:
        self.unit = unit
        self.programs = Programs(installation.bindir_now, user or None)
        self.data_directory = data_directory
        self.timeout = timeout
        self._installation = installation

    @property
    def account(self) -> Account:
        """The account that the server runs as."""
        return account(self.programs.user)

    @property
    def bindir(self) -> str:
        """Where the programs are used from, once they are there."""
        return self._installation.bindir

    @property
    def copy_of_programs(self) -> str:
        """The command that brings the programs to where they are used from; ``""`` when they are there."""
        return self._installation.shown if self._installation.wheel else ""

    def copy_programs(self) -> None:
        """Bring the programs to where they are used from."""
        self._installation.copy()
        self.programs = Programs(self._installation.bindir, self.programs.user)

    @contextmanager
    def lock(self, *_names: str) -> Iterator[None]:
        """Hold the data directory against other runs, also against one whose caller was killed and which still works.

        A bound abstract socket is the lock: it writes nothing, works before the directory exists, and ends with us.

        Raises:
            StateError: another run held it for the whole time-out.
        """
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = "\0pgmahout:%d:%s" % (hash_of(self.data_directory), self.data_directory[-80:])

        def bound() -> bool:
            try:
                holder.bind(name)
            except OSError:
                return False
            return True

        with holder:
            if not wait_until(bound, self.timeout):
                raise StateError("The data directory %s is being worked on by another run, for %d s now; wait for it to "
                                 "end." % (self.data_directory, self.timeout))
            yield

    def make_directory(self, path: str, mode: int = 0o700) -> None:
        """Make a directory and those above it, for the server's account; one that exists is left as it is."""
        if os.path.isdir(path):
            return
        self.make_directory(os.path.dirname(path), 0o755)
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            return
        os.chmod(path, mode)
        self._hand_over(path)

    @property
    def home(self) -> str:
        """The directory that holds the copied programs and the instances that use them; ``""`` without copied programs."""
        return os.path.dirname(self._installation.programs_directory)

    def is_last(self, data_directory: str) -> bool:
        """Return whether no other instance, finished or not, is below the home; what a backup holds is none."""
        if not self.home:
            return False
        for directory, names, files in os.walk(self.home):
            if "catalog.json" in files:
                names.clear()
            elif "PG_VERSION" in files:
                if not directory.startswith(data_directory):
                    return False
                names.clear()
            elif directory == self._installation.programs_directory:
                names.clear()
        return True

    def remove_programs(self, emptied: Iterable[str]) -> None:
        """Remove the copied programs, and the directories of some paths that are left empty."""
        shutil.rmtree(self._installation.programs_directory, ignore_errors=True)
        for path in emptied:
            self.remove_empty_parents(path)

    def remove_empty_parents(self, path: str) -> None:
        """Remove the directories above a path as far as they are empty and below the home."""
        parent = os.path.dirname(path)
        while self.home and parent.startswith(self.home + os.sep) and os.path.isdir(parent) and not os.listdir(parent):
            os.rmdir(parent)
            parent = os.path.dirname(parent)

    def write(self, path: str, text: Union[str, bytes], mode: int = 0o600) -> None:
        """Write a file for the server's account: whole or not at all, and on disk when this returns."""
        there = draft(path, text, mode)
        self._hand_over(there)
        os.rename(there, path)
        sync_directory(os.path.dirname(path))

    def _hand_over(self, path: str) -> None:
        owner = self.account
        if not owner.is_us:
            os.chown(path, owner.uid, owner.gid)


@contextmanager
def opener(params: Mapping[str, Any]) -> Iterator[Host]:
    """Give the host that a module runs on, from its options (see ``programs.SPEC``).

    Raises:
        StateError: the programs are missing, and no earlier task would have installed them.
    """
    place = params.get("data_directory") or params.get("dest") or params["directory"]
    host = Host(locate(params), params["user"], place, params["timeout"],
                params.get("unit") or "")
    if not (params["programs_planned"] and params["check_mode"]):
        host.programs.path("postgres")
    yield host


def hash_of(text: str) -> int:
    """Return a number for a text that is the same in every process (Python's own differs)."""
    number = 5381
    for char in text:
        number = (number * 33 + ord(char)) & 0xFFFFFFFF
    return number
