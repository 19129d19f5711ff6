# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_restore`` on real servers: what was dumped is there again, row by row, or nothing of it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import VERSIONS
from tests.support.dumps import CONTENT, filled, fingerprint, holding, known_by_password, options, wrapped, writable
from tests.support.faults import module_process
from tests.support.modules import ok, refused
from tests.support.playbooks import wait_until
from tests.support.postgres import Server, bindir, scratch_server
from tests.support.statements import Watch

MODULE = "pg_restore"
SOURCE, TARGET = "test dumped", 'test "restored'
FORMATS = ["custom", "directory", "tar", "plain", "plain:gzip"]
newest_only = pytest.mark.parametrize("server", [18], indirect=True, ids=["pg18"])


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda major: f"pg{major}")
def server(request: pytest.FixtureRequest, server_of: Callable[[int], Server]) -> Iterator[Server]:
    """A server with a database that is dumped."""
    with holding(server_of(request.param), SOURCE) as given:
        yield given


@pytest.fixture
def place(server: Server) -> Iterator[Path]:
    """A directory that the server's account may write; the target is dropped before and after."""
    drop(server)
    with writable() as made:
        yield made
    drop(server)


def drop(server: Server) -> None:
    for name in (TARGET, TARGET + ".pgmahout"):
        server.sql('DROP DATABASE IF EXISTS "%s" WITH (FORCE)' % name.replace('"', '""'))


def create(server: Server, text: str = "") -> None:
    server.sql('CREATE DATABASE "%s" TEMPLATE template0' % TARGET.replace('"', '""'))
    if text:
        server.sql(text, TARGET)


def names(server: Server) -> set[str]:
    return {row[0] for row in server.sql("SELECT datname FROM pg_database WHERE datname LIKE 'test \"%'")}


def dumped(server: Server, place: Path, format: str = "custom", **keywords: Any) -> str:
    """Dump the source, and return the path of the dump."""
    format, _colon, compress = format.partition(":")
    given = {"database": SOURCE, "directory": str(place / "series"), "format": format, "compress": compress, **keywords}
    return str(ok("pg_dump", **options(server, **given))["dest"])


def restore(server: Server, source: str, **keywords: Any) -> dict[str, Any]:
    return options(server, source=source, **{"database": TARGET, **keywords})


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("create_it", [True, False], ids=["created", "given"])
def test_what_was_dumped_is_there_again(server: Server, place: Path, format: str, create_it: bool) -> None:
    source = dumped(server, place, format)
    if not create_it:
        create(server)
    given, watch = restore(server, source, create=create_it), Watch(server)
    predicted = ok(MODULE, check=True, **given)
    assert watch.writing() == []
    done = ok(MODULE, **given)
    assert (predicted["commands"], predicted["diff"]) == (done["commands"], done["diff"])
    assert fingerprint(server, TARGET) == fingerprint(server, SOURCE)
    assert names(server) == {TARGET}
    assert 'holds "odd"."s Or""der.*" and 12 more already' in refused(MODULE, **given)
    watch = Watch(server)
    for check in (True, False):
        again = ok(MODULE, check=check, **{**given, "when_not_empty": "skip"})
        assert (again["changed"], again["commands"]) == (False, [])
    assert watch.writing() == []
    said = refused(MODULE, **{**given, "when_not_empty": "restore"})
    assert "already exists" in said
    if not format.startswith("plain"):
        assert ', at CREATE SCHEMA odd; nothing of it stays' in said


@pytest.mark.parametrize("format", ["custom", "directory"])
def test_several_jobs_bring_the_same(server: Server, place: Path, format: str) -> None:
    source = dumped(server, place, format, **({"jobs": 3} if format == "directory" else {}))
    done = ok(MODULE, **restore(server, source, create=True, jobs=3))
    assert "--single-transaction" not in json.dumps(done["commands"])
    assert fingerprint(server, TARGET) == fingerprint(server, SOURCE)


@pytest.mark.parametrize("format", ["custom", "plain"])
def test_clean_brings_back_what_was_changed(server: Server, place: Path, format: str) -> None:
    # PostgreSQL's --clean cannot drop the primary key of a partition, so this is without partitions.
    source = dumped(server, place, format, exclude_tables=["part"])
    create(server, CONTENT)
    server.sql("DROP TABLE part", TARGET)
    server.sql("DELETE FROM visit; DROP TABLE texts", TARGET)
    if format == "plain":
        assert "option clean was given" in refused(MODULE, **restore(server, source, clean=True))
        return
    server.sql("SELECT lo_unlink(oid) FROM pg_largeobject_metadata", TARGET)
    ok(MODULE, **restore(server, source, clean=True))
    found, wanted = fingerprint(server, TARGET), fingerprint(server, SOURCE)
    assert {name: found[name] for name in found if "part" not in name and not name.startswith("SELECT")} == {
        name: wanted[name] for name in wanted if "part" not in name and not name.startswith("SELECT")}
    assert server.sql("SELECT oid FROM pg_largeobject_metadata ORDER BY 1", TARGET) == [(4711,), (4712,)]


@pytest.mark.parametrize("format", ["custom", "directory", "tar"])
def test_one_table_comes_with_all_that_is_part_of_it(server: Server, place: Path, format: str) -> None:
    source = dumped(server, place, format)
    create(server, "CREATE TYPE mood AS ENUM ('a', 'b')")
    ok(MODULE, **restore(server, source, tables=['odd s."Or""der.*"']))
    wanted = fingerprint(server, SOURCE)
    found = fingerprint(server, TARGET)
    order = '"odd s"."Or""der.*"'
    assert set(found) - {text for text in found if text.startswith("SELECT")} == {
        order, '"odd s"."Or""der.*_id_seq"', '"odd s"."Or""der.*_pkey"', '"odd s"."an index"'}
    assert {name: wanted[name] for name in found if not name.startswith("SELECT")} == {
        name: found[name] for name in found if not name.startswith("SELECT")}
    assert sorted(found["SELECT description FROM pg_description WHERE objoid >= 16384 OR classoid = 2613 ORDER BY 1"]) == [
        ("c",), ("it's odd",)]
    ok(MODULE, **restore(server, source, tables=["part", "customer"]))
    ok(MODULE, **restore(server, source, tables=["visit"], when_not_empty="skip"), check=True)
    found = fingerprint(server, TARGET)
    for name in ("part", "part1", '"odd s"."part 2"', "customer", "part1_pkey"):
        assert found["public." + name if not name.startswith('"') else name] == wanted[
            "public." + name if not name.startswith('"') else name]
    server.sql("CREATE FUNCTION tells() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'", TARGET)
    ok(MODULE, **restore(server, source, tables=["visit"]))
    assert fingerprint(server, TARGET)["public.visit"] == wanted["public.visit"]
    assert server.sql("SELECT count(*) FROM pg_policies", TARGET) == [(1,)]
    keys = "SELECT count(*) FROM pg_constraint WHERE conrelid = 'visit'::regclass AND contype IN ('p', 'f')"
    assert server.sql(keys, TARGET) == [(2,)]


def test_one_schema_comes_with_itself(server: Server, place: Path) -> None:
    source = dumped(server, place)
    create(server)
    ok(MODULE, **restore(server, source, schemas=["odd"]))
    assert fingerprint(server, TARGET, "odd.") == fingerprint(server, SOURCE, "odd.") != {}
    assert server.sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'odd%'", TARGET) == [("odd",)]


def test_what_the_dump_does_not_hold_is_an_error_and_changes_nothing(server: Server, place: Path) -> None:
    source = dumped(server, place)
    for keywords, said in [({"tables": ["visit", "nope", "odd.nope"]},
                            'The table "public"."nope", table "odd"."nope" was asked for'),
                           ({"schemas": ["odd", "nope"]}, 'The schema "nope" was asked for')]:
        for check in (True, False):
            assert said in refused(MODULE, check=check, **restore(server, source, create=True, **keywords))
    assert "the server has none of that name" in refused(MODULE, **restore(server, source))
    assert names(server) == set()


def test_rows_go_into_definitions_that_are_there(server: Server, place: Path) -> None:
    source = dumped(server, place)
    ok(MODULE, **restore(server, source, create=True, content="schema"))
    assert server.sql("SELECT count(*) FROM customer", TARGET) == [(0,)]
    given = restore(server, source, content="data", tables=["customer", "part"])
    ok(MODULE, **given)
    assert server.sql("SELECT count(*) FROM customer, part", TARGET) == [(40,)]
    assert 'holds rows of "public"."customer" already' in refused(MODULE, **given)
    assert ok(MODULE, **{**given, "when_not_empty": "skip"})["changed"] is False


@pytest.mark.parametrize("format", FORMATS)
def test_a_restore_that_fails_is_a_failure_and_nothing_of_it_stays(server: Server, place: Path, format: str) -> None:
    """It fails by the last of the rows, so that definitions and other rows have been made by then."""
    server.sql("CREATE TABLE zz (a int); INSERT INTO zz VALUES (7), (7)", SOURCE)
    try:
        source = dumped(server, place, format)
    finally:
        server.sql("DROP TABLE zz", SOURCE)
    create(server, "CREATE FUNCTION clash() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN IF EXISTS (SELECT FROM pg_class"
           " WHERE relname = 'zz' AND NOT EXISTS (SELECT FROM pg_indexes WHERE indexname = 'u'))"
           " THEN CREATE UNIQUE INDEX u ON public.zz (a); END IF; END $$;"
           "CREATE EVENT TRIGGER e ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION clash()")
    said = refused(MODULE, **restore(server, source))
    assert "nothing of it stays" in said
    assert 'duplicate key value violates unique constraint "u"' in said
    assert "Key (a)" not in said
    if not format.startswith("plain"):
        assert 'COPY failed for table "zz"' in said
    assert server.sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace", TARGET) == [(0,)]
    assert server.sql("SELECT count(*) FROM pg_largeobject_metadata", TARGET) == [(0,)]


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_database_that_is_created_is_whole_or_not_there(server: Server, place: Path, jobs: int) -> None:
    server.sql("CREATE TABLE zz (a int); INSERT INTO zz VALUES (7), (7)", SOURCE)
    source = dumped(server, place)
    server.sql("DROP TABLE zz", SOURCE)
    script = "{real} \"$@\" || exit\ncase $* in *--list*) ;; *) echo 'pg_restore: error: it broke' >&2; exit 1;; esac"
    programs = wrapped(server, place, {"pg_restore": script, "psql": script})
    said = refused(MODULE, **restore(server, source, create=True, jobs=jobs, bindir=str(programs)))
    assert "it broke" in said
    assert names(server) == set()


#: A table that takes minutes to fill, wherever a role is set to be slow.
SLOW = """
CREATE FUNCTION slow(a int) RETURNS bool LANGUAGE plpgsql AS
  $$ BEGIN IF current_setting('test.slow', true) = 'on' THEN PERFORM pg_sleep(600); END IF; RETURN true; END $$;
CREATE TABLE zz (a int CHECK (public.slow(a))); INSERT INTO zz VALUES (1);
"""


@newest_only
@pytest.mark.parametrize("format", ["custom", "plain"])
@pytest.mark.parametrize("create_it", [True, False], ids=["created", "given"])
def test_a_run_that_is_killed_is_made_good_by_the_next(server: Server, place: Path, format: str, create_it: bool) -> None:
    server.sql(SLOW, SOURCE)
    wanted = fingerprint(server, SOURCE)
    try:
        source = dumped(server, place, format)
    finally:
        server.sql("DROP TABLE zz; DROP FUNCTION slow", SOURCE)
    if not create_it:
        create(server)
    given = restore(server, source, create=create_it)
    server.sql("ALTER ROLE postgres SET test.slow = 'on'")
    sleeping = "FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    try:
        with module_process(MODULE, **given):
            wait_until(lambda: server.sql("SELECT " + sleeping) != [])
    finally:
        server.sql("ALTER ROLE postgres RESET test.slow")
        server.sql("SELECT pg_terminate_backend(pid, 10000) " + sleeping)
    assert names(server) == ({TARGET + ".pgmahout"} if create_it else {TARGET})
    done = ok(MODULE, **given)
    assert done["commands"][0].startswith("DROP DATABASE") == create_it
    assert fingerprint(server, TARGET) == wanted
    assert names(server) == {TARGET}


@newest_only
def test_a_text_that_stops_in_the_middle_or_has_an_error_there_changes_nothing(server: Server, place: Path) -> None:
    source = Path(dumped(server, place, "plain"))
    text = source.read_text()
    create(server)
    source.write_text(text[:len(text) // 2])
    for check in (True, False):
        assert "does not end as a dump does" in refused(MODULE, check=check, **restore(server, str(source)))
    broken = text.replace("CREATE TABLE public.visit", "CREATE TABEL public.visit")
    assert broken != text
    source.write_text(broken)
    line = broken[:broken.index("CREATE TABEL")].count("\n") + 1
    # The text begins with a line of ours, and psql names the line on which the statement ends or is.
    said = refused(MODULE, **restore(server, str(source)))
    assert 'syntax error at or near "TABEL"' in said
    assert f"psql:<stdin>:{line}" in said or "<stdin>" not in said
    assert server.sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace", TARGET) == [(0,)]
    assert "what came before stays" in refused(MODULE, **restore(server, str(source), single_transaction=False))
    assert server.sql("SELECT count(*) > 0 FROM pg_class WHERE relnamespace = 'public'::regnamespace", TARGET) == [(True,)]


@newest_only
def test_a_damaged_archive_is_told_and_changes_nothing(server: Server, place: Path) -> None:
    source = Path(dumped(server, place))
    whole = source.read_bytes()
    source.write_bytes(whole[:100])
    assert "cannot be read: " in refused(MODULE, **restore(server, str(source), create=True))
    source.write_bytes(whole[:-300])
    assert "could not be restored: " in refused(MODULE, **restore(server, str(source), create=True))
    source.write_text("precious")
    assert "that is no dump" in refused(MODULE, **restore(server, str(source), create=True))
    assert "nothing is there" in refused(MODULE, **restore(server, str(place / "nowhere"), create=True))
    assert names(server) == set()


@newest_only
def test_a_text_can_be_restored_as_another_role(server: Server, place: Path) -> None:
    server.sql('CREATE ROLE "test Owner"')
    try:
        server.sql("CREATE DATABASE test_small")
        server.sql("CREATE TABLE t AS SELECT 1 AS a", "test_small")
        for format in ("plain", "custom"):
            source = dumped(server, place, format, database="test_small", no_owner=True)
            create(server, 'GRANT ALL ON SCHEMA public TO "test Owner"')
            ok(MODULE, **restore(server, source, role="test Owner", **({} if format == "plain" else {"no_owner": True})))
            assert server.sql("SELECT relowner::regrole::text FROM pg_class WHERE relname = 't'", TARGET) == [('"test Owner"',)]
            drop(server)
    finally:
        server.sql("DROP DATABASE test_small")
        server.sql('DROP ROLE "test Owner"')


@pytest.mark.parametrize("compress", [False, True])
def test_the_roles_are_there_again_with_the_superuser_already_there(server: Server, place: Path, compress: bool) -> None:
    make = 'CREATE ROLE "test One" LOGIN PASSWORD \'geheim:7\'; CREATE ROLE test_two IN ROLE "test One"'
    server.sql(make, options="-c log_statement=none")
    wanted = server.sql("SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE 'test%' ORDER BY 1")
    source = str(ok("pg_dump", **options(server, dest=str(place / "roles"), scope="globals"))["dest"])
    if compress:
        subprocess.run(["gzip", source], check=True)
        source += ".gz"
    given = options(server, source=source)
    try:
        assert 'it holds the role "postgres" and 2 more already' in refused(MODULE, **given)
        assert ok(MODULE, **given, when_not_empty="skip")["changed"] is False
        server.sql('DROP ROLE "test One"')
        assert ok(MODULE, **given)["scope"] == "globals"
        assert server.sql("SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE 'test%' ORDER BY 1") == wanted
        assert server.sql("SELECT pg_has_role('test_two', 'test One', 'member')") == [(True,)]
        assert wanted[0][1] not in server.log
        assert ok(MODULE, **given, when_not_empty="skip")["changed"] is False
        assert "option database was given" in refused(MODULE, **given, database="postgres")
    finally:
        server.sql('DROP ROLE IF EXISTS "test One"; DROP ROLE IF EXISTS test_two')


def test_a_whole_cluster_is_there_again(server: Server, place: Path) -> None:
    server.sql("CREATE ROLE test_three")
    try:
        source = str(ok("pg_dump", **options(server, dest=str(place / "all"), scope="cluster"))["dest"])
    finally:
        server.sql("DROP ROLE test_three")
    with scratch_server(server.major) as other:
        assert ok(MODULE, **options(other, source=source))["scope"] == "cluster"
        assert fingerprint(other, SOURCE) == fingerprint(server, SOURCE)
        assert other.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'test_three'") == [(1,)]
        assert "already" in refused(MODULE, **options(other, source=source))
        assert ok(MODULE, **options(other, source=source, when_not_empty="skip"))["changed"] is False


def test_a_dump_of_a_newer_program_is_refused(server_of: Callable[[int], Server]) -> None:
    new = server_of(18)
    if bindir(15) is None:
        pytest.skip("PostgreSQL 15 is not installed on this machine")
    old = server_of(15)
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        for format in ("plain", "custom"):
            source = str(ok("pg_dump", **options(new, database="postgres", dest=f"{directory}/{format}", format=format))["dest"])
            said = refused(MODULE, **options(old, source=source, database="test_no", create=True, bindir=str(bindir(18))))
            assert "made by pg_dump of version 18 and the server has version 15" in said
        said = refused(MODULE, **options(old, source=source, database="test_no", create=True))
        assert "cannot be read: unsupported version" in said


def test_an_older_dump_comes_into_a_newer_server(server_of: Callable[[int], Server]) -> None:
    new = server_of(18)
    if bindir(15) is None:
        pytest.skip("PostgreSQL 15 is not installed on this machine")
    old = server_of(15)
    wanted = filled(old, "test_old")
    try:
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o777)
            for format in ("plain", "custom"):
                source = f"{directory}/{format}"
                ok("pg_dump", **options(old, database="test_old", dest=source, format=format))
                ok(MODULE, **options(new, source=source, database=f"test_new_{format}", create=True))
                found = fingerprint(new, f"test_new_{format}")
                # PostgreSQL 18 has a constraint for each NOT NULL.
                assert {name: found[name] for name in found if "pg_constraint" not in name} == {
                    name: wanted[name] for name in wanted if "pg_constraint" not in name}
    finally:
        old.sql("DROP DATABASE test_old")
        for format in ("plain", "custom"):
            new.sql(f"DROP DATABASE IF EXISTS test_new_{format}")


@newest_only
def test_no_password_is_anywhere_to_be_read(server: Server, place: Path) -> None:
    script = f'cat /proc/$$/cmdline >> {place}/seen; env >> {place}/seen; exec {{real}} "$@"'
    programs = wrapped(server, place, {"pg_restore": script, "psql": script})
    with known_by_password(server, place) as conninfo:
        given = {"create": True, "bindir": str(programs), "conninfo": conninfo}
        results = []
        for format in ("plain", "custom"):
            results.append(ok(MODULE, **restore(server, dumped(server, place, format), **given)))
            drop(server)
        Path(conninfo["passfile"]).write_text("*:*:*:*:falsch\n")
        said = refused(MODULE, **restore(server, dumped(server, place), **given))
    assert "password authentication failed" in said
    seen = (place / "seen").read_text(errors="replace")
    assert "psql" in seen
    for secret in ("geheim", "falsch"):
        assert secret not in json.dumps(results) + said + seen + server.log
    assert "holds password" in refused(MODULE, **restore(server, "/x", conninfo={**conninfo, "password": "falsch"}))


def test_what_only_an_archive_can_do_is_refused_for_text(server: Server, place: Path) -> None:
    source = dumped(server, place, "plain")
    for given in ({"schemas": ["odd"]}, {"tables": ["visit"]}, {"clean": True}, {"no_owner": True}, {"no_privileges": True},
                  {"content": "data"}, {"jobs": 2}):
        option = next(iter(given))
        assert f"The option {option} was given and the dump {source} is text" in refused(
            MODULE, **restore(server, source, create=True, **given))
    assert "is a tar file, which only one connection can read" in refused(
        MODULE, **restore(server, dumped(server, place, "tar"), create=True, jobs=2))
    assert "no database to restore it into was named" in refused(MODULE, **restore(server, source, database=""))
    assert names(server) == set()
