# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Row filters of publications as values: what may be one, which columns it names, when two mean the same.

A server keeps a filter parsed and gives it back in its own words (``a = 'x'`` as ``(a = 'x'::text)``), so texts cannot
be compared. PostgreSQL prints a parsed expression back for views, defaults and the like, all of which must be made
first, and in one other place: ``EXPLAIN (VERBOSE)``, which neither writes nor runs anything. So both texts become
columns of one EXPLAIN, and mean the same when the server prints the same for both. They are explained over
``json_populate_record(NULL::the_table, ...)`` and not over the table: that has the table's column types and collations,
but no constraint, index, partition, policy or statistic that a planner could put into what it prints, and needs no
privilege to read the table. What a filter does with a NULL is what ``IS TRUE`` does (chapter 29.4.2), so that is asked
for; it also refuses what is not boolean. The one thing that EXPLAIN leaves out is COLLATE, so that is compared apart.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from .errors import InputError
from .sql import ident, qualified

# The lexical rules of chapter 4.1, with standard_conforming_strings on. The order matters, and no alternative may end
# earlier than the server would, hence the looks ahead: a filter must never reach beyond its own parentheses.
_TOKEN = re.compile(r"""
    (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*'(?!')(?![ \t\f\v]*[\n\r][ \t\n\r\f\v]*'))
  | (?P<string>'(?:[^']|'')*'(?!'))
  | (?P<quoted>"(?:[^"]|"")+"(?!"))
  | (?P<dollar>\$(?P<tag>(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?)\$.*?\$(?P=tag)\$)
  | (?P<word>(?![eE]')[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
  | (?P<blank>[ \t\n\r\f\v]+)
  | (?P<comment>--|/\*)
  | (?P<cast>::)
  | (?P<other>.)
""", re.VERBOSE | re.DOTALL)
_STRINGS = ("escaped", "string", "dollar")
_OPEN_ENDED = "eE'\"$\0"

#: Reserved words of expressions (appendix C), which unquoted are never columns.
_RESERVED = frozenset((
    "all", "and", "any", "array", "as", "asymmetric", "both", "case", "cast", "collate", "distinct", "else", "end",
    "false", "for", "from", "ilike", "in", "is", "isnull", "leading", "like", "not", "notnull", "null", "or", "select",
    "similar", "some", "symmetric", "then", "trailing", "true", "when"))


class Token(NamedTuple):
    """A piece of a filter: its kind (a name of a group of ``_TOKEN``) and its text, of an identifier the name."""

    kind: str
    text: str


class Pair(NamedTuple):
    """A filter as it is stored (``NULL`` when there is none) and as it is wanted, of one table."""

    schema: str
    table: str
    stored: str
    wanted: str


def check(where: str, table: str) -> str:
    """Return a filter that is one expression, without blanks around it.

    Args:
        where: SQL, as the user typed it.
        table: the table's name, for the error.

    Raises:
        InputError: the text is empty, or holds more than one expression could: a semicolon, a comment, a parenthesis
            or a quote without its other half.
    """
    depth = 0
    wrong = "" if where.strip() else "nothing"
    for token in _tokens(where):
        depth += (token.text == "(") - (token.text == ")") if token.kind == "other" else 0
        if token.kind == "comment":
            wrong = wrong or "a comment"
        elif token.kind == "other" and token.text == ";":
            wrong = wrong or "a semicolon outside of quotes"
        elif token.kind == "other" and token.text in _OPEN_ENDED:
            wrong = wrong or "a quote, a dollar or a NUL that begins no complete literal or name"
        elif depth < 0:
            wrong = wrong or "a closing parenthesis without an opening one"
    if depth > 0:
        wrong = wrong or "an opening parenthesis without a closing one"
    if wrong:
        raise InputError("The row filter %r of the table %s holds %s; give one SQL expression, such as total > 0."
                         % (where, table, wrong))
    return where.strip()


def _tokens(text: str) -> Iterator[Token]:
    for found in _TOKEN.finditer(text):
        kind = str(found.lastgroup if found.lastgroup != "tag" else "dollar")
        piece = found.group(0)
        if kind == "quoted":
            piece = piece[1:-1].replace('""', '"')
        elif kind == "word":
            # As the server does: only ASCII letters are folded (chapter 4.1.1).
            piece = re.sub("[A-Z]", lambda letter: letter.group(0).lower(), piece)
        yield Token(kind, piece)


def names(where: str) -> Tuple[str, ...]:
    """Return what may be column names in a filter, sorted.

    These are the identifiers that are not followed by a parenthesis (functions), a dot (qualifiers) or a string
    (types), nor preceded by a cast, ``AS`` or ``COLLATE``, and no reserved words. Words that are reserved nowhere
    else, such as ``zone`` in ``AT TIME ZONE``, remain, so that who asks for columns takes those that exist.
    """
    tokens = [token for token in _tokens(where) if token.kind != "blank"]
    nothing = Token("other", "")
    found = set()
    for before, token, after in zip([nothing] + tokens, tokens, tokens[1:] + [nothing]):
        if token.kind not in ("word", "quoted") or after.text in ("(", ".") or after.kind in _STRINGS:
            continue
        if token.kind == "word" and token.text in _RESERVED or before.kind == "cast":
            continue
        if before.kind != "word" or before.text not in ("as", "collate"):
            found.add(token.text)
    return tuple(sorted(found))


def _collations(where: str) -> List[str]:
    """Return the names after COLLATE in their order, without schema: a filter can only use built-in collations."""
    tokens = [token for token in _tokens(where) if token.kind != "blank"]
    found = []
    for index, token in enumerate(tokens):
        if token == Token("word", "collate"):
            rest = tokens[index + 1:index + 4]
            found.append(rest[-1].text if len(rest) == 3 and rest[1].text == "." else rest[0].text if rest else "")
    return found


def explain(pairs: Sequence[Pair]) -> str:
    """Return the query whose result ``same`` reads; each pair's place travels as a number, so the order is safe."""
    selects = ["SELECT %d, (%s) IS TRUE, (%s) IS TRUE FROM json_populate_record(NULL::%s, '{}') AS %s" % (
        number, pair.stored, pair.wanted, qualified(pair.schema, pair.table), ident(pair.table))
        for number, pair in enumerate(pairs)]
    return "EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) " + " UNION ALL ".join(selects)


def same(pairs: Sequence[Pair], explained: Any) -> List[bool]:
    """Return for each pair whether its two filters mean the same.

    Args:
        pairs: as given to ``explain``.
        explained: the JSON that the server answered.
    """
    printed = _printed(explained[0]["Plan"])
    return [printed[number][0] == printed[number][1] and _collations(pair.stored) == _collations(pair.wanted)
            for number, pair in enumerate(pairs)]


def _printed(node: Any) -> Dict[int, Tuple[str, str]]:
    if node["Node Type"] != "Append":
        number, stored, wanted = node["Output"]
        return {int(number): (stored, wanted)}
    found: Dict[int, Tuple[str, str]] = {}
    for child in node["Plans"]:
        found.update(_printed(child))
    return found
