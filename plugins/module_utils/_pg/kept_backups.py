# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A base backup that is kept: taken into a repository, verified, entered into its catalog; and what retention lets go.

The source is PostgreSQL's documentation, chapters 25.3.2 to 25.3.4 (base backups, incremental backups). A run takes a new backup
each time. It is made under another name and renamed when it is whole, so that a backup in the repository is one.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from . import archiver, base_backup, catalog, conninfo, credentials, login, monitoring, programs, progress, repository, standby
from .durable import sync_directory
from .errors import InputError, PgError, StateError
from .instance import UNFINISHED, Host
from .instance import opener as open_host
from .plan import Action, Plan

#: Options of the modules that take such a backup; documented in the fragment ``kept_backup``.
SPEC: Dict[str, Any] = dict(
    programs.SPEC,
    **credentials.SPEC,
    directory={"type": "path", "required": True},
    cluster={"type": "str", "required": True},
    conninfo=conninfo.SPEC,
    format={"type": "str", "choices": ["plain", "tar"], "default": "plain"},
    compress={"type": "str", "default": ""},
    checkpoint={"type": "str", "choices": ["fast", "spread"], "default": "fast"},
    max_rate={"type": "str", "default": ""},
    incremental={"type": "int", "default": 0},
    keep_count={"type": "int", "default": 7},
    keep_days={"type": "int", "default": 0},
)


class Wanted(NamedTuple):
    """What the options ask for."""

    directory: str
    cluster: str
    conninfo: Mapping[str, Any]
    request: base_backup.Request
    incremental: int
    keep: catalog.Keep
    credentials: List[credentials.File]
    progress_file: str


class Source(NamedTuple):
    """The server to take the backup from.

    Attributes:
        version_num: such as 180006.
        system_identifier: a 64-bit number as text.
        timeline: its present one.
        now: by its clock.
        next_xid: the 64-bit number of the next transaction.
        wal_segment_size: in bytes.
        summarizes: whether it writes the summaries of WAL that an incremental backup needs.
        tablespaces: their directories by their oids.
        address: ``host:port``.
    """

    version_num: int
    system_identifier: str
    timeline: int
    now: datetime
    next_xid: int
    wal_segment_size: int
    summarizes: bool
    tablespaces: Mapping[str, str]
    address: str


class Current(NamedTuple):
    """What there is."""

    repository: repository.Repository
    source: Source
    credentials: Mapping[str, Optional[str]]
    copy_of_programs: str


@contextmanager
def opener(params: Mapping[str, Any]) -> Iterator[Host]:
    """Give the host of the repository; monitoring is told of a run that fails, also when it does before anything was done."""
    started = datetime.now(timezone.utc)
    with open_host(params) as host:
        try:
            yield host
        except PgError as error:
            if not params["check_mode"]:
                tell(host, desired(params), started, None, str(error))
            raise


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: an option has no meaning, or the connection holds a password.
    """
    keywords = conninfo.given(params["conninfo"])
    if not keywords:
        raise InputError("A backup into %s was asked for and conninfo names no server; give at least its host."
                         % params["directory"])
    standby.refuse_secrets(keywords, "conninfo")
    for name, least in (("keep_count", 1), ("keep_days", 0), ("incremental", 0)):
        if params[name] < least:
            raise InputError("The option %s is %d; give a number from %d on." % (name, params[name], least))
    if not os.path.isabs(params["directory"]):
        raise InputError("The option directory is %r; give an absolute path." % params["directory"])
    request = base_backup.Request(
        conninfo=keywords, format=params["format"], compress=params["compress"], wal_method="stream",
        max_rate=params["max_rate"], checkpoint=params["checkpoint"], label="pgmahout %s" % params["cluster"])
    return Wanted(os.path.normpath(params["directory"]), params["cluster"], keywords, request, params["incremental"],
                  catalog.Keep(params["keep_count"], params["keep_days"]), credentials.desired(params),
                  params[progress.OPTION])


def read(host: Host, wanted: Wanted) -> Current:
    """Return what is in the repository, and what the server says of itself.

    Raises:
        Unreachable: it does not answer.
    """
    found = repository.read(wanted.directory)
    with credentials.lent(wanted.credentials, wanted.conninfo) as keywords:
        server = source(keywords)
    return Current(found, server, credentials.read(wanted.credentials), host.copy_of_programs)


def source(keywords: Mapping[str, Any]) -> Source:
    """Ask a server what a backup of it is of.

    Raises:
        Unreachable: it does not answer.
    """
    with login.connected(keywords) as session:
        row = session.rows(_SOURCE)[0]
        return Source(session.version_num, row["system_identifier"], row["timeline"], row["now"].astimezone(timezone.utc),
                      int(row["next_xid"]), int(row["wal_segment_size"]), row["summarizes"], row["tablespaces"],
                      session.address)


_SOURCE = """SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
 (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()) AS timeline,
 pg_catalog.clock_timestamp() AS now,
 pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text AS next_xid,
 (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size') AS wal_segment_size,
 coalesce((SELECT setting = 'on' FROM pg_catalog.pg_settings WHERE name = 'summarize_wal'), false) AS summarizes,
 (SELECT coalesce(pg_catalog.json_object_agg(oid::text, pg_catalog.pg_tablespace_location(oid)), '{}')
 FROM pg_catalog.pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')) AS tablespaces"""


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps of a run: what was left is removed, a backup taken, and what retention lets go removed."""
    found, server = current.repository, current.source
    if wanted.incremental and not server.summarizes:
        raise StateError("Incremental backups were asked for and the server at %s does not summarize its WAL; %s." % (
            server.address, "set summarize_wal to on" if server.version_num >= 170000 else
            "PostgreSQL can from version 17 on, set incremental to 0"))
    identifier = catalog.new_id(server.now, [one.id for one in found.entries])
    parent = catalog.next_parent(found.entries, wanted.incremental, server.system_identifier, server.timeline)
    request = _request(wanted, found, parent, identifier, server)
    base_backup.refuse_unknown(request, server.version_num)
    made = _planned(identifier, parent, wanted, server)
    gone = catalog.expire(list(found.entries) + [made], wanted.keep, server.now)
    steps = [Action("programs", current.copy_of_programs)] if current.copy_of_programs else []
    steps += credentials.writes(current.credentials, wanted.credentials)
    steps += [Action("clear", "rm -r %s" % path, {"path": path}) for path in found.leftovers]
    place = os.path.join(repository.base(wanted.directory), identifier)
    argv = base_backup.arguments(request, os.path.join(place, "data"))
    values = {"id": identifier, "request": request, "parent": parent, "source": server}
    steps.append(Action("backup", " ".join(["pg_basebackup"] + argv), values))
    steps.append(Action("verify", "pg_verifybackup %s" % os.path.join(place, "data")))
    steps += [Action("expire", "rm -r %s" % os.path.join(repository.base(wanted.directory), one.id)) for one in gone]
    before = [one.id for one in found.entries]
    after = [one.id for one in list(found.entries) + [made] if one not in gone]
    return Plan(steps, {"backups": before}, {"backups": after}, {"backup": {"id": identifier, "type": made.type}})


def _request(wanted: Wanted, found: repository.Repository, parent: Optional[catalog.Entry], identifier: str,
             server: Source) -> base_backup.Request:
    manifest = os.path.join(found.data(parent.id), "backup_manifest") if parent else ""
    mapping = {}
    if wanted.request.format == "plain":
        unfinished = os.path.join(repository.base(wanted.directory), identifier + UNFINISHED)
        mapping = {place: os.path.join(unfinished, "tablespaces", oid) for oid, place in server.tablespaces.items()}
    return wanted.request._replace(incremental_from=manifest, tablespace_mapping=mapping)


def _planned(identifier: str, parent: Optional[catalog.Entry], wanted: Wanted, server: Source) -> catalog.Entry:
    """Return the entry of a backup as far as it is known before it was taken."""
    now = _rfc3339(server.now)
    return catalog.Entry(
        id=identifier, type="incremental" if parent else "full", parent=parent.id if parent else None,
        format=wanted.request.format, compress=wanted.request.compress, cluster=wanted.cluster,
        system_identifier=server.system_identifier, version=server.version_num // 10000, timeline=server.timeline,
        start_lsn="0/0", stop_lsn="0/0", start_time=now, stop_time=now, next_xid=server.next_xid, size_bytes=0,
        duration_seconds=0.0, verified=True, archive=archiver.FIRST, wal_segment_size=server.wal_segment_size,
        tablespaces=server.tablespaces, source=server.address)


def _rfc3339(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def apply(host: Host, wanted: Wanted, steps: Sequence[Action]) -> Dict[str, Any]:
    """Do the steps, and tell monitoring of what they made."""
    host.make_directory(wanted.directory)
    host.make_directory(repository.base(wanted.directory))
    started = datetime.now(timezone.utc)
    entry = _do(host, wanted, steps)
    removed = _expire(wanted, entry)
    repository.write_catalog(host, wanted.directory, wanted.cluster)
    tell(host, wanted, started, entry.id, "")
    return dict({"backup": dict(entry._asdict())}, **removed)


def tell(host: Host, wanted: Wanted, started: datetime, backup: Optional[str], error: str) -> None:
    """Tell monitoring how a run ended.

    Args:
        started: when it began.
        backup: the id of the backup that it made, None when it failed.
        error: what it failed with, ``""`` when it did not.
    """
    outcome = monitoring.Outcome(wanted.cluster, _rfc3339(started), _rfc3339(datetime.now(timezone.utc)), backup, error)
    entries = repository.read(wanted.directory).entries
    status = monitoring.status(entries, outcome)
    host.make_directory(wanted.directory)
    host.write(os.path.join(wanted.directory, "status.json"), json.dumps(status, indent=2) + "\n", 0o644)
    host.write(os.path.join(wanted.directory, "status.prom"), monitoring.prometheus(status), 0o644)


def _do(host: Host, wanted: Wanted, steps: Sequence[Action]) -> catalog.Entry:
    made: List[catalog.Entry] = []
    for step in steps:
        if step.action == "programs":
            host.copy_programs()
        elif step.action == "secret":
            credentials.write(host, wanted.credentials, step)
        elif step.action == "clear":
            base_backup.clear(os.path.join(step.values["path"], "data"))
            repository.remove(step.values["path"])
        elif step.action == "backup":
            made.append(_take(host, wanted, step))
    return made[0]


def _take(host: Host, wanted: Wanted, step: Action) -> catalog.Entry:
    """Take a backup, verify it, and give it its name."""
    begin, identifier, request = time.monotonic(), step.values["id"], step.values["request"]
    place = os.path.join(repository.base(wanted.directory), identifier)
    data = os.path.join(place + UNFINISHED, "data")
    host.make_directory(place + UNFINISHED)
    for target in request.tablespace_mapping.values():
        host.make_directory(target)
    base_backup.take(host, request, data, wanted.progress_file)
    ended = source(wanted.conninfo)
    found = base_backup.manifest(data)
    if request.format == "plain":
        _relink(data, request.tablespace_mapping)
    base_backup.verify(host, data, request.format, request.wal_method)
    entry = _planned(identifier, step.values["parent"], wanted, step.values["source"])._replace(
        timeline=found.wal[-1].timeline, start_lsn=found.wal[0].start_lsn, stop_lsn=found.wal[-1].end_lsn,
        stop_time=_rfc3339(ended.now),
        next_xid=ended.next_xid, archive=_archive(data, request.format, found), size_bytes=repository.size(place + UNFINISHED),
        tablespaces=_tablespaces(data, request.format, dict(step.values["source"].tablespaces, **ended.tablespaces)),
        duration_seconds=round(time.monotonic() - begin, 3))
    repository.write_entry(host, place + UNFINISHED, entry)
    os.rename(place + UNFINISHED, place)
    sync_directory(os.path.dirname(place))
    return entry


def _relink(data: str, mapping: Mapping[str, str]) -> None:
    """Let the links to tablespaces be relative, so that they lead to them when the backup has got its name or was moved.

    Raises:
        StateError: there is one that the server did not have when the backup was planned, so that it lies outside.
    """
    for target, link in base_backup.tablespaces(data).items():
        if target not in mapping.values():
            raise StateError("The tablespace in %s was made while the backup was taken, which lacks it; take it again." % target)
        os.unlink(link)
        os.symlink(os.path.join("..", "..", "tablespaces", os.path.basename(link)), link)


def _tablespaces(data: str, form: str, known: Mapping[str, str]) -> Dict[str, str]:
    """Return those of a server's tablespaces that are in a backup; one may have been dropped or made meanwhile."""
    names = os.listdir(os.path.join(data, "pg_tblspc") if form == "plain" else data)
    there = {name.partition(".tar")[0] for name in names}
    return {oid: place for oid, place in sorted(known.items()) if oid in there}


def _archive(data: str, form: str, found: base_backup.Manifest) -> str:
    """Return the archive that the server of a backup writes to, by the file in it."""
    if form == "plain" or archiver.LINEAGE not in found.checksums:
        return archiver.archive_of(data)
    return base_backup.read_member(data, archiver.LINEAGE).strip()


def _expire(wanted: Wanted, made: catalog.Entry) -> Dict[str, Any]:
    """Remove what retention lets go: first the backups, then the WAL that none of the others needs."""
    found = repository.read(wanted.directory)
    gone = catalog.expire(found.entries, wanted.keep, made.stopped)
    # Those that build on others first, so that a run which is killed leaves no difference without what it is one from.
    for one in reversed(gone):
        repository.remove(os.path.join(repository.base(wanted.directory), one.id))
    kept = [one for one in found.entries if one not in gone]
    segments: List[str] = []
    for archive in found.archives:
        place = os.path.join(wanted.directory, archive)
        for name in catalog.obsolete(repository.archive_files(wanted.directory, archive), kept, archive):
            os.unlink(os.path.join(place, name))
            segments.append(os.path.join(archive, name))
    for archive in catalog.unused_archives(found.archives, kept, made.archive):
        repository.remove(os.path.join(wanted.directory, archive))
    return {"removed": [one.id for one in gone], "removed_segments": len(segments)}
