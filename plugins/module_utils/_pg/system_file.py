# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of the operating system, which root owns and everybody may read."""

from __future__ import annotations

import os
from typing import Optional

from .durable import draft, sync_directory
from .errors import StateError


def put(path: str, text: Optional[str], mode: int = 0o644) -> None:
    """Write a file, whole or not at all, or remove it when ``text`` is None; on disk when this returns.

    Raises:
        StateError: the file system refused.
    """
    try:
        if text is None:
            os.unlink(path)
        else:
            make_directory(os.path.dirname(path))
            os.rename(draft(path, text, mode), path)
        sync_directory(os.path.dirname(path))
    except OSError as error:
        raise StateError("The file %s was to be changed and that failed: %s; look at its file system."
                         % (path, error.strerror)) from None


def make_directory(path: str) -> None:
    """Make a directory, and those above it, that everybody may read whatever our umask is; one that exists is left as it is."""
    if os.path.isdir(path):
        return
    make_directory(os.path.dirname(path))
    os.mkdir(path)
    os.chmod(path, 0o755)  # noqa: S103 - apt reads its keys as an account of its own
