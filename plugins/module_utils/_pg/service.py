# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server process of a data directory: started, awaited, stopped, and what it logged when it ended.

Whether it accepts connections is in ``postmaster.pid``; ``pg_ctl --wait`` gives up on a server that is merely recovering.
"""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import contextmanager
from typing import Callable, Iterator, List

from . import login, tools
from .errors import StateError, ToolError
from .instance import Host, Process, read_process, wait_until


def start(host: Host, data_directory: str, log_file: str, timeout: int) -> None:
    """Start a server and wait until it accepts connections.

    Raises:
        StateError: it still recovers after ``timeout`` seconds; it goes on.
        ToolError: it ended; what it logged is told.
    """
    logged, begun = os.path.getsize(log_file) if os.path.exists(log_file) else 0, int(time.time())
    ended = _start_unit(host.unit) if host.unit else _start_process(host, data_directory, log_file)
    if not wait_until(lambda: accepts(data_directory) or ended(), timeout):
        raise StateError("The server in %s was started and is still recovering after %d s; it goes on, look at %s and run "
                         "this again." % (data_directory, timeout, log_file))
    if not accepts(data_directory):
        refusal = _refusal(host.unit, begun) if host.unit else ""
        raise ToolError("The server in %s ended when it was started: %s" % (
            data_directory, refusal or last_words(log_file, logged)))


def _start_process(host: Host, data_directory: str, log_file: str) -> Callable[[], bool]:
    server = host.programs.spawn("postgres", "-D", data_directory, log_file=log_file)
    return lambda: server.poll() is not None


def _start_unit(unit: str) -> Callable[[], bool]:
    tools.run(["systemctl", "start", "--no-block", unit])
    return lambda: is_down(unit)


def _refusal(unit: str, since: int) -> str:
    """Return why the unit did not start its server at all, as ``start_guard`` told the journal; ``""`` where it did.

    Args:
        unit: of systemd.
        since: seconds since the epoch.
    """
    told = tools.run(["journalctl", "--unit=%s" % unit, "--since=@%d" % since, "--output=cat", "--no-pager", "--quiet"])
    return next((line for line in told.splitlines() if line.startswith("start-guard: The server ")), "")


def is_down(unit: str) -> bool:
    """Return whether a unit of systemd is not active and nothing is under way that would make it so."""
    shown = tools.run(["systemctl", "show", "--property=ActiveState", "--property=Job", unit])
    values = dict(line.split("=", 1) for line in shown.splitlines())
    return values["ActiveState"] in ("inactive", "failed") and values.get("Job", "0") in ("", "0")


def forget_failure(unit: str) -> None:
    """Let systemd not list a unit as failed any more, whose server is gone."""
    if tools.run(["systemctl", "show", "--property=ActiveState", "--value", unit]).strip() == "failed":
        tools.run(["systemctl", "reset-failed", unit])


def stop(host: Host, data_directory: str, timeout: int) -> None:
    """Stop a server that runs, without waiting for its clients, and wait until it has ended.

    A server that someone started past its unit goes on when that is stopped, and is stopped as a process then.

    Raises:
        ToolError: it has not within ``timeout`` seconds.
    """
    if host.unit:
        tools.run(["systemctl", "stop", "--no-block", host.unit])
        wait_until(lambda: is_down(host.unit), timeout)
        if read_process(data_directory) is None:
            return
    host.programs.run("pg_ctl", "stop", "--pgdata=%s" % data_directory, "--mode=fast", "--wait", "--timeout=%d" % timeout)


def request_stop(host: Host, process: Process) -> None:
    """Ask a server to stop without waiting for its clients, and do not wait for it (chapter 18.5).

    A signal says so at once; systemd hears of it where it would otherwise start the server again.
    """
    if host.unit and restarts_by_itself(host.unit):
        tools.run(["systemctl", "stop", "--no-block", host.unit])
    else:
        os.kill(process.pid, signal.SIGINT)


def restarts_by_itself(unit: str) -> bool:
    """Return whether systemd starts a unit again whose process ended without an error (systemd.service, Restart=)."""
    return tools.run(["systemctl", "show", "--property=Restart", "--value", unit]).strip() in ("always", "on-success")


@contextmanager
def session(data_directory: str, log_file: str, superuser: str, timeout: int) -> Iterator[login.Session]:
    """Connect to a running server as superuser over its socket, once it lets anyone in.

    Raises:
        StateError: it does not within ``timeout`` seconds, or it ended.
    """
    process = await_ready(data_directory, log_file, timeout)
    opened = login.Session(login.local(process.socket_directory, process.port, superuser))
    try:
        yield opened
    finally:
        opened.close()


def accepts(data_directory: str) -> bool:
    """Return whether a server runs on a data directory and lets clients in."""
    process = read_process(data_directory)
    return process is not None and process.status in ("ready", "standby")


def await_ready(data_directory: str, log_file: str, timeout: int) -> Process:
    """Wait until a server that runs accepts connections, and return it.

    Raises:
        StateError: it did not within ``timeout`` seconds, or it ended.
    """
    wait_until(lambda: read_process(data_directory) is None or accepts(data_directory), timeout)
    process = read_process(data_directory)
    if process is None or not accepts(data_directory):
        raise StateError("The server in %s was found starting and does not accept connections: %s" % (
            data_directory, last_words(log_file, 0)))
    return process


_TELLING = re.compile(r"\b(?:FATAL|PANIC):\s+(?!\s|the database system is )|LOG:\s+shutdown at recovery target")


_RESTORED = re.compile(r'LOG:\s+restored log file "([0-9A-F]{24})" from archive')


def last_words(log_file: str, offset: int) -> str:
    """Return the last telling line that a server logged behind an offset in bytes.

    That it refused who asked it meanwhile tells nothing, and why it got no WAL is told by the program that was to fetch it. Where
    the WAL ended too early, something is missing or damaged behind the last segment that it got.
    """
    if not os.path.exists(log_file):
        return "it left no log in %s." % log_file
    found = lines(log_file, offset)
    telling = [line for line in found if _TELLING.search(line)]
    last = (telling or found or ["it logged nothing in %s." % log_file])[-1]
    if "could not restore file" in last:
        return ": ".join([last] + [line for line in found if line.startswith("restore-wal: ")][-1:])
    if "recovery ended before" in last:
        restored = [match.group(1) for match in map(_RESTORED.search, found) if match]
        return last + (", and the last segment from the archive was %s." % restored[-1] if restored else "")
    return last


def lines(log_file: str, offset: int = 0) -> List[str]:
    """Return the lines of a server's log behind an offset in bytes; none where there is no log."""
    try:
        with open(log_file, "rb") as file:
            file.seek(offset)
            return file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
