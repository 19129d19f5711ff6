# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A data directory that nobody can start while it is rewound, and in which the files that are not the server's stay as they are.

``pg_rewind`` takes away what the source does not have, and overwrites what both have, such as the configuration, a passfile, and
``standby.signal``. A server that somebody starts between its end and our putting these back would be a second primary. So they
are put aside, into a directory beside, and the data directory gets permissions with which PostgreSQL refuses to start (others
may have none, chapter 18.2). Both outlive a kill, and the next run finds them.

It also empties the WAL from which it learns what to rewind, before it has done so. A copy is kept, with which it can begin again.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from typing import Iterable, List

from . import catalog
from .durable import sync_directory
from .errors import StateError
from .instance import REWINDING, Host, read_text

#: What is the server's in a data directory (chapter 66.1), and what of ours tells of the cluster, where the source is right.
_OF_SERVER = re.compile(
    r"\A(?:PG_VERSION|base|global|current_logfiles|postmaster\.(?:pid|opts)|promote"
    r"|pg_(?:commit_ts|dynshmem|logical|multixact|notify|replslot|serial|snapshots|stat|stat_tmp|subtrans|tblspc|twophase|wal|xact)"
    r"|(?:backup_label|tablespace_map)(?:\.old)?|backup_manifest|(?:standby|recovery)\.signal|pgmahout\..+)\Z")

#: With it PostgreSQL refuses to start. It gives others nothing: what is in the directory has permissions of its own.
_NOBODY_STARTS = stat.S_IXOTH


def directory(data_directory: str) -> str:
    """Return where the files of a data directory are put aside."""
    return data_directory + REWINDING


def _files(data_directory: str) -> str:
    return os.path.join(directory(data_directory), "files")


def _wal(data_directory: str) -> str:
    """Return the directory of the WAL that is kept; it has that name when it is whole, and until the rewind is done."""
    return os.path.join(directory(data_directory), "pg_wal")


def is_held(data_directory: str) -> bool:
    """Return whether a rewind of a data directory was prepared and has not ended."""
    return os.path.isdir(directory(data_directory))


def has_begun(data_directory: str) -> bool:
    """Return whether ``pg_rewind`` may have changed a data directory since it is held."""
    return os.path.isdir(_wal(data_directory))


def wal(data_directory: str) -> str:
    """Return the directory that holds the WAL of an instance as it was before ``pg_rewind`` began."""
    return _wal(data_directory) if has_begun(data_directory) else os.path.join(data_directory, "pg_wal")


def path(data_directory: str, name: str) -> str:
    """Return where a file of a data directory is that is not the server's: aside, or in its place."""
    aside = os.path.join(_files(data_directory), name)
    return aside if os.path.lexists(aside) else os.path.join(data_directory, name)


def history(data_directory: str, timeline: int) -> str:
    """Return the text of an instance's own history of a timeline, as it was before the rewind; ``""`` for the first one."""
    name = "%08X.history" % timeline
    kept = read_text(os.path.join(wal(data_directory), name))
    return (read_text(os.path.join(data_directory, "pg_wal", name)) or "") if kept is None else kept


def refuse_mount_point(data_directory: str) -> None:
    """Refuse a data directory whose files cannot be put aside by renaming them.

    Raises:
        StateError: it is a file system of its own.
    """
    if os.stat(data_directory).st_dev != os.stat(os.path.dirname(data_directory)).st_dev:
        raise StateError("The data directory %s was to be rewound and is the mount point of a file system, beside which nothing "
                         "can be put aside; mount that one level above." % data_directory)


def hold(host: Host, data_directory: str) -> None:
    """Keep everybody from starting a data directory, and put aside what is not the server's; again after a kill.

    Where ``pg_rewind`` has begun, what it did not find there any more it may have brought from the source.
    """
    os.chmod(data_directory, stat.S_IMODE(os.stat(data_directory).st_mode) | _NOBODY_STARTS)
    if has_begun(data_directory):
        return
    host.make_directory(_files(data_directory))
    for name in _foreign(data_directory):
        os.rename(os.path.join(data_directory, name), os.path.join(_files(data_directory), name))
    sync_directory(data_directory)


def keep_wal(host: Host, data_directory: str, names: Iterable[str]) -> None:
    """Keep copies of files of WAL; from now on ``pg_rewind`` may begin."""
    draft = _wal(data_directory) + ".draft"
    shutil.rmtree(draft, ignore_errors=True)
    host.make_directory(draft)
    for name in names:
        _copy(host, os.path.join(data_directory, "pg_wal", name), os.path.join(draft, name))
    os.rename(draft, _wal(data_directory))
    sync_directory(directory(data_directory))


def put_wal_back(host: Host, data_directory: str) -> None:
    """Put the WAL that was kept where ``pg_rewind`` reads it, for another time."""
    for name in os.listdir(_wal(data_directory)):
        _copy(host, os.path.join(_wal(data_directory), name), os.path.join(data_directory, "pg_wal", name))


def put_back_shared(host: Host, data_directory: str, number: int) -> None:
    """Put back the kept WAL in front of a segment which ``pg_rewind`` has taken away, since the source had recycled it.

    Args:
        host: where the data directory is.
        data_directory: of the instance.
        number: of the segment in which it parts from the source.
    """
    for name in os.listdir(_wal(data_directory)):
        segment, target = catalog.segment(name), os.path.join(data_directory, "pg_wal", name)
        if segment is not None and segment.number < number and not os.path.exists(target):
            _copy(host, os.path.join(_wal(data_directory), name), target)
    sync_directory(os.path.join(data_directory, "pg_wal"))


def release(host: Host, data_directory: str) -> None:
    """Put back what was put aside, in place of what came from the source, and let the data directory be started, as a standby.

    Killed at any moment, it leaves what ``hold`` and this do again.
    """
    if has_begun(data_directory):
        for name in _foreign(data_directory):
            _remove(os.path.join(data_directory, name))
        sync_directory(data_directory)
        # From here on whatever is not the server's is ours again.
        os.rename(_wal(data_directory), _wal(data_directory) + ".draft")
    for name in os.listdir(_files(data_directory)):
        os.rename(os.path.join(_files(data_directory), name), os.path.join(data_directory, name))
    host.write(os.path.join(data_directory, "standby.signal"), "")
    os.chmod(data_directory, stat.S_IMODE(os.stat(data_directory).st_mode) & ~_NOBODY_STARTS)
    shutil.rmtree(directory(data_directory))
    sync_directory(os.path.dirname(data_directory))


def _foreign(data_directory: str) -> List[str]:
    return [name for name in sorted(os.listdir(data_directory)) if not _OF_SERVER.match(name)]


def _remove(place: str) -> None:
    if os.path.isdir(place) and not os.path.islink(place):
        shutil.rmtree(place)
    else:
        os.unlink(place)


def _copy(host: Host, source: str, target: str) -> None:
    """Copy a file for the server's account, to disk."""
    with open(source, "rb") as given, open(target, "wb") as copy:
        shutil.copyfileobj(given, copy, 1 << 20)
        copy.flush()
        os.fsync(copy.fileno())
    os.chmod(target, stat.S_IMODE(os.stat(source).st_mode))
    if not host.account.is_us:
        os.chown(target, host.account.uid, host.account.gid)
