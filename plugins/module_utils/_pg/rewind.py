# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stopped instance that becomes a standby of a primary, rewound where it has what that one never had.

The sources are PostgreSQL's documentation, chapters 26.2.4 and 26.3, and the page of ``pg_rewind``. From the first change on,
whoever starts it gets a standby or nothing.
"""

from __future__ import annotations

import os
from typing import Any, ContextManager, Dict, List, Mapping, NamedTuple, Optional, Sequence

from . import (
    base_backup,
    catalog,
    conninfo,
    counterpart,
    divergence,
    instance,
    login,
    lsn,
    recovering,
    rewind_guard,
    rewind_run,
    rewind_source,
    standby,
)
from .counterpart import Pair
from .errors import InputError, StateError
from .instance import Host, Instance, read_text
from .plan import Action, Plan
from .rewind_source import Source


class Wanted(NamedTuple):
    """What the options ask for.

    Attributes:
        conninfo: keywords of libpq that reach the source, which is followed afterwards.
        slot: of the source that keeps the WAL; empty for none, None to leave it as it is.
        request: what ``pg_rewind`` is asked.
        counts_as_stopped: whether a server that runs is one that an earlier task stops, in check mode.
        rehearses: whether to find out by a trial run, in check mode, that ``pg_rewind`` has what it needs.
    """

    data_directory: str
    conninfo: Mapping[str, str]
    slot: Optional[str]
    request: rewind_run.Request
    superuser: str
    timeout: int
    counts_as_stopped: bool
    rehearses: bool


class Current(NamedTuple):
    """What is.

    Attributes:
        auto_conf: the text of ``postgresql.auto.conf``.
        parting: where the instance and the source part; None where they have nothing in common.
        end: how far the instance has got; None where there is none.
        is_held: whether an earlier rewind has not ended.
        is_backup: whether it is a base backup, or was rewound, and was not started since.
        streams: whether it runs as a standby that streams.
        missing_places: of tablespaces that the source has and for which there is no empty directory here.
        recycled: files of WAL that it needs although it need not be rewound, and that the source has no more.
    """

    instance: Instance
    source: Source
    auto_conf: str = ""
    parting: Optional[divergence.Fork] = None
    end: Optional[divergence.End] = None
    is_held: bool = False
    is_backup: bool = False
    streams: bool = False
    missing_places: Sequence[str] = ()
    recycled: Sequence[str] = ()


def opener(params: Mapping[str, Any]) -> ContextManager[Pair]:
    """Give the host of the instance and a session with the source, from the options of the module.

    Raises:
        Unreachable: the source does not let us in.
    """
    return counterpart.opened(params, desired(params).conninfo)


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: the source is not named, a password stands where a passfile belongs, or there is no command for the archive.
    """
    source = conninfo.given(params["conninfo"])
    if not source.get("host") and not source.get("service"):
        raise InputError("The option conninfo names no host of the source; give it.")
    standby.refuse_secrets(source, "conninfo")
    if params["restore_target_wal"] and not params["restore_command"]:
        raise InputError("The option restore_target_wal was given without restore_command; give the command that fetches WAL "
                         "from the archive.")
    directory = os.path.normpath(params["data_directory"])
    keywords = conninfo.masked(source)
    request = rewind_run.Request(
        directory, conninfo.render(dict({"dbname": "postgres"}, **keywords)),
        params["restore_command"] if params["restore_target_wal"] else "",
        os.path.normpath(params["config_directory"] or directory), params["log_file"] or directory + ".log", params["timeout"])
    return Wanted(directory, keywords, params["primary_slot_name"], request, params["superuser"], params["timeout"],
                  params["planned"] and params["check_mode"], params["check_mode"] and not request.restore_command)


def read(pair: Pair, wanted: Wanted) -> Current:
    """Return what is.

    Raises:
        StateError: the data directory cannot be read, or is being rewound by what an earlier run has left.
    """
    host, source, is_held = pair.host, rewind_source.read(pair.other), rewind_guard.is_held(wanted.data_directory)
    if is_held:
        rewind_run.await_others(wanted.request)
    found = instance.read(host.programs, wanted.data_directory)
    if found.control is None:
        return Current(found, source)
    line = _line(found)
    parting = divergence.fork(line, source.line)
    current = Current(
        found, source, read_text(rewind_guard.path(wanted.data_directory, "postgresql.auto.conf")) or "", parting,
        _end(host, wanted, found.control, line, parting), is_held,
        os.path.exists(os.path.join(wanted.data_directory, base_backup.LABEL)), _streams(found, wanted),
        _missing_places(wanted, source))
    if wanted.rehearses and current.end and current.end.state in divergence.CLEAN_STATES and _must_be_rewound(current):
        _refuse_lack_of_wal(wanted, source, rewind_run.rehearse(
            host, wanted.request, found.control.wal_segment_size), found.control, parting.position if parting else None)
    if current.streams or is_held or _must_be_rewound(current):
        return current
    return current._replace(recycled=_recycled_behind(current, wanted))


def _line(found: Instance) -> divergence.Line:
    """Return the timelines of the instance; the newest history on its disk may be one that it has only heard of."""
    control = found.control
    timeline = max(control.timeline, control.minimum_recovery_timeline) if control else 0
    return divergence.Line(timeline, catalog.history(rewind_guard.history(found.data_directory, timeline)))


def _end(host: Host, wanted: Wanted, control: instance.Control, line: divergence.Line,
         parting: Optional[divergence.Fork]) -> divergence.End:
    goes_on = (parting is not None and parting.position is not None and parting.timeline == line.timeline
               and rewind_run.goes_on(host, wanted.data_directory, line.timeline, parting.position, control.wal_segment_size))
    replayed = lsn.parse(control.minimum_recovery_lsn)
    has_more = replayed > 0 and rewind_run.goes_on(host, wanted.data_directory, line.timeline, replayed, control.wal_segment_size)
    # While a crashed primary is recovered as a standby, its control file tells of one.
    state = "in crash recovery" if recovering.is_under_way(wanted.data_directory) else control.state
    return divergence.End(line.timeline, state, lsn.parse(control.checkpoint_lsn), replayed, goes_on, has_more)


def _streams(found: Instance, wanted: Wanted) -> bool:
    """Return whether a server runs there as a standby that gets WAL from somebody."""
    process = found.process
    if process is None or not found.standby_signal or process.status != "ready":
        return False
    session = login.Session(login.local(process.socket_directory, process.port, wanted.superuser))
    try:
        return bool(session.rows("SELECT FROM pg_catalog.pg_stat_wal_receiver WHERE status = 'streaming'"))
    finally:
        session.close()


def _missing_places(wanted: Wanted, source: Source) -> List[str]:
    links = os.path.join(wanted.data_directory, "pg_tblspc")
    return [place for oid, place in sorted(source.tablespaces.items())
            if not os.path.lexists(os.path.join(links, oid)) and (not os.path.isdir(place) or os.listdir(place))]


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps to a standby of the source.

    Raises:
        StateError: the instance, the source or the role does not allow it, or only a clone helps.
    """
    found, end = current.instance, current.end
    text = standby.auto_conf_text(current.auto_conf, standby.settings(wanted.conninfo, wanted.slot))
    before = dict(standby.shown(current.auto_conf, found.standby_signal), timeline=end.timeline if end else None)
    _refuse_source(current, wanted)
    if found.process is not None and current.streams and text == current.auto_conf:
        return Plan((), before, before, _facts(wanted, current, False))
    _refuse_target(current, wanted)
    is_needed = _must_be_rewound(current)
    if is_needed:
        _refuse_rewind(current, wanted)
    steps = _steps(current, wanted, text, is_needed)
    after = dict(standby.shown(text, True), timeline=current.source.line.timeline if is_needed else before["timeline"])
    return Plan(steps, before, after, _facts(wanted, current, is_needed))


def _must_be_rewound(current: Current) -> bool:
    return current.end is not None and current.parting is not None and divergence.has_left(current.end, current.parting)


def _facts(wanted: Wanted, current: Current, is_needed: bool) -> Dict[str, Any]:
    return {"data_directory": wanted.data_directory, "needed": is_needed,
            "timeline_before": current.end.timeline if current.end else None, "timeline": current.source.line.timeline,
            "diverged_at": current.parting.shown if is_needed and current.parting else None}


def _refuse_source(current: Current, wanted: Wanted) -> None:
    source, control = current.source, current.instance.control
    if control is None:
        raise StateError("A standby was to be made of the instance in %s and there is none; clone it with pg_basebackup."
                         % wanted.data_directory)
    if source.system_identifier != control.system_identifier:
        raise StateError("The instance in %s was to follow %s and these are different systems (%s and %s); name the primary of "
                         "its cluster." % (wanted.data_directory, _address(wanted), control.system_identifier,
                                           source.system_identifier))
    if source.in_recovery:
        raise StateError("The instance in %s was to follow %s and that is a standby; name the primary of its cluster."
                         % (wanted.data_directory, _address(wanted)))
    if source.lacking:
        raise StateError("The role %s was to read the files of %s and may not execute %s; let it with the option may of "
                         "pg_replication_role." % (source.user, _address(wanted), ", ".join(source.lacking)))


def _address(wanted: Wanted) -> str:
    return "%s:%s" % (wanted.conninfo.get("host", "the service %s" % wanted.conninfo.get("service")),
                      wanted.conninfo.get("port", "5432"))


def _refuse_target(current: Current, wanted: Wanted) -> None:
    found, end = current.instance, current.end
    if found.process is not None and not wanted.counts_as_stopped:
        raise StateError("The instance in %s was to be made a standby and its server runs; stop it first."
                         % wanted.data_directory)
    if found.recovery_signal:
        raise StateError("The instance in %s was to be made a standby and recovery.signal is there, so a point-in-time recovery "
                         "is under way; let it end first." % wanted.data_directory)
    if current.parting is None:
        raise StateError("The instance in %s was to follow %s and their timelines have no common begin; %s."
                         % (wanted.data_directory, _address(wanted), _CLONE))
    if current.parting.position is None and end is not None and end.was_primary and not current.is_backup:
        raise StateError("The instance in %s was to follow %s and both were primary on timeline %d, so that nobody can tell "
                         "where they part; %s." % (wanted.data_directory, _address(wanted), end.timeline, _CLONE))


_CLONE = "clone it anew, in the playbook rejoin by pg_rejoin_reclone"


def _refuse_rewind(current: Current, wanted: Wanted) -> None:
    """Refuse what pg_rewind would refuse, or would do wrong (see its page)."""
    control = current.instance.control
    asked = "The instance in %s was to be rewound and " % wanted.data_directory
    if control is not None and not (control.data_checksums or control.wal_log_hints):
        raise StateError(asked + "has neither data checksums nor wal_log_hints; %s, with one of them." % _CLONE)
    if control is not None and not control.full_page_writes:
        raise StateError(asked + "ran with full_page_writes off; %s." % _CLONE)
    if current.is_backup and not current.is_held:
        raise StateError(asked + "is a base backup that was never started; %s." % _CLONE)
    if current.missing_places:
        raise StateError(asked + "its source has a tablespace in %s, which is no empty directory here; make one there."
                         % current.missing_places[0])
    rewind_guard.refuse_mount_point(wanted.data_directory)


def _steps(current: Current, wanted: Wanted, text: str, is_needed: bool) -> List[Action]:
    where, end, parting = wanted.data_directory, current.end, current.parting
    steps = []
    if not current.instance.standby_signal and not current.is_held:
        steps.append(Action("signal", "touch %s" % os.path.join(where, "standby.signal")))
    if text != current.auto_conf:
        steps.append(Action("write", "write %s" % os.path.join(where, "postgresql.auto.conf"), {"text": text}))
    if end is not None and not (current.is_backup or current.is_held) and divergence.must_be_recovered(end, is_needed):
        steps.append(Action("recover", "postgres -D %s --recovery_target_timeline=current --primary_conninfo=''" % where,
                            {"was_standby": end.replayed > 0}))
    if is_needed and parting is not None:
        steps.append(Action("rewind", rewind_run.shown(wanted.request), {"position": parting.position}))
    elif current.is_held:
        steps.append(Action("release", "mv %s/files/* %s" % (rewind_guard.directory(where), where)))
    elif end is not None and parting is not None and divergence.must_be_cut(end, parting):
        steps.append(Action("cut", "truncate the WAL of timeline %d at %s" % (end.timeline, parting.shown),
                            {"timeline": end.timeline, "position": parting.position, "size": _segment_size(current)}))
    if current.recycled:
        steps.append(Action("fetch", "fetch %s from the archive" % ", ".join(current.recycled), {"names": current.recycled}))
    return steps


def _recycled_behind(current: Current, wanted: Wanted) -> List[str]:
    """Return the files that an instance which need not be rewound lacks behind the fork, and the source has no more.

    Raises:
        StateError: there are some, and no archive.
    """
    source, parting, control = current.source, current.parting, current.instance.control
    if control is None or parting is None or parting.position is None:
        return []
    segments = _refuse_lack_of_wal(wanted, source, parting.position, control, parting.position)
    histories = ["%08X.history" % timeline for timeline, _end in source.line.parts if timeline > parting.timeline]
    names = histories + segments if segments else []
    return [name for name in names if not os.path.exists(os.path.join(wanted.data_directory, "pg_wal", name))]


def _segment_size(current: Current) -> int:
    return current.instance.control.wal_segment_size if current.instance.control else 0


def apply(pair: Pair, wanted: Wanted, steps: Sequence[Action]) -> None:
    """Do the steps."""
    for step in steps:
        _DOERS[step.action](pair, wanted, step)


def _do_signal(pair: Pair, wanted: Wanted, _step: Action) -> None:
    pair.host.write(os.path.join(wanted.data_directory, "standby.signal"), "")


def _do_write(pair: Pair, wanted: Wanted, step: Action) -> None:
    pair.host.write(rewind_guard.path(wanted.data_directory, "postgresql.auto.conf"), step.values["text"])


def _do_recover(pair: Pair, wanted: Wanted, step: Action) -> None:
    recovering.recover(pair.host, wanted.request, wanted.superuser, **step.values)


def _do_rewind(pair: Pair, wanted: Wanted, step: Action) -> None:
    host, where, position = pair.host, wanted.data_directory, step.values["position"]
    rewind_source.await_checkpoint(pair.other, wanted.timeout)
    had_begun = rewind_guard.has_begun(where)
    rewind_guard.hold(host, where)
    if had_begun:
        rewind_guard.put_wal_back(host, where)
    try:
        control = instance.read_control(host.programs, where)
        redo = rewind_run.rehearse(host, wanted.request, control.wal_segment_size)
        if redo is None:
            raise StateError("The instance in %s has diverged from its source %s and pg_rewind does not see that; run "
                             "CHECKPOINT on the source." % (where, _address(wanted)))
        recycled = _refuse_lack_of_wal(wanted, rewind_source.read(pair.other), redo, control, position)
    except StateError:
        if not had_begun:
            rewind_guard.release(host, where)
        raise
    if not had_begun:
        rewind_guard.keep_wal(host, where, rewind_run.read_by_rewind(where, control, redo))
    rewind_run.rewind(host, wanted.request)
    rewind_guard.put_back_shared(host, where, catalog.number_of(lsn.show(position), control.wal_segment_size))
    rewind_run.fetch(host, wanted.request, recycled)
    rewind_guard.release(host, where)


def _refuse_lack_of_wal(wanted: Wanted, source: Source, redo: Optional[int], control: instance.Control,
                        position: Optional[int]) -> List[str]:
    """Return the segments that the source has recycled, of those that the server will need when it starts.

    Args:
        redo: the LSN from which on it needs them; None for none.
        position: the LSN up to which what it has itself is the same, which it keeps; None where the source has all.

    Raises:
        StateError: there are some, and no archive.
    """
    if redo is None or not source.numbers:
        return []
    size, oldest = control.wal_segment_size, min(source.numbers)
    own = rewind_guard.wal(wanted.data_directory)
    shared = catalog.number_of(lsn.show(position), size) if position is not None else 0
    recycled, begin = [], redo - redo % size
    while catalog.number_of(lsn.show(begin), size) < oldest:
        number = catalog.number_of(lsn.show(begin), size)
        name = catalog.name_of(source.line.of_segment(begin, size), number)
        if number >= shared or not os.path.exists(os.path.join(own, name)):
            recycled.append(name)
        begin += size
    if recycled and not wanted.request.restore_command:
        raise StateError("The instance in %s was to follow %s and that has recycled the WAL from %s on, which it needs; %s, or "
                         "let it read the archive, by restore_target_wal." % (
                             wanted.data_directory, _address(wanted), recycled[0], _CLONE))
    return recycled


def _do_release(pair: Pair, wanted: Wanted, _step: Action) -> None:
    rewind_guard.hold(pair.host, wanted.data_directory)
    rewind_guard.release(pair.host, wanted.data_directory)


def _do_fetch(pair: Pair, wanted: Wanted, step: Action) -> None:
    rewind_run.fetch(pair.host, wanted.request, step.values["names"])


def _do_cut(_pair: Pair, wanted: Wanted, step: Action) -> None:
    rewind_run.cut(wanted.data_directory, **step.values)


_DOERS = {"signal": _do_signal, "write": _do_write, "recover": _do_recover, "rewind": _do_rewind, "release": _do_release,
          "cut": _do_cut, "fetch": _do_fetch}
