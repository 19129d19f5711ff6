# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks failover and rejoin on one cluster under load: these tests build on each other in the order of the file.

``PGMAHOUT_TURNS`` says how often a primary is killed in each mode.
"""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time

import pytest

from tests.e2e.lab import Lab
from tests.e2e.orders import MEMBERS, assert_as_described, await_slots, load_on, primary
from tests.support import postgres
from tests.support.load import turns
from tests.support.playbooks import Run, wait_until

TURNS = turns(1)
pytestmark = pytest.mark.timeout(900 * TURNS)
SYNCHRONOUS = "ANY 1 (node1, node2, node3)"


@pytest.fixture(scope="module", autouse=True)
def deployed(lab: Lab) -> None:
    del lab.host("node3")["pg_standby_upstream"]
    lab.deploy().ok()


def others(host: str) -> list[str]:
    return [other for other in MEMBERS if other != host]


def kill(lab: Lab, host: str) -> None:
    """End a server as the loss of its host's power does, once the subscriber's slot would outlive it."""
    await_slots(lab, host, others(host))
    postgres.kill(lab.directory(host) / "data")


def start_when_it_is_fenced(lab: Lab, host: str) -> None:
    """Start a server by hand at a random moment, as somebody does who knows of nothing."""
    wait_until((lab.directory(host) / "data" / "pgmahout.fenced").exists)
    time.sleep(random.random() * 4)
    lab.start(host)


def wal_senders(lab: Lab, host: str) -> list[int]:
    return [pid for pid, name in lab.sql(host, "SELECT pid, application_name FROM pg_stat_replication") if name in MEMBERS]


def told_bytes(run: Run) -> int:
    """How many bytes of WAL the run said may be lost."""
    found = re.search(r"Up to (\d+) B of WAL are lost", run.flat)
    assert found or re.search("Nothing is lost|No acknowledged commit is lost", run.flat), run.output
    return int(found.group(1)) if found else 0


def as_planned(lab: Lab, playbook: str, *arguments: str) -> Run:
    """Run a playbook that does what its check mode says."""
    planned = lab.play(playbook, "--check", "--diff", *arguments).ok()
    done = lab.play(playbook, *arguments).ok()
    assert done.changes == planned.changes
    return done


def failed_over(lab: Lab, former: str, done: Run) -> Run:
    """Return the run of a failover, after which deploy changes nothing."""
    assert primary(lab) != former
    assert "cannot go on" not in done.flat
    again = lab.deploy().ok()
    assert set(again.changed.values()) == {0}, again.changes
    assert f"{former} was fenced by the failover to {primary(lab)}" in again.flat
    return done


def rejoined(lab: Lab, *arguments: str) -> None:
    """Bring back who was fenced, as the plan says; once more changes nothing."""
    as_planned(lab, "rejoin", *arguments)
    assert set(lab.play("rejoin", *arguments).ok().changed.values()) == {0}


def test_a_primary_that_lives_is_not_replaced(lab: Lab) -> None:
    told = lab.play("failover").refused("node1 lives: it runs on its host, answers to the controller", "playbook switchover")
    assert "pg_failover_force" in told
    lab.play("failover", "--check").refused("node1 lives")
    with lab.changed_inventory():
        lab.host("node1").update(ansible_connection="ssh", ansible_host="127.0.0.1", ansible_port=1)
        for options in ((), ("-e", "pg_failover_force=true")):
            told = lab.play("failover", *options).refused("node1 lives: it answers to the controller", "answers to node2")
        assert "cannot be reached to stop it" in told
    assert primary(lab) == "node1"
    assert set(lab.play("rejoin").ok().changed.values()) == {0}


def test_what_nobody_has_is_refused(lab: Lab) -> None:
    lab.play("failover", "-e", "pg_failover_cluster=other").refused("The cluster other was named")
    lab.play("rejoin", "-e", "pg_rejoin=node9").refused("no such member")
    lab.play("rejoin", "-e", "pg_rejoin=node1").refused("is the primary of its cluster")
    lab.play("rejoin", "-e", "pg_rejoin_reclone=node1").refused("is the primary of its cluster")


def test_synchronous_no_acknowledged_commit_is_lost_and_there_are_never_two_primaries(lab: Lab) -> None:
    settings = lab.cluster("orders")["pg_server_settings"]
    settings["synchronous_standby_names"] = SYNCHRONOUS
    lab.deploy().ok()
    for _turn in range(TURNS):
        former = primary(lab)
        with load_on(lab) as load:
            time.sleep(random.random())
            kill(lab, former)
            # Somebody starts it by hand at any moment once it was fenced.
            by_hand = threading.Thread(target=start_when_it_is_fenced, args=(lab, former))
            by_hand.start()
            done = lab.play("failover").ok()
            assert "No acknowledged commit is lost" in done.flat or "Nothing is lost" in done.flat
            load.go_on()
            by_hand.join()
            assert set(lab.deploy().ok().changed.values()) == {0}
            assert lab.value(former, "SELECT pg_is_in_recovery()")
            lab.play("rejoin").ok()
            load.go_on()
        assert (load.lost(), load.two_primaries()) == ([], [])
        assert_as_described(lab)
    del settings["synchronous_standby_names"]
    lab.deploy().ok()


def test_asynchronous_no_more_is_lost_than_was_told(lab: Lab) -> None:
    """The standbys get nothing any more for a moment in which clients still commit."""
    for _turn in range(TURNS):
        former = primary(lab)
        with load_on(lab) as load:
            await_slots(lab, former, others(former))
            senders = wal_senders(lab, former)
            for pid in senders:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(0.5 + random.random())
            postgres.kill(lab.directory(former) / "data")
            done = failed_over(lab, former, as_planned(lab, "failover"))
            load.go_on()
            lost = load.lost()
        assert lost, "the test has made nothing to lose"
        # A row of the load takes more than 100 B of WAL.
        assert 100 * len(lost) <= told_bytes(done) < 2000 * len(lost)
        rejoined(lab)
        assert_as_described(lab)


def test_again_there_is_a_primary_that_lives(lab: Lab) -> None:
    lab.play("failover").refused(f"{primary(lab)} lives")


def test_a_former_primary_that_was_shut_down_comes_back_by_a_plain_start(lab: Lab) -> None:
    former = primary(lab)
    lab.stop(former)
    assert "Nothing is lost" in failed_over(lab, former, as_planned(lab, "failover")).flat
    rejoined(lab)
    assert_as_described(lab)


def test_a_former_primary_is_cloned_anew_where_it_is_named_for_it(lab: Lab) -> None:
    former = primary(lab)
    kill(lab, former)
    failed_over(lab, former, lab.play("failover").ok())
    stray = lab.directory(former) / "data" / "stray"
    stray.write_text("of the former primary")
    rejoined(lab, "-e", f"pg_rejoin_reclone={former}")
    assert not stray.exists()
    assert_as_described(lab)


def test_a_primary_that_lives_is_stopped_first_by_force(lab: Lab) -> None:
    former = primary(lab)
    with load_on(lab) as load:
        lab.play("failover", "-e", "pg_failover_force=true").ok()
        load.go_on()
    assert primary(lab) != former
    assert (load.lost(), load.two_primaries()) == ([], [])
    lab.play("rejoin", "-e", f"pg_rejoin={former}").ok()
    assert_as_described(lab)


def test_a_delayed_standby_is_not_chosen_unless_it_is_named(lab: Lab) -> None:
    former = primary(lab)
    first, second = others(former)
    with lab.changed_inventory():
        for host in (first, second):
            lab.sql(host, "ALTER SYSTEM SET recovery_min_apply_delay = '1h'")
            lab.sql(host, "SELECT pg_reload_conf()")
            wait_until(lambda: lab.value(host, "SHOW recovery_min_apply_delay") == "1h")  # noqa: B023
        kill(lab, former)
        lab.play("failover").refused("only standbys that replay with a delay")
        lab.sql(second, "ALTER SYSTEM RESET recovery_min_apply_delay")
        lab.sql(second, "SELECT pg_reload_conf()")
        planned = lab.play("failover", "--check").ok()
        assert f"{second} becomes primary" in planned.flat
        lab.play("failover", "-e", f"pg_failover_to={first}").ok()
    assert primary(lab) == first
    lab.sql(first, "ALTER SYSTEM RESET recovery_min_apply_delay")
    lab.sql(first, "SELECT pg_reload_conf()")
    lab.play("rejoin").ok()
    assert_as_described(lab)


def test_who_returns_as_a_second_primary_past_the_fence_is_told_and_brought_back(lab: Lab) -> None:
    former = primary(lab)
    kill(lab, former)
    failed_over(lab, former, lab.play("failover").ok())
    (lab.directory(former) / "data" / "standby.signal").unlink()
    lab.start(former)
    lab.sql(former, "CREATE TABLE written_by_the_wrong_one ()")
    run = lab.deploy().ok()
    assert set(run.changed.values()) == {0}
    assert f"{former} was fenced by the failover to {primary_of_two(lab, former)}, RUNS AS A SECOND PRIMARY" in run.flat
    assert lab.play("status").returncode != 0
    lab.play("rejoin").ok()
    assert lab.value(former, "SELECT to_regclass('written_by_the_wrong_one') IS NULL")
    assert_as_described(lab)


def primary_of_two(lab: Lab, former: str) -> str:
    return next(host for host in others(former) if not lab.value(host, "SELECT pg_is_in_recovery()"))


def test_a_failover_that_was_killed_is_ended_by_the_next(lab: Lab) -> None:
    for _turn in range(TURNS):
        former = primary(lab)
        with load_on(lab) as load:
            kill(lab, former)
            lab.kill_after(2 + random.random() * 6, "failover")
            lab.play("failover")
            load.go_on()
            lab.deploy().ok()
            lab.play("rejoin").ok()
            load.go_on()
        assert load.two_primaries() == []
        assert_as_described(lab)
