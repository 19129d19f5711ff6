# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a subscription is and what it is to be, as values (PostgreSQL's documentation, chapters 29.2 and 53.54)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import conninfo, publisher, version
from .errors import InputError, ServerError, StateError
from .sql import ident, idents, literal

if TYPE_CHECKING:
    from .login import Session

#: The parameters of a subscription that are nothing but values, and the version that brought each.
SINCE = {"synchronous_commit": 13, "binary": 14, "streaming": 14, "two_phase": 15, "disable_on_error": 15,
         "password_required": 16, "run_as_owner": 16, "origin": 16, "failover": 17}

#: Parameters that only a disabled subscription may change, and the version since which it may (ALTER SUBSCRIPTION).
SPECIAL = {"two_phase": 18, "failover": 17}

SLOT_NAME = re.compile(r"\A[a-z0-9_]{1,63}\Z")


class Wanted(NamedTuple):
    """What the options ask for; None means: as it is, and for a new subscription the server's default.

    Attributes:
        slot_name: ``none`` for a subscription without a slot.
        settings: those of ``SINCE`` that were given.
        timeout: in seconds.
        detach: whether a publisher that is gone may keep the slot of a subscription that is dropped.
    """

    name: str
    present: bool
    conninfo: Optional[Mapping[str, str]]
    publications: Optional[Tuple[str, ...]]
    enabled: bool
    copy_data: bool
    create_slot: bool
    slot_name: Optional[str]
    settings: Mapping[str, Any]
    owner: Optional[str]
    comment: Optional[str]
    refresh: bool
    wait_for_sync: bool
    timeout: int
    detach: bool

    @property
    def lock_names(self) -> Tuple[str, ...]:
        """What no other run may change meanwhile."""
        return (self.name,)


class Subscription(NamedTuple):
    """A subscription as the catalog has it.

    Attributes:
        conninfo: None when it was not asked for.
        two_phase_runs: two-phase commit was asked for and is in use; from then on no table can be copied.
        tables: by schema and name, the letter of ``pg_subscription_rel.srsubstate``.
    """

    oid: str
    enabled: bool
    conninfo: Optional[Mapping[str, str]]
    publications: FrozenSet[str]
    slot_name: Optional[str]
    settings: Mapping[str, Any]
    two_phase_runs: bool
    owner: str
    comment: str
    tables: Mapping[Tuple[str, str], str]


class Current(NamedTuple):
    """What is.

    Attributes:
        owner_is_superuser: the same of the role that is to own the subscription; None if it does not exist.
        published: the tables that the publisher offers; None when ``refresh`` did not ask.
    """

    version_num: int
    subscription: Optional[Subscription]
    owner_is_superuser: Optional[bool] = None
    published: Optional[FrozenSet[Tuple[str, str]]] = None


ABSENT = Current(version.NEWEST * 10000, None)


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: an option has a value that can never be right.
    """
    ident(params["name"])
    if params["owner"] is not None:
        ident(params["owner"])
    literal(params["comment"])
    if not 1 <= params["timeout"] <= 2000000:
        raise InputError("The option timeout is %d; give 1 to 2000000 seconds." % params["timeout"])
    keywords = params["conninfo"]
    if keywords is not None:
        keywords = conninfo.parse(conninfo.render(keywords))
    wanted = Wanted(
        name=params["name"], present=params["state"] == "present", conninfo=keywords,
        publications=_publications(params["publications"]), enabled=params["enabled"], copy_data=params["copy_data"],
        create_slot=params["create_slot"], slot_name=params["slot_name"],
        settings={key: params[key] for key in SINCE if params[key] is not None},
        owner=params["owner"], comment=params["comment"], refresh=params["refresh"],
        wait_for_sync=params["wait_for_sync"], timeout=params["timeout"],
        detach=params["on_unreachable_publisher"] == "detach")
    if wanted.present:
        _check_combination(wanted)
    return wanted


def _publications(names: Optional[Sequence[str]]) -> Optional[Tuple[str, ...]]:
    if names is None:
        return None
    idents(names)
    if not names:
        raise InputError("The option publications is an empty list; name at least one publication.")
    if len(set(names)) < len(names):
        raise InputError("The option publications names %r twice; name each once."
                         % next(name for name in names if list(names).count(name) > 1))
    return tuple(names)


def _check_combination(wanted: Wanted) -> None:
    name = wanted.slot_name
    if name is not None and SLOT_NAME.match(name) is None:
        raise InputError("The option slot_name is %r; a slot's name is made of 1 to 63 lower-case letters, digits and "
                         "underscores." % name)
    if name == "none" and wanted.enabled:
        raise InputError("The option slot_name is none and enabled is true; a subscription without a slot needs "
                         "enabled: false.")
    if name == "none" and wanted.settings.get("failover"):
        raise InputError("The option slot_name is none and failover is true, which is the slot's; leave one of them out.")
    if wanted.conninfo is not None and not wanted.conninfo:
        raise InputError("The option conninfo is empty; give at least host and dbname of the publisher.")
    for option in ("refresh", "wait_for_sync"):
        if getattr(wanted, option) and not wanted.enabled:
            raise InputError("The option %s is true and enabled is false; a disabled subscription receives nothing, so "
                             "leave one of them out." % option)


def _tables(condition: str = "true") -> str:
    """Return the expression of a subscription's tables and their states."""
    return ("(SELECT pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, c.relname, r.srsubstate))"
            " FROM pg_catalog.pg_subscription_rel r JOIN pg_catalog.pg_class c ON c.oid = r.srrelid"
            " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE r.srsubid = s.oid AND %s)" % condition)


def _which(name: str) -> str:
    """Return the condition that finds a subscription of the session's database."""
    return ("s.subname = %s AND s.subdbid = (SELECT oid FROM pg_catalog.pg_database"
            " WHERE datname = pg_catalog.current_database())" % literal(name))


def _setting_columns(version_num: int) -> Dict[str, str]:
    """Return how each setting that this version has is read from the catalog."""
    columns = {"synchronous_commit": "s.subsynccommit", "binary": "s.subbinary", "two_phase": "s.subtwophasestate <> 'd'",
               "streaming": "CASE s.substream::text WHEN 'p' THEN 'parallel' WHEN 't' THEN 'on' WHEN 'true' THEN 'on'"
                            " ELSE 'off' END",
               "disable_on_error": "s.subdisableonerr", "password_required": "s.subpasswordrequired",
               "run_as_owner": "s.subrunasowner", "origin": "s.suborigin", "failover": "s.subfailover"}
    return {key: text for key, text in columns.items() if SINCE[key] <= version.major(version_num)}


def _query(wanted: Wanted, version_num: int) -> str:
    columns = ["s.oid::text AS oid", "s.subenabled AS enabled", "s.subpublications AS publications",
               "s.subslotname AS slot_name", "pg_catalog.pg_get_userbyid(s.subowner) AS owner",
               "pg_catalog.obj_description(s.oid, 'pg_subscription') AS comment", _tables() + " AS tables",
               "(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = coalesce(%s, pg_catalog.pg_get_userbyid("
               "s.subowner), current_user)) AS owner_is_superuser" % literal(wanted.owner)]
    if wanted.present:
        columns.append("s.subconninfo AS conninfo")
    if version.major(version_num) >= SINCE["two_phase"]:
        columns.append("s.subtwophasestate = 'e' AS two_phase_runs")
    columns += ["%s AS %s" % (text, key) for key, text in _setting_columns(version_num).items()]
    return "SELECT %s FROM (SELECT) AS always LEFT JOIN pg_catalog.pg_subscription s ON %s" % (
        ", ".join(columns), _which(wanted.name))


def read(session: Session, wanted: Wanted) -> Current:
    """Return the present state: one query, and with ``refresh`` the tables that the publisher offers.

    Raises:
        StateError: the user may not read connection strings, or ``refresh`` cannot ask the publisher.
    """
    row = _rows(session, wanted)[0]
    if row["oid"] is None:
        return Current(session.version_num, None, row["owner_is_superuser"])
    found = Subscription(
        oid=row["oid"], enabled=row["enabled"],
        conninfo=conninfo.parse(row["conninfo"]) if wanted.present else None,
        publications=frozenset(row["publications"]), slot_name=row["slot_name"],
        settings={key: row[key] for key in _setting_columns(session.version_num)},
        two_phase_runs=row.get("two_phase_runs", False), owner=row["owner"], comment=row["comment"] or "",
        tables={(schema, name): state for schema, name, state in row["tables"] or ()})
    return Current(session.version_num, found, row["owner_is_superuser"], _published(session, wanted, found))


def _rows(session: Session, wanted: Wanted) -> List[Dict[str, Any]]:
    try:
        return session.rows(_query(wanted, session.version_num))
    except ServerError as error:
        if error.sqlstate != "42501":
            raise
        raise StateError("The login user may not read pg_subscription.subconninfo, with which the option conninfo is "
                         "compared; grant it SELECT (subconninfo) on that catalog, or log in as a superuser.") from None


def _published(session: Session, wanted: Wanted, found: Subscription) -> Optional[FrozenSet[Tuple[str, str]]]:
    if not wanted.refresh:
        return None
    with publisher.connect(wanted.conninfo or found.conninfo or {}, wanted.timeout) as far:
        return publisher.tables(far, sorted(wanted.publications or found.publications), session.version_num)


def oid_of(session: Session, name: str) -> str:
    """Return the OID of a subscription, by which its workers and its progress are known."""
    return str(session.rows("SELECT s.oid FROM pg_catalog.pg_subscription s WHERE " + _which(name))[0]["oid"])


def unready_tables(session: Session, name: str) -> Tuple[bool, List[Tuple[str, str, str]]]:
    """Return whether a subscription is enabled, and schema, name and state of each table that is not ready.

    Raises:
        StateError: the subscription is gone.
    """
    rows = session.rows("SELECT s.subenabled AS enabled, %s AS tables FROM pg_catalog.pg_subscription s WHERE %s"
                        % (_tables("r.srsubstate <> 'r'"), _which(name)))
    if not rows:
        raise StateError("The subscription %r was dropped while its tables were awaited; run again." % name)
    return rows[0]["enabled"], [tuple(entry) for entry in rows[0]["tables"] or ()]
