# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from how WAL is archived: settings, packages, complaints, and what people are told."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import archiving

GIVEN: dict[str, Any] = {
    "pg_cluster_name": "orders", "pg_cluster_version": 18, "pg_server_settings": {}, "pg_server_packages": ["postgresql-18"],
    "pg_server_address": "10.0.0.1", "pg_backup_directory": "/b", "pg_backup_host": "", "pg_backup_wal": "archive",
    "pg_backup_wal_compress": "gzip", "pg_backup_archive_timeout": 60, "pg_backup_incremental": 0}
MEMBER = {"wal": "archive", "backup_directory": "/b", "backup_host": ""}
ARCHIVER = {"last_archived_wal": "0007", "last_archived_time": "12:00", "last_failed_wal": None, "failing": False, "reason": ""}
SENDER = {"slot_name": "pgmahout_wal", "flush_lsn": "0/7000000", "lag_bytes": 12}
RESULT: dict[str, Any] = {"answers": True, "instance": {"archive": "wal"}, "settings": {"archive_mode": "on"},
                          "archiver": ARCHIVER, "standbys": [{"slot_name": "node2"}, SENDER]}


def settings(**given: Any) -> dict[str, Any]:
    return archiving.settings({**GIVEN, **given})


def test_an_archiver_is_turned_on_with_the_program() -> None:
    assert settings() == {"archive_mode": True, "archive_command": "/b/bin/archive-wal -c gzip /b %p", "archive_timeout": 60}


@pytest.mark.parametrize("wal", ["none", "stream"])
def test_where_no_archiver_is_asked_for_nothing_is_set(wal: str) -> None:
    assert settings(pg_backup_wal=wal) == {}
    assert settings(pg_backup_wal=wal, pg_backup_incremental=6) == {"summarize_wal": True}


@pytest.mark.parametrize("directory", ["/a b", "/it's", '/"q"', "/$HOME", "/a;b"])
def test_any_directory_is_one_word_of_the_shell(directory: str) -> None:
    assert shlex.split(archiving.command(directory, "none")) == [f"{directory}/bin/archive-wal", "-c", "none", directory, "%p"]


def test_a_per_cent_sign_is_none_of_the_servers_own() -> None:
    assert archiving.command("/50%p", "none") == "/50%%p/bin/archive-wal -c none /50%%p %p"


@pytest.mark.parametrize(("given", "packages"), [
    ({"pg_backup_wal_compress": "zstd"}, ["zstd"]), ({"pg_backup_wal_compress": "lz4"}, ["lz4"]), ({}, []),
    ({"pg_backup_wal_compress": "zstd", "pg_backup_wal": "none"}, []),
    ({"pg_backup_wal_compress": "zstd", "pg_server_packages": []}, [])])
def test_the_program_that_compresses_is_installed(given: dict[str, Any], packages: list[str]) -> None:
    assert archiving.packages({**GIVEN, **given}) == packages


@pytest.mark.parametrize(("given", "told"), [
    ({"pg_server_settings": {"Archive_Command": "true"}}, "hold archive_command while pg_backup_wal is archive"),
    ({"pg_server_settings": {"archive_timeout": 5}}, "it follows from pg_backup_archive_timeout"),
    ({"pg_backup_wal": "stream", "pg_backup_wal_compress": "zstd"}, "which pg_receivewal cannot; use gzip, lz4 or none"),
    ({"pg_backup_incremental": 3, "pg_cluster_version": 16}, "incremental backups came with PostgreSQL 17"),
    ({"pg_backup_directory": "backups"}, "give an absolute path")])
def test_what_cannot_be_is_one_complaint(given: dict[str, Any], told: str) -> None:
    found = archiving.complaints("node1", {**GIVEN, **given})
    assert len(found) == 1
    assert told in found[0]


@pytest.mark.parametrize("given", [
    {}, {"pg_backup_wal": "none", "pg_server_settings": {"archive_command": "true"}}, {"pg_backup_wal_compress": "zstd"},
    {"pg_backup_incremental": 3, "pg_cluster_version": 17}])
def test_what_can_be_is_none(given: dict[str, Any]) -> None:
    assert archiving.complaints("node1", {**GIVEN, **given}) == []


@pytest.mark.parametrize(("other", "count"), [
    ({}, 1), ({"pg_backup_directory": "/c"}, 0), ({"pg_server_address": "10.0.0.2"}, 0), ({"pg_backup_wal": "none"}, 0),
    ({"pg_cluster_name": "orders"}, 0)])
def test_two_clusters_do_not_share_a_repository(other: dict[str, Any], count: int) -> None:
    variables = {"node1": GIVEN, "node2": {**GIVEN, "pg_cluster_name": "events", **other}}
    found = archiving.shared(variables)
    assert len(found) == count
    assert all("which is that of the cluster orders" in text for text in found)


@pytest.mark.parametrize(("member", "result", "told"), [
    ({}, {}, ["orders: archive: /b/wal, last 0007 at 12:00"]),
    ({}, {"archiver": {**ARCHIVER, "last_archived_wal": None}}, ["orders: archive: /b/wal, nothing archived yet"]),
    ({}, {"instance": {"archive": "wal-1"}}, ["orders: archive: /b/wal-1, last 0007 at 12:00"]),
    ({"wal": "stream"}, {}, ["orders: archive: /b/wal on node1, streamed up to 0/7000000, 12 B behind"]),
    ({"wal": "stream", "backup_host": "vault"}, {"standbys": []}, ["orders: archive: /b/wal on vault, nothing is received"]),
    ({"wal": "none"}, {}, []), ({}, {"answers": False}, [])])
def test_people_are_told_where_the_wal_goes(member: dict[str, Any], result: dict[str, Any], told: list[str]) -> None:
    assert archiving.lines("orders", {"node1": {**MEMBER, **member}}, "node1", {**RESULT, **result}) == told


@pytest.mark.parametrize(("member", "result", "told"), [
    ({}, {}, ""), ({"wal": "none"}, {"archiver": {**ARCHIVER, "failing": True}, "standbys": []}, ""), ({"wal": "stream"}, {}, ""),
    ({}, {"settings": {"archive_mode": "off"}}, "node1 is to archive its WAL and archive_mode is off"),
    ({}, {"archiver": {**ARCHIVER, "failing": True, "last_failed_wal": "0008", "reason": "No space."}},
     "node1 cannot archive its WAL, since 0008 fails: No space."),
    ({"wal": "stream", "backup_host": "vault"}, {"standbys": []}, "nothing that receives its WAL from the slot pgmahout_wal; "
     "look at the receiver's log on vault")])
def test_an_archive_that_does_not_work_is_not_healthy(member: dict[str, Any], result: dict[str, Any], told: str) -> None:
    found = archiving.unhealthy("node1", {**MEMBER, **member}, {**RESULT, **result})
    assert len(found) == bool(told)
    assert told in "".join(found)
