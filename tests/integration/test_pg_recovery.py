# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pg_recovery`` on real servers: a standby is pointed elsewhere without a restart, and what stands in the way is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.integration.conftest import VERSIONS
from tests.support import instances
from tests.support.instances import PASSWORD, follow, instance, passfile, started, tree
from tests.support.modules import ok, refused, run_module
from tests.support.postgres import Server, bindir, free_port
from tests.support.statements import Watch

MODULE = "pg_recovery"


class Cascade(NamedTuple):
    primary: Server
    middle: Server
    last: Server


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda major: f"pg{major}")
def running(request: pytest.FixtureRequest) -> Iterator[Cascade]:
    """A primary and two standbys of it, of each version."""
    if bindir(request.param) is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed on this machine")
    with instances.primary(request.param) as primary, instances.standby(primary) as middle, instances.standby(primary) as last:
        entries = [passfile(last, upstream)["passfile_entries"][0] for upstream in (primary, middle)]
        ok("pg_instance", **instance(last, passfile=str(last.home / "passfile"), passfile_entries=entries))
        yield Cascade(primary, middle, last)


@pytest.fixture
def cascade(running: Cascade) -> Cascade:
    """The same, the last one following the primary, as every test finds it."""
    ok(MODULE, **follow(running.last, running.primary, primary_slot_name="", restore_command=""))
    return running


newest_only = pytest.mark.parametrize("running", [18], indirect=True, ids=["pg18"])


def sender_port(server: Server) -> int:
    return int(server.sql("SELECT sender_port FROM pg_stat_wal_receiver")[0][0])


def test_a_standby_follows_another_upstream_without_a_restart(cascade: Cascade) -> None:
    _primary, middle, last = cascade
    middle.sql("SELECT pg_create_physical_replication_slot('last', true)")
    options, began = follow(last, middle, primary_slot_name="last"), started(last)
    before, watch = tree(last.data), Watch(last)
    predicted = run_module(MODULE, check=True, **options)
    assert (tree(last.data), watch.writing()) == (before, [])
    done = ok(MODULE, **options)
    assert [text.split()[0] for text in done["commands"]] == ["write", "pg_ctl"]
    assert (predicted["commands"], predicted["diff"]["after"]) == (done["commands"], done["diff"]["after"])
    assert (started(last), sender_port(last)) == (began, middle.port)
    assert middle.sql("SELECT active FROM pg_replication_slots") == [(True,)]
    again = ok(MODULE, **options)
    assert (again["changed"], again["commands"]) == (False, [])
    ok(MODULE, **follow(last, cascade.primary, primary_slot_name=""))
    middle.sql("SELECT pg_drop_replication_slot('last')")
    assert (started(last), sender_port(last)) == (began, cascade.primary.port)


def test_a_setting_that_was_written_and_not_read_is_read_by_the_next_run(cascade: Cascade) -> None:
    _primary, middle, last = cascade
    path = last.data / "postgresql.auto.conf"
    path.write_text(path.read_text().replace(f"port={cascade.primary.port}", f"port={middle.port}"))
    predicted = run_module(MODULE, check=True, **follow(last, middle))
    done = ok(MODULE, **follow(last, middle))
    assert done["commands"] == predicted["commands"] == [f"pg_ctl reload --pgdata={last.data}"]
    assert sender_port(last) == middle.port


@newest_only
def test_the_order_of_keywords_is_no_change(cascade: Cascade) -> None:
    last = cascade.last
    upstream = instances.upstream_of(last, cascade.primary)
    assert ok(MODULE, **follow(last, cascade.primary, primary_conninfo=dict(reversed(upstream.items()))))["changed"] is False


@newest_only
@pytest.mark.parametrize(("keywords", "told"), [
    ({"port": "closed"}, "Connection refused"), ({"user": "nobody_there"}, "password authentication failed|no password supplied"),
    ({"passfile": "/nowhere"}, "no password supplied")])
def test_what_keeps_a_standby_from_streaming_is_told_in_the_servers_words(cascade: Cascade, keywords: dict[str, str],
                                                                          told: str) -> None:
    if keywords.get("port"):
        keywords = {"port": str(free_port())}
    options = follow(cascade.last, cascade.primary,
                     primary_conninfo=instances.upstream_of(cascade.last, cascade.primary, **keywords))
    said = refused(MODULE, **{**options, "timeout": 2})
    assert "was expected to stream from 127.0.0.1 port" in said
    assert "after 2 s" in said
    assert any(text in said for text in told.split("|")), said


@newest_only
def test_another_system_is_no_upstream(cascade: Cascade, newest: Server) -> None:
    last = cascade.last
    newest.sql("CREATE ROLE %s LOGIN REPLICATION PASSWORD '%s'" % (instances.REPLICATOR, PASSWORD.replace("'", "''")),
               options="-c log_statement=none")
    entries = [passfile(last, upstream)["passfile_entries"][0] for upstream in (*cascade, newest)]
    ok("pg_instance", **instance(last, passfile=str(last.home / "passfile"), passfile_entries=entries))
    try:
        said = refused(MODULE, **{**follow(last, newest), "timeout": 2})
        assert "database system identifier differs between the primary and standby" in said
    finally:
        ok(MODULE, **follow(last, cascade.primary))
        newest.sql(f"DROP ROLE {instances.REPLICATOR}")


@newest_only
def test_a_run_that_shall_not_wait_does_not(cascade: Cascade) -> None:
    keywords = {"port": str(free_port())}
    upstream = instances.upstream_of(cascade.last, cascade.primary, **keywords)
    assert ok(MODULE, **follow(cascade.last, cascade.primary, primary_conninfo=upstream, wait=False))["changed"] is True


@newest_only
def test_a_running_server_never_changes_sides(cascade: Cascade) -> None:
    before = tree(cascade.primary.data)
    assert "runs as a primary" in refused(MODULE, **follow(cascade.primary, cascade.middle))
    assert tree(cascade.primary.data) == before
    assert "promote it with pg_promote" in refused(MODULE, **{**follow(cascade.last, cascade.primary), "mode": "none"})
    assert (cascade.last.data / "standby.signal").exists()


@newest_only
def test_an_instance_that_is_stopped_changes_sides_by_its_signal_file(cascade: Cascade) -> None:
    last = cascade.last
    last.stop()
    none = {**follow(last, cascade.primary), "mode": "none"}
    predicted = run_module(MODULE, check=True, **none)
    assert (last.data / "standby.signal").exists()
    done = ok(MODULE, **none)
    assert done["commands"] == predicted["commands"] == [f"write {last.data}/postgresql.auto.conf",
                                                         f"rm {last.data}/standby.signal"]
    assert ok(MODULE, **none)["changed"] is False
    back = ok(MODULE, **follow(last, cascade.primary))
    assert back["commands"] == [f"write {last.data}/postgresql.auto.conf", f"touch {last.data}/standby.signal"]
    assert (last.data / "standby.signal").stat().st_uid == last.data.stat().st_uid
    (last.data / "recovery.signal").touch()
    assert "point-in-time recovery is under way" in refused(MODULE, **follow(last, cascade.primary))
    (last.data / "recovery.signal").unlink()
    ok("pg_instance", **instance(last, create=False))
    assert ok(MODULE, **follow(last, cascade.primary))["changed"] is False


@newest_only
def test_no_password_is_stored_or_shown(cascade: Cascade) -> None:
    last = cascade.last
    said = refused(MODULE, **follow(last, cascade.primary, primary_conninfo={"host": "a", "password": PASSWORD}))
    assert "holds password, which would be stored in clear in postgresql.auto.conf" in said
    assert "s3cr" not in said
    path = last.data / "postgresql.auto.conf"
    path.write_text("primary_conninfo = 'host=a password=0ld_s3cret'\n")
    done = ok(MODULE, **follow(last, cascade.primary))
    assert "0ld" not in json.dumps(done)
    assert "0ld" not in path.read_text()
