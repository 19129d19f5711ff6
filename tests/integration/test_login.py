# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session whose connection ends is told as what it is, by every use of it, and its lock is gone with it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import login
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import ServerError, StateError
from tests.support.postgres import Server

Use = Callable[[login.Session, str], object]


@pytest.fixture
def session(newest: Server) -> Iterator[login.Session]:
    opened = login.Session({"host": str(newest.home), "port": newest.port, "user": newest.superuser, "dbname": "postgres"})
    yield opened
    opened.close()


def lose(session: login.Session, server: Server) -> None:
    """Have the server end a session, and the session find that out."""
    server.sql(f"SELECT pg_terminate_backend({session.rows('SELECT pg_backend_pid() AS pid')[0]['pid']})")
    with contextlib.suppress(ServerError):
        session.rows("SELECT 1")


@pytest.mark.parametrize("use", [login.Session.rows, login.Session.texts, login.Session.script])
def test_every_use_of_a_connection_that_is_gone_is_told(session: login.Session, newest: Server, use: Use) -> None:
    lose(session, newest)
    with pytest.raises(ServerError, match="connection already closed"):
        use(session, "SELECT 1")


def test_a_lock_that_went_with_its_connection_hides_no_error(session: login.Session, newest: Server) -> None:
    def fail() -> None:
        with session.lock("a resource"):
            lose(session, newest)
            raise StateError("The reason.")

    with pytest.raises(StateError, match=r"The reason\."):
        fail()
