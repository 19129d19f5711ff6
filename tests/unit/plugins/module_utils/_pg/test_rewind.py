# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rewinds: what is planned and what is refused, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import divergence, instance, rewind, rewind_source
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.catalog import Switch
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError

UPSTREAM = {"host": "node2", "port": "5433", "user": "replicator", "passfile": "/srv/passfile"}
FOLLOWS = "primary_conninfo = 'host=node2 port=5433 user=replicator passfile=/srv/passfile'\n"
OPTIONS: dict[str, Any] = {
    "conninfo": UPSTREAM, "primary_slot_name": None, "restore_target_wal": False, "restore_command": None, "config_directory": "",
    "log_file": "", "superuser": "postgres", "timeout": 5, "planned": False, "check_mode": False,
}
CONTROL = instance.Control("42", "shut down", 1, "0/4000", "0/0", {}, True)
SOURCE = rewind_source.Source("42", False, divergence.Line(2, [Switch(1, "0/3000")]), "replicator", (), {}, frozenset())


@pytest.fixture
def found(tmp_path: Path) -> instance.Instance:
    (tmp_path / "data").mkdir()
    return instance.Instance(str(tmp_path / "data"), "instance", 18, CONTROL, newest_timeline=1)


def wanted(found: instance.Instance, **options: Any) -> rewind.Wanted:
    return rewind.desired({"data_directory": found.data_directory, **OPTIONS, **options})


def current(found: instance.Instance, state: str = "shut down", checkpoint: int = 0x4000, **facts: Any) -> rewind.Current:
    end = divergence.End(1, state, checkpoint, 0)
    known = {"instance": found, "source": SOURCE, "parting": divergence.Fork(1, 0x3000), "end": end}
    return rewind.Current(**{**known, **facts})


def shown(now: rewind.Current, **options: Any) -> list[str]:
    where = now.instance.data_directory
    return [step.shown.replace(where, "D") for step in rewind.plan(now, wanted(now.instance, **options)).steps]


SIGNAL, WRITE = "touch D/standby.signal", "write D/postgresql.auto.conf"
REWIND = ("pg_rewind --target-pgdata=D '--source-server=dbname=postgres host=node2 port=5433 user=replicator"
          " passfile=/srv/passfile' --no-ensure-shutdown")


def test_one_that_has_diverged_is_a_standby_before_it_is_rewound(found: instance.Instance) -> None:
    plan = rewind.plan(current(found), wanted(found))
    assert shown(current(found)) == [SIGNAL, WRITE, REWIND]
    assert (plan.before["standby.signal"], plan.after["standby.signal"]) == (False, True)
    assert (plan.before["timeline"], plan.after["timeline"]) == (1, 2)
    assert plan.facts == {"data_directory": found.data_directory, "needed": True, "timeline_before": 1, "timeline": 2,
                          "diverged_at": "0/3000"}


def test_one_that_has_crashed_recovers_first(found: instance.Instance) -> None:
    steps = shown(current(found, "in production"))
    assert steps[:2] == [SIGNAL, WRITE]
    assert steps[2].startswith("postgres -D D ")
    assert steps[3:] == [REWIND]


def test_one_that_has_not_only_follows(found: instance.Instance) -> None:
    plan = rewind.plan(current(found, checkpoint=0x2F00), wanted(found))
    assert (plan.facts["needed"], plan.facts["diverged_at"], plan.after["timeline"]) == (False, None, 1)
    assert shown(current(found, checkpoint=0x2F00)) == [SIGNAL, WRITE]


def test_one_that_has_not_gets_what_its_source_has_recycled(found: instance.Instance) -> None:
    now = current(found, checkpoint=0x2F00, recycled=("00000002.history",))
    assert shown(now)[2:] == ["fetch 00000002.history from the archive"]


def test_what_its_source_has_recycled_is_what_lies_behind_the_fork_and_is_not_there(found: instance.Instance) -> None:
    size = 1 << 24
    behind = found._replace(control=CONTROL._replace(wal_segment_size=size))
    source = SOURCE._replace(line=divergence.Line(2, [Switch(1, "0/3000000")]), numbers=frozenset({5, 6}))
    now = current(behind, checkpoint=0x2F00, source=source, parting=divergence.Fork(1, 3 * size))
    with_archive = wanted(found, restore_target_wal=True, restore_command="cp /a/%f %p")
    names = ["00000002.history", "000000020000000000000003", "000000020000000000000004"]
    assert rewind._recycled_behind(now, with_archive) == names
    (Path(found.data_directory) / "pg_wal").mkdir()
    (Path(found.data_directory) / "pg_wal" / names[1]).touch()
    assert rewind._recycled_behind(now, with_archive) == [names[0], names[2]]
    with pytest.raises(StateError, match="has recycled the WAL from 000000020000000000000003 on"):
        rewind._recycled_behind(now, wanted(found))
    enough = now._replace(source=source._replace(numbers=frozenset({3})))
    assert rewind._recycled_behind(enough, wanted(found)) == []


def test_one_that_would_follow_is_no_change(found: instance.Instance) -> None:
    ready = current(found._replace(standby_signal=True), checkpoint=0x2F00, auto_conf=FOLLOWS)
    assert shown(ready) == []
    assert shown(ready, primary_slot_name="") == []
    assert shown(ready, primary_slot_name="node1") == [WRITE]


def test_one_that_streams_is_no_change_and_another_that_runs_is_refused(found: instance.Instance) -> None:
    running = found._replace(standby_signal=True, process=instance.Process(1, 1, 5432, "/run", "ready"))
    assert shown(current(running, "in archive recovery", streams=True, auto_conf=FOLLOWS)) == []
    for now in (current(running, streams=True), current(running, auto_conf=FOLLOWS)):
        with pytest.raises(StateError, match="its server runs; stop it first"):
            shown(now)
    assert REWIND in shown(current(running), planned=True, check_mode=True)


def test_one_that_is_held_is_rewound_or_released(found: instance.Instance) -> None:
    assert shown(current(found, is_held=True, auto_conf=FOLLOWS)) == [REWIND]
    rewound = current(found, "in archive recovery", is_held=True, auto_conf=FOLLOWS, parting=divergence.Fork(2, None))
    assert shown(rewound) == ["mv D.pgmahout-rewinding/files/* D"]


def test_wal_that_was_only_received_is_cut(found: instance.Instance) -> None:
    end = divergence.End(1, "shut down in recovery", 0x2000, 0x2F00, True)
    ready = current(found._replace(standby_signal=True), end=end, auto_conf=FOLLOWS)
    steps = rewind.plan(ready, wanted(found)).steps
    assert [step.shown for step in steps] == ["truncate the WAL of timeline 1 at 0/3000"]
    assert steps[0].values == {"timeline": 1, "position": 0x3000, "size": 16 << 20}


def test_the_archive_is_only_asked_where_it_is_wanted(found: instance.Instance) -> None:
    options = {"restore_command": "cp /archive/%f %p"}
    assert shown(current(found), **options)[-1] == REWIND
    assert shown(current(found), restore_target_wal=True, **options)[-1] == REWIND + " --restore-target-wal"


@pytest.mark.parametrize(("facts", "said"), [
    ({"source": SOURCE._replace(system_identifier="43")}, r"different systems \(42 and 43\)"),
    ({"source": SOURCE._replace(in_recovery=True)}, "that is a standby; name the primary"),
    ({"source": SOURCE._replace(lacking=("pg_ls_dir()",))}, r"may not execute pg_ls_dir\(\); let it with the option may"),
    ({"parting": None}, "no common begin; clone it anew"),
    ({"parting": divergence.Fork(1, None)}, "both were primary on timeline 1.*clone it anew"),
    ({"is_backup": True}, "never started; clone it anew"),
    ({"missing_places": ["/space"]}, "a tablespace in /space, which is no empty directory here"),
])
def test_what_cannot_be_is_refused_in_one_sentence(found: instance.Instance, facts: dict[str, Any], said: str) -> None:
    with pytest.raises(StateError, match=said) as refusal:
        shown(current(found, **facts))
    assert str(refusal.value).endswith(".")
    assert str(refusal.value).count(". ") == 0


@pytest.mark.parametrize(("control", "said"), [
    (CONTROL._replace(data_checksums=False), "neither data checksums nor wal_log_hints; clone it anew"),
    (CONTROL._replace(full_page_writes=False), "full_page_writes off; clone it anew")])
def test_pages_must_tell_what_changed_them(found: instance.Instance, control: instance.Control, said: str) -> None:
    with pytest.raises(StateError, match=said):
        shown(current(found._replace(control=control)))
    assert shown(current(found._replace(control=control), checkpoint=0x2F00)) == [SIGNAL, WRITE]
    assert shown(current(found._replace(control=CONTROL._replace(data_checksums=False, wal_log_hints=True))))[-1] == REWIND


def test_there_must_be_an_instance_and_no_other_recovery(found: instance.Instance) -> None:
    with pytest.raises(StateError, match="there is none; clone it with pg_basebackup"):
        shown(rewind.Current(found._replace(kind="missing", control=None), SOURCE))
    with pytest.raises(StateError, match="point-in-time recovery is under way"):
        shown(current(found._replace(recovery_signal=True)))


@pytest.mark.parametrize(("options", "said"), [
    ({"conninfo": {"user": "x"}}, "names no host"), ({"conninfo": {**UPSTREAM, "password": "x"}}, "holds password"),
    ({"restore_target_wal": True}, "without restore_command")])
def test_bad_input_is_refused(found: instance.Instance, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        wanted(found, **options)


def test_only_check_mode_rehearses_and_only_where_that_writes_nothing(found: instance.Instance) -> None:
    assert not wanted(found).rehearses
    assert wanted(found, check_mode=True).rehearses
    assert not wanted(found, check_mode=True, restore_target_wal=True, restore_command="x").rehearses
