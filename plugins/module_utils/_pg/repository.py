# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a repository of backups: its entries, what was left unfinished, its archives of WAL.

The layout is told in docs/backups.md. What is being made or removed has a name of its own, so that a run which is killed leaves
nothing that could be taken for a backup, and the next run takes it away.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import List, NamedTuple, Sequence

from . import catalog
from .durable import sync_directory
from .errors import StateError
from .instance import REMOVED, UNFINISHED, Host, read_text

_ARCHIVE = re.compile(r"\Awal(-[A-Za-z0-9-]+)?\Z")


class Repository(NamedTuple):
    """A repository as it is.

    Attributes:
        directory: where it is.
        entries: of its backups.
        leftovers: the directories of runs that were killed.
        archives: the names of its archives of WAL.
    """

    directory: str
    entries: Sequence[catalog.Entry]
    leftovers: Sequence[str] = ()
    archives: Sequence[str] = ()

    def data(self, backup: str) -> str:
        """Return the directory of what pg_basebackup wrote."""
        return os.path.join(base(self.directory), backup, "data")


def base(directory: str) -> str:
    """Return the directory of a repository's backups."""
    return os.path.join(directory, "base")


def read(directory: str) -> Repository:
    """Return what a repository holds; one that is not there holds nothing.

    Raises:
        StateError: an entry cannot be read.
    """
    entries: List[catalog.Entry] = []
    leftovers: List[str] = []
    for name in _names(base(directory)):
        path = os.path.join(base(directory), name)
        if name.endswith((UNFINISHED, REMOVED)):
            leftovers.append(path)
        else:
            entries.append(_entry(os.path.join(path, "backup.json"), name))
    leftovers += [os.path.join(directory, name) for name in _names(directory) if name.endswith(REMOVED)]
    archives = [name for name in _names(directory) if _ARCHIVE.match(name)]
    return Repository(directory, entries, leftovers, archives)


def _entry(path: str, name: str) -> catalog.Entry:
    text = read_text(path)
    if text is None:
        raise StateError("The directory %s is among the backups and has no backup.json, so that it is none of ours; move it away."
                         % os.path.dirname(path))
    try:
        found = catalog.entry(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise StateError("The file %s cannot be understood (%s); put it right from catalog.json, or move the backup away."
                         % (path, error)) from None
    if found.id != name:
        raise StateError("The file %s is of the backup %s and lies in the directory of another; move it back." % (path, found.id))
    return found


def _names(directory: str) -> List[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    except PermissionError:
        raise StateError("The repository %s cannot be read by this account; run as root or as its owner." % directory) from None


def archive_files(directory: str, archive: str) -> List[str]:
    """Return the names of the files of an archive."""
    return _names(os.path.join(directory, archive))


def write_entry(host: Host, directory: str, entry: catalog.Entry) -> None:
    """Write what makes a directory a backup."""
    host.write(os.path.join(directory, "backup.json"), json.dumps(entry._asdict(), indent=2, sort_keys=True) + "\n")


def write_catalog(host: Host, directory: str, cluster: str) -> None:
    """Write the catalog anew, from the entries."""
    found = catalog.document(cluster, read(directory).entries)
    host.write(os.path.join(directory, "catalog.json"), json.dumps(found, indent=2) + "\n")


def remove(path: str) -> None:
    """Remove a directory, which loses its name first."""
    if not path.endswith((UNFINISHED, REMOVED)):
        if os.path.exists(path + REMOVED):
            shutil.rmtree(path + REMOVED)
        os.rename(path, path + REMOVED)
        sync_directory(os.path.dirname(path))
        path += REMOVED
    shutil.rmtree(path)


def size(directory: str) -> int:
    """Return how much the files below a directory take, in bytes."""
    return sum(os.lstat(os.path.join(place, name)).st_size for place, _names_, files in os.walk(directory) for name in files)
