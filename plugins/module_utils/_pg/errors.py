# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of the domain: one sentence each, turned into ``fail_json`` by the runner alone."""

from __future__ import annotations


class PgError(Exception):
    """Something was asked that cannot be done; ``str()`` is one sentence for a person.

    The sentence says what was asked, what was found, and what to do about it.
    """


class InputError(PgError):
    """An option has a value that can never be right; raised before anything is touched."""


class StateError(PgError):
    """What was found on the host or in the server forbids what was asked."""


class Unreachable(PgError):
    """No connection to the server could be made."""


class Starting(Unreachable):
    """A server is there and lets nobody in yet, since it recovers."""


class ToolError(PgError):
    """A program of PostgreSQL ended with an error.

    Attributes:
        output: all that it printed on standard error.
        complaint: the line of it that tells what was wrong.
    """

    def __init__(self, message: str, output: str = "", complaint: str = "") -> None:
        super().__init__(message)
        self.output = output
        self.complaint = complaint


class ServerError(PgError):
    """The server refused a statement.

    Attributes:
        sqlstate: the five-character code of PostgreSQL's documentation, appendix A; ``""`` if none.
        reason: what the server said, without the statement and the final dot.
    """

    def __init__(self, message: str, sqlstate: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.reason = reason
