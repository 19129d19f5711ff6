# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A standby asked to promote, as often as it takes (PostgreSQL's documentation, chapter 9.28.4).

A request that comes while the WAL receiver ends or cannot connect wakes the startup process at the wrong moment: it looks for the
request only when ``wal_retrieve_retry_interval`` is over, 5 s by default. A further request wakes it again.
"""

from __future__ import annotations

from . import login
from .errors import ServerError, StateError

#: What pg_promote() says of a server that has been promoted: object not in prerequisite state.
NOT_IN_RECOVERY = "55000"

#: After how many looks the request is repeated.
AGAIN_AFTER = 10

_LOOK = "SELECT pg_catalog.pg_is_in_recovery() AS is, pg_catalog.pg_last_wal_replay_lsn()::text AS lsn"


def request(session: login.Session) -> None:
    """Ask a standby to promote, and do not wait; one that is primary already stays as it is.

    Raises:
        ServerError: the role may not.
        StateError: the startup process could not be told.
    """
    try:
        if not session.rows("SELECT pg_catalog.pg_promote(false) AS sent")[0]["sent"]:
            raise StateError("The standby was to be promoted and could not tell its startup process; look at its log.")
    except ServerError as error:
        if error.sqlstate != NOT_IN_RECOVERY:
            raise


class Looks:
    """Looks whether a standby that was asked takes writes, and asks it again from time to time.

    Attributes:
        lsn: up to which it had replayed when it was last looked at.
    """

    def __init__(self, session: login.Session) -> None:
        self._session = session
        self._count = 0
        self.lsn = ""

    def takes_writes(self) -> bool:
        """Return whether it is out of recovery."""
        found = self._session.rows(_LOOK)[0]
        self.lsn = found["lsn"]
        self._count += 1
        if found["is"] and self._count % AGAIN_AFTER == 0:
            request(self._session)
        return not found["is"]
