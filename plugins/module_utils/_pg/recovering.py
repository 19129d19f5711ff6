# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A crashed instance is brought to the end of its own WAL before it is rewound or follows anybody, and is never a primary.

The server in single-user mode, by which ``pg_rewind`` does so itself, refuses a directory that has ``standby.signal``, and
without that file there would be a moment in which somebody could start a primary. So it runs as a standby of nobody, which
nobody can reach.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from typing import Dict, Iterator, Mapping

from . import recovery_target, service, standby
from .durable import sync_directory
from .errors import StateError, ToolError
from .instance import Host, wait_until
from .rewind_run import Request

#: How the server names a page that its WAL changes and that is not there (``xlogutils.c``); it does not translate that.
_MISSING_PAGE = re.compile(r"page (\d+) of relation (\S+) (?:does not exist|is uninitialized)")

#: What the startup process waits for when it has replayed all there is, and looks for more only now and then (chapter 27.2.3).
_AT_END = """SELECT FROM pg_catalog.pg_stat_activity
 WHERE backend_type = 'startup' AND wait_event = 'RecoveryRetrieveRetryInterval'"""


def _mark(data_directory: str) -> str:
    return os.path.join(data_directory, "pgmahout.recovering")


def is_under_way(data_directory: str) -> bool:
    """Return whether the recovery of an instance was begun and did not come to its end."""
    return os.path.exists(_mark(data_directory))


def recover(host: Host, request: Request, superuser: str, was_standby: bool) -> None:
    """Replay all the WAL that is on the disk of an instance, and stop it in order.

    Args:
        host: where the data directory is.
        request: where that is, and its configuration.
        superuser: who connects over the socket.
        was_standby: whether its control file tells how far it had come as a standby. The server believes that it is consistent
            there, and would end if WAL up to there changes a page of a table that was dropped after that; a primary that
            recovers from a crash would find out that it was.

    Raises:
        StateError: it has not come to the end within the time-out, and the next run begins again; or it lacks a page.
        ToolError: it ended; what it logged is told.
    """
    mark = _mark(request.data_directory)
    host.write(mark, "")
    where, logged = request.data_directory, os.path.getsize(request.log_file) if os.path.exists(request.log_file) else 0
    with _directory_of_account(host) as place, _running(host, request, _settings(request, place, was_standby)) as server:
        wait_until(lambda: service.accepts(where) or server.poll() is not None, request.timeout)
        if server.poll() is not None:
            raise ToolError("The crashed server in %s was to be recovered and ended: %s" % (
                where, service.last_words(request.log_file, logged)))
        with service.session(where, request.log_file, superuser, request.timeout) as session:
            if not wait_until(lambda: bool(session.rows(_AT_END)), request.timeout):
                raise StateError("The crashed server in %s was to be recovered and has not replayed all its WAL after %d s; give "
                                 "it more time." % (where, request.timeout))
        service.stop(host, where, request.timeout)
    _refuse_missing_page(request, logged)
    os.unlink(mark)
    sync_directory(where)


@contextmanager
def _running(host: Host, request: Request, settings: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Give a server that has ended at the end: not in order, unless the block stopped it, or its control file told of all WAL."""
    server = host.programs.spawn("postgres", "-D", request.data_directory,
                                 *("--%s=%s" % pair for pair in sorted(settings.items())), log_file=request.log_file)
    try:
        yield server
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGQUIT)
            server.wait(request.timeout)


def _settings(request: Request, place: str, was_standby: bool) -> Dict[str, str]:
    settings = dict.fromkeys(standby.SETTINGS + recovery_target.SETTINGS, "")
    settings.update(listen_addresses="", archive_mode="off", hot_standby="on", recovery_target_timeline="current",
                    recovery_target_action="shutdown", recovery_target_inclusive="on", recovery_min_apply_delay="0",
                    unix_socket_directories=place, log_destination="stderr", logging_collector="off", log_min_messages="warning")
    if was_standby:
        settings["ignore_invalid_pages"] = "on"
    if request.config_directory != request.data_directory:
        settings["config_file"] = os.path.join(request.config_directory, "postgresql.conf")
    return settings


def _refuse_missing_page(request: Request, logged: int) -> None:
    """Refuse an instance that lacks a page of a relation which it still has: that is no trace of one that was dropped.

    Raises:
        StateError: it does.
    """
    for line in service.lines(request.log_file, logged):
        found = _MISSING_PAGE.search(line)
        if found and _has_content(os.path.join(request.data_directory, found.group(2))):
            raise StateError("The crashed server in %s was recovered and lacks page %s of the relation in %s, which its WAL "
                             "changes; clone it anew, in the playbook rejoin by pg_rejoin_reclone."
                             % (request.data_directory, found.group(1), found.group(2)))


def _has_content(path: str) -> bool:
    return os.path.exists(path) and os.path.getsize(path) > 0


@contextmanager
def _directory_of_account(host: Host) -> Iterator[str]:
    """Give a directory of the server's account that is removed at the end."""
    place = tempfile.mkdtemp(prefix="pgmahout-")
    try:
        if not host.account.is_us:
            os.chown(place, host.account.uid, host.account.gid)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
