# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role may do without being a superuser, once it may execute some of the server's own functions.

The sources are PostgreSQL's documentation, chapter 9.28.4 (recovery control functions), and the page of ``pg_rewind``.
"""

from __future__ import annotations

from typing import Collection, Dict, FrozenSet, List, Sequence, Tuple

#: The functions of each right, as ``regprocedure`` writes them where the search path is empty.
FUNCTIONS: Dict[str, Tuple[str, ...]] = {
    "promote": ("pg_promote(boolean,integer)",),
    "rewind": ("pg_ls_dir(text,boolean,boolean)", "pg_stat_file(text,boolean)", "pg_read_binary_file(text)",
               "pg_read_binary_file(text,bigint,bigint,boolean)"),
}

ALL: Tuple[str, ...] = tuple(function for functions in FUNCTIONS.values() for function in functions)


def functions_of(rights: Collection[str]) -> FrozenSet[str]:
    """Return the functions that some rights need."""
    return frozenset(function for right in rights for function in FUNCTIONS[right])


def shown(functions: Collection[str]) -> List[str]:
    """Return the rights that a role has which may execute some functions; one that lacks a function says so."""
    found = []
    for right, needed in sorted(FUNCTIONS.items()):
        held = set(needed).intersection(functions)
        if held:
            found.append(right if len(held) == len(needed) else "%s, in part" % right)
    return found


def qualified(functions: Collection[str]) -> Sequence[str]:
    """Return functions as SQL names them, in a stable order."""
    return ["pg_catalog.%s" % function for function in ALL if function in functions]
