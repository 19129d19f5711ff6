# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The restore of a logical backup: of all of it or of a part, wholly or not at all, and never twice by accident.

The sources are PostgreSQL's documentation, chapter 25.1.1 (restoring the dump), and the pages of pg_restore and psql. A database
that is to be created is filled under its draft's name and then renamed, so that it is complete from its first moment.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import conninfo, dump_files, dump_text, dump_toc, login, version
from .draft import draft_name
from .dump_files import Client, Kind, Text
from .errors import InputError, PgError, StateError, ToolError
from .plan import Action, Plan
from .sql import ident, qualified, split_name

Relation = Tuple[str, str]

_RELATIONS = """SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
  AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1, 2"""

#: The databases that every cluster has.
_INITIAL = ("postgres", "template0", "template1")

#: What only an archive of pg_restore's can be asked for.
_OF_ARCHIVES = ("schemas", "tables", "clean", "no_owner", "no_privileges")


class Wanted(NamedTuple):
    """What the options ask for.

    Attributes:
        single_transaction: None where it follows from the rest.
        keywords: of libpq; their database is the one to log in to for what is not in ``database``.
    """

    source: str
    database: str
    create: bool
    when_not_empty: str
    schemas: Sequence[str]
    tables: Sequence[Relation]
    content: str
    jobs: int
    single_transaction: Optional[bool]
    clean: bool
    no_owner: bool
    no_privileges: bool
    role: str
    keywords: Mapping[str, Any]

    @property
    def of_archives(self) -> List[str]:
        """The options given that only an archive of pg_restore's can be asked for."""
        given = [option for option in _OF_ARCHIVES if getattr(self, option)]
        return given + (["content"] if self.content != "all" else []) + (["jobs"] if self.jobs > 1 else [])


class Current(NamedTuple):
    """What is there.

    Attributes:
        text: what the dump says, where it is text; None for an archive.
        chosen: the list of entries for pg_restore, where not all are to be restored; else ``""``.
        exists: whether the database does.
        has_draft: whether a run that was killed left one.
        occupied: what of that which is to be restored is there already, as people call it.
        roles: those that the server has.
    """

    kind: Kind
    text: Optional[Text]
    chosen: str
    exists: bool
    has_draft: bool
    occupied: Sequence[str]
    roles: FrozenSet[str]
    copy_of_programs: str

    @property
    def scope(self) -> str:
        """What the dump is of: ``database``, ``globals`` or ``cluster``."""
        return self.text.scope if self.text else "database"


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: options contradict each other.
    """
    if params["jobs"] < 1 or (params["jobs"] > 1 and params["single_transaction"]):
        raise InputError("The option jobs is %d with single_transaction %s; several connections cannot share a transaction, so "
                         "choose one of them." % (params["jobs"], str(params["single_transaction"]).lower()))
    if params["tables"] and params["schemas"]:
        raise InputError("The options tables and schemas were given together; give one of them.")
    if params["clean"] and (params["content"] == "data" or params["when_not_empty"] == "skip"):
        raise InputError("The option clean was given with %s; it removes what is there before it is restored, so leave one out."
                         % ("content data" if params["content"] == "data" else "when_not_empty skip"))
    keywords = conninfo.given(params["conninfo"])
    for key in conninfo.SECRETS:
        if key in keywords:
            raise InputError("The option conninfo holds %s, which a program could only be given where others can read it; put it "
                             "into a file and give passfile instead." % key)
    conninfo.render(keywords)
    for name in [params["database"], params["role"]] + params["schemas"]:
        if name:
            ident(name)
    tables = list(map(split_name, params["tables"]))
    return Wanted(os.path.abspath(params["source"]), params["database"], params["create"], params["when_not_empty"],
                  params["schemas"], tables, params["content"], params["jobs"], params["single_transaction"], params["clean"],
                  params["no_owner"], params["no_privileges"], params["role"], dict({"dbname": "postgres"}, **keywords))


@contextmanager
def opener(params: Mapping[str, Any]) -> Iterator[Client]:
    """Give the host that the restore is run on."""
    with dump_files.client(params, params["source"], "pg_restore", "psql") as host:
        yield host


def read(host: Client, wanted: Wanted) -> Current:
    """Return what is there: the dump, and what the server has of it.

    Raises:
        StateError: the dump is missing, damaged, of another kind than the options need, or does not hold what they name.
        Unreachable: no connection to the server could be made.
    """
    kind = dump_files.identify(wanted.source)
    if not kind.is_dump:
        raise StateError("A restore from %s was asked for and %s; check the option source." % (
            wanted.source, "nothing is there" if kind.format == "missing" else "that is no dump"))
    text = dump_files.read_text_dump(wanted.source, kind.compression) if kind.format == "plain" else None
    contents = None if text else _contents(host, wanted)
    _refuse_unsuitable(wanted, kind, text)
    session = login.Session(login.session_keywords(wanted.keywords))
    try:
        databases = [row["datname"] for row in session.rows("SELECT datname FROM pg_catalog.pg_database")]
        roles = frozenset(row["rolname"] for row in session.rows("SELECT rolname FROM pg_catalog.pg_roles"))
        _refuse_newer(wanted, text.made_by if text else contents.made_by if contents else 0, session.version_num)
        exists = wanted.database in databases
        schemas, occupied = _target(session, wanted) if exists else (["public"], [])
    finally:
        session.close()
    if text and text.scope == "cluster":
        occupied = ["the database %s" % ident(name) for name in databases if name not in _INITIAL]
    elif text and text.scope == "globals" and set(text.roles) <= roles:
        occupied = ["the role %s" % ident(name) for name in text.roles]
    chosen = dump_toc.listing(contents, _choose(host, wanted, contents, schemas)) if contents and (
        wanted.schemas or wanted.tables) else ""
    has_draft = bool(wanted.database) and draft_name(wanted.database) in databases
    return Current(kind, text, chosen, exists, has_draft, occupied, roles, host.copy_of_programs)


def _contents(host: Client, wanted: Wanted) -> dump_toc.Contents:
    try:
        return dump_toc.parse(host.programs.run("pg_restore", "--list", "--verbose", wanted.source))
    except ToolError as error:
        raise StateError("The dump %s cannot be read: %s; take another, or set bindir to newer programs." % (
            wanted.source, dump_files.reason(error.output))) from None


def _refuse_unsuitable(wanted: Wanted, kind: Kind, text: Optional[Text]) -> None:
    """Refuse options that a dump of this kind cannot follow."""
    if text and wanted.of_archives:
        raise StateError("The option %s was given and the dump %s is text, all of which psql runs; leave it out, or restore a "
                         "dump in another format." % (wanted.of_archives[0], wanted.source))
    if kind.format == "tar" and wanted.jobs > 1:
        raise StateError("The option jobs is %d and the dump %s is a tar file, which only one connection can read; set it to 1."
                         % (wanted.jobs, wanted.source))
    if text is None or text.scope == "database":
        if not wanted.database:
            raise StateError("The dump %s is of one database and no database to restore it into was named; give the option "
                             "database." % wanted.source)
        return
    given = [option for option in ("database", "create", "role") if getattr(wanted, option)]
    given += ["single_transaction"] if wanted.single_transaction and text.scope == "cluster" else []
    if given:
        raise StateError("The option %s was given and the dump %s is of %s; leave it out." % (
            given[0], wanted.source, "the roles and tablespaces" if text.scope == "globals" else "a whole cluster"))


def _refuse_newer(wanted: Wanted, made_by: int, server: int) -> None:
    if made_by > version.major(server):
        major = version.major(server)
        raise StateError("The dump %s was made by pg_dump of version %d and the server has version %d, which need not "
                         "understand it; make one by the pg_dump of version %d." % (wanted.source, made_by, major, major))


def _target(session: login.Session, wanted: Wanted) -> Tuple[List[str], List[str]]:
    """Return the schemas of the database, and what of that which is to be restored is there already."""
    inside = session.beside(dbname=wanted.database)
    try:
        schemas = [row["nspname"] for row in inside.rows("SELECT nspname FROM pg_catalog.pg_namespace")]
        found = [row for row in inside.rows(_RELATIONS) if _concerns(wanted, (row["schema"], row["name"]))]
        if wanted.content != "data":
            return schemas, [qualified(row["schema"], row["name"]) for row in found]
        tables = [qualified(row["schema"], row["name"]) for row in found if row["kind"] == "r"]
        return schemas, ["rows of %s" % table for table in tables
                         if inside.rows("SELECT EXISTS (SELECT FROM %s) AS filled" % table)[0]["filled"]]
    finally:
        inside.close()


def _concerns(wanted: Wanted, relation: Relation) -> bool:
    if wanted.tables:
        return relation in wanted.tables
    return not wanted.schemas or relation[0] in wanted.schemas


def _choose(host: Client, wanted: Wanted, contents: dump_toc.Contents, schemas: Sequence[str]) -> FrozenSet[int]:
    """Return the entries of what the options name, with the schemas that the database lacks.

    Raises:
        StateError: the dump does not hold one of them.
    """
    chosen, missing = set(), []
    for relation in wanted.tables:
        named = dump_toc.parse(host.programs.run("pg_restore", "--list", "--schema=%s" % relation[0], "--table=%s" % relation[1],
                                                 wanted.source)).numbers
        chosen |= dump_toc.of_table(contents, named, relation)
        missing += [] if named else ["table %s" % qualified(*relation)]
    for schema in wanted.schemas:
        named = dump_toc.parse(host.programs.run("pg_restore", "--list", "--schema=%s" % schema, wanted.source)).numbers
        chosen |= dump_toc.in_schema(contents, named)
        missing += [] if named or dump_toc.of_schema(contents, schema) else ["schema %s" % ident(schema)]
    if missing:
        raise StateError("The %s was asked for and the dump %s holds none of that name; look at pg_restore --list." % (
            ", ".join(missing), wanted.source))
    for schema in list(wanted.schemas) + [relation[0] for relation in wanted.tables]:
        chosen |= dump_toc.of_schema(contents, schema) if schema not in schemas else set()
    return frozenset(chosen)


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps of the restore; none where all is there and that is to be left.

    Raises:
        StateError: the database is missing, or holds what would be restored.
    """
    name = wanted.database or current.scope
    before = {"database": name, "holds": _some(current.occupied)}
    facts = {"database": wanted.database, "scope": current.scope}
    steps = [Action("programs", current.copy_of_programs)] if current.copy_of_programs else []
    draft = draft_name(wanted.database) if wanted.database else ""
    if current.has_draft and wanted.create:
        steps.append(_sql("DROP DATABASE %s WITH (FORCE)" % ident(draft)))
    if current.scope == "database" and not current.exists:
        if not wanted.create:
            raise StateError("A restore into the database %r was asked for and the server has none of that name; create it "
                             "first, or set create." % wanted.database)
        steps.append(_sql("CREATE DATABASE %s TEMPLATE template0" % ident(draft)))
        steps.append(_restore(current, wanted, draft))
        steps.append(_sql("ALTER DATABASE %s RENAME TO %s" % (ident(draft), ident(wanted.database))))
    elif not current.occupied or wanted.clean or wanted.when_not_empty == "restore":
        steps.append(_restore(current, wanted, wanted.database))
    elif wanted.when_not_empty == "fail":
        raise StateError("A restore of %s into %s was asked for and it holds %s already; restore into an empty database, or set "
                         "when_not_empty to skip or restore." % (
                             wanted.source, "the database %r" % wanted.database if wanted.database else "the server",
                             _some(current.occupied)))
    else:
        return Plan((), before, before, facts)
    return Plan(steps, before, {"database": name, "holds": wanted.source}, facts)


def _some(names: Sequence[str]) -> str:
    if not names:
        return "nothing of it"
    return names[0] if len(names) == 1 else "%s and %d more" % (names[0], len(names) - 1)


def _sql(text: str) -> Action:
    return Action("sql", text)


def _restore(current: Current, wanted: Wanted, database: str) -> Action:
    single = wanted.jobs == 1 and current.scope == "database" if wanted.single_transaction is None else wanted.single_transaction
    keywords = dict(wanted.keywords, dbname=database or wanted.keywords["dbname"])
    if not wanted.database:
        # They go by the environment, together with ours.
        keywords["options"] = None
    dbname = "--dbname=%s" % conninfo.render(keywords)
    values = {"roles": current.roles, "chosen": current.chosen, "single": single}
    if current.text is not None:
        argv = ["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--file=-", dbname]
        read_by = {"": "cat", "gzip": "gzip -dc", "zstd": "zstd -dc", "lz4": "lz4 -dc"}[current.kind.compression]
        return Action("text", "%s %s | psql %s" % (read_by, wanted.source, " ".join(argv)), dict(values, argv=argv))
    flags = {"--single-transaction": single, "--clean": wanted.clean, "--if-exists": wanted.clean, "--no-owner": wanted.no_owner,
             "--no-privileges": wanted.no_privileges, "--schema-only": wanted.content == "schema",
             "--data-only": wanted.content == "data"}
    argv = ["--exit-on-error", "--no-password", dbname] + [flag for flag, is_wanted in flags.items() if is_wanted]
    argv += ["--jobs=%d" % wanted.jobs] if wanted.jobs > 1 else []
    argv += ["--role=%s" % wanted.role] if wanted.role else []
    parts = ["--schema=%s" % ident(name) for name in wanted.schemas] + ["--table=%s" % qualified(*name) for name in wanted.tables]
    return Action("archive", " ".join(["pg_restore"] + argv + parts + [wanted.source]), dict(values, argv=argv))


def apply(host: Client, wanted: Wanted, steps: Sequence[Action]) -> Dict[str, Any]:
    """Do the steps; when one fails, no draft stays behind.

    Raises:
        PgError: one could not be done.
    """
    started = time.monotonic()
    doers = {"programs": _do_programs, "sql": _do_sql, "text": _do_text, "archive": _do_archive}
    try:
        for step in steps:
            doers[step.action](host, wanted, step)
    except PgError:
        if any(step.shown.startswith("CREATE DATABASE ") for step in steps):
            _do_sql(host, wanted, _sql("DROP DATABASE IF EXISTS %s WITH (FORCE)" % ident(draft_name(wanted.database))))
        raise
    return {"duration_seconds": round(time.monotonic() - started, 3)}


def _do_programs(host: Client, _wanted: Wanted, _step: Action) -> None:
    host.copy_programs()


def _do_sql(_host: Client, wanted: Wanted, step: Action) -> None:
    session = login.Session(login.session_keywords(wanted.keywords))
    try:
        session.rows(step.shown)
    finally:
        session.close()


def _do_text(host: Client, wanted: Wanted, step: Action) -> None:
    kind = dump_files.identify(wanted.source)
    lines = dump_files.text_lines(wanted.source, kind.compression)
    env = {}
    if wanted.database:
        text = dump_text.of_database(lines, wanted.role, step.values["single"])
    else:
        # The verifiers of the roles' passwords are in the statements, and belong into no server's log.
        env["PGOPTIONS"] = ("%s %s" % (login.SILENT, wanted.keywords.get("options") or "")).strip()
        text = dump_text.of_cluster(lines, step.values["roles"])
    try:
        host.programs.feed("psql", *step.values["argv"], chunks=text, env=env)
    except ToolError as error:
        raise _failure(wanted, step, error) from None


def _do_archive(host: Client, wanted: Wanted, step: Action) -> None:
    directory = tempfile.mkdtemp(prefix="pgmahout-")
    os.chmod(directory, 0o711)  # noqa: S103 - another account reads the list, of which it knows the name
    argv = list(step.values["argv"])
    try:
        if step.values["chosen"]:
            host.write(os.path.join(directory, "list"), step.values["chosen"])
            argv.append("--use-list=%s" % os.path.join(directory, "list"))
        host.programs.run("pg_restore", *(argv + [wanted.source]))
    except ToolError as error:
        raise _failure(wanted, step, error) from None
    finally:
        shutil.rmtree(directory)


def _failure(wanted: Wanted, step: Action, error: ToolError) -> ToolError:
    left = "nothing of it stays" if step.values["single"] else "what came before stays"
    return ToolError("The dump %s could not be restored: %s; %s, see to that and run this again." % (
        wanted.source, dump_files.reason(error.output), left), error.output)
