# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The marks of members that a failover fenced, as a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import fenced
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import StateError


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    marks = {"node1": {"timeline": 1, "lsn": "0/3000148"}, "a b": {"timeline": 12, "lsn": "FF/0"}}
    (tmp_path / "pgmahout.fenced").write_text(fenced.text(marks))
    assert fenced.marks_of(str(tmp_path)) == marks


def test_without_a_file_nobody_is_fenced(tmp_path: Path) -> None:
    assert fenced.marks_of(str(tmp_path)) == {}
    assert fenced.marks_of(str(tmp_path / "missing")) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"node1": 1}', '{"node1": {"timeline": 1}}',
                                  '{"node1": {"timeline": 1, "lsn": "x"}}', '{"node1": {"timeline": null, "lsn": "0/1"}}'])
def test_a_file_that_says_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "pgmahout.fenced").write_text(text)
    with pytest.raises(StateError, match=r"pgmahout\.fenced does not say which members are fenced; remove it"):
        fenced.marks_of(str(tmp_path))
