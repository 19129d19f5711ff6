# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of PostgreSQL, and the options that came with each."""

from __future__ import annotations

import re

from .errors import InputError, ToolError

OLDEST = 13
NEWEST = 18


def major(version_num: int) -> int:
    """Return the major version of a ``server_version_num`` such as 180006."""
    return version_num // 10000


def parse(text: str) -> int:
    """Return the ``server_version_num`` in the output of ``postgres --version``.

    Raises:
        ToolError: the text names no version.
    """
    found = re.search(r"(\d+)(?:\.(\d+)|devel|beta\d*|rc\d*)", text)
    if found is None:
        raise ToolError("The output %r names no version of PostgreSQL; check bindir." % text.strip())
    return int(found.group(1)) * 10000 + int(found.group(2) or 0)


def require(option: str, since: int, version_num: int) -> None:
    """Refuse an option that the server does not have yet.

    Args:
        option: the option's name, as the user typed it.
        since: the major version that brought it.
        version_num: the ``server_version_num`` of the server at hand.

    Raises:
        InputError: the server is older than ``since``.
    """
    if major(version_num) < since:
        raise InputError("The option %s needs PostgreSQL %d or newer and this server is version %d; leave it out."
                         % (option, since, major(version_num)))
