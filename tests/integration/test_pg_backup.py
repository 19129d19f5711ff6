# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that are kept: each run makes one, tells of it, and lets go only of what no kept one needs."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import catalog
from tests.support import instances
from tests.support.faults import flipped, module_process
from tests.support.modules import ok, refused, run_module
from tests.support.postgres import Server, bindir, free_port, packs, server_user
from tests.support.replication import await_true
from tests.support.restores import Source, conninfo, restore, restore_options, restored, source

ID = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
ROWS = "SELECT id, text FROM kept ORDER BY id"


@contextlib.contextmanager
def written(major: int) -> Iterator[Source]:
    """A source with a table of a few rows."""
    if bindir(major) is None:
        pytest.skip(f"PostgreSQL {major} is not installed on this machine")
    settings = {"summarize_wal": "on"} if major >= 17 else {}
    # Its passfile is for the modules under test to write.
    with source(major, "archive", "gzip", wal_keep_size="0", **settings) as made:
        made.server.sql("CREATE TABLE kept (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text)")
        write(made)
        yield made


@pytest.fixture(params=[15, 18], ids=lambda major: f"pg{major}")
def made(request: pytest.FixtureRequest) -> Iterator[Source]:
    with written(request.param) as found:
        yield found


@pytest.fixture
def newest() -> Iterator[Source]:
    with written(18) as found:
        yield found


def write(made: Source, rows: int = 100) -> None:
    made.server.sql(f"INSERT INTO kept (text) SELECT md5(n::text) FROM generate_series(1, {rows}) AS n")


def names(made: Source, place: str = "base") -> set[str]:
    return {path.name for path in (made.repository / place).iterdir()}


def told(made: Source, file: str) -> Any:
    return json.loads((made.repository / file).read_text())


def commands(result: dict[str, Any]) -> list[str]:
    """The commands of a result, with nothing in them of when it was."""
    return [ID.sub("ID", one) for one in result["commands"]]


def digests(directory: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file of a repository but those of its archives, to which the server writes by itself."""
    paths = [path for path in directory.rglob("*") if "wal" not in path.relative_to(directory).parts[0]]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def test_each_run_makes_a_backup_and_tells_of_it(made: Source) -> None:
    (made.server.home / "passfile").unlink()
    before = digests(made.repository)
    checked = run_module("pg_backup", check=True, **made.backup_options())
    assert digests(made.repository) == before
    assert not (made.server.home / "passfile").exists()
    first = ok("pg_backup", **made.backup_options())
    assert commands(checked) == commands(first)
    assert checked["changed"] is first["changed"] is True
    assert checked["backup"].keys() == {"id", "type"}
    assert (made.server.home / "passfile").stat().st_mode & 0o777 == 0o600
    second = ok("pg_backup", **made.backup_options())
    entries = [first["backup"], second["backup"]]
    assert entries[0]["id"] != entries[1]["id"]
    assert names(made) == {entry["id"] for entry in entries}
    for entry in entries:
        assert told(made, f"base/{entry['id']}/backup.json") == entry
    assert told(made, "catalog.json") == {"schema": "pgmahout.catalog", "version": 1, "cluster": "orders", "backups": entries}
    assert told(made, "status.json")["last_run"]["backup"] == entries[1]["id"]
    assert told(made, "status.json")["backups"]["count"] == 2
    assert 'pgmahout_backup_last_run_failed{cluster="orders"} 0\n' in (made.repository / "status.prom").read_text()
    assert_owned(made)


def assert_owned(made: Source) -> None:
    """All belongs to the server's account, which restores it, and nobody else reads what it holds."""
    if server_user() is not None:
        assert {path.owner() for path in made.repository.rglob("*") if not path.is_symlink()} == {server_user()}
    assert {path.stat().st_mode & 0o077 for path in (made.repository / "base").iterdir()} == {0}


def test_an_entry_says_what_was_taken_and_when(made: Source) -> None:
    before = made.server.sql("SELECT clock_timestamp(), pg_current_wal_insert_lsn(), system_identifier::text"
                             " FROM pg_control_system()")[0]
    entry = made.backup(format="tar", compress="gzip")
    after = made.server.sql("SELECT clock_timestamp(), pg_current_wal_lsn(), pg_snapshot_xmax(pg_current_snapshot())::text")[0]
    start, stop = (datetime.fromisoformat(entry[name].replace("Z", "+00:00")) for name in ("start_time", "stop_time"))
    assert before[0] <= start < stop <= after[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry["stop_time"])
    assert made.server.sql(f"SELECT '{before[1]}'::pg_lsn <= '{entry['start_lsn']}', '{entry['start_lsn']}'::pg_lsn <"
                           f" '{entry['stop_lsn']}', '{entry['stop_lsn']}'::pg_lsn <= '{after[1]}'") == [(True, True, True)]
    files = [path for path in (made.repository / "base" / entry["id"]).rglob("*") if path.is_file()]
    assert entry["size_bytes"] == sum(path.stat().st_size for path in files if path.name != "backup.json")
    assert 0 < entry["duration_seconds"] <= (after[0] - before[0]).total_seconds()
    fixed = {"type": "full", "parent": None, "format": "tar", "compress": "gzip", "cluster": "orders", "timeline": 1,
             "system_identifier": before[2], "version": made.server.major, "next_xid": int(after[2]), "verified": True,
             "archive": made.archive.name, "wal_segment_size": 1 << 20, "tablespaces": {},
             "source": f"127.0.0.1:{made.server.port}"}
    assert {name: entry[name] for name in fixed} == fixed
    assert entry.keys() == set(catalog.Entry._fields)


def test_a_run_that_fails_is_told_and_loses_nothing(made: Source) -> None:
    """The server is gone, it does not know the password, and what came is damaged."""
    kept = made.backup()
    wrong = made.backup_options()
    wrong["passfile_entries"] = [{**wrong["passfile_entries"][0], "password": "another"}]
    failures = {
        f"127.0.0.1:{made.server.port}|password": wrong,
        "refused": made.backup_options(conninfo={**conninfo(made.server), "port": str(free_port())}),
        "damaged": made.backup_options(bindir=damaging(made)),
    }
    for said, options in failures.items():
        before = digests(made.repository)
        run_module("pg_backup", check=True, **options)
        assert digests(made.repository) == before
        message = refused("pg_backup", **options)
        assert re.search(said, message), message
        assert "\n" not in message
        assert_failed(made, message, kept)
    again = made.backup()
    assert names(made) == {kept["id"], again["id"]}
    assert told(made, "status.json")["last_run"]["failed"] is False


def assert_failed(made: Source, message: str, kept: dict[str, Any]) -> None:
    status = told(made, "status.json")
    run = status["last_run"]
    assert (run["failed"], run["backup"], run["error"]) == (True, None, message)
    assert status["last_success"]["id"] == kept["id"]
    assert 'pgmahout_backup_last_run_failed{cluster="orders"} 1\n' in (made.repository / "status.prom").read_text()
    assert [entry["id"] for entry in told(made, "catalog.json")["backups"]] == [kept["id"]]
    assert {name for name in names(made) if "." not in name} == {kept["id"]}


def damaging(made: Source) -> str:
    """Programs of which pg_basebackup turns a byte of what it wrote."""
    directory = made.server.home / "damaging"
    directory.mkdir()
    programs = bindir(made.server.major)
    assert programs is not None
    for program in programs.iterdir():
        (directory / program.name).symlink_to(program)
    place = directory / "pg_basebackup"
    place.unlink()
    place.write_text(f"""#!/bin/sh
{programs}/pg_basebackup "$@" || exit
for argument; do
    case $argument in --pgdata=*) echo damaged >>"${{argument#--pgdata=}}/base/1/1259" ;; esac
done
""")
    place.chmod(0o755)
    return str(directory)


def test_retention_takes_what_no_kept_backup_needs_and_nothing_else(made: Source) -> None:
    taken = []
    for _ in range(4):
        write(made, 3000)
        made.ship()
        taken.append(made.backup(keep_count=100))
        write(made)
        made.ship()
    rows = made.server.sql(ROWS)
    archived = names(made, made.archive.name)
    last = ok("pg_backup", **made.backup_options(keep_count=3))
    kept = [*taken[2:], last["backup"]]
    assert last["removed"] == [entry["id"] for entry in taken[:2]]
    assert names(made) == {entry["id"] for entry in kept}
    assert [entry["id"] for entry in told(made, "catalog.json")["backups"]] == [entry["id"] for entry in kept]
    first = made.server.sql(f"SELECT pg_walfile_name('{kept[0]['start_lsn']}')")[0][0]
    gone = {name for name in archived if name[:24] < first}
    assert gone
    assert last["removed_segments"] == len(gone)
    assert names(made, made.archive.name) >= archived - gone
    assert not names(made, made.archive.name) & gone
    made.ship()
    with restored(made, backup=kept[0]["id"]) as done:
        assert done.server.sql(ROWS) == rows


def test_a_chain_goes_when_all_of_it_may(newest: Source) -> None:
    taken = []
    for _ in range(6):
        write(newest)
        taken.append(ok("pg_backup", **newest.backup_options(incremental=2, keep_count=1)))
    entries = [result["backup"] for result in taken]
    assert [entry["type"] for entry in entries] == ["full", "incremental", "incremental"] * 2
    assert [entry["parent"] for entry in entries[:4]] == [None, entries[0]["id"], entries[1]["id"], None]
    assert [result["removed"] for result in taken] == [[]] * 3 + [[entry["id"] for entry in entries[:3]], [], []]
    assert names(newest) == {entry["id"] for entry in entries[3:]}


def test_a_chain_holds_what_its_last_backup_held(newest: Source) -> None:
    for _ in range(3):
        write(newest, 300)
        newest.server.sql("UPDATE kept SET text = text || 'x' WHERE id % 7 = 0")
        made = newest.backup(incremental=2)
    rows = newest.server.sql(ROWS)
    newest.server.sql("DELETE FROM kept")
    newest.ship()
    with restored(newest, backup=made["id"], target_immediate=True) as done:
        assert done.chosen["backups"] == sorted(names(newest))
        assert done.server.sql(ROWS) == rows


def test_incremental_backups_are_refused_where_the_server_does_not_summarize_its_wal() -> None:
    with source(15) as made:
        assert "version 17" in refused("pg_backup", **made.backup_options(incremental=1))
        assert not (made.repository / "base").exists()


def test_what_a_killed_run_left_goes_with_the_next(newest: Source) -> None:
    first = newest.backup()
    with module_process("pg_backup", **newest.backup_options(max_rate="1M")):
        await_true(lambda: any((newest.repository / "base").glob("*.pgmahout-new/data/base/*")))
    left = names(newest) - {first["id"]}
    assert len(left) == 1
    (newest.repository / "base/20200101T000000Z.pgmahout-removed/data").mkdir(parents=True)
    (newest.repository / "wal-20200101T000000Z.pgmahout-removed").mkdir()
    second = newest.backup()
    assert names(newest) == {first["id"], second["id"]}
    assert list(newest.repository.rglob("*pgmahout-*")) == []
    arguments = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(left.copy().pop().encode() in one for one in arguments)


@pytest.mark.parametrize("options", [{}, {"format": "tar", "compress": "gzip"}], ids=["plain", "tar"])
def test_no_secret_is_told_or_kept(newest: Source, options: dict[str, str]) -> None:
    seen = set()
    with module_process("pg_backup", **newest.backup_options(max_rate="4M", **options)) as process:
        while process.poll() is None:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(path.read_bytes())
        assert process.stdout is not None
        printed = process.stdout.read()
    commands = [one for one in seen if b"pg_basebackup" in one and b"tests.support" not in one]
    assert commands
    # A part of it that is written the same way everywhere.
    secret = "s3cr'et"
    assert secret in instances.PASSWORD
    assert not any(secret.encode() in one for one in commands)
    assert json.loads(printed)["changed"] is True
    assert secret not in printed
    holding = [path for path in newest.server.home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert holding == [newest.server.home / "passfile"]


@pytest.mark.parametrize("form", ["plain", "tar"])
def test_a_backup_names_the_archive_of_its_server(made: Source, form: str) -> None:
    lineage = made.server.data / "pgmahout.archive"
    for name in ("wal-20261122T190102Z", "wal"):
        lineage.write_text(name + "\n")
        if name == "wal":
            lineage.unlink()
        assert made.backup(format=form)["archive"] == name
        assert told(made, "catalog.json")["backups"][-1]["archive"] == name


#: Backups of a server with tablespaces: its version, the options of pg_backup, how many incremental ones follow the full one.
TABLESPACES: dict[str, tuple[int, dict[str, str], int]] = {
    "plain-15": (15, {}, 0),
    "plain-18": (18, {}, 0),
    "tar-15": (15, {"format": "tar", "compress": "zstd"}, 0),
    "tar-18": (18, {"format": "tar", "compress": "gzip"}, 0),
    "chain-18": (18, {}, 2),
    "tar-chain-18": (18, {"format": "tar", "compress": "gzip"}, 2),
}


@contextlib.contextmanager
def with_tablespaces(case: str) -> Iterator[Source]:
    """A source with two tablespaces, the second of which was made behind the first backup of a chain, and its backups."""
    major, options, incremental = TABLESPACES[case]
    if not packs(options.get("compress", "none")):
        pytest.skip("the program that unpacks it is not installed on this machine")
    with written(major) as made:
        add_tablespace(made, "fast")
        if incremental:
            made.backup(**options)
        add_tablespace(made, "late=er")
        for _ in range(max(incremental, 1)):
            made.server.sql("INSERT INTO fast SELECT generate_series(1, 5000); UPDATE fast SET id = -id WHERE id % 9 = 0")
            made.backup("last", incremental=incremental, **options)
        made.server.sql("DELETE FROM fast WHERE id % 5 = 0")
        made.ship()
        yield made


def add_tablespace(made: Source, name: str) -> None:
    place = made.server.home / name
    place.mkdir()
    shutil.chown(place, made.server.data.owner())
    made.server.sql(f"CREATE TABLESPACE \"{name}\" LOCATION '{place}'")
    made.server.sql(f"CREATE TABLE \"{name}\" TABLESPACE \"{name}\" AS SELECT n AS id FROM generate_series(1, 3000) AS n")


def rows_of(server: Server) -> Any:
    return server.sql('SELECT array_agg(id ORDER BY id) FROM fast'), server.sql('SELECT array_agg(id ORDER BY id) FROM "late=er"')


def mapping(made: Source, server: Server) -> dict[str, str]:
    return {str(made.server.home / name): str(server.home / "spaces" / name) for name in ("fast", "late=er")}


def leftovers(server: Server) -> list[Path]:
    return list(server.home.rglob("*.pgmahout-*"))


@pytest.mark.parametrize("case", TABLESPACES)
def test_tablespaces_are_kept_moved_and_restored(case: str) -> None:
    with with_tablespaces(case) as made, instances.place(made.server.major) as server:
        oids = dict(made.server.sql("SELECT oid::text, pg_tablespace_location(oid) FROM pg_tablespace WHERE oid > 16383"))
        assert made.backups["last"]["tablespaces"] == oids
        rows = rows_of(made.server)
        moved = made.server.home / "elsewhere"
        made.repository.rename(moved)
        verify(made, moved)
        options = restore_options(made, server, directory=str(moved))
        assert "not empty" in refused("pg_backup_restore", **options)
        wanted = mapping(made, server)
        ok("pg_backup_restore", **options, tablespace_mapping=wanted)
        assert {path.name: str(path.readlink()) for path in (server.data / "pg_tblspc").iterdir()} == {
            oid: wanted[place] for oid, place in oids.items()}
        restore(made, server, directory=str(moved), tablespace_mapping=wanted)
        assert rows_of(server) == rows
        assert set(server.sql("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE oid > 16383")) == {
            (place,) for place in wanted.values()}
        assert leftovers(server) == []
        verify(made, moved)
        assert ok("pg_backup_restore", **options, tablespace_mapping=wanted)["changed"] is False
        moved.rename(made.repository)


def verify(made: Source, repository: Path) -> None:
    """Let PostgreSQL itself verify the backups where they are, as far as it can read them."""
    for entry in made.backups.values():
        form = ["--format=tar", "--no-parse-wal"] if entry["format"] == "tar" else []
        if made.server.major >= 18 or not form:
            made.server.run("pg_verifybackup", *form, str(repository / "base" / entry["id"] / "data"))


@pytest.mark.parametrize("case", ["plain-15", "tar-15", "tar-18", "tar-chain-18"])
def test_a_restore_with_tablespaces_that_failed_or_was_killed_is_taken_up_by_the_next(case: str) -> None:
    with with_tablespaces(case) as made, instances.place(made.server.major) as server:
        rows = rows_of(made.server)
        options = restore_options(made, server, tablespace_mapping=mapping(made, server))
        damaged = max((path for path in (made.repository / "base" / made.backups["last"]["id"]).rglob("*")
                       if re.search(r"/tablespaces/.*/\d+$|/data/\d+\.tar", str(path))), key=lambda path: path.stat().st_size)
        with flipped(damaged):
            assert "damaged" in refused("pg_backup_restore", **options)
        assert not server.data.exists()
        ok("pg_backup_restore", **options)
        assert leftovers(server) == []
        # As a run leaves it that is killed in front of its last step, once with one tablespace in its place and once with both.
        for place in [[], ["fast"]]:
            server.data.rename(server.home / "data.pgmahout-new")
            for name in place:
                (server.home / "spaces" / name).rename(server.home / "spaces" / f"{name}.pgmahout-new")
            ok("pg_backup_restore", **options)
            assert leftovers(server) == []
        # Another target before the server was started.
        ok("pg_backup_restore", **options, target_immediate=True)
        restore(made, server, tablespace_mapping=options["tablespace_mapping"])
        assert rows_of(server) == rows
        assert leftovers(server) == []


def test_tablespaces_of_somebody_else_are_left_alone(newest: Source) -> None:
    add_tablespace(newest, "fast")
    newest.backup()
    with instances.place(18) as server:
        place = server.home / "spaces"
        wanted = {str(newest.server.home / "fast"): str(place)}
        (place / "theirs").mkdir(parents=True)
        options = restore_options(newest, server, tablespace_mapping=wanted)
        assert str(place) in refused("pg_backup_restore", **options)
        assert (place / "theirs").exists()
        assert "/nowhere" in refused("pg_backup_restore", **{**options, "tablespace_mapping": {**wanted, "/nowhere": "/there"}})
        assert not server.data.exists()
