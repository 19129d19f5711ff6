# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes an instance a standby, as values: its settings, and the text of the file that they stand in.

The settings live in ``postgresql.auto.conf``, where ``pg_basebackup`` and ``pg_rewind`` write them too (PostgreSQL's
documentation, chapters 26.2.4 and 20.6.3).
"""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, Optional

from . import conninfo, guc, recovery_target
from .errors import InputError

#: What the restore_command of pg_backup_restore is known by.
_OF_A_RESTORE = re.compile(r"/bin/restore-wal'? ")

SETTINGS = ("primary_conninfo", "primary_slot_name", "restore_command")


def refuse_secrets(keywords: Mapping[str, object], option: str) -> None:
    """Refuse a password in connection keywords that end in a file which every superuser can read.

    Raises:
        InputError: there is one.
    """
    for key in conninfo.SECRETS:
        if keywords.get(key) is not None:
            raise InputError("The option %s holds %s, which would be stored in clear in postgresql.auto.conf; put it into a "
                             "file and give passfile instead." % (option, key))


def settings(upstream: Mapping[str, object], slot: Optional[str],
             restore_command: Optional[str] = None) -> Dict[str, Optional[str]]:
    """Return the settings of a standby; what is not asked for is not among them.

    The target of an earlier recovery, which a restored server keeps in its settings, must not stop it.
    """
    found: Dict[str, Optional[str]] = dict.fromkeys(recovery_target.SETTINGS)
    found["primary_conninfo"] = conninfo.render(upstream)
    if slot is not None:
        found["primary_slot_name"] = slot or None
    if restore_command is not None:
        found["restore_command"] = restore_command or None
    return found


def auto_conf_text(text: str, changes: Mapping[str, Optional[str]]) -> str:
    """Return the text of ``postgresql.auto.conf`` with settings changed; a conninfo that means the same stays as it is.

    The command by which a server was restored goes unless another is asked for: what it names may be gone, or on another host.
    """
    present = guc.parse(text).get("primary_conninfo")
    wanted = changes.get("primary_conninfo")
    if present is not None and wanted is not None and _same_conninfo(present, wanted):
        changes = {name: value for name, value in changes.items() if name != "primary_conninfo"}
    if _OF_A_RESTORE.search(guc.parse(text).get("restore_command") or ""):
        changes = dict({"restore_command": None}, **changes)
    return guc.edit(text, changes)


def _same_conninfo(one: str, other: str) -> bool:
    try:
        return conninfo.parse(one) == conninfo.parse(other)
    except InputError:
        return False


def upstream_of(text: str) -> str:
    """Return whom the text of a ``postgresql.auto.conf`` names as upstream, as ``host:port``; ``""`` for nobody."""
    try:
        keywords = conninfo.parse(guc.parse(text).get("primary_conninfo") or "")
    except InputError:
        return ""
    return "%s:%s" % (keywords["host"], keywords.get("port", "5432")) if keywords.get("host") else ""


def shown(text: str, is_standby: bool) -> Dict[str, Any]:
    """Return what may be shown of a data directory's recovery, from the text of its ``postgresql.auto.conf``."""
    found = guc.parse(text)
    result: Dict[str, Any] = {name: found.get(name) for name in SETTINGS}
    if result["primary_conninfo"]:
        try:
            result["primary_conninfo"] = conninfo.masked(conninfo.parse(result["primary_conninfo"]))
        except InputError:
            result["primary_conninfo"] = "not a connection string"
    result["standby.signal"] = is_standby
    return result
