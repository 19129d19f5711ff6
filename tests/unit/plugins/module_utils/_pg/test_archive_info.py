# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the WAL of a repository goes, and what pg_waldump printed."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import archive_info
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.archive_info import Commit, newest_backup, reach, records
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.catalog import Entry, entry
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError

MB = 1 << 20
FULL: dict[str, Any] = {
    "id": "20261122T190000Z", "type": "full", "parent": None, "format": "plain", "compress": "", "cluster": "orders",
    "system_identifier": "1", "version": 18, "timeline": 1, "start_lsn": "0/3000028", "stop_lsn": "0/3000158",
    "start_time": "2026-11-22T19:00:00.000000Z", "stop_time": "2026-11-22T19:00:01.000000Z", "next_xid": 800, "size_bytes": 1,
    "duration_seconds": 1.0, "verified": True, "archive": "wal", "wal_segment_size": 16 * MB, "tablespaces": {}, "source": "a:1"}


def backup(**changes: Any) -> Entry:
    return entry({**FULL, **changes})


def name(number: int, timeline: int = 1) -> str:
    return "%08X%08X%08X" % (timeline, number >> 8, number & 0xFF)


def wanted(backup: str = "") -> archive_info.Wanted:
    return archive_info.Wanted("/backups", backup, 0, 0, 0, 10)


def test_the_newest_backup_is_the_one_that_ended_last() -> None:
    older, newer = backup(), backup(id="b", stop_time="2026-11-22T20:00:00.000000Z")
    assert newest_backup([newer, older], wanted()) == newer
    assert newest_backup([newer, older], wanted(older.id)) == older


def test_a_difference_without_what_it_is_one_from_is_no_backup() -> None:
    orphan = backup(id="orphan", type="incremental", parent="gone", stop_time="2026-11-22T20:00:00.000000Z")
    assert newest_backup([backup(), orphan], wanted()).id == FULL["id"]


def test_a_backup_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="The backup nothing was asked for and the repository /backups has 20261122T190000Z"):
        newest_backup([backup()], wanted("nothing"))
    with pytest.raises(StateError, match="there is none; take one with the playbook backup"):
        newest_backup([], wanted())


def test_wal_goes_as_far_as_no_segment_is_missing() -> None:
    found = reach([name(3), name(4) + ".gz", name(6), "00000001.history", name(2)], backup(), frozenset([1]))
    assert [one.file for one in found.segments] == [name(3), name(4) + ".gz"]
    assert found.missing == name(5)


def test_the_segment_in_which_the_backup_ended_may_come_later() -> None:
    assert reach([], backup(), frozenset([1])) == ([], "")
    assert [one.number & 0xFF for one in reach([name(4)], backup(), frozenset([1])).segments] == [4]


def test_a_gap_right_behind_the_backup_is_seen() -> None:
    assert reach([name(5)], backup(), frozenset([1])).missing == name(4)


def test_a_segment_that_is_being_received_counts_at_the_end() -> None:
    found = reach([name(3), name(4) + ".partial"], backup(), frozenset([1]))
    assert [one.is_whole for one in found.segments] == [True, False]


def test_of_a_segment_on_two_timelines_the_newer_counts() -> None:
    files = [name(3), name(4), name(4, 2), name(5, 2), name(5, 3)]
    found = reach(files, backup(), frozenset([1, 2]))
    assert [one.file for one in found.segments] == [name(3), name(4, 2), name(5, 2)]


def test_a_partial_segment_of_the_old_timeline_does_not_hide_the_whole_one() -> None:
    found = reach([name(3), name(4) + ".partial", name(4)], backup(), frozenset([1]))
    assert found.segments[-1].file == name(4)


def test_numbers_go_on_where_the_upper_half_of_an_lsn_changes() -> None:
    files = ["0000000100000000000000FE", "0000000100000000000000FF", "000000010000000100000000"]
    found = reach(files, backup(stop_lsn="0/FE000028"), frozenset([1]))
    assert len(found.segments) == 3
    assert archive_info.start_of(found.segments[-1], 16 * MB) == 1 << 32


WALDUMP = """\
rmgr: Heap        len (rec/tot):     59/   183, tx:        735, lsn: 0/01565E30, prev 0/01565DF8, desc: INSERT off: 3
rmgr: Transaction len (rec/tot):     34/    34, tx:        735, lsn: 0/01565E68, prev 0/01565E30, desc: COMMIT 2026-11-22 18:30:00.250000 UTC
rmgr: Transaction len (rec/tot):     82/    82, tx:        736, lsn: 0/01565E90, prev 0/01565E68, desc: ABORT 2026-11-22 18:30:01.000000 UTC
rmgr: Transaction len (rec/tot):     82/    82, tx:          0, lsn: 0/01565EE8, prev 0/01565E90, desc: COMMIT_PREPARED 737: 2026-11-22 18:30:02.500000 UTC; subxacts: 738
pg_waldump: error: error in WAL record at 0/1565EE8: invalid record length at 0/1565F40: expected at least 24, got 0
"""  # noqa: E501 - as it prints


def test_commits_are_read_as_pg_waldump_prints_them() -> None:
    found = list(records(WALDUMP))
    assert [length for _position, length, _commit in found] == [183, 34, 82, 82]
    assert [commit for _position, _length, commit in found if commit] == [
        Commit(735, 0x1565E68, 1795372200.25), Commit(0, 0x1565EE8, 1795372202.5)]


def test_the_end_is_behind_the_last_record() -> None:
    assert archive_info._end(list(records(WALDUMP)), 0) == 0x1565F40
    assert archive_info._end([], 0x1000000) == 0x1000000


@pytest.mark.parametrize(("position", "is_covered"), [
    (4 * 16 * MB, True), (5 * 16 * MB, True), (5 * 16 * MB + 40, True), (5 * 16 * MB + 48, False)])
def test_a_position_is_there_once_a_whole_segment_has_it(position: int, is_covered: bool) -> None:
    found = reach([name(3), name(4), name(5) + ".partial"], backup(), frozenset([1]))
    assert archive_info._covers(found, 16 * MB, position) is is_covered
