# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A data directory made from a repository, ready to recover to a target when its server starts.

The source is PostgreSQL's documentation, chapter 25.3.5 (recovering using a continuous archive backup). The data directory is
made beside its place, verified, made ready, and renamed when it is whole: it has its name only together with
``recovery.signal``, without which the server would start as if nothing was to be recovered.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

from . import (
    archiver,
    base_backup,
    catalog,
    guc,
    recovery_end,
    recovery_target,
    repository,
    standby,
    tools,
    version,
    wal_reader,
)
from .durable import sync_directory
from .errors import InputError, StateError
from .instance import UNFINISHED, Host, Instance, read_text
from .instance import read as read_instance
from .plan import Action, Plan

#: The file in a data directory that says what it was restored from and where to.
NOTE = "pgmahout.restore"

#: What a backup may hold of the server it was taken from and that must not be taken for the restored one's.
_STALE = ("standby.signal", "postmaster.pid", "postmaster.opts")


class Wanted(NamedTuple):
    """What the options ask for; ``repository_planned`` only in check mode, when the repository is still to come."""

    directory: str
    data_directory: str
    backup: str
    system_identifier: str
    target: recovery_target.Target
    tablespace_mapping: Mapping[str, str]
    repository_planned: bool = False


class Current(NamedTuple):
    """What there is.

    Attributes:
        instance: at the data directory.
        note: what an instance there was restored from; None when it was not.
        failed: whether its recovery ended early.
        repository: where from.
        now: by the clock of this host.
        archive: the files of each archive, by its name.
        histories: of the timelines, by archive.
        restore_points: the LSNs at which a target's name stands in the WAL.
        occupied: the directories for tablespaces that hold something that is none of ours.
        remains: those that a restore made which did not recover; they go with it.
        copy_of_programs: the command that brings the programs; ``""`` when they are there.
    """

    instance: Instance
    note: Optional[Mapping[str, Any]]
    failed: bool
    repository: repository.Repository
    now: datetime
    archive: Mapping[str, Sequence[str]] = {}
    histories: Mapping[str, catalog.Histories] = {}
    restore_points: Sequence[str] = ()
    occupied: Sequence[str] = ()
    remains: Sequence[str] = ()
    copy_of_programs: str = ""


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: an option has no meaning.
    """
    for name in ("directory", "data_directory"):
        if not os.path.isabs(params[name]):
            raise InputError("The option %s is %r; give an absolute path." % (name, params[name]))
    mapping = params["tablespace_mapping"] or {}
    for old, new in mapping.items():
        if not (os.path.isabs(old) and os.path.isabs(new)):
            raise InputError("The option tablespace_mapping maps %r to %r; both must be absolute paths." % (old, new))
    return Wanted(os.path.normpath(params["directory"]), os.path.normpath(params["data_directory"]), params["backup"],
                  params["system_identifier"], recovery_target.desired(params), mapping,
                  params["repository_planned"] and params["check_mode"])


def read(host: Host, wanted: Wanted) -> Current:
    """Return what is on the host.

    Raises:
        StateError: the repository or the data directory cannot be read.
    """
    now = datetime.now(timezone.utc)
    instance = read_instance(host.programs, wanted.data_directory)
    found = repository.read(wanted.directory)
    note = json.loads(read_text(os.path.join(wanted.data_directory, NOTE)) or "null")
    failed = os.path.exists(os.path.join(wanted.data_directory, recovery_end.FAILED))
    current = Current(instance, note, failed, found, now, copy_of_programs=host.copy_of_programs)
    if wanted.repository_planned or _is_there(current, wanted):
        return current
    if not found.entries:
        raise StateError("A restore from the repository %s was asked for and it holds no backup; take one with the playbook "
                         "backup, or correct the directory." % wanted.directory)
    files = {name: repository.archive_files(wanted.directory, name) for name in found.archives}
    reader = wal_reader.Reader(host, wanted.directory)
    remains = _remains(wanted)
    return current._replace(
        archive=files,
        histories={name: reader.histories(name, files[name]) for name in found.archives},
        restore_points=_restore_points(reader, wanted, found, files) if wanted.target.kind == "name" else (),
        occupied=[place for place in _places(wanted, found)
                  if place not in remains and os.path.isdir(place) and os.listdir(place)],
        remains=remains)


def _restore_points(reader: wal_reader.Reader, wanted: Wanted, found: repository.Repository,
                    files: Mapping[str, Sequence[str]]) -> List[str]:
    """Look for the target's name in all WAL from the oldest backup that may be used on."""
    oldest = catalog.usable(found.entries, wanted.backup, wanted.system_identifier)[0]
    return reader.restore_points(oldest, files.get(oldest.archive, ()), wanted.target.value)


def _places(wanted: Wanted, found: repository.Repository) -> List[str]:
    return sorted({_place(wanted, old) for one in found.entries for old in one.tablespaces.values()})


def _remains(wanted: Wanted) -> List[str]:
    """Return the directories of tablespaces that are linked to from what a restore made.

    A run that was killed between two renames has left some under their names, and the data directory without its own.
    """
    made = (wanted.data_directory, wanted.data_directory + UNFINISHED)
    return sorted(place for path in made if os.path.exists(os.path.join(path, NOTE)) for place in base_backup.tablespaces(path)
                  if os.path.isabs(place) and os.path.isdir(place)
                  and not place.endswith(UNFINISHED) and not os.path.exists(place + UNFINISHED))


def _place(wanted: Wanted, old: str) -> str:
    return os.path.normpath(wanted.tablespace_mapping.get(old, old))


def _request(wanted: Wanted) -> Dict[str, Any]:
    """Return what is asked for, as the note keeps it to be recognised by the next run."""
    return {"directory": wanted.directory, "backup": wanted.backup, "target": dict(wanted.target._asdict()),
            "tablespace_mapping": dict(wanted.tablespace_mapping)}


def _is_there(current: Current, wanted: Wanted) -> bool:
    """Return whether the data directory was restored as it is asked for."""
    return current.note is not None and current.note["request"] == _request(wanted) and not current.failed


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps to a data directory that is ready to recover; none where it was restored so already.

    Raises:
        InputError: the target cannot be reached from any backup.
        StateError: the data directory holds something else, or the archive lacks WAL.
    """
    instance = current.instance
    before = {"data_directory": wanted.data_directory, "state": instance.kind}
    after = dict(before, state="instance", target=wanted.target.shown)
    if current.note is not None and _is_there(current, wanted):
        facts = dict(current.note["facts"], recovering=instance.recovery_signal)
        return Plan([], after, after, facts)
    _refuse_data(current, wanted)
    if wanted.repository_planned:
        shown = "restore %s from %s" % (wanted.data_directory, wanted.directory)
        return Plan([Action("place", shown)], before, after, {"target": wanted.target.shown, "backups": [], "recovering": True})
    chain = _chain(current, wanted)
    last = chain[-1]
    _refuse_tablespaces(current, wanted, last)
    names = current.archive.get(last.archive, ())
    histories = current.histories.get(last.archive, {})
    _refuse_wal(wanted, last, names, histories)
    facts = {
        "backups": [one.id for one in chain], "archive": os.path.join(wanted.directory, last.archive),
        "first_segment": catalog.name_of(chain[-1].timeline, catalog.number_of(last.start_lsn, last.wal_segment_size)),
        "target": wanted.target.shown, "system_identifier": last.system_identifier, "timeline": last.timeline,
        "wal_segment_size": last.wal_segment_size, "restore_command": _restore_command(current, wanted, last),
        "until_segment": _until(wanted, last, names, histories), "recovering": True}
    warnings = catalog.branches(wanted.target, last, histories) + _gaps(wanted, last, names, histories)
    return Plan(_steps(current, wanted, chain, facts), before, after, facts, warnings)


def _until(wanted: Wanted, last: catalog.Entry, names: Sequence[str], histories: catalog.Histories) -> str:
    """Return the segment into which a recovery to the end of the WAL must come at least, ``""`` for another target."""
    newest = catalog.newest(names, catalog.timelines(wanted.target, last, histories))
    if newest is None or wanted.target.kind != "latest":
        return ""
    return catalog.name_of(newest.timeline, newest.number) + ("" if newest.is_whole else ".partial")


def _refuse_data(current: Current, wanted: Wanted) -> None:
    instance = current.instance
    instance.refuse_foreign()
    if not instance.exists:
        return
    note = current.note
    if note is None:
        raise StateError("A restore into %s was asked for and an instance of the system %s is there; move it away yourself or "
                         "choose another data_directory." % (
                             wanted.data_directory, instance.control and instance.control.system_identifier))
    if instance.process or not (instance.recovery_signal or current.failed):
        raise StateError("A restore to %s was asked for in %s and an instance is there that was restored to %s; choose another "
                         "data_directory." % (wanted.target.shown, wanted.data_directory, note["facts"]["target"]))


def _chain(current: Current, wanted: Wanted) -> List[catalog.Entry]:
    points = list(current.restore_points)
    if len(points) > 1:
        raise InputError("A restore to %s was asked for and the WAL has it %d times, at the LSNs %s; give one of them as "
                         "target_lsn." % (wanted.target.shown, len(points), ", ".join(points)))
    if wanted.target.kind == "name" and not points:
        raise InputError("A restore to %s was asked for and no WAL of the archive has it; correct the name or give another "
                         "target." % wanted.target.shown)
    return catalog.choose(current.repository.entries, wanted.target, current.now, wanted.backup, wanted.system_identifier,
                          points[0] if points else "")


def _refuse_tablespaces(current: Current, wanted: Wanted, last: catalog.Entry) -> None:
    unknown = sorted(set(wanted.tablespace_mapping) - set(last.tablespaces.values()))
    if unknown:
        raise InputError("The option tablespace_mapping names %s and the backup %s has its tablespaces in %s; correct it." % (
            unknown[0], last.id, ", ".join(sorted(last.tablespaces.values())) or "no directory"))
    for old in last.tablespaces.values():
        if _place(wanted, old) in current.occupied:
            raise StateError("The tablespace in %s was to be restored to %s and that is not empty; give an empty directory for "
                             "it in tablespace_mapping." % (old, _place(wanted, old)))


def _refuse_wal(wanted: Wanted, last: catalog.Entry, names: Sequence[str], histories: catalog.Histories) -> None:
    """Refuse a recovery that would end before its target, as far as the names in the archive tell."""
    if wanted.target.kind not in ("latest", "lsn"):
        return
    followed = catalog.timelines(wanted.target, last, histories)
    missing = catalog.gap(names, last, followed)
    newest = catalog.newest(names, followed)
    goal = catalog.number_of(wanted.target.value, last.wal_segment_size) if wanted.target.kind == "lsn" else None
    place = os.path.join(wanted.directory, last.archive)
    if goal is not None and goal > max(newest.number if newest else 0, catalog.number_of(last.stop_lsn, last.wal_segment_size)):
        raise InputError("A restore to %s was asked for and the WAL in %s ends before it, with the segment %s; give a target "
                         "that has been archived." % (wanted.target.shown, place, newest.file if newest else "of the backup"))
    gap = catalog.segment(missing)
    if gap is not None and (goal is None or gap.number <= goal):
        raise StateError("A restore to %s was asked for and the segment %s is missing in %s, which goes on behind it; bring it "
                         "back or give a target before it." % (wanted.target.shown, missing, place))


def _gaps(wanted: Wanted, last: catalog.Entry, names: Sequence[str], histories: catalog.Histories) -> List[str]:
    """Return a warning for a segment that is missing, of which nobody knows whether it is in front of the target or behind it."""
    missing = catalog.gap(names, last, catalog.timelines(wanted.target, last, histories))
    if not missing or wanted.target.kind not in ("time", "xid", "name"):
        return []
    return ["The segment %s is missing in %s, which goes on behind it; the restore to %s fails if it is needed."
            % (missing, os.path.join(wanted.directory, last.archive), wanted.target.shown)]


def _steps(current: Current, wanted: Wanted, chain: Sequence[catalog.Entry], facts: Mapping[str, Any]) -> List[Action]:
    unfinished = wanted.data_directory + UNFINISHED
    steps = [Action("programs", current.copy_of_programs)] if current.copy_of_programs else []
    # What it links to goes first, since nothing else tells whose that is.
    gone = list(current.remains) + ([wanted.data_directory] if current.instance.exists else [])
    steps += [Action("clear", "rm -r %s" % path, {"path": path}) for path in gone]
    places = [current.repository.data(one.id) for one in chain]
    steps += [Action("verify", "pg_verifybackup %s" % place) for place in places]
    if len(chain) > 1:
        shown = "pg_combinebackup --output=%s %s" % (unfinished, " ".join(places))
    else:
        tool = "tar --extract --file=%s/base.tar --directory=%s" if chain[0].format == "tar" else "cp -a %s %s"
        shown = tool % (places[0], unfinished)
    steps.append(Action("place", shown, {"chain": chain, "facts": facts, "began": current.now.timestamp()}))
    steps.append(Action("recover", "touch %s" % os.path.join(unfinished, "recovery.signal"), {"last": chain[-1], "facts": facts}))
    steps.append(Action("rename", "mv %s %s" % (unfinished, wanted.data_directory), {"last": chain[-1]}))
    return steps


def apply(host: Host, wanted: Wanted, steps: Sequence[Action]) -> Dict[str, Any]:
    """Do the steps; the results tell how long each phase took, the choice of the backup among them."""
    began = next(step.values["began"] for step in steps if step.action == "place")
    phases: List[Dict[str, Any]] = [{"name": "choose", "started": began, "ended": time.time()}]
    for step in steps:
        if step.action == "verify":
            continue
        begin = time.time()
        _DOERS[step.action](host, wanted, step)
        phases.append({"name": step.action, "started": begin, "ended": time.time()})
    return {"phases": phases}


def _do_programs(host: Host, _wanted: Wanted, _step: Action) -> None:
    host.copy_programs()


def _do_clear(_host: Host, _wanted: Wanted, step: Action) -> None:
    repository.remove(step.values["path"])


def _do_place(host: Host, wanted: Wanted, step: Action) -> None:
    """Bring the data beside its place while it is verified where it lies, which the system then reads but once."""
    unfinished, chain = wanted.data_directory + UNFINISHED, step.values["chain"]
    found = repository.read(wanted.directory)
    shutil.rmtree(_staging(wanted), ignore_errors=True)
    for path in [unfinished] + [_place(wanted, old) + UNFINISHED for old in chain[-1].tablespaces.values()]:
        if os.path.exists(path):
            shutil.rmtree(path)
        # The server's account may not make a directory where it is to be.
        host.make_directory(path)
    place = _combine if len(chain) > 1 else _unpack if chain[0].format == "tar" else _copy
    jobs: List[Callable[[], None]] = [lambda: place(host, wanted, found, chain)]
    reads_tar = version.major(host.programs.version_num) >= 18
    jobs += [_verification(host, found, one) for one in chain if one.format == "plain" or reads_tar]
    with ThreadPoolExecutor(2) as pool:
        # A backup that is damaged is told rather than what else failed by that.
        results = [pool.submit(job) for job in jobs]
    for result in reversed(results):
        result.result()
    if len(jobs) == 1:
        base_backup.verify(host, unfinished, "plain", "stream")
    if not os.path.exists(os.path.join(unfinished, base_backup.LABEL)):
        raise StateError("The backup %s has no backup_label and would start corrupt; use another one." % chain[-1].id)


def _verification(host: Host, found: repository.Repository, one: catalog.Entry) -> Callable[[], None]:
    return lambda: base_backup.verify(host, found.data(one.id), one.format, "stream")


def _copy(host: Host, wanted: Wanted, found: repository.Repository, chain: Sequence[catalog.Entry]) -> None:
    unfinished, one = wanted.data_directory + UNFINISHED, chain[-1]
    _clone(host, found.data(one.id), unfinished)
    for oid, old in one.tablespaces.items():
        _clone(host, _tablespace(found, one, oid), _place(wanted, old) + UNFINISHED)


def _tablespace(found: repository.Repository, one: catalog.Entry, oid: str) -> str:
    """Return the directory of a tablespace beside the data of a backup in plain format."""
    return os.path.join(os.path.dirname(found.data(one.id)), "tablespaces", oid)


def _clone(host: Host, source: str, target: str) -> None:
    """Copy what a directory holds into another one that exists."""
    tools.run(["cp", "-a", "--reflink=auto", os.path.join(source, "."), target], host.programs.user)


def _unpack(host: Host, wanted: Wanted, found: repository.Repository, chain: Sequence[catalog.Entry]) -> None:
    unfinished, one = wanted.data_directory + UNFINISHED, chain[-1]
    base_backup.unpack(host, found.data(one.id), unfinished,
                       {oid: _place(wanted, old) + UNFINISHED for oid, old in one.tablespaces.items()})
    for oid, old in one.tablespaces.items():
        os.symlink(_place(wanted, old) + UNFINISHED, os.path.join(unfinished, "pg_tblspc", oid))


def _staging(wanted: Wanted) -> str:
    """Return the directory in which a chain is unpacked."""
    return wanted.data_directory + ".parts" + UNFINISHED


def _combine(host: Host, wanted: Wanted, found: repository.Repository, chain: Sequence[catalog.Entry]) -> None:
    """Combine a chain; what is packed is unpacked beside the data directory first."""
    unfinished, last = wanted.data_directory + UNFINISHED, chain[-1]
    staging = _staging(wanted)
    host.make_directory(staging)
    try:
        parts = [_part(host, found, one, staging) for one in chain]
        argv = ["--output=%s" % unfinished]
        for oid, old in last.tablespaces.items():
            link = os.path.join(parts[-1], "pg_tblspc", oid)
            argv.append(base_backup.mapping_argument(os.readlink(link), _place(wanted, old) + UNFINISHED))
        host.programs.run("pg_combinebackup", *(argv + parts))
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _part(host: Host, found: repository.Repository, one: catalog.Entry, staging: str) -> str:
    """Return a directory in plain format with what one backup of a chain holds."""
    place = os.path.join(staging, one.id)
    host.make_directory(place)
    if one.format == "tar":
        base_backup.unpack(host, found.data(one.id), place)
    if one.format == "plain" and not one.tablespaces:
        return found.data(one.id)
    if one.format == "plain":
        _clone(host, found.data(one.id), place)
    # pg_combinebackup wants links that are absolute.
    for oid in one.tablespaces:
        link = os.path.join(place, "pg_tblspc", oid)
        inside = _tablespace(found, one, oid)
        if one.format == "tar":
            inside = os.path.join(place + ".tablespaces", oid)
            host.make_directory(os.path.dirname(inside))
            os.rename(link, inside)
        else:
            os.unlink(link)
        os.symlink(inside, link)
    return place


def _do_recover(host: Host, wanted: Wanted, step: Action) -> None:
    """Make it recover, into an archive of its own, when its server starts."""
    unfinished, last = wanted.data_directory + UNFINISHED, step.values["last"]
    for name in _STALE + ("tablespace_map",):
        path = os.path.join(unfinished, name)
        if os.path.exists(path):
            os.unlink(path)
    _link(wanted, unfinished, last)
    path = os.path.join(unfinished, "postgresql.auto.conf")
    settings: Dict[str, Optional[str]] = dict.fromkeys(standby.SETTINGS)
    settings.update(recovery_target.settings(wanted.target), restore_command=step.values["facts"]["restore_command"])
    host.write(path, guc.edit(read_text(path) or "", settings))
    started = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    host.write(os.path.join(unfinished, archiver.LINEAGE), archiver.name_of(started) + "\n")
    note = {"request": _request(wanted), "facts": step.values["facts"]}
    host.write(os.path.join(unfinished, NOTE), json.dumps(note, indent=2) + "\n")
    host.write(os.path.join(unfinished, "recovery.signal"), "")
    os.chmod(unfinished, 0o700)


def _link(wanted: Wanted, unfinished: str, last: catalog.Entry) -> None:
    """Let the tablespaces be where they will be; a tar has a map of them that would lead to where they were."""
    for oid, old in last.tablespaces.items():
        link = os.path.join(unfinished, "pg_tblspc", oid)
        if os.path.islink(link):
            os.unlink(link)
        os.symlink(_place(wanted, old), link)


def _restore_command(current: Current, wanted: Wanted, last: catalog.Entry) -> str:
    """Return the command that fetches WAL; without an archive there is none but the backup's own."""
    if last.archive not in current.repository.archives:
        return "false"
    archive = os.path.join(wanted.directory, last.archive)
    program = os.path.join(wanted.directory, "bin", "restore-wal")
    quoted = [shlex.quote(text).replace("%", "%%") for text in (program, archive)]
    return "%s %s %%f %%p %d" % (quoted[0], quoted[1], last.wal_segment_size)


def _do_rename(_host: Host, wanted: Wanted, step: Action) -> None:
    pairs = [(_place(wanted, old) + UNFINISHED, _place(wanted, old)) for old in step.values["last"].tablespaces.values()]
    for unfinished, place in pairs + [(wanted.data_directory + UNFINISHED, wanted.data_directory)]:
        os.rename(unfinished, place)
        sync_directory(os.path.dirname(place))


_DOERS = {"programs": _do_programs, "clear": _do_clear, "place": _do_place, "recover": _do_recover, "rename": _do_rename}
