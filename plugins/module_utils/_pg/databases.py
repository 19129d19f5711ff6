# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases that are complete from their first moment (PostgreSQL's documentation, chapter 23).

A database is made and filled under another name, its draft's, and then renamed, which is atomic. A run that is killed
leaves a draft at most, and the next run drops it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from . import login, version
from .draft import SUFFIX, draft_name
from .errors import InputError, PgError, StateError, Unreachable
from .plan import Action, Plan
from .sql import Statement, ident, literal, statement

if TYPE_CHECKING:
    from .schema import Published, Source

#: What is decided when a database is made; the options that are compared and never changed.
_FIXED = ("encoding", "lc_collate", "lc_ctype")

Step = Union[Statement, Action]


class Wanted(NamedTuple):
    """What was asked for; ``None`` means: leave it alone, or the server's default for a new database.

    Attributes:
        draft: the name that the database has until it is complete.
        source: what a new database's schema comes from.
        login: the libpq keywords of this login.
    """

    name: str
    draft: str
    state: str
    owner: Optional[str]
    encoding: Optional[str]
    lc_collate: Optional[str]
    lc_ctype: Optional[str]
    template: Optional[str]
    comment: Optional[str]
    script: Optional[str]
    source: Optional[Source]
    login: Mapping[str, Any]
    script_options: Optional[str]
    is_planned: bool

    @property
    def lock_names(self) -> Tuple[str, ...]:
        """What no other run may change at the same time."""
        return (self.name,)


class Database(NamedTuple):
    """A database as the catalog has it; ``is_valid`` is false when a DROP DATABASE was interrupted."""

    owner: str
    encoding: str
    lc_collate: str
    lc_ctype: str
    comment: str
    is_valid: bool


class Current(NamedTuple):
    """What a server has.

    Attributes:
        has_draft: whether a run that was killed left one.
        encoding: the server's own name of the wanted encoding.
        owner_exists: whether the wanted owner does.
        published: what the publisher publishes; read only for a database that is to be made.
        problem: why that could not be read although it should; only in a play that is planned.
    """

    database: Optional[Database]
    has_draft: bool
    version_num: int
    encoding: Optional[str]
    owner_exists: bool
    published: Optional[Published] = None
    problem: str = ""


#: A server that does not exist yet.
ABSENT = Current(None, False, version.NEWEST * 10000, None, True)


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: an option has a value that no server accepts.
    """
    name = params["name"]
    for option in ("name", "owner", "template"):
        if params[option] is not None:
            ident(params[option])
    if name.endswith(SUFFIX):
        raise InputError("The name %r ends like that of a database that is still being made; choose one that does not "
                         "end with %s." % (name, SUFFIX))
    if "\0" in (params["script"] or ""):
        raise InputError("The script of the database %r holds a NUL character; remove it." % name)
    keywords = login.conninfo_of(params)
    if params["state"] == "absent" and keywords["dbname"] == name:
        raise InputError("The database %r was asked to be absent and is the one to log in to; set login_db to another."
                         % name)
    source = None
    if params["schema_from"] is not None:
        from . import schema
        source = schema.desired(params["schema_from"], params["bindir"])
    return Wanted(name, draft_name(name), params["state"], params["owner"], params["encoding"], params["lc_collate"],
                  params["lc_ctype"], params["template"], params["comment"], params["script"], source, keywords,
                  params["connect_params"].get("options"), params["login_planned"])


def read(session: login.Session, wanted: Wanted) -> Current:
    """Return the present state, in one query; the publisher is asked too when a schema is to come from it."""
    rows = session.rows(
        "SELECT pg_encoding_to_char(pg_char_to_encoding(%s)) AS wanted_encoding,"
        " EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %s) AS owner_exists, d.datname,"
        " pg_get_userbyid(d.datdba) AS owner, pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS lc_collate,"
        " d.datctype AS lc_ctype, coalesce(shobj_description(d.oid, 'pg_database'), '') AS comment,"
        " d.datconnlimit <> -2 AS is_valid"
        " FROM (SELECT 1) AS once LEFT JOIN pg_catalog.pg_database d ON d.datname IN (%s, %s)"
        % (literal(wanted.encoding or ""), literal(wanted.owner or ""), literal(wanted.name), literal(wanted.draft)))
    found = {row["datname"]: row for row in rows}
    row = found.get(wanted.name)
    database = None if row is None else Database(*(row[field] for field in Database._fields))
    current = Current(database, wanted.draft in found, session.version_num, rows[0]["wanted_encoding"] or None,
                      wanted.owner is None or rows[0]["owner_exists"])
    if wanted.state == "absent" or database is not None or wanted.source is None:
        return current
    return _read_source(current, wanted, wanted.source)


def _read_source(current: Current, wanted: Wanted, source: Source) -> Current:
    from . import schema
    try:
        return current._replace(published=schema.read(source, current.version_num))
    except (StateError, Unreachable) as error:
        if not wanted.is_planned:
            raise
        return current._replace(problem=str(error))


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return how the database becomes what was asked for.

    Raises:
        InputError: the server does not know the encoding.
        StateError: what the server has forbids it.
    """
    steps: List[Step] = []
    if current.has_draft:
        steps.append(statement("DROP DATABASE %s WITH (FORCE)" % ident(wanted.draft)))
    if wanted.state == "absent":
        before = {"state": "absent" if current.database is None else "present"}
        if current.database is not None:
            steps.append(statement("DROP DATABASE %s" % ident(wanted.name)))
        return Plan(tuple(steps), before, {"state": "absent"})
    _refuse_unknown(current, wanted)
    after: Dict[str, Any] = {"state": "present"}
    if current.database is None:
        after.update({option: getattr(wanted, option) for option in ("owner", "comment") + _FIXED
                      if getattr(wanted, option) is not None})
        return Plan(tuple(steps + _creation(current, wanted)), {"state": "absent"}, after)
    _refuse_difference(current, current.database, wanted)
    before = {"state": "present"}
    for option, step in (("owner", _owner), ("comment", _comment)):
        value = getattr(wanted, option)
        if value is not None:
            before[option], after[option] = getattr(current.database, option), value
            if before[option] != value:
                steps.append(step(wanted.name, value))
    return Plan(tuple(steps), before, after)


def _refuse_unknown(current: Current, wanted: Wanted) -> None:
    """Refuse what the server does not know; in a play that is only planned, an earlier task may make the owner."""
    if wanted.encoding is not None and current.encoding is None and current is not ABSENT:
        raise InputError("The encoding %r of the database %r is none that PostgreSQL has; see its documentation, "
                         "chapter 23.3.1." % (wanted.encoding, wanted.name))
    if not current.owner_exists and not wanted.is_planned:
        raise StateError("The database %r was asked to belong to the role %r, which does not exist; create that first."
                         % (wanted.name, wanted.owner))


def _refuse_difference(current: Current, database: Database, wanted: Wanted) -> None:
    if not database.is_valid:
        raise StateError("The database %r was asked to be present and is invalid, since dropping it was interrupted; set "
                         "state to absent first." % wanted.name)
    for option in _FIXED:
        value, found = getattr(wanted, option), getattr(database, option)
        if option == "encoding":
            is_same = value is None or current.encoding == found
        else:
            is_same = value is None or _locale(value) == _locale(found)
        if not is_same:
            raise StateError("The database %r was asked to have %s %s and has %s, which cannot be changed; dump it, drop "
                             "it and restore it into a new one." % (wanted.name, option, value, found))


def _locale(name: str) -> str:
    """Return a locale's name as the C library compares it: en_US.UTF-8 and en_US.utf8 are one."""
    base, _dot, codeset = name.partition(".")
    return "%s.%s" % (base, codeset.lower().replace("-", ""))


def _creation(current: Current, wanted: Wanted) -> List[Step]:
    clauses = ["CREATE DATABASE %s" % ident(wanted.draft)]
    if wanted.owner is not None:
        clauses.append("OWNER %s" % ident(wanted.owner))
    template = wanted.template
    if template is None and any(getattr(wanted, option) is not None for option in _FIXED):
        # Only the empty template accepts another encoding or locale than its own.
        template = "template0"
    if template is not None:
        clauses.append("TEMPLATE %s" % ident(template))
    clauses.extend("%s %s" % (option.upper(), literal(getattr(wanted, option)))
                   for option in _FIXED if getattr(wanted, option) is not None)
    steps: List[Step] = [statement(" ".join(clauses))]
    if wanted.comment:
        steps.append(_comment(wanted.draft, wanted.comment))
    if wanted.script is not None:
        steps.append(Action("script", "-- in %s: the script, of %d characters"
                            % (ident(wanted.draft), len(wanted.script)), {"text": wanted.script}))
    if wanted.source is not None:
        from . import schema
        steps.append(Action("schema", schema.shown(wanted.source, wanted.draft),
                            {"published": current.published, "problem": current.problem}))
        text = "; ".join(current.published.partial) if current.published else ""
        if text:
            steps.append(Action("inside", text, {"text": text}))
    steps.append(statement("ALTER DATABASE %s RENAME TO %s" % (ident(wanted.draft), ident(wanted.name))))
    return steps


def _owner(name: str, owner: str) -> Statement:
    return statement("ALTER DATABASE %s OWNER TO %s" % (ident(name), ident(owner)))


def _comment(name: str, comment: str) -> Statement:
    return statement("COMMENT ON DATABASE %s IS %s" % (ident(name), literal(comment or None)))


def apply(session: login.Session, wanted: Wanted, steps: Sequence[Step]) -> None:
    """Do the steps; when one fails, no draft stays behind.

    Raises:
        PgError: a step could not be done.
    """
    problems = [step.values["problem"] for step in steps if isinstance(step, Action) and step.values.get("problem")]
    if problems:
        raise StateError(problems[0])
    try:
        for step in steps:
            if isinstance(step, Action):
                _fill(session, wanted, step)
            else:
                session.execute(step)
    except PgError:
        session.rows("DROP DATABASE IF EXISTS %s WITH (FORCE)" % ident(wanted.draft))
        raise


def _fill(session: login.Session, wanted: Wanted, step: Action) -> None:
    """Do a step that happens inside the new database."""
    if step.action == "schema" and wanted.source is not None:
        from . import schema
        schema.bring(wanted.source, step.values["published"], dict(wanted.login, dbname=wanted.draft))
        return
    changes: Dict[str, Optional[str]] = {"dbname": wanted.draft}
    if step.action == "script":
        # The script's author expects the settings of an ordinary login, not those that our own statements need.
        changes["options"] = ("%s %s" % (login.LOCAL_COMMIT, wanted.script_options or "")).strip()
    inside = session.beside(**changes)
    try:
        inside.script(step.values["text"])
    finally:
        inside.close()
