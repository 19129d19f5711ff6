# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What outlives a crash of the host: a file beside the one that it is to replace by a rename, and the entries of a directory."""

from __future__ import annotations

import os
from typing import Union

#: What stands behind the name of a file while it is written.
DRAFT = ".pgmahout"


def draft(path: str, content: Union[str, bytes], mode: int) -> str:
    """Write what a file is to hold beside it, on disk when this returns; return the path there."""
    there = path + DRAFT
    handle = os.open(there, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    return there


def sync_directory(path: str) -> None:
    """Bring the entries of a directory to disk, so that a rename in it outlives a crash of the host."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
