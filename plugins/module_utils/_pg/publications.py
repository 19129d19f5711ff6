# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publications (PostgreSQL's documentation, chapter 29.1, CREATE PUBLICATION and ALTER PUBLICATION)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import publication_query, row_filter, version
from .errors import InputError, ServerError, StateError
from .plan import Plan
from .publication_query import Table
from .sql import Statement, boolean, ident, idents, literal, qualified, split_name, statement

if TYPE_CHECKING:
    from .login import Session

#: What can be published, in the order in which it is shown.
EVENTS = ("insert", "update", "delete", "truncate")
GENERATED = {"n": "none", "s": "stored"}


class Publication(NamedTuple):
    """A publication; the fields are the options of the module.

    Attributes:
        tables: sorted by schema and name.
        schemas: sorted.
        publish: a part of ``EVENTS``, in that order.
        comment: ``""`` when there is none.
    """

    all_tables: bool = False
    tables: Tuple[Table, ...] = ()
    schemas: Tuple[str, ...] = ()
    publish: Tuple[str, ...] = EVENTS
    publish_via_partition_root: bool = False
    publish_generated_columns: str = "none"
    owner: str = ""
    comment: str = ""


class Wanted(NamedTuple):
    """What was asked for.

    Attributes:
        asked: values of fields of ``Publication``; a field that is missing here is to be left alone.
        readers: roles that may read what is published.
        is_planned: what does not exist yet may be made by an earlier task of the same play.
    """

    name: str
    state: str
    asked: Mapping[str, Any]
    readers: Tuple[str, ...]
    is_planned: bool

    @property
    def lock_names(self) -> Tuple[str, ...]:
        """What no other run may change at the same time."""
        return (self.name,)


class Found(NamedTuple):
    """A table that was asked for: its ``relkind`` (``s`` for a system table), ``relpersistence``, missing columns."""

    kind: str
    persistence: str
    missing: Sequence[str]


class Lack(NamedTuple):
    """What a reader may not read yet: a schema (``table`` is ``""``), a table, or some columns of one."""

    reader: str
    schema: str
    table: str
    columns: Tuple[str, ...]


class Current(NamedTuple):
    """What a server says about the publication, and about what the options name.

    Attributes:
        publication: ``None`` when there is none. A filter that means the same as the wanted one has its text.
        user: the role that statements run as.
        is_standby: the server is in recovery and can change nothing.
        tables: those of the wanted tables that exist; ``None`` for a server that does not exist yet.
        schemas: those of the wanted schemas that exist.
        superusers: for each role that was named and exists, and the owner, whether it is a superuser.
        lacks: what the readers may not read yet.
    """

    publication: Optional[Publication]
    user: str
    is_standby: bool
    tables: Optional[Mapping[Tuple[str, str], Found]]
    schemas: Sequence[str]
    superusers: Mapping[str, bool]
    lacks: Sequence[Lack]


#: A server that does not exist yet.
ABSENT = Current(None, "", False, None, (), {}, ())


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: an option has a value that no server accepts, or two contradict each other.
    """
    ident(params["name"])
    readers = tuple(sorted(set(params["readers"] or ())))
    idents(readers)
    asked = _content(params)
    if params["publish"] is not None:
        if not params["publish"]:
            raise InputError("The option publish is an empty list; name at least one of %s." % ", ".join(EVENTS))
        asked["publish"] = tuple(event for event in EVENTS if event in params["publish"])
    for option in ("publish_via_partition_root", "publish_generated_columns", "owner", "comment"):
        if params[option] is not None:
            asked[option] = params[option]
    if "owner" in asked:
        ident(asked["owner"])
    literal(asked.get("comment"))
    if readers and "tables" not in asked:
        raise InputError("The option readers of the publication %r needs tables, schemas or all_tables, which say what "
                         "is to be read; give one of them." % params["name"])
    if params["state"] == "absent":
        asked, readers = {}, ()
    return Wanted(params["name"], params["state"], asked, readers, params["login_planned"])


def _content(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what is published; the three options that say it are one value."""
    for option in ("tables", "schemas"):
        if params[option] is not None and params["all_tables"]:
            raise InputError("The options all_tables and %s of the publication %r exclude each other; leave one out."
                             % (option, params["name"]))
        if params[option] == []:
            raise InputError("The option %s of the publication %r is an empty list; name some, or leave it out."
                             % (option, params["name"]))
    if params["all_tables"]:
        return {"all_tables": True, "tables": (), "schemas": ()}
    if params["tables"] is None and params["schemas"] is None:
        return {} if params["all_tables"] is None else {"all_tables": False}
    tables = sorted((_table(entry) for entry in params["tables"] or ()), key=_key)
    for one, other in zip(tables, tables[1:]):
        if _key(one) == _key(other):
            raise InputError("The option tables names %s twice; name it once." % shown_name(*_key(one)))
    schemas = tuple(sorted(set(params["schemas"] or ())))
    idents(schemas)
    for table in tables:
        if schemas and table.columns is not None:
            raise InputError("The option tables gives a column list for %s while schemas are published too, which "
                             "PostgreSQL does not support; leave out either." % shown_name(*_key(table)))
    return {"all_tables": False, "tables": tuple(tables), "schemas": schemas}


def _table(entry: Mapping[str, Any]) -> Table:
    schema, name = split_name(entry["name"])
    qualified(schema, name)
    columns, where = entry.get("columns"), entry.get("where")
    if columns is not None:
        idents(columns)
        if not columns or len(set(columns)) < len(columns):
            raise InputError("The option columns of the table %s is empty or names a column twice; name each column "
                             "once, or leave it out to publish all." % entry["name"])
        columns = tuple(sorted(columns))
    if where is not None:
        where = row_filter.check(where, entry["name"])
    return Table(schema, name, columns, where)


def _key(table: Table) -> Tuple[str, str]:
    return table.schema, table.name


def shown_name(schema: str, name: str) -> str:
    """Return a relation's name in the form that the option ``name`` of a table takes."""
    parts = ('"%s"' % part.replace('"', '""') if "." in part or '"' in part else part for part in (schema, name))
    return ".".join(parts)


def read(session: Session, wanted: Wanted) -> Current:
    """Return the present state, in one query, or two when the text of a filter differs from the stored one.

    Raises:
        InputError: an option needs a newer server, or a filter is no expression over its table.
    """
    _require(wanted, session.version_num)
    asked = wanted.asked
    row = session.rows(publication_query.query(wanted.name, asked, wanted.readers, session.version_num))[0]
    tables = {(schema, name): Found(kind, persistence, missing)
              for schema, name, kind, persistence, missing in row["found_tables"] or ()}
    publication = None
    if row["is_there"]:
        stored = [Table(schema, name, tuple(sorted(columns)) if columns else None, where)
                  for schema, name, columns, where in row["tables"] or ()]
        flags = (row["pubinsert"], row["pubupdate"], row["pubdelete"], row["pubtruncate"])
        publication = Publication(
            row["puballtables"], tuple(sorted(stored, key=_key)), tuple(sorted(row["schemas"] or ())),
            tuple(event for event, flag in zip(EVENTS, flags) if flag), row["pubviaroot"],
            GENERATED[row["pubgencols"]], row["pubowner"], row["pubcomment"])
    lacks = [Lack(reader, schema, table or "", tuple(columns or ()))
             for reader, schema, table, columns in row["lacks"] or ()]
    wanted_tables = [table for table in asked.get("tables", ()) if _key(table) in tables]
    return Current(_with_wanted_filters(session, publication, wanted_tables), row["me"],
                   session.parameter("in_hot_standby") == "on", tables, row["found_schemas"] or (),
                   row["superusers"] or {}, sorted(lacks))


def _require(wanted: Wanted, version_num: int) -> None:
    """Refuse what the server's version does not have (CREATE PUBLICATION, in the documentation of each version)."""
    asked = wanted.asked
    tables: Sequence[Table] = asked.get("tables", ())
    if asked.get("schemas"):
        version.require("schemas", 15, version_num)
    if any(table.columns is not None for table in tables):
        version.require("columns of tables", 15, version_num)
    if any(table.where is not None for table in tables):
        version.require("where of tables", 15, version_num)
    if "publish_generated_columns" in asked:
        version.require("publish_generated_columns", 18, version_num)


def _with_wanted_filters(session: Session, publication: Optional[Publication],
                         wanted: Sequence[Table]) -> Optional[Publication]:
    """Return the publication with the wanted text of each filter that means the same as the stored one."""
    stored = {_key(table): table.where for table in publication.tables} if publication else {}
    texts, pairs = {}, []
    for table in wanted:
        if table.where is not None:
            now = stored.get(_key(table))
            if now in (table.where, "(%s)" % table.where):
                texts[_key(table)] = table.where
            else:
                pairs.append(row_filter.Pair(table.schema, table.name, now or "NULL", table.where))
    for pair, is_same in zip(pairs, _same(session, pairs)):
        if is_same and stored.get((pair.schema, pair.table)) is not None:
            texts[pair.schema, pair.table] = pair.wanted
    if publication is None:
        return None
    return publication._replace(tables=tuple(table._replace(where=texts.get(_key(table), table.where))
                                             for table in publication.tables))


def _same(session: Session, pairs: Sequence[row_filter.Pair]) -> List[bool]:
    if not pairs:
        return []
    try:
        return row_filter.same(pairs, session.rows(row_filter.explain(pairs))[0]["QUERY PLAN"])
    except ServerError as error:
        if len(pairs) > 1:
            return [_same(session, [pair])[0] for pair in pairs]
        pair = pairs[0]
        if pair.stored != "NULL":
            # The stored filter may be the one that is wrong, such as one that divides by zero.
            _same(session, [pair._replace(stored="NULL")])
            return [False]
        raise InputError("The row filter %r of the table %s is not a condition over its columns: %s." % (
            pair.wanted, shown_name(pair.schema, pair.table), error.reason)) from None


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return how the publication becomes what was asked for.

    Raises:
        StateError: what the server has forbids it.
    """
    made = _plan_absent(current, wanted) if wanted.state == "absent" else _plan_present(current, wanted)
    if made.steps and current.is_standby:
        raise StateError("The publication %r is to be changed and this server is a standby; log in to its primary."
                         % wanted.name)
    return made


def _plan_absent(current: Current, wanted: Wanted) -> Plan:
    if current.publication is None:
        return Plan((), {"state": "absent"}, {"state": "absent"})
    return Plan((statement("DROP PUBLICATION %s" % ident(wanted.name)),), {"state": "present"}, {"state": "absent"})


def _plan_present(current: Current, wanted: Wanted) -> Plan:
    if current.tables is None:
        current = current._replace(lacks=_lacks_on_new_server(wanted))
    _check_named(current, wanted)
    now = current.publication
    target = _with_possible_owner(current, wanted, (now or Publication(owner=current.user))._replace(**wanted.asked))
    _check_target(current, wanted, target)
    warnings: Tuple[str, ...] = ()
    if now is not None and target.all_tables != now.all_tables:
        warnings = ("The publication %r is dropped and made anew in one transaction, since PostgreSQL cannot alter a "
                    "publication to or from all tables.%s" % (
                        wanted.name, "" if target.owner == now.owner else
                        " It then belongs to %r, since %r is no superuser." % (target.owner, now.owner)),)
    before, after = _diff(current, wanted, target)
    return Plan(tuple(_steps(current, wanted.name, target) + _grants(current.lacks)), before, after, {}, warnings)


def _check_named(current: Current, wanted: Wanted) -> None:
    """Refuse what does not exist or cannot be published; in a planned play, an earlier task may make it."""
    if wanted.is_planned or current.tables is None:
        return
    asked = wanted.asked
    for schema in asked.get("schemas", ()):
        if schema not in current.schemas:
            raise _missing(wanted.name, "schema", schema)
    for table in asked.get("tables", ()):
        found = current.tables.get(_key(table))
        if found is None:
            raise _missing(wanted.name, "table", shown_name(*_key(table)))
        if found.kind not in ("r", "p") or found.persistence != "p":
            raise StateError("The publication %r was asked to have %s, which is not a permanent table or partitioned "
                             "table of a user; leave it out." % (wanted.name, shown_name(*_key(table))))
        if found.missing:
            raise _missing(wanted.name, "column", ", ".join(found.missing), " of %s" % shown_name(*_key(table)))
    for role in tuple(wanted.readers) + ((asked["owner"],) if "owner" in asked else ()):
        if role not in current.superusers:
            raise _missing(wanted.name, "role", role)


def _lacks_on_new_server(wanted: Wanted) -> List[Lack]:
    """Return what is known to be lacking where nothing exists; everybody may use the schema public (chapter 5.10)."""
    tables: Sequence[Table] = wanted.asked.get("tables", ())
    schemas = {table.schema for table in tables}.union(wanted.asked.get("schemas", ())) - {"public"}
    lacks: List[Lack] = []
    for reader in wanted.readers:
        lacks.extend(Lack(reader, schema, "", ()) for schema in schemas)
        lacks.extend(Lack(reader, table.schema, table.name, publication_query.read_by_copy(table) or ())
                     for table in tables)
    return sorted(lacks)


def _missing(publication: str, kind: str, name: str, place: str = "") -> StateError:
    return StateError("The publication %r was asked to use the %s %s%s, which does not exist; create it first or "
                      "correct the name." % (publication, kind, name, place))


def _with_possible_owner(current: Current, wanted: Wanted, target: Publication) -> Publication:
    """Return the target with an owner that may own it: of all tables, only a superuser may (see ALTER PUBLICATION)."""
    now = current.publication
    if now is None or "owner" in wanted.asked or now.all_tables or not target.all_tables:
        return target
    return target if current.superusers[now.owner] else target._replace(owner=current.user)


def _check_target(current: Current, wanted: Wanted, target: Publication) -> None:
    now = current.publication
    is_empty = not (target.all_tables or target.tables or target.schemas)
    if is_empty and (now is None or now.all_tables):
        raise StateError("The publication %r would publish nothing; give tables, schemas, or all_tables: true."
                         % wanted.name)
    if ((target.all_tables or target.schemas) and (now is None or target.owner != now.owner)
            and current.superusers.get(target.owner) is False and "owner" in wanted.asked):
        raise StateError("The publication %r was asked to belong to %r, which is no superuser, and publishes all "
                         "tables or schemas; name a superuser, or publish tables." % (wanted.name, target.owner))
    for table in wanted.asked.get("tables", ()):
        found = (current.tables or {}).get(_key(table))
        if (found is not None and found.kind == "p" and not target.publish_via_partition_root
                and (table.columns is not None or table.where is not None)):
            raise StateError("The publication %r was asked to have a column list or row filter for %s, which is "
                             "partitioned; give publish_via_partition_root: true, or name the partitions."
                             % (wanted.name, shown_name(*_key(table))))


def _steps(current: Current, name: str, target: Publication) -> List[Statement]:
    now = current.publication
    if now is None:
        return _creation(name, target, current.user)
    if now.all_tables != target.all_tables:
        return [statement("DROP PUBLICATION %s" % ident(name))] + _creation(name, target, current.user)
    steps = []
    if (now.tables, now.schemas) != (target.tables, target.schemas):
        steps.append(statement("ALTER PUBLICATION %s SET %s" % (ident(name), _what(target))))
    settings = _settings(now, target)
    if settings:
        # Filters and column lists of partitioned tables need the root to be published: first in, last out.
        steps.insert(0 if target.publish_via_partition_root else len(steps),
                     statement("ALTER PUBLICATION %s SET (%s)" % (ident(name), settings)))
    return steps + _belongings(name, now, target)


def _creation(name: str, target: Publication, user: str) -> List[Statement]:
    settings = _settings(Publication(), target)
    first = statement("CREATE PUBLICATION %s FOR %s%s" % (
        ident(name), _what(target), " WITH (%s)" % settings if settings else ""))
    return [first] + _belongings(name, Publication(owner=user), target)


def _belongings(name: str, now: Publication, target: Publication) -> List[Statement]:
    steps = []
    if target.comment != now.comment:
        steps.append(statement("COMMENT ON PUBLICATION %s IS %s" % (ident(name), literal(target.comment or None))))
    if target.owner != now.owner:
        # Last, since afterwards the user may have no right to change anything.
        steps.append(statement("ALTER PUBLICATION %s OWNER TO %s" % (ident(name), ident(target.owner))))
    return steps


def _what(target: Publication) -> str:
    """Return tables and schemas as CREATE and ALTER PUBLICATION take them.

    ``ONLY``, since without it the children that a table has today would be added too, and be found as a difference.
    """
    if target.all_tables:
        return "ALL TABLES"
    tables = []
    for table in target.tables:
        columns = "" if table.columns is None else " (%s)" % idents(table.columns)
        where = "" if table.where is None else " WHERE (%s)" % table.where
        tables.append("ONLY %s%s%s" % (qualified(*_key(table)), columns, where))
    parts = ["TABLE %s" % ", ".join(tables)] if tables else []
    if target.schemas:
        parts.append("TABLES IN SCHEMA %s" % idents(target.schemas))
    return ", ".join(parts)


def _settings(now: Publication, target: Publication) -> str:
    parts = []
    if target.publish != now.publish:
        parts.append("publish = %s" % literal(", ".join(target.publish)))
    if target.publish_via_partition_root != now.publish_via_partition_root:
        parts.append("publish_via_partition_root = %s" % boolean(target.publish_via_partition_root))
    if target.publish_generated_columns != now.publish_generated_columns:
        parts.append("publish_generated_columns = %s" % target.publish_generated_columns)
    return ", ".join(parts)


def _grants(lacks: Sequence[Lack]) -> List[Statement]:
    """Return what gives the readers what they lack: for each one statement for schemas, one for whole tables."""
    grants: Dict[Tuple[str, str], List[str]] = {}
    for lack in lacks:
        table = qualified(lack.schema, lack.table) if lack.table else ""
        if not table:
            grants.setdefault((lack.reader, "USAGE ON SCHEMA"), []).append(ident(lack.schema))
        elif not lack.columns:
            grants.setdefault((lack.reader, "SELECT ON TABLE"), []).append(table)
        else:
            grants[lack.reader, "SELECT (%s) ON TABLE %s" % (idents(lack.columns), table)] = []
    return [statement("GRANT %s%s TO %s" % (right, "".join([" ", ", ".join(names)] if names else []), ident(reader)))
            for (reader, right), names in grants.items()]


def _diff(current: Current, wanted: Wanted, target: Publication) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """Return before and after: what was asked about, and what changes besides."""
    now = current.publication
    after: Dict[str, Any] = {"state": "present"}
    before: Dict[str, Any] = {"state": "absent"} if now is None else {"state": "present"}
    for field in Publication._fields:
        value = getattr(target, field)
        if field in wanted.asked or (now is not None and getattr(now, field) != value):
            after[field] = _shown(value)
            if now is not None:
                before[field] = _shown(getattr(now, field))
    if wanted.readers:
        before["readers_lack"] = {reader: [_shown_lack(lack) for lack in current.lacks if lack.reader == reader]
                                  for reader in wanted.readers}
        after["readers_lack"] = {reader: [] for reader in wanted.readers}
    return before, after


def _shown(value: Any) -> Any:
    if not isinstance(value, tuple):
        return value
    return [_shown_table(part) if isinstance(part, Table) else part for part in value]


def _shown_table(table: Table) -> Dict[str, Any]:
    shown: Dict[str, Any] = {"name": shown_name(*_key(table))}
    if table.columns is not None:
        shown["columns"] = list(table.columns)
    if table.where is not None:
        shown["where"] = table.where
    return shown


def _shown_lack(lack: Lack) -> str:
    if not lack.table:
        return "USAGE on schema %s" % lack.schema
    columns = " (%s)" % ", ".join(lack.columns) if lack.columns else ""
    return "SELECT%s on %s" % (columns, shown_name(lack.schema, lack.table))


def apply(session: Session, wanted: Wanted, steps: Sequence[Statement]) -> Dict[str, Any]:
    """Do the steps wholly or not at all.

    Raises:
        StateError: a reader still lacks something, since GRANT only warns when the user may not grant (see GRANT).
    """
    with session.transaction():
        for step in steps:
            session.execute(step)
        lacks = read(session, wanted).lacks if wanted.readers else ()
        if lacks:
            raise StateError("The publication %r was asked to be readable for %r, and this user may not grant %s; "
                             "log in as the owner of that." % (wanted.name, lacks[0].reader, _shown_lack(lacks[0])))
    return {}
