# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of what publications publish, brought from the publisher into a new database.

Logical replication brings rows, no definitions (PostgreSQL's documentation, chapter 29.8). What a subscriber of a part
of the tables, rows or columns cannot hold is left out: other relations and what depends on them, foreign keys, triggers,
rules, policies, and columns that do not arrive. A table of which only some columns are published, or may be read, is made
with these alone, from the catalog, since pg_dump needs the right to read all of them.
"""

from __future__ import annotations

import os
import re
import tempfile
from typing import Any, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import conninfo, login, tools, version
from .errors import InputError, StateError, ToolError
from .sql import ident, idents, literal, qualified

_ENTRY = re.compile(r"\A\d+; (\d+) (\d+) (.*)\Z")

#: Kinds of entries in an archive that a subscriber does without.
_UNWANTED = ("FK CONSTRAINT ", "TRIGGER ", "EVENT TRIGGER ", "RULE ", "POLICY ", "USER MAPPING ", "SERVER ",
             "FOREIGN DATA WRAPPER ")

#: The relations that are published, their partitions, and what they are partitions of or inherit from.
_KEPT = """
WITH RECURSIVE published AS (
  SELECT DISTINCT c.oid FROM pg_catalog.pg_publication_tables t
  JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
  WHERE t.pubname IN (%s) AND (t.schemaname, t.tablename) NOT IN (%s)
), above AS (
  SELECT oid FROM published UNION SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN above ON i.inhrelid = above.oid
), below AS (
  SELECT oid FROM published UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN below ON i.inhparent = below.oid
), excluded AS (
  SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND n.nspname NOT LIKE 'pg\\_temp\\_%%' AND c.oid NOT IN (SELECT oid FROM above UNION SELECT oid FROM below)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.objid = c.oid AND d.deptype = 'e')
)"""

_EXCLUDED = _KEPT + " SELECT nspname AS schema, relname AS name FROM excluded ORDER BY 1, 2"

#: What depends on an excluded relation, such as a function on its row type, as pairs of catalog and oid.
_DEPENDENT = _KEPT + """, gone AS (
  SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid AS classid, oid AS objid FROM excluded
  UNION
  SELECT d.classid, d.objid FROM pg_catalog.pg_depend d JOIN gone ON gone.classid = d.refclassid AND gone.objid = d.refobjid
  WHERE d.classid <> 'pg_catalog.pg_class'::pg_catalog.regclass
) SELECT classid::bigint AS catalog, objid::bigint AS oid FROM gone"""

#: The tables of which a column list publishes a part, or which pg_dump may not lock since the user may not read all of
#: them, of their partitions or of what they are partitions of, with what their likeness on the subscriber is made of.
_PARTIAL = """
SELECT DISTINCT ON (n.nspname, r.relname) n.nspname AS schema, r.relname AS name, (
  SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname, 'not_null', a.attnotnull,
    'type', pg_catalog.format_type(a.atttypid, a.atttypmod), 'collation', CASE WHEN a.attcollation <> y.typcollation
    THEN pg_catalog.json_build_array(w.nspname, o.collname) END) ORDER BY a.attnum)
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
  LEFT JOIN pg_catalog.pg_collation o ON o.oid = a.attcollation
  LEFT JOIN pg_catalog.pg_namespace w ON w.oid = o.collnamespace
  WHERE a.attrelid = r.oid AND a.attname = ANY (t.attnames)
) AS columns, (
  SELECT pg_catalog.array_agg(a.attname::text ORDER BY pg_catalog.array_position(i.indkey::int2[], a.attnum))
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
  WHERE i.indrelid = r.oid AND CASE r.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END
  HAVING pg_catalog.bool_and(a.attname = ANY (t.attnames))
) AS key
FROM pg_catalog.pg_publication_tables t
JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname
JOIN pg_catalog.pg_class r ON r.relnamespace = n.oid AND r.relname = t.tablename
WHERE t.pubname IN (%s) AND (EXISTS (
  SELECT FROM pg_catalog.pg_attribute u WHERE u.attrelid = r.oid AND u.attnum > 0 AND NOT u.attisdropped
  AND u.attgenerated = '' AND NOT u.attname = ANY (t.attnames)
) OR EXISTS (
  SELECT FROM (SELECT r.oid AS relid UNION SELECT relid FROM pg_catalog.pg_partition_tree(r.oid)
  UNION SELECT relid FROM pg_catalog.pg_partition_ancestors(r.oid)) AS locked
  WHERE NOT pg_catalog.has_table_privilege(locked.relid, 'SELECT')))
ORDER BY n.nspname, r.relname"""


class Source(NamedTuple):
    """Where a schema comes from.

    Attributes:
        conninfo: libpq keywords of the publisher's database, which may hold a password.
        publications: whose relations are brought.
        bindir: the directory of pg_dump and pg_restore; ``""`` to look for them.
    """

    conninfo: Mapping[str, str]
    publications: Tuple[str, ...]
    bindir: str


class Published(NamedTuple):
    """What a publisher publishes.

    Attributes:
        excluded: the relations that are not brought, as schema and name.
        dependent: what depends on those, as pairs of catalog and oid.
        partial: the statements that make the tables of which only some columns are published or may be read.
    """

    excluded: Tuple[Tuple[str, str], ...]
    dependent: FrozenSet[Tuple[int, int]]
    partial: Tuple[str, ...]


def desired(option: Mapping[str, Any], bindir: str) -> Source:
    """Return what the option ``schema_from`` asks for.

    Raises:
        InputError: it names no database or no publication, or holds a secret that only an argument could carry, or what
            no connection string can hold.
    """
    keywords = {key: value for key, value in option["conninfo"].items() if value is not None}
    if not keywords.get("dbname") or not option["publications"]:
        raise InputError("The option schema_from names no %s; give the publisher's database and at least one publication."
                         % ("publications" if keywords.get("dbname") else "dbname in its conninfo"))
    conninfo.render(keywords)
    for key in conninfo.SECRETS:
        if key in keywords and key != "password":
            raise InputError("The conninfo of schema_from holds %s, which pg_dump takes only where others can read it; "
                             "use password or passfile." % key)
    return Source(keywords, tuple(option["publications"]), bindir)


def shown(source: Source, target: str) -> str:
    """Return the copying as people may see it."""
    public = {key: value for key, value in source.conninfo.items() if key != "password"}
    return "pg_dump --schema-only --dbname=%r | pg_restore --dbname=%r" % (
        conninfo.render(public), conninfo.render({"dbname": target}))


def read(source: Source, target_version_num: int) -> Published:
    """Ask the publisher what it publishes.

    Args:
        source: where from.
        target_version_num: version of the server that the schema is for.

    Raises:
        Unreachable: no connection to the publisher could be made.
        StateError: a publication is missing, or the programs are too old or too new.
    """
    session = login.Session(login.session_keywords(source.conninfo))
    try:
        _check_programs(source, session.version_num, target_version_num)
        names = ", ".join(literal(name) for name in source.publications)
        found = {row["pubname"] for row in
                 session.rows("SELECT pubname FROM pg_catalog.pg_publication WHERE pubname IN (%s)" % names)}
        for name in source.publications:
            if name not in found:
                raise StateError("The schema of the publication %r was asked for and the database %r has none of that "
                                 "name; create it first." % (name, source.conninfo["dbname"]))
        partial = session.rows(_PARTIAL % names) if session.version_num >= 150000 else []
        apart = ", ".join("(%s, %s)" % (literal(row["schema"]), literal(row["name"])) for row in partial) or "('', '')"
        return Published(tuple((row["schema"], row["name"]) for row in session.rows(_EXCLUDED % (names, apart))),
                         frozenset((row["catalog"], row["oid"]) for row in session.rows(_DEPENDENT % (names, apart))),
                         tuple(likeness(row["schema"], row["name"], row["columns"], row["key"] or []) for row in partial))
    finally:
        session.close()


def likeness(schema: str, name: str, columns: Sequence[Mapping[str, Any]], key: Sequence[str]) -> str:
    """Return the statement that makes a table with just some columns of another.

    Args:
        schema: its schema, which exists.
        name: its name.
        columns: each with ``name``, ``type`` as ``format_type`` gives it, ``collation`` (schema and name, or None) and
            ``not_null``.
        key: the columns by which the publisher identifies rows, empty if there are none among those published.
    """
    parts = []
    for column in columns:
        collation = " COLLATE %s" % qualified(*column["collation"]) if column["collation"] else ""
        not_null = " NOT NULL" if column["not_null"] else ""
        parts.append("%s %s%s%s" % (ident(column["name"]), column["type"], collation, not_null))
    if key:
        parts.append("PRIMARY KEY (%s)" % idents(key))
    return "CREATE TABLE %s (%s)" % (qualified(schema, name), ", ".join(parts))


def _check_programs(source: Source, publisher: int, target: int) -> None:
    program = _program(source, "pg_dump")
    ours = version.major(version.parse(tools.run([program, "--version"])))
    if ours < version.major(publisher):
        raise StateError("The program %s has version %d and the publisher %d, which it cannot read; set bindir to programs "
                         "of version %d." % (program, ours, version.major(publisher), version.major(publisher)))
    if ours > version.major(target):
        raise StateError("The program %s has version %d and this server %d, which need not understand what it writes; set "
                         "bindir to programs of version %d." % (program, ours, version.major(target),
                                                                version.major(target)))


def _program(source: Source, name: str) -> str:
    if source.bindir:
        return os.path.join(source.bindir, name)
    from . import programs
    return os.path.join(programs.locate({"bindir": "", "programs_directory": ""}).bindir_now, name)


def bring(source: Source, published: Published, target: Mapping[str, Any]) -> None:
    """Copy the schema into an empty database, whole or not at all.

    Args:
        source: where from.
        published: what is published there.
        target: libpq keywords of a session with the new database.

    Raises:
        ToolError: pg_dump or pg_restore could not do it.
    """
    with tempfile.TemporaryDirectory(prefix="pgmahout-") as directory:
        dump, entries = os.path.join(directory, "dump"), os.path.join(directory, "list")
        options = ["--exclude-table=%s" % qualified(*relation) for relation in published.excluded]
        _run(source, "pg_dump", ["--format=custom", "--file=%s" % dump, "--schema-only", "--no-owner",
                                 "--no-privileges", "--no-publications", "--no-subscriptions", "--no-tablespaces",
                                 "--no-comments", "--no-security-labels"] + options, source.conninfo, directory)
        with open(entries, "w", encoding="utf-8") as file:
            file.write(select(_run(source, "pg_restore", ["--list", dump]), published.dependent))
        _run(source, "pg_restore", ["--use-list=%s" % entries, "--single-transaction", "--exit-on-error", "--no-owner",
                                    dump], dict(target, options=login.LOCAL_COMMIT), directory)


def select(listing: str, dependent: FrozenSet[Tuple[int, int]]) -> str:
    """Return the entries of an archive that a subscriber can hold, in the form of ``pg_restore --list``."""
    kept = []
    for line in listing.splitlines():
        entry = _ENTRY.match(line)
        if entry is None or entry.group(3).startswith(_UNWANTED):
            continue
        if (int(entry.group(1)), int(entry.group(2))) not in dependent:
            kept.append(line)
    return "".join(line + "\n" for line in kept)


def _run(source: Source, program: str, arguments: List[str], keywords: Optional[Mapping[str, Any]] = None,
         directory: str = "") -> str:
    """Run a program of PostgreSQL; a password reaches it by a passfile that only we can read."""
    keywords = keywords or {}
    public = {key: value for key, value in keywords.items() if key != "password"}
    argv = [_program(source, program)] + (["--dbname=%s" % conninfo.render(public)] if public else []) + arguments
    env: Dict[str, str] = {}
    if keywords.get("password"):
        env["PGPASSFILE"] = os.path.join(directory, "passfile")
        entry = {"host": "*", "port": "*", "database": "*", "user": "*", "password": keywords["password"]}
        with os.fdopen(os.open(env["PGPASSFILE"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
                       encoding="utf-8") as file:
            file.write(conninfo.passfile([entry]))
    try:
        return tools.run(argv, env=env)
    except ToolError as error:
        reason = [line for line in error.output.splitlines() if "error:" in line]
        if not reason:
            raise
        raise ToolError("The schema could not be copied: %s; see to that and run this again."
                        % reason[0].strip().rstrip("."), error.output) from None
