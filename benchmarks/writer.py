# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that commits one row after the other until its standard input ends; it runs on the server's host.

A line is printed when the first row is committed, and at the end, as JSON, how many were and the longest time between two of
them, in seconds. While the server refuses it tries again, and it does not end before a row is committed again.
"""

from __future__ import annotations

import json
import select
import sys
import time

import psycopg2
from psycopg2.extensions import connection

PAUSE = 0.005  # seconds: as fine as outages are measured, and little enough work to leave the processor to others
PATIENCE = 60  # seconds: a server that refuses for longer does not come back


def main() -> None:
    """Write, and tell.

    Raises:
        psycopg2.OperationalError: the server was not there to begin with, or does not come back.
    """
    client: connection | None = commit(None)
    count, longest, last = 1, 0.0, time.monotonic()
    print("writing", flush=True)
    while client is None or not select.select([sys.stdin], [], [], PAUSE)[0]:
        try:
            client = commit(client)
        except psycopg2.OperationalError:
            if time.monotonic() - last > PATIENCE:
                raise
            client = None
            time.sleep(PAUSE)
        else:
            now = time.monotonic()
            count, longest, last = count + 1, max(longest, now - last), now
    print(json.dumps({"commits": count, "longest": longest}))


def commit(client: connection | None) -> connection:
    """Commit a row, and return the session in which it was done: the one that there is, or a new one."""
    if client is None:
        client = psycopg2.connect(dbname="shop", connect_timeout=1)
        client.autocommit = True
    client.cursor().execute("INSERT INTO commits DEFAULT VALUES")
    return client


if __name__ == "__main__":
    main()
