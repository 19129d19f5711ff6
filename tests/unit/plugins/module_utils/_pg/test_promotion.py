# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Promotions: what is planned and what is refused, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import promotion
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import StateError

OPTIONS: dict[str, Any] = {"data_directory": "", "superuser": "postgres", "log_file": "", "wait": True, "checkpoint": False,
                           "timeout": 60}
STANDBY = promotion.Current(True, 3, "0/3000148", user="replicator")


def wanted(**options: Any) -> promotion.Wanted:
    return promotion.desired({**OPTIONS, **options})


def test_a_primary_is_no_change() -> None:
    plan = promotion.plan(STANDBY._replace(in_recovery=False), wanted())
    assert (plan.steps, plan.before) == ((), plan.after)
    assert plan.facts == {"timeline_before": 3, "timeline": 3, "lsn": "0/3000148"}


def test_a_standby_is_promoted_by_a_statement_whatever_its_replay_does() -> None:
    for current in (STANDBY, STANDBY._replace(is_paused=True)):
        plan = promotion.plan(current, wanted(data_directory="/srv/data"))
        assert [step.shown for step in plan.steps] == ["SELECT pg_catalog.pg_promote(false)"]
        assert (plan.before, plan.after) == ({"role": "standby"}, {"role": "primary"})
        assert plan.facts == {"timeline_before": 3}


def test_one_that_lets_nobody_in_is_promoted_by_its_directory() -> None:
    plan = promotion.plan(promotion.Current(True, 3, lets_in=False), wanted(data_directory="/srv/data/"))
    assert [step.shown for step in plan.steps] == ["pg_ctl promote --pgdata=/srv/data --no-wait"]


def test_a_server_that_is_only_planned_will_be_a_standby() -> None:
    assert len(promotion.plan(promotion.ABSENT, wanted()).steps) == 1


def test_a_role_that_may_not_is_told_how_it_could() -> None:
    with pytest.raises(StateError, match="'replicator' was to promote.*option may of pg_replication_role"):
        promotion.plan(STANDBY._replace(may_promote=False), wanted())
    assert promotion.plan(STANDBY._replace(may_promote=False, in_recovery=False), wanted()).steps == ()


def test_one_that_would_end_is_not_promoted() -> None:
    with pytest.raises(StateError, match="its max_connections and max_wal_senders is lower.*restart it with more"):
        promotion.plan(STANDBY._replace(is_paused=True, too_low=("max_connections", "max_wal_senders")), wanted())


def test_the_log_is_beside_the_data_unless_it_is_named() -> None:
    assert wanted(data_directory="/srv/data/").log_file == "/srv/data.log"
    assert wanted(data_directory="/srv/data", log_file="/log").log_file == "/log"
