# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log sequence numbers: positions in the write-ahead log (PostgreSQL's documentation, chapter 8.20)."""

from __future__ import annotations

import re

from .errors import InputError

_FORM = re.compile(r"\A([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})\Z")


def parse(text: str) -> int:
    """Return an LSN such as ``16/B374D848`` as a number of bytes.

    Raises:
        InputError: the text is not of that form.
    """
    found = _FORM.match(text)
    if found is None:
        raise InputError("The LSN %r is not two hexadecimal numbers with a slash between, such as 16/B374D848." % text)
    return (int(found.group(1), 16) << 32) + int(found.group(2), 16)


def show(position: int) -> str:
    """Return a position as PostgreSQL writes it."""
    return "%X/%X" % (position >> 32, position & 0xFFFFFFFF)
