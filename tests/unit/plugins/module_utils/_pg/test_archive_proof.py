# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What proves that an archiver works."""

from __future__ import annotations

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import archive_proof

GOOD = archive_proof.Archiver("on", "00000002", "000000020000000000000007", "", 0, False)


@pytest.mark.parametrize("archived", ["000000020000000000000007", "00000002.history", "000000020000000000000007.00000028.backup"])
def test_a_file_of_this_timeline_proves_it(archived: str) -> None:
    assert archive_proof.is_proven(GOOD._replace(archived=archived), True)


@pytest.mark.parametrize(("archiver", "lies_there"), [
    (GOOD, False), (GOOD._replace(archived=""), True), (GOOD._replace(archived="000000010000000000000007"), True),
    (GOOD._replace(is_failing=True), True)])
def test_nothing_less_does(archiver: archive_proof.Archiver, lies_there: bool) -> None:
    assert not archive_proof.is_proven(archiver, lies_there)
