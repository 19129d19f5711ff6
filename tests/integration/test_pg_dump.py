# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_dump`` on real servers: a dump that is whole and readable, or not there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import VERSIONS
from tests.support.dumps import holding, known_by_password, options, wrapped, writable
from tests.support.faults import module_process, small_disk
from tests.support.modules import ok, refused, run_module
from tests.support.playbooks import wait_until
from tests.support.postgres import Server, bindir
from tests.support.statements import Watch

MODULE = "pg_dump"
NAME = "test dump"
newest_only = pytest.mark.parametrize("server", [18], indirect=True, ids=["pg18"])


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda major: f"pg{major}")
def server(request: pytest.FixtureRequest, server_of: Callable[[int], Server]) -> Iterator[Server]:
    """A server with a database to dump."""
    with holding(server_of(request.param), NAME) as given:
        yield given


@pytest.fixture
def place() -> Iterator[Path]:
    with writable() as made:
        yield made


def dump(server: Server, **keywords: Any) -> dict[str, Any]:
    return options(server, **{"database": NAME, **keywords})


def listing(server: Server, path: str) -> str:
    return server.run("pg_restore", "--list", path).stdout


@pytest.mark.parametrize("format", ["custom", "directory", "tar", "plain"])
def test_a_dump_is_whole_closed_to_others_and_made_once(server: Server, place: Path, format: str) -> None:
    given, watch = dump(server, dest=str(place / "deep" / "it"), format=format), Watch(server)
    predicted = ok(MODULE, check=True, **given)
    assert list(place.iterdir()) == []
    assert [text for text in watch.writing() if not text.startswith("SET ")] == []
    done = ok(MODULE, **given)
    assert (predicted["commands"], predicted["diff"]) == (done["commands"], done["diff"])
    assert [text.split()[0] for text in done["commands"]] == ["pg_dump", "tail" if format == "plain" else "pg_restore", "mv"]
    assert os.listdir(place / "deep") == ["it"]
    status = (place / "deep" / "it").stat()
    assert status.st_mode & 0o777 == (0o700 if format == "directory" else 0o600)
    assert status.st_uid == server.data.stat().st_uid
    assert done["size_bytes"] > 1000
    watch = Watch(server)
    again = ok(MODULE, **given)
    assert (again["changed"], again["commands"], again["dest"]) == (False, [], done["dest"])
    assert watch.statements() == []


@newest_only
def test_another_format_or_something_else_is_refused_and_replaced_only_on_request(server: Server, place: Path) -> None:
    ok(MODULE, **dump(server, dest=str(place / "it"), format="directory"))
    assert "format custom was asked for in %s/it and one in the format directory is there" % place in refused(
        MODULE, **dump(server, dest=str(place / "it")))
    assert ok(MODULE, **dump(server, dest=str(place / "it"), on_exists="replace"))["changed"] is True
    assert "pg_dump version" in listing(server, str(place / "it"))
    (place / "other").write_text("precious")
    for on_exists in ("keep", "replace"):
        assert "something that is no dump is there" in refused(
            MODULE, **dump(server, dest=str(place / "other"), on_exists=on_exists))
    assert (place / "other").read_text() == "precious"
    assert sorted(os.listdir(place)) == ["it", "other"]


@newest_only
@pytest.mark.parametrize(("first", "second", "steps"), [
    ("directory", "directory", ["pg_dump", "pg_restore", "mv", "mv", "rm"]), ("custom", "tar", ["pg_dump", "pg_restore", "mv"]),
    ("directory", "custom", ["pg_dump", "pg_restore", "mv", "mv", "rm"]),
    ("plain", "directory", ["pg_dump", "pg_restore", "mv", "mv", "rm"])])
def test_any_format_is_replaced_by_any(server: Server, place: Path, first: str, second: str, steps: list[str]) -> None:
    given = dump(server, dest=str(place / "it"), on_exists="replace", content="schema")
    ok(MODULE, **given, format=first)
    assert [text.split()[0] for text in ok(MODULE, **given, format=second)["commands"]] == steps
    assert (place / "it").is_dir() == (second == "directory")
    assert os.listdir(place) == ["it"]


def test_a_series_keeps_the_newest(server: Server, place: Path) -> None:
    given = dump(server, directory=str(place / "series"), keep=2, content="schema")
    (place / "series").mkdir()
    for name in ("20200101T000000Z.dump", "20200101T000000Z-2.dump", "20200101T000000Z-10.dir.pgmahout-new", "notes.txt"):
        (place / "series" / name).touch()
    shutil.chown(place / "series", server.data.stat().st_uid)
    predicted = ok(MODULE, check=True, **given)
    done = ok(MODULE, **given)
    assert predicted["removed"] == done["removed"] == [str(place / "series" / "20200101T000000Z.dump")]
    assert set(os.listdir(place / "series")) == {"20200101T000000Z-2.dump", os.path.basename(done["dest"]), "notes.txt"}
    second, third = ok(MODULE, **given), ok(MODULE, **given)
    assert sorted(os.listdir(place / "series")) == sorted(
        [os.path.basename(second["dest"]), os.path.basename(third["dest"]), "notes.txt"])


def test_parts_are_what_was_named_and_their_partitions(server: Server, place: Path) -> None:
    def held(**keywords: Any) -> set[str]:
        done = ok(MODULE, **dump(server, directory=str(place / "parts"), **keywords))
        tables = [line.split()[4:-1] for line in listing(server, done["dest"]).splitlines()
                  if line.split()[3:4] == ["TABLE"] and "ATTACH" not in line]
        return {" ".join(words).replace("DATA ", "DATA: ", 1) for words in tables}

    order = 'odd s Or"der.*'
    assert held(schemas=["odd s"], content="schema") == {order, "odd s part 2"}
    assert held(tables=['odd s."Or""der.*"']) == {order, "DATA: " + order}
    assert held(tables=["part", "visit"], exclude_table_data=["visit"]) == {
        "public part", "public part1", "odd s part 2", "DATA: public part1", "DATA: odd s part 2", "public visit"}
    assert held(exclude_schemas=["odd s", "odd"], exclude_tables=["part", "texts"], content="schema") == {
        "public customer", "public visit"}


def test_what_is_missing_is_an_error_where_it_is_wanted_and_a_warning_where_it_is_not(server: Server, place: Path) -> None:
    for check in (True, False):
        message = refused(MODULE, check=check, **dump(server, dest=str(place / "it"), tables=["visit", "nope", 'x."no.pe"']))
        assert 'the table "public"."nope", "x"."no.pe" was asked for' in message
        assert 'the schema "nope" was asked for' in refused(MODULE, check=check, **dump(
            server, dest=str(place / "it"), schemas=["public", "nope"]))
        assert "Could not connect to database 'nope'" in refused(MODULE, check=check, **dump(
            server, dest=str(place / "it"), database="nope"))
    assert list(place.iterdir()) == []
    done = ok(MODULE, **dump(server, dest=str(place / "it"), exclude_tables=["nope"]))
    assert '"public"."nope" was to be excluded and does not exist.' in str(done["warnings"])


@pytest.mark.parametrize("compress", ["none", "gzip", "gzip:1", "zstd:3", "lz4"])
@pytest.mark.parametrize("format", ["custom", "directory", "plain"])
def test_each_compression_that_the_build_has(server: Server, place: Path, compress: str, format: str) -> None:
    given = dump(server, dest=str(place / "it"), format=format, compress=compress)
    done = run_module(MODULE, check=True, **given)
    if done.get("failed"):
        assert compress.startswith(("zstd", "lz4"))
        assert "which knows gzip alone" in done["msg"] if server.major < 16 else "was built without it" in done["msg"]
        assert refused(MODULE, **given) == done["msg"]
        return
    size = ok(MODULE, **given)["size_bytes"]
    whole = ok(MODULE, **dump(server, dest=str(place / "whole"), format=format, compress="none"))["size_bytes"]
    assert size < whole or compress == "none"
    assert ok(MODULE, **given)["changed"] is False


def test_the_roles_and_the_whole_cluster(server: Server, place: Path) -> None:
    server.sql("CREATE ROLE test_dumped LOGIN PASSWORD 'geheim7'", options="-c log_statement=none")
    try:
        roles = ok(MODULE, **options(server, dest=str(place / "roles"), scope="globals"))
        without = ok(MODULE, **options(server, dest=str(place / "without"), scope="globals", role_passwords=False))
        ok(MODULE, **options(server, dest=str(place / "all"), scope="cluster"))
    finally:
        server.sql("DROP ROLE test_dumped")
    assert "CREATE ROLE test_dumped;" in (place / "roles").read_text()
    assert "SCRAM-SHA-256$" in (place / "roles").read_text()
    assert "SCRAM-SHA-256$" not in (place / "without").read_text()
    assert "SCRAM" not in json.dumps([roles, without])
    assert '\\connect -reuse-previous=on "dbname=' in (place / "all").read_text()


def test_a_server_newer_than_the_programs_is_refused(server_of: Callable[[int], Server], place: Path) -> None:
    new = server_of(18)
    if bindir(15) is None:
        pytest.skip("PostgreSQL 15 is not installed on this machine")
    for scope in ("database", "cluster"):
        given = {"database": "postgres"} if scope == "database" else {}
        assert "The server has version 18 and the pg_dump" in refused(
            MODULE, **options(new, dest=str(place / "it"), scope=scope, bindir=str(bindir(15)), **given))
    assert list(place.iterdir()) == []


@newest_only
def test_who_may_not_read_is_told_and_nothing_stays(server: Server, place: Path) -> None:
    server.sql("CREATE ROLE test_stranger LOGIN")
    try:
        given = dump(server, dest=str(place / "it"))
        said = refused(MODULE, **{**given, "conninfo": {**given["conninfo"], "user": "test_stranger"}})
        assert "The database 'test dump' could not be dumped: " in said
        assert "permission denied for" in said
    finally:
        server.sql("DROP ROLE test_stranger")
    assert list(place.iterdir()) == []


@newest_only
def test_a_lock_is_not_awaited_forever(server: Server, place: Path) -> None:
    holder = server.connect(NAME)
    holder.autocommit = False
    try:
        holder.cursor().execute("LOCK TABLE visit IN ACCESS EXCLUSIVE MODE")
        assert "a table has been locked by somebody else for the 1 s of lock_wait_timeout" in refused(MODULE, **dump(
            server, dest=str(place / "it"), lock_wait_timeout=1))
    finally:
        holder.close()
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("format", ["custom", "directory", "plain"])
@newest_only
def test_a_run_that_is_killed_leaves_no_dump_and_the_next_one_cleans_up(server: Server, place: Path, format: str) -> None:
    given = dump(server, directory=str(place / "series"), format=format)
    holder = server.connect(NAME)
    holder.autocommit = False
    holder.cursor().execute("LOCK TABLE visit IN ACCESS EXCLUSIVE MODE")
    with module_process(MODULE, **given):
        wait_until(lambda: server.sql(
            "SELECT FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'") != [])
    holder.close()
    left = os.listdir(place / "series") if (place / "series").exists() else []
    assert [name for name in left if not name.endswith(".pgmahout-new")] == []
    done = ok(MODULE, **given)
    assert os.listdir(place / "series") == [os.path.basename(done["dest"])]


@newest_only
@pytest.mark.parametrize(("format", "damage", "told"), [
    ("custom", 'truncate -s -200 "$file"', "cannot be read back: could not read from input file: end of file"),
    ("custom", 'printf XXXXXXXX | dd of="$file" bs=1 seek=$(($(stat -c %s "$file") / 2)) conv=notrunc', "cannot be read back: "),
    ("directory", 'rm "$(ls "$file"/*.dat.gz | head -1)"', "cannot be read back: could not open input file"),
    ("plain", 'truncate -s -100 "$file"', "does not end as a dump does"),
    ("plain:gzip", 'truncate -s -20 "$file"', "is damaged: Compressed file ended"),
])
def test_a_dump_that_cannot_be_read_back_gets_no_name(server: Server, place: Path, format: str, damage: str, told: str) -> None:
    script = ('{real} "$@" || exit\nfor a; do case $a in --file=*) file=${a#--file=};; esac; done\n[ -z "$file" ] || {\n'
              + damage + "\n}")
    programs = wrapped(server, place, {"pg_dump": script})
    name, _colon, compress = format.partition(":")
    given = dump(server, dest=str(place / "out" / "it"), format=name, compress=compress, bindir=str(programs))
    assert told in refused(MODULE, **given)
    assert os.listdir(place / "out") == []


@newest_only
@pytest.mark.parametrize("format", ["custom", "directory", "tar", "plain"])
def test_a_full_disk_is_told_and_leaves_nothing_and_the_next_run_works(server: Server, place: Path, format: str) -> None:
    server.sql("CREATE TABLE big AS SELECT sha512(g::text::bytea) FROM generate_series(1, 9000) g", NAME)
    try:
        with small_disk(place / "small", "128k") as small:
            given = dump(server, dest=str(small / "it"), format=format)
            assert "No space left on device" in refused(MODULE, **given)
            assert os.listdir(small) == []
            ok(MODULE, **given, exclude_table_data=["big"], schemas=["public"])
            assert os.listdir(small) == ["it"]
    finally:
        server.sql("DROP TABLE big", NAME)


@newest_only
def test_no_password_is_anywhere_to_be_read(server: Server, place: Path) -> None:
    script = 'cat /proc/$$/cmdline >> %s/seen; env >> %s/seen; exec {real} "$@"' % (place, place)
    programs = wrapped(server, place, {"pg_dump": script})
    with known_by_password(server, place) as conninfo:
        done = ok(MODULE, **dump(server, dest=str(place / "out" / "it"), bindir=str(programs), conninfo=conninfo))
        Path(conninfo["passfile"]).write_text("*:*:*:*:falsch\n")
        said = refused(MODULE, **dump(server, dest=str(place / "out" / "other"), conninfo=conninfo))
    assert "password authentication failed" in said
    seen = (place / "seen").read_text(errors="replace")
    assert "--dbname=" in seen
    for secret in ("geheim", "falsch"):
        assert secret not in json.dumps(done) + said + seen + server.log
    assert "holds password" in refused(MODULE, **dump(server, dest=str(place / "x"), conninfo={**conninfo, "password": "falsch"}))
