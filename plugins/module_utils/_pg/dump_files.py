# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logical backups as files: what kind one is, whether it is whole, what is in it; and the host that works with them.

The sources are PostgreSQL's documentation, chapter 25.1 (SQL dump) and the pages of pg_dump, pg_dumpall and pg_restore. Beside
what pg_restore can read, a dump is text for psql, compressed or not, which ends with a line that says that it is complete.
"""

from __future__ import annotations

import gzip
import os
import pwd
import re
import shutil
import zlib
from contextlib import contextmanager
from typing import Any, Iterator, List, Mapping, NamedTuple, Tuple

from . import dump_text, tools, version
from .durable import sync_directory
from .errors import StateError, ToolError
from .instance import REMOVED, UNFINISHED, Host
from .programs import locate
from .tools import Account

#: The extension of each format, and of each compression of text.
EXTENSIONS = {"custom": "dump", "directory": "dir", "tar": "tar", "plain": "sql"}
COMPRESSIONS = {"gzip": ".gz", "zstd": ".zst", "lz4": ".lz4"}

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}
_COMPLETE = re.compile(rb"\A-- PostgreSQL database (cluster )?dump complete\s*\Z")
_NOTHING = re.compile(rb"\A(--.*|\\unrestrict .*|)\s*\Z")
_DUMPED_BY = re.compile(rb"\A-- Dumped by pg_dump version (\d+)")
#: The beginning of a command that failed, as far as it tells the object: what follows may hold rows or secrets.
_COMMAND = re.compile(r"\ACommand was: ([A-Z][A-Z ]* (?:\"(?:[^\"]|\"\")*\"|\w+)(?:\.(?:\"(?:[^\"]|\"\")*\"|\w+))?)")


class Kind(NamedTuple):
    """What a path holds.

    Attributes:
        format: ``missing``, ``foreign`` (no dump), or that of the dump, ``custom``, ``directory``, ``tar`` or ``plain``.
        compression: of text: ``""``, ``gzip``, ``zstd`` or ``lz4``.
    """

    format: str
    compression: str = ""

    @property
    def is_dump(self) -> bool:
        """Whether it is a dump."""
        return self.format not in ("missing", "foreign")


class Text(NamedTuple):
    """What the text of a dump says.

    Attributes:
        scope: ``database``, ``globals`` or ``cluster``.
        made_by: the major version of the program that wrote it, 0 where it does not say.
        roles: those that it makes.
    """

    scope: str
    made_by: int
    roles: Tuple[str, ...]


class Client(Host):
    """A host with client programs, which any account may run, root too."""

    @property
    def account(self) -> Account:
        """The account that the programs run as and files belong to."""
        if self.programs.user:
            return super().account
        ours = pwd.getpwuid(os.geteuid())
        return Account(ours.pw_name, ours.pw_uid, ours.pw_gid, ours.pw_dir)

    def version_of(self, program: str) -> int:
        """Return the major version of a program."""
        return version.major(version.parse(self.programs.run(program, "--version")))


@contextmanager
def client(params: Mapping[str, Any], path: str, *needed: str) -> Iterator[Client]:
    """Give the host, from a module's options (see ``programs.SPEC``).

    Args:
        params: the options.
        path: what no two runs may work on at once.
        needed: the programs.

    Raises:
        StateError: one of the programs is missing, and no earlier task would have installed it.
    """
    host = Client(locate(params), params["user"], path, params["timeout"])
    if not (params["programs_planned"] and params["check_mode"]):
        for program in needed:
            host.programs.path(program)
    yield host


def identify(path: str) -> Kind:
    """Return what a path holds, from its first bytes.

    Raises:
        StateError: this account cannot read it.
    """
    is_directory = os.path.isdir(path)
    try:
        with open(os.path.join(path, "toc.dat") if is_directory else path, "rb") as file:
            head = file.read(4096)
    except FileNotFoundError:
        return Kind("foreign" if is_directory else "missing")
    except OSError as error:
        raise StateError("The dump %s cannot be read: %s; run as root or as its owner." % (path, error.strerror)) from None
    if is_directory:
        return Kind("directory" if head.startswith(b"PGDMP") else "foreign")
    for magic, compression in _MAGIC.items():
        if head.startswith(magic):
            return Kind("plain", compression)
    if head.startswith(b"PGDMP"):
        return Kind("custom")
    if head.startswith(b"toc.dat\0"):
        return Kind("tar")
    return Kind("plain" if b"-- PostgreSQL database " in head else "foreign")


def text_lines(path: str, compression: str) -> Iterator[bytes]:
    """Give the lines of a dump that is text.

    Raises:
        StateError: it is damaged, or what could decompress it is missing.
    """
    try:
        if compression in ("", "gzip"):
            with (gzip.open(path, "rb") if compression else open(path, "rb")) as file:
                yield from file
        else:
            yield from tools.lines([decompressor(compression), "-dc", path])
    except (EOFError, OSError, zlib.error, ToolError) as error:
        said = error.output.strip() if isinstance(error, ToolError) else error
        raise StateError("The dump %s is damaged: %s; take another." % (path, " ".join(str(said).split()).rstrip("."))) from None


def decompressor(compression: str) -> str:
    """Return the path of the program that decompresses text.

    Raises:
        StateError: this host has none.
    """
    found = shutil.which(compression)
    if found is None:
        raise StateError("A dump as text with the compression %s was asked for and this host has no program %s to read it "
                         "with; install it, or choose gzip or the format custom." % (compression, compression))
    return found


def read_text_dump(path: str, compression: str) -> Text:
    """Read a dump that is text to its end, and return what it says.

    Raises:
        StateError: it is damaged or its end is missing.
    """
    ending, connects, made_by = b"", False, 0
    roles: List[str] = []
    for line in text_lines(path, compression):
        ending = line if _COMPLETE.match(line) else ending if _NOTHING.match(line) else b""
        connects = connects or dump_text.connects(line)
        dumped, role = _DUMPED_BY.match(line), dump_text.created_role(line)
        if dumped:
            made_by = max(made_by, int(dumped.group(1)))
        if role and not connects:
            roles.append(role)
    if not ending:
        raise StateError("The dump %s does not end as a dump does; it was cut off, take another." % path)
    if b"cluster" in ending:
        return Text("cluster" if connects else "globals", made_by, tuple(roles))
    if connects:
        raise StateError("The dump %s was made with --create and would go to a database of its own; take one without." % path)
    return Text("database", made_by, tuple(roles))


def check(host: Host, path: str, kind: Kind, thorough: bool) -> None:
    """Refuse a dump that cannot be read back.

    Args:
        host: with pg_restore.
        path: of the dump.
        kind: what it is.
        thorough: read every row of it back, and not just its table of contents; text is always read to its end.

    Raises:
        StateError: it is damaged or incomplete.
        ToolError: it is damaged, as pg_restore says.
    """
    if kind.format == "plain":
        read_text_dump(path, kind.compression)
    elif thorough:
        host.programs.run("pg_restore", "--file=/dev/null", path)
    else:
        host.programs.run("pg_restore", "--list", path)


def reason(output: str) -> str:
    """Return why one of the programs failed: its first error, what the server said to it, and the object that it was at."""
    lines = [" ".join(line.split()) for line in output.splitlines() if line.strip()]
    at = next((index for index, line in enumerate(lines) if re.search(r"(error|ERROR|FATAL|PANIC):", line)), None)
    if at is None:
        return (lines or ["it said nothing"])[-1].rstrip(".")
    parts = [re.sub(r"\A(\S+: (error: )?)", "", lines[at]).rstrip(".")]
    for line in lines[at + 1:at + 2]:
        parts += [line.partition("Error message from server: ")[2].rstrip(".")] if "Error message from server: " in line else []
        command = _COMMAND.match(line)
        parts += ["at %s" % command.group(1)] if command else []
    return ", ".join(parts)


def sync(path: str) -> None:
    """Bring a dump to disk, all of its files."""
    names = [os.path.join(path, name) for name in os.listdir(path)] if os.path.isdir(path) else []
    for name in names + [path]:
        sync_directory(name)


def size(path: str) -> int:
    """Return how much a dump takes, in bytes."""
    if not os.path.isdir(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(path, name)) for name in os.listdir(path))


def remove(path: str) -> None:
    """Remove a dump, or what is left of one; a directory loses its name first, so that half of one is never taken for a dump."""
    if not os.path.isdir(path) or os.path.islink(path):
        if os.path.lexists(path):
            os.unlink(path)
        return
    if not path.endswith((UNFINISHED, REMOVED)):
        os.rename(path, path + REMOVED)
        sync_directory(os.path.dirname(path))
        path += REMOVED
    shutil.rmtree(path)
