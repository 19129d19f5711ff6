# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from what a subscription is to what it is to be: a pure function (PostgreSQL's documentation, chapter 29.2).

A subscription is born disabled and without a slot, claims the slot's name, then the slot is made, then it is enabled: at
no moment is there a slot that no subscription owns, wherever a run is killed.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

from . import conninfo, publisher, version
from .errors import InputError, StateError
from .plan import Plan
from .sql import Statement, boolean, ident, idents, literal, statement
from .subscription_state import SINCE, SLOT_NAME, SPECIAL, Current, Subscription, Wanted


class SlotStep(NamedTuple):
    """A replication slot that the publisher must have before the next step.

    Attributes:
        make: whether it is made where it is missing; else it is only looked for.
        replaced: the slot whose place it takes; it becomes a copy of that one, which is dropped.
        is_claimed: the subscription did not own it so far, so that whatever uses it is somebody else.
        is_first: the subscription is new, so that no change can have been missed.
    """

    name: str
    make: bool
    replaced: Optional[str] = None
    is_claimed: bool = False
    is_first: bool = False

    @property
    def shown(self) -> str:
        """What people may see of it."""
        if not self.make:
            return "-- the publisher must have the replication slot %s" % self.name
        if self.replaced is None:
            return publisher.making(self.name) + " -- on the publisher, unless it is there"
        return "%s, pg_catalog.pg_drop_replication_slot(%s) -- on the publisher" % (
            publisher.copying(self.replaced, self.name), literal(self.replaced))


class Step(NamedTuple):
    """A statement for the subscriber.

    Attributes:
        publications: those that the publisher must have, or no step at all is done.
        stops: whether the subscription's workers end by it.
        needs_stop: whether the server refuses it while one of them runs.
        is_awaited: whether the next step waits until the apply worker acts by it.
        gives_back: whether it is done even where a step fails, since it undoes an earlier one.
    """

    statement: Statement
    publications: Tuple[str, ...] = ()
    stops: bool = False
    needs_stop: bool = False
    is_awaited: bool = False
    gives_back: bool = False

    @property
    def shown(self) -> str:
        """What people may see of it."""
        return self.statement.shown


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps from what is to what is wanted.

    Raises:
        InputError: the server's version lacks an option, or a new subscription lacks one.
        StateError: what is there cannot become what is wanted.
    """
    found = current.subscription
    if not wanted.present:
        dropping = [] if found is None else _dropping(found, ident(wanted.name))
        return Plan(dropping, {"state": "present" if dropping else "absent"}, {"state": "absent"})
    for option in wanted.settings:
        version.require(option, SINCE[option], current.version_num)
    if wanted.settings.get("streaming") == "parallel":
        version.require("streaming: parallel", 16, current.version_num)
    slot = _slot_name(found, wanted)
    _check_owner(current, wanted)
    if found is None:
        return Plan(_creation(wanted, slot), {"state": "absent"}, _shown_after(current, wanted, slot))
    left = [found.slot_name] if found.slot_name and slot != found.slot_name and not (slot and wanted.create_slot) else []
    return Plan(_alteration(current, found, wanted, slot), _shown_before(found, wanted),
                _shown_after(current, wanted, slot), {"slots_left": left} if left else {})


def _dropping(found: Subscription, name: str) -> List[Any]:
    drop = Step(statement("DROP SUBSCRIPTION %s" % name))
    # A copy that begins makes a slot, which on one server waits for the drop's transaction, and the drop for that slot.
    return [_disable(name), drop] if found.enabled else [drop]


def _slot_name(found: Optional[Subscription], wanted: Wanted) -> Optional[str]:
    """Return the slot that the subscription is to have."""
    if wanted.slot_name is not None:
        return None if wanted.slot_name == "none" else wanted.slot_name
    if found is not None and (found.slot_name or not wanted.enabled):
        return found.slot_name
    if SLOT_NAME.match(wanted.name) is None or wanted.name == "none":
        raise InputError("The subscription's name %r cannot be a replication slot's too; give slot_name, of lower-case "
                         "letters, digits and underscores." % wanted.name)
    return wanted.name


def _check_owner(current: Current, wanted: Wanted) -> None:
    """Refuse an owner with whom the subscription could not run (CREATE SUBSCRIPTION, password_required)."""
    found = current.subscription
    is_old = version.major(current.version_num) < SINCE["password_required"]
    if current.owner_is_superuser is not False or (is_old and found is not None and wanted.owner in (None, found.owner)):
        return
    if is_old:
        raise StateError("The subscription %r was to have an owner who is not a superuser, and before PostgreSQL 16 only "
                         "superusers may own one; choose another owner or login_user." % wanted.name)
    keywords = wanted.conninfo if found is None or wanted.conninfo is not None else found.conninfo
    is_required = wanted.settings.get("password_required", found.settings["password_required"] if found else True)
    if is_required and not (keywords or {}).get("password"):
        raise StateError("The subscription %r is owned by a role that is not a superuser, and its conninfo has no password; "
                         "give conninfo a password, or set password_required to false." % wanted.name)


def _creation(wanted: Wanted, slot: Optional[str]) -> List[Any]:
    if not wanted.conninfo or not wanted.publications:
        raise InputError("The subscription %r does not exist; conninfo and publications are needed to make it."
                         % wanted.name)
    name = ident(wanted.name)
    options = dict(wanted.settings, enabled=False, create_slot=False, copy_data=wanted.copy_data)
    # The slot may be one that exists already; ALTER SUBSCRIPTION changes the slot too, and only that does.
    failover = options.pop("failover", False)
    head = "CREATE SUBSCRIPTION %s CONNECTION " % name
    tail = " PUBLICATION %s WITH (slot_name = NONE, %s)" % (idents(wanted.publications), _assignments(options))
    if slot is not None:
        tail += "; " + _set(name, {"slot_name": slot})
    if wanted.owner is not None:
        tail += "; " + _owner(name, wanted.owner)
    if wanted.comment:
        tail += "; " + _comment(name, wanted.comment)
    # Several statements in one message are one transaction (chapter 54.2.2.1), so that no error leaves half of them.
    text, shown = _connection(wanted.conninfo)
    steps: List[Any] = [Step(Statement(head + text + tail, head + shown + tail), wanted.publications)]
    if slot is not None:
        steps.append(SlotStep(slot, wanted.create_slot, is_claimed=True, is_first=True))
    if failover:
        steps.append(_set_special(name, {"failover": True}))
    if wanted.enabled:
        steps.append(_enable(name))
    return steps


class _Way:
    """The steps so far, and whether the subscription is enabled after them."""

    def __init__(self, name: str, enabled: bool) -> None:
        self.name = name
        self.enabled = enabled
        self.steps: List[Any] = []

    def enable(self, wanted: bool) -> None:
        """Enable or disable, unless it is so already."""
        if wanted != self.enabled:
            self.steps.append(_enable(self.name) if wanted else _disable(self.name))
            self.enabled = wanted

    def alter(self, text: str, publications: Tuple[str, ...] = (), **marks: bool) -> None:
        """Add a statement without secrets; the marks are attributes of ``Step``."""
        self.steps.append(Step(statement(text), publications, **marks))


def _alteration(current: Current, found: Subscription, wanted: Wanted, slot: Optional[str]) -> List[Any]:
    """Return the steps; what needs a disabled subscription comes in two parts, with the refresh between.

    While two-phase commit is in use no table can be copied (chapter 29.2, and ALTER SUBSCRIPTION), so that it ends before
    a refresh and begins after one. Of a slot that is copied, two_phase and failover are not copied with it.
    """
    name = ident(wanted.name)
    way = _Way(name, found.enabled)
    is_moved = slot is not None and found.slot_name is not None and slot != found.slot_name
    ends, begins = _special(current, found, wanted, is_moved)
    if wanted.conninfo is not None and wanted.conninfo != found.conninfo:
        text, shown = _connection(wanted.conninfo)
        head = "ALTER SUBSCRIPTION %s CONNECTION " % name
        way.steps.append(Step(Statement(head + text, head + shown)))
    is_guarded = _is_guarded(current, found, wanted, ends)
    plain = {key: value for key, value in wanted.settings.items()
             if key not in SPECIAL and value != found.settings[key] and not (is_guarded and key == "disable_on_error")}
    if plain:
        way.alter(_set(name, plain))
    if slot is not None and slot == found.slot_name and wanted.enabled and not found.enabled:
        way.steps.append(SlotStep(slot, wanted.create_slot))
    if ends:
        way.enable(False)
        way.steps.append(_set_special(name, ends))
    _change_slot(way, found, wanted, slot)
    _change_publications(way, current, found, wanted, ends)
    if begins:
        way.enable(False)
        way.steps.append(_set_special(name, begins))
    way.enable(wanted.enabled)
    if wanted.owner not in (None, found.owner):
        way.alter(_owner(name, wanted.owner or ""))
    if wanted.comment not in (None, found.comment):
        way.alter(_comment(name, wanted.comment or ""))
    return way.steps


def _special(current: Current, found: Subscription, wanted: Wanted,
             is_moved: bool) -> Tuple[Dict[str, bool], Dict[str, bool]]:
    """Return which special settings end before the slot is changed, and which begin after that.

    Raises:
        StateError: one of them cannot be changed in this version.
    """
    ends, begins = {}, {}
    for key, since in SPECIAL.items():
        before = found.settings.get(key, False)
        after = wanted.settings.get(key, before)
        if before == after and not (is_moved and before):
            continue
        if version.major(current.version_num) < since:
            raise StateError(
                "The subscription %r has %s = %s, which PostgreSQL %d can neither change nor keep with another slot (%d "
                "can); leave %s and slot_name as they are, or drop the subscription first."
                % (wanted.name, key, boolean(before), version.major(current.version_num), since, key))
        if before:
            ends[key] = False
        if after:
            begins[key] = True
    return ends, begins


def _change_slot(way: _Way, found: Subscription, wanted: Wanted, slot: Optional[str]) -> None:
    if slot == found.slot_name:
        return
    way.enable(False)
    if slot is not None:
        way.steps.append(SlotStep(slot, wanted.create_slot, found.slot_name, is_claimed=True))
    way.alter(_set(way.name, {"slot_name": slot}))


def _two_phase_runs(found: Subscription, ends: Mapping[str, bool]) -> bool:
    return found.two_phase_runs and "two_phase" not in ends


def _is_new(found: Subscription, wanted: Wanted) -> bool:
    return wanted.publications is not None and frozenset(wanted.publications) != found.publications


def _is_refreshed(current: Current, found: Subscription, wanted: Wanted, ends: Mapping[str, bool]) -> bool:
    """Return whether the tables are asked for anew; a disabled subscription is refreshed once it is enabled."""
    is_stale = current.published is not None and current.published != frozenset(found.tables)
    return wanted.enabled and (_is_new(found, wanted) or is_stale
                               or not (found.enabled or _two_phase_runs(found, ends)))


def _is_guarded(current: Current, found: Subscription, wanted: Wanted, ends: Mapping[str, bool]) -> bool:
    """Return whether disable_on_error, which is wanted, has to be off while tables leave the subscription.

    A worker that is about to note a table as ready fails where the table has just left ("subscription table ... does not
    exist"). It starts again and knows better, unless that error disables the subscription.
    """
    is_on = wanted.settings.get("disable_on_error", found.settings.get("disable_on_error", False))
    may_leave = frozenset(found.tables) - (current.published or frozenset())
    return bool(is_on and may_leave) and _is_refreshed(current, found, wanted, ends)


def _change_publications(way: _Way, current: Current, found: Subscription, wanted: Wanted,
                         ends: Mapping[str, bool]) -> None:
    """Add the change of the publications, or the refresh, and have disable_on_error off meanwhile where that matters."""
    is_new, is_refreshed = _is_new(found, wanted), _is_refreshed(current, found, wanted, ends)
    if not (is_new or is_refreshed):
        return
    if is_refreshed and wanted.copy_data and _two_phase_runs(found, ends):
        raise StateError("The subscription %r is in two_phase, in which PostgreSQL cannot copy the tables of a refresh; "
                         "give copy_data: false and copy them yourself, or two_phase: false (PostgreSQL 18)."
                         % wanted.name)
    is_guarded = _is_guarded(current, found, wanted, ends)
    is_on = is_guarded and found.settings["disable_on_error"]
    if is_on:
        way.alter(_set(way.name, {"disable_on_error": False}), is_awaited=True)
    publications = tuple(sorted(wanted.publications or found.publications))
    way.enable(wanted.enabled)
    options = _assignments({"copy_data": wanted.copy_data} if is_refreshed else {"refresh": False})
    change = "SET PUBLICATION " + idents(publications) if is_new else "REFRESH PUBLICATION"
    way.alter("ALTER SUBSCRIPTION %s %s WITH (%s)" % (way.name, change, options), publications, is_awaited=is_guarded)
    if is_guarded:
        way.alter(_set(way.name, {"disable_on_error": True}), gives_back=is_on)


def _connection(keywords: Mapping[str, str]) -> Tuple[str, str]:
    return literal(conninfo.render(keywords)), literal(conninfo.render(conninfo.masked(keywords)))


def _assignments(options: Mapping[str, Any]) -> str:
    return ", ".join("%s = %s" % (key, boolean(value) if isinstance(value, bool) else literal(value))
                     for key, value in options.items())


def _set(name: str, options: Mapping[str, Any]) -> str:
    return "ALTER SUBSCRIPTION %s SET (%s)" % (name, "slot_name = NONE" if options == {"slot_name": None}
                                               else _assignments(options))


def _set_special(name: str, options: Mapping[str, bool]) -> Step:
    return Step(statement(_set(name, options)), needs_stop=True)


def _owner(name: str, owner: str) -> str:
    return "ALTER SUBSCRIPTION %s OWNER TO %s" % (name, ident(owner))


def _comment(name: str, comment: str) -> str:
    return "COMMENT ON SUBSCRIPTION %s IS %s" % (name, literal(comment or None))


def _enable(name: str) -> Step:
    return Step(statement("ALTER SUBSCRIPTION %s ENABLE" % name))


def _disable(name: str) -> Step:
    return Step(statement("ALTER SUBSCRIPTION %s DISABLE" % name), stops=True)


def _shown_before(found: Subscription, wanted: Wanted) -> Dict[str, Any]:
    shown = _shown(found.enabled, found.slot_name, {key: found.settings[key] for key in wanted.settings})
    if wanted.conninfo is not None:
        keywords = found.conninfo or {}
        shown["conninfo"] = conninfo.masked(keywords)
        for key in conninfo.SECRETS:
            if key in keywords and keywords[key] != wanted.conninfo.get(key):
                shown["conninfo"][key] += " (another)"
    if wanted.publications is not None:
        shown["publications"] = sorted(found.publications)
    if wanted.owner is not None:
        shown["owner"] = found.owner
    if wanted.comment is not None:
        shown["comment"] = found.comment
    if wanted.refresh:
        shown["tables"] = _names(found.tables)
    return shown


def _shown_after(current: Current, wanted: Wanted, slot: Optional[str]) -> Dict[str, Any]:
    shown = _shown(wanted.enabled, slot, wanted.settings)
    if wanted.conninfo is not None:
        shown["conninfo"] = conninfo.masked(wanted.conninfo)
    if wanted.publications is not None:
        shown["publications"] = sorted(wanted.publications)
    if wanted.owner is not None:
        shown["owner"] = wanted.owner
    if wanted.comment is not None:
        shown["comment"] = wanted.comment
    if current.published is not None:
        shown["tables"] = _names(current.published)
    return shown


def _shown(enabled: bool, slot: Optional[str], settings: Mapping[str, Any]) -> Dict[str, Any]:
    return dict(state="present", enabled=enabled, slot_name=slot or "none", **settings)


def _names(tables: Iterable[Tuple[str, str]]) -> List[str]:
    return sorted("%s.%s" % names for names in tables)
