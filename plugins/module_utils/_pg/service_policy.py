# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What packages may do to PostgreSQL's services while we install: nothing.

A package asks ``/usr/sbin/policy-rc.d`` before it starts or stops a service, through invoke-rc.d(8) or deb-systemd-invoke(1p);
exit code 101 forbids it (README.policy-rc.d of the package init-system-helpers). Ours answers so for PostgreSQL alone, and only
to packages that our own apt installs, which it knows by the environment. A policy of somebody else is kept beside it, is asked
about all the rest, and comes back. So one that a killed run has left does no harm until the next run takes it away.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import Iterator, List

from .durable import DRAFT, draft, sync_directory
from .instance import read_text

#: The environment of our apt, by which its packages are known.
ENVIRONMENT = {"PGMAHOUT_KEEPS_SERVICES": "yes"}

PATH = "/usr/sbin/policy-rc.d"
#: Where the policy of somebody else is while ours is in its place.
_KEPT = ".pgmahout-kept"
_MARKER = "# Made by pgmahout.cluster.pg_packages, which takes it away when packages are installed."
_TEXT = """#!/bin/sh
%s
case "${PGMAHOUT_KEEPS_SERVICES:-no} $1" in
"yes postgresql" | "yes postgresql.service" | "yes postgresql@"*) exit 101 ;;
esac
if [ -x "$0%s" ]; then exec "$0%s" "$@"; fi
exit 0
""" % (_MARKER, _KEPT, _KEPT)


def repair(path: str) -> str:
    """Return the command that takes away what a killed run has left, ``""`` when there is nothing."""
    if _is_ours(path):
        return "mv %s %s" % (path + _KEPT, path) if os.path.lexists(path + _KEPT) else "rm %s" % path
    return " ".join(["rm", *_remains(path)]) if _remains(path) else ""


def _is_ours(path: str) -> bool:
    return _MARKER in (read_text(path) or "")


def _remains(path: str) -> List[str]:
    return [name for name in (path + _KEPT, path + DRAFT) if os.path.lexists(name)]


def restore(path: str) -> None:
    """Bring back what there was before ours."""
    if _is_ours(path):
        if os.path.lexists(path + _KEPT):
            os.rename(path + _KEPT, path)
        else:
            os.unlink(path)
    for name in _remains(path):
        os.unlink(name)
    sync_directory(os.path.dirname(path))


@contextmanager
def kept(path: str) -> Iterator[None]:
    """Keep PostgreSQL's services as they are, whatever packages of our apt would do to them.

    The other policy gets its second name before ours takes the first, so that one of them is in force at any moment.
    """
    there = draft(path, _TEXT, 0o755)
    if os.path.lexists(path):
        os.link(path, path + _KEPT, follow_symlinks=False)
    os.rename(there, path)
    sync_directory(os.path.dirname(path))
    try:
        yield
    finally:
        restore(path)
