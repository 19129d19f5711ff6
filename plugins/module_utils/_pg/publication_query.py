# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one query that tells all about a publication (PostgreSQL's documentation, chapters 53.40 to 53.42)."""

from __future__ import annotations

from typing import Any, Iterable, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import row_filter
from .sql import boolean, literal


class Table(NamedTuple):
    """A published table.

    Attributes:
        columns: sorted by name; ``None`` when all are published, also those that will be added.
        where: the row filter, an SQL expression.
    """

    schema: str
    name: str
    columns: Optional[Tuple[str, ...]] = None
    where: Optional[str] = None


#: Objects with a lower number were made by initdb and cannot be published (chapter 5.4, FirstNormalObjectId).
_FIRST_OF_USERS = 16384

_PUBLISHED_TABLES = (
    "(SELECT json_agg(json_build_array(n.nspname, c.relname, {columns}, {filter})) FROM pg_publication_rel r"
    " JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE r.prpubid = p.oid)")
_COLUMNS = ("(SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid"
            " AND a.attnum = ANY (r.prattrs::int2[]))")
_PUBLISHED_SCHEMAS = ("(SELECT json_agg(n.nspname) FROM pg_publication_namespace s"
                      " JOIN pg_namespace n ON n.oid = s.pnnspid WHERE s.pnpubid = p.oid)")

_NAMED = ("({values}) AS w (nsp, rel, cols) JOIN pg_namespace n ON n.nspname = w.nsp"
          " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.rel")
_FOUND = (
    "(SELECT json_agg(json_build_array(w.nsp, w.rel, CASE WHEN c.oid < {first} THEN 's' ELSE c.relkind END,"
    " c.relpersistence, ARRAY(SELECT u FROM unnest(w.cols) AS u WHERE NOT EXISTS (SELECT FROM pg_attribute a"
    " WHERE a.attrelid = c.oid AND a.attname = u AND a.attnum > 0 AND NOT a.attisdropped)))) FROM {named})")

# A role that is still to be made has what everybody has.
_MAY = ("coalesce(has_{kind}_privilege(g.oid, {object}, {right}),"
        " has_{kind}_privilege('public'::name, {object}, {right}))")
# Which tables a subscriber copies: with publish_via_partition_root the topmost, else the leaves (see the view
# pg_publication_tables, which cannot be asked about a publication that is still to be made).
_LACKS = (
    "(WITH asked (oid, kind, cols) AS ({asked}), rels (oid, cols) AS ("
    "SELECT a.oid, a.cols FROM asked a WHERE CASE WHEN {via_root} THEN NOT EXISTS (SELECT FROM"
    " pg_partition_ancestors(a.oid) AS up WHERE up.relid <> a.oid AND up.relid IN (SELECT oid FROM asked))"
    " ELSE a.kind = 'r' END"
    " UNION SELECT t.relid, NULL FROM asked a CROSS JOIN LATERAL pg_partition_tree(a.oid) AS t WHERE NOT {via_root}"
    " AND a.kind = 'p' AND t.isleaf AND t.relid NOT IN (SELECT oid FROM asked)),"
    " readers (oid, name) AS (SELECT o.oid, u FROM unnest({readers}) AS u LEFT JOIN pg_roles o ON o.rolname = u)"
    " SELECT json_agg(json_build_array(l.name, l.nsp, l.rel, l.cols)) FROM ("
    "SELECT g.name, n.nspname AS nsp, NULL::name AS rel, NULL::name[] AS cols FROM readers g, pg_namespace n"
    " WHERE n.oid IN (SELECT c.relnamespace FROM rels JOIN pg_class c ON c.oid = rels.oid) AND NOT {may_use}"
    " UNION ALL SELECT g.name, n.nspname, c.relname, miss.cols FROM readers g CROSS JOIN rels"
    " JOIN pg_class c ON c.oid = rels.oid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " CROSS JOIN LATERAL (SELECT ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid"
    " AND a.attname = ANY (rels.cols) AND a.attnum > 0 AND NOT a.attisdropped AND NOT {may_read_column}"
    " ORDER BY 1) AS cols) AS miss"
    " WHERE CASE WHEN rels.cols IS NULL THEN NOT {may_read} ELSE cardinality(miss.cols) > 0 END) AS l)")


def query(name: str, asked: Mapping[str, Any], readers: Sequence[str], version_num: int) -> str:
    """Return the query, which has exactly one row; the session's ``search_path`` is empty (see ``login``).

    Args:
        name: the publication's name.
        asked: those options that were given; what they name is looked up.
        readers: the roles whose privileges are looked up.
        version_num: the server's version.
    """
    tables: Sequence[Table] = asked.get("tables", ())
    roles = tuple(readers) + ((asked["owner"],) if "owner" in asked else ())
    has_15 = version_num >= 150000
    values = "VALUES " + ", ".join(
        "(%s, %s, %s)" % (_name(table.schema), _name(table.name), _names_or_null(table.columns)) for table in tables)
    columns = {
        "is_there": "p.oid IS NOT NULL",
        "me": "current_user",
        "pubgencols": "p.pubgencols" if version_num >= 180000 else "'n'",
        "pubowner": "pg_get_userbyid(p.pubowner)",
        "pubcomment": "coalesce(obj_description(p.oid, 'pg_publication'), '')",
        "tables": _PUBLISHED_TABLES.format(columns=_COLUMNS if has_15 else "NULL",
                                           filter="pg_get_expr(r.prqual, r.prrelid)" if has_15 else "NULL"),
        "schemas": _PUBLISHED_SCHEMAS if has_15 else "NULL",
        "superusers": "(SELECT json_object_agg(rolname, rolsuper) FROM pg_roles WHERE rolname = ANY (%s)"
                      " OR oid = p.pubowner)" % _names(roles),
        "found_tables": _FOUND.format(first=_FIRST_OF_USERS, named=_NAMED.format(values=values)) if tables else "NULL",
        "found_schemas": "(SELECT json_agg(nspname) FROM pg_namespace WHERE nspname = ANY (%s))"
                         % _names(asked.get("schemas", ())),
        "lacks": _lacks(asked, readers) if readers else "NULL",
    }
    return ("SELECT p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot, %s FROM"
            " (SELECT %s AS name) AS one LEFT JOIN pg_publication p ON p.pubname = one.name" % (
                ", ".join("%s AS %s" % (text, column) for column, text in columns.items()), _name(name)))


def _lacks(asked: Mapping[str, Any], readers: Sequence[str]) -> str:
    parts = []
    if asked["tables"]:
        values = "VALUES " + ", ".join("(%s, %s, %s)" % (
            _name(table.schema), _name(table.name), _names_or_null(read_by_copy(table))) for table in asked["tables"])
        parts.append("SELECT c.oid, c.relkind, w.cols FROM " + _NAMED.format(values=values))
    if asked["schemas"] or asked["all_tables"]:
        parts.append("SELECT c.oid, c.relkind, NULL::name[] FROM pg_class c JOIN pg_namespace n"
                     " ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'"
                     " AND c.oid >= %d" % _FIRST_OF_USERS)
        if not asked["all_tables"]:
            parts[-1] += " AND n.nspname = ANY (%s)" % _names(asked["schemas"])
    via_root = asked.get("publish_via_partition_root")
    root = "coalesce(p.pubviaroot, false)" if via_root is None else boolean(via_root)
    return _LACKS.format(
        asked=" UNION ".join(parts), via_root=root, readers=_names(readers),
        may_use=_MAY.format(kind="schema", object="n.oid", right="'USAGE'"),
        may_read=_MAY.format(kind="table", object="c.oid", right="'SELECT'"),
        may_read_column=_MAY.format(kind="column", object="c.oid, a.attnum", right="'SELECT'"))


def read_by_copy(table: Table) -> Optional[Tuple[str, ...]]:
    """Return which columns the initial copy reads, ``None`` for all: the published ones and those of the filter."""
    if table.columns is None:
        return None
    return tuple(sorted(set(table.columns).union(row_filter.names(table.where or ""))))


def _name(text: str) -> str:
    return "%s::name" % literal(text)


def _names(texts: Iterable[str]) -> str:
    return "ARRAY[%s]::name[]" % ", ".join(literal(text) for text in texts)


def _names_or_null(texts: Optional[Sequence[str]]) -> str:
    return "NULL::name[]" if texts is None else _names(texts)
