# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers for the integration tests: one of each version at hand for a whole session."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from tests.support.postgres import Server, bindir, scratch_server

#: The major versions to test on, those of them that are at hand; ``PGMAHOUT_VERSIONS`` names fewer where time is short.
VERSIONS = tuple(int(major) for major in os.environ.get("PGMAHOUT_VERSIONS", "15 16 18").split())


@pytest.fixture(scope="session")
def server_of() -> Iterator[Callable[[int], Server]]:
    """Give the shared server of a version, started when first asked for; it logs every statement."""
    running: dict[int, Server] = {}
    with contextlib.ExitStack() as stack:

        def give(major: int) -> Server:
            if bindir(major) is None:
                pytest.skip(f"PostgreSQL {major} is not installed on this machine")
            if major not in running:
                running[major] = stack.enter_context(scratch_server(major, log_statement="all"))
            return running[major]

        yield give


@pytest.fixture(params=VERSIONS, ids=lambda major: f"pg{major}")
def server(request: pytest.FixtureRequest, server_of: Callable[[int], Server]) -> Server:
    """The shared server of each version in turn."""
    return server_of(request.param)


@pytest.fixture(scope="session")
def newest(server_of: Callable[[int], Server]) -> Server:
    """The shared server of the newest version."""
    return server_of(18)
