# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The replication slots of a server that does not run, each of which is a directory (chapter 66.1)."""

from __future__ import annotations

import os
import shutil
from typing import Iterable, List

from .durable import sync_directory


def directory(data_directory: str) -> str:
    """Return where the slots of an instance are."""
    return os.path.join(data_directory, "pg_replslot")


def names(data_directory: str) -> List[str]:
    """Return the names of the slots that an instance has."""
    return sorted(os.listdir(directory(data_directory)))


def remove(data_directory: str, unwanted: Iterable[str]) -> None:
    """Remove slots of an instance whose server does not run; what is not there is no error.

    Args:
        data_directory: of the instance.
        unwanted: the names of the slots.
    """
    there = set(names(data_directory))
    for name in there.intersection(unwanted):
        shutil.rmtree(os.path.join(directory(data_directory), name))
    sync_directory(directory(data_directory))
