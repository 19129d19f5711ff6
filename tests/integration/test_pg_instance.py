# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_instance`` on real hosts: made, kept, changed, refused, removed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import guc
from tests.integration.conftest import VERSIONS
from tests.support.instances import HBA, PASSWORD, instance, place, started, tree
from tests.support.modules import ok, refused, run_module
from tests.support.postgres import Server, bindir
from tests.support.statements import Watch

MODULE = "pg_instance"
ALL_VERSIONS = pytest.mark.parametrize("major", VERSIONS, ids=lambda major: f"pg{major}")


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda major: f"pg{major}")
def made(request: pytest.FixtureRequest) -> Iterator[Server]:
    """An instance of each version that the module made."""
    if bindir(request.param) is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed on this machine")
    with place(request.param) as server:
        ok(MODULE, **instance(server, initdb={"data_checksums": True}))
        yield server


@pytest.fixture
def node(made: Server) -> Server:
    """The same, as every test finds it."""
    ok(MODULE, **instance(made))
    return made


@pytest.fixture
def newest() -> Iterator[Server]:
    """A place without an instance, for the newest version."""
    with place(18) as server:
        yield server


def present(server: Server, name: str) -> str:
    return str(server.sql(f"SHOW {name}")[0][0])


def identifier(server: Server) -> str:
    return str(server.sql("SELECT system_identifier::text FROM pg_control_system()")[0][0])


@ALL_VERSIONS
def test_an_instance_is_made_once(major: int) -> None:
    if bindir(major) is None:
        pytest.skip(f"PostgreSQL {major} is not installed on this machine")
    with place(major) as server:
        options = instance(server, initdb={"encoding": "UTF8", "locale": "C.UTF-8", "wal_segment_size": 4,
                                           "data_checksums": True})
        predicted = run_module(MODULE, check=True, **options)
        assert list(server.home.iterdir()) == [], "check mode writes nothing"
        done = ok(MODULE, **options)
        assert (done["changed"], done["created"], done["system_identifier"]) == (True, True, identifier(server))
        assert (predicted["changed"], predicted["commands"]) == (True, done["commands"])
        assert predicted["diff"]["after"] == done["diff"]["after"]
        shown = [present(server, name) for name in ("server_encoding", "wal_segment_size", "data_checksums", "shared_buffers")]
        assert shown == ["UTF8", "4MB", "on", "16MB"]
        assert server.data.stat().st_mode & 0o777 == 0o700
        again = ok(MODULE, **options)
        assert (again["changed"], again["commands"], again["created"]) == (False, [], False)


def test_a_second_run_writes_nothing_and_asks_little(node: Server) -> None:
    before, watch = tree(node.data), Watch(node)
    assert ok(MODULE, **instance(node))["commands"] == []
    assert tree(node.data) == before
    assert watch.writing() == []
    assert len(watch.statements()) <= 2


@pytest.mark.parametrize(("settings", "command"), [({"work_mem": "5MB"}, "reload"), ({"max_connections": "21"}, "restart")])
def test_a_changed_setting_is_reloaded_or_restarted_as_it_needs(node: Server, settings: dict[str, str], command: str) -> None:
    options, began = instance(node, settings), started(node)
    before, watch = tree(node.data), Watch(node)
    predicted = run_module(MODULE, check=True, **options)
    assert (tree(node.data), watch.writing()) == (before, [])
    done = ok(MODULE, **options)
    assert [text.split()[1] for text in done["commands"]] == [str(node.data / "postgresql.conf"), command]
    assert (predicted["commands"], predicted["diff"]["after"]) == (done["commands"], done["diff"]["after"])
    assert (done["reloaded"], done["restarted"]) == (command == "reload", command == "restart")
    assert done["restart_reasons"] == (list(settings) if command == "restart" else [])
    assert [present(node, name) for name in settings] == list(settings.values())
    assert (started(node) != began) == (command == "restart")
    assert ok(MODULE, **options)["changed"] is False


def test_another_spelling_of_a_setting_needs_no_restart(node: Server) -> None:
    began = started(node)
    done = ok(MODULE, **instance(node, {"shared_buffers": "16384kB", "max_connections": "2e1"}))
    assert (done["reloaded"], done["restarted"], done["restart_reasons"]) == (True, False, [])
    assert started(node) == began


def test_a_setting_that_is_gone_from_the_file_goes_back_to_its_default(node: Server) -> None:
    ok(MODULE, **instance(node, {"max_prepared_transactions": "7"}))
    assert present(node, "max_prepared_transactions") == "7"
    assert ok(MODULE, **instance(node))["restart_reasons"] == ["max_prepared_transactions"]
    assert present(node, "max_prepared_transactions") == "0"


def test_a_restart_that_is_not_wanted_is_only_told(node: Server) -> None:
    options, began = instance(node, {"max_connections": "22"}, restart="never"), started(node)
    done = ok(MODULE, **options)
    assert (done["reloaded"], done["restart_required"], done["restart_reasons"]) == (True, True, ["max_connections"])
    again = ok(MODULE, **options)
    assert (again["changed"], again["restart_required"]) == (False, True)
    assert (started(node), present(node, "max_connections")) == (began, "20")


def test_a_restart_that_is_deferred_leaves_all_as_it_is(node: Server) -> None:
    before = tree(node.data)
    done = ok(MODULE, **instance(node, {"max_connections": "22", "work_mem": "7MB"}, restart="deferred"))
    assert (done["changed"], done["restart_required"], done["restart_reasons"]) == (False, True, ["max_connections"])
    assert tree(node.data) == before


def test_an_override_of_what_we_configure_is_removed_and_no_other(node: Server) -> None:
    node.sql("ALTER SYSTEM SET work_mem = '9MB'")
    node.sql("ALTER SYSTEM SET max_connections = 33")
    node.sql("ALTER SYSTEM SET log_min_duration_statement = '1h'")
    node.sql("SELECT pg_reload_conf()")
    options = instance(node, {"work_mem": "6MB"})
    done = ok(MODULE, **options)
    assert (done["restarted"], done["reloaded"]) == (False, True)
    assert [present(node, name) for name in ("work_mem", "max_connections", "log_min_duration_statement")] == ["6MB", "20", "1h"]
    assert ok(MODULE, **options)["changed"] is False
    node.sql("ALTER SYSTEM RESET ALL")


def test_an_override_that_was_not_loaded_yet_is_removed_too(node: Server) -> None:
    node.sql("ALTER SYSTEM SET fsync = on")
    assert ok(MODULE, **instance(node))["changed"] is True
    node.sql("SELECT pg_reload_conf()")
    assert present(node, "fsync") == "off"


@pytest.mark.parametrize("file", ["configuration", "hba"])
def test_a_file_that_was_written_and_not_read_is_read_by_the_next_run(node: Server, file: str) -> None:
    changed = {"configuration": instance(node, {"work_mem": "11MB"})["configuration"],
               "hba": HBA + "host all all ::1/128 reject\n"}
    options = instance(node, **{file: changed[file]})
    path = node.data / {"configuration": "postgresql.conf", "hba": "pg_hba.conf"}[file]
    path.write_text(changed[file])
    predicted = run_module(MODULE, check=True, **options)
    done = ok(MODULE, **options)
    assert [text.split()[1] for text in done["commands"]] == ["reload"]
    assert predicted["commands"] == done["commands"]
    if file == "configuration":
        assert present(node, "work_mem") == "11MB"
    assert ok(MODULE, **options)["changed"] is False


@pytest.mark.parametrize("settings", [{}, {"max_connections": "24"}], ids=["reload", "restart"])
def test_a_bad_hba_is_taken_back_and_the_server_goes_on(node: Server, settings: dict[str, str]) -> None:
    began = started(node)
    said = refused(MODULE, **instance(node, settings, hba=HBA + "host all all nonsense/99 scram-sha-256\n"))
    assert "new pg_hba.conf has in line 4" in said
    assert "the former file is back" in said
    assert (node.data / "pg_hba.conf").read_text() == HBA
    assert started(node) == began
    ok(MODULE, **instance(node))
    assert node.sql("SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL") == [(0,)]


@pytest.mark.parametrize(("settings", "told"), [
    ({"work_mem": "lots"}, 'invalid value for parameter "work_mem": "lots"'),
    ({"max_connections": "-5"}, "max_connections"),
    ({"no_such_setting": "1"}, 'unrecognized configuration parameter "no_such_setting"'),
])
@pytest.mark.parametrize("check", [True, False])
def test_a_bad_setting_is_refused_before_anything_is_touched(node: Server, settings: dict[str, str], told: str,
                                                             check: bool) -> None:
    before, began = tree(node.data), started(node)
    result = run_module(MODULE, check=check, **instance(node, settings))
    assert told in result["msg"]
    assert "correct it in pg_server_settings" in result["msg"]
    assert (tree(node.data), started(node)) == (before, began)


def test_a_new_instance_is_not_made_with_a_bad_setting(newest: Server) -> None:
    assert 'parameter "work_mem"' in refused(MODULE, **instance(newest, {"work_mem": "lots"}))
    assert not newest.data.exists()
    assert ok(MODULE, **instance(newest))["created"] is True


@pytest.mark.parametrize(("state", "commands", "runs"), [
    ("stopped", ["stop"], False), ("restarted", ["restart"], True), ("reloaded", ["reload"], True), ("started", [], True)])
def test_a_state_is_reached(node: Server, state: str, commands: list[str], runs: bool) -> None:
    options = instance(node, state=state)
    assert run_module(MODULE, check=True, **options)["changed"] is bool(commands)
    assert [text.split()[1] for text in ok(MODULE, **options)["commands"]] == commands
    assert (node.data / "postmaster.pid").exists() is runs
    assert ok(MODULE, **options)["changed"] is (state in ("restarted", "reloaded"))


def test_a_stale_pid_file_is_no_server(node: Server) -> None:
    node.stop("immediate")
    (node.data / "postmaster.pid").write_text("%d\n%s\n0\n%d\n%s\n127.0.0.1\n 1 2\nready   \n" % (os.getpid(), node.data,
                                                                                                  node.port, node.home))
    assert [text.split()[1] for text in ok(MODULE, **instance(node))["commands"]] == ["start"]


@pytest.mark.parametrize("name", ["file", ".hidden"])
def test_a_directory_that_holds_something_else_is_refused_and_left(newest: Server, name: str) -> None:
    newest.data.mkdir()
    (newest.data / name).write_text("precious")
    for state in ("started", "absent"):
        assert "is not empty and holds no PostgreSQL instance" in refused(MODULE, **instance(newest, state=state))
    assert (newest.data / name).read_text() == "precious"
    assert [entry.name for entry in newest.home.iterdir()] == ["data"]


def test_an_empty_directory_will_do(newest: Server) -> None:
    newest.data.mkdir()
    assert ok(MODULE, **instance(newest))["created"] is True


@pytest.mark.parametrize("exists", [True, False])
def test_a_port_that_is_taken_is_refused_before_anything_is_made(newest: Server, exists: bool) -> None:
    if exists:
        ok(MODULE, **instance(newest, state="stopped"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", newest.port))
        listener.listen()
        before = tree(newest.home)
        for check in (True, False):
            result = run_module(MODULE, check=check, **instance(newest))
            assert "port %d and something else does already" % newest.port in result["msg"]
        assert tree(newest.home) == before


def test_a_socket_that_another_server_uses_is_refused_though_its_address_is_another(newest: Server, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / (".s.PGSQL.%d" % newest.port)))
        listener.listen()
        said = refused(MODULE, **instance(newest, socket_directory=str(tmp_path)))
        assert "listen on %s port %d and something else does already" % (tmp_path, newest.port) in said
    assert not newest.data.exists()


def test_a_server_is_not_stopped_for_a_port_that_is_taken(node: Server) -> None:
    began = started(node)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        said = refused(MODULE, **instance(node, {"port": str(port)}, port=port))
        assert "port %d and something else does already" % port in said
    assert started(node) == began


def test_missing_programs_are_told(newest: Server) -> None:
    said = refused(MODULE, **instance(newest, bindir=str(newest.home)))
    assert "program postgres was asked for in %s and is not there" % newest.home in said


def test_programs_of_another_version_are_refused(node: Server) -> None:
    other = next(major for major in VERSIONS if major != node.major and bindir(major))
    said = refused(MODULE, **instance(node, bindir=str(bindir(other))))
    assert "was made by PostgreSQL %d and the programs in %s are of version %d" % (node.major, bindir(other), other) in said


def test_what_an_interrupted_run_left_is_made_anew(newest: Server) -> None:
    draft = newest.home / "data.pgmahout-new"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")
    assert ok(MODULE, **instance(newest))["created"] is True
    assert not draft.exists()


def test_a_run_that_ends_while_it_initialises_leaves_nothing_under_the_name(newest: Server) -> None:
    refused(MODULE, **instance(newest, initdb={"locale": "no_such_locale"}))
    assert not newest.data.exists()
    assert ok(MODULE, **instance(newest))["created"] is True


def test_an_instance_is_only_removed_by_its_identifier(newest: Server) -> None:
    found = ok(MODULE, **instance(newest))["system_identifier"]
    for wrong, told in (("", "give %s when it is the right one" % found), ("7", "7 was asked for")):
        assert told in refused(MODULE, **instance(newest, state="absent", system_identifier=wrong))
    assert started(newest)
    options = instance(newest, state="absent", system_identifier=found)
    predicted = run_module(MODULE, check=True, **options)
    assert started(newest)
    assert ok(MODULE, **options)["commands"] == predicted["commands"]
    assert not newest.data.exists()
    assert not (newest.home / "log").exists()
    assert ok(MODULE, **options)["changed"] is False


def test_a_server_that_cannot_start_tells_why(newest: Server) -> None:
    ok(MODULE, **instance(newest, state="stopped"))
    for segment in (newest.data / "pg_wal").glob("0*"):
        segment.unlink()
    said = refused(MODULE, **instance(newest))
    assert "ended when it was started" in said
    assert "checkpoint record" in said


def test_a_passfile_is_closed_and_its_passwords_are_in_no_result(node: Server) -> None:
    entry = {"host": "127.0.0.1", "port": str(node.port), "user": "passfile_user", "password": PASSWORD}
    options = instance(node, passfile=str(node.home / "passfile"), passfile_entries=[entry])
    done = ok(MODULE, **options)
    assert done["commands"] == ["write %s" % (node.home / "passfile")]
    assert PASSWORD not in json.dumps(done, ensure_ascii=False)
    assert "s3cr" not in json.dumps(done)
    assert (node.home / "passfile").stat().st_mode & 0o777 == 0o600
    assert (node.home / "passfile").stat().st_uid == node.data.stat().st_uid
    assert ok(MODULE, **options)["changed"] is False
    quoted = PASSWORD.replace("'", "''")
    node.sql(f"CREATE ROLE passfile_user LOGIN PASSWORD '{quoted}'", options="-c log_statement=none")
    try:
        assert node.sql("SELECT current_user", host="127.0.0.1", user="passfile_user",
                        passfile=options["passfile"]) == [("passfile_user",)]
    finally:
        node.sql("DROP ROLE passfile_user")
    assert "s3cr" not in node.log


def test_two_runs_at_once_make_one_instance(newest: Server) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.write(write, json.dumps(run_module(MODULE, **instance(newest))).encode())
        os._exit(0)
    os.close(write)
    mine = run_module(MODULE, **instance(newest))
    with os.fdopen(read) as pipe:
        other = json.loads(pipe.read())
    os.waitpid(child, 0)
    assert [result.get("msg") for result in (mine, other)] == [None, None]
    assert sorted(result["created"] for result in (mine, other)) == [False, True]


VALUES = ["it's", "a b", "back\\slash", "%m [%p] ", 'quo"te', "#hash", "", "x\ty", "ünï", "-1", "a'||'b", "end\\", "''", "\\'"]


def test_a_rendered_value_is_what_the_server_reads(node: Server) -> None:
    text = "".join(f"test.v{index} = {guc.render(value)}\n" for index, value in enumerate(VALUES))
    ok(MODULE, **instance(node, configuration=instance(node)["configuration"] + text))
    shown = [present(node, f"test.v{index}") for index in range(len(VALUES))]
    assert shown == VALUES


#: A value, and whether we see by ourselves that it means what the server says it means; else the server is asked.
SPELLINGS: list[tuple[str, Any, bool]] = [
    ("work_mem", "1.5GB", True), ("work_mem", "5000", True), ("shared_buffers", "1e4", True),
    ("vacuum_cost_delay", "1.5ms", True),
    ("log_min_messages", "WARNING", True), ("checkpoint_timeout", "0.5h", True), ("random_page_cost", "1.10", True),
    ("archive_timeout", "1d", True), ("wal_buffers", "-1", True), ("max_wal_size", "1TB", True), ("autovacuum", True, True),
    ("wal_level", "Replica", True), ("deadlock_timeout", 2000, True), ("hot_standby", "y", False),
    ("temp_buffers", "900kB", False),
    ("max_connections", "0x20", False)]


def test_what_counts_as_the_same_is_the_same_for_the_server(newest: Server) -> None:
    """``postgres -C`` is the judge of what a value means."""
    ok(MODULE, **instance(newest))
    rows = newest.sql("SELECT name, vartype, unit, setting, boot_val FROM pg_settings")
    kinds = {name: (vartype, unit, {setting, boot}) for name, vartype, unit, setting, boot in rows}
    for name, value, seen in SPELLINGS:
        text = guc.text_of(value)
        config = newest.data / "postgresql.conf"
        config.write_text(instance(newest)["configuration"] + f"{name} = {guc.render(value)}\n")
        meant = newest.run("postgres", "-D", str(newest.data), "-C", name).stdout.rstrip("\n")
        vartype, unit, others = kinds[name]
        assert guc.same(text, meant, vartype, unit) is seen, f"{name} = {text} means {meant}"
        for other in others - {meant}:
            assert not guc.same(text, other, vartype, unit), f"{name} = {text} means {meant}, not {other}"


def test_no_password_of_the_superuser_is_needed_and_nobody_gets_in_without_one(newest: Server) -> None:
    ok(MODULE, **instance(newest, hba=None))
    lines = (newest.data / "pg_hba.conf").read_text().splitlines()
    assert {line.split()[-1] for line in lines if line[:1].isalpha()} == {"peer", "scram-sha-256"}


def test_a_server_that_is_just_starting_is_waited_for(newest: Server) -> None:
    ok(MODULE, **instance(newest))
    newest.stop("immediate")
    subprocess.Popen([bindir(18) / "postgres", "-D", newest.data], user=newest.data.stat().st_uid, cwd=newest.home,  # type: ignore[operator]
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 10
    while not (newest.data / "postmaster.pid").exists():
        assert time.monotonic() < end
    assert ok(MODULE, **instance(newest))["commands"] in ([], ["pg_ctl reload --pgdata=%s" % newest.data])
