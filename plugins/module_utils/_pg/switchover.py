# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The critical section of a switchover: a primary and a standby of it change their roles, in one process on the primary's host.

No commit is lost since the candidate is promoted only when the old primary's control file says ``shut down`` and the candidate
has received its shutdown checkpoint, which is the last record of that timeline; then the old primary follows without a rewind
(PostgreSQL's documentation, chapters 26.3 and 28.5). There are never two primaries, since ``standby.signal`` is in the
old primary's data directory before the candidate is promoted: whoever starts it gets a standby.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from typing import Any, Callable, ContextManager, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from . import conninfo, counterpart, instance, login, lsn, promoting, service, slot_files, standby
from .counterpart import Pair
from .durable import sync_directory
from .errors import InputError, PgError, ServerError, StateError, ToolError
from .instance import Control, Instance, read_process, read_text, wait_until
from .plan import Action, Plan

#: How often the end of the shutdown and of the promotion is looked for at first, in seconds: each look is part of the outage.
_POLL = 0.0005

_INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Wanted(NamedTuple):
    """What the options ask for.

    Attributes:
        candidate: libpq keywords that reach the candidate, by which the old primary follows it afterwards.
        slot: of the old primary on the candidate.
        synchronized_slots: names of logical slots that the candidate must have in step.
        leftover_slots: names of slots of the old primary that nobody uses when it is a standby.
        max_lag_bytes: of WAL that the candidate may still have to receive and to replay when the section begins.
    """

    data_directory: str
    candidate: Mapping[str, str]
    slot: str
    synchronized_slots: Sequence[str]
    leftover_slots: Sequence[str]
    max_lag_bytes: int
    superuser: str
    log_file: str
    timeout: int


class Candidate(NamedTuple):
    """What the candidate says of itself; positions are LSNs."""

    system_identifier: str
    in_recovery: bool
    timeline: int
    received: str
    replayed: str
    may_promote: bool


class Current(NamedTuple):
    """What is.

    Attributes:
        instance: the old primary's data directory.
        auto_conf: the text of its ``postgresql.auto.conf``.
    """

    instance: Instance
    auto_conf: str
    candidate: Candidate


def opener(params: Mapping[str, Any]) -> ContextManager[Pair]:
    """Give the host of the old primary and a session with the candidate, from the options of a module.

    Raises:
        Unreachable: the candidate does not let us in.
    """
    return counterpart.opened(params, _candidate_of(params))


def _candidate_of(params: Mapping[str, Any]) -> Dict[str, str]:
    return dict(conninfo.masked(conninfo.given(params["primary_conninfo"])))


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: no candidate, a password where a passfile belongs, or a negative lag.
    """
    candidate = conninfo.given(params["primary_conninfo"])
    standby.refuse_secrets(candidate, "primary_conninfo")
    if not candidate.get("host"):
        raise InputError("The option primary_conninfo names no candidate; give at least its host.")
    if params["max_lag_bytes"] < 0:
        raise InputError("The option max_lag_bytes is %d; give 0 or more." % params["max_lag_bytes"])
    directory = os.path.normpath(params["data_directory"])
    return Wanted(directory, _candidate_of(params), params["primary_slot_name"] or "",
                  params["synchronized_slots"], params["leftover_slots"], params["max_lag_bytes"],
                  params["superuser"], params["log_file"] or directory + ".log", params["timeout"])


def read(pair: Pair, wanted: Wanted) -> Current:
    """Return what is on the host, and what the candidate says."""
    found = instance.read(pair.host.programs, wanted.data_directory)
    auto_conf = read_text(_path(wanted, "postgresql.auto.conf")) or ""
    return Current(found, auto_conf, Candidate(**pair.other.rows(_CANDIDATE)[0]))


_CANDIDATE = """SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) AS system_identifier,
 r.is AS in_recovery, CASE WHEN r.is THEN (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())
 ELSE ('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::int END AS timeline,
 CASE WHEN r.is THEN greatest(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
 ELSE pg_catalog.pg_current_wal_lsn() END::text AS received,
 CASE WHEN r.is THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END::text AS replayed,
 pg_catalog.has_function_privilege('pg_catalog.pg_promote(boolean, integer)', 'EXECUTE') AS may_promote
 FROM (SELECT pg_catalog.pg_is_in_recovery() AS is) r"""


def _path(wanted: Wanted, *names: str) -> str:
    return os.path.join(wanted.data_directory, *names)


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps that are left of a switchover, also of one that was interrupted.

    Raises:
        StateError: the two are not a primary and its standby, or were found in a state that a switchover does not lead to.
    """
    _refuse_strangers(current, wanted)
    names = _steps_left(current, wanted)
    steps = [Action(name, _SHOWN[name] % _shown_values(wanted)) for name in names]
    before = {"primary": _name(wanted, not current.candidate.in_recovery)}
    facts = {"data_directory": wanted.data_directory, "timeline_before": current.instance.newest_timeline,
             "timeline": current.candidate.timeline}
    return Plan(steps, before, {"primary": _name(wanted, True)}, facts)


_SHOWN = {
    "checkpoint": "psql --command=CHECKPOINT",
    "stop": "pg_ctl stop --pgdata=%(data)s --mode=fast",
    "point": "write %(data)s/postgresql.auto.conf and %(data)s/standby.signal",
    "prove": "pg_controldata -D %(data)s",
    "promote": "psql --host=%(host)s --port=%(port)s --command='SELECT pg_catalog.pg_promote()'",
    "start": "pg_ctl start --pgdata=%(data)s",
}


def _shown_values(wanted: Wanted) -> Dict[str, str]:
    return {"data": wanted.data_directory, "host": wanted.candidate["host"], "port": wanted.candidate.get("port", "5432")}


def _name(wanted: Wanted, is_candidate: bool) -> str:
    return "%(host)s:%(port)s" % _shown_values(wanted) if is_candidate else wanted.data_directory


def _steps_left(current: Current, wanted: Wanted) -> Sequence[str]:
    """Return the names of the steps that lead from what is to the end, by what each of the two is."""
    found, candidate = current.instance, current.candidate
    is_running, is_standby = found.process is not None, found.standby_signal
    is_stopping = found.process is not None and found.process.status == "stopping"
    if is_running and not is_stopping and is_standby and not candidate.in_recovery:
        return ()
    if is_running and not is_stopping and not is_standby and candidate.in_recovery:
        return tuple(_SHOWN)
    was_shut_down = found.control is not None and found.control.state == "shut down"
    if (is_stopping or (not is_running and was_shut_down)) and candidate.in_recovery:
        return ("point", "prove", "promote", "start")
    if not is_running and is_standby and not candidate.in_recovery:
        return ("start",)
    raise StateError("A switchover from %s to %s was asked for, and the first is a %s %s (control file: %s) and the second %s; "
                     "%s." % ((wanted.data_directory, _name(wanted, True), "running" if is_running else "stopped",
                               "standby" if is_standby else "primary", found.control.state if found.control else "none")
                              + (("a standby", "promote the best standby with the playbook failover") if candidate.in_recovery
                                 else ("a primary", "bring the first back with the playbook rejoin"))))


def _refuse_strangers(current: Current, wanted: Wanted) -> None:
    control, candidate = current.instance.control, current.candidate
    if control is None:
        raise StateError("A switchover was asked for in %s and there is no instance; name the data directory of the primary."
                         % wanted.data_directory)
    if control.system_identifier != candidate.system_identifier:
        raise StateError("A switchover from %s to %s was asked for and these are different systems (%s and %s); name a standby "
                         "of this primary." % (wanted.data_directory, _name(wanted, True), control.system_identifier,
                                               candidate.system_identifier))
    if candidate.in_recovery and not candidate.may_promote:
        raise StateError("A switchover to %s was asked for and the role %s may not call pg_promote() there; run the playbook "
                         "deploy, which grants it." % (_name(wanted, True), wanted.candidate.get("user")))


def apply(pair: Pair, wanted: Wanted, steps: Sequence[Action]) -> Dict[str, Any]:
    """Do the steps; where they cannot be completed, the old primary takes writes again.

    Returns:
        ``outage_ms`` (from the request to stop to the first moment at which the candidate took writes; None where another run
        had stopped it), ``steps`` with the milliseconds of each, ``timeline`` and ``lsn``, that of the shutdown checkpoint.

    Raises:
        StateError: it could not be done; the sentence says who is primary.
    """
    section = Section(pair, wanted)
    with _deaf():
        try:
            for step in steps:
                STEPS[step.action](section)
        except PgError as error:
            raise StateError("%s%s" % (error, section.undo())) from None
    return section.results()


@contextmanager
def _deaf() -> Iterator[None]:
    """Hear of an interruption only afterwards: the section is short, and whoever ends it in the middle ends the writes."""
    heard: List[int] = []
    before = {number: signal.signal(number, lambda received, _frame: heard.append(received)) for number in _INTERRUPTIONS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in heard[:1]:
            os.kill(os.getpid(), late)


class Section:
    """A switchover under way.

    Attributes:
        spent: the seconds that each step took, by its name.
    """

    def __init__(self, pair: Pair, wanted: Wanted) -> None:
        self.host = pair.host
        self.candidate = pair.other
        self.wanted = wanted
        self.spent: Dict[str, float] = {}
        self.control: Optional[Control] = None
        self.auto_conf: Optional[str] = None
        self.stopped_at: Optional[float] = None
        self.writable_at: Optional[float] = None
        self.asked_to_promote = False

    def asked(self) -> Candidate:
        """Return what the candidate says now."""
        return Candidate(**self.candidate.rows(_CANDIDATE)[0])

    def results(self) -> Dict[str, Any]:
        """Return what there is to tell."""
        outage = None
        if self.stopped_at is not None and self.writable_at is not None:
            outage = round((self.writable_at - self.stopped_at) * 1000, 1)
        steps = [{"step": name, "ms": round(spent * 1000, 1)} for name, spent in self.spent.items()]
        return {"outage_ms": outage, "steps": steps,
                "lsn": self.control.checkpoint_lsn if self.control else None, "timeline": self.asked().timeline}

    def undo(self) -> str:
        """Start the old primary again where nothing has promoted the candidate, and return what to say of it."""
        if self.stopped_at is None and self.auto_conf is None:
            return " Nothing was touched; the primary goes on."
        if self.writable_at is not None:
            return " The candidate is primary now; run the playbook deploy, by which the old one follows it."
        if self.asked_to_promote:
            return (" The candidate was asked to promote and may yet, so the old primary stays stopped, as a standby of it; when "
                    "the candidate answers, run the playbook switchover again.")
        directory = self.wanted.data_directory
        self._end(directory)
        if self.auto_conf is not None:
            _remove(_path(self.wanted, "standby.signal"))
            self.host.write(_path(self.wanted, "postgresql.auto.conf"), self.auto_conf)
        service.start(self.host, directory, self.wanted.log_file, self.wanted.timeout)
        return " The old primary was started again and takes writes; nothing was lost."

    def _end(self, directory: str) -> None:
        """End the old primary, which may be about to end by itself."""
        if read_process(directory) is None:
            return
        try:
            self.host.programs.run("pg_ctl", "stop", "--pgdata=%s" % directory, "--mode=immediate", "--wait")
        except ToolError:
            if read_process(directory) is not None:
                raise


def _remove(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)
        sync_directory(os.path.dirname(path))


@contextmanager
def _timed(section: Section, name: str) -> Iterator[None]:
    begin = time.monotonic()
    try:
        yield
    finally:
        section.spent[name] = time.monotonic() - begin


def _checkpoint(section: Section) -> None:
    """Write out what the shutdown would have to, and see that the candidate receives from this primary and is not far behind."""
    wanted = section.wanted
    with _timed(section, "checkpoint"), service.session(
            wanted.data_directory, wanted.log_file, wanted.superuser, wanted.timeout) as session:
        _await_slots(section, session)
        session.rows("CHECKPOINT")
        written = _position(session)
        if not wait_until(lambda: lsn.parse(section.asked().received) >= written, wanted.timeout):
            where = section.asked().received
            raise StateError("The candidate %s was expected to receive what this primary writes and is at %s, %d B behind, after "
                             "%d s; look at its log." % (_name(wanted, True), where, written - lsn.parse(where), wanted.timeout))
        now, candidate = _position(session), section.asked()
        for what, where in (("receive", candidate.received), ("replay", candidate.replayed)):
            if now - lsn.parse(where) > wanted.max_lag_bytes:
                raise StateError("The candidate %s has %d B yet to %s, and max_lag_bytes is %d; wait until it has caught up, or "
                                 "allow more." % (_name(wanted, True), now - lsn.parse(where), what, wanted.max_lag_bytes))


def _await_slots(section: Section, session: login.Session) -> None:
    """Wait until the candidate has the logical slots in step.

    It takes over one when the slot on the primary has passed what the candidate has itself. Consumers confirm no faster than
    there are snapshots of running transactions in the WAL, which the server writes every 15 s, and whenever it is asked to.
    """
    wanted = section.wanted

    def lacking() -> List[str]:
        there = [row["slot_name"] for row in section.candidate.rows(_IN_STEP)] if wanted.synchronized_slots else []
        return sorted(set(wanted.synchronized_slots).difference(there))

    def are_in_step() -> bool:
        if not lacking():
            return True
        session.rows("SELECT pg_catalog.pg_log_standby_snapshot()")
        return False

    if not wait_until(are_in_step, wanted.timeout):
        raise StateError("The candidate %s was expected to have the logical slot %s in step and has not after %d s; see to "
                         "sync_replication_slots there." % (_name(wanted, True), lacking()[0], wanted.timeout))


_IN_STEP = "SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE synced AND NOT temporary AND invalidation_reason IS NULL"


def _position(session: login.Session) -> int:
    return lsn.parse(session.rows("SELECT pg_catalog.pg_current_wal_flush_lsn()::text AS at")[0]["at"])


def _stop(section: Section) -> None:
    """Ask for a fast shutdown, which ends when every standby that streams has all WAL (chapter 18.5)."""
    process = read_process(section.wanted.data_directory)
    with _timed(section, "stop"):
        section.stopped_at = time.monotonic()
        if process is None:
            raise StateError("The primary in %s ended by itself when it was to be stopped; look at its log."
                             % section.wanted.data_directory)
        service.request_stop(section.host, process)


def _point(section: Section) -> None:
    """Make the old primary a standby of the candidate, for when it is started next, while it shuts down."""
    wanted = section.wanted
    with _timed(section, "point"):
        section.auto_conf = read_text(_path(wanted, "postgresql.auto.conf")) or ""
        changes = standby.settings(wanted.candidate, wanted.slot)
        section.host.write(_path(wanted, "standby.signal"), "")
        section.host.write(_path(wanted, "postgresql.auto.conf"), standby.auto_conf_text(section.auto_conf, changes))


def _prove(section: Section) -> None:
    """Wait for the shutdown checkpoint in the control file, and until the candidate has received it.

    The server's process may last longer: its archiver does what is left to do. It writes no WAL any more.
    """
    wanted = section.wanted
    with _timed(section, "prove"):
        control = section.control = _await_shutdown(section)
        if control.state != "shut down":
            raise StateError("The primary in %s was to be shut down and its control file says %r after %d s; look at its log."
                             % (wanted.data_directory, control.state, wanted.timeout))
        end = lsn.parse(control.checkpoint_lsn)
        if not wait_until(lambda: lsn.parse(section.asked().received) > end, wanted.timeout, _POLL):
            raise StateError("The candidate %s was to receive the shutdown checkpoint at %s and is at %s after %d s; look at its "
                             "log." % (_name(wanted, True), control.checkpoint_lsn, section.asked().received, wanted.timeout))


def _await_shutdown(section: Section) -> Control:
    """Return the control file when it says that the server was shut down, or that has ended or not within the time-out.

    Reading it takes a program, so it is read when its bytes have changed.
    """
    directory, seen = section.wanted.data_directory, [b""]
    found = [instance.read_control(section.host.programs, directory)]

    def is_over() -> bool:
        has_ended = read_process(directory) is None
        with open(os.path.join(directory, "global", "pg_control"), "rb") as file:
            now = file.read()
        if now != seen[0]:
            seen[0] = now
            found[0] = instance.read_control(section.host.programs, directory)
        return has_ended or found[0].state == "shut down"

    wait_until(is_over, section.wanted.timeout, _POLL)
    return found[0]


def _promote(section: Section) -> None:
    """Promote the candidate, and wait until it takes writes."""
    wanted = section.wanted
    with _timed(section, "promote"):
        try:
            section.asked_to_promote = True
            promoting.request(section.candidate)
        except ServerError as error:
            # Refused, as long as the connection lives; where it is gone nobody knows.
            section.asked_to_promote = not error.sqlstate or error.sqlstate.startswith(("08", "57"))
            raise
        if not wait_until(promoting.Looks(section.candidate).takes_writes, wanted.timeout, _POLL):
            raise StateError("The candidate %s was promoted and is still in recovery after %d s; look at its log."
                             % (_name(wanted, True), wanted.timeout))
        section.writable_at = time.monotonic()


def _start(section: Section) -> None:
    """Start the old primary as a standby, when its server has ended, without the slots that nobody uses there."""
    wanted = section.wanted
    with _timed(section, "start"):
        if not wait_until(lambda: read_process(wanted.data_directory) is None, wanted.timeout):
            raise StateError("The old primary in %s was shut down and its process is there after %d s; when it has ended, run "
                             "the playbook deploy." % (wanted.data_directory, wanted.timeout))
        slot_files.remove(wanted.data_directory, wanted.leftover_slots)
        service.start(section.host, wanted.data_directory, wanted.log_file, wanted.timeout)


#: The steps by their names, in order; each takes the section under way.
STEPS: Dict[str, Callable[[Section], None]] = {
    "checkpoint": _checkpoint, "stop": _stop, "point": _point, "prove": _prove, "promote": _promote, "start": _start}
