# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.lab import Lab, new_lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab with the repository's own inventory, for all tests of a module, which run in the order of the file."""
    with new_lab() as made:
        yield made
