# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore: what is refused, and what would be done, without a host."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import catalog, instance, recovery_target, restores
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.catalog import Entry
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.repository import Repository

from .test_catalog import NOON, SIZE, entry

PLACE, DATA = "/srv/backups/orders", "/srv/node2/data"
DRAFT = DATA + instance.UNFINISHED
OPTIONS: dict[str, Any] = {
    **{name: option["default"] for name, option in recovery_target.SPEC.items()}, "directory": PLACE + "/",
    "data_directory": DATA + "/", "backup": "", "system_identifier": "", "tablespace_mapping": None,
    "repository_planned": False, "check_mode": False}
CONTROL = instance.Control("7001", "shut down", 1, "0/1", "0/0", {}, True)
MISSING = instance.Instance(DATA, "missing")
RESTORED = instance.Instance(DATA, "instance", 18, CONTROL, recovery_signal=True)
PROMOTED = instance.Instance(DATA, "instance", 18, CONTROL)
RUNNING = RESTORED._replace(process=instance.Process(1, 0, 5432, "/run", "ready"))
FULL, LATER = entry(0), entry(10)
PARTS = [FULL, entry(1, FULL), entry(2, entry(1, FULL))]
SPACES = {"16400": "/mnt/fast", "16401": "/mnt/slow"}


def desired(**options: Any) -> restores.Wanted:
    return restores.desired({**OPTIONS, **options})


def present(found: instance.Instance = MISSING, entries: list[Entry] | None = None, **changes: Any) -> restores.Current:
    kept = Repository(PLACE, [FULL, LATER] if entries is None else entries, archives=["wal"])
    return restores.Current(found, None, False, kept, NOON + timedelta(hours=40))._replace(**changes)


def note_of(**options: Any) -> dict[str, Any]:
    """What a restore leaves in a data directory."""
    return {"request": restores._request(desired(**options)), "facts": {"backups": [LATER.id], "target": "the end of the WAL"}}


def plan(current: restores.Current | None = None, **options: Any) -> Any:
    return restores.plan(current or present(), desired(**options))


def shown(found: Any) -> list[str]:
    return [step.shown for step in found.steps]


def data(one: Entry) -> str:
    return f"{PLACE}/base/{one.id}/data"


def segments(first: Entry, count: int, *without: int, timeline: int = 1) -> list[str]:
    """The names of so many segments from the one in which a backup ended on."""
    begin = catalog.number_of(first.stop_lsn, SIZE)
    return [catalog.name_of(timeline, begin + number) for number in range(count) if number not in without]


END = [f"touch {DRAFT}/recovery.signal", f"mv {DRAFT} {DATA}"]


@pytest.mark.parametrize(("options", "words"), [
    ({"directory": "backups"}, "directory is 'backups'"), ({"data_directory": "data"}, "data_directory is 'data'"),
    ({"tablespace_mapping": {"/a": "b"}}, "'/a' to 'b'"), ({"tablespace_mapping": {"a": "/b"}}, "'a' to '/b'"),
    ({"target_xid": "5", "target_lsn": "0/5"}, "one target")])
def test_options_that_have_no_meaning_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        desired(**options)


@pytest.mark.parametrize(("entries", "copied"), [
    ([FULL, LATER], [f"pg_verifybackup {data(LATER)}", f"cp -a {data(LATER)} {DRAFT}"]),
    ([entry(0, format="tar")],
     [f"pg_verifybackup {data(FULL)}", f"tar --extract --file={data(FULL)}/base.tar --directory={DRAFT}"]),
    (PARTS, [f"pg_verifybackup {data(one)}" for one in PARTS] + [
        f"pg_combinebackup --output={DRAFT} " + " ".join(map(data, PARTS))])])
def test_each_kind_of_backup_has_its_tool(entries: list[Entry], copied: list[str]) -> None:
    found = plan(present(entries=entries))
    assert shown(found) == copied + END
    assert found.facts["recovering"] is True
    assert (found.before["state"], found.after["state"]) == ("missing", "instance")


def test_the_programs_come_first() -> None:
    assert shown(plan(present(copy_of_programs="copy the programs")))[0] == "copy the programs"


def test_the_facts_lead_a_server_to_its_target() -> None:
    names = segments(LATER, 4)
    facts = plan(present(archive={"wal": [name + ".gz" for name in names]})).facts
    assert facts["backups"] == [LATER.id]
    assert facts["archive"] == PLACE + "/wal"
    assert facts["first_segment"] == names[0]
    assert facts["until_segment"] == names[-1]
    assert facts["restore_command"] == f"{PLACE}/bin/restore-wal {PLACE}/wal %f %p {SIZE}"
    assert (facts["target"], facts["timeline"], facts["system_identifier"]) == ("the end of the WAL", 1, "7001")
    assert plan(present(archive={"wal": names}), target_immediate=True).facts["until_segment"] == ""
    partial = [*names[:-1], names[-1] + ".gz.partial"]
    assert plan(present(archive={"wal": partial})).facts["until_segment"] == names[-1] + ".partial"


def test_a_path_is_safe_in_the_command_and_an_archive_that_is_not_there_is_not_asked() -> None:
    place = "/srv/it's 100%"
    current = present(repository=Repository(place, [FULL], archives=["wal"]))
    command = plan(current, directory=place).facts["restore_command"]
    assert command == r"""'/srv/it'"'"'s 100%%/bin/restore-wal' '/srv/it'"'"'s 100%%/wal' %f %p """ + str(SIZE)
    assert plan(present(repository=Repository(PLACE, [FULL]))).facts["restore_command"] == "false"


@pytest.mark.parametrize(("found", "recovering"), [(RESTORED, True), (RUNNING, True), (PROMOTED, False)])
def test_what_was_restored_so_stays(found: instance.Instance, recovering: bool) -> None:
    again = plan(present(found, note=note_of()))
    assert again.steps == []
    assert again.before == again.after
    assert again.facts == {"backups": [LATER.id], "target": "the end of the WAL", "recovering": recovering}


@pytest.mark.parametrize(("found", "failed"), [(RESTORED, False), (PROMOTED, True)])
def test_what_has_not_recovered_to_another_target_makes_room_with_its_tablespaces(found: instance.Instance, failed: bool) -> None:
    current = present(found, note=note_of(target_immediate=True), failed=failed, remains=["/mnt/fast"])
    assert shown(plan(current))[:2] == ["rm -r /mnt/fast", f"rm -r {DATA}"]


def test_what_was_restored_with_its_tablespaces_elsewhere_is_restored_again() -> None:
    mapping = {"/mnt/fast": "/old"}
    current = present(RESTORED, [entry(0, tablespaces=SPACES)], note=note_of(tablespace_mapping=mapping), remains=["/old"])
    assert plan(current, tablespace_mapping=mapping).steps == []
    assert shown(plan(current))[:2] == ["rm -r /old", f"rm -r {DATA}"]


def test_a_restore_that_failed_is_made_again() -> None:
    assert shown(plan(present(PROMOTED, note=note_of(), failed=True)))[0] == f"rm -r {DATA}"


@pytest.mark.parametrize(("found", "note", "words"), [
    (instance.Instance(DATA, "foreign"), None, "holds no PostgreSQL instance"),
    (PROMOTED, None, "an instance of the system 7001 is there"),
    (RUNNING, note_of(target_immediate=True), "was restored to the end of the WAL"),
    (PROMOTED, note_of(target_immediate=True), "was restored to the end of the WAL")])
def test_what_else_is_there_is_left_alone(found: instance.Instance, note: Any, words: str) -> None:
    with pytest.raises(StateError, match=words) as refusal:
        plan(present(found, note=note))
    assert DATA in str(refusal.value)


@pytest.mark.parametrize(("points", "words"), [
    ([], "no WAL of the archive has it"), (["0/C9000000", "0/CA000000"], "2 times, at the LSNs 0/C9000000, 0/CA000000")])
def test_a_restore_point_must_be_there_once(points: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        plan(present(restore_points=points), target_name="once")


def test_a_restore_point_leads_to_the_backup_before_it() -> None:
    between = present(restore_points=[LATER.start_lsn])
    assert plan(between, target_name="once").facts["backups"] == [FULL.id]


@pytest.mark.parametrize(("changes", "options", "words"), [
    ({}, {"tablespace_mapping": {"/other": "/there"}}, "names /other and the backup .* in /mnt/fast, /mnt/slow"),
    ({"occupied": ["/mnt/slow"]}, {}, "in /mnt/slow was to be restored to /mnt/slow and that is not empty"),
    ({"occupied": ["/new"]}, {"tablespace_mapping": {"/mnt/fast": "/new/"}}, "in /mnt/fast was to be restored to /new and")])
def test_a_tablespace_needs_a_place(changes: dict[str, Any], options: dict[str, Any], words: str) -> None:
    with pytest.raises((InputError, StateError), match=words):
        plan(present(entries=[entry(0, tablespaces=SPACES)], **changes), **options)


def test_a_mapped_tablespace_needs_its_old_place_no_more() -> None:
    current = present(entries=[entry(0, tablespaces=SPACES)], occupied=list(SPACES.values()))
    assert plan(current, tablespace_mapping={"/mnt/fast": "/a", "/mnt/slow": "/b"}).steps


@pytest.mark.parametrize("options", [{}, {"target_lsn": "0/D6000000"}])
def test_a_segment_that_is_missing_before_the_target_is_told(options: dict[str, str]) -> None:
    names = segments(LATER, 6, 2)
    with pytest.raises(StateError, match=f"the segment {segments(LATER, 3)[2]} is missing in {PLACE}/wal"):
        plan(present(archive={"wal": names}), **options)


def test_a_segment_that_is_missing_behind_the_target_does_not_matter() -> None:
    found = plan(present(archive={"wal": segments(LATER, 6, 4)}), target_lsn="0/D4000000")
    assert found.warnings == []


@pytest.mark.parametrize("options", [{"target_time": "2026-11-23 00:00:00Z"}, {"target_xid": "2500"}])
def test_a_segment_that_is_missing_where_the_target_may_be_is_warned_of(options: dict[str, str]) -> None:
    found = plan(present(archive={"wal": segments(LATER, 6, 2)}), **options)
    assert [segments(LATER, 3)[2] in text for text in found.warnings] == [True]


@pytest.mark.parametrize("names", [[], segments(LATER, 3)])
def test_a_position_behind_the_wal_is_told(names: list[str]) -> None:
    with pytest.raises(InputError, match=f"LSN FF/0 was asked for and the WAL in {PLACE}/wal ends before it"):
        plan(present(archive={"wal": names}), target_lsn="FF/0")


def test_a_timeline_that_is_not_followed_is_warned_of() -> None:
    histories = {"wal": {2: [catalog.Switch(1, "0/D3000000")]}}
    found = plan(present(archive={"wal": segments(LATER, 3)}, histories=histories))
    assert [("timeline 2" in text, "target_timeline=2" in text) for text in found.warnings] == [(True, True)]


def test_a_repository_that_is_still_to_come_is_planned_for_in_check_mode_alone() -> None:
    found = plan(present(entries=[]), repository_planned=True, check_mode=True)
    assert shown(found) == [f"restore {DATA} from {PLACE}"]
    assert found.facts["recovering"] is True
    with pytest.raises(StateError, match="none that is complete"):
        plan(present(entries=[]), repository_planned=True)


def test_the_remains_of_a_restore_are_what_it_links_to_under_its_final_name(tmp_path: Path) -> None:
    wanted = desired(data_directory=str(tmp_path / "data"))
    links = tmp_path / "data.pgmahout-new/pg_tblspc"
    links.mkdir(parents=True)
    for number, name in enumerate(["renamed", "waiting", "waiting.pgmahout-new", "missing"]):
        (tmp_path / name).mkdir()
        (links / str(number)).symlink_to(tmp_path / name)
    (tmp_path / "missing").rmdir()
    (links / "7").symlink_to("../../tablespaces/7")
    assert restores._remains(wanted) == []
    (links.parent / restores.NOTE).touch()
    # A directory whose draft is there still has not been renamed, and so is somebody else's.
    assert restores._remains(wanted) == [str(tmp_path / "renamed")]
