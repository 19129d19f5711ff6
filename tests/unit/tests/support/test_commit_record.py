# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record that restores are judged by, with histories made by hand."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.support.commit_record import (
    ACCOUNTS,
    RELEASE,
    ROLLBACK_TO,
    SAVEPOINT,
    Change,
    Entry,
    Record,
    Script,
    Target,
    Transaction,
    kept,
    parse,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)


def at(microseconds: int) -> datetime:
    return NOON + timedelta(microseconds=microseconds)


def inserts(xid: int) -> Transaction:
    """A transaction that inserts the row of its own number."""
    return Transaction(xid, (Change("insert", xid, 1),), True)


#: 101 and 102 are in front of the backup, whose own records are 300 to 310. 105 is rolled back; 106 has its time before 104 has.
WAL = [Entry(200, "COMMIT", 101, at(1)), Entry(210, "COMMIT", 102, at(9)), Entry(220, "RESTORE_POINT", name="noon"),
       Entry(300, "CHECKPOINT_ONLINE"), Entry(310, "BACKUP_END"),
       Entry(400, "INSERT", 103), Entry(410, "COMMIT", 103, at(3)), Entry(420, "COMMIT", 104, at(5)),
       Entry(430, "ABORT", 105, at(6)), Entry(440, "COMMIT", 106, at(4)), Entry(450, "COMMIT", 107, at(7)),
       Entry(455, "COMMIT", 108, at(7)), Entry(460, "RESTORE_POINT", name="noon"), Entry(470, "COMMIT", 109, at(8)),
       Entry(480, "RESTORE_POINT", name="noon"), Entry(490, "COMMIT", 110, at(10))]
COMMITTED = [101, 102, 103, 104, 106, 107, 108, 109, 110]
RECORD = Record({**{xid: inserts(xid) for xid in COMMITTED}, 105: Transaction(105, (), False)}, WAL)


@pytest.mark.parametrize(("kind", "value", "inclusive", "last"), [
    ("time", at(3), True, 103),
    ("time", at(3), False, 102),
    ("time", at(4), True, 103),  # 106 has that time, and 104 in front of it ends the recovery
    ("time", at(5), True, 104),  # the abort is later
    ("time", at(6), True, 106),
    ("time", at(6), False, 104),
    ("time", at(7), True, 108),  # all that share the time
    ("time", at(7), False, 106),  # none of them
    ("xid", 104, True, 104), ("xid", 104, False, 103),
    ("xid", 105, True, 104), ("xid", 105, False, 104),
    ("xid", 106, True, 106),
    ("lsn", 420, True, 104), ("lsn", 420, False, 103),
    ("lsn", 411, True, 104),  # the first record at or behind it
    ("lsn", 411, False, 103),
    ("lsn", 400, True, 102),  # a record that is no commit
    ("name", "noon", True, 108),
    ("immediate", 311, True, 102),
    ("latest", 480, True, 109),
])
def test_a_recovery_ends_where_the_documentation_says(kind: str, value: Any, inclusive: bool, last: int) -> None:
    rows = RECORD.rows(Target(kind, value, inclusive), since=300)
    assert list(rows)[len(ACCOUNTS):] == COMMITTED[:COMMITTED.index(last) + 1]


def test_what_is_in_front_of_the_backup_ends_no_recovery() -> None:
    assert RECORD.end(Target("time", at(8)), since=300) == 490
    assert RECORD.end(Target("time", at(8))) == 210
    assert RECORD.end(Target("name", "noon"), since=470) == 481
    assert RECORD.end(Target("xid", 102), since=200) == 211


@pytest.mark.parametrize("target", [Target("time", at(10)), Target("xid", 102), Target("xid", 5), Target("lsn", 491),
                                    Target("name", "other")])
def test_a_target_that_never_comes_is_an_error(target: Target) -> None:
    with pytest.raises(LookupError, match="does not come to"):
        RECORD.end(target, since=300)


def test_each_change_does_to_rows_in_memory_what_its_statement_does() -> None:
    done = [Change("insert", 50, 5), Change("add", 50, 2), Change("add", 1, -7), Change("insert", 51, 1), Change("set", 51, 9),
            Change("insert", 52, 0), Change("delete", 52)]
    record = Record({7: Transaction(7, tuple(done), True)}, [Entry(10, "COMMIT", 7, NOON)])
    assert record.rows(Target("latest", 11)) == {**ACCOUNTS, 1: 993, 50: 7, 51: 9}
    assert record.rows(Target("latest", 10)) == ACCOUNTS


@pytest.mark.parametrize(("script", "ids"), [
    ([Change("insert", 1), SAVEPOINT, Change("insert", 2), RELEASE, Change("insert", 3)], [1, 2, 3]),
    ([Change("insert", 1), SAVEPOINT, Change("insert", 2), ROLLBACK_TO, Change("insert", 3)], [1, 3]),
    ([SAVEPOINT, Change("insert", 1), RELEASE, SAVEPOINT, Change("insert", 2), ROLLBACK_TO], [1]),
])
def test_what_a_subtransaction_dropped_is_not_kept(script: Script, ids: list[int]) -> None:
    assert [change.id for change in kept(script)] == ids


def test_a_commit_that_was_confirmed_and_is_not_in_the_wal_is_noticed() -> None:
    assert RECORD.contradictions([101, 110]) == []
    lost = Record({**RECORD.transactions, 111: inserts(111)}, WAL)
    assert lost.contradictions([101]) == []
    assert lost.contradictions([111]) == ["transaction 111 was to end with ['COMMIT'] and the WAL says []"]


@pytest.mark.parametrize(("kind", "xid"), [("COMMIT", 105), ("ABORT", 101), ("COMMIT", 110)])
def test_an_end_that_nobody_asked_for_is_noticed(kind: str, xid: int) -> None:
    assert len(Record(RECORD.transactions, [*WAL, Entry(500, kind, xid, NOON)]).contradictions([])) == 1


def test_what_the_program_prints_is_read() -> None:
    printed = (
        "rmgr: Heap        len (rec/tot):     54/    54, tx:        740, lsn: 0/01524A40, prev 0/01524A18, desc: INSERT off: 3\n"
        "rmgr: Transaction len (rec/tot):     34/    34, tx:        740, lsn: 1/01524A78, prev 0/01524A40, desc: COMMIT"
        " 2026-11-22 12:00:00.000003 UTC; subxacts: 741 742\n"
        "rmgr: Transaction len (rec/tot):     34/    34, tx:        743, lsn: 1/01524AA0, prev 1/01524A78, desc: ABORT"
        " 2026-11-22 12:00:00.000004 UTC\n"
        "rmgr: XLOG        len (rec/tot):     98/    98, tx:          0, lsn: 1/01524AC8, prev 1/01524AA0, desc: RESTORE_POINT"
        " before it\n")
    assert parse(printed) == [
        Entry(0x01524A40, "INSERT", 740), Entry((1 << 32) + 0x01524A78, "COMMIT", 740, at(3)),
        Entry((1 << 32) + 0x01524AA0, "ABORT", 743, at(4)), Entry((1 << 32) + 0x01524AC8, "RESTORE_POINT", name="before it")]
