# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance of this host together with a session on the server that it changes roles with, or becomes a standby of."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator, Mapping

from . import instance, login
from .instance import Host


class Pair:
    """The host of an instance, whose lock it takes, and a session with the other server."""

    shown_as = "commands"

    def __init__(self, host: Host, other: login.Session) -> None:
        self.host = host
        self.other = other
        self.lock = host.lock


@contextmanager
def opened(params: Mapping[str, Any], keywords: Mapping[str, Any]) -> Iterator[Pair]:
    """Give both, the session until the context ends.

    Args:
        params: the module's options, of which those of ``programs.SPEC`` name the instance.
        keywords: of libpq, as ``conninfo.given`` returns them, which reach the other server.

    Raises:
        StateError: PostgreSQL's programs are missing.
        Unreachable: the other server does not let us in.
    """
    with instance.opener(params) as host, login.connected(keywords) as session:
        yield Pair(host, session)
