# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the WAL of a primary gets into its archive, seen and not believed.

The sources are PostgreSQL's documentation, chapters 25.3.1 (setting up WAL archiving), 27.2.11 (pg_stat_archiver), 53.20
(pg_replication_slots) and 9.28.3 (pg_switch_wal).

An archiver is proven by a file of the present timeline that it archived, and that lies in the archive; where there is none yet, a
segment is ended for it. A receiver is proven by having on its disk all WAL that there was when the question came; for that, no
segment needs to end.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple

from . import login
from .archiver import last_words, place
from .errors import InputError, StateError, Unreachable
from .instance import wait_until
from .sql import literal

#: A server tries to archive a file this often before it waits for a minute, or for the next segment (pgarch.c).
_TRIES = 3

_ARCHIVER = """
SELECT pg_catalog.current_setting('archive_mode') AS mode,
  left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8) AS timeline,
  coalesce(last_archived_wal, '') AS archived, coalesce(last_failed_wal, '') AS failed, failed_count,
  coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS is_failing
FROM pg_catalog.pg_stat_archiver"""

_SLOT = """
SELECT s.slot_name IS NOT NULL AS exists, coalesce(s.active, false) AS active, coalesce(r.flush_lsn >= {at}, false) AS has_all
FROM (SELECT 1) AS once LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = {slot}
  LEFT JOIN pg_catalog.pg_stat_replication r ON r.pid = s.active_pid"""


class Archiver(NamedTuple):
    """What a server says of its archiver.

    Attributes:
        mode: the setting ``archive_mode``.
        timeline: as the names of its segments begin.
        archived: the last file that was archived; ``""`` for none.
        failed: the last one with which that failed; ``""`` for none.
        failed_count: how often it did.
        is_failing: whether the last thing that the archiver did was to fail.
    """

    mode: str
    timeline: str
    archived: str
    failed: str
    failed_count: int
    is_failing: bool


def gather(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what proves that the archive works, and wait for it; in check mode nothing, since nothing may be written.

    Raises:
        InputError: the option that the method needs is missing.
        StateError: the archive does not work, or the server has none.
        Unreachable: the server does not answer.
    """
    needed = "directory" if params["method"] == "archive" else "slot"
    if not params[needed]:
        raise InputError("An archive by the method %s was to be proven without the option %s; give it." % (
            params["method"], needed))
    try:
        with login.session(params) as session:
            is_standby = session.rows("SELECT pg_catalog.pg_is_in_recovery() AS is_standby")[0]["is_standby"]
            if is_standby and not (params["check_mode"] and params["login_planned"]):
                raise StateError("An archive was to be proven by a standby, which writes no WAL; ask its primary.")
            if params["check_mode"]:
                return {"file": ""}
            return (_prove_archiver if params["method"] == "archive" else _prove_receiver)(session, params)
    except Unreachable:
        if params["check_mode"] and params["login_planned"]:
            return {"file": ""}
        raise


def is_proven(archiver: Archiver, lies_there: bool) -> bool:
    """Return whether a file of the present timeline was archived, and nothing failed since.

    Args:
        archiver: what the server says.
        lies_there: whether the file that it archived last is in the archive.
    """
    return archiver.archived.startswith(archiver.timeline) and lies_there and not archiver.is_failing


def _read(session: login.Session) -> Archiver:
    return Archiver(**session.rows(_ARCHIVER)[0])


def _prove_archiver(session: login.Session, params: Mapping[str, Any]) -> Dict[str, Any]:
    before = _read(session)
    if before.mode == "off":
        raise StateError("An archive was to be proven and archive_mode is off; turn it on and restart the server.")
    found = place(params["directory"], before.archived)
    if is_proven(before, bool(found)) and not params["complete"]:
        return {"file": found}
    segment = _end_segment(session)

    def has_failed() -> bool:
        now = _read(session)
        return now.is_failing and now.failed_count >= before.failed_count + _TRIES

    wait_until(lambda: bool(place(params["directory"], segment)) or has_failed(), params["timeout"])
    found = place(params["directory"], segment)
    if not found:
        now = _read(session)
        reason = "since %s fails" % now.failed if now.is_failing else "within %d s" % params["timeout"]
        raise StateError("The segment %s was to be archived in %s and did not get there %s: %s" % (
            segment, params["directory"], reason, last_words(params["log_file"])))
    return {"file": found}


def _end_segment(session: login.Session) -> str:
    """End a segment and return its name; without a write since the last one, pg_switch_wal would end none."""
    session.rows("SELECT pg_catalog.pg_logical_emit_message(false, 'pgmahout', 'a segment for the archive')")
    return str(session.rows("SELECT pg_catalog.pg_walfile_name(pg_catalog.pg_switch_wal()) AS name")[0]["name"])


def _prove_receiver(session: login.Session, params: Mapping[str, Any]) -> Dict[str, Any]:
    written = session.rows("SELECT pg_catalog.pg_current_wal_flush_lsn()::text AS lsn")[0]["lsn"]
    query = _SLOT.format(at="%s::pg_catalog.pg_lsn" % literal(written), slot=literal(params["slot"]))
    if not wait_until(lambda: bool(session.rows(query)[0]["has_all"]), params["timeout"]):
        row = session.rows(query)[0]
        reason = "the server has no such slot" if not row["exists"] else (
            "it is behind" if row["active"] else "nothing receives from it")
        raise StateError("The receiver of the slot %s was to have the WAL up to %s on disk and has not after %d s, since %s; "
                         "look at its log." % (params["slot"], written, params["timeout"], reason))
    return {"file": ""}
