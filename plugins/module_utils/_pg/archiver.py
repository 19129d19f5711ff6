# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a server's WAL goes: which archive it is, whether a file lies in it, and why one does not."""

from __future__ import annotations

import os
import re
from typing import List

from .instance import read_text

#: The file in a data directory, and so in each backup of it, that names the archive of the repository which its server writes to;
#: and the name without such a file. A new system and what goes on from a restore have archives of their own, so that no two
#: histories of one cluster's name ever mix.
LINEAGE = "pgmahout.archive"
FIRST = "wal"

#: How a file of an archive may be compressed, which shows in its name.
SUFFIXES = ("", ".gz", ".zst", ".lz4")

_LOG_TAIL = 65536


def archive_of(data_directory: str) -> str:
    """Return the name of the archive that a server writes to."""
    return (read_text(os.path.join(data_directory, LINEAGE)) or FIRST).strip()


def name_of(history: str) -> str:
    """Return the name of the archive of a history: of a new system by its identifier, of a restore by its time."""
    return "%s-%s" % (FIRST, history)


def place(directory: str, name: str) -> str:
    """Return the name under which a file lies in an archive, ``""`` when it does not."""
    if not (directory and name):
        return ""
    return next((name + suffix for suffix in SUFFIXES if os.path.exists(os.path.join(directory, name + suffix))), "")


def last_words(log_file: str) -> str:
    """Return what the archiver's command said last in a server's log, else what the server said of it, else where to look."""
    if not log_file:
        return "look at the server's log."
    try:
        with open(log_file, "rb") as file:
            file.seek(max(0, os.path.getsize(log_file) - _LOG_TAIL))
            lines: List[str] = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return "look at the server's log %s." % log_file
    for pattern in (r"\barchive-wal: (.*)", r"\b(?:LOG|WARNING|FATAL):\s+(.*archiv.*)"):
        found = [match.group(1) for match in (re.search(pattern, line) for line in lines) if match]
        if found:
            return found[-1]
    return "look at the server's log %s." % log_file
