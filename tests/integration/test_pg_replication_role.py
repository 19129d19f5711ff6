# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_replication_role`` on real servers."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import rights, scram
from tests.conftest import COLLECTIONS
from tests.support.modules import ok, refused, run_module
from tests.support.postgres import Server
from tests.support.statements import Watch

MODULE = "pg_replication_role"
NAME = 'Test "repl"; DROP ROLE postgres; --'
SQL_NAME = '"Test ""repl""; DROP ROLE postgres; --"'
PASSWORDS = ["geheim-7361", "it's \\ \"quoted\" $$ %s {{ x }}", "pässwörd-\u00aa\u2168", "=a b="]

#: What a role can be asked to be, everything said, so that nothing is left over from the state before it.
STATES: dict[str, dict[str, Any]] = {
    "absent": {"state": "absent"},
    "plain": {"password": PASSWORDS[0], "login": True, "replication": True, "connection_limit": -1,
              "valid_until": "infinity", "member_of": [], "comment": "", "may": []},
    "other password": {"password": PASSWORDS[1], "login": True, "replication": True, "connection_limit": -1,
                       "valid_until": "infinity", "member_of": [], "comment": "", "may": ["promote"]},
    "limited": {"password": PASSWORDS[2], "login": True, "replication": True, "connection_limit": 3,
                "valid_until": "2031-12-31T23:59:59+02", "member_of": ["pg_monitor"], "comment": "it's \\ \"limited\"",
                "may": ["promote", "rewind"]},
    "locked": {"password": PASSWORDS[3], "login": False, "replication": False, "connection_limit": 0,
               "valid_until": "2020-01-01", "member_of": ["pg_read_all_data", "pg_monitor"], "comment": "ö",
               "may": ["rewind"]},
}


def catalog(server: Server, name: str = NAME) -> list[tuple[Any, ...]]:
    return server.sql(
        "SELECT rolcanlogin, rolreplication, rolsuper, rolcreaterole, rolconnlimit, rolvaliduntil, rolpassword,"
        " shobj_description(oid, 'pg_authid'), ARRAY(SELECT pg_get_userbyid(roleid)::text FROM pg_auth_members"
        " WHERE member = a.oid ORDER BY 1) FROM pg_authid a WHERE rolname = '%s'" % name.replace("'", "''"))


def rights_of(server: Server) -> list[str]:
    """What the role of these tests could do if it called the functions, by the server's own judgement."""
    found = []
    for right, functions in rights.FUNCTIONS.items():
        answers = {server.sql("SELECT has_function_privilege(oid, '%s', 'EXECUTE') FROM pg_roles WHERE rolname = '%s'"
                              % (function, NAME.replace("'", "''")))[0][0] for function in functions}
        assert len(answers) == 1, (right, answers)
        found += [right] if answers == {True} else []
    return found


@pytest.fixture
def role(server: Server) -> Iterator[Server]:
    """A server on which the role of these tests does not exist, before and afterwards."""
    absent(server)
    yield server
    absent(server)


def absent(server: Server) -> None:
    if catalog(server):
        server.sql(f"DROP OWNED BY {SQL_NAME}; DROP ROLE {SQL_NAME}")


def test_from_every_state_to_every_other(role: Server) -> None:
    for before, after in itertools.permutations(STATES, 2):
        ok(MODULE, name=NAME, **STATES[before], **role.login)
        watch = Watch(role)
        checked = ok(MODULE, name=NAME, check=True, **STATES[after], **role.login)
        assert watch.writing() == []
        done = ok(MODULE, name=NAME, **STATES[after], **role.login)
        assert done["changed"] is checked["changed"] is True, (before, after)
        assert done["diff"] == checked["diff"], (before, after)
        assert done["statements"] == checked["statements"], (before, after)
        watch = Watch(role)
        again = ok(MODULE, name=NAME, **STATES[after], **role.login)
        assert again["changed"] is False, (before, after, again)
        assert watch.writing() == []
        assert len(watch.statements()) <= 2
        assert again["diff"]["after"] == done["diff"]["after"], (before, after)
        matches_catalog(role, STATES[after])


def matches_catalog(server: Server, options: dict[str, Any]) -> None:
    found = catalog(server)
    if options.get("state") == "absent":
        assert found == []
        return
    login, replication, superuser, createrole, limit, until, password, comment, groups = found[0]
    assert (login, replication, superuser, createrole) == (options["login"], options["replication"], False, False)
    assert (limit, comment or "", sorted(groups)) == (options["connection_limit"], options["comment"],
                                                      sorted(options["member_of"]))
    assert rights_of(server) == options["may"]
    assert scram.matches(password, options["password"])
    said = str(options["valid_until"])
    assert until is None or said == "infinity" or until.isoformat().startswith(("2031-12-31T21:59:59", "2020-01-01"))


def test_a_wrong_password_is_exactly_one_change_and_then_lets_in(role: Server) -> None:
    ok(MODULE, name=NAME, password="first", **role.login)
    done = ok(MODULE, name=NAME, password="second", **role.login)
    assert done["statements"] == [f"ALTER ROLE {SQL_NAME} PASSWORD '********'"]
    role.connect(user=NAME, host="127.0.0.1", password="second").close()
    with pytest.raises(psycopg2.OperationalError):
        role.connect(user=NAME, host="127.0.0.1", password="first")


def test_an_md5_hash_is_upgraded_once(role: Server) -> None:
    role.sql(f"SET password_encryption TO md5; CREATE ROLE {SQL_NAME} LOGIN REPLICATION PASSWORD 'same'")
    assert catalog(role)[0][6].startswith("md5")
    assert ok(MODULE, name=NAME, password="same", **role.login)["changed"] is True
    assert scram.matches(catalog(role)[0][6], "same")
    assert ok(MODULE, name=NAME, password="same", **role.login)["changed"] is False


def test_new_verifiers_have_the_servers_iterations(role: Server) -> None:
    wanted = scram.ITERATIONS
    if role.major >= 16:
        wanted = 5000
        role.sql("ALTER ROLE postgres SET scram_iterations TO 5000")
    try:
        ok(MODULE, name=NAME, password="x1", **role.login)
        assert scram.iterations_of(catalog(role)[0][6]) == wanted
    finally:
        role.sql("ALTER ROLE postgres RESET ALL")
    assert ok(MODULE, name=NAME, password="x1", **role.login)["changed"] is False


def odd_passwords() -> list[str]:
    numbers = random.Random(7677)
    ranges = [(1, 0x80), (0x80, 0x250), (0x300, 0x700), (0x1d00, 0x2200), (0x3000, 0xd800), (0xf900, 0xfffe),
              (0x10000, 0x1ffff), (0x2f800, 0x2fa20)]
    made = ["".join(chr(numbers.randrange(*numbers.choice(ranges))) for _ in range(numbers.randrange(1, 4)))
            for _ in range(300)]
    return [*PASSWORDS, "I\u00adX", "a\u200bb", "a\u0340", "\U0002f868", "\ufb36", "\u0627x\u0628", "\u00ad", " ", *made]


def test_verifiers_that_the_server_made_of_odd_passwords_are_recognised(role: Server) -> None:
    connection = role.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SET log_statement TO none; CREATE ROLE {SQL_NAME}")
            if role.major >= 16:
                cursor.execute("SET scram_iterations TO 1")
            for password in odd_passwords():
                cursor.execute(f"ALTER ROLE {SQL_NAME} PASSWORD %s", (password,))
                cursor.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", (NAME,))
                stored = cursor.fetchone()[0]
                assert scram.matches(stored, password), ascii(password)
                assert not scram.matches(stored, password + "x"), ascii(password)
    finally:
        connection.close()


@pytest.mark.parametrize("password", PASSWORDS)
def test_no_password_is_anywhere_to_be_read(role: Server, password: str) -> None:
    before = len(role.log)
    results = [run_module(MODULE, name=NAME, password=password, check=check, **extra, **role.login)
               for check in (True, False, False) for extra in ({}, {"member_of": ["missing"]}, {"connection_limit": 4})]
    text = json.dumps(results, ensure_ascii=False) + json.dumps(results)
    log = role.log[before:]
    verifier = catalog(role)[0][6]
    for secret in (password, password.replace("'", "''"), json.dumps(password)[1:-1], verifier, verifier.split("$")[2]):
        assert secret not in text
        assert secret not in log
    assert "CREATE ROLE" not in log  # it held the verifier, and all that is logged is what hid it


def test_no_password_is_in_what_ansible_prints(newest: Server, tmp_path: Path) -> None:
    task = {"name": "The role is right", "pgmahout.cluster.pg_replication_role": {
        "name": "{{ item }}", "password": PASSWORDS[0], "login_password": PASSWORDS[0], **newest.login},
        "loop": ["test_printed", "pg_refused"]}
    play = tmp_path / "play.json"
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_HOME": str(tmp_path / "home"),
                   "ANSIBLE_LOCALHOST_WARNING": "false"}
    before = len(newest.log)
    try:
        printed = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "-vvv", "--diff", "-i", "localhost,", "-c", "local",
             "-e", f"ansible_python_interpreter={sys.executable}", play], text=True, capture_output=True, check=False,
            env=environment)
        assert "keeps for itself" in printed.stdout  # the name that begins with pg_ is refused
        assert "test_printed" in printed.stdout
        assert "CREATE ROLE" in printed.stdout
        verifier = catalog(newest, "test_printed")[0][6]
        for secret in (PASSWORDS[0], verifier):
            assert secret not in printed.stdout + printed.stderr + newest.log[before:]
    finally:
        newest.sql("DROP ROLE IF EXISTS test_printed")


def test_a_superuser_is_left_alone_and_only_asked_for_what_it_may_get(server: Server) -> None:
    server.sql("CREATE ROLE test_super SUPERUSER NOLOGIN")
    try:
        assert ok(MODULE, name="test_super", **server.login)["changed"] is False
        assert ok(MODULE, name="test_super", replication=True, login=True, **server.login)["changed"] is True
        assert catalog(server, "test_super")[0][:3] == (True, True, True)
        assert "never lowers" in refused(MODULE, name="test_super", login=False, **server.login)
        assert "never lowers" in refused(MODULE, name="test_super", replication=False, **server.login)
        assert "is a superuser" in refused(MODULE, name="test_super", state="absent", **server.login)
        assert catalog(server, "test_super")[0][:3] == (True, True, True)
    finally:
        server.sql("DROP ROLE test_super")


def test_a_role_that_owns_something_anywhere_is_not_dropped(role: Server) -> None:
    ok(MODULE, name=NAME, **role.login)
    role.sql("CREATE DATABASE test_role_owns")
    try:
        role.sql(f"CREATE TABLE t (); ALTER TABLE t OWNER TO {SQL_NAME}; CREATE TABLE u (); GRANT SELECT ON u TO {SQL_NAME}",
                 dbname="test_role_owns")
        for check in (True, False):
            message = refused(MODULE, name=NAME, state="absent", check=check, **role.login)
            assert "2 in database 'test_role_owns'" in message
            assert "REASSIGN OWNED" in message
        assert len(catalog(role)) == 1
    finally:
        role.sql("DROP DATABASE test_role_owns")
    assert ok(MODULE, name=NAME, state="absent", **role.login)["changed"] is True


def test_rights_are_those_of_one_database(role: Server) -> None:
    role.sql("CREATE DATABASE test_role_rights")
    try:
        ok(MODULE, name=NAME, may=["promote"], **role.login)
        elsewhere = {**role.login, "login_db": "test_role_rights"}
        assert ok(MODULE, name=NAME, may=["promote"], **elsewhere)["changed"] is True
        assert "1 in database 'test_role_rights'" in refused(MODULE, name=NAME, state="absent", **role.login)
        assert rights_of(role) == ["promote"]
        ok(MODULE, name=NAME, may=[], **elsewhere)
        assert ok(MODULE, name=NAME, state="absent", **role.login)["changed"] is True
    finally:
        role.sql("DROP DATABASE test_role_rights")


def test_what_everybody_may_is_no_right_of_the_role(role: Server) -> None:
    role.sql("GRANT EXECUTE ON FUNCTION pg_promote TO public")
    try:
        assert ok(MODULE, name=NAME, may=[], **role.login)["diff"]["after"]["may"] == []
        assert ok(MODULE, name=NAME, may=[], **role.login)["changed"] is False
        assert ok(MODULE, name=NAME, may=["promote"], **role.login)["changed"] is True
    finally:
        role.sql("REVOKE EXECUTE ON FUNCTION pg_promote FROM public")
    assert rights_of(role) == ["promote"]


def test_memberships_that_others_granted_are_revoked_too(role: Server) -> None:
    ok(MODULE, name=NAME, **role.login)
    role.sql("CREATE ROLE test_group; CREATE ROLE test_admin; GRANT test_group TO test_admin WITH ADMIN OPTION;"
             f"GRANT test_group TO {SQL_NAME}; SET ROLE test_admin; GRANT test_group TO {SQL_NAME}")
    try:
        assert ok(MODULE, name=NAME, member_of=["test_group"], **role.login)["changed"] is False
        assert ok(MODULE, name=NAME, member_of=[], **role.login)["changed"] is True
        assert catalog(role)[0][8] == []
    finally:
        role.sql("DROP ROLE test_group; DROP ROLE test_admin")


@pytest.fixture
def admin(role: Server) -> Iterator[dict[str, Any]]:
    """The login of a role that may create roles and is no superuser."""
    role.sql("CREATE ROLE test_createrole LOGIN CREATEROLE REPLICATION")
    yield {**role.login, "login_user": "test_createrole"}
    absent(role)
    role.sql("REVOKE ALL ON pg_authid FROM test_createrole; DROP ROLE test_createrole")


def test_a_role_that_may_create_roles_manages_one_without_a_password(role: Server, admin: dict[str, Any]) -> None:
    options = {"name": NAME, "replication": False, "comment": "c", "connection_limit": 2}
    assert ok(MODULE, **options, **admin)["changed"] is True
    assert ok(MODULE, **options, **admin)["changed"] is False
    assert ok(MODULE, name=NAME, state="absent", **admin)["changed"] is True


def test_a_user_who_cannot_hide_a_verifier_is_told_and_nothing_is_logged(role: Server, admin: dict[str, Any]) -> None:
    message = refused(MODULE, name=NAME, password="x", replication=False, **admin)
    assert "may not keep a password out of the server's log" in message
    assert catalog(role) == []
    assert "SCRAM-SHA-256$" not in role.log


def test_a_user_for_whom_a_superuser_prepared_the_way_sets_and_compares_passwords(role: Server,
                                                                                  admin: dict[str, Any]) -> None:
    role.sql("ALTER ROLE test_createrole SET log_statement TO none;"
             "ALTER ROLE test_createrole SET log_min_error_statement TO panic")
    options = {"name": NAME, "password": "geheim-99", "replication": False}
    assert ok(MODULE, **options, **admin)["changed"] is True
    assert "may not read pg_authid" in refused(MODULE, **options, **admin)
    role.sql("GRANT SELECT ON pg_authid TO test_createrole")
    assert ok(MODULE, **options, **admin)["changed"] is False
    assert ok(MODULE, **{**options, "password": "geheim-98"}, **admin)["changed"] is True
    assert scram.matches(catalog(role)[0][6], "geheim-98")


def test_a_server_that_is_only_planned_gets_a_complete_plan(tmp_path: Path) -> None:
    nowhere = {"login_unix_socket": str(tmp_path), "login_planned": True}
    plan = ok(MODULE, name="repl", password="x", check=True, **nowhere)
    assert plan["statements"] == ["CREATE ROLE \"repl\" LOGIN REPLICATION PASSWORD '********'"]
    assert "Could not connect" in refused(MODULE, name="repl", password="x", **nowhere)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
HOSTILE = TEXT | st.sampled_from(['"; DROP ROLE x; --', "'; DROP ROLE x; --", "\\'; DROP ROLE x; --", "$$", "%s", "a.b"])


@settings(max_examples=25, deadline=None)
@given(HOSTILE.filter(lambda name: len(name.encode()) <= 63 and not name.startswith("pg_")), HOSTILE)
def test_any_name_and_comment_change_nothing_but_that_role(newest: Server, name: str, comment: str) -> None:
    everyone = "SELECT rolname, rolsuper, shobj_description(oid, 'pg_authid') FROM pg_authid ORDER BY 1"
    before = newest.sql(everyone)
    ok(MODULE, name=name, comment=comment, password=comment, **newest.login)
    try:
        assert set(newest.sql(everyone)) == {*before, (name, False, comment)}
        assert ok(MODULE, name=name, comment=comment, password=comment, **newest.login)["changed"] is False
    finally:
        ok(MODULE, name=name, state="absent", **newest.login)
    assert newest.sql(everyone) == before
