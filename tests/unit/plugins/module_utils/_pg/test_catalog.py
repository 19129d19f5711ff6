# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog: which backup leads to a target, what retention lets go, which WAL is needed."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import catalog, lsn, recovery_target
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.catalog import Entry, Keep
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError

NOON = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
SIZE = 16 * 1024 * 1024


def entry(hour: float, parent: Entry | None = None, **changes: Any) -> Entry:
    """A backup that was complete so many hours after noon; each hour writes one segment of WAL and 100 transactions."""
    when = NOON + timedelta(hours=hour)
    shown = when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    position = int((hour + 200) * SIZE)
    values: dict[str, Any] = {
        "id": when.strftime("%Y%m%dT%H%M%SZ"), "type": "incremental" if parent else "full",
        "parent": parent.id if parent else None,
        "format": "plain", "compress": "", "cluster": "orders", "system_identifier": "7001", "version": 18, "timeline": 1,
        "start_lsn": lsn.show(position), "stop_lsn": lsn.show(position + 100), "start_time": shown, "stop_time": shown,
        "next_xid": 1000 + int(hour * 100), "size_bytes": 1, "duration_seconds": 1.0, "verified": True, "archive": "wal",
        "wal_segment_size": SIZE, "tablespaces": {}, "source": "node1:5432"}
    return Entry(**{**values, **changes})


def target(**options: Any) -> recovery_target.Target:
    return recovery_target.desired({**{name: option["default"] for name, option in recovery_target.SPEC.items()}, **options})


def at(hour: float) -> recovery_target.Target:
    return target(target_time=(NOON + timedelta(hours=hour)).strftime("%Y-%m-%d %H:%M:%S.%fZ"))


def ids(entries: list[Entry]) -> list[str]:
    return [one.id for one in entries]


FULL = entry(0)
LATER = entry(10)
LAST = entry(20)
ALL = [LAST, FULL, LATER]


@pytest.mark.parametrize(("wanted", "expected"), [
    (at(10), LATER), (at(9.999), FULL), (at(19), LATER), (at(30), LAST), (target(), LAST), (target(target_immediate=True), LAST),
    (target(target_lsn=LATER.stop_lsn), LATER), (target(target_lsn=LATER.start_lsn), FULL),
    (target(target_xid=str(LATER.next_xid)), LATER), (target(target_xid=str(LATER.next_xid - 1)), FULL)])
def test_the_newest_backup_that_was_complete_before_the_target_is_chosen(wanted: recovery_target.Target, expected: Entry) -> None:
    assert catalog.choose(ALL, wanted, NOON + timedelta(hours=40)) == [expected]


def test_transactions_that_wrapped_around_are_compared_by_what_wal_has_of_them() -> None:
    old, new = entry(0, next_xid=2**32 - 100), entry(10, next_xid=2**32 + 500)
    assert catalog.choose([old, new], target(target_xid=str(2**32 + 600)), NOON + timedelta(hours=40)) == [new]
    assert catalog.choose([old, new], target(target_xid="400"), NOON + timedelta(hours=40)) == [old]


@pytest.mark.parametrize("wanted", [at(-1), target(target_lsn="0/1000000"), target(target_xid="700")])
def test_a_target_before_all_backups_is_refused_with_the_first_one(wanted: recovery_target.Target) -> None:
    with pytest.raises(InputError, match="first backup") as refusal:
        catalog.choose(ALL, wanted, NOON + timedelta(hours=40))
    assert FULL.id in str(refusal.value)


def test_a_target_in_the_future_is_refused() -> None:
    with pytest.raises(InputError, match="lies in the future"):
        catalog.choose(ALL, at(30), NOON + timedelta(hours=29))


def test_a_backup_that_is_named_is_used_or_refused() -> None:
    assert catalog.choose(ALL, at(30), NOON + timedelta(hours=40), backup=FULL.id) == [FULL]
    with pytest.raises(InputError, match="older backup"):
        catalog.choose(ALL, at(5), NOON + timedelta(hours=40), backup=LATER.id)
    with pytest.raises(InputError, match="the repository has %s, %s, %s" % (FULL.id, LATER.id, LAST.id)):
        catalog.choose(ALL, at(5), NOON + timedelta(hours=40), backup="20200101T000000Z")


def test_backups_of_another_system_are_no_choice() -> None:
    other = entry(15, system_identifier="9999")
    with pytest.raises(StateError, match="different systems: 7001 .*9999"):
        catalog.choose([*ALL, other], at(30), NOON + timedelta(hours=40))
    assert catalog.choose([*ALL, other], at(18), NOON + timedelta(hours=40), system_identifier="7001") == [LATER]
    with pytest.raises(StateError, match="of the system 1234"):
        catalog.choose(ALL, at(18), NOON + timedelta(hours=40), system_identifier="1234")


def test_nothing_leads_from_nothing() -> None:
    with pytest.raises(StateError, match="playbook backup"):
        catalog.choose([], target(), NOON)


def test_a_chain_is_whole_or_not_used() -> None:
    first = entry(21, LAST)
    second = entry(22, first)
    assert ids(catalog.choose([*ALL, first, second], target(), NOON + timedelta(hours=40))) == ids([LAST, first, second])
    assert catalog.choose([*ALL, second], target(), NOON + timedelta(hours=40)) == [LAST]
    with pytest.raises(StateError, match=first.id):
        catalog.chain([*ALL, second], second)


def test_incrementals_follow_a_full_backup_up_to_their_number() -> None:
    first = entry(21, LAST)
    second = entry(22, first)
    assert catalog.next_parent([], 2, "7001", 1) is None
    assert catalog.next_parent(ALL, 0, "7001", 1) is None
    assert catalog.next_parent(ALL, 2, "7001", 1) == LAST
    assert catalog.next_parent([*ALL, first], 2, "7001", 1) == first
    assert catalog.next_parent([*ALL, first, second], 2, "7001", 1) is None
    assert catalog.next_parent(ALL, 2, "7001", 2) is None
    assert catalog.next_parent(ALL, 2, "9999", 1) is None


def test_ids_are_unique() -> None:
    assert catalog.new_id(NOON, []) == "20261122T120000Z"
    assert catalog.new_id(NOON, ["20261122T120000Z", "20261122T120000Z-2"]) == "20261122T120000Z-3"


def test_retention_keeps_by_count_and_what_a_kept_one_builds_on() -> None:
    increments = [entry(1, FULL), entry(11, LATER)]
    assert ids(catalog.expire([*ALL, *increments], Keep(1, 0), NOON + timedelta(hours=21))) == ids(
        [FULL, increments[0], LATER, increments[1]])
    assert ids(catalog.expire([*ALL, *increments], Keep(2, 0), NOON + timedelta(hours=21))) == ids([FULL, increments[0]])
    assert catalog.expire([*ALL, *increments], Keep(3, 0), NOON + timedelta(hours=21)) == []


def test_retention_by_days_keeps_the_backup_from_before_them() -> None:
    days = [entry(24 * day) for day in range(10)]
    now = NOON + timedelta(days=9, hours=1)
    assert ids(catalog.expire(days, Keep(1, 3), now)) == ids(days[:6])
    assert ids(catalog.expire(days, Keep(5, 3), now)) == ids(days[:5])
    assert catalog.expire(days, Keep(1, 30), now) == []


def test_wal_goes_with_the_backups_that_need_it_and_histories_stay() -> None:
    names = [catalog.name_of(1, number) + ".gz" for number in range(198, 222)]
    names += ["00000002.history", catalog.name_of(1, 205) + ".00000028.backup.gz", catalog.name_of(2, 209), "draft.pgmahout-x"]
    gone = catalog.obsolete(names, [LATER, LAST], "wal")
    assert gone == sorted([catalog.name_of(1, number) + ".gz" for number in range(198, 210)]
                          + [catalog.name_of(1, 205) + ".00000028.backup.gz", catalog.name_of(2, 209)])
    assert catalog.obsolete(names, [LATER], "wal-other") == []
    assert catalog.unused_archives(["wal", "wal-a", "wal-b"], [LATER], "wal-b") == ["wal-a"]
    assert catalog.unused_archives(["wal", "wal-a"], [], "wal") == []


@pytest.mark.parametrize("size", [1 << 20, SIZE, 1 << 30])
def test_segments_are_numbered_as_the_server_names_them(size: int) -> None:
    for position in ("0/0", "0/FFFFFFFF", "1/0", "7/C0000000"):
        number = catalog.number_of(position, size)
        low = int(position.split("/")[1], 16) // size
        assert catalog.name_of(3, number) == "00000003%08X%08X" % (int(position.split("/")[0], 16), low)
    last = catalog.number_of("0/FFFFFFFF", size)
    assert catalog.name_of(1, catalog.following(last, size)) == "000000010000000100000000"


def test_a_gap_is_named() -> None:
    names = [catalog.name_of(1, number) for number in range(201, 206) if number != 203]
    names.append(catalog.name_of(1, 206) + ".gz.partial")
    assert catalog.gap(names, FULL, frozenset([1])) == catalog.name_of(1, 203)
    assert catalog.gap([*names, catalog.name_of(2, 203)], FULL, frozenset([1])) == catalog.name_of(1, 203)
    assert catalog.gap([*names, catalog.name_of(2, 203)], FULL, frozenset([1, 2])) == ""
    assert catalog.gap([], FULL, frozenset([1])) == ""


def test_timelines_that_are_not_followed_are_told() -> None:
    histories = {2: catalog.history("1\t0/5000000\tno recovery target specified\n"),
                 3: catalog.history("1\t0/5000000\tx\n\n2\t0/6000000\tbefore 2026-11-22\n")}
    assert catalog.timelines(target(), FULL, histories) == {1}
    assert catalog.timelines(target(target_timeline="latest"), FULL, histories) == {1, 2, 3}
    assert catalog.timelines(target(target_timeline="2"), FULL, histories) == {1, 2}
    said = catalog.branches(target(), FULL, histories)
    assert len(said) == 1
    assert "timeline 2, which left timeline 1 at LSN 0/5000000" in said[0]
    assert catalog.branches(target(target_timeline="latest"), FULL, histories) == []


def test_the_catalog_can_be_read_again() -> None:
    document = catalog.document("orders", ALL)
    assert [catalog.entry(one) for one in document["backups"]] == sorted(ALL, key=lambda one: one.id)
    assert (document["schema"], document["version"]) == ("pgmahout.catalog", 1)


@settings(max_examples=200, deadline=None)
@given(runs=st.lists(st.tuples(st.floats(0.5, 60), st.integers(0, 3), st.integers(1, 4), st.integers(0, 6)), min_size=1,
                     max_size=25),
       points=st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_no_sequence_of_backups_and_expirations_takes_away_a_moment_of_the_window(
        runs: list[tuple[float, int, int, int]], points: list[float]) -> None:
    """Each run takes a backup some hours after the last and expires with its own retention; WAL comes without a gap."""
    entries: list[Entry] = []
    hour, first_segment = 0.0, 0
    for pause, incremental, count, days in runs:
        begun = hour
        hour = round(hour + pause, 3)
        parent = catalog.next_parent(entries, incremental, "7001", 1)
        entries.append(entry(hour, parent))
        now = NOON + timedelta(hours=hour)
        before = {point: reach(entries, first_segment, point, now) for point in moments(entries, points, begun, hour)}
        gone = catalog.expire(entries, Keep(count, days), now)
        names = [catalog.name_of(1, number) for number in range(first_segment, int(hour + 200) + 1)]
        entries = [one for one in entries if one not in gone]
        removed = catalog.obsolete(names, entries, "wal")
        first_segment += len(removed)
        assert removed == names[:len(removed)]
        assert entry(hour, parent) in entries
        full = [one for one in [*entries, *gone] if one.type == "full"]
        assert len([one for one in entries if one in full]) >= min(count, len(full))
        for point, was in before.items():
            if was and days and now - timedelta(days=days) <= NOON + timedelta(hours=point):
                assert reach(entries, first_segment, point, now)
        assert all(catalog.is_complete(entries, one) for one in entries)


def moments(entries: list[Entry], points: list[float], begun: float, hour: float) -> list[float]:
    """Moments to look at: of all time, of the last turn, and those at which a backup was just complete."""
    return [point * hour for point in points] + [begun, hour] + [
        (one.stopped - NOON) / timedelta(hours=1) for one in entries]


def reach(entries: list[Entry], first_segment: int, point: float, now: datetime) -> bool:
    """Whether a moment can be restored: there is a chain complete before it, and all WAL from its start on."""
    try:
        chain = catalog.choose(entries, at(point), now + timedelta(hours=1))
    except (InputError, StateError):
        return False
    return catalog.number_of(chain[-1].start_lsn, SIZE) >= first_segment
