# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions in the write-ahead log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import lsn
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError


@given(st.integers(0, 2 ** 64 - 1))
def test_what_is_shown_is_read_back(position: int) -> None:
    assert lsn.parse(lsn.show(position)) == position


@given(st.integers(0, 2 ** 64 - 1), st.integers(0, 2 ** 64 - 1))
def test_positions_are_ordered_as_numbers_not_as_texts(one: int, other: int) -> None:
    assert (lsn.parse(lsn.show(one)) < lsn.parse(lsn.show(other))) == (one < other)


@pytest.mark.parametrize(("text", "position"), [
    ("0/0", 0), ("16/B374D848", 0x16B374D848), ("16/b374d848", 0x16B374D848), ("0/FFFFFFFF", 2 ** 32 - 1), ("1/0", 2 ** 32)])
def test_both_halves_are_hexadecimal(text: str, position: int) -> None:
    assert lsn.parse(text) == position


@pytest.mark.parametrize("text", ["", "0", "/", "0/", "g/0", "0/0/0", "0/0\n", " 0/0", "000000001/0", "-1/0", "0x1/0"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="two hexadecimal numbers"):
        lsn.parse(text)
