# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logical backups: a dump that is whole and readable, or not there at all.

The sources are PostgreSQL's documentation, chapter 25.1 (SQL dump), and the pages of pg_dump and pg_dumpall. A dump is written
beside its place, read back there, and renamed. One of a series is named by the time at which it was asked for.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import conninfo, dump_files, login, version
from .dump_files import COMPRESSIONS, EXTENSIONS, Client, Kind
from .durable import sync_directory
from .errors import InputError, PgError, StateError, ToolError
from .instance import REMOVED, UNFINISHED
from .plan import Action, Plan
from .sql import ident, literal, qualified, split_name

Relation = Tuple[str, str]

_MEMBER = re.compile(r"\A\d{8}T\d{6}Z(-\d+)?\.(dump|dir|tar|sql(\.gz|\.zst|\.lz4)?)\Z")
_COMPRESS = re.compile(r"\A(none|gzip|zstd|lz4)(?::(\d+))?\Z")
_LEVELS = {"gzip": 9, "zstd": 22, "lz4": 12}

#: The options that choose relations, with pg_dump's for the same.
_RELATIONS = {"tables": "--table", "exclude_tables": "--exclude-table", "exclude_table_data": "--exclude-table-data"}
_SCHEMAS = {"schemas": "--schema", "exclude_schemas": "--exclude-schema"}

#: The relations of some names, and their partitions and children, which a dump of a parent alone would leave out.
_FAMILY = """WITH RECURSIVE family AS (
  SELECT c.oid, true AS is_named FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND (n.nspname, c.relname) IN (%s)
  UNION
  SELECT i.inhrelid, false FROM pg_catalog.pg_inherits i JOIN family ON i.inhparent = family.oid
)
SELECT n.nspname AS schema, c.relname AS name, pg_catalog.bool_or(f.is_named) AS is_named
FROM family f JOIN pg_catalog.pg_class c ON c.oid = f.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace GROUP BY 1, 2 ORDER BY 1, 2"""


class Wanted(NamedTuple):
    """What the options ask for.

    Attributes:
        directory: where the dump goes.
        name: its name there; in a series, the time without an extension.
        keep: how many of a series to keep, 0 for all; None where the dump is none of a series.
        kind: what the file will be.
        arguments: those of the program that follow from the options alone.
        relations: by the option that names them.
        keywords: of libpq, with the database.
    """

    directory: str
    name: str
    keep: Optional[int]
    kind: Kind
    scope: str
    on_exists: str
    arguments: Sequence[str]
    schemas: Mapping[str, Sequence[str]]
    relations: Mapping[str, Sequence[Relation]]
    keywords: Mapping[str, Any]
    verify: bool
    lock_wait_timeout: int

    @property
    def program(self) -> str:
        """The program that writes the dump."""
        return "pg_dump" if self.scope == "database" else "pg_dumpall"

    @property
    def extension(self) -> str:
        """What the names of a series end with."""
        return EXTENSIONS[self.kind.format] + COMPRESSIONS.get(self.kind.compression, "")


class Current(NamedTuple):
    """What is there.

    Attributes:
        names: in the directory.
        found: what has the dump's name already.
        relations: those that the options name, with their partitions and children, as the server has them.
        absent: what an option excludes and the server does not have.
    """

    names: Sequence[str]
    found: Kind
    relations: Mapping[str, Sequence[Relation]]
    absent: Sequence[str]
    copy_of_programs: str


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: options contradict each other.
    """
    params = dict(params, format=params["format"] or ("custom" if params["scope"] == "database" else "plain"))
    _refuse_contradictions(params)
    if params["directory"]:
        directory, name = os.path.normpath(params["directory"]), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    else:
        directory, name = os.path.split(os.path.abspath(params["dest"]))
    compression = _compression(params)
    kind = Kind(params["format"], compression if params["format"] == "plain" else "")
    schemas = {option: params[option] for option in _SCHEMAS if params[option]}
    relations = {option: list(map(split_name, params[option])) for option in _RELATIONS if params[option]}
    return Wanted(directory, name, params["keep"] if params["directory"] else None, kind, params["scope"], params["on_exists"],
                  _arguments(params), schemas, relations, _keywords(params), params["verify"],
                  params["lock_wait_timeout"])


def _refuse_contradictions(params: Mapping[str, Any]) -> None:
    if bool(params["dest"]) == bool(params["directory"]):
        raise InputError("A dump was asked for with %s of dest and directory; give the path of one file as dest, or the "
                         "directory of a series." % ("both" if params["dest"] else "none"))
    if params["keep"] < 0 or (params["keep"] and not params["directory"]):
        raise InputError("The option keep is %d; it counts the dumps of a directory, so give that, and 0 or more."
                         % params["keep"])
    if params["on_exists"] == "replace" and params["directory"]:
        raise InputError("The option on_exists is replace and a series replaces none; leave it out, or give dest.")
    if params["scope"] != "database":
        _refuse_options_of_pg_dump(params)
    elif not params["database"] or not params["role_passwords"]:
        raise InputError("A dump of a database was asked for with %s; give the option database, or another scope." % (
            "role_passwords, which it never holds" if params["database"] else "none named"))
    _refuse_contradictory_parts(params)


def _refuse_contradictory_parts(params: Mapping[str, Any]) -> None:
    if params["jobs"] < 1 or (params["jobs"] > 1 and params["format"] != "directory"):
        raise InputError("The option jobs is %d with the format %s; only the format directory is written by several, so choose "
                         "that or 1." % (params["jobs"], params["format"]))
    if params["tables"] and (params["schemas"] or params["exclude_schemas"]):
        raise InputError("The options tables and %s were given together, and pg_dump ignores schemas when tables are named; give "
                         "one of them." % ("schemas" if params["schemas"] else "exclude_schemas"))
    if params["content"] == "schema" and params["exclude_table_data"]:
        raise InputError("The option exclude_table_data was given with content schema, which has no data; leave one out.")
    if params["lock_wait_timeout"] < 0:
        raise InputError("The option lock_wait_timeout is %d; give seconds, 0 to wait forever." % params["lock_wait_timeout"])


def _refuse_options_of_pg_dump(params: Mapping[str, Any]) -> None:
    given = [option for option in ("database", "schemas", "exclude_schemas", "tables", "exclude_tables", "exclude_table_data",
                                   "compress") if params[option]]
    given += ["jobs"] if params["jobs"] > 1 else []
    given += ["format"] if params["format"] != "plain" else []
    if params["scope"] == "globals" and params["content"] == "data":
        given.append("content")
    if given:
        raise InputError("The option %s was given with the scope %s, which pg_dumpall writes as one uncompressed text of all; "
                         "leave it out, or use the scope database." % (given[0], params["scope"]))


def _compression(params: Mapping[str, Any]) -> str:
    """Return the method in the option ``compress``, ``""`` for none or the format's own."""
    if not params["compress"]:
        return ""
    found = _COMPRESS.match(params["compress"])
    method, level = (found.group(1), int(found.group(2) or 1)) if found else ("", 0)
    if found is None or (found.group(2) and not 1 <= level <= _LEVELS.get(method, 0)):
        raise InputError("The option compress is %r; give none, gzip, zstd or lz4, and a level behind a colon, up to 9, 22 and "
                         "12, such as gzip:6." % params["compress"])
    if params["format"] == "tar" and method != "none":
        raise InputError("The option compress is %r with the format tar, which pg_dump cannot compress; choose custom or "
                         "directory." % params["compress"])
    return "" if method == "none" else method


def _keywords(params: Mapping[str, Any]) -> Dict[str, Any]:
    keywords = conninfo.given(params["conninfo"])
    for key in conninfo.SECRETS:
        if key in keywords:
            raise InputError("The option conninfo holds %s, which a program could only be given where others can read it; put it "
                             "into a file and give passfile instead." % key)
    if params["scope"] == "database":
        if keywords.get("dbname", params["database"]) != params["database"]:
            raise InputError("The option conninfo names the database %r and the option database %r; leave dbname out."
                             % (keywords["dbname"], params["database"]))
        keywords["dbname"] = params["database"]
    conninfo.render(keywords)
    return dict({"dbname": "postgres"}, **keywords)


def _arguments(params: Mapping[str, Any]) -> List[str]:
    """Return the arguments of the program, but for what depends on its version or on the server."""
    arguments = ["--no-password"]
    if params["lock_wait_timeout"]:
        arguments.append("--lock-wait-timeout=%ds" % params["lock_wait_timeout"])
    if params["scope"] == "database":
        arguments.append("--format=%s" % params["format"])
    if params["jobs"] > 1:
        arguments.append("--jobs=%d" % params["jobs"])
    flags = {"--schema-only": params["content"] == "schema", "--data-only": params["content"] == "data",
             "--no-owner": params["no_owner"], "--no-privileges": params["no_privileges"],
             "--globals-only": params["scope"] == "globals",
             "--no-role-passwords": params["scope"] != "database" and not params["role_passwords"]}
    arguments += [flag for flag, is_wanted in flags.items() if is_wanted]
    if params["compress"]:
        arguments.append("--compress=%s" % _compress_argument(params["compress"]))
    return arguments


def _compress_argument(compress: str) -> str:
    """Return the value of --compress, which is a level of gzip before PostgreSQL 16, and may be one since."""
    method, _colon, level = compress.partition(":")
    return {"none": "0", "gzip": level or "6"}.get(method, compress)


@contextmanager
def opener(params: Mapping[str, Any]) -> Iterator[Client]:
    """Give the host that the dump is made on."""
    needed = ("pg_dump", "pg_restore") if params["scope"] == "database" else ("pg_dump", "pg_dumpall")
    with dump_files.client(params, params["directory"] or params["dest"], *needed) as host:
        yield host


def read(host: Client, wanted: Wanted) -> Current:
    """Return what is there; the server is only asked where a dump may be made.

    Raises:
        StateError: the programs cannot do it, or something to dump does not exist.
    """
    names = _names(wanted.directory)
    found = dump_files.identify(os.path.join(wanted.directory, wanted.name)) if wanted.keep is None else Kind("missing")
    if found.is_dump and wanted.on_exists == "keep":
        return Current(names, found, {}, (), "")
    if wanted.kind.compression in ("zstd", "lz4"):
        dump_files.decompressor(wanted.kind.compression)
    session = login.Session(login.session_keywords(wanted.keywords))
    try:
        _refuse_versions(host, wanted, session.version_num)
        if wanted.scope == "database":
            _refuse_missing_schemas(session, wanted)
        relations: Dict[str, List[Relation]] = {}
        absent: List[str] = []
        for option, named in wanted.relations.items():
            relations[option], lacking = _family(session, named)
            if lacking and option == "tables":
                raise StateError("A dump of the table %s was asked for and the database %r has none of that name; check the "
                                 "option tables." % (", ".join(lacking), wanted.keywords["dbname"]))
            absent += lacking
    finally:
        session.close()
    return Current(names, found, relations, absent, host.copy_of_programs)


def _names(directory: str) -> List[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StateError("The directory %s cannot be read: %s; run as root or as its owner, or choose another."
                         % (directory, error.strerror)) from None


def _refuse_versions(host: Client, wanted: Wanted, server: int) -> None:
    if not os.path.exists(os.path.join(host.programs.bindir, wanted.program)):
        return  # In check mode, before they are installed.
    ours = host.version_of(wanted.program)
    if version.major(server) > ours:
        raise StateError("The server has version %d and the %s in %s has version %d, which cannot read it; set bindir to "
                         "programs of version %d." % (version.major(server), wanted.program, host.programs.bindir, ours,
                                                      version.major(server)))
    argument = next((text for text in wanted.arguments if text.startswith(("--compress=zstd", "--compress=lz4"))), "")
    if not argument:
        return
    if ours < 16:
        raise StateError("The option %s was given and the pg_dump in %s has version %d, which knows gzip alone; choose that, or "
                         "set bindir to programs of version 16 or newer." % (argument[2:], host.programs.bindir, ours))
    try:
        # It looks at the compression before it looks for a server, of which there is none here.
        host.programs.run("pg_dump", "--format=plain", "--file=/dev/null", argument, "--dbname=host=/dev/null")
    except ToolError as error:
        if "not supported" in error.output or "does not support" in error.output:
            raise StateError("The option %s was given and the pg_dump in %s was built without it; choose gzip, or set bindir to "
                             "other programs." % (argument[2:], host.programs.bindir)) from None


def _refuse_missing_schemas(session: login.Session, wanted: Wanted) -> None:
    names = wanted.schemas.get("schemas", ())
    if not names:
        return
    rows = session.rows("SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname IN (%s)" % ", ".join(map(literal, names)))
    found = {row["nspname"] for row in rows}
    missing = [ident(name) for name in names if name not in found]
    if missing:
        raise StateError("A dump of the schema %s was asked for and the database %r has none of that name; check the option "
                         "schemas." % (", ".join(missing), wanted.keywords["dbname"]))


def _family(session: login.Session, named: Sequence[Relation]) -> Tuple[List[Relation], List[str]]:
    """Return some relations with their partitions and children, and those of them that do not exist."""
    rows = session.rows(_FAMILY % ", ".join("(%s, %s)" % (literal(schema), literal(name)) for schema, name in named))
    there = {(row["schema"], row["name"]) for row in rows if row["is_named"]}
    return [(row["schema"], row["name"]) for row in rows], [qualified(*relation) for relation in named if relation not in there]


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps of the dump; none when there is one already and that is enough.

    Raises:
        StateError: something else has its name.
    """
    path = os.path.join(wanted.directory, _free_name(current, wanted))
    warnings = ["%s was to be excluded and does not exist." % name for name in current.absent]
    before = {"dest": path, "state": "dump" if current.found.is_dump else current.found.format}
    if current.found.format == "foreign":
        raise StateError("A dump was asked for in %s and something that is no dump is there; move it away yourself or choose "
                         "another dest." % path)
    if current.found.is_dump and wanted.on_exists == "keep":
        _refuse_other_kind(path, current.found, wanted.kind)
        return Plan((), before, before, {"dest": path, "removed": []})
    steps = [Action("programs", current.copy_of_programs)] if current.copy_of_programs else []
    steps += [_removal(left) for left in _leftovers(current, wanted, path, UNFINISHED)]
    argv = _argv(current, wanted, path)
    steps.append(Action("dump", " ".join([wanted.program] + argv), {"path": path, "argv": argv}))
    steps.append(Action("check", _check_shown(wanted, path), {"path": path}))
    # What a killed run put aside may be the only dump there is, until there is a new one.
    aside, later = _asides(current, wanted, path), _leftovers(current, wanted, path, REMOVED)
    if aside:
        steps += [_removal(left) for left in later]
        steps.append(_move(path, aside))
        later = [aside]
    steps.append(_move(path + UNFINISHED, path))
    removed = expired(wanted.directory, current.names, wanted.keep)
    steps += [_removal(old) for old in later + removed]
    return Plan(steps, before, dict(before, state="dump"), {"dest": path, "removed": removed}, warnings)


def _asides(current: Current, wanted: Wanted, path: str) -> str:
    """Return where what has the dump's name must go first, ``""`` where a file can be renamed over a file."""
    is_directory = "directory" in (current.found.format, wanted.kind.format)
    return path + REMOVED if current.found.is_dump and is_directory else ""


def _move(source: str, dest: str) -> Action:
    return Action("rename", "mv %s %s" % (source, dest), {"source": source, "dest": dest})


def _refuse_other_kind(path: str, found: Kind, kind: Kind) -> None:
    if found != kind:
        raise StateError("A dump in the format %s was asked for in %s and one in the format %s is there; choose another dest, or "
                         "set on_exists to replace." % (_words(kind), path, _words(found)))


def _words(kind: Kind) -> str:
    return "%s with %s" % (kind.format, kind.compression) if kind.compression else kind.format


def _free_name(current: Current, wanted: Wanted) -> str:
    if wanted.keep is None:
        return wanted.name
    # Later than any other of that second, also where earlier ones are gone already.
    numbers = [_age(name)[1] for name in current.names if _MEMBER.match(name) and _age(name)[0] == wanted.name]
    suffix = "-%d" % (max(numbers) + 1) if numbers else ""
    return "%s%s.%s" % (wanted.name, suffix, wanted.extension)


def _leftovers(current: Current, wanted: Wanted, path: str, suffix: str) -> List[str]:
    """Return what runs that were killed left: of this dump, or of its series."""
    if wanted.keep is None:
        ours = [name for name in current.names if name == os.path.basename(path) + suffix]
    else:
        ours = [name for name in current.names if name.endswith(suffix) and _MEMBER.match(name[:-len(suffix)])]
    return [os.path.join(wanted.directory, name) for name in ours]


def expired(directory: str, names: Sequence[str], keep: Optional[int]) -> List[str]:
    """Return the paths of a series that go when one more is there.

    Args:
        directory: of the series.
        names: in it, before.
        keep: how many to keep, the new one counted; 0 or None for all.
    """
    if not keep:
        return []
    series = sorted((name for name in names if _MEMBER.match(name)), key=_age, reverse=True)
    return [os.path.join(directory, name) for name in reversed(series[keep - 1:])]


def _age(name: str) -> Tuple[str, int]:
    stamp, _dash, number = name.split(".")[0].partition("-")
    return stamp, int(number or 1)


def _removal(path: str) -> Action:
    return Action("remove", "rm -r %s" % path, {"path": path})


def _argv(current: Current, wanted: Wanted, path: str) -> List[str]:
    argv = ["--file=%s" % (path + UNFINISHED), "--dbname=%s" % conninfo.render(wanted.keywords)] + list(wanted.arguments)
    for option, names in wanted.schemas.items():
        argv += ["%s=%s" % (_SCHEMAS[option], ident(name)) for name in names]
    for option, relations in current.relations.items():
        argv += ["%s=%s" % (_RELATIONS[option], qualified(*relation)) for relation in relations]
    if "schemas" in wanted.schemas or "tables" in wanted.relations:
        argv.append("--strict-names")
    return argv


def _check_shown(wanted: Wanted, path: str) -> str:
    if wanted.kind.format == "plain":
        return "tail %s" % (path + UNFINISHED)
    return "pg_restore %s %s" % ("--file=/dev/null" if wanted.verify else "--list", path + UNFINISHED)


def apply(host: Client, wanted: Wanted, steps: Sequence[Action]) -> Dict[str, Any]:
    """Do the steps, and return what can be said of the dump once it is there."""
    started, dest = time.monotonic(), ""
    for step in steps:
        if step.action == "programs":
            host.copy_programs()
        elif step.action == "remove":
            dump_files.remove(step.values["path"])
        elif step.action == "rename":
            dest = step.values["dest"]
            os.rename(step.values["source"], dest)
            sync_directory(wanted.directory)
        else:
            _make(host, wanted, step)
    return {"size_bytes": dump_files.size(dest), "duration_seconds": round(time.monotonic() - started, 3)}


def _make(host: Client, wanted: Wanted, step: Action) -> None:
    """Write or check a dump under its unfinished name, under which nothing stays when that fails."""
    unfinished = step.values["path"] + UNFINISHED
    try:
        if step.action == "dump":
            _dump(host, wanted, unfinished, step.values["argv"])
        else:
            _check(host, wanted, unfinished)
    except PgError:
        dump_files.remove(unfinished)
        raise


def _dump(host: Client, wanted: Wanted, unfinished: str, argv: Sequence[str]) -> None:
    host.make_directory(wanted.directory)
    if wanted.kind.format != "directory":
        # The program keeps the mode of a file that is there, and would make one that all can read.
        host.write(unfinished, "")
    try:
        host.programs.run(wanted.program, *argv)
    except ToolError as error:
        reason = dump_files.reason(error.output)
        if wanted.lock_wait_timeout and "statement timeout" in reason:
            reason = "a table has been locked by somebody else for the %d s of lock_wait_timeout" % wanted.lock_wait_timeout
        raise ToolError("%s could not be dumped: %s; see to that and run this again." % (_subject(wanted), reason),
                        error.output) from None
    dump_files.sync(unfinished)


def _check(host: Client, wanted: Wanted, unfinished: str) -> None:
    try:
        dump_files.check(host, unfinished, wanted.kind, wanted.verify)
    except ToolError as error:
        raise ToolError("The dump %s was written and cannot be read back: %s; it was removed, run this again." % (
            unfinished, dump_files.reason(error.output)), error.output) from None


def _subject(wanted: Wanted) -> str:
    return {"database": "The database %r" % wanted.keywords["dbname"], "globals": "The roles and tablespaces",
            "cluster": "The cluster"}[wanted.scope]
