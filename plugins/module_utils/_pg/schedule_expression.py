# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When cron runs something, as crontab(5) has it, and how a command is written for cron and for systemd.

cron ignores a whole file when one line of it is wrong, and says so in a log that nobody reads; so only what every cron
understands passes here. An expression for systemd is judged by systemd itself.
"""

from __future__ import annotations

import re
from typing import List, Sequence

from .errors import InputError

NICKNAMES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
#: The fields in their order: what each is called, its least and greatest number, and the names that stand for numbers.
_FIELDS = (("minute", 0, 59, ()), ("hour", 0, 23, ()), ("day of the month", 1, 31, ()), ("month", 1, 12, _MONTHS),
           ("day of the week", 0, 7, _DAYS))
#: A number, or a range or all with or without a step; a step from a single number means something else to each cron.
_PART = re.compile(r"\A(?:([0-9]+)|(?:\*|([0-9]+)-([0-9]+))(?:/([0-9]+))?)\Z")
_SAFE = re.compile(r"\A[A-Za-z0-9_./:@+,=-]+\Z")


def refuse_cron(expression: str) -> None:
    """Refuse what is no time of cron's, or never comes.

    Raises:
        InputError: such as ``The schedule '61 * * * *' has 61 as minute; give numbers from 0 to 59.``
    """
    if expression in NICKNAMES:
        return
    fields = expression.split()
    if len(fields) != len(_FIELDS) or "\n" in expression:
        raise InputError("The schedule %r is none of cron's, which has five fields (minute, hour, day of the month, month, day "
                         "of the week) or is one of %s; give such as '0 2 * * *'." % (expression, ", ".join(NICKNAMES)))
    values = [_values(expression, field, *known) for field, known in zip(fields, _FIELDS)]
    if fields[4] == "*" and not any(day <= _LONGEST[month - 1] for month in values[3] for day in values[2]):
        raise InputError("The schedule %r names a day that none of its months has, so it would never run; give another day."
                         % expression)


def _values(expression: str, field: str, what: str, least: int, greatest: int, names: Sequence[str]) -> Sequence[int]:
    """Return the numbers that a field stands for: one name, or a list of numbers and ranges."""
    if field.lower() in names:
        return [names.index(field.lower()) + least]
    found: List[int] = []
    for part in field.split(","):
        numbers = _numbers(part, least, greatest)
        if not numbers:
            raise InputError("The schedule %r has %s as %s; give numbers from %d to %d, ranges or lists of them, or *, and steps "
                             "such as */2." % (expression, part or "nothing", what, least, greatest))
        found += numbers
    return found


def _numbers(part: str, least: int, greatest: int) -> Sequence[int]:
    """Return the numbers of one part of a list; none when it is wrong."""
    match = _PART.match(part)
    if match is None:
        return ()
    alone, first, last, step = match.groups()
    low, high = (int(alone), int(alone)) if alone else (int(first or least), int(last or greatest))
    return range(low, high + 1, int(step or 1)) if least <= low <= high <= greatest and step != "0" else ()


def for_cron(argv: Sequence[str]) -> str:
    """Return a command for a line of cron: quoted for the shell, with each ``%`` escaped, which is a line break to cron.

    Raises:
        InputError: a word holds a line break, which no line of cron can.
    """
    words = []
    for word in argv:
        _refuse_line_break(word)
        quoted = word if _SAFE.match(word) else "'%s'" % word.replace("'", "'\\''")
        words.append(quoted.replace("%", "\\%"))
    return " ".join(words)


def for_systemd(argv: Sequence[str]) -> str:
    """Return a command for ``ExecStart=`` as systemd.service(5) has it: quoted, with no specifier and no variable in it.

    Raises:
        InputError: a word holds a line break, which no unit can.
    """
    words = []
    for word in argv:
        _refuse_line_break(word)
        escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
        words.append(escaped if _SAFE.match(word) else '"%s"' % escaped)
    return " ".join(words)


def _refuse_line_break(word: str) -> None:
    if "\n" in word or "\r" in word:
        raise InputError("The path %r holds a line break, which no schedule can run; choose another directory." % word)
