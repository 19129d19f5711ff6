# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader's queries as texts: what older servers are not asked, and what a role without rights is told."""

from __future__ import annotations

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import info_query

ALL = {"stats": True, "settings": True, "archive": True, "subscriptions": True, "origins": True}
SINCE = {"two_phase": 14, "conflicting": 16, "invalidation_reason": 17, "failover": 17, "synced": 17, "inactive_since": 17}


@pytest.mark.parametrize("major", range(13, 19))
def test_a_column_that_a_server_does_not_have_is_not_asked_for(major: int) -> None:
    asked = info_query.streams(major * 10000, ALL)
    assert {name: "NULL AS " + name in asked for name in SINCE} == {name: major < since for name, since in SINCE.items()}
    logical = info_query.logical(major * 10000, ALL)
    for text, since in (("subtwophasestate", 15), ("pg_stat_subscription_stats", 15), ("pg_publication_namespace", 15),
                        ("leader_pid", 16), ("subfailover", 17), ("pubgencols", 18)):
        assert (text in logical) == (major >= since), text


@pytest.mark.parametrize("version", [130000, 180000])
def test_no_query_reads_where_a_password_is(version: int) -> None:
    for query in (info_query.server(version), info_query.streams(version, ALL), info_query.logical(version, ALL)):
        for secret in ("conninfo", "rolpassword", "pg_authid", "pg_shadow", "*"):
            assert secret not in query
    assert "primary_conninfo" not in info_query.SHOWN_SETTINGS


@pytest.mark.parametrize("version", [130000, 180000])
def test_what_a_role_may_not_read_is_not_in_the_statement(version: int) -> None:
    asked = info_query.logical(version, {**ALL, "origins": False})
    assert "pg_show_replication_origin_status" not in asked
    assert "NULL AS applied_lsn" in asked
    asked = info_query.logical(version, {**ALL, "subscriptions": False})
    assert "s.oid" not in asked
    assert "NULL AS tables" in asked
    asked = info_query.streams(version, {**ALL, "archive": False})
    assert "pg_ls_archive_statusdir" not in asked
    assert "NULL AS ready" in asked


@pytest.mark.parametrize(("missing", "told"), [
    ("stats", "grant it pg_monitor"), ("settings", "pending_restart"), ("archive", "wait for the archive"),
    ("subscriptions", "superusers only"), ("origins", "pg_show_replication_origin_status()")])
def test_each_right_that_lacks_is_told(missing: str, told: str) -> None:
    facts = {"database": "shop", "subscriptions": [{"name": "in", "database": "shop"}]}
    sentence, = info_query.not_visible("watcher", facts, {**ALL, missing: False})
    assert "'watcher'" in sentence
    assert told in sentence
    assert info_query.not_visible("watcher", facts, ALL) == []


def test_subscriptions_of_other_databases_are_told() -> None:
    facts = {"database": "shop", "subscriptions": [{"name": "in", "database": "dwh"}, {"name": "out", "database": "shop"}]}
    sentence, = info_query.not_visible("postgres", facts, ALL)
    assert sentence == ("The tables of the subscriptions in (database dwh) are told only in their own database, and shop was"
                        " connected to; set login_db.")


def test_without_subscriptions_nothing_is_missed_of_them() -> None:
    facts = {"database": "shop", "subscriptions": []}
    assert info_query.not_visible("watcher", facts, {**ALL, "subscriptions": False, "origins": False}) == []
