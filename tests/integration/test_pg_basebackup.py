# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_basebackup`` on real servers: a clone that is whole or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from tests.integration.conftest import VERSIONS
from tests.support import instances
from tests.support.instances import PASSWORD, clone, instance, place
from tests.support.modules import ok, refused, run_module
from tests.support.postgres import Server, bindir
from tests.support.statements import Watch

MODULE = "pg_basebackup"


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda major: f"pg{major}")
def primary(request: pytest.FixtureRequest) -> Iterator[Server]:
    if bindir(request.param) is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed on this machine")
    with instances.primary(request.param) as server:
        server.sql("CREATE TABLE t AS SELECT 1 AS a")
        yield server


@pytest.fixture
def there(primary: Server) -> Iterator[Server]:
    """The place for a clone."""
    with place(primary.major) as server:
        yield server


newest_only = pytest.mark.parametrize("primary", [18], indirect=True, ids=["pg18"])


def test_a_clone_is_verified_and_a_standby_of_what_it_was_cloned_from(primary: Server, there: Server) -> None:
    primary.sql("SELECT pg_create_physical_replication_slot('there', true)")
    options, watch = clone(there, primary, slot="there"), Watch(primary)
    predicted = run_module(MODULE, check=True, **options)
    assert list(there.home.iterdir()) == []
    assert watch.statements() == []
    done = ok(MODULE, **options)
    assert predicted["commands"] == done["commands"]
    assert predicted["diff"]["after"] == done["diff"]["after"]
    assert [text.split()[0] for text in done["commands"]] == ["write", "pg_basebackup", "pg_verifybackup", "touch", "mv"]
    assert (there.data / "standby.signal").exists()
    assert (there.data / "backup_label").exists()
    assert not (there.home / "data.pgmahout-new").exists()
    ok("pg_instance", **instance(there, create=False))
    assert there.sql("SELECT pg_is_in_recovery(), (SELECT a FROM t)") == [(True, 1)]
    assert ok("pg_recovery", **instances.follow(there, primary, primary_slot_name="there"))["changed"] is False
    before = instances.tree(there.data)
    for check in (True, False):
        again = run_module(MODULE, check=check, **options)
        assert (again["changed"], again["commands"]) == (False, [])
    assert instances.tree(there.data) == before
    there.stop()
    primary.sql("SELECT pg_drop_replication_slot('there')")
    for text in (json.dumps(done, ensure_ascii=False), (there.data / "postgresql.auto.conf").read_text(), primary.log, there.log):
        assert PASSWORD not in text
        assert "s3cr" not in text


@newest_only
def test_another_system_is_refused_with_both_names(primary: Server, there: Server) -> None:
    entries = instances.passfile(there, primary)
    theirs = ok("pg_instance", **instance(there, state="stopped", **entries))["system_identifier"]
    ours = primary.sql("SELECT system_identifier::text FROM pg_control_system()")[0][0]
    said = refused(MODULE, **clone(there, primary))
    assert "base backup of the system %s was asked for" % ours in said
    assert "instance of the system %s is there" % theirs in said


@newest_only
def test_something_else_is_refused_and_left(primary: Server, there: Server) -> None:
    there.data.mkdir()
    (there.data / "precious").write_text("x")
    assert "is not empty and holds no PostgreSQL instance" in refused(MODULE, **clone(there, primary))
    assert (there.data / "precious").read_text() == "x"


@newest_only
def test_what_an_interrupted_run_left_is_made_anew(primary: Server, there: Server) -> None:
    (there.home / "data.pgmahout-new").mkdir()
    (there.home / "data.pgmahout-new" / "half").touch()
    ok(MODULE, **clone(there, primary))
    assert sorted(entry.name for entry in there.home.iterdir()) == ["data", "passfile"]
    assert not (there.data / "half").exists()


@newest_only
def test_a_wrong_password_is_told_and_leaves_nothing_under_the_name(primary: Server, there: Server) -> None:
    options = clone(there, primary)
    options["passfile_entries"][0]["password"] = "wr0ng"
    said = refused(MODULE, **options)
    assert "password authentication failed" in said
    assert "wr0ng" not in said
    assert not there.data.exists()


@newest_only
def test_a_slot_that_does_not_exist_is_told(primary: Server, there: Server) -> None:
    assert 'replication slot "nowhere" does not exist' in refused(MODULE, **clone(there, primary, slot="nowhere"))
    assert not there.data.exists()


@newest_only
@pytest.mark.parametrize(("damage", "told"), [
    ('for f in "$dir"/base/*/1259; do printf X | dd of="$f" bs=1 seek=100 conv=notrunc; done', "checksum mismatch"),
    ('rm "$dir"/backup_label', "has no backup_label and would start corrupt"),
    ('rm "$dir"/pg_wal/0*', 'in "pg_wal" of timeline 1 from 0/'),
])
def test_a_backup_that_is_damaged_gets_no_name(primary: Server, there: Server, damage: str, told: str) -> None:
    programs = there.home / "programs"
    programs.mkdir()
    programs.chmod(0o755)
    real = bindir(18)
    assert real is not None
    for program in real.iterdir():
        (programs / program.name).write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        (programs / program.name).chmod(0o755)
    (programs / "pg_basebackup").write_text(
        f'#!/bin/sh\n{real}/pg_basebackup "$@" || exit\n'
        f'for a; do case $a in --pgdata=*) dir=${{a#--pgdata=}};; esac; done\n{damage}\n')
    said = refused(MODULE, **clone(there, primary, bindir=str(programs)))
    assert told in said
    assert not there.data.exists()


@newest_only
def test_tablespaces_of_the_same_host_need_other_directories(primary: Server, there: Server) -> None:
    space, other = primary.home / "space", there.home / "a=b"
    space.mkdir()
    space.chmod(0o700)
    os.chown(space, primary.data.stat().st_uid, -1)
    primary.sql(f"CREATE TABLESPACE ts LOCATION '{space}'")
    primary.sql("CREATE TABLE in_ts TABLESPACE ts AS SELECT 2 AS a")
    try:
        assert "exists but is not empty" in refused(MODULE, **clone(there, primary))
        ok(MODULE, **clone(there, primary, tablespace_mapping={str(space): str(other)}))
        ok("pg_instance", **instance(there, create=False))
        assert there.sql("SELECT a FROM in_ts") == [(2,)]
        assert there.sql("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'ts'") == [(str(other),)]
    finally:
        primary.sql("DROP TABLE in_ts")
        primary.sql("DROP TABLESPACE ts")
