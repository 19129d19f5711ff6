# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the output of pg_amcheck and pg_checksums comes to."""

from __future__ import annotations

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.soundness import amcheck_outcome, checksums_outcome

CORRUPT = """\
heap table "postgres.public.t", block 0, offset 1:
    xmin 4 precedes relation freeze threshold 0:730
btree index "postgres.public.t_pkey":
    ERROR:  high key invariant violated for index "t_pkey"
    DETAIL:  Index tid=(1,1)
"""
BAD_PAGE = ('pg_checksums: error: checksum verification failed in file "/d/base/5/1259", block 3: calculated checksum 1F but '
            "block contains 2E\n")
SCANNED = "Checksum operation completed\nFiles scanned:   966\nBlocks scanned:  2891\nBad checksums:  0\n"


def test_silence_is_soundness() -> None:
    assert amcheck_outcome("") == ("passed", "All tables and indexes are sound.", ())


def test_faults_are_counted_and_the_first_is_named() -> None:
    outcome = amcheck_outcome(CORRUPT)
    assert outcome.status == "failed"
    assert outcome.found == 'pg_amcheck found 2 faults, the first in heap table "postgres.public.t", block 0, offset 1.'
    assert "xmin 4 precedes relation freeze threshold 0:730" in outcome.complaints


def test_right_checksums_are_counted() -> None:
    assert checksums_outcome(SCANNED, "").found == "The checksums of all 2891 pages are right."


def test_a_wrong_checksum_names_its_file() -> None:
    outcome = checksums_outcome("", BAD_PAGE * 30)
    assert outcome.status == "failed"
    assert "found 30 pages with a wrong checksum, the first: " in outcome.found
    assert '"/d/base/5/1259", block 3' in outcome.found
    assert outcome.complaints[-1] == "and 10 more"
    assert len(outcome.complaints) == 21
