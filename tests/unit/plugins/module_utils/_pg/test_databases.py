# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases: draft names, what is refused, and the way to what is wanted, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import databases, schema
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError

OPTIONS: dict[str, Any] = {
    "name": "shop", "state": "present", "owner": None, "encoding": None, "lc_collate": None, "lc_ctype": None,
    "template": None, "comment": None, "script": None, "schema_from": None, "bindir": "", "login_host": "",
    "login_port": 5432, "login_user": "postgres", "login_password": None, "login_unix_socket": "", "login_db": "postgres",
    "login_planned": False, "connect_params": {}, "ssl_mode": "prefer", "ca_cert": None, "ssl_cert": None, "ssl_key": None,
}
SOURCE = {"conninfo": {"host": "node1", "dbname": "shop", "password": "geheim"}, "publications": ["sales"]}
SHOP = databases.Database(owner="postgres", encoding="UTF8", lc_collate="en_US.UTF-8", lc_ctype="C", comment="",
                          is_valid=True)


def wanted(**options: Any) -> databases.Wanted:
    return databases.desired({**OPTIONS, **options})


def current(database: databases.Database | None = None, **facts: Any) -> databases.Current:
    return databases.Current(database, False, 180000, None, True)._replace(**facts)


def shown(found: databases.Current, **options: Any) -> list[str]:
    return [step.shown for step in databases.plan(found, wanted(**options)).steps]


def test_a_new_database_gets_its_name_last() -> None:
    assert shown(current(), owner="me", comment="c", script="SELECT 1") == [
        'CREATE DATABASE "shop.pgmahout" OWNER "me"', "COMMENT ON DATABASE \"shop.pgmahout\" IS 'c'",
        '-- in "shop.pgmahout": the script, of 8 characters', 'ALTER DATABASE "shop.pgmahout" RENAME TO "shop"']


def test_encoding_and_locale_need_the_empty_template_unless_another_is_named() -> None:
    asked = {"encoding": "UTF8", "lc_collate": "C"}
    assert shown(current(encoding="UTF8"), **asked)[0] == (
        "CREATE DATABASE \"shop.pgmahout\" TEMPLATE \"template0\" ENCODING 'UTF8' LC_COLLATE 'C'")
    assert 'TEMPLATE "mine"' in shown(current(encoding="UTF8"), template="mine", **asked)[0]
    assert shown(current(), template="mine")[0] == 'CREATE DATABASE "shop.pgmahout" TEMPLATE "mine"'


@pytest.mark.parametrize("state", ["present", "absent"])
def test_what_a_killed_run_left_is_dropped_first(state: str) -> None:
    drop = 'DROP DATABASE "shop.pgmahout" WITH (FORCE)'
    assert shown(current(has_draft=True), state=state)[0] == drop
    assert shown(current(SHOP, has_draft=True)) == [drop]


def test_an_existing_database_is_never_filled_again() -> None:
    assert shown(current(SHOP), script="DROP TABLE t") == []
    assert shown(current(SHOP), schema_from=SOURCE) == []


def test_owner_and_comment_converge() -> None:
    assert shown(current(SHOP), owner="me", comment="it's") == [
        'ALTER DATABASE "shop" OWNER TO "me"', "COMMENT ON DATABASE \"shop\" IS 'it''s'"]
    assert shown(current(SHOP._replace(comment="c")), comment="") == ['COMMENT ON DATABASE "shop" IS NULL']
    assert shown(current(SHOP), owner="postgres", comment="") == []


def test_a_schema_is_copied_and_what_cannot_arrive_made_optional() -> None:
    published = schema.Published((), frozenset(), ("ALTER TABLE a", "ALTER TABLE b"))
    steps = shown(current(published=published), schema_from=SOURCE)
    assert steps == ['CREATE DATABASE "shop.pgmahout"',
                     "pg_dump --schema-only --dbname='host=node1 dbname=shop' | pg_restore --dbname='dbname=shop.pgmahout'",
                     "ALTER TABLE a; ALTER TABLE b", 'ALTER DATABASE "shop.pgmahout" RENAME TO "shop"']
    assert "geheim" not in repr(steps)


def test_equal_names_of_encodings_and_locales_are_no_difference() -> None:
    assert shown(current(SHOP, encoding="UTF8"), encoding="utf-8", lc_collate="en_US.utf8", lc_ctype="C") == []


@pytest.mark.parametrize(("option", "value"), [("encoding", "LATIN1"), ("lc_collate", "de_DE.UTF-8"), ("lc_ctype", "POSIX")])
def test_encoding_and_locale_are_never_changed(option: str, value: str) -> None:
    with pytest.raises(StateError, match=f"{option} {value} and has"):
        databases.plan(current(SHOP, encoding="LATIN1"), wanted(**{option: value}))


def test_what_the_server_does_not_know_is_refused() -> None:
    with pytest.raises(InputError, match="encoding 'UTF9'"):
        databases.plan(current(), wanted(encoding="UTF9"))
    with pytest.raises(StateError, match="role 'me', which does not exist"):
        databases.plan(current(owner_exists=False), wanted(owner="me"))
    assert len(shown(current(owner_exists=False), owner="me", login_planned=True)) == 2


def test_a_half_dropped_database_is_not_taken_for_one() -> None:
    invalid = current(SHOP._replace(is_valid=False))
    with pytest.raises(StateError, match="is invalid"):
        databases.plan(invalid, wanted())
    assert shown(invalid, state="absent") == ['DROP DATABASE "shop"']


def test_a_server_that_does_not_exist_yet_gets_everything() -> None:
    steps = [step.shown for step in databases.plan(databases.ABSENT, wanted(encoding="UTF8", schema_from=SOURCE)).steps]
    assert len(steps) == 3


@pytest.mark.parametrize(("options", "said"), [
    ({"name": ""}, "empty"), ({"name": "x" * 64}, "63 bytes"), ({"name": "x.pgmahout"}, "still being made"),
    ({"name": "postgres", "state": "absent"}, "log in to"), ({"owner": "a\0"}, "NUL"),
    ({"script": "SELECT '\0'"}, "NUL"),
    ({"schema_from": {"conninfo": {"dbname": "x", "password": "geheim\0"}, "publications": ["p"]}}, "NUL"),
    ({"schema_from": {"conninfo": {"host": "x"}, "publications": ["p"]}}, "dbname"),
    ({"schema_from": {"conninfo": {"dbname": "x"}, "publications": []}}, "no publications"),
    ({"schema_from": {"conninfo": {"dbname": "x", "sslpassword": "geheim"}, "publications": ["p"]}}, "sslpassword"),
])
def test_bad_input_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as refusal:
        wanted(**options)
    assert "geheim" not in str(refusal.value)
