# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Subscriptions on real servers: what is made, what is refused, what an interruption leaves."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.modules import ok, refused, run_module
from tests.support.postgres import Server
from tests.support.replication import PASSWORD, Pair, await_true, databases, filled, writing

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=15)


@pytest.fixture(scope="module")
def pair_of() -> Iterator[Callable[[Server], Pair]]:
    """Give the two databases of a server, made when first asked for."""
    made: dict[int, Pair] = {}
    with contextlib.ExitStack() as stack:

        def give(server: Server) -> Pair:
            if server.major not in made:
                made[server.major] = stack.enter_context(databases(server))
            return made[server.major]

        yield give


@pytest.fixture
def made(server: Server, pair_of: Callable[[Server], Pair]) -> Iterator[Pair]:
    with filled(pair_of(server)) as both:
        yield both


@pytest.fixture
def newest_made(newest: Server, pair_of: Callable[[Server], Pair]) -> Iterator[Pair]:
    with filled(pair_of(newest)) as both:
        yield both


def row(made: Pair) -> dict[str, Any]:
    """The subscription's row in the catalog, which must be there."""
    found = made.catalog()
    assert found is not None
    return found


def birth(made: Pair) -> str:
    """The statements that make the subscription's row, as an interrupted run leaves it: no slot yet, disabled."""
    text = f"host={made.server.home} port={made.server.port} dbname={made.publisher} user=postgres"
    return (f"CREATE SUBSCRIPTION {made.sub} CONNECTION '{text}' PUBLICATION a WITH (slot_name = NONE, enabled = false,"
            f" create_slot = false); ALTER SUBSCRIPTION {made.sub} SET (slot_name = '{made.sub}')")


# What is made


def test_rows_are_copied_and_followed_within_one_server(made: Pair) -> None:
    made.ok(wait_for_sync=True)
    assert made.at_subscriber("SELECT count(*) FROM a") == [(100,)]
    made.at_publisher("INSERT INTO a VALUES (101)")
    made.await_rows("a", 101)
    assert made.slots() == {made.sub}
    assert made.at_subscriber("SELECT DISTINCT srsubstate::text FROM pg_subscription_rel") == [("r",)]


def test_copy_data_false_copies_nothing(made: Pair) -> None:
    made.ok(copy_data=False, wait_for_sync=True)
    made.at_publisher("INSERT INTO a VALUES (101)")
    made.await_rows("a", 1)


def test_nothing_to_do_is_three_statements_of_one_connection_at_most(newest_made: Pair) -> None:
    made = newest_made
    for ask in (made.at_publisher, made.at_subscriber):
        ask("DO $$ BEGIN FOR i IN 1..1000 LOOP EXECUTE format('CREATE TABLE t%s (id int)', i); END LOOP; END $$")
    made.at_publisher("CREATE PUBLICATION everything FOR ALL TABLES")
    made.ok(publications=["everything"], copy_data=False, wait_for_sync=True)
    assert made.at_subscriber("SELECT count(*) FROM pg_subscription_rel") == [(1003,)]
    before = len(made.server.log)
    assert made.ok(publications=["everything"], wait_for_sync=True)["changed"] is False
    ours = [line.split("LOG:")[0].split()[-1] for line in made.server.log[before:].splitlines()
            if "LOG:  statement:" in line and "set_config('search_path'" not in line]
    assert 1 <= len(ours) <= 3
    assert len(set(ours)) == 1


def test_a_passfile_of_the_server_and_several_hosts_are_enough(made: Pair) -> None:
    passfile = made.server.home / "passfile"
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    passfile.write_text(f"127.0.0.1:*:*:{made.user}:{escaped}\n")
    passfile.chmod(0o600)
    os.chown(passfile, made.server.data.stat().st_uid, -1)
    keywords = made.conninfo(host="127.0.0.1,127.0.0.1", port=f"1,{made.server.port}", passfile=str(passfile),
                             target_session_attrs="read-write", password=None)
    before = len(made.server.log)
    made.ok(conninfo=keywords, wait_for_sync=True)
    assert made.at_subscriber("SELECT count(*) FROM a") == [(100,)]
    assert made.ok(conninfo=keywords)["changed"] is False
    assert re.search(r"CREATE SUBSCRIPTION", made.server.log[before:])


@pytest.mark.parametrize(("publisher", "subscriber"), [(15, 18), (18, 15)])
def test_publisher_and_subscriber_are_of_different_versions(server_of: Callable[[int], Server],
                                                            pair_of: Callable[[Server], Pair], publisher: int,
                                                            subscriber: int) -> None:
    with filled(pair_of(server_of(publisher))) as there, filled(pair_of(server_of(subscriber))) as here:
        here.ok(conninfo=there.conninfo(), refresh=True, wait_for_sync=True)
        assert here.at_subscriber("SELECT count(*) FROM a") == [(100,)]
        assert here.ok(conninfo=there.conninfo(), refresh=True)["changed"] is False
        assert there.slots() == {here.sub}
        here.absent()
        assert there.slots() == set()


def test_a_server_that_is_planned_gives_a_whole_plan(newest: Server) -> None:
    options = {**newest.login, "login_db": "not_yet_there", "login_planned": True, "name": "s", "publications": ["p"],
               "conninfo": {"host": "nowhere.invalid", "dbname": "shop"}, "failover": True}
    planned = run_module("pg_subscription", check=True, **options)
    assert planned["changed"] is True
    assert len(planned["statements"]) == 4
    assert planned["diff"]["after"]["failover"] is True
    assert "not_yet_there" in refused("pg_subscription", **options)


# Secrets


def test_a_password_is_rotated_with_one_change_and_seen_nowhere(made: Pair) -> None:
    made.ok(wait_for_sync=True)
    new = "rot'ated \\ qwertzui "
    quoted = new.replace("'", "''")
    made.server.sql(f"ALTER ROLE \"{made.user}\" PASSWORD '{quoted}'",
                    options="-c log_statement=none")
    keywords = made.conninfo(password=new)
    planned = made.check(conninfo=keywords)
    done = made.ok(conninfo=keywords)
    again = made.ok(conninfo=keywords)
    assert [planned["changed"], done["changed"], again["changed"]] == [True, True, False]
    assert len(done["statements"]) == 1
    assert done["diff"]["before"] != done["diff"]["after"] == planned["diff"]["after"]
    assert row(made)["subconninfo"].endswith(" password='rot\\'ated \\\\ qwertzui '")
    wrong = made.refused(name="another", conninfo=made.conninfo())
    assert "password authentication failed" in wrong
    made.at_publisher("INSERT INTO a VALUES (101)")
    made.await_rows("a", 101)
    for text in (json.dumps([planned, done, again, wrong]), made.server.log):
        assert not [secret for secret in ("s3cr", "rot'ated", "rot''ated", "rot\\'ated", "qwertzui") if secret in text]


def test_a_refused_statement_does_not_show_the_password(made: Pair) -> None:
    made.at_subscriber("DROP TABLE a")
    message = made.refused()
    assert 'relation "public.a" does not exist' in message
    assert "s3cr" not in message
    assert "s3cr" not in made.server.log


def test_the_most_verbose_output_shows_no_password(newest_made: Pair, tmp_path: Path) -> None:
    play = [{"hosts": "localhost", "gather_facts": False, "vars": {"ansible_python_interpreter": sys.executable},
             "tasks": [{"pgmahout.cluster.pg_subscription": newest_made.options(publications=publications), "register": "r",
                        "ignore_errors": True} for publications in (["a"], ["a"], ["missing"])]}]
    (tmp_path / "play.yml").write_text(json.dumps(play))
    root = Path(__file__).parents[2]
    program = Path(sys.executable).parent / "ansible-playbook"
    output = subprocess.run([program, "-i", "localhost,", "-c", "local", "-vvv", "--diff", tmp_path / "play.yml"],
                            check=True, capture_output=True, text=True, cwd=tmp_path,
                            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(root / ".collections")})
    text = output.stdout + output.stderr
    assert "changed=1" in text
    assert "ignored=1" in text
    assert "s3cr" not in text
    assert "s3cr" not in newest_made.server.log


# What is refused


def test_a_publication_that_does_not_exist_is_refused_before_anything_is_done(made: Pair) -> None:
    assert "no publication 'missing'" in made.refused(publications=["a", "missing"])
    assert made.catalog() is None
    assert made.slots() == set()
    made.ok()
    assert "no publication 'missing'" in made.refused(publications=["missing"], enabled=False, comment="new")
    assert row(made)["subpublications"] == ["a"]
    assert row(made)["subenabled"] is True
    assert row(made)["comment"] is None


def test_an_unreachable_publisher_is_refused_before_anything_is_done(made: Pair) -> None:
    message = made.refused(conninfo=made.conninfo(port=1))
    assert message.startswith("The publisher cannot be asked from this host: ")
    assert made.catalog() is None


def test_an_owner_that_does_not_exist_leaves_nothing(made: Pair) -> None:
    assert 'role "nobody here" does not exist' in made.refused(owner="nobody here")
    assert made.catalog() is None
    assert made.slots() == set()


@pytest.mark.parametrize(("option", "value", "since"), [
    ("password_required", True, 16), ("run_as_owner", False, 16), ("origin", "none", 16), ("failover", False, 17)])
def test_an_option_of_a_newer_version_is_refused(server: Server, option: str, value: Any, since: int) -> None:
    options = {**server.login, "name": "s", "conninfo": {"host": "nowhere.invalid"}, "publications": ["p"], option: value}
    result = run_module("pg_subscription", check=True, **options)
    if server.major < since:
        assert result["msg"].startswith(f"The option {option} needs PostgreSQL {since} or newer and this server is version")
    else:
        assert result["changed"] is True


def test_streaming_parallel_is_refused_before_16(made: Pair) -> None:
    if made.server.major < 16:
        assert "streaming: parallel needs PostgreSQL 16 or newer" in made.refused(streaming="parallel")
        assert made.catalog() is None
    else:
        made.ok(streaming="parallel")
        assert row(made)["substream"] == "p"


def test_a_slot_of_another_kind_or_in_use_is_refused(made: Pair) -> None:
    made.at_publisher(f"SELECT pg_create_physical_replication_slot('{made.sub}')")
    assert "another type, plugin or database" in made.refused()
    made.at_publisher(f"SELECT pg_drop_replication_slot('{made.sub}')")
    made.ok(name="first", slot_name=made.sub, wait_for_sync=True)
    assert "in use by another subscriber" in made.refused()
    assert made.catalog() is None


def test_without_create_slot_the_slot_must_exist(made: Pair) -> None:
    assert "create_slot is false" in made.refused(create_slot=False)
    assert made.catalog() is None
    made.at_publisher(f"SELECT pg_create_logical_replication_slot('{made.sub}', 'pgoutput')")
    made.ok(create_slot=False, wait_for_sync=True)
    assert made.at_subscriber("SELECT count(*) FROM a") == [(100,)]


def test_two_phase_is_changed_from_18_and_refused_before(made: Pair) -> None:
    made.ok(two_phase=True, wait_for_sync=True)
    await_true(lambda: row(made)["subtwophasestate"] == "e")
    assert made.ok(two_phase=True)["changed"] is False
    assert "copy_data: false" in made.refused(publications=["a", "b"])
    made.ok(publications=["a", "b"], copy_data=False)
    if made.server.major < 18:
        assert f"two_phase = true, which PostgreSQL {made.server.major} can neither change" in made.refused(two_phase=False)
        assert "slot_name as they are" in made.refused(slot_name="another", publications=["a", "b"])
    else:
        made.ok(two_phase=False, publications=["a", "b"])
        assert row(made)["subtwophasestate"] == "d"


def test_an_owner_without_superuser_needs_a_password(made: Pair) -> None:
    owner = f"owner_{made.sub}"
    made.server.sql(f"CREATE ROLE {owner}; GRANT CREATE ON DATABASE {made.subscriber} TO {owner}")
    keywords = {"host": str(made.server.home), "port": made.server.port, "dbname": made.publisher, "user": made.user}
    try:
        if made.server.major < 16:
            assert "only superusers may own" in made.refused(owner=owner)
        else:
            assert "password_required" in made.refused(owner=owner, conninfo=keywords)
            made.ok(owner=owner, conninfo=keywords, password_required=False)
            made.ok(owner=owner, password_required=True)
            assert row(made)["owner"] == owner
            assert "has no password" in made.refused(conninfo=keywords)
            made.absent()
        assert made.catalog() is None
    finally:
        made.server.sql(f"DROP OWNED BY {owner}; DROP ROLE {owner}", made.subscriber)


def test_a_user_who_may_not_read_connection_strings_is_told_so(made: Pair) -> None:
    user = f"user_{made.sub}"
    made.server.sql(f"CREATE ROLE {user} LOGIN")
    try:
        assert "SELECT (subconninfo)" in made.refused(login_user=user)
        assert made.absent(login_user=user)["changed"] is False
    finally:
        made.server.sql(f"DROP ROLE {user}")


def test_a_user_without_superuser_works_with_the_rights_that_the_page_names(newest_made: Pair) -> None:
    made, user = newest_made, f"user_{newest_made.sub}"
    made.server.sql(f"CREATE ROLE {user} LOGIN; GRANT pg_create_subscription TO {user};"
                    f"GRANT CREATE ON DATABASE {made.subscriber} TO {user};")
    made.at_subscriber(f"GRANT SELECT (subconninfo) ON pg_subscription TO {user}; GRANT ALL ON a, b TO {user}")
    try:
        assert "may not keep a password out of the server's log, where log_" in made.refused(login_user=user)
        made.server.sql(f"ALTER ROLE {user} SET log_statement TO 'none';"
                        f"ALTER ROLE {user} SET log_min_error_statement TO 'panic'")
        options = {"login_user": user, "run_as_owner": True}
        made.ok(**options, wait_for_sync=True)
        assert made.ok(**options)["changed"] is False
        made.ok(**options, publications=["b"], slot_name="another", binary=True)
        assert made.absent(login_user=user)["changed"] is True
        assert made.slots() == set()
    finally:
        made.at_subscriber(f"REVOKE SELECT (subconninfo) ON pg_subscription FROM {user}; DROP OWNED BY {user}")
        made.clear()
        made.server.sql(f"DROP ROLE {user}")
        made.fill()


# Slots


def test_no_change_is_lost_when_the_slot_is_moved(made: Pair) -> None:
    made.ok(wait_for_sync=True)
    for number in range(3):
        made.at_publisher(f"INSERT INTO a SELECT {number + 2} * 1000 + i FROM generate_series(1, 50) i")
        made.ok(slot_name=f"{made.sub}_{number}")
        assert made.slots() == {f"{made.sub}_{number}"}
    made.await_rows("a", 250)


def test_a_moved_slot_keeps_failover_and_two_phase(newest_made: Pair) -> None:
    made = newest_made
    made.ok(failover=True, wait_for_sync=True)
    made.ok(failover=True, slot_name=f"{made.sub}_moved")
    query = "SELECT slot_name, failover FROM pg_replication_slots WHERE database = current_database()"
    assert made.at_publisher(query) == [(f"{made.sub}_moved", True)]
    made.ok(failover=False, two_phase=True, slot_name=f"{made.sub}_moved")
    await_true(lambda: row(made)["subtwophasestate"] == "e")
    made.ok(slot_name=made.sub)
    await_true(lambda: row(made)["subtwophasestate"] == "e")
    assert made.slots() == {made.sub}


def test_a_slot_made_beforehand_is_used_once_everything_before_it_was_received(made: Pair) -> None:
    made.ok(wait_for_sync=True)
    made.at_publisher("INSERT INTO a SELECT 1000 + i FROM generate_series(1, 50) i")
    made.at_publisher("SELECT pg_create_logical_replication_slot('beforehand', 'pgoutput')")
    made.ok(slot_name="beforehand")
    assert made.slots() == {"beforehand"}
    made.await_rows("a", 150)
    made.ok(slot_name="beforehand", enabled=False)
    made.at_publisher("INSERT INTO a VALUES (2000)")
    made.at_publisher("SELECT pg_create_logical_replication_slot('later', 'pgoutput')")
    assert "changes would be lost" in made.refused(slot_name="later", timeout=1)
    assert row(made)["subslotname"] == "beforehand"


def test_a_subscription_may_have_no_slot_while_disabled(made: Pair) -> None:
    made.ok(wait_for_sync=True)
    assert made.ok(slot_name="none", enabled=False)["slots_left"] == [made.sub]
    assert row(made)["subslotname"] is None
    assert made.slots() == {made.sub}
    assert made.ok(slot_name="none", enabled=False)["changed"] is False
    made.at_publisher("INSERT INTO a VALUES (101)")
    made.ok()
    made.await_rows("a", 101)


def test_a_slot_that_vanished_is_not_made_anew_under_a_subscription_with_data(made: Pair) -> None:
    made.ok(wait_for_sync=True)
    made.ok(enabled=False)
    made.at_publisher(f"SELECT pg_drop_replication_slot('{made.sub}')")
    assert "changes are lost" in made.refused()
    assert row(made)["subenabled"] is False


def test_a_slot_that_waits_for_a_transaction_times_out_and_the_next_run_goes_on(made: Pair) -> None:
    blocker = made.server.connect(made.publisher)
    blocker.autocommit = False
    blocker.cursor().execute("INSERT INTO b VALUES (-1)")
    try:
        assert "transactions" in made.refused(timeout=1)
    finally:
        blocker.close()
    made.ok(wait_for_sync=True)
    assert made.slots() == {made.sub}
    assert made.at_subscriber("SELECT count(*) FROM a") == [(100,)]


# Interruptions


@pytest.mark.parametrize("got_to", ["row", "slot", "slot of nobody"])
def test_an_interrupted_run_is_finished_by_the_next(made: Pair, got_to: str) -> None:
    if got_to != "slot of nobody":
        made.at_subscriber(birth(made))
    if got_to != "row":
        made.at_publisher(f"SELECT pg_create_logical_replication_slot('{made.sub}', 'pgoutput')")
    made.ok(wait_for_sync=True)
    made.at_publisher("INSERT INTO a VALUES (101)")
    made.await_rows("a", 101)
    assert made.slots() == {made.sub}
    assert made.ok()["changed"] is False


@pytest.mark.parametrize("got_to", ["row", "slot", "slot dropped"])
def test_an_interrupted_run_is_undone_by_the_next(made: Pair, got_to: str) -> None:
    made.at_subscriber(birth(made))
    if got_to == "slot":
        made.at_publisher(f"SELECT pg_create_logical_replication_slot('{made.sub}', 'pgoutput')")
    elif got_to == "slot dropped":
        made.ok(wait_for_sync=True)
        made.ok(enabled=False)
        made.at_publisher(f"SELECT pg_drop_replication_slot('{made.sub}')")
    assert made.absent()["changed"] is True
    assert made.catalog() is None
    assert made.slots() == set()


def test_a_slot_copied_by_an_interrupted_run_is_used(made: Pair) -> None:
    made.ok(wait_for_sync=True)
    made.at_publisher("SELECT pg_copy_logical_replication_slot(slot_name, 'moved') FROM pg_replication_slots"
                      f" WHERE slot_name = '{made.sub}'")
    made.at_publisher("INSERT INTO a VALUES (101)")
    made.ok(slot_name="moved")
    made.await_rows("a", 101)
    assert made.slots() == {"moved"}


@pytest.mark.parametrize("goal", [{"slot_name": "moved"}, {"publications": ["b", "a"]}, {"state": "absent"}, {}])
def test_a_run_that_is_killed_at_any_moment_leaves_no_slot_behind(newest_made: Pair, goal: dict[str, Any]) -> None:
    made = newest_made
    for delay in range(0, 90, 15):
        child = os.fork()
        if child == 0:
            try:
                run_module("pg_subscription", **made.options(**goal))
            finally:
                os._exit(0)
        time.sleep(delay / 1000)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if delay % 30:
            made.ok(**goal)
            found = made.catalog()
            assert made.slots() == ({found["subslotname"]} if found else set())
            assert made.ok(**goal)["changed"] is False
        else:
            made.absent()
            assert made.slots() == set()
            made.ok()


# Dropping


def test_with_the_publisher_gone_a_drop_is_refused_or_detached(made: Pair) -> None:
    made.ok(wait_for_sync=True)
    made.ok(conninfo=made.conninfo(port=1))
    message = refused("pg_subscription", **{**made.server.login, "login_db": made.subscriber, "name": made.sub,
                                            "state": "absent"})
    assert "on_unreachable_publisher" in message
    assert repr(made.sub) in message
    assert row(made)["subenabled"] is True
    before = len(made.server.log)
    options = {**made.server.login, "login_db": made.subscriber, "name": made.sub, "state": "absent",
               "on_unreachable_publisher": "detach"}
    planned = run_module("pg_subscription", check=True, **options)
    assert not writing(made.server.log[before:])
    done = ok("pg_subscription", **options)
    assert writing(made.server.log[before:])
    assert planned["diff"] == done["diff"]
    assert done["slots_left"] == [made.sub]
    assert made.catalog() is None
    assert made.slots() == {made.sub}
    assert ok("pg_subscription", **options)["changed"] is False


def test_a_subscription_that_is_being_copied_is_dropped_within_one_server(made: Pair) -> None:
    for _attempt in range(3):
        made.ok()
        made.absent(timeout=5)
        assert made.catalog() is None
        await_true(lambda: made.at_publisher("SELECT FROM pg_replication_slots WHERE database = current_database()") == [])


def test_a_refused_drop_of_a_subscription_that_is_being_copied_leaves_it_enabled(made: Pair) -> None:
    made.at_subscriber("CREATE UNIQUE INDEX ON a (id); INSERT INTO a VALUES (1)")
    made.ok()
    made.ok(conninfo=made.conninfo(port=1))
    assert "on_unreachable_publisher" in refused("pg_subscription", **{
        **made.server.login, "login_db": made.subscriber, "name": made.sub, "state": "absent"})
    assert row(made)["subenabled"] is True


def test_the_slots_of_copies_under_way_are_reported_when_detached(made: Pair) -> None:
    made.at_subscriber("CREATE UNIQUE INDEX ON a (id); INSERT INTO a VALUES (1)")
    made.ok()
    await_true(lambda: made.at_subscriber("SELECT srsubstate::text FROM pg_subscription_rel") == [("d",)])
    made.ok(conninfo=made.conninfo(port=1))
    left = made.absent(on_unreachable_publisher="detach")["slots_left"]
    there = {name for (name,) in made.at_publisher(
        "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()")}
    assert left[0] == made.sub
    assert len(left) == 2
    assert there <= set(left)


# Refresh and waiting


def test_refresh_follows_the_tables_of_the_publication(made: Pair) -> None:
    made.ok(wait_for_sync=True)
    assert made.ok(refresh=True)["changed"] is False
    made.at_publisher("ALTER PUBLICATION a ADD TABLE b")
    assert made.ok()["changed"] is False
    before = len(made.server.log)
    planned = made.check(refresh=True)
    assert not writing(made.server.log[before:])
    done = made.ok(refresh=True, wait_for_sync=True)
    assert planned["diff"] == done["diff"]
    assert done["diff"]["after"]["tables"] == ["public.a", "public.b"]
    assert made.at_subscriber("SELECT count(*) FROM b") == [(100,)]
    assert made.ok(refresh=True)["changed"] is False
    made.at_publisher("ALTER PUBLICATION a SET TABLE b")
    made.ok(refresh=True)
    assert made.at_subscriber("SELECT srrelid::regclass::text FROM pg_subscription_rel") == [("b",)]


def test_refresh_follows_partitions(made: Pair) -> None:
    table = "CREATE TABLE parts (id int) PARTITION BY RANGE (id); CREATE TABLE part1 PARTITION OF parts DEFAULT"
    made.at_publisher(f"{table}; CREATE PUBLICATION leaves FOR TABLE part1;"
                      "CREATE PUBLICATION root FOR TABLE parts WITH (publish_via_partition_root = true)")
    made.at_subscriber(table)
    made.ok(publications=["root", "leaves"], copy_data=False)
    assert made.ok(publications=["root", "leaves"], copy_data=False, refresh=True)["changed"] is False


def test_publications_changed_while_disabled_are_received_once_enabled(made: Pair) -> None:
    made.ok(wait_for_sync=True)
    made.ok(enabled=False, publications=["a", "b"])
    assert made.at_subscriber("SELECT count(*) FROM pg_subscription_rel") == [(1,)]
    made.ok(publications=["a", "b"], wait_for_sync=True)
    assert made.at_subscriber("SELECT count(*) FROM b") == [(100,)]


def test_waiting_in_vain_names_the_table_and_its_state(made: Pair) -> None:
    made.at_subscriber("CREATE UNIQUE INDEX ON a (id); INSERT INTO a VALUES (1)")
    message = made.refused(wait_for_sync=True, timeout=1)
    assert re.search(r'not in sync after 1 s; the table "public"\."a" is in state [di], ', message)


def test_waiting_ends_when_an_error_disables_the_subscription(made: Pair) -> None:
    made.at_subscriber("CREATE UNIQUE INDEX ON a (id); INSERT INTO a VALUES (1)")
    message = made.refused(wait_for_sync=True, disable_on_error=True, timeout=30)
    assert 'was disabled while its tables were awaited; the table "public"."a"' in message


@contextlib.contextmanager
def writer(made: Pair) -> Iterator[None]:
    """Somebody who writes at the publisher all the time."""
    ends = threading.Event()

    def write() -> None:
        while not ends.wait(0.005):
            made.at_publisher("INSERT INTO a SELECT 1000 + count(*) FROM a; INSERT INTO b SELECT 1000 + count(*) FROM b")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


@pytest.mark.parametrize("major", [15, 18])
def test_tables_that_leave_never_disable_the_subscription(server_of: Callable[[int], Server],
                                                          pair_of: Callable[[Server], Pair], major: int) -> None:
    with filled(pair_of(server_of(major))) as made, writer(made):
        made.ok()
        for number in range(24):
            publications = (["a", "b", "c"], ["a"], ["c"], ["b", "c"])[number % 4]
            # Some changes come while the tables of the last one are copied, some just when a copy ends.
            time.sleep(number % 5 * 0.03)
            done = made.ok(publications=publications, disable_on_error=True)
            again = made.ok(publications=publications, disable_on_error=True)
            assert "warnings" not in done
            assert again["changed"] is False, (number, again["statements"])
            assert (row(made)["subenabled"], row(made)["subdisableonerr"]) == (True, True), number
            if number % 4 == 3:
                made.ok(publications=publications, disable_on_error=False)


def surprise(made: Pair, blocker: Any) -> None:
    """Once a change of the tables waits for the publisher, have the worker wait to note table a as ready; let both go.

    The change keeps the subscription locked until the table has left, so that the worker then fails.
    """
    try:
        # The walsender of the subscription may wait for the same.
        await_true(lambda: bool(made.at_publisher(
            "SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted"
            " AND relation = 'pg_publication_rel'::regclass AND query NOT LIKE 'START_REPLICATION%'")))
        # Where the change had begun to remove the table by then, it waits for us and we for it.
        made.at_subscriber("SET lock_timeout = '5s'; UPDATE pg_subscription_rel SET srsubstate = 's', srsublsn = '0/1'")
        await_true(lambda: bool(made.at_subscriber(
            "SELECT pid FROM pg_locks JOIN pg_stat_subscription USING (pid) WHERE NOT granted")))
    finally:
        blocker.close()


@pytest.mark.parametrize("major", [15, 18])
@pytest.mark.parametrize("is_on", [False, True])
def test_a_worker_that_loses_a_table_is_not_the_end(server_of: Callable[[int], Server],
                                                    pair_of: Callable[[Server], Pair], major: int, is_on: bool) -> None:
    with filled(pair_of(server_of(major))) as made:
        made.ok(disable_on_error=is_on, wait_for_sync=True)
        before = len(made.server.log)
        blocker = made.server.connect(made.publisher)
        blocker.autocommit = False
        blocker.cursor().execute("LOCK pg_publication_rel")
        thread = threading.Thread(target=surprise, args=(made, blocker))
        thread.start()
        done = made.ok(publications=["b"], disable_on_error=True)
        thread.join()
        assert re.search(r"ERROR:  subscription (table|relation) \S+ in subscription \S+ does not exist",
                         made.server.log[before:])
        assert "warnings" not in done
        assert (row(made)["subenabled"], row(made)["subdisableonerr"]) == (True, True)
        assert made.ok(publications=["b"], disable_on_error=True, wait_for_sync=True)["changed"] is False


def test_a_change_that_fails_gives_disable_on_error_back(made: Pair) -> None:
    if made.server.major < 15:
        pytest.skip("disable_on_error came with PostgreSQL 15")
    made.ok(disable_on_error=True, wait_for_sync=True)
    made.at_subscriber("DROP TABLE b")
    assert "does not exist" in made.refused(publications=["b"])
    assert row(made)["subdisableonerr"] is True
    assert row(made)["subpublications"] == ["a"]


# Odd servers and odd texts


def test_a_shadowed_catalog_and_odd_settings_change_nothing(made: Pair) -> None:
    made.at_subscriber("CREATE SCHEMA evil; CREATE TABLE evil.pg_subscription (oid oid);"
                       "CREATE FUNCTION evil.current_database() RETURNS name LANGUAGE sql AS 'SELECT NULL::name';"
                       f"ALTER DATABASE {made.subscriber} SET search_path = evil, pg_catalog, public;"
                       f"ALTER DATABASE {made.subscriber} SET standard_conforming_strings = off")
    made.ok(comment="a \\ b's")
    assert made.ok(comment="a \\ b's")["changed"] is False
    assert made.at_subscriber("SELECT obj_description(oid, 'pg_subscription') FROM pg_catalog.pg_subscription"
                              f" WHERE subname = '{made.sub}'") == [("a \\ b's",)]


def test_a_database_without_an_encoding_is_served(made: Pair) -> None:
    plain = f"{made.subscriber}_ascii"
    made.server.sql(f"CREATE DATABASE {plain} ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        made.server.sql("CREATE TABLE a (id int, t text)", plain)
        made.ok(login_db=plain, comment="grün", wait_for_sync=True)
        assert made.ok(login_db=plain, comment="grün")["changed"] is False
        made.absent(login_db=plain)
    finally:
        made.server.sql(f"DROP DATABASE {plain} WITH (FORCE)")


def test_the_same_name_in_another_database_is_another_subscription(made: Pair) -> None:
    made.ok()
    assert made.absent(login_db="postgres")["changed"] is False
    assert row(made)["subenabled"] is True


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, comment=NAMES, publication=NAMES, password=NAMES, keyword=NAMES)
def test_no_text_reaches_beyond_its_place(newest_made: Pair, name: str, comment: str, publication: str, password: str,
                                          keyword: str) -> None:
    made = newest_made
    name, publication = f"{name}\"; DROP TABLE a; --", f"{publication}\"'; DROP TABLE a; --"
    quoted = publication.replace('"', '""')
    made.at_publisher(f'CREATE PUBLICATION "{quoted}"')
    keywords = {"host": str(made.server.home), "port": made.server.port, "user": "postgres", "dbname": made.publisher,
                "application_name": f"{keyword}' \\", "password": f"{password}'; DROP TABLE a; --"}
    options = {"name": name, "slot_name": "odd", "comment": f"{comment}'; DROP TABLE a; --", "conninfo": keywords,
               "publications": [publication], "enabled": False}
    try:
        made.ok(**options)
        assert made.ok(**options)["changed"] is False
        assert made.at_subscriber("SELECT subname, obj_description(oid, 'pg_subscription'), subpublications"
                                  " FROM pg_subscription WHERE subslotname = 'odd'") == [
            (name, f"{comment}'; DROP TABLE a; --", [publication])]
    finally:
        made.absent(name=name)
        made.at_publisher(f'DROP PUBLICATION "{quoted}"')
    assert made.at_subscriber("SELECT count(*) FROM a") == [(0,)]
