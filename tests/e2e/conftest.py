# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.lab import Lab, new_lab

#: The files that take longest, each in one process: they begin first, so that none of them is left over in the end.
LONGEST = ("test_failover", "test_wal_archive", "test_main_job", "test_switchover", "test_interrupts")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first."""
    order = {name: position for position, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab with the repository's own inventory, for all tests of a module, which run in the order of the file."""
    with new_lab() as made:
        yield made
