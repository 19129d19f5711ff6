# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server that logs every statement was asked to do."""

from __future__ import annotations

import re

from .postgres import Server

_STATEMENT = re.compile(r"LOG:  statement: (.*)")
_READING = ("SELECT ", "EXPLAIN ")


class Watch:
    """The statements that a server logged since this was made; it needs log_statement = all."""

    def __init__(self, server: Server) -> None:
        self._log = server.home / "log"
        self._start = self._log.stat().st_size

    def statements(self) -> list[str]:
        """The first line of each statement, oldest first."""
        with self._log.open("rb") as log:
            log.seek(self._start)
            return _STATEMENT.findall(log.read().decode(errors="replace"))

    def writing(self) -> list[str]:
        """Those that do not only read."""
        return [text for text in self.statements() if not text.startswith(_READING)]
