# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings as values: the text of postgresql.conf, and whether two spellings mean the same.

The grammar is that of PostgreSQL's documentation, chapter 20.1 (Setting Parameters).
"""

from __future__ import annotations

import re
from typing import Dict, List, Mapping, Optional

from .errors import InputError

#: Settings that a standby must not have lower than its primary (chapter 26.4.3).
STANDBY_FLOOR = ("max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions",
                 "max_locks_per_transaction")

#: Lines that name other files; the grammar of the server has words of their own for them.
_INCLUDE = re.compile(r"\A\s*include(?:_if_exists|_dir)?[\s=']", re.IGNORECASE)
_BARE = re.compile(r"\A(?:[+-]?\d+[A-Za-z]*|[+-]?\d+\.\d+|[A-Za-z]\w*)\Z", re.ASCII)
_LINE = re.compile(r"""\A\s*([A-Za-z_][\w$.]*)\s*(?:=\s*|\s+|(?='))(?:'((?:[^'\\]|''|\\.)*)'|([^\s#']+))\s*(?:\#.*)?\Z""")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_KINDS = {"B": 1, "kB": 1024, "MB": 1024 ** 2, "GB": 1024 ** 3, "TB": 1024 ** 4}
_SPANS = {"us": 1, "ms": 1000, "s": 10 ** 6, "min": 60 * 10 ** 6, "h": 3600 * 10 ** 6, "d": 86400 * 10 ** 6}
_NUMBER = re.compile(r"\A([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)\Z")


def render(value: object) -> str:
    """Return a value as it is written behind a setting's name, quoted where needed.

    Raises:
        InputError: the value is a list or a mapping, or holds a line break, which no setting can.
    """
    text = text_of(value)
    if "\n" in text or "\r" in text or "\0" in text:
        raise InputError("The value %r of a setting holds a line break or a NUL character; remove it." % text)
    if _BARE.match(text):
        return text
    return "'%s'" % text.replace("\\", "\\\\").replace("'", "''")


def text_of(value: object) -> str:
    """Return a setting's value, as it comes from YAML, as PostgreSQL writes it: true is ``on``."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (list, tuple, dict)) or value is None:
        raise InputError("The value %r of a setting is not a text, number or boolean; write lists as one text, "
                         "separated by commas." % (value,))
    return str(value)


def parse(text: str) -> Dict[str, str]:
    """Return the settings of a configuration file by their lower-case names; the last one of a name wins.

    Lines that are not settings, such as ``include``, are passed over.
    """
    found: Dict[str, str] = {}
    for line in _lines(text):
        match = _setting(line)
        if match:
            quoted, plain = match.group(2), match.group(3)
            found[match.group(1).lower()] = plain if quoted is None else _unescape(quoted)
    return found


def _lines(text: str) -> List[str]:
    """Return the lines as the server sees them; ``str.splitlines`` also ends one where a value may hold that character."""
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def _setting(line: str) -> "Optional[re.Match[str]]":
    return None if _INCLUDE.match(line) else _LINE.match(line)


def _unescape(quoted: str) -> str:
    def one(match: "re.Match[str]") -> str:
        found = match.group(0)
        if found == "''":
            return "'"
        if found[1] in "01234567":
            return chr(int(found[1:], 8))
        return _ESCAPES.get(found[1], found[1])

    return re.sub(r"''|\\[0-7]{1,3}|\\.", one, quoted)


def edit(text: str, changes: Mapping[str, Optional[str]]) -> str:
    """Return the text of a configuration file with settings set, or removed where the value is ``None``.

    Lines of other settings keep their bytes; a setting that is right already keeps its line.
    """
    present = parse(text)
    todo = {name: value for name, value in changes.items() if present.get(name) != value}
    lines: List[str] = []
    for line in _lines(text):
        match = _setting(line)
        if match is None or match.group(1).lower() not in todo:
            lines.append(line)
    for name, value in todo.items():
        if value is not None:
            lines.append("%s = '%s'" % (name, value.replace("\\", "\\\\").replace("'", "''")))
    return "".join(line + "\n" for line in lines)


def same(wanted: str, shown: str, vartype: str, unit: Optional[str]) -> bool:
    """Return whether a configured value means what ``pg_settings`` shows; doubtful cases count as different.

    Args:
        wanted: as written in a configuration file.
        shown: the column ``setting``.
        vartype: the column ``vartype``.
        unit: the column ``unit``, such as ``8kB`` or ``ms``.
    """
    if wanted == shown:
        return True
    if vartype == "bool":
        return _boolean(wanted) is not None and _boolean(wanted) == _boolean(shown)
    if vartype == "enum":
        return wanted.lower() == shown.lower()
    if vartype in ("integer", "real"):
        return _quantity(wanted, unit) is not None and _quantity(wanted, unit) == _quantity(shown, unit)
    return False


def _boolean(text: str) -> Optional[bool]:
    for word, value in (("true", True), ("yes", True), ("on", True), ("1", True),
                        ("false", False), ("no", False), ("off", False), ("0", False)):
        if text.lower() == word:
            return value
    return None


def _quantity(text: str, unit: Optional[str]) -> Optional[float]:
    """Return a number in bytes, microseconds or plain, None when it is not understood."""
    found = _NUMBER.match(text.strip())
    if found is None:
        return None
    base = _factor(unit or "")
    factor = _factor(found.group(2)) if found.group(2) else base
    return None if factor is None else float(found.group(1)) * factor


def _factor(unit: str) -> Optional[float]:
    found = re.match(r"\A(\d*)([A-Za-z]*)\Z", unit)
    if found is None or (found.group(2) and found.group(2) not in _KINDS and found.group(2) not in _SPANS):
        return None
    return float(found.group(1) or 1) * (_KINDS.get(found.group(2)) or _SPANS.get(found.group(2)) or 1)
