# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles that may replicate (PostgreSQL's documentation, chapters 22 and 53.8)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import rights, scram, version
from .errors import InputError, StateError
from .plan import Plan
from .sql import MASK, Statement, ident, idents, literal, statement

if TYPE_CHECKING:
    from .login import Session

_INSTANT = re.compile(r"\A(infinity|\d{4,6}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?"
                      r"( ?(Z|UTC|[+-]\d\d(:?\d\d)?))?)\Z", re.ASCII)
#: How a diff calls the password that was asked for.
_RIGHT = "as given"
_MD5 = re.compile(r"\Amd5[0-9a-f]{32}\Z")

#: How the catalog's time is written: absolute, whatever the session's TimeZone; NULL means that it never comes.
_AS_UTC = "coalesce(nullif((%s AT TIME ZONE 'UTC')::text, 'infinity') || '+00', 'infinity')"


class Wanted(NamedTuple):
    """What was asked for; ``None`` means: leave it alone."""

    name: str
    state: str
    password: Optional[str]
    salt: bytes
    login: Optional[bool]
    replication: Optional[bool]
    connection_limit: Optional[int]
    valid_until: Optional[str]
    member_of: Optional[FrozenSet[str]]
    comment: Optional[str]
    may: Optional[FrozenSet[str]]
    is_planned: bool

    @property
    def lock_names(self) -> Tuple[str, ...]:
        """What no other run may change at the same time."""
        return (self.name,)


class Role(NamedTuple):
    """A role as the catalog has it.

    Attributes:
        valid_until: a time in UTC, or ``infinity``.
        grants: pairs of a role that this one is a member of, and the role that granted it.
        password: the stored verifier; ``None`` when there is none or it was not read.
        dependents: by database, how many objects there need the role; ``""`` stands for what all databases share. The
            functions below are not counted.
        functions: those of ``rights`` that their owner lets it execute in the database of the session.
    """

    superuser: bool
    login: bool
    replication: bool
    connection_limit: int
    valid_until: str
    comment: str
    grants: FrozenSet[Tuple[str, str]]
    password: Optional[str]
    dependents: Mapping[str, int]
    functions: FrozenSet[str] = frozenset()


class Current(NamedTuple):
    """What a server says about the role, and about what the options mean there.

    Attributes:
        user: whom the session is logged in as.
        reads_passwords: whether that user may read the stored verifiers.
        iterations: the server's ``scram_iterations``.
        valid_until: the option's value as a time in UTC.
        known: those roles of the option ``member_of`` that exist.
    """

    role: Optional[Role]
    version_num: int
    user: str
    reads_passwords: bool
    iterations: int
    valid_until: Optional[str]
    known: Optional[FrozenSet[str]]


#: A server that does not exist yet: nobody knows its other roles either.
ABSENT = Current(None, version.NEWEST * 10000, "", True, scram.ITERATIONS, None, None)


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: an option has a value that no server accepts.
    """
    name, password, until = params["name"], params["password"], params["valid_until"]
    ident(name)
    if name.startswith("pg_") or name in ("public", "none"):
        raise InputError("The name %r is one that PostgreSQL keeps for itself; choose one that is neither public nor "
                         "none and does not begin with pg_." % name)
    if password is not None:
        _check_password(name, password)
    if until is not None and _INSTANT.match(until) is None:
        raise InputError("The option valid_until is %r, which is neither infinity nor a time such as "
                         "2030-12-31T23:59:59+00; write it so." % until)
    limit = params["connection_limit"]
    if limit is not None and not -1 <= limit <= 0x7FFFFFFF:
        raise InputError("The option connection_limit is %d; give -1 for no limit, or a number of connections." % limit)
    member_of = params["member_of"]
    if member_of is not None:
        idents(member_of)
        if name in member_of:
            raise InputError("The option member_of of the role %r names the role itself; leave it out." % name)
    return Wanted(name, params["state"], password, os.urandom(16), params["login"], params["replication"], limit, until,
                  None if member_of is None else frozenset(member_of), params["comment"],
                  None if params["may"] is None else frozenset(params["may"]), params["login_planned"])


def _check_password(name: str, password: str) -> None:
    if not password or "\0" in password:
        raise InputError("The password of the role %r is empty or holds a NUL character, which PostgreSQL does not "
                         "accept; give another, or leave the option out." % name)
    try:
        password.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InputError("The password of the role %r is not Unicode text; give another." % name) from None
    if _MD5.match(password):
        raise InputError("The password of the role %r is an md5 hash, of which no SCRAM verifier can be made; give the "
                         "password itself or its SCRAM verifier." % name)


def read(session: Session, wanted: Wanted) -> Current:
    """Return the present state, in one query, or two when a stored verifier is to be compared."""
    row = session.rows(_query(wanted, session.version_num))[0]
    role = None
    if row["superuser"] is not None:
        password = None
        if wanted.password is not None and row["reads_passwords"]:
            password = session.rows("SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = %s"
                                    % literal(wanted.name))[0]["rolpassword"]
        role = Role(row["superuser"], row["login"], row["replication"], row["connection_limit"], row["valid_until"],
                    row["comment"], frozenset((group, grantor) for group, grantor in row["grants"]), password,
                    dict(zip(row["dependent_databases"], row["dependent_counts"])), frozenset(row["functions"]))
    return Current(role, session.version_num, row["session_user"], row["reads_passwords"], int(row["iterations"]),
                   row["wanted_until"], frozenset(row["known"]))


def _query(wanted: Wanted, version_num: int) -> str:
    until = "NULL" if wanted.valid_until is None else _AS_UTC % (literal(wanted.valid_until) + "::timestamptz")
    functions = ", ".join(literal(name) for name in rights.qualified(rights.ALL))
    depends = ("SELECT coalesce(d.datname, '') AS name, count(*)::int AS number FROM pg_catalog.pg_shdepend s"
               " LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid WHERE s.refobjid = r.oid"
               " AND s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass"
               # Memberships are dropped together with the role since version 16, where they became dependencies.
               " AND s.classid <> 'pg_catalog.pg_auth_members'::pg_catalog.regclass"
               # What this module grants it takes away by itself.
               " AND NOT (s.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND s.deptype = 'a'"
               " AND s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
               " AND s.objid = ANY (ARRAY[%s]::pg_catalog.regprocedure[])) GROUP BY 1 ORDER BY 1" % functions)
    return (
        "SELECT session_user, has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT') AS reads_passwords,"
        " %s AS iterations, %s AS wanted_until,"
        " ARRAY(SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname::text = ANY (ARRAY[%s]::text[])) AS known,"
        " r.rolsuper AS superuser, r.rolcanlogin AS login, r.rolreplication AS replication,"
        " r.rolconnlimit AS connection_limit, %s AS valid_until,"
        " coalesce(shobj_description(r.oid, 'pg_authid'), '') AS comment,"
        " ARRAY(SELECT ARRAY[pg_get_userbyid(m.roleid), pg_get_userbyid(m.grantor)]::text[]"
        " FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid) AS grants,"
        " ARRAY(SELECT name::text FROM (%s) AS f) AS dependent_databases,"
        " ARRAY(SELECT number FROM (%s) AS f) AS dependent_counts,"
        # A grant that somebody else passed on cannot be revoked as the owner (see REVOKE), so it is not ours.
        " ARRAY(SELECT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p, pg_catalog.aclexplode(p.proacl) a"
        " WHERE p.oid = ANY (ARRAY[%s]::pg_catalog.regprocedure[]) AND a.grantee = r.oid AND a.grantor = p.proowner)"
        " AS functions"
        " FROM (SELECT %s::text AS name) AS asked LEFT JOIN pg_catalog.pg_roles r ON r.rolname::text = asked.name"
        % ("current_setting('scram_iterations')" if version_num >= 160000 else str(scram.ITERATIONS), until,
           ", ".join(literal(name) for name in sorted(wanted.member_of or ())), _AS_UTC % "r.rolvaliduntil",
           depends, depends, functions, literal(wanted.name)))


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return how the role becomes what was asked for.

    Raises:
        StateError: what the server has forbids it.
    """
    if wanted.state == "absent":
        return _plan_absent(current.role, wanted)
    _refuse_unknown(current, wanted)
    until = wanted.valid_until if current.valid_until is None else current.valid_until
    if current.role is None:
        return _plan_creation(wanted._replace(valid_until=until), current.iterations)
    _refuse_lowering(current.role, wanted)
    return _plan_change(current, current.role, wanted._replace(valid_until=until))


def _plan_absent(role: Optional[Role], wanted: Wanted) -> Plan:
    if role is None:
        return Plan((), {"state": "absent"}, {"state": "absent"})
    if role.superuser:
        raise StateError("The role %r was asked to be absent and is a superuser; take that from it first, if it is "
                         "meant." % wanted.name)
    if role.dependents:
        places = " and ".join("%d in %s" % (number, "database %r" % database if database else "what databases share")
                              for database, number in sorted(role.dependents.items()))
        raise StateError("The role %r was asked to be absent and owns objects or holds privileges (%s); run "
                         "REASSIGN OWNED and DROP OWNED there first." % (wanted.name, places))
    steps = _rights(role.functions, wanted._replace(may=frozenset()))
    return Plan(tuple(steps + [statement("DROP ROLE %s" % ident(wanted.name))]), {"state": "present"}, {"state": "absent"})


def _refuse_unknown(current: Current, wanted: Wanted) -> None:
    """Refuse memberships in roles that are missing; in a play that is only planned, an earlier task may make them."""
    if current.known is None or wanted.is_planned:
        return
    for name in sorted((wanted.member_of or frozenset()) - current.known):
        raise StateError("The role %r was asked to be a member of %r, which does not exist; create that first."
                         % (wanted.name, name))


def _refuse_lowering(role: Role, wanted: Wanted) -> None:
    if not role.superuser:
        return
    for option, value, now in (("login", wanted.login, role.login),
                               ("replication", wanted.replication, role.replication)):
        if value is False and now:
            raise StateError("The role %r was asked to have %s=false and is a superuser, which this module never "
                             "lowers; leave the option out or name another role." % (wanted.name, option))


def _plan_creation(wanted: Wanted, iterations: int) -> Plan:
    wanted = wanted._replace(login=wanted.login is not False, replication=wanted.replication is not False)
    clauses = _clauses(wanted)
    after: Dict[str, Any] = {"state": "present"}
    after.update({option: value for option, (value, _clause) in clauses.items()})
    parts = ["CREATE ROLE %s" % ident(wanted.name)] + [clause for _value, clause in clauses.values()]
    if wanted.member_of is not None:
        after["member_of"] = sorted(wanted.member_of)
        if wanted.member_of:
            parts.append("IN ROLE %s" % idents(sorted(wanted.member_of)))
    made = None
    if wanted.password is not None:
        made = _verifier(wanted, iterations)
        after["password"] = _RIGHT
    steps = [_with_password(parts, made)]
    if wanted.comment is not None:
        after["comment"] = wanted.comment
        if wanted.comment:
            steps.append(_comment(wanted))
    if wanted.may is not None:
        after["may"] = sorted(wanted.may)
        steps.extend(_rights(frozenset(), wanted))
    return Plan(tuple(steps), {"state": "absent"}, after)


def _plan_change(current: Current, role: Role, wanted: Wanted) -> Plan:
    before: Dict[str, Any] = {"state": "present"}
    after: Dict[str, Any] = {"state": "present"}
    parts = []
    for option, (value, clause) in _clauses(wanted).items():
        before[option], after[option] = getattr(role, option), value
        if before[option] != value:
            parts.append(clause)
    made = None
    if wanted.password is not None:
        before["password"], after["password"] = _compare_password(current, role, wanted), _RIGHT
        if before["password"] != _RIGHT:
            made = _verifier(wanted, current.iterations)
    steps = []
    if parts or made is not None:
        steps.append(_with_password(["ALTER ROLE %s" % ident(wanted.name)] + parts, made))
    if wanted.member_of is not None:
        before["member_of"] = sorted({group for group, _grantor in role.grants})
        after["member_of"] = sorted(wanted.member_of)
        steps.extend(_memberships(role, wanted.name, wanted.member_of, current.version_num))
    if wanted.comment is not None:
        before["comment"], after["comment"] = role.comment, wanted.comment
        if role.comment != wanted.comment:
            steps.append(_comment(wanted))
    if wanted.may is not None and not role.superuser:
        before["may"], after["may"] = rights.shown(role.functions), sorted(wanted.may)
        steps.extend(_rights(role.functions, wanted))
    return Plan(tuple(steps), before, after)


def _clauses(wanted: Wanted) -> Dict[str, Tuple[Any, str]]:
    """Return for every attribute that was asked for its value and its clause of CREATE and ALTER ROLE."""
    clauses: Dict[str, Tuple[Any, str]] = {}
    if wanted.login is not None:
        clauses["login"] = (wanted.login, "LOGIN" if wanted.login else "NOLOGIN")
    if wanted.replication is not None:
        clauses["replication"] = (wanted.replication, "REPLICATION" if wanted.replication else "NOREPLICATION")
    if wanted.connection_limit is not None:
        clauses["connection_limit"] = (wanted.connection_limit, "CONNECTION LIMIT %d" % wanted.connection_limit)
    if wanted.valid_until is not None:
        clauses["valid_until"] = (wanted.valid_until, "VALID UNTIL %s" % literal(wanted.valid_until))
    return clauses


def _compare_password(current: Current, role: Role, wanted: Wanted) -> str:
    """Return in words what is stored; an md5 hash is never right, since it is to be upgraded."""
    if not current.reads_passwords:
        raise StateError("The password of the role %r cannot be compared, since %r may not read pg_authid; log in as a "
                         "superuser, grant SELECT on pg_authid, or leave the password out."
                         % (wanted.name, current.user))
    if role.password is None:
        return "none"
    if _MD5.match(role.password):
        return "an md5 hash"
    given = wanted.password or ""
    right = role.password == given if scram.is_verifier(given) else scram.matches(role.password, given)
    return _RIGHT if right else "another"


def _verifier(wanted: Wanted, iterations: int) -> str:
    given = wanted.password or ""
    return given if scram.is_verifier(given) else scram.verifier(given, iterations, wanted.salt)


def _with_password(parts: Sequence[str], verifier: Optional[str]) -> Statement:
    text = " ".join(parts)
    if verifier is None:
        return statement(text)
    return statement("%s PASSWORD %s" % (text, literal(verifier)), "%s PASSWORD '%s'" % (text, MASK))


def _memberships(role: Role, name: str, wanted: FrozenSet[str], version_num: int) -> List[Statement]:
    """Return what grants and revokes; from version 16 on each grantor's grant is revoked by itself (see REVOKE)."""
    missing = wanted - {group for group, _grantor in role.grants}
    steps = [statement("GRANT %s TO %s" % (idents(sorted(missing)), ident(name)))] if missing else []
    surplus: Dict[str, List[str]] = {}
    for group, grantor in sorted(role.grants):
        if group not in wanted:
            surplus.setdefault(grantor if version_num >= 160000 else "", []).append(group)
    for grantor, groups in sorted(surplus.items()):
        by = " GRANTED BY %s" % ident(grantor) if grantor else ""
        steps.append(statement("REVOKE %s FROM %s%s" % (idents(groups), ident(name), by)))
    return steps


def _comment(wanted: Wanted) -> Statement:
    return statement("COMMENT ON ROLE %s IS %s" % (ident(wanted.name), literal(wanted.comment or None)))


def _rights(held: FrozenSet[str], wanted: Wanted) -> List[Statement]:
    """Return what lets the role execute the functions of its rights, and none of the other rights."""
    needed, name = rights.functions_of(wanted.may or ()), ident(wanted.name)
    return [statement("%s EXECUTE ON FUNCTION %s %s %s" % (verb, ", ".join(rights.qualified(functions)), preposition, name))
            for verb, preposition, functions in (("GRANT", "TO", needed - held), ("REVOKE", "FROM", held - needed)) if functions]
