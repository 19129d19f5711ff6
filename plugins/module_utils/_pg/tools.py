# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place that starts a process: the programs of one PostgreSQL installation, run as the server's account.

PostgreSQL refuses to run as root (documentation, chapter 18.1), so a module that runs as root gives up its rights in
the child. The environment of every child is made here from nothing: no variable of the caller reaches a server.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from typing import IO, Any, Callable, Dict, Generator, Iterable, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import version
from .errors import InputError, StateError, ToolError


class Account(NamedTuple):
    """The account of the operating system that a server runs as."""

    name: str
    uid: int
    gid: int
    home: str

    @property
    def is_us(self) -> bool:
        """Whether this process runs as that account already."""
        return self.uid == os.geteuid()


def account(name: Optional[str]) -> Account:
    """Return an account by its name; ours when no name is given.

    Raises:
        InputError: there is no such account, it is root, or we are neither it nor root.
    """
    try:
        found = pwd.getpwnam(name) if name else pwd.getpwuid(os.geteuid())
    except KeyError:
        raise InputError("The account %s was asked for and this host has none of that name; create it first."
                         % (name or os.geteuid())) from None
    if found.pw_uid == 0:
        raise InputError("A server was asked to run as root, which PostgreSQL refuses; name an unprivileged account in "
                         "the option user.")
    if os.geteuid() not in (0, found.pw_uid):
        raise InputError("A server was asked to run as %s and this task runs as %s; run it as root or as %s (become)."
                         % (found.pw_name, pwd.getpwuid(os.geteuid()).pw_name, found.pw_name))
    return Account(found.pw_name, found.pw_uid, found.pw_gid, found.pw_dir)


def run(argv: Sequence[str], user: Optional[str] = None, env: Optional[Mapping[str, str]] = None,
        accept: Sequence[int] = (0,), meanwhile: Optional[Callable[[], None]] = None, remarks: bool = False) -> str:
    """Run a program to its end and return what it printed.

    Args:
        argv: the program and its arguments; no shell is involved and no secret may be among them.
        user: the account to run it as; ours when not given.
        env: further environment variables, such as ``PGPASSFILE``.
        accept: the exit codes that are no error.
        meanwhile: called each second while the program runs; it must be quick and raise nothing.
        remarks: whether what it printed on standard error is returned as well, behind the rest.

    Raises:
        ToolError: the program is missing or ended with another exit code; its first complaint, else its last line, is told.
    """
    who = account(user) if user else None
    child = _open(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment(who, env),
                  cwd="/", preexec_fn=_become(who))
    stdout, stderr = _output(child, meanwhile)
    if child.returncode not in accept:
        complaint = _telling(stderr) or _telling(stdout) or "it said nothing."
        raise ToolError("%s ended with exit code %d: %s" % (" ".join(argv), child.returncode, complaint),
                        stderr.decode("utf-8", "replace"), complaint)
    return (stdout + stderr if remarks else stdout).decode("utf-8", "replace")


def _output(child: "subprocess.Popen[bytes]", meanwhile: Optional[Callable[[], None]]) -> Tuple[bytes, bytes]:
    """Return what a program printed on its two outputs until it ended; end it when we are interrupted."""
    with child:
        try:
            while meanwhile is not None:
                try:
                    return child.communicate(timeout=1)
                except subprocess.TimeoutExpired:
                    meanwhile()
            return child.communicate()
        except BaseException:
            child.kill()
            raise


def feed(argv: Sequence[str], chunks: Iterable[bytes], user: Optional[str] = None,
         env: Optional[Mapping[str, str]] = None) -> None:
    """Run a program to its end with something to read, which is made while it reads.

    It is killed, and so never sees an end of what it reads, where that cannot be made to its end.

    Args:
        argv: the program and its arguments; no shell is involved and no secret may be among them.
        chunks: what it reads.
        user: the account to run it as; ours when not given.
        env: further environment variables.

    Raises:
        ToolError: it could not be started or ended with another exit code than 0; whatever ``chunks`` raises.
    """
    who = account(user) if user else None
    with tempfile.TemporaryFile() as complaints, _open(
            argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaints, env=_environment(who, env), cwd="/",
            preexec_fn=_become(who)) as process:
        pipe = _pipe(process.stdin)
        try:
            _pour(chunks, pipe)
        except BaseException:
            process.kill()
            raise
        finally:
            _close(pipe)
        process.wait()
        _refuse_failure(argv, process.returncode, complaints)


def _pipe(pipe: Optional[IO[bytes]]) -> IO[bytes]:
    """Return a pipe that was asked for, and so is there."""
    if pipe is None:
        raise ToolError("A pipe to a program was asked for and the system gave none; this is an error of ours.")
    return pipe


def _pour(chunks: Iterable[bytes], pipe: IO[bytes]) -> None:
    for chunk in chunks:
        try:
            pipe.write(chunk)
        except BrokenPipeError:
            # It ended before it had read all, for a reason that its exit code and its complaint tell.
            return


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        pass


def lines(argv: Sequence[str]) -> Generator[bytes, None, None]:
    """Run a program as ourselves and give what it prints while it does, line by line.

    Raises:
        ToolError: it could not be started or ended with another exit code than 0.
    """
    with tempfile.TemporaryFile() as complaints, _open(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, env=_environment(None, None),
            cwd="/") as process:
        try:
            yield from _pipe(process.stdout)
        except GeneratorExit:
            process.kill()
            raise
        process.wait()
        _refuse_failure(argv, process.returncode, complaints)


def pipe(source: Sequence[str], sink: Sequence[str], given: str, user: Optional[str] = None) -> None:
    """Run two programs to their ends, the second of which reads what the first prints.

    Args:
        source: the first program and its arguments; no shell is involved and no secret may be among them.
        sink: the second.
        given: what the first one reads.
        user: the account to run them as; ours when not given.

    Raises:
        ToolError: one could not be started or ended with another exit code than 0; the first one is told where it complains.
    """
    who = account(user) if user else None
    keywords: Dict[str, Any] = {"env": _environment(who, None), "cwd": "/", "preexec_fn": _become(who)}
    with tempfile.TemporaryFile() as text, tempfile.TemporaryFile() as by_source, tempfile.TemporaryFile() as by_sink:
        text.write(given.encode("utf-8", "surrogateescape"))
        text.seek(0)
        with _open(source, stdin=text, stdout=subprocess.PIPE, stderr=by_source, **keywords) as first:
            between = _pipe(first.stdout)
            try:
                with _open(sink, stdin=between, stdout=subprocess.DEVNULL, stderr=by_sink, **keywords) as second:
                    # Ours is closed, so that the first one notices when the second has ended.
                    between.close()
                    second.wait()
            except BaseException:
                first.kill()
                raise
        # One that cannot go on since the other has ended says nothing.
        if by_source.tell():
            _refuse_failure(source, first.returncode, by_source)
        _refuse_failure(sink, second.returncode, by_sink)
        _refuse_failure(source, first.returncode, by_source)


def _open(argv: Sequence[str], **keywords: Any) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(list(argv), **keywords)
    except OSError as error:
        raise ToolError("The program %s could not be started: %s; check bindir." % (argv[0], error.strerror)) from None


def _refuse_failure(argv: Sequence[str], returncode: int, complaints: IO[bytes]) -> None:
    if returncode == 0:
        return
    complaints.seek(0)
    said = complaints.read()
    complaint = _telling(said) or "it said nothing."
    raise ToolError("%s ended with exit code %d: %s" % (" ".join(argv), returncode, complaint),
                    said.decode("utf-8", "replace"), complaint)


def spawn(argv: Sequence[str], user: Optional[str], log_file: str) -> "subprocess.Popen[bytes]":
    """Start a program that outlives this module, in a session of its own, what it prints going to a file's end.

    Args:
        argv: the program and its arguments.
        user: the account to run it as; ours when not given.
        log_file: made with mode 0600 for that account when it does not exist.

    Raises:
        ToolError: the program could not be started.
    """
    who = account(user)
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        if not who.is_us:
            os.fchown(log, who.uid, who.gid)
        return subprocess.Popen(list(argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                env=_environment(who, None), preexec_fn=_become(who), start_new_session=True)
    except OSError as error:
        raise ToolError("The program %s could not be started: %s; check bindir." % (argv[0], error.strerror)) from None
    finally:
        os.close(log)


def _environment(who: Optional[Account], extra: Optional[Mapping[str, str]]) -> Dict[str, str]:
    home = who.home if who else os.path.expanduser("~")
    made = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC",
            "HOME": home}
    made.update(extra or {})
    return made


def _become(who: Optional[Account]) -> Optional[Callable[[], None]]:
    if who is None or who.is_us:
        return None

    def become() -> None:
        os.initgroups(who.name, who.gid)
        os.setgid(who.gid)
        os.setuid(who.uid)

    return become


def _telling(raw: bytes) -> str:
    lines = [line.strip() for line in raw.decode("utf-8", "replace").splitlines() if line.strip()]
    complaints = [line for line in lines if "FATAL" in line or "PANIC" in line or "error:" in line]
    return (complaints or lines[-1:] or [""])[0]


class Programs:
    """The programs of one installation.

    Attributes:
        bindir: the directory they are in.
        user: the account they run as.
    """

    def __init__(self, bindir: str, user: Optional[str] = None) -> None:
        self.bindir = bindir
        self.user = user
        self._version_num: Optional[int] = None

    def path(self, program: str) -> str:
        """Return the full path of a program.

        Raises:
            StateError: the installation lacks it.
        """
        path = os.path.join(self.bindir, program)
        if not os.access(path, os.X_OK):
            raise StateError("The program %s was asked for in %s and is not there; install PostgreSQL's server and "
                             "client programs or set bindir to where they are." % (program, self.bindir))
        return path

    @property
    def are_there(self) -> bool:
        """Whether the programs are installed already."""
        return os.access(os.path.join(self.bindir, "postgres"), os.X_OK)

    @property
    def version_num(self) -> int:
        """Return the version of the installation, such as 180006."""
        if self._version_num is None:
            self._version_num = version.parse(self.run("postgres", "--version"))
        return self._version_num

    def run(self, program: str, *args: str, env: Optional[Mapping[str, str]] = None,
            accept: Sequence[int] = (0,), meanwhile: Optional[Callable[[], None]] = None, remarks: bool = False) -> str:
        """Run one of the programs as the server's account; see ``run``."""
        return run([self.path(program)] + list(args), self.user, env, accept, meanwhile, remarks)

    def feed(self, program: str, *args: str, chunks: Iterable[bytes], env: Optional[Mapping[str, str]] = None) -> None:
        """Run one of the programs as the server's account with something to read; see ``feed``."""
        feed([self.path(program)] + list(args), chunks, self.user, env)

    def spawn(self, program: str, *args: str, log_file: str) -> "subprocess.Popen[bytes]":
        """Start one of the programs as a server of its own; see ``spawn``."""
        return spawn([self.path(program)] + list(args), self.user, log_file)
