# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose acknowledgement a commit waits for: ``synchronous_standby_names`` as a value. Pure.

The grammar is that of PostgreSQL's documentation, chapter 19.6.2, what follows from it that of chapter 26.2.8.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

#: The settings of synchronous_commit with which a commit that is acknowledged is on a standby.
WAITING = ("on", "remote_apply", "remote_write")

_TOKEN = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^\W\d][\w$]*|\d+|[*(),]))')


class Rule(NamedTuple):
    """How many of whom must have received a commit before it is acknowledged.

    Attributes:
        method: FIRST (those with the highest priority among the connected ones) or ANY.
        needed: how many.
        names: as ``application_name`` of a standby; ``*`` matches all.
    """

    method: str
    needed: int
    names: tuple[str, ...]

    def lists(self, name: str) -> bool:
        """Return whether a standby of that name may acknowledge; upper and lower case are the same."""
        return any(listed == "*" or listed.lower() == name.lower() for listed in self.names)

    def is_met_by(self, standbys: Iterable[str]) -> bool:
        """Return whether commits are acknowledged with just these standbys connected."""
        return sum(map(self.lists, standbys)) >= self.needed

    def proves(self, seen: Collection[str], primary: str) -> bool:
        """Return whether every acknowledged commit is on one standby at least of those that are seen.

        An acknowledged commit is on ``needed`` of the standbys that are listed, whatever the method. So one of these is seen as
        soon as fewer than that are not. Where ``*`` is listed, anything that receives WAL may have acknowledged.

        Args:
            seen: names of standbys.
            primary: the name of the primary, which is no standby of itself; ``""`` when it is not known.
        """
        known = {name.lower() for name in [*seen, primary]}
        return "*" not in self.names and len({name.lower() for name in self.names} - known) < self.needed


def parse(text: str) -> Rule | None:
    """Return the rule of a ``synchronous_standby_names`` that a server has accepted; None where no commit waits."""
    tokens = _TOKEN.findall(text)
    if not tokens:
        return None
    method, needed, plain = "FIRST", 1, [word for _quoted, word in tokens]
    if "(" in plain:
        *head, number = plain[:plain.index("(")]
        method, needed = (head[0].upper() if head else method), int(number)
        tokens = tokens[plain.index("(") + 1:]
    return Rule(method, needed, tuple(word or quoted.replace('""', '"') for quoted, word in tokens if word not in (",", ")")))
