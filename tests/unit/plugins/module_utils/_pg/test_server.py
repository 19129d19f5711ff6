# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One server of a host: what is refused, and the way from every state to what is wanted, without a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import (
    configuration,
    instance,
    server,
    server_state,
    service,
    start_guard,
)
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError, ToolError

DATA = "/srv/node1/data"
CONF, HBA, AUTO, PASS = DATA + "/postgresql.conf", DATA + "/pg_hba.conf", DATA + "/postgresql.auto.conf", "/srv/node1/passfile"
OPTIONS: dict[str, Any] = {
    "data_directory": DATA, "state": "started", "create": True, "planned": False, "programs_upgraded": False, "check_mode": False,
    "restart": "when_needed",
    "system_identifier": "", "initdb": None, "superuser": "postgres", "configuration": None, "hba": None, "ident": None,
    "config_directory": "", "passfile": "", "passfile_entries": None, "log_file": "", "socket_directory": "",
    "listen_address": "localhost", "unit": "", "start_guard": None, "start_guard_program": "",
    "tls_directory": "", "tls_certificate": None, "tls_key": None, "tls_ca": None,
    "port": 5432, "timeout": 10}
CONTROL = instance.Control("7001", "in production", 1, "0/1", "0/0", {}, True)
RUNS = instance.Instance(DATA, "instance", 18, CONTROL, instance.Process(4711, 0, 5432, "/run", "ready"))
STOPPED = RUNS._replace(process=None)
MISSING = instance.Instance(DATA, "missing")
START, STOP = "pg_ctl start --pgdata=" + DATA, "pg_ctl stop --pgdata=%s --mode=fast" % DATA
RELOAD, RESTART = "pg_ctl reload --pgdata=" + DATA, "pg_ctl restart --pgdata=%s --mode=fast" % DATA
LINE = {"host": "node2", "port": "5432", "database": "*", "user": "me", "password": "s3cret"}


def wanted(**options: Any) -> server.Wanted:
    return server.desired({**OPTIONS, **options})


def plan(found: instance.Instance, options: dict[str, Any], **facts: Any) -> Any:
    return server.plan(server.Current(found, facts.pop("files", {}), **facts), wanted(**options))


def commands(found: instance.Instance, options: dict[str, Any], **facts: Any) -> list[str]:
    return [step.shown for step in plan(found, options, **facts).steps]


@pytest.mark.parametrize("directory", ["/", "relative/data", "~", ".", "//"])
def test_a_directory_that_cannot_be_an_instances_own_is_refused(directory: str) -> None:
    with pytest.raises(InputError, match="option data_directory is .*absolute path"):
        wanted(data_directory=directory)


def test_the_home_of_the_account_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    with pytest.raises(InputError, match="option data_directory is '/home/me'"):
        wanted(data_directory="/home/me/")


def test_a_socket_whose_name_would_be_too_long_is_refused() -> None:
    fits = 107 - len("/.s.PGSQL.5432")
    wanted(socket_directory="/" + "a" * (fits - 1))
    with pytest.raises(InputError, match="name of 108 bytes and the system allows 107"):
        wanted(socket_directory="/" + "a" * fits)


def test_how_an_instance_is_made_follows_from_the_options() -> None:
    arguments = wanted(superuser="boss", initdb={
        "encoding": "UTF8", "locale": "C", "locale_provider": "builtin", "builtin_locale": "C.UTF-8", "wal_segment_size": 64,
        "data_checksums": False}).initdb
    assert list(arguments) == [
        "--username=boss", "--auth-local=peer", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C",
        "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--wal-segsize=64", "--no-data-checksums"]
    assert "--data-checksums" in wanted(initdb={"data_checksums": True}).initdb


def test_files_stand_in_the_data_directory_unless_told_otherwise() -> None:
    texts = {"configuration": "port = 1\n", "hba": "", "ident": ""}
    assert set(wanted(**texts).files) == {CONF, HBA, DATA + "/pg_ident.conf"}
    assert set(wanted(config_directory="/etc/node1", **texts).files) == {
        "/etc/node1/postgresql.conf", "/etc/node1/pg_hba.conf", "/etc/node1/pg_ident.conf"}
    assert wanted().files == {}


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_planned_clone_is_only_believed_in_check_mode(check_mode: bool) -> None:
    assert wanted(planned=True, check_mode=check_mode).planned is check_mode


def test_a_new_instance_is_made_beside_its_place() -> None:
    options = {"configuration": "port = 5432\n", "passfile": PASS, "passfile_entries": [LINE]}
    found = plan(MISSING, options, copy_of_programs="cp -r a b")
    draft = DATA + instance.UNFINISHED
    assert [step.shown for step in found.steps] == [
        "cp -r a b", "initdb --pgdata=%s --username=postgres --auth-local=peer --auth-host=scram-sha-256" % draft,
        "write " + CONF, "mv %s %s" % (draft, DATA), "write " + PASS, START]
    assert found.steps[2].values["draft"] == draft + "/postgresql.conf"
    assert found.facts["created"] is True
    assert (found.before["state"], found.after["state"]) == ("missing", "started")
    assert "s3cret" not in repr(found)


def test_configuration_outside_the_data_directory_is_written_to_its_place() -> None:
    found = plan(MISSING, {"configuration": "", "config_directory": "/etc/node1"})
    assert [step.values["draft"] for step in found.steps if step.action == "write"] == ["/etc/node1/postgresql.conf"]


def test_a_new_instance_that_is_to_be_stopped_is_not_started() -> None:
    found = plan(MISSING, {"state": "stopped"})
    assert START not in [step.shown for step in found.steps]
    assert found.after["state"] == "stopped"


def test_an_instance_that_was_not_to_be_made_is_missed() -> None:
    with pytest.raises(StateError, match="expected in %s and there is none; clone or create it" % DATA):
        plan(MISSING, {"create": False})


def test_a_clone_of_the_same_run_counts_as_stopped_in_check_mode() -> None:
    options = {"create": False, "planned": True, "check_mode": True, "configuration": "port = 1\n"}
    assert commands(MISSING, options) == ["write " + CONF, START]
    assert commands(MISSING, {**options, "state": "stopped"}) == ["write " + CONF]


@pytest.mark.parametrize("found", [MISSING, STOPPED])
def test_a_port_that_something_else_uses_is_refused(found: instance.Instance) -> None:
    with pytest.raises(StateError, match="listen on localhost port 5432 and something else does already"):
        plan(found, {}, place_taken="localhost")


def test_a_running_server_is_not_stopped_for_a_port_that_it_cannot_have() -> None:
    with pytest.raises(StateError, match="port 5432 and something else does already"):
        plan(RUNS, {}, place_taken="localhost", restart_reasons=["port"])


def test_a_taken_port_keeps_no_stopped_server_from_staying_stopped() -> None:
    assert commands(STOPPED, {"state": "stopped"}, place_taken="localhost") == []


def test_a_directory_that_holds_something_else_is_refused_in_every_state() -> None:
    for state in ("started", "stopped", "restarted", "reloaded", "absent"):
        with pytest.raises(StateError, match="not empty and holds no PostgreSQL instance"):
            plan(instance.Instance(DATA, "foreign"), {"state": state})


def test_another_instance_than_the_one_named_is_refused() -> None:
    with pytest.raises(StateError, match="7002 was asked for in %s and the one there has 7001" % DATA):
        plan(RUNS, {"system_identifier": "7002"})


@pytest.mark.parametrize(("found", "options", "facts", "expected"), [
    (RUNS, {}, {}, []),
    (STOPPED, {}, {}, [START]),
    (RUNS, {"state": "stopped"}, {}, [STOP]),
    (STOPPED, {"state": "stopped"}, {}, []),
    (RUNS, {"state": "restarted"}, {}, [RESTART]),
    (STOPPED, {"state": "restarted"}, {}, [START]),
    (RUNS, {"state": "reloaded"}, {}, [RELOAD]),
    (STOPPED, {"state": "reloaded"}, {}, [START]),
    (RUNS, {}, {"stale": True}, [RELOAD]),
    (RUNS, {}, {"restart_reasons": ["shared_buffers"]}, [RESTART]),
    (RUNS, {"restart": "never"}, {"restart_reasons": ["shared_buffers"]}, []),
    (RUNS, {"restart": "never"}, {"restart_reasons": ["shared_buffers"], "stale": True}, [RELOAD]),
    (RUNS, {"restart": "deferred"}, {"restart_reasons": ["shared_buffers"], "stale": True}, []),
    (RUNS, {"restart": "deferred"}, {"stale": True}, [RELOAD]),
    (RUNS, {"restart": "deferred", "hba": "new\n"}, {"files": {HBA: "old\n"}, "restart_reasons": ["port"]}, []),
    (RUNS, {"state": "stopped"}, {"restart_reasons": ["shared_buffers"], "stale": True}, [STOP]),
    (RUNS, {}, {"copy_of_programs": "cp -r a b"}, ["cp -r a b"]),
    (RUNS, {}, {"missing_directories": ["/run/pg"]}, ["mkdir /run/pg"]),
    (RUNS, {"hba": "new\n"}, {"files": {HBA: "old\n"}}, ["write " + HBA, RELOAD]),
    (RUNS, {"hba": "new\n"}, {"files": {HBA: "old\n"}, "restart_reasons": ["port"]}, ["write " + HBA, RESTART]),
    (RUNS, {"hba": "same\n"}, {"files": {HBA: "same\n"}}, []),
    (STOPPED, {"hba": "new\n"}, {"files": {HBA: None}}, ["write " + HBA, START]),
    (RUNS, {"passfile": PASS, "passfile_entries": [LINE]}, {}, ["write " + PASS]),
    (RUNS, {"passfile": PASS, "passfile_entries": [LINE]}, {"credentials": {PASS: "node2:5432:*:me:s3cret\n"}}, []),
    (RUNS, {"configuration": "work_mem = 1MB\n"}, {"files": {CONF: "work_mem = 1MB\n", AUTO: "Work_Mem = '2MB'\nport = '1'\n"}},
     ["write " + AUTO, RELOAD]),
])
def test_every_state_leads_to_what_is_wanted(found: instance.Instance, options: dict[str, Any], facts: dict[str, Any],
                                             expected: list[str]) -> None:
    assert commands(found, options, **facts) == expected


def test_only_the_overrides_of_what_we_configure_are_removed() -> None:
    files = {CONF: "work_mem = 1MB\n", AUTO: "work_mem = '2MB'\nprimary_conninfo = 'host=a'\n"}
    found = plan(RUNS, {"configuration": "work_mem = 1MB\n"}, files=files)
    assert found.after[AUTO] == ["primary_conninfo = 'host=a'"]
    assert found.before[AUTO] == ["work_mem = '2MB'", "primary_conninfo = 'host=a'"]


def test_what_waits_for_a_restart_is_told() -> None:
    told = plan(RUNS, {"restart": "never"}, restart_reasons=["shared_buffers"]).facts
    assert (told["restart_required"], told["restart_reasons"], told["restarted"]) == (True, ["shared_buffers"], False)
    done = plan(RUNS, {}, restart_reasons=["shared_buffers"]).facts
    assert (done["restart_required"], done["restart_reasons"], done["restarted"]) == (False, ["shared_buffers"], True)
    assert plan(RUNS, {}, stale=True).facts["reloaded"] is True


UNIT = {"unit": "postgresql@17-orders", "config_directory": "/etc/postgresql/17/orders", "configuration": "port = 5432\n"}
ETC = "/etc/postgresql/17/orders/"
LAYOUT = {ETC + "start.conf": "auto\n", ETC + "environment": wanted(**UNIT).files[ETC + "environment"],
          ETC + "pg_ctl.conf": wanted(**UNIT).files[ETC + "pg_ctl.conf"], ETC + "postgresql.conf": "port = 5432\n"}


@pytest.mark.parametrize(("found", "options", "facts", "expected"), [
    (RUNS, {}, {"files": LAYOUT}, []),
    (RUNS, {"state": "stopped"}, {"files": LAYOUT}, ["systemctl stop postgresql@17-orders"]),
    (RUNS, {}, {"files": LAYOUT, "restart_reasons": ["bindir"]}, ["systemctl restart postgresql@17-orders"]),
    (STOPPED, {}, {"files": LAYOUT}, ["systemctl start postgresql@17-orders"]),
    (STOPPED, {}, {"files": {**LAYOUT, ETC + "start.conf": "manual\n"}},
     ["write " + ETC + "start.conf", "systemctl daemon-reload", "systemctl start postgresql@17-orders"]),
    (RUNS, {"state": "absent", "system_identifier": "7001"}, {"leftovers": [DATA, ETC[:-1]]},
     ["systemctl stop postgresql@17-orders", "rm -r " + DATA, "rm -r " + ETC[:-1], "systemctl daemon-reload"]),
])
def test_a_unit_is_started_stopped_and_made_known(found: instance.Instance, options: dict[str, Any], facts: dict[str, Any],
                                                  expected: list[str]) -> None:
    assert commands(found, {**UNIT, **options}, **facts) == expected


@pytest.mark.parametrize(("foreign", "removed"), [([], [""]), (["other.conf"], ["postgresql.conf", "start.conf"])])
def test_a_directory_of_configuration_goes_whole_only_where_all_of_it_is_ours(tmp_path: Path, foreign: list[str],
                                                                             removed: list[str]) -> None:
    config = tmp_path / "etc"
    config.mkdir()
    for name in ["postgresql.conf", "start.conf", *foreign]:
        (config / name).touch()
    asked = wanted(state="absent", data_directory=str(tmp_path / "data"), config_directory=f"{config}/", unit="postgresql@17-x")
    assert server_state._leftovers(asked) == [str(config / name) for name in removed]


def test_a_new_unit_is_known_before_it_starts() -> None:
    shown = commands(MISSING, UNIT)
    assert shown[-2:] == ["systemctl daemon-reload", "systemctl start postgresql@17-orders"]
    assert "write " + ETC + "start.conf" in shown


GUARD = {"start_guard": [{"host": "node2"}], "start_guard_program": "#!/bin/sh\n", "bindir": "/bin", "programs_directory": "",
         "user": "postgres"}
GUARD_FILES = [file.path for file in wanted(**UNIT, **GUARD).start_guard]


def test_a_unit_learns_what_to_ask_without_a_restart_or_reload_of_its_server() -> None:
    asked, present = {**UNIT, **GUARD}, {file.path: file.text for file in wanted(**UNIT, **GUARD).start_guard}
    units = "systemctl daemon-reload"
    assert commands(RUNS, asked, files=LAYOUT) == [*(f"write {path}" for path in GUARD_FILES), units]
    assert commands(RUNS, asked, files=LAYOUT, start_guard=present) == []
    assert commands(RUNS, asked, files=LAYOUT, start_guard={**present, GUARD_FILES[1]: ""}) == [f"write {GUARD_FILES[1]}"]
    # A run that was killed had written all and told systemd nothing.
    assert commands(RUNS, asked, files=LAYOUT, start_guard=present, unread=True) == [units]
    assert commands(RUNS, {**asked, "start_guard": []}, files=LAYOUT, start_guard=present) == [
        *(f"rm {path}" for path in reversed(GUARD_FILES)), units]
    assert commands(RUNS, {**asked, "start_guard": None}, files=LAYOUT, start_guard=present) == []


def test_a_new_server_is_guarded_before_it_starts() -> None:
    shown = commands(MISSING, {**UNIT, **GUARD})
    assert shown[-5:] == [*(f"write {path}" for path in GUARD_FILES), "systemctl daemon-reload",
                          "systemctl start postgresql@17-orders"]


def test_the_diff_shows_what_is_asked() -> None:
    found = plan(RUNS, {**UNIT, **GUARD}, files=LAYOUT, start_guard={GUARD_FILES[1]: "host=node3\n"})
    assert (found.before[GUARD_FILES[1]], found.after[GUARD_FILES[1]]) == (["host=node3"], ["host=node2"])
    gone = plan(RUNS, {**UNIT, **GUARD, "start_guard": []}, files=LAYOUT, start_guard={GUARD_FILES[1]: "host=node3\n"})
    assert (gone.before[GUARD_FILES[1]], gone.after[GUARD_FILES[1]]) == (["host=node3"], [])


def test_a_guard_goes_with_its_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_guard, "ROOT", str(tmp_path))
    config, drop_in = tmp_path / "config", Path(start_guard.drop_in("postgresql@17-x"))
    config.mkdir()
    drop_in.parent.mkdir(parents=True)
    for path in (*(config / name for name in ["start.conf", *start_guard.NAMES]), drop_in):
        path.touch()
    asked = {"state": "absent", "data_directory": str(tmp_path / "data"), "config_directory": str(config),
             "unit": "postgresql@17-x"}
    left = server_state._leftovers(wanted(**asked))
    assert left == [str(drop_in.parent), str(config)]
    assert commands(MISSING, asked, leftovers=left[:1]) == [f"rm -r {drop_in.parent}", "systemctl daemon-reload"]


def test_a_renewed_certificate_is_loaded_without_a_restart() -> None:
    tls = {"tls_directory": "/etc/pg", "tls_certificate": "NEW", "tls_key": "KEY", "tls_ca": "CA"}
    there = {"/etc/pg/server.crt": "0LD", "/etc/pg/server.key": "KEY", "/etc/pg/ca.crt": "CA"}
    assert commands(RUNS, tls, credentials=there) == ["write /etc/pg/server.crt", RELOAD]
    assert commands(RUNS, tls, credentials={**there, "/etc/pg/server.crt": "NEW"}) == []


def test_a_password_is_in_no_part_of_a_plan() -> None:
    found = plan(RUNS, {"passfile": PASS, "passfile_entries": [LINE]}, credentials={PASS: "a:b:c:d:0ld\n"})
    assert (found.before[PASS], found.after[PASS]) == ("another text", "as given")
    assert "s3cret" not in repr(found)
    assert "0ld" not in repr(found)


def test_data_is_only_destroyed_by_its_identifier() -> None:
    with pytest.raises(InputError, match="system_identifier does not name it; give 7001"):
        plan(RUNS, {"state": "absent"}, leftovers=[DATA])
    with pytest.raises(StateError, match="7002 was asked for"):
        plan(RUNS, {"state": "absent", "system_identifier": "7002"}, leftovers=[DATA])
    found = plan(RUNS, {"state": "absent", "system_identifier": "7001"}, leftovers=[DATA, PASS])
    assert [step.shown for step in found.steps] == [STOP, "rm -r " + DATA, "rm -r " + PASS]
    assert found.after["state"] == "missing"


def test_leftovers_of_an_instance_that_was_never_finished_go_without_an_identifier() -> None:
    draft = DATA + instance.UNFINISHED
    assert commands(MISSING, {"state": "absent"}, leftovers=[draft]) == ["rm -r " + draft]
    assert commands(MISSING, {"state": "absent"}) == []


def test_the_last_instance_takes_the_programs_along() -> None:
    found = plan(STOPPED, {"state": "absent", "system_identifier": "7001"}, leftovers=[DATA], last=True)
    assert [step.action for step in found.steps] == ["remove", "tidy"]
    assert plan(MISSING, {"state": "absent"}, last=True).steps == []


@pytest.mark.parametrize(("output", "told"), [
    ('2026 LOG:  invalid value for parameter "work_mem": "lots"\n2026 FATAL:  configuration file contains errors',
     'invalid value for parameter "work_mem": "lots"'),
    ('LOG:  unrecognized configuration parameter "wal" in file "/tmp/x/postgresql.conf" line 3\nFATAL:  y',
     'unrecognized configuration parameter "wal"'),
    ("nothing telling", "it ended."),
])
def test_the_complaint_about_a_setting_is_the_servers_first(output: str, told: str) -> None:
    assert configuration._complaint(ToolError("it ended.", output)) in (told, told.rstrip("."))


@pytest.mark.parametrize(("row", "settings", "doubtful"), [
    ({"name": "port", "setting": "5432", "vartype": "integer", "unit": None}, {"port": "5432"}, False),
    ({"name": "port", "setting": "5432", "vartype": "integer", "unit": None}, {"port": "5433"}, True),
    ({"name": "port", "source": "default", "pending_restart": False}, {}, False),
    ({"name": "port", "source": "default", "pending_restart": True}, {}, True),
    ({"name": "port", "source": "configuration file", "pending_restart": False}, {}, True),
])
def test_only_a_value_that_may_differ_is_asked_about(row: dict[str, Any], settings: dict[str, str], doubtful: bool) -> None:
    assert server_state._is_doubtful(row, settings) is doubtful


def test_the_last_words_of_a_server_are_those_behind_the_offset(tmp_path: Any) -> None:
    log = tmp_path / "log"
    assert service.last_words(str(log), 0) == "it left no log in %s." % log
    log.write_text("FATAL:  old\n")
    assert service.last_words(str(log), 12) == "it logged nothing in %s." % log
    with log.open("a") as file:
        file.write("LOG:  a\nFATAL:  new\nLOG:  shut down\n")
    assert service.last_words(str(log), 12) == "FATAL:  new"
