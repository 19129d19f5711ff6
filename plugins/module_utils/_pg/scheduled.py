# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that a schedule runs: a backup with the options of a file, by the code of the module pg_backup, without Ansible."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from typing import Any, Dict, Mapping, Sequence

from . import conninfo, credentials, kept_backups, kernel, login, progress
from .errors import PgError
from .instance import Host, opener
from .programs import locate

#: Options of the program: those of a backup, and where the primary must be; documented in the fragment ``kept_backup`` and in the
#: module pg_backup_schedule.
SPEC: Dict[str, Any] = dict(kept_backups.SPEC, only_with_primary_at={"type": "list", "elements": "str", "default": []})


def stored(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the options as the program is to find them: with no secret, and with the programs of PostgreSQL in their place.

    Passwords, certificates and keys are in their files when a schedule is made.

    Raises:
        InputError: as the module pg_backup would.
    """
    options = {name: params[name] for name in SPEC}
    options.update(dict.fromkeys(credentials.SECRETS), conninfo=conninfo.given(params["conninfo"]),
                   bindir=locate(params).bindir, programs_directory="", programs_planned=False)
    options[progress.OPTION] = ""
    kept_backups.desired(options)
    return options


def main(arguments: Sequence[str]) -> int:
    """Take a backup; return 0, or 1 after one sentence on standard error.

    Args:
        arguments: the path of the file with the options.
    """
    with open(arguments[0], encoding="utf-8") as file:
        options = dict(json.load(file), check_mode=False)
    try:
        sys.stdout.write("%s\n" % take(options))
    except PgError as error:
        sys.stderr.write("%s\n" % error)
        return 1
    return 0


def take(options: Mapping[str, Any]) -> str:
    """Take a backup unless it is another machine's turn, and return what there is to say about it.

    Monitoring is told of a run that failed, also when it did before anything was done.

    Raises:
        PgError: it failed.
    """
    wanted = kept_backups.desired(options)
    started = datetime.now(timezone.utc)
    try:
        primary = _primary(wanted.conninfo) if options["only_with_primary_at"] else ""
        if primary not in (options["only_with_primary_at"] or [primary]):
            return "The primary is at %s, whose machine sees to its backups, so there is nothing to do." % primary
        made = kernel.converge(kept_backups, options, opener)["backup"]
    except PgError as error:
        host = Host(locate(options), options["user"], wanted.directory, options["timeout"])
        kept_backups.tell(host, wanted, started, None, str(error))
        raise
    return "The backup %s is complete, %d bytes in %.1f s." % (made["id"], made["size_bytes"], made["duration_seconds"])


def _primary(keywords: Mapping[str, Any]) -> str:
    """Return ``host:port`` of the server that takes writes, among those that a conninfo names.

    Raises:
        Unreachable: there is none.
    """
    wanted = dict(keywords, target_session_attrs="read-write")
    with login.connected(wanted) as session:
        return session.address
