# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way out to pg_basebackup: one base backup, taken into a directory, and verified there with its WAL.

The sources are PostgreSQL's documentation, chapter 25.3 (continuous archiving) and 68 (backup manifest format), and the pages of
pg_basebackup, pg_verifybackup and pg_waldump.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import struct
from contextlib import closing, contextmanager, suppress
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from . import catalog, conninfo, login, progress, tools, version
from .durable import sync_directory
from .errors import InputError, StateError, ToolError
from .instance import Host, hash_of, read_text, wait_until
from .sql import literal

MANIFEST = "backup_manifest"
LABEL = "backup_label"

#: What pg_verifybackup passes over although the manifest has it, since a standby may change it.
_PASSED_OVER = "postgresql.auto.conf"

#: The programs that decompress, by the suffixes that pg_basebackup gives.
_DECOMPRESSORS = {".gz": "gzip", ".lz4": "lz4", ".zst": "zstd"}

_COMPRESS = re.compile(r"\A(?:(client|server)-)?(none|gzip|lz4|zstd)(?::(.+))?\Z")
_RATE = re.compile(r"\A(\d+)([kM]?)\Z")


class Request(NamedTuple):
    """A base backup that is asked for.

    Attributes:
        conninfo: keywords of libpq, as ``conninfo.given`` has them.
        format: ``plain`` or ``tar``.
        compress: ``""``, or as pg_basebackup takes it: ``[client-|server-]METHOD[:DETAIL]``.
        wal_method: ``stream``, ``fetch`` or ``none``.
        max_rate: kB in a second, or with a suffix ``k`` or ``M``; ``""`` for no limit.
        checkpoint: ``fast`` or ``spread``.
        slot: that keeps the WAL meanwhile; ``""`` for a temporary one.
        tablespace_mapping: the directories that tablespaces are written to, by their own; absolute paths.
        incremental_from: the path of an older backup's manifest; ``""`` for a full backup.
        label: that ``backup_label`` will hold; ``""`` for pg_basebackup's own.
    """

    conninfo: Mapping[str, Any]
    format: str = "plain"
    compress: str = ""
    wal_method: str = "stream"
    max_rate: str = ""
    checkpoint: str = "fast"
    slot: str = ""
    tablespace_mapping: Mapping[str, str] = {}
    incremental_from: str = ""
    label: str = ""


class Range(NamedTuple):
    """WAL that a backup needs to become consistent."""

    timeline: int
    start_lsn: str
    end_lsn: str


class Manifest(NamedTuple):
    """What ``backup_manifest`` says.

    Attributes:
        system_identifier: a 64-bit number as text; ``""`` before PostgreSQL 17, where it is not told.
        wal: the ranges, oldest first.
        size: of all files, in bytes.
        checksums: by path, such as ``CRC32C:08afaf0d``; ``""`` where there is none.
    """

    system_identifier: str
    wal: Sequence[Range]
    size: int
    checksums: Mapping[str, str]


def arguments(request: Request, directory: str) -> List[str]:
    """Return the arguments of pg_basebackup."""
    argv = ["--pgdata=%s" % directory, "--dbname=%s" % conninfo.render(request.conninfo), "--no-password",
            "--checkpoint=%s" % request.checkpoint, "--wal-method=%s" % request.wal_method]
    if request.format != "plain":
        argv.append("--format=%s" % request.format)
    for option, value in (("compress", request.compress), ("max-rate", request.max_rate), ("slot", request.slot),
                          ("incremental", request.incremental_from), ("label", request.label)):
        if value:
            argv.append("--%s=%s" % (option, value))
    for old, new in sorted(request.tablespace_mapping.items()):
        argv.append(mapping_argument(old, new))
    return argv


def mapping_argument(old: str, new: str) -> str:
    """Return the argument of pg_basebackup and pg_combinebackup that maps the directory of a tablespace to another one."""
    return "--tablespace-mapping=%s=%s" % (old.replace("=", "\\="), new.replace("=", "\\="))


def refuse_unknown(request: Request, version_num: int) -> None:
    """Refuse what pg_basebackup of a version cannot do.

    Raises:
        InputError: an option has a value that it does not know, or two options exclude each other.
    """
    _refuse_compress(request, version_num)
    if request.incremental_from:
        version.require("incremental_from", 17, version_num)
    if request.slot and request.wal_method != "stream":
        raise InputError("The option slot is %s with wal_method %s, and pg_basebackup uses a slot only to stream WAL; leave one "
                         "of them out." % (request.slot, request.wal_method))
    if request.tablespace_mapping and request.format == "tar":
        raise InputError("The option tablespace_mapping was given with the format tar, where each tablespace is a file of its "
                         "own; map them when the backup is restored.")
    for old, new in request.tablespace_mapping.items():
        if not (os.path.isabs(old) and os.path.isabs(new)):
            raise InputError("The option tablespace_mapping maps %r to %r; both must be absolute paths." % (old, new))
    _refuse_rate(request.max_rate)


def _refuse_rate(rate: str) -> None:
    found = _RATE.match(rate)
    if rate and (found is None or not 32 <= int(found.group(1)) * (1024 if found.group(2) == "M" else 1) <= 1024 * 1024):
        raise InputError("The option max_rate is %r and must be from 32k to 1024M in a second, such as 64M." % rate)


def _refuse_compress(request: Request, version_num: int) -> None:
    if not request.compress:
        return
    found = _COMPRESS.match(request.compress)
    if found is None:
        raise InputError("The option compress is %r and must be none, gzip, lz4 or zstd, with client- or server- before and a "
                         "colon and a level behind it if need be, such as server-zstd:3." % request.compress)
    where, method = found.group(1) or "client", found.group(2)
    if method != "none" and request.format == "plain" and where == "client":
        raise InputError("The option compress is %s and a plain backup is not compressed; ask for the format tar, or for "
                         "server-%s, which compresses what is transferred." % (request.compress, method))
    if version.major(version_num) < 15 and (where, method) != ("client", "gzip"):
        raise InputError("The option compress is %s and pg_basebackup of version %d knows only gzip on the client; ask for gzip."
                         % (request.compress, version.major(version_num)))


def take(host: Host, request: Request, directory: str, progress_file: str = "") -> None:
    """Take a base backup into a directory that is missing or empty; the one above it is made for the server's account.

    Args:
        host: where to.
        request: what.
        directory: where to.
        progress_file: in which someone watches how far it is; ``""`` for nobody.

    Raises:
        ToolError: pg_basebackup failed.
        StateError: the backup lacks its label, without which it would start corrupt (chapter 25.3.4).
    """
    host.make_directory(os.path.dirname(directory), 0o755)
    name = request.conninfo.get("application_name") or "pgmahout %08x" % hash_of(directory)
    with progress.watch(_Gauge(request.conninfo, name), progress_file) as look:
        host.programs.run("pg_basebackup", *_for(host.programs.version_num, arguments(request, directory)),
                          env={"PGAPPNAME": name}, meanwhile=look)
    if LABEL not in (os.listdir(directory) if request.format == "plain" else manifest(directory).checksums):
        raise StateError("The base backup in %s has no backup_label and would start corrupt; take it again." % directory)


def clear(directory: str) -> None:
    """Remove what an interrupted run left, and end the pg_basebackup that may still write to it; the caller holds the lock.

    Killed, pg_basebackup leaves the process that streams WAL, which has the same arguments.
    """
    argument = b"--pgdata=" + os.fsencode(directory)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if argument in _command_line(pid):
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
            wait_until(lambda: argument not in _command_line(pid), 10)  # noqa: B023 - called in this round only
    if os.path.lexists(directory):
        shutil.rmtree(directory)


def _command_line(pid: str) -> List[bytes]:
    try:
        with open("/proc/%s/cmdline" % pid, "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def _for(version_num: int, argv: Sequence[str]) -> List[str]:
    """Return arguments as a version takes them: before 15, compression was a level alone."""
    if version.major(version_num) >= 15:
        return list(argv)
    older = {"--compress=none": "--compress=0", "--compress=gzip": "--gzip", "--compress=client-gzip": "--gzip"}
    return [older.get(one, re.sub(r"\A--compress=(?:client-)?gzip:", "--compress=", one)) for one in argv]


class _Gauge:
    """Asks the source how far a backup is (chapter 27.4.6), over a connection of its own."""

    def __init__(self, keywords: Mapping[str, Any], name: str) -> None:
        self._keywords = login.session_keywords(dict(
            keywords, dbname="postgres", application_name="pgmahout", connect_timeout=2, tcp_user_timeout=2000))
        self._query = ("SELECT phase, backup_streamed, backup_total FROM pg_catalog.pg_stat_progress_basebackup JOIN"
                       " pg_catalog.pg_stat_activity USING (pid) WHERE application_name = %s"
                       " ORDER BY backend_start DESC LIMIT 1") % literal(name)
        self._session: Optional[login.Session] = None

    def __call__(self) -> Optional[progress.Progress]:
        if self._session is None:
            self._session = login.Session(self._keywords)
        rows = self._session.rows(self._query)
        return progress.Progress(rows[0]["phase"], rows[0]["backup_streamed"], rows[0]["backup_total"]) if rows else None

    def close(self) -> None:
        if self._session is not None:
            self._session.close()


def manifest(directory: str) -> Manifest:
    """Return what the manifest in a backup's directory says; see ``read_manifest``."""
    return read_manifest(os.path.join(directory, MANIFEST))


def read_manifest(path: str) -> Manifest:
    """Return what a manifest says (chapter 68).

    Raises:
        StateError: there is none, or it is not one.
    """
    try:
        found = json.loads(read_text(path) or "")
        files = found["Files"]
        return Manifest(
            str(found.get("System-Identifier", "")),
            [Range(part["Timeline"], part["Start-LSN"], part["End-LSN"]) for part in found["WAL-Ranges"]],
            sum(file["Size"] for file in files),
            {_path(file): _checksum(file) for file in files})
    except (ValueError, KeyError, TypeError):
        raise StateError("The file %s was to be the manifest of a base backup and is missing or damaged; use another backup."
                         % path) from None


def _path(file: Mapping[str, str]) -> str:
    return file["Path"] if "Path" in file else os.fsdecode(bytes.fromhex(file["Encoded-Path"]))


def _checksum(file: Mapping[str, str]) -> str:
    return "%s:%s" % (file["Checksum-Algorithm"], file["Checksum"]) if "Checksum" in file else ""


def verify(host: Host, directory: str, form: str, wal_method: str) -> None:
    """Verify every file of a backup against its manifest, and the WAL that it needs.

    Args:
        host: where it is.
        directory: of the backup.
        form: its format; ``tar`` is unpacked beside it as far as pg_verifybackup of the version cannot read it.
        wal_method: by which it was taken; with ``none`` there is no WAL in it.

    Raises:
        ToolError: it is damaged; what is wrong in which file is told.
        StateError: it cannot be unpacked here.
    """
    if form == "plain":
        _verify_files(host, directory, directory)
        _verify_rest(host, directory, directory, wal_method)
        return
    if wal_method == "stream" and "pg_wal" not in _archives(directory):
        raise _damaged(directory, "it has no pg_wal.tar")
    with _scratch(host, directory) as copy:
        if version.major(host.programs.version_num) < 18:
            unpack(host, directory, copy)
            _verify_files(host, directory, copy)
        else:
            _verify_files(host, directory, "--format=tar", directory)
            _unpack_rest(host, directory, copy, wal_method)
        _verify_rest(host, directory, copy, wal_method)


@contextmanager
def _scratch(host: Host, directory: str) -> Iterator[str]:
    """Give an empty directory beside a backup, on the same file system, for as long as it is verified."""
    scratch = directory + ".pgmahout-check"
    shutil.rmtree(scratch, ignore_errors=True)
    host.make_directory(scratch)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _verify_files(host: Host, told: str, *arguments: str) -> None:
    """Verify files; ``told`` is the backup that they are of, wherever they were unpacked to."""
    try:
        host.programs.run("pg_verifybackup", "--quiet", "--no-parse-wal", *arguments)
    except ToolError as error:
        where = "" if re.search(r'file "|manifest|/', error.complaint) else ' in file "%s"' % MANIFEST
        raise _damaged(told, error.complaint + where) from None


def _damaged(directory: str, complaint: str) -> ToolError:
    return ToolError("The base backup in %s is damaged: %s; take or use another one." % (
        directory, re.sub(r"\A\w+: error: ", "", complaint).rstrip(".")))


def _verify_rest(host: Host, directory: str, unpacked: str, wal_method: str) -> None:
    """Verify what pg_verifybackup does not look at."""
    expected = manifest(directory)
    text = read_text(os.path.join(unpacked, _PASSED_OVER))
    found = "CRC32C:" + crc32c(os.fsencode(text)) if text is not None else "none"
    if expected.checksums.get(_PASSED_OVER, found) != found:
        raise _damaged(directory, 'checksum mismatch for file "%s"' % _PASSED_OVER)
    for part in expected.wal if wal_method != "none" else ():
        _verify_wal(host, directory, os.path.join(unpacked, "pg_wal"), part)


def _verify_wal(host: Host, directory: str, wal: str, part: Range) -> None:
    try:
        host.programs.run("pg_waldump", "--quiet", "--path=%s" % wal, "--timeline=%d" % part.timeline,
                          "--start=%s" % part.start_lsn, "--end=%s" % part.end_lsn)
    except ToolError as error:
        raise _damaged(directory, error.complaint + _segment_with(error.complaint, wal, part)) from None


def _segment_with(complaint: str, wal: str, part: Range) -> str:
    """Return in which file a complaint of pg_waldump is, where it tells the position alone."""
    if re.search(r"[0-9A-F]{24}", complaint):
        return ""
    names = os.listdir(wal) if os.path.isdir(wal) else []
    sizes = [os.path.getsize(os.path.join(wal, name)) for name in names if re.match(r"\A[0-9A-F]{24}\Z", name)]
    if not sizes:
        return ' in "pg_wal" of timeline %d from %s on' % (part.timeline, part.start_lsn)
    at = re.search(r"\b[0-9A-F]{1,8}/[0-9A-F]{1,8}\b", complaint)
    position = at.group() if at else part.start_lsn
    return ' in file "pg_wal/%s"' % catalog.name_of(part.timeline, catalog.number_of(position, sizes[0]))


def crc32c(data: bytes) -> str:
    """Return the CRC-32C of a few bytes as a manifest has it."""
    rest = 0xFFFFFFFF
    for byte in data:
        rest ^= byte
        for _bit in range(8):
            rest = rest >> 1 ^ (0x82F63B78 if rest & 1 else 0)
    return struct.pack("<I", rest ^ 0xFFFFFFFF).hex()


def unpack(host: Host, directory: str, target: str, locations: Optional[Mapping[str, str]] = None) -> None:
    """Unpack a backup in tar format into a directory that exists, as the plain format would be.

    Args:
        host: where.
        directory: of the backup.
        target: where to.
        locations: the directories of tablespaces by their oids; those that are not named are unpacked inside ``pg_tblspc``.

    Raises:
        StateError: the program that decompresses is missing.
        ToolError: a file is damaged.
    """
    archives = _archives(directory)
    _extract(host, directory, archives.pop("base"), target)
    if "pg_wal" in archives:
        _extract(host, directory, archives.pop("pg_wal"), os.path.join(target, "pg_wal"))
    for oid, archive in sorted(archives.items()):
        _extract(host, directory, archive, (locations or {}).get(oid) or os.path.join(target, "pg_tblspc", oid))
    host.write(os.path.join(target, MANIFEST), read_text(os.path.join(directory, MANIFEST)) or "")


def _unpack_rest(host: Host, directory: str, target: str, wal_method: str) -> None:
    archives = _archives(directory)
    _extract(host, directory, archives["base"], target, "--occurrence=1", _PASSED_OVER)
    if wal_method == "stream":
        _extract(host, directory, archives["pg_wal"], os.path.join(target, "pg_wal"))
    elif wal_method == "fetch":
        _extract(host, directory, archives["base"], target, "pg_wal")


def read_member(directory: str, name: str) -> str:
    """Return what a small file of a backup in tar format holds.

    Raises:
        StateError: it cannot be read here.
        ToolError: it is not there, or a file is damaged.
    """
    return tools.run(_tar(directory, _archives(directory)["base"]) + ["--to-stdout", "--occurrence=1", name])


def is_tar(directory: str) -> bool:
    """Return whether a directory holds a backup in tar format."""
    return os.path.exists(os.path.join(directory, MANIFEST)) and any(
        os.path.exists(os.path.join(directory, "base.tar" + suffix)) for suffix in ("",) + tuple(_DECOMPRESSORS))


def system_identifier(directory: str) -> str:
    """Return the system that a backup in tar format is of.

    Before PostgreSQL 17 the manifest does not tell. The first page of a WAL segment does (``XLogLongPageHeaderData``), and so
    does the beginning of the control file, which is the last file of an archive.

    Raises:
        StateError: it cannot be read here.
        ToolError: a file is damaged.
    """
    with open(os.path.join(directory, MANIFEST), "rb") as file:
        told = re.search(rb'"System-Identifier": (\d+)', file.read(4096))
    if told:
        return told.group(1).decode()
    archives = _archives(directory)
    if "pg_wal" in archives:
        return _number_at(24, directory, archives["pg_wal"], "--wildcards", "?" * 24)
    return _number_at(0, directory, archives["base"], "--occurrence=1", "global/pg_control")


def _number_at(offset: int, directory: str, archive: str, *members: str) -> str:
    """Return the 64-bit number at an offset of the first of some members of a tar file."""
    begin = b""
    with closing(tools.lines(_tar(directory, archive) + ["--to-stdout"] + list(members))) as lines:
        for line in lines:
            begin += line
            if len(begin) >= offset + 8:
                return str(struct.unpack_from("=Q", begin, offset)[0])
    raise _damaged(directory, 'file "%s" ends early' % archive)


def _archives(directory: str) -> Dict[str, str]:
    """Return the names of a backup's tar files by what they hold: ``base``, ``pg_wal``, or a tablespace by its oid.

    Raises:
        StateError: there is no ``base``.
    """
    found = {}
    for name in os.listdir(directory):
        stem, _sep, suffix = name.partition(".tar")
        if _sep and suffix in ("",) + tuple(_DECOMPRESSORS):
            found[stem] = name
    if "base" not in found:
        raise StateError("The base backup in %s was to be in the format tar and has no base.tar; use another backup." % directory)
    return found


def _extract(host: Host, directory: str, archive: str, target: str, *members: str) -> None:
    """Extract a tar file, or some members of it, as the server's account."""
    host.make_directory(target)
    try:
        tools.run(_tar(directory, archive) + ["--directory=%s" % target] + list(members), host.programs.user)
    except ToolError as error:
        full = [line for line in error.output.splitlines() if line.endswith(os.strerror(errno.ENOSPC))]
        if full:
            raise StateError("The file %s was to be unpacked into %s and that has no room for it: %s; make room there."
                             % (os.path.join(directory, archive), target, full[0])) from None
        raise _damaged(directory, '%s in file "%s"' % (error.complaint, archive)) from None


def _tar(directory: str, archive: str) -> List[str]:
    """Return the command that extracts a tar file.

    Raises:
        StateError: the program that decompresses it is missing.
    """
    path = os.path.join(directory, archive)
    argv = ["tar", "--extract", "--file=%s" % path]
    decompressor = _DECOMPRESSORS.get(os.path.splitext(archive)[1], "")
    if decompressor and shutil.which(decompressor) is None:
        raise StateError("The file %s was to be unpacked and this host has no program %s; install it." % (path, decompressor))
    return argv + ["--use-compress-program=%s" % decompressor] if decompressor else argv


def tablespaces(directory: str) -> Dict[str, str]:
    """Return the links to tablespaces in a plain backup or an instance by their targets; none where there is none."""
    links = os.path.join(directory, "pg_tblspc")
    names = os.listdir(links) if os.path.isdir(links) else []
    paths = [os.path.join(links, name) for name in names]
    return {os.readlink(path): path for path in paths if os.path.islink(path)}


def relink(directory: str, moved: Mapping[str, str]) -> None:
    """Let the tablespaces of a plain backup be where they will be once they, too, have their final names.

    Args:
        directory: of the backup.
        moved: their final directories by those that they were written to.
    """
    for target, link in tablespaces(directory).items():
        if target in moved:
            os.symlink(moved[target], link + ".new")
            os.rename(link + ".new", link)
    sync_directory(os.path.join(directory, "pg_tblspc"))
