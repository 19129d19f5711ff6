# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the structure of a restored instance is sound: its tables and indexes by pg_amcheck, its pages by pg_checksums.

The sources are the pages of pg_amcheck (PostgreSQL 14) and pg_checksums in PostgreSQL's documentation. What they find is a
result, not an error of the module.
"""

from __future__ import annotations

import os
import re
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

from .errors import StateError, ToolError
from .instance import Host, Instance
from .instance import read as read_instance
from .programs import locate

#: So many complaints are told of a check, and how many more there are.
_TOLD = 20

_WRONG = "checksum verification failed"


class Outcome(NamedTuple):
    """What a check came to.

    Attributes:
        status: ``passed``, ``failed`` or ``skipped``.
        found: in one sentence.
        complaints: the first of them, as the program printed them.
    """

    status: str
    found: str
    complaints: Tuple[str, ...] = ()


def gather(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what a check found.

    Raises:
        StateError: there is no instance, or it runs where it must be stopped, or the other way round.
    """
    host = Host(locate(params), params["user"], os.path.normpath(params["data_directory"]), params["timeout"])
    instance = read_instance(host.programs, host.data_directory)
    started = time.time()
    outcome = {"pg_amcheck": _amcheck, "pg_checksums": _checksums}[params["program"]](host, instance, params)
    return {"program": params["program"], "status": outcome.status, "found": outcome.found,
            "complaints": list(outcome.complaints), "started": started, "ended": time.time(),
            "changed": params["program"] == "pg_amcheck" and outcome.status != "skipped"}


def _amcheck(host: Host, instance: Instance, params: Mapping[str, Any]) -> Outcome:
    if instance.process is None:
        raise StateError("The tables and indexes in %s were to be checked and no server runs there; start it first."
                         % host.data_directory)
    if instance.major < 14:
        return Outcome("skipped", "PostgreSQL %d has no pg_amcheck, which came with version 14." % instance.major)
    if params["check_mode"]:
        return Outcome("skipped", "Check mode runs no pg_amcheck, which makes its extension where it is missing.")
    argv = ["--all", "--install-missing", "--no-password", "--heapallindexed", "--host=%s" % instance.process.socket_directory,
            "--port=%d" % instance.process.port, "--username=%s" % params["superuser"], "--jobs=%d" % params["jobs"]]
    # 2 says that it found corruption, which it prints on its standard output; 1 that it could not work.
    try:
        return amcheck_outcome(host.programs.run("pg_amcheck", *argv, accept=(0, 2)))
    except ToolError as error:
        if 'extension "amcheck" is not available' not in error.output:
            raise
        return Outcome("skipped", "The server has no extension amcheck; install PostgreSQL's contrib modules.")


def amcheck_outcome(printed: str) -> Outcome:
    """Return what the output of pg_amcheck comes to; pure."""
    heads = [line.rstrip() for line in printed.splitlines() if line and not line[0].isspace()]
    if not heads:
        return Outcome("passed", "All tables and indexes are sound.")
    return Outcome("failed", "pg_amcheck found %d faults, the first in %s." % (len(heads), heads[0].rstrip(":")), _first(
        [line.strip() for line in printed.splitlines() if line.strip()]))


def _checksums(host: Host, instance: Instance, params: Mapping[str, Any]) -> Outcome:
    if instance.control is None:
        raise StateError("The checksums in %s were to be checked and there is no instance; restore it first."
                         % host.data_directory)
    if not instance.control.data_checksums:
        return Outcome("skipped", "The instance has no checksums; pg_checksums --enable adds them to a stopped one.")
    if params["check_mode"] and instance.process is not None:
        return Outcome("skipped", "Check mode stops no server, and checksums are checked while none runs.")
    if instance.process is not None or not instance.control.state.startswith("shut down"):
        raise StateError("The checksums in %s were to be checked and the instance is %s; stop it cleanly first." % (
            host.data_directory, "running" if instance.process else instance.control.state))
    argv = ["--check", "--pgdata=%s" % host.data_directory]
    try:
        return checksums_outcome(host.programs.run("pg_checksums", *argv), "")
    except ToolError as error:
        if _WRONG not in error.output:
            raise
        return checksums_outcome("", error.output)


def checksums_outcome(printed: str, complained: str) -> Outcome:
    """Return what the output of pg_checksums comes to; pure."""
    bad = [line.strip() for line in complained.splitlines() if _WRONG in line]
    blocks = re.search(r"Blocks scanned: +(\d+)", printed)
    if not bad:
        return Outcome("passed", "The checksums of all %s pages are right." % (blocks.group(1) if blocks else ""))
    return Outcome("failed", "pg_checksums found %d pages with a wrong checksum, the first: %s." % (len(bad), bad[0]),
                   _first(bad))


def _first(lines: List[str]) -> Tuple[str, ...]:
    return tuple(lines[:_TOLD] + (["and %d more" % (len(lines) - _TOLD)] if len(lines) > _TOLD else []))
