# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader's queries as texts: how many there are, and what older servers are not asked."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import info, instance

CONTROL = instance.Control("7001", "shut down", 1, "0/3000060", "0/0", {"max_connections": 100}, True)


@pytest.mark.parametrize("version", [150000, 160000, 170000, 180000])
def test_a_column_that_a_server_does_not_have_is_not_asked_for(version: int) -> None:
    asked = info._senders_query(version)
    for column in ("failover", "synced", "invalidation_reason"):
        assert ("NULL AS " + column in asked) == (version < 170000)


def test_no_query_reads_where_a_password_is() -> None:
    for query in (info._server_query(), info._senders_query(180000), info._logical_query()):
        for secret in ("subconninfo", "conninfo", "rolpassword", "pg_authid", "pg_shadow"):
            assert secret not in query
    assert "primary_conninfo" not in info.SHOWN_SETTINGS


def test_a_directory_without_a_server_is_told_as_it_is() -> None:
    found = info._instance(instance.Instance("/d", "instance", 18, CONTROL, None, True, False, 3), 180001)
    assert (found["kind"], found["timeline"], found["system_identifier"], found["port"]) == ("instance", 3, "7001", None)
    assert (found["standby_signal"], found["floors"], found["programs_version_num"]) == (True, {"max_connections": 100}, 180001)
    missing = info._instance(instance.Instance("/d", "missing"), 180001)
    assert (missing["system_identifier"], missing["floors"], missing["checkpoint_lsn"]) == ("", {}, None)


def test_two_runs_on_one_host_see_the_same_machine() -> None:
    params = {"bindir": "/bin", "programs_directory": "", "user": ""}
    one, other = info._host(params), info._host(params)
    assert one == other
    assert one["uid"] == os.geteuid()
    assert one["machine"].count(":[") == 2
