# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the WAL of a server that does not run ends: what a standby that has less would lose when it is promoted."""

from __future__ import annotations

import os
import re
from typing import List, Optional

from . import catalog
from .instance import Instance
from .tools import Programs

#: What a primary's control file says when nobody serves it: it ended in order, at work, or while it recovered from a crash.
_OF_PRIMARIES = ("shut down", "shutting down", "in production", "in crash recovery")

_SEGMENT = re.compile(r"\A[0-9A-F]{24}\Z")
_BETWEEN = re.compile(r"\AWAL statistics between \S+ and ([0-9A-F]+/[0-9A-F]+):")


def read(programs: Programs, instance: Instance) -> Optional[str]:
    """Return the position behind the last record on disk.

    It is found by reading on from the latest checkpoint, at most what the server itself would read when it starts.

    Args:
        programs: of the instance's version.
        instance: what was found of it.

    Returns:
        None when a server runs, when it was a standby, when the file that has the checkpoint is of another timeline (right after
        a promotion) or gone, and before PostgreSQL 15, whose ``pg_waldump`` does not tell.
    """
    control = instance.control
    if control is None or instance.process or control.state not in _OF_PRIMARIES or control.timeline != instance.newest_timeline:
        return None
    directory = os.path.join(instance.data_directory, "pg_wal")
    files = _files(directory, control.timeline, control.checkpoint_lsn)
    if not files:
        return None
    # It ends with an error where the records do.
    printed = programs.run("pg_waldump", "--stats", "--path=%s" % directory, "--start=%s" % control.checkpoint_lsn,
                           files[0], files[-1], accept=(0, 1))
    found = _BETWEEN.match(printed)
    return found.group(1) if found else None


def _files(directory: str, timeline: int, start: str) -> List[str]:
    """Return the segments of a timeline from an LSN on; none where the first of them is gone.

    They are named to pg_waldump, since it else asks any file how large segments are, also one that the server has made in advance
    and not written to.
    """
    names = [name for name in os.listdir(directory) if _SEGMENT.match(name) and int(name[:8], 16) == timeline]
    if not names:
        return []
    first = catalog.name_of(timeline, catalog.number_of(start, os.path.getsize(os.path.join(directory, names[0]))))
    return sorted(name for name in names if name >= first) if first in names else []
