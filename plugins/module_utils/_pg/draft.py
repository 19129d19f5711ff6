# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of a database that is not complete yet."""

from __future__ import annotations

import hashlib

SUFFIX = ".pgmahout"


def draft_name(name: str) -> str:
    """Return the name that a database has until it is complete: always the same, at most 63 bytes."""
    if len(name.encode("utf-8")) + len(SUFFIX) <= 63:
        return name + SUFFIX
    digest = hashlib.sha256(name.encode("utf-8")).hexdigest()[:16]
    return name.encode("utf-8")[:36].decode("utf-8", "ignore") + "." + digest + SUFFIX
