# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the WAL of a repository says: the histories of timelines, and where a restore point stands."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from typing import Dict, Iterator, List, Sequence

from . import catalog, tools
from .instance import Host, read_text

_HISTORY = re.compile(r"\A([0-9A-F]{8})\.history(?:\.gz|\.zst|\.lz4)?\Z")
_RESTORE_POINT = re.compile(r"lsn: ([0-9A-F]+/[0-9A-F]+),.* desc: RESTORE_POINT (.*)\Z")


class Reader:
    """Reads files of a repository's archives by the program that recovery uses, whatever they are compressed with."""

    def __init__(self, host: Host, directory: str) -> None:
        self._host = host
        self._directory = directory

    def histories(self, archive: str, names: Sequence[str]) -> catalog.Histories:
        """Return the histories of an archive's timelines.

        Args:
            archive: its name.
            names: of its files.

        Raises:
            ToolError: one cannot be read.
        """
        found: Dict[int, List[catalog.Switch]] = {}
        for name in names:
            match = _HISTORY.match(name)
            if match:
                with self._fetched(archive, match.group(1) + ".history") as path:
                    found[int(match.group(1), 16)] = catalog.history(read_text(path) or "")
        return found

    def restore_points(self, first: catalog.Entry, names: Sequence[str], name: str) -> List[str]:
        """Return the LSNs of all restore points of a name from the end of a backup on, whatever their timeline.

        Args:
            first: the backup.
            names: the files of its archive.
            name: of the restore points.

        Raises:
            ToolError: a segment cannot be read.
        """
        begin = catalog.number_of(first.stop_lsn, first.wal_segment_size)
        found = []
        for segment in filter(None, map(catalog.segment, sorted(names))):
            if segment.number >= begin:
                with self._fetched(first.archive, catalog.name_of(segment.timeline, segment.number)) as path:
                    found += self._restore_points(path, name)
        return sorted(set(found))

    def _restore_points(self, path: str, name: str) -> List[str]:
        # It ends with an error where the records do, in the middle of the last segment.
        printed = self._host.programs.run("pg_waldump", "--rmgr=XLOG", path, accept=(0, 1))
        matches = filter(None, map(_RESTORE_POINT.search, printed.splitlines()))
        return [match.group(1) for match in matches if match.group(2) == name]

    @contextmanager
    def _fetched(self, archive: str, name: str) -> Iterator[str]:
        """Give the path of a copy of an archive's file, removed at the end."""
        directory = tempfile.mkdtemp(prefix="pgmahout-")
        try:
            if not self._host.account.is_us:
                os.chown(directory, self._host.account.uid, self._host.account.gid)
            path = os.path.join(directory, name)
            program = os.path.join(self._directory, "bin", "restore-wal")
            tools.run([program, os.path.join(self._directory, archive), name, path], self._host.programs.user)
            yield path
        finally:
            shutil.rmtree(directory)
