# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of contents of a dump, and the part of it that makes up some tables or schemas.

The source is the page of pg_restore. Its own --table brings a table without indexes, constraints, defaults, triggers and
privileges, without its partitions, and without the schema it is in; and what it does not find it silently leaves out.
"""

from __future__ import annotations

import re
from typing import Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Sequence, Set, Tuple

_ENTRY = re.compile(r"\A(\d+); \d+ \d+ (.*)\Z")
_DEPENDS = re.compile(r"\A;\tdepends on:((?: \d+)+)\Z")
_MADE_BY = re.compile(r"\A;\s+Dumped by pg_dump version: (\d+)")

#: What is named with the table that it is part of, of which it depends on others too.
_OF_TABLE = ("FK CONSTRAINT ", "CONSTRAINT ", "CHECK CONSTRAINT ", "DEFAULT ", "TRIGGER ", "RULE ", "POLICY ", "ROW SECURITY ")
#: What belongs to all that it depends on, and is left out with any of it.
_OF_ALL = ("TABLE ATTACH ", "INDEX ATTACH ", "SEQUENCE OWNED BY ")
#: What belongs to the one thing that it depends on.
_OF_ONE = ("TABLE DATA ", "INDEX ", "COMMENT ", "ACL ", "SECURITY LABEL ", "STATISTICS ", "SEQUENCE ", "MATERIALIZED VIEW DATA ")


class Entry(NamedTuple):
    """One entry.

    Attributes:
        text: its kind, schema, name and owner, as ``pg_restore --list`` shows them: with blanks between and inside.
        depends_on: the numbers of others.
    """

    number: int
    text: str
    depends_on: FrozenSet[int]


class Contents(NamedTuple):
    """What an archive holds, in its order.

    Attributes:
        made_by: the major version of the pg_dump that wrote it; 0 where it does not say.
    """

    entries: Sequence[Entry]
    made_by: int = 0

    @property
    def numbers(self) -> FrozenSet[int]:
        """The numbers of all entries."""
        return frozenset(entry.number for entry in self.entries)


def parse(listing: str) -> Contents:
    """Return what ``pg_restore --list``, with or without ``--verbose``, says of an archive."""
    entries: List[Entry] = []
    made_by = 0
    for line in listing.splitlines():
        entry, depends, made = _ENTRY.match(line), _DEPENDS.match(line), _MADE_BY.match(line)
        if entry:
            entries.append(Entry(int(entry.group(1)), entry.group(2), frozenset()))
        elif depends and entries:
            entries[-1] = entries[-1]._replace(depends_on=frozenset(map(int, depends.group(1).split())))
        elif made:
            made_by = int(made.group(1))
    return Contents(entries, made_by)


def of_table(contents: Contents, named: FrozenSet[int], relation: Tuple[str, str]) -> Set[int]:
    """Return the numbers of what makes up a table, its partitions with it.

    Args:
        contents: of the archive.
        named: the entries that pg_restore finds by the table's name, the definition and the rows.
        relation: schema and name of the table.
    """
    by_number = {entry.number: entry for entry in contents.entries}
    roots = dict.fromkeys(named, "%s %s " % relation)
    _add_partitions(contents, by_number, roots)
    chosen = set(named) | set(roots)
    grown = -1
    while grown != len(chosen):
        grown = len(chosen)
        chosen |= {entry.number for entry in contents.entries if _belongs(entry, chosen, roots)}
    return chosen


def _add_partitions(contents: Contents, by_number: Mapping[int, Entry], roots: Dict[int, str]) -> None:
    """Add the partitions of some tables; an entry that attaches one is named as the partition is."""
    for entry in contents.entries:
        if not entry.text.startswith("TABLE ATTACH ") or not entry.depends_on & set(roots):
            continue
        name = entry.text[len("TABLE ATTACH "):]
        for number in entry.depends_on & set(by_number):
            if by_number[number].text == "TABLE " + name:
                # Its own parts are named without its owner, the last word of the line.
                roots.setdefault(number, name.rpartition(" ")[0] + " ")


def _belongs(entry: Entry, chosen: Set[int], roots: Mapping[int, str]) -> bool:
    if not entry.depends_on & chosen:
        return False
    for kind in _OF_TABLE:
        if entry.text.startswith(kind):
            rest = entry.text[len(kind):]
            return any(rest.startswith(root) for root in roots.values())
    if entry.text.startswith(_OF_ALL):
        return entry.depends_on <= chosen
    return entry.text.startswith(_OF_ONE)


def of_schema(contents: Contents, schema: str) -> Set[int]:
    """Return the numbers of what makes up a schema itself, none where the archive does not make it."""
    heads = [entry for entry in contents.entries if entry.text.startswith("SCHEMA - %s " % schema)]
    if not heads:
        return set()
    # A name may begin like another and go on with a blank.
    head = min(heads, key=lambda entry: len(entry.text))
    return {head.number} | {entry.number for entry in contents.entries
                            if entry.depends_on == {head.number} and entry.text.startswith(_OF_ONE)}


def in_schema(contents: Contents, named: FrozenSet[int]) -> Set[int]:
    """Return the numbers of what is in a schema, without its part in publications, which are in none.

    Args:
        contents: of the archive.
        named: the entries that pg_restore finds by the schema's name.
    """
    return {entry.number for entry in contents.entries
            if entry.number in named and not entry.text.startswith("PUBLICATION ")}


def listing(contents: Contents, chosen: Iterable[int]) -> str:
    """Return some entries in the archive's order, for the option --use-list of pg_restore."""
    wanted = set(chosen)
    return "".join("%d; 0 0 %s\n" % (entry.number, entry.text) for entry in contents.entries if entry.number in wanted)
