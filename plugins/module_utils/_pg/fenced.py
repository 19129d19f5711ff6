# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which members of a cluster a failover has fenced, as the members' data directories remember it."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Mapping

from . import lsn
from .errors import InputError, StateError
from .instance import read_text

#: The file in a data directory. Clones and backups carry it along, which does no harm: a mark ends with its timeline.
FILE = "pgmahout.fenced"


def path(data_directory: str) -> str:
    """Return where the marks of a data directory are."""
    return os.path.join(data_directory, FILE)


def marks_of(data_directory: str) -> Dict[str, Dict[str, Any]]:
    """Return the members that a data directory says are fenced.

    Returns:
        By the name of the member, ``timeline`` and ``lsn``: from there on, its WAL is not that of the cluster.

    Raises:
        StateError: the file holds something else.
    """
    text = read_text(path(data_directory))
    try:
        return {} if text is None else {str(name): mark(value) for name, value in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError, KeyError, InputError):
        raise StateError("The file %s does not say which members are fenced; remove it when none is."
                         % path(data_directory)) from None


def mark(given: Mapping[str, Any]) -> Dict[str, Any]:
    """Return one mark, with its values of their types.

    Raises:
        InputError: ``lsn`` is none.
    """
    return {"timeline": int(given["timeline"]), "lsn": lsn.show(lsn.parse(given["lsn"]))}


def text(marks: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the text of the file."""
    return json.dumps(marks, indent=2, sort_keys=True) + "\n"
