# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a dump as psql is to read it: wholly or not at all, and without making roles that are there.

The sources are the pages of psql, pg_dump and pg_dumpall. The transaction is in the text and not psql's --single-transaction,
which commits at the end of its input, also where that came too early.
"""

from __future__ import annotations

import re
from typing import Collection, Iterable, Iterator

from .sql import ident

_ROLE = re.compile(rb"\ACREATE ROLE (.+);\s*\Z")
_COPY = re.compile(rb"\ACOPY .* FROM stdin;\s*\Z")
_LARGE_OBJECTS = re.compile(rb"\A-- Data for Name: .*; Type: BLOBS; ")


def created_role(line: bytes) -> str:
    """Return the role that a line of pg_dumpall's makes, ``""`` where it makes none."""
    found = _ROLE.match(line)
    name = found.group(1).decode("utf-8", "replace") if found else ""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def connects(line: bytes) -> bool:
    """Return whether psql goes to another database at a line."""
    return line.startswith(b"\\connect ")


def of_database(lines: Iterable[bytes], role: str, single_transaction: bool) -> Iterator[bytes]:
    """Return the text that restores the dump of one database.

    Args:
        lines: of the dump.
        role: that all is done as; ``""`` for the one that logs in.
        single_transaction: whether it is to happen wholly or not at all.
    """
    if single_transaction:
        yield b"BEGIN;\n"
    if role:
        yield b"SET ROLE %s;\n" % ident(role).encode("utf-8")
    yield from (_without_transactions(lines) if single_transaction else lines)
    if single_transaction:
        yield b"\nCOMMIT;\n"


def _without_transactions(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out the transactions that pg_dump makes of large objects, the ends of which would be the end of ours."""
    is_data, is_section = False, False
    for line in lines:
        if is_data:
            is_data = line.rstrip() != b"\\."
        else:
            is_data = bool(_COPY.match(line))
            if is_section and line.rstrip() in (b"BEGIN;", b"COMMIT;"):
                is_section = line.rstrip() == b"BEGIN;"
                continue
            is_section = is_section or bool(_LARGE_OBJECTS.match(line))
        yield line


def of_cluster(lines: Iterable[bytes], roles: Collection[str]) -> Iterator[bytes]:
    """Return the text that restores what pg_dumpall wrote.

    It makes the superuser too, which every server has, and goes on to give each role its attributes, also one that is there.

    Args:
        lines: of the dump.
        roles: those that the server has.
    """
    are_globals = True
    for line in lines:
        are_globals = are_globals and not connects(line)
        if not (are_globals and created_role(line) in roles):
            yield line
