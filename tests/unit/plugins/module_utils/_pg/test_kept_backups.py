# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kept backup: what is refused, and what a run would do, without a server."""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import kept_backups, progress
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.catalog import Entry
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, PgError, StateError
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.repository import Repository

from .test_catalog import NOON, entry

PLACE = "/srv/backups/orders"
OPTIONS: dict[str, Any] = {
    **{name: option.get("default") for name, option in {**kept_backups.SPEC, **progress.SPEC}.items()},
    "directory": PLACE + "/", "cluster": "orders", "conninfo": {"host": "node1", "user": "replicator"}}
SOURCE = kept_backups.Source(
    version_num=180000, system_identifier="7001", timeline=1, now=NOON + timedelta(hours=30), next_xid=5000,
    wal_segment_size=1 << 24, summarizes=True, tablespaces={}, address="node1:5432")
ID = "20261123T180000Z"
BACKUP = (f"pg_basebackup --pgdata={PLACE}/base/{ID}/data --dbname=host=node1 user=replicator --no-password --checkpoint=fast"
          " --wal-method=stream --label=pgmahout orders")
VERIFY = f"pg_verifybackup {PLACE}/base/{ID}/data"


def desired(**options: Any) -> kept_backups.Wanted:
    return kept_backups.desired({**OPTIONS, **options})


def plan(entries: list[Entry] | None = None, leftovers: list[str] | None = None, server: dict[str, Any] | None = None,
         copy: str = "", **options: Any) -> Any:
    current = kept_backups.Current(Repository(PLACE, entries or [], leftovers or []), SOURCE._replace(**server or {}), {}, copy)
    return kept_backups.plan(current, desired(**options))


def shown(found: Any) -> list[str]:
    return [step.shown for step in found.steps]


@pytest.mark.parametrize(("options", "words"), [
    ({"conninfo": {}}, "names no server"), ({"keep_count": 0}, "keep_count is 0"), ({"keep_days": -1}, "keep_days is -1"),
    ({"incremental": -1}, "incremental is -1"), ({"directory": "backups"}, "absolute path"),
    ({"conninfo": {"host": "node1", "password": "s3cret"}}, "password"),
    ({"tls_key": "key"}, "belong together")])
def test_options_that_have_no_meaning_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as refusal:
        desired(**options)
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(("options", "server", "words"), [
    ({"compress": "brotli"}, {}, "brotli"), ({"format": "plain", "compress": "gzip"}, {}, "plain backup is not compressed"),
    ({"max_rate": "1k"}, {}, "max_rate"), ({"format": "tar", "compress": "zstd"}, {"version_num": 140000}, "knows only gzip")])
def test_what_pg_basebackup_cannot_do_is_refused(options: dict[str, Any], server: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        plan(server=server, **options)


@pytest.mark.parametrize(("version", "words"), [(180000, "set summarize_wal to on"), (150000, "from version 17 on")])
def test_an_incremental_backup_needs_summaries(version: int, words: str) -> None:
    with pytest.raises(StateError, match=words):
        plan(server={"summarizes": False, "version_num": version}, incremental=1)


def test_the_first_run_takes_a_full_backup() -> None:
    found = plan()
    assert shown(found) == [BACKUP, VERIFY]
    assert found.facts == {"backup": {"id": ID, "type": "full"}}
    assert (found.before, found.after) == ({"backups": []}, {"backups": [ID]})


def test_every_step_has_its_place() -> None:
    line = {"host": "node1", "port": "5432", "database": "*", "user": "replicator", "password": "s3cret"}
    left = f"{PLACE}/base/x.pgmahout-new"
    found = plan([entry(0), entry(10)], [left], copy="copy the programs", keep_count=1, passfile="/srv/passfile",
                 passfile_entries=[line])
    assert shown(found) == ["copy the programs", "write /srv/passfile", f"rm -r {left}", BACKUP, VERIFY,
                            f"rm -r {PLACE}/base/{entry(0).id}", f"rm -r {PLACE}/base/{entry(10).id}"]
    assert found.after == {"backups": [ID]}
    assert "s3cret" not in str(found)


def test_a_second_backup_within_a_second_has_another_name() -> None:
    assert plan([entry(30)]).facts["backup"]["id"] == ID + "-2"


@pytest.mark.parametrize(("entries", "server", "parent"), [
    ([entry(0)], {}, entry(0).id), ([entry(0), entry(1, entry(0))], {}, entry(1).id),
    ([entry(0), entry(1, entry(0)), entry(2, entry(1))], {}, None),
    ([], {}, None), ([entry(0)], {"timeline": 2}, None), ([entry(0)], {"system_identifier": "7002"}, None),
    ([entry(0), entry(1, entry(0.5))], {}, entry(0).id)])
def test_an_incremental_backup_builds_on_the_newest_whole_one(entries: list[Entry], server: dict[str, Any],
                                                              parent: str | None) -> None:
    found = plan(entries, server=server, incremental=2)
    manifest = f" --incremental={PLACE}/base/{parent}/data/backup_manifest --label" if parent else " --label"
    assert BACKUP.replace(" --label", manifest) in shown(found)
    assert found.facts["backup"]["type"] == ("incremental" if parent else "full")


def test_tablespaces_lie_beside_the_data_in_plain_format_alone() -> None:
    server = {"tablespaces": {"16400": "/mnt/fast", "16401": "/mnt/a=b"}}
    found = next(step for step in plan(server=server).steps if step.action == "backup")
    assert found.values["request"].tablespace_mapping == {
        place: f"{PLACE}/base/{ID}.pgmahout-new/tablespaces/{oid}" for oid, place in server["tablespaces"].items()}
    packed = next(step for step in plan(server=server, format="tar").steps if step.action == "backup")
    assert packed.values["request"].tablespace_mapping == {}


def test_links_to_tablespaces_lead_to_them_wherever_the_backup_is(tmp_path: Path) -> None:
    links, space = tmp_path / "new/data/pg_tblspc", tmp_path / "new/tablespaces/16400"
    links.mkdir(parents=True)
    space.mkdir(parents=True)
    (space / "file").write_text("rows")
    (links / "16400").symlink_to(space)
    # The second one was dropped meanwhile.
    kept_backups._relink(str(links.parent), {"/mnt/fast": str(space), "/mnt/slow": "/dropped/16401"})
    (tmp_path / "new").rename(tmp_path / "moved")
    assert (tmp_path / "moved/data/pg_tblspc/16400/file").read_text() == "rows"
    known = {"16400": "/mnt/fast", "16401": "/mnt/slow"}
    assert kept_backups._tablespaces(str(tmp_path / "moved/data"), "plain", known) == {"16400": "/mnt/fast"}


def test_a_tablespace_that_was_made_meanwhile_is_told(tmp_path: Path) -> None:
    links = tmp_path / "pg_tblspc"
    links.mkdir()
    (links / "16402").symlink_to("/mnt/made")
    with pytest.raises(StateError, match="The tablespace in /mnt/made was made while the backup was taken"):
        kept_backups._relink(str(tmp_path), {})


def test_the_tablespaces_of_a_tar_are_its_files(tmp_path: Path) -> None:
    for name in ("base.tar.gz", "pg_wal.tar", "16400.tar.gz", "backup_manifest"):
        (tmp_path / name).touch()
    known = {"16400": "/mnt/fast", "16401": "/mnt/slow"}
    assert kept_backups._tablespaces(str(tmp_path), "tar", known) == {"16400": "/mnt/fast"}


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_failure_is_told_to_monitoring_and_never_in_check_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                 check_mode: bool) -> None:
    written: dict[str, str] = {}
    host = SimpleNamespace(make_directory=lambda _path: None, write=lambda path, text, _mode: written.update({path: text}))
    monkeypatch.setattr(kept_backups, "open_host", lambda _params: contextlib.nullcontext(host))
    options = {**OPTIONS, "directory": str(tmp_path), "check_mode": check_mode}
    with pytest.raises(PgError, match="gone"), kept_backups.opener(options):
        raise StateError("The server is gone.")
    assert set(written) == (set() if check_mode else {f"{tmp_path}/status.json", f"{tmp_path}/status.prom"})
    if not check_mode:
        run = json.loads(written[f"{tmp_path}/status.json"])["last_run"]
        assert (run["failed"], run["backup"], run["error"]) == (True, None, "The server is gone.")
