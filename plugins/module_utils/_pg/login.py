# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place that imports psycopg2: from login options to a session with one server."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional

from .conninfo import SECRETS
from .errors import InputError, ServerError, Starting, Unreachable
from .sql import Statement, ident, literal, statement

try:
    import psycopg2
    import psycopg2.extras
except ImportError:
    psycopg2 = None  # type: ignore[assignment]

#: Login options of every SQL module; documented in the fragment ``login``.
SPEC: Dict[str, Any] = {
    "login_host": {"type": "str", "default": ""},
    "login_port": {"type": "int", "default": 5432},
    "login_user": {"type": "str", "default": "postgres"},
    "login_password": {"type": "str", "no_log": True},
    "login_unix_socket": {"type": "str", "default": ""},
    "login_db": {"type": "str", "default": "postgres"},
    "login_planned": {"type": "bool", "default": False},
    "connect_params": {"type": "dict", "default": {}},
    "ssl_mode": {"type": "str", "default": "prefer",
                 "choices": ["allow", "disable", "prefer", "require", "verify-ca", "verify-full"]},
    "ca_cert": {"type": "str"},
    "ssl_cert": {"type": "path"},
    "ssl_key": {"type": "path"},
}

#: What is made does not wait for synchronous standbys (chapter 26.2.8): on a first run they come only after it, and where
#: they are away a run would hang. What a failover loses thereby, the next run makes again.
LOCAL_COMMIT = "-c synchronous_commit=local"

#: What a session must not inherit from a role, a database or postgresql.conf, since it changes the meaning of SQL
#: text or of what the server prints back (chapter 20.11). Startup options outrank all of these.
_WRITING = "-c default_transaction_read_only=off " + LOCAL_COMMIT
_SESSION = ("-c search_path= -c standard_conforming_strings=on -c quote_all_identifiers=off -c DateStyle=ISO"
            " -c IntervalStyle=postgres -c bytea_output=hex -c statement_timeout=0 -c lock_timeout=0 "
            + _WRITING)

_DUPLICATE_OBJECT = "42710"

#: How a server that recovers turns clients away (57P03), in English: libpq gives no code for what ended a connection attempt.
_STARTING = re.compile(r"the database system is (?:starting up|in recovery mode|not (?:yet )?accepting connections)")

#: What keeps a statement that holds a secret out of the server's log (chapter 20.8) and out of what extensions record.
_SILENCE = {"log_statement": "none", "log_min_duration_statement": "-1", "log_min_duration_sample": "-1",
            "log_transaction_sample_rate": "0", "log_min_error_statement": "panic", "debug_print_parse": "off",
            "debug_print_rewritten": "off", "debug_print_plan": "off", "pg_stat_statements.track_utility": "off",
            "pgaudit.log": "none"}


#: The same as startup options, for a program that sends such statements; only a superuser may give them.
SILENT = " ".join("-c %s=%s" % pair for pair in _SILENCE.items())


def conninfo_of(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the libpq keywords of a module's login options.

    Raises:
        InputError: ``connect_params`` holds a secret, which has an option of its own.
    """
    for key in SECRETS:
        if key in params["connect_params"]:
            raise InputError("The option connect_params holds %s, which would be shown in results; use login_password."
                             % key)
    keywords: Dict[str, Any] = {
        "host": params["login_unix_socket"] or params["login_host"] or None,
        "port": params["login_port"],
        "user": params["login_user"],
        "password": params["login_password"],
        "dbname": params["login_db"],
        "sslmode": params["ssl_mode"],
        "sslrootcert": params["ca_cert"],
        "sslcert": params["ssl_cert"],
        "sslkey": params["ssl_key"],
    }
    keywords.update(params["connect_params"])
    return session_keywords(keywords)


def session_keywords(keywords: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the keywords of a session of ours for a server that a conninfo names."""
    ours: Dict[str, Any] = {"connect_timeout": 10, "application_name": "pgmahout", "client_encoding": "UTF8"}
    ours.update((key, value) for key, value in keywords.items() if value is not None)
    ours["options"] = ("%s %s" % (_SESSION, ours.get("options", ""))).strip()
    return ours


def local(socket_directory: str, port: int, user: str, dbname: str = "postgres") -> Dict[str, Any]:
    """Return the libpq keywords of a session over the socket of a server of this host."""
    return {"host": socket_directory, "port": port, "user": user, "dbname": dbname, "connect_timeout": 10,
            "application_name": "pgmahout", "client_encoding": "UTF8", "options": _SESSION}


def reader(keywords: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the keywords of a session of ours that only reads, and so sees by which settings others write."""
    return dict(keywords, options=keywords["options"].replace(_WRITING, "", 1))


@contextmanager
def _replication(keywords: Mapping[str, Any]) -> Iterator[Any]:
    """Give a cursor of a replication connection, which knows the commands of chapter 54.4 alone."""
    connection = _connect(dict({"connect_timeout": 10, "application_name": "pgmahout"}, **keywords), True)
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def system_identifier(keywords: Mapping[str, Any]) -> str:
    """Return the system identifier of a server, asked over a replication connection.

    Raises:
        Unreachable: no replication connection could be made.
    """
    with _replication(keywords) as cursor:
        cursor.execute("IDENTIFY_SYSTEM")
        return str(cursor.fetchone()[0])


def summarizes_wal(keywords: Mapping[str, Any]) -> bool:
    """Return whether a server keeps the summaries of WAL that incremental backups are made from; none does before 17.

    Raises:
        Unreachable: no replication connection could be made.
    """
    with _replication(keywords) as cursor:
        if cursor.connection.server_version < 170000:
            return False
        cursor.execute("SHOW summarize_wal")
        return bool(cursor.fetchone()[0] == "on")


def create_slot(keywords: Mapping[str, Any], slot: str) -> None:
    """Make a physical replication slot that keeps WAL from now on; one of that name that is there already stays as it is.

    Raises:
        ServerError: the server has no room for it, or its name is none.
        Unreachable: no replication connection could be made.
    """
    with _replication(keywords) as cursor:
        try:
            cursor.execute("CREATE_REPLICATION_SLOT %s PHYSICAL RESERVE_WAL" % ident(slot))
        except psycopg2.Error as error:
            if error.pgcode != _DUPLICATE_OBJECT:
                raise ServerError("The server refused to make the replication slot %s: %s." % (slot, _reason(error)),
                                  error.pgcode or "", _reason(error)) from None


def _connect(keywords: Mapping[str, Any], replication: bool = False) -> Any:
    if psycopg2 is None:
        raise Unreachable("A connection to a server was needed and the Python interpreter %s has no psycopg2; install it, "
                          "such as by the package python3-psycopg2." % sys.executable)
    factory = psycopg2.extras.PhysicalReplicationConnection if replication else None
    try:
        return psycopg2.connect(connection_factory=factory, **keywords)
    except psycopg2.Error as error:
        kind = Starting if _STARTING.search(str(error)) else Unreachable
        raise kind("Could not connect to database %r at %s port %s as user %r: %s." % (
            keywords.get("dbname", "replication"), keywords.get("host", "the default socket"), keywords.get("port", 5432),
            keywords.get("user"), _one_line(str(error)))) from None


class Session:
    """One connection with autocommit, its notices, and its errors as ours.

    Attributes:
        version_num: the server's version, such as 180006.
        notices: what the server remarked, oldest first, as it sent it.
    """

    shown_as = "statements"

    def __init__(self, keywords: Mapping[str, Any]) -> None:
        self._connection = _connect(keywords)
        self._connection.autocommit = True
        self.version_num: int = self._connection.server_version
        self._keywords = dict(keywords)
        self._silent = False

    @property
    def address(self) -> str:
        """Return whom it reached, of all that its conninfo names: ``host:port``."""
        return "%s:%s" % (self._connection.info.host, self._connection.info.port)

    @property
    def notices(self) -> List[str]:
        """Return what the server remarked so far."""
        return [text.strip() for text in self._connection.notices]

    def parameter(self, name: str) -> str:
        """Return a parameter that the server reports by itself, such as ``in_hot_standby``; ``""`` if it does not."""
        return self._connection.get_parameter_status(name) or ""

    def rows(self, text: str) -> List[Dict[str, Any]]:
        """Return the rows of a query, each as a dictionary by column.

        Raises:
            ServerError: the server refused it.
        """
        return self._run(statement(text))

    def texts(self, text: str) -> List[List[Optional[str]]]:
        """Return the rows of a query with each value as the server writes it, which is what psql shows; None for NULL.

        Raises:
            ServerError: the server refused it.
        """
        known = tuple(psycopg2.extensions.string_types)
        with self._cursor(statement(text)) as cursor:
            psycopg2.extensions.register_type(psycopg2.extensions.new_type(known, "TEXT", lambda value, _cursor: value), cursor)
            cursor.execute(text)
            return [list(row) for row in cursor.fetchall()] if cursor.description is not None else []

    def execute(self, step: Statement) -> List[Dict[str, Any]]:
        """Run a statement; one that holds a secret is kept out of the server's log first.

        Raises:
            ServerError: the server refused it, or this user may not keep it out of the log.
        """
        if step.secret and not self._silent:
            self._silence()
        return self._run(step)

    def has_loaded(self, paths: Iterable[str]) -> bool:
        """Return whether the server read its configuration after each of these files was written (chapter 9.27.2)."""
        rows = self.rows("SELECT extract(epoch FROM pg_catalog.pg_conf_load_time())::float8 AS at")
        return all(os.path.getmtime(path) <= rows[0]["at"] for path in paths)

    def script(self, text: str) -> None:
        """Run a user's statements in one transaction, the rows of which nobody reads.

        Raises:
            ServerError: the server refused one; its line is told, not its text.
        """
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(text)
        except psycopg2.Error as error:
            line = text.count("\n", 0, int(error.diag.statement_position or 1) - 1) + 1
            where = " at its line %d" % line if error.diag.statement_position else ""
            raise ServerError("The server refused the script%s: %s." % (where, _reason(error)), error.pgcode or "",
                              _reason(error)) from None

    def beside(self, **changes: Optional[str]) -> Session:
        """Return another session with the same login but for some keywords of libpq; ``None`` takes one out.

        Raises:
            Unreachable: no connection could be made.
        """
        keywords = dict(self._keywords, **changes)
        return Session({key: value for key, value in keywords.items() if value is not None})

    @contextmanager
    def lock(self, *names: str) -> Iterator[None]:
        """Hold an advisory lock of the server, so that two runs never change one object at once (chapter 13.3.5)."""
        key = "hashtextextended(%s, 7464)" % literal(":".join(("pgmahout",) + names))
        self.rows("SELECT pg_catalog.pg_advisory_lock(pg_catalog.%s)" % key)
        try:
            yield
        finally:
            try:
                self.rows("SELECT pg_catalog.pg_advisory_unlock(pg_catalog.%s)" % key)
            except ServerError:
                # With the connection, the lock is gone too.
                if not self._connection.closed:
                    raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Let what is executed inside happen wholly or not at all."""
        self._run(statement("BEGIN"))
        try:
            yield
        except BaseException:
            if not self._connection.closed:
                self._run(statement("ROLLBACK"))
            raise
        self._run(statement("COMMIT"))

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _silence(self) -> None:
        names = ", ".join(literal(name) for name in _SILENCE)
        for row in self.rows("SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN (%s)" % names):
            name, quiet = row["name"], _SILENCE[row["name"]]
            if row["setting"] == quiet:
                continue
            try:
                self.rows("SET %s TO %s" % (name, literal(quiet)))
            except ServerError as error:
                raise ServerError("The user %r may not keep a password out of the server's log, where %s is %r; log in "
                                  "as a superuser, or let one run: ALTER ROLE ... SET %s TO %s."
                                  % (self._keywords.get("user"), name, row["setting"], name, literal(quiet)),
                                  error.sqlstate) from None
        self._silent = True

    def _run(self, step: Statement) -> List[Dict[str, Any]]:
        with self._cursor(step) as cursor:
            cursor.execute(step.text)
            if cursor.description is None:
                return []
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]

    @contextmanager
    def _cursor(self, step: Statement) -> Iterator[Any]:
        """Give a cursor for one statement; whatever goes wrong with it is told, also that the connection is gone since before."""
        try:
            with self._connection.cursor() as cursor:
                yield cursor
        except psycopg2.Error as error:
            raise ServerError(_refusal(step, error), error.pgcode or "", _reason(error)) from None


def _refusal(step: Statement, error: Any) -> str:
    extra = "".join(" %s" % _one_line(text) for text in (error.diag.message_detail, error.diag.message_hint) if text)
    if step.secret:
        extra = ""
    return "The server refused %s: %s.%s" % (_one_line(step.shown), _reason(error), extra)


def _reason(error: Any) -> str:
    return _one_line(error.diag.message_primary or str(error))


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


@contextmanager
def connected(keywords: Mapping[str, Any]) -> Iterator[Session]:
    """Open a session with the server that a conninfo names and close it at the end; the database is ``postgres`` by default.

    Raises:
        Unreachable: no connection could be made.
    """
    opened = Session(session_keywords(dict({"dbname": "postgres"}, **keywords)))
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def session(params: Mapping[str, Any]) -> Iterator[Session]:
    """Open a session from a module's options and close it at the end.

    Raises:
        InputError: the options contradict each other.
        Unreachable: no connection could be made.
    """
    opened = Session(conninfo_of(params))
    try:
        yield opened
    finally:
        opened.close()
