# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A standby that becomes a primary (PostgreSQL's documentation, chapters 26.3 and 9.28.4).

Whether it has become one is asked of the server itself: right after a promotion its control file still names the old timeline.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import Any, ContextManager, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from . import guc, info_query, instance, login, promoting, service
from .errors import ServerError, Starting, StateError, ToolError, Unreachable
from .instance import Host, read_process, wait_until
from .plan import Action, Plan
from .sql import literal


class Wanted(NamedTuple):
    """What the options ask for; ``data_directory`` is empty where the login options say which server."""

    data_directory: str
    superuser: str
    log_file: str
    wait: bool
    checkpoint: bool
    timeout: int


class Current(NamedTuple):
    """What is.

    Attributes:
        lsn: up to which a primary has written, or a standby has replayed.
        lets_in: whether it can be asked; a standby with ``hot_standby`` off cannot.
        is_paused: whether its replay is, or is about to be.
        may_promote: whether the role that asks may.
        too_low: the settings that are lower than its primary's were, by name, where that can be seen; a server that has
            paused for these ends when it is promoted (chapter 26.4.3).
    """

    in_recovery: bool
    timeline: Optional[int] = None
    lsn: Optional[str] = None
    lets_in: bool = True
    is_paused: bool = False
    user: str = ""
    may_promote: bool = True
    too_low: Sequence[str] = ()


#: A server that an earlier task makes is a standby then, or nobody would promote it.
ABSENT = Current(True)


class Server:
    """A server to promote: with a session where it lets clients in, on a host where its data directory is known."""

    def __init__(self, session: Optional[login.Session], host: Optional[Host]) -> None:
        self.session = session
        self.host = host

    @property
    def shown_as(self) -> str:
        """How what is done is called."""
        return "statements" if self.session else "commands"

    def lock(self, *names: str) -> ContextManager[None]:
        """Hold the server against other runs."""
        return (self.host or self.session).lock(*names)  # type: ignore[union-attr]


@contextmanager
def opener(params: Mapping[str, Any]) -> Iterator[Server]:
    """Give the server that the options name, once it lets anyone in, or recovers where it never will.

    Raises:
        Unreachable: none runs, or none lets us in.
        StateError: it is still starting after the time-out.
    """
    if params["data_directory"]:
        with instance.opener(params) as host, _local(host, desired(params)) as server:
            yield server
        return
    session = _connected(params)
    try:
        yield Server(session, None)
    finally:
        session.close()


def _connected(params: Mapping[str, Any]) -> login.Session:
    """Return a session; a server that is still starting is awaited."""
    keywords, opened, said = login.conninfo_of(params), [], [""]

    def lets_in() -> bool:
        try:
            opened.append(login.Session(keywords))
        except Starting as error:
            said[0] = str(error)
        return bool(opened)

    if not wait_until(lets_in, params["timeout"]):
        raise StateError("The server was to be promoted and lets nobody in after %d s; where it has hot_standby off, give its "
                         "data_directory: %s" % (params["timeout"], said[0]))
    return opened[0]


@contextmanager
def _local(host: Host, wanted: Wanted) -> Iterator[Server]:
    """Give the server that runs on a data directory; without hot standby it says that it is one, and lets nobody in."""
    where = wanted.data_directory
    wait_until(lambda: read_process(where) is None or service.accepts(where), wanted.timeout)
    process = read_process(where)
    if process is None:
        raise Unreachable("The server in %s was to be promoted and none runs there; start it first." % where)
    if not service.accepts(where):
        raise StateError("The server in %s was to be promoted and is still starting after %d s: %s" % (
            where, wanted.timeout, service.last_words(wanted.log_file, 0)))
    if process.status == "standby":
        yield Server(None, host)
        return
    session = login.Session(login.local(process.socket_directory, process.port, wanted.superuser))
    try:
        yield Server(session, host)
    finally:
        session.close()


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for."""
    directory = os.path.normpath(params["data_directory"]) if params["data_directory"] else ""
    return Wanted(directory, params["superuser"], params["log_file"] or directory + ".log", params["wait"],
                  params["checkpoint"], params["timeout"])


def read(server: Server, wanted: Wanted) -> Current:
    """Return what the server is."""
    current = _asked(server.session) if server.session else Current(_status(wanted.data_directory) == "standby", lets_in=False)
    if server.host is None:
        return current
    found = instance.read(server.host.programs, wanted.data_directory)
    if server.session is None:
        return current._replace(timeline=found.newest_timeline)
    return current._replace(too_low=_too_low(server.session, found.control) if current.is_paused and found.control else ())


def _asked(session: login.Session) -> Current:
    try:
        return Current(**session.rows(_QUERY)[0])
    except ServerError as error:
        # It was promoted while it answered, so that it cannot say whether its replay is paused.
        if error.sqlstate != promoting.NOT_IN_RECOVERY:
            raise
        return Current(**session.rows(_QUERY)[0])


_QUERY = """SELECT r.is AS in_recovery, %s AS timeline,
 CASE WHEN r.is THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_flush_lsn() END::text AS lsn,
 CASE WHEN r.is THEN pg_catalog.pg_is_wal_replay_paused() ELSE false END AS is_paused, session_user::text AS user,
 pg_catalog.has_function_privilege('pg_catalog.pg_promote(boolean,integer)', 'EXECUTE') AS may_promote
 FROM (SELECT pg_catalog.pg_is_in_recovery() AS is) r""" % info_query.TIMELINE


def _too_low(session: login.Session, control: instance.Control) -> List[str]:
    rows = session.rows("SELECT name, setting::int AS value FROM pg_catalog.pg_settings WHERE name IN (%s) ORDER BY name"
                        % ", ".join(map(literal, guc.STANDBY_FLOOR)))
    return [row["name"] for row in rows if row["value"] < control.floors[row["name"]]]


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the one step that promotes, or none for a primary.

    Raises:
        StateError: the role may not promote, or the server would not.
    """
    facts = {"timeline_before": current.timeline}
    after = {"role": "primary"}
    if not current.in_recovery:
        return Plan((), after, after, dict(facts, timeline=current.timeline, lsn=current.lsn))
    if not current.may_promote:
        raise StateError("The role %r was to promote a standby and may not execute pg_promote; let it with the option may of "
                         "pg_replication_role, or log in as a superuser." % current.user)
    if current.too_low:
        raise StateError("The server in %s was to be promoted and has paused, since its %s is lower than the primary's was; "
                         "restart it with more." % (wanted.data_directory, " and ".join(current.too_low)))
    shown = "SELECT pg_catalog.pg_promote(false)"
    if not current.lets_in:
        shown = "pg_ctl promote --pgdata=%s --no-wait" % wanted.data_directory
    return Plan((Action("promote", shown),), {"role": "standby"}, after, facts)


def apply(server: Server, wanted: Wanted, _steps: Sequence[Action]) -> Dict[str, Any]:
    """Promote the server, and wait until it takes writes unless told not to.

    Returns:
        ``timeline`` and ``lsn``, where that timeline begins; nothing where it does not wait.

    Raises:
        StateError: it does not take writes within the time-out, and the promotion goes on; or the role may not promote.
        ToolError: it ended.
    """
    if server.session is not None:
        promoting.request(server.session)
        return _await_primary(server.session, wanted) if wanted.wait else {}
    return _promote_blind(server.host, wanted) if server.host else {}


def _await_primary(session: login.Session, wanted: Wanted) -> Dict[str, Any]:
    looks = promoting.Looks(session)
    try:
        if not wait_until(looks.takes_writes, wanted.timeout):
            raise StateError("The standby was promoted and is still in recovery after %d s, at %s; it goes on, look at its log."
                             % (wanted.timeout, looks.lsn))
    except ServerError as error:
        raise ToolError("The standby ended when it was promoted, as one does that has a lower %s than its primary had; look at "
                        "its log: %s" % (" or ".join(guc.STANDBY_FLOOR), error.reason)) from None
    # Of the recovery that has ended it keeps how far it went, which is where the new timeline begins.
    return session.rows("SELECT %s AS timeline, pg_catalog.pg_last_wal_replay_lsn()::text AS lsn" % info_query.TIMELINE)[0]


def settle(server: Server, wanted: Wanted) -> None:
    """Have a checkpoint done on the timeline on which a primary takes writes, where there was none yet and one is asked for."""
    if not (wanted.checkpoint and wanted.wait):
        return
    if server.session is not None:
        _checkpoint(server.session)
        return
    with service.session(wanted.data_directory, wanted.log_file, wanted.superuser, wanted.timeout) as session:
        _checkpoint(session)


def _checkpoint(session: login.Session) -> None:
    found = session.rows("SELECT timeline_id AS control, %s AS timeline FROM pg_catalog.pg_control_checkpoint()"
                         % info_query.TIMELINE)[0]
    if found["control"] < found["timeline"]:
        session.rows("CHECKPOINT")


def _promote_blind(host: Host, wanted: Wanted) -> Dict[str, Any]:
    """Promote a server without hot standby, which lets its first client in when it takes writes."""
    where = wanted.data_directory
    logged = os.path.getsize(wanted.log_file) if os.path.exists(wanted.log_file) else 0
    host.programs.run("pg_ctl", "promote", "--pgdata=%s" % where, "--no-wait")
    if not wanted.wait:
        return {}
    wait_until(lambda: _status(where) in ("", "ready"), wanted.timeout)
    if _status(where) == "":
        raise ToolError("The server in %s ended when it was promoted: %s" % (where, service.last_words(wanted.log_file, logged)))
    if _status(where) != "ready":
        raise StateError("The standby in %s was promoted and is still in recovery after %d s; it goes on, look at %s."
                         % (where, wanted.timeout, wanted.log_file))
    with service.session(where, wanted.log_file, wanted.superuser, wanted.timeout) as session:
        return _await_primary(session, wanted)


def _status(data_directory: str) -> str:
    """Return what the server on a data directory says of itself; ``""`` when none runs."""
    process = read_process(data_directory)
    return process.status if process else ""
