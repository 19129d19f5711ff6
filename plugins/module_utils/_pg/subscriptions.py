# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Subscriptions as a resource: where to find what they are, what they are to be, and how to get there."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence

from . import publisher
from .errors import PgError, ServerError, StateError
from .sql import Statement, ident, qualified, statement
from .subscription_plan import SlotStep, Step, plan
from .subscription_state import ABSENT, Wanted, desired, oid_of, read, unready_tables

if TYPE_CHECKING:
    from .login import Session

__all__ = ["ABSENT", "apply", "desired", "plan", "read", "settle"]

#: What the letters of pg_subscription_rel.srsubstate stand for (chapter 53.55).
_STATES = {"i": "not begun", "d": "being copied", "f": "copied, catching up", "s": "synchronized, not yet ready"}

#: How long the workers of a subscription that was disabled are awaited.
_GRACE_SECONDS = 5


def apply(session: Session, wanted: Wanted, steps: Sequence[Any]) -> Dict[str, Any]:
    """Do the steps; nothing is done when the publisher lacks what they need.

    Raises:
        StateError: the publisher lacks a publication or a usable slot, or cannot be reached.
        ServerError: a server refused a statement.
    """
    session.rows("SET statement_timeout TO %d" % (wanted.timeout * 1000))
    if not wanted.present:
        return _drop(session, wanted, steps)
    if not any(isinstance(step, SlotStep) or step.publications for step in steps):
        for step in steps:
            _do(session, wanted, step)
        return {}
    keywords = wanted.conninfo or _stored_conninfo(session, wanted)
    with publisher.connect(keywords, wanted.timeout) as far:
        _check(session, far, wanted, steps)
        try:
            for step in steps:
                if isinstance(step, SlotStep):
                    _do_slot(far, wanted, step)
                else:
                    _do(session, wanted, step)
        except PgError:
            with suppress(PgError):
                for step in steps:
                    if isinstance(step, Step) and step.gives_back:
                        session.execute(step.statement)
            raise
    return _revive(session, wanted, steps)


def _stored_conninfo(session: Session, wanted: Wanted) -> Mapping[str, str]:
    found = read(session, wanted._replace(refresh=False)).subscription
    return (found.conninfo if found else None) or {}


def _do(session: Session, wanted: Wanted, step: Step) -> None:
    if step.needs_stop:
        _insist(session, step.statement)
    else:
        session.execute(step.statement)
    if step.stops:
        # A worker that tries to reach its publisher ends late; what needs it to be gone refuses in its own words.
        workers = ("SELECT FROM pg_catalog.pg_stat_subscription WHERE pid IS NOT NULL AND subid = %s"
                   % oid_of(session, wanted.name))
        publisher.await_true(lambda: not session.rows(workers), _GRACE_SECONDS)
    if step.is_awaited:
        _await_worker(session, wanted)


def _await_worker(session: Session, wanted: Wanted) -> None:
    """Wait until the apply worker of this moment is gone or was seen idle between two transactions.

    Whatever it does next begins with reading the subscription and its tables, so that it knows what was changed. A change
    of the publications makes it end there and start again; a refresh or a setting does not.
    """
    busy = ("SELECT w.pid FROM pg_catalog.pg_stat_subscription w LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = w.pid"
            " WHERE w.subid = %s AND w.pid IS NOT NULL AND w.relid IS NULL%s"
            " AND (a.wait_event = 'LogicalApplyMain' AND a.xact_start IS NULL) IS NOT TRUE"
            % (oid_of(session, wanted.name), " AND w.leader_pid IS NULL" if session.version_num >= 160000 else ""))
    first = {row["pid"] for row in session.rows(busy)}
    publisher.await_true(lambda: not first.intersection(row["pid"] for row in session.rows(busy)), _GRACE_SECONDS)


def _revive(session: Session, wanted: Wanted, steps: Sequence[Any]) -> Dict[str, Any]:
    """Enable the subscription again where an error of a worker that lost a table has disabled it nevertheless."""
    is_at_risk = any(isinstance(step, Step) and step.is_awaited for step in steps)
    if not is_at_risk or unready_tables(session, wanted.name)[0]:
        return {}
    again = statement("ALTER SUBSCRIPTION %s ENABLE" % ident(wanted.name))
    session.execute(again)
    return {"warnings": ["An error disabled the subscription %r while its tables changed, so that it was enabled again by "
                         "%s; the error is in the subscriber's log." % (wanted.name, again.shown)]}


def _insist(session: Session, step: Statement) -> None:
    """Run a statement that is refused (55000) while a worker runs, which may be one that was only just starting."""
    refusals: List[ServerError] = []

    def is_accepted() -> bool:
        try:
            session.execute(step)
        except ServerError as error:
            if error.sqlstate != "55000":
                raise
            refusals.append(error)
            return False
        return True

    if not publisher.await_true(is_accepted, _GRACE_SECONDS):
        raise refusals[-1]


def _do_slot(far: Session, wanted: Wanted, step: SlotStep) -> None:
    """Make the slot where it is missing; the copy of one that it replaces when that is still there."""
    is_copied = step.replaced is not None and publisher.slot(far, step.replaced) is not None
    if publisher.slot(far, step.name) is None:
        try:
            far.rows(publisher.copying(step.replaced or "", step.name) if is_copied else publisher.making(step.name))
        except ServerError as error:
            if error.sqlstate != "57014":
                raise
            raise StateError("The replication slot %r could not be made on the publisher in %d s, since that waits for the "
                             "transactions which run there; end them or give a longer timeout, then run again."
                             % (step.name, wanted.timeout)) from None
    if is_copied and step.make:
        publisher.drop_slot(far, step.replaced or "", wanted.timeout)


def _check(session: Session, far: Session, wanted: Wanted, steps: Sequence[Any]) -> None:
    """Refuse the steps while nothing is done yet."""
    names = {name for step in steps if isinstance(step, Step) for name in step.publications}
    missing = publisher.missing_publications(far, sorted(names)) if names else ()
    if missing:
        raise StateError("The publisher has no publication %s, which the subscription %r is to have; create it there first, "
                         "or correct the option publications." % (", ".join(map(repr, missing)), wanted.name))
    for step in steps:
        if isinstance(step, SlotStep):
            _check_slot(session, far, wanted, step)


def _check_slot(session: Session, far: Session, wanted: Wanted, step: SlotStep) -> None:
    slot = publisher.slot(far, step.name)
    named = "The replication slot %r of the subscription %r" % (step.name, wanted.name)
    if slot is None:
        if not step.make:
            raise StateError("%s does not exist on the publisher, and create_slot is false; make it there first." % named)
        if not step.is_first and not _is_there(far, step.replaced) and _has_received(session, wanted.name):
            raise StateError("%s is gone from the publisher, so that changes are lost; drop the subscription, empty its "
                             "tables and make it again." % named)
        return
    if not slot.fits:
        raise StateError("%s exists on the publisher with another type, plugin or database; choose another slot_name."
                         % named)
    if slot.lost:
        raise StateError("%s has lost WAL that the subscription needs; drop it on the publisher, empty the tables and "
                         "make the subscription again." % named)
    if slot.active and step.is_claimed:
        raise StateError("%s is in use by another subscriber; choose another slot_name." % named)
    replaced = step.replaced
    if replaced is not None and _is_there(far, replaced) and not publisher.await_true(
            lambda: publisher.has_passed(far, replaced, step.name), wanted.timeout):
        raise StateError("%s begins on the publisher after what was received through %r, even after %d s, so that changes "
                         "would be lost; drop the new slot and it is made as a copy."
                         % (named, replaced, wanted.timeout))


def _is_there(far: Session, name: Optional[str]) -> bool:
    return name is not None and publisher.slot(far, name) is not None


def _has_received(session: Session, name: str) -> bool:
    """Return whether a subscription has copied a table or applied a change."""
    oid = oid_of(session, name)
    return bool(session.rows(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_subscription_rel WHERE srsubid = %s AND srsublsn IS NOT NULL)"
        " OR pg_catalog.pg_replication_origin_progress('pg_%s', true) IS NOT NULL AS has" % (oid, oid))[0]["has"])


def _drop(session: Session, wanted: Wanted, steps: Sequence[Step]) -> Dict[str, Any]:
    """Drop the subscription with its slot, or without it where the publisher has none or is gone."""
    for pause in steps[:-1]:
        _do(session, wanted, pause)
    try:
        session.execute(steps[-1].statement)
        return {}
    except ServerError as refusal:
        try:
            return _drop_alone(session, wanted, refusal)
        except PgError:
            if steps[:-1]:
                session.execute(statement("ALTER SUBSCRIPTION %s ENABLE" % ident(wanted.name)))
            raise


def _drop_alone(session: Session, wanted: Wanted, refusal: ServerError) -> Dict[str, Any]:
    # PostgreSQL 13 has no code of its own for a publisher that does not answer; 57014 is the end of the time-out.
    may_be_gone = refusal.sqlstate.startswith(("08", "XX", "57014"))
    found = read(session, wanted._replace(present=True, refresh=False)).subscription if may_be_gone else None
    if found is None or found.slot_name is None:
        raise refusal
    slot, left = found.slot_name, []
    try:
        with publisher.connect(found.conninfo or {}, wanted.timeout) as far:
            if publisher.slot(far, slot) is not None:
                raise refusal
    except StateError as error:
        if not wanted.detach:
            raise StateError("The subscription %r was to be dropped and its publisher, where the replication slot %r would "
                             "stay and retain WAL, does not answer; bring it back, or set on_unreachable_publisher to "
                             "detach. %s" % (wanted.name, slot, error)) from None
        left = [slot] + _sync_slots(session, found.oid)
    name = ident(wanted.name)
    session.execute(statement("ALTER SUBSCRIPTION %s DISABLE; ALTER SUBSCRIPTION %s SET (slot_name = NONE); "
                              "DROP SUBSCRIPTION %s" % (name, name, name)))
    if not left:
        return {}
    return {"slots_left": left, "warnings": [
        "The publisher of the subscription %r did not answer; there the replication slots %s are left, which retain WAL "
        "until they are dropped." % (wanted.name, ", ".join(left))]}


def _sync_slots(session: Session, oid: str) -> List[str]:
    """Return the slots of initial copies that are under way (since PostgreSQL 14; chapter 29.9)."""
    if session.version_num < 140000:
        return []
    return [row["slot"] for row in session.rows(
        "SELECT pg_catalog.format('pg_%%s_sync_%%s_%%s', r.srsubid, r.srrelid, c.system_identifier) AS slot"
        " FROM pg_catalog.pg_subscription_rel r, pg_catalog.pg_control_system() c"
        " WHERE r.srsubid = %s AND r.srsubstate IN ('d', 'f') ORDER BY r.srrelid" % oid)]


def settle(session: Session, wanted: Wanted) -> None:
    """Wait until every table is ready, where that was asked for.

    Raises:
        StateError: one is not after ``timeout`` seconds, or the subscription was disabled meanwhile.
    """
    if not (wanted.present and wanted.wait_for_sync):
        return
    unready: List[Any] = []

    def is_ready() -> bool:
        enabled, unready[:] = unready_tables(session, wanted.name)
        if unready and not enabled:
            raise StateError("The subscription %r was disabled while its tables were awaited; %s. The reason is in the "
                             "subscriber's log." % (wanted.name, _first(unready)))
        return not unready

    if not publisher.await_true(is_ready, wanted.timeout):
        raise StateError("The subscription %r is not in sync after %d s; %s. Look into the subscriber's log, or give a "
                         "longer timeout." % (wanted.name, wanted.timeout, _first(unready)))


def _first(unready: Sequence[Any]) -> str:
    schema, table, state = min(unready)
    others = " (and %d more are not ready)" % (len(unready) - 1) if len(unready) > 1 else ""
    return "the table %s is in state %s, %s%s" % (qualified(schema, table), state, _STATES.get(state, "unknown"), others)
