# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The restore of a dump: what is refused, and what would be done, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import dump_restore
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.dump_files import Kind, Text
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.dump_restore import Current
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError

OPTIONS: dict[str, Any] = {
    "source": "/d/it", "database": "shop", "create": False, "when_not_empty": "fail", "schemas": [], "tables": [],
    "content": "all",
    "jobs": 1, "single_transaction": None, "clean": False, "no_owner": False, "no_privileges": False, "role": "",
    "conninfo": {"host": "h", "password": None}}
ARCHIVE = Current(Kind("custom"), None, "", True, False, (), frozenset(), "")
TEXT = ARCHIVE._replace(kind=Kind("plain", "gzip"), text=Text("database", 17, ()))
GLOBALS = ARCHIVE._replace(kind=Kind("plain"), text=Text("globals", 0, ("a",)), exists=False)
DBNAME = "--dbname=dbname=shop host=h"
RESTORE = "pg_restore --exit-on-error --no-password " + DBNAME


def shown(current: Current, **options: Any) -> list[str]:
    return [step.shown for step in dump_restore.plan(current, dump_restore.desired({**OPTIONS, **options})).steps]


@pytest.mark.parametrize(("current", "options", "command"), [
    (ARCHIVE, {}, RESTORE + " --single-transaction /d/it"), (ARCHIVE, {"jobs": 3}, RESTORE + " --jobs=3 /d/it"),
    (ARCHIVE, {"single_transaction": False, "clean": True, "role": "r"}, RESTORE + " --clean --if-exists --role=r /d/it"),
    (ARCHIVE, {"no_owner": True, "no_privileges": True, "content": "data"},
     RESTORE + " --single-transaction --no-owner --no-privileges --data-only /d/it"),
    (ARCHIVE, {"tables": ["s.t"]}, RESTORE + ' --single-transaction --table="s"."t" /d/it'),
    (TEXT, {}, "gzip -dc /d/it | psql --no-psqlrc --quiet --no-password --set=ON_ERROR_STOP=1 --file=- " + DBNAME),
    (GLOBALS, {"database": ""}, "cat /d/it | psql --no-psqlrc --quiet --no-password --set=ON_ERROR_STOP=1 --file=- "
                                "--dbname=dbname=postgres host=h"),
])
def test_the_program_is_asked_for_what_the_options_say(current: Current, options: dict[str, Any], command: str) -> None:
    assert shown(current, **options) == [command]


@pytest.mark.parametrize(("current", "options", "is_single"), [
    (TEXT, {}, True), (TEXT, {"single_transaction": False}, False), (GLOBALS, {"database": ""}, False),
    (GLOBALS, {"database": "", "single_transaction": True}, True), (ARCHIVE, {"jobs": 2}, False)])
def test_all_is_one_transaction_where_that_is_possible(current: Current, options: dict[str, Any], is_single: bool) -> None:
    assert dump_restore.plan(current, dump_restore.desired({**OPTIONS, **options})).steps[0].values["single"] is is_single


def test_a_database_is_created_under_its_drafts_name() -> None:
    found = shown(ARCHIVE._replace(exists=False, has_draft=True), create=True)
    assert found == ['DROP DATABASE "shop.pgmahout" WITH (FORCE)', 'CREATE DATABASE "shop.pgmahout" TEMPLATE template0',
                     RESTORE.replace("shop", "shop.pgmahout") + " --single-transaction /d/it",
                     'ALTER DATABASE "shop.pgmahout" RENAME TO "shop"']
    with pytest.raises(StateError, match="the server has none of that name"):
        shown(ARCHIVE._replace(exists=False))


@pytest.mark.parametrize(("current", "what"), [(ARCHIVE, "the database 'shop'"), (GLOBALS, "the server")])
def test_what_is_there_already_is_left_or_told(current: Current, what: str) -> None:
    full = current._replace(occupied=("one", "two", "three"))
    options = {"database": ""} if current is GLOBALS else {}
    with pytest.raises(StateError, match=f"into {what} was asked for and it holds one and 2 more already"):
        shown(full, **options)
    skipped = dump_restore.plan(full, dump_restore.desired({**OPTIONS, **options, "when_not_empty": "skip"}))
    assert (skipped.steps, skipped.before) == ((), skipped.after)
    assert len(shown(full, when_not_empty="restore", **options)) == 1


def test_clean_restores_over_what_is_there() -> None:
    assert shown(ARCHIVE._replace(occupied=("one",)), clean=True) == [RESTORE + " --single-transaction --clean --if-exists /d/it"]


@pytest.mark.parametrize(("options", "said"), [
    ({"jobs": 2, "single_transaction": True}, "option jobs is 2 with single_transaction true"), ({"jobs": 0}, "option jobs is 0"),
    ({"tables": ["t"], "schemas": ["s"]}, "tables and schemas were given together"),
    ({"clean": True, "content": "data"}, "with content data"), ({"clean": True, "when_not_empty": "skip"}, "when_not_empty skip"),
    ({"conninfo": {"password": "s3cret"}}, "holds password"), ({"database": "x" * 64}, "longer than the 63 bytes"),
    ({"tables": ["a.b.c"]}, "not of the form name or schema.name")])
def test_contradictions_are_refused_in_one_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as refusal:
        dump_restore.desired({**OPTIONS, **options})
    assert said in str(refusal.value)
    assert "s3cret" not in str(refusal.value)
