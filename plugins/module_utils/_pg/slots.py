# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replication slots, physical and logical (PostgreSQL's documentation, chapters 26.2.6, 47.2.2 and 53.20)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import version
from .errors import InputError, StateError
from .instance import wait_until
from .plan import Plan
from .sql import Statement, boolean, ident, literal, statement

if TYPE_CHECKING:
    from .login import Session

_NAME = re.compile(r"\A[a-z0-9_]{1,63}\Z")

#: What is reported of a slot, and the major version that brought it.
_COLUMNS = {"slot_type": 13, "plugin": 13, "database": 13, "temporary": 13, "active": 13, "active_pid": 13,
            "restart_lsn": 13, "confirmed_flush_lsn": 13, "wal_status": 13, "two_phase": 14, "failover": 17,
            "synced": 17, "invalidation_reason": 17}

#: Commands that only a connection in replication mode understands (chapter 54.4).
_ALTER = "ALTER_REPLICATION_SLOT"


class Wanted(NamedTuple):
    """What was asked for; ``two_phase`` and ``failover`` are left alone when ``None``.

    Attributes:
        free_planned: whether what uses the slots will have been stopped by then.
        is_ending: whether what uses the slots has been told to stop, and may take a moment.
    """

    names: Tuple[str, ...]
    state: str
    slot_type: str
    plugin: Optional[str]
    reserve_wal: bool
    two_phase: Optional[bool]
    failover: Optional[bool]
    recreate: bool
    free_planned: bool = False
    is_ending: bool = False


class Current(NamedTuple):
    """What a server has.

    Attributes:
        slots: by name, the columns of ``pg_replication_slots``, as far as this version has them, and ``lost``.
        database: the database of this login, in which a new logical slot would be.
        is_standby: whether the server is in recovery.
    """

    slots: Mapping[str, Mapping[str, Any]]
    version_num: int
    database: Optional[str]
    is_standby: bool


#: A server that does not exist yet.
ABSENT = Current({}, version.NEWEST * 10000, None, False)


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: a name is none that a slot can have, or options contradict each other.
    """
    names = [params["name"]] if params["slots"] is None else params["slots"]
    for name in names:
        if _NAME.match(name) is None:
            raise InputError("The slot name %r is not made of 1 to 63 lower-case letters, digits and underscores; "
                             "choose one that is." % name)
        if names.count(name) > 1:
            raise InputError("The option slots names %r twice; name it once." % name)
    is_physical = params["slot_type"] == "physical"
    for option in ("plugin", "two_phase", "failover"):
        if is_physical and params[option]:
            raise InputError("The option %s is %s, and a physical slot has none; set slot_type to logical or leave "
                             "it out." % (option, str(params[option]).lower()))
    if params["reserve_wal"] and not is_physical:
        raise InputError("The option reserve_wal is true, and a logical slot always reserves WAL; leave it out.")
    return Wanted(tuple(names), params["state"], params["slot_type"],
                  None if is_physical else params["plugin"] or "pgoutput", params["reserve_wal"],
                  None if is_physical else params["two_phase"], None if is_physical else params["failover"],
                  params["on_mismatch"] == "recreate", params["free_planned"] and params["check_mode"],
                  params["free_planned"] and not params["check_mode"])


#: How long a WAL sender whose standby has left it may take to end, in seconds.
_ENDING = 10


def read(session: Session, wanted: Wanted) -> Current:
    """Return the present state, in one query however many slots are asked about."""
    columns = [name for name, since in _COLUMNS.items() if version.major(session.version_num) >= since]
    names = ", ".join(literal(name) for name in wanted.names) or "NULL"
    query = ("SELECT current_database() AS here, pg_is_in_recovery() AS is_standby, s.slot_name, %s"
             " FROM (SELECT 1) AS once LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name IN (%s)"
             % (", ".join("s.%s" % name for name in columns), names))
    if wanted.is_ending:
        wait_until(lambda: not any(row["active"] for row in session.rows(query)), _ENDING)
    rows = session.rows(query)
    slots = {row["slot_name"]: dict({name: row[name] for name in columns}, lost=_is_lost(row))
             for row in rows if row["slot_name"] is not None}
    return Current(slots, session.version_num, rows[0]["here"], rows[0]["is_standby"])


def _is_lost(row: Mapping[str, Any]) -> bool:
    return row["wal_status"] == "lost" or bool(row.get("invalidation_reason"))


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return how the slots become what was asked for.

    Raises:
        InputError: the server's version lacks an option.
        StateError: a slot differs in what cannot be changed, or is in use.
    """
    if wanted.state == "present":
        _require_versions(current, wanted)
    steps: List[Statement] = []
    before: Dict[str, Any] = {}
    after: Dict[str, Any] = {}
    warnings, found = [], []
    for name in wanted.names:
        slot = current.slots.get(name)
        before[name] = None if slot is None else _identity(slot)
        after[name] = None
        if wanted.state == "absent":
            steps.extend([] if slot is None else [_drop(name, dict(slot, active=slot["active"] and not wanted.free_planned))])
            continue
        is_new = slot is None or _is_to_be_recreated(current, wanted, name, slot)
        if is_new:
            steps.extend([] if slot is None else [_drop(name, slot)])
            steps.append(_create(wanted, name))
        elif slot is not None:
            steps.extend(_changes(wanted, name, slot))
        if slot is not None and slot["lost"] and not is_new:
            warnings.append("The slot %s is lost, since the server removed WAL that it needed; set on_mismatch to "
                            "recreate and clone its standby or subscriber anew." % name)
        after[name] = _identity_after(current, wanted, None if is_new else slot)
        found.append(_report(name, None if is_new else slot, after[name]))
    return Plan(tuple(steps), before, after, {"slots": found}, tuple(warnings))


def apply(session: Session, wanted: Wanted, steps: Sequence[Statement]) -> Dict[str, Any]:
    """Send the statements, commands of the replication protocol over a connection of that kind, and read again."""
    for step in steps:
        if not step.text.startswith(_ALTER):
            session.execute(step)
            continue
        sender = session.beside(replication="database")
        try:
            sender.execute(step)
        finally:
            sender.close()
    slots = read(session, wanted).slots
    return {"slots": [dict(slots[name], name=name) for name in wanted.names if name in slots]}


def _require_versions(current: Current, wanted: Wanted) -> None:
    for option, since in (("two_phase", 14), ("failover", 17)):
        if getattr(wanted, option) is not None:
            version.require(option, since, current.version_num)
    if wanted.slot_type == "logical" and current.is_standby and version.major(current.version_num) < 16:
        raise StateError("Logical slots were asked for on a standby of version %d, which PostgreSQL has since 16; make "
                         "them on the primary." % version.major(current.version_num))


def _is_to_be_recreated(current: Current, wanted: Wanted, name: str, slot: Mapping[str, Any]) -> bool:
    differences = _differences(current, wanted, slot)
    if differences and not wanted.recreate:
        raise StateError("The slot %s was asked to be another than it is (%s); set on_mismatch to recreate, which "
                         "gives up its position, or choose another name." % (name, ", ".join(differences)))
    if differences or slot["lost"]:
        return wanted.recreate
    # A slot that reserves nothing has no position to lose, so making it anew is safe.
    return wanted.reserve_wal and slot["restart_lsn"] is None and not slot["active"]


def _changes(wanted: Wanted, name: str, slot: Mapping[str, Any]) -> List[Statement]:
    """Return what alters a slot that keeps its position."""
    changes = ["%s %s" % (option.upper(), boolean(getattr(wanted, option))) for option in ("two_phase", "failover")
               if getattr(wanted, option) not in (None, slot.get(option))]
    if not changes:
        return []
    if slot["active"]:
        raise StateError("The slot %s was asked to become %s and is in use by the process with pid %s; stop that "
                         "first, or alter its subscription." % (name, ", ".join(changes), slot["active_pid"]))
    return [statement("%s %s (%s)" % (_ALTER, ident(name), ", ".join(changes)))]


def _differences(current: Current, wanted: Wanted, slot: Mapping[str, Any]) -> List[str]:
    """Return in words what only a new slot can change."""
    differences = []
    if slot["slot_type"] != wanted.slot_type:
        differences.append("%s, not %s" % (slot["slot_type"], wanted.slot_type))
    elif wanted.slot_type == "logical":
        if slot["plugin"] != wanted.plugin:
            differences.append("plugin %s, not %s" % (slot["plugin"], wanted.plugin))
        if slot["database"] != current.database:
            differences.append("database %r, not %r" % (slot["database"], current.database))
        if version.major(current.version_num) < 18 and wanted.two_phase not in (None, slot.get("two_phase")):
            differences.append("two_phase %s, not %s" % (boolean(slot["two_phase"]), boolean(not slot["two_phase"])))
    if slot["temporary"]:
        differences.append("temporary")
    return differences


def _create(wanted: Wanted, name: str) -> Statement:
    if wanted.slot_type == "physical":
        return statement("SELECT pg_catalog.pg_create_physical_replication_slot(%s, %s)"
                         % (literal(name), boolean(wanted.reserve_wal)))
    arguments = [literal(name), literal(wanted.plugin), "false"]
    if wanted.two_phase or wanted.failover:
        arguments.append(boolean(bool(wanted.two_phase)))
    if wanted.failover:
        arguments.append("true")
    return statement("SELECT pg_catalog.pg_create_logical_replication_slot(%s)" % ", ".join(arguments))


def _drop(name: str, slot: Mapping[str, Any]) -> Statement:
    if slot["active"]:
        raise StateError("The slot %s was asked to be dropped and is in use by the process with pid %s; stop its "
                         "standby or subscription first." % (name, slot["active_pid"]))
    return statement("SELECT pg_catalog.pg_drop_replication_slot(%s)" % literal(name))


def _identity(slot: Mapping[str, Any]) -> Dict[str, Any]:
    """Return that part of a slot that stays as it is while the slot is in use."""
    shown = {"slot_type": slot["slot_type"], "lost": slot["lost"], "reserves_wal": slot["restart_lsn"] is not None}
    if slot["slot_type"] == "logical":
        shown.update({key: slot[key] for key in ("plugin", "database", "two_phase", "failover") if key in slot})
    return shown


def _identity_after(current: Current, wanted: Wanted, kept: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    if kept is not None:
        shown = _identity(kept)
    else:
        shown = {"slot_type": wanted.slot_type, "lost": False,
                 "reserves_wal": wanted.reserve_wal or wanted.slot_type == "logical"}
        if wanted.slot_type == "logical":
            shown.update(plugin=wanted.plugin, database=current.database)
            shown.update({key: False for key, since in (("two_phase", 14), ("failover", 17))
                          if version.major(current.version_num) >= since})
    shown.update({key: getattr(wanted, key) for key in ("two_phase", "failover") if getattr(wanted, key) is not None})
    return shown


def _report(name: str, slot: Optional[Mapping[str, Any]], after: Mapping[str, Any]) -> Dict[str, Any]:
    """Return a slot as the module's result; what only the server knows is null for one that is still to be made."""
    known = dict.fromkeys(_COLUMNS) if slot is None else dict(slot)
    known.update({key: value for key, value in after.items() if key in _COLUMNS or key == "lost"}, name=name)
    return known
