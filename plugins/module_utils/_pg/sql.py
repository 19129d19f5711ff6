# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQL text as a value: identifiers, literals, statements.

The rules are those of PostgreSQL's documentation, chapter 4.1 (Lexical Structure). Every session of ours runs
with ``standard_conforming_strings = on`` (see ``login``), so that a backslash in a literal means itself.
"""

from __future__ import annotations

from typing import Iterable, List, NamedTuple, Optional, Tuple

from .errors import InputError

MASK = "********"


class Statement(NamedTuple):
    """One SQL statement.

    Attributes:
        text: what is sent to the server.
        shown: what may be shown to people; differs from ``text`` exactly when that holds a secret.
    """

    text: str
    shown: str

    @property
    def secret(self) -> bool:
        """Whether the text holds something that must not reach a log."""
        return self.text != self.shown


def statement(text: str, shown: Optional[str] = None) -> Statement:
    """Return ``text`` as a statement; give ``shown`` when ``text`` holds a secret."""
    return Statement(text, text if shown is None else shown)


def _no_nul(text: str, what: str) -> str:
    if "\0" in text:
        raise InputError("%s %r holds a NUL character, which PostgreSQL cannot store; remove it." % (what, text))
    return text


def ident(name: str) -> str:
    """Return one identifier, always quoted, so that case, dots, blanks and quotes are kept.

    Raises:
        InputError: the name is empty, holds a NUL, or is longer than the 63 bytes the server keeps.
    """
    _no_nul(name, "The name")
    if not name:
        raise InputError("A name is empty; give at least one character.")
    if len(name.encode("utf-8")) > 63:
        raise InputError("The name %r is longer than the 63 bytes that PostgreSQL keeps; shorten it." % name)
    return '"%s"' % name.replace('"', '""')


def qualified(schema: str, name: str) -> str:
    """Return ``schema.name``, both quoted."""
    return "%s.%s" % (ident(schema), ident(name))


def idents(names: Iterable[str]) -> str:
    """Return several identifiers, separated by commas."""
    return ", ".join(ident(name) for name in names)


def literal(value: Optional[str]) -> str:
    """Return a string literal, or ``NULL`` for ``None``."""
    if value is None:
        return "NULL"
    return "'%s'" % _no_nul(value, "The text").replace("'", "''")


def boolean(value: bool) -> str:
    """Return a boolean literal."""
    return "true" if value else "false"


def split_name(text: str, default_schema: str = "public") -> Tuple[str, str]:
    """Split a possibly qualified, possibly quoted relation name into schema and name.

    Unquoted parts keep their case as written: inventories are data, not SQL, and ``Orders`` there means the table
    that is called ``Orders``. Quotes are only needed around a part that holds a dot or a quote.

    Args:
        text: such as ``orders``, ``sales.orders`` or ``"odd.schema"."od""d"``.
        default_schema: the schema of a name that names none.

    Raises:
        InputError: more than two parts, an empty part, or a quote that is not closed.
    """
    parts: List[str] = []
    rest = text
    while True:
        part, rest = _take_part(rest, text)
        parts.append(part)
        if not rest:
            break
        rest = rest[1:]
    if len(parts) > 2 or not all(parts):
        raise InputError("The relation name %r is not of the form name or schema.name; quote a part that "
                         "holds a dot." % text)
    return (default_schema, parts[0]) if len(parts) == 1 else (parts[0], parts[1])


def _take_part(rest: str, whole: str) -> List[str]:
    if not rest.startswith('"'):
        end = rest.find(".")
        return [rest, ""] if end < 0 else [rest[:end], rest[end:]]
    index, part = 1, ""
    while index < len(rest):
        if rest[index] != '"':
            part += rest[index]
            index += 1
        elif rest[index:index + 2] == '""':
            part += '"'
            index += 2
        else:
            after = rest[index + 1:]
            if after and not after.startswith("."):
                break
            return [part, after]
    raise InputError("The relation name %r has a quote that is not closed; double a quote inside a name." % whole)
