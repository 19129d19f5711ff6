# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of a subscription mean, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import conninfo, subscription_state
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def params(**options: Any) -> dict[str, Any]:
    return {**dict.fromkeys(subscription_state.SINCE), "name": "s", "state": "present", "conninfo": None,
            "publications": None, "enabled": True, "copy_data": True, "create_slot": True, "slot_name": None,
            "owner": None, "comment": None, "refresh": False, "wait_for_sync": False, "timeout": 60,
            "on_unreachable_publisher": "fail", **options}


def test_options_that_are_not_given_are_not_wanted() -> None:
    wanted = subscription_state.desired(params(conninfo={"host": "h", "port": None, "user": "u"}, binary=False))
    assert wanted.conninfo == {"host": "h", "user": "u"}
    assert wanted.settings == {"binary": False}
    assert wanted.lock_names == ("s",)


@given(st.dictionaries(st.sampled_from(conninfo.KEYWORDS + conninfo.SECRETS), TEXT, min_size=1))
def test_any_value_of_a_keyword_is_kept(keywords: dict[str, str]) -> None:
    assert subscription_state.desired(params(conninfo=keywords)).conninfo == keywords


@pytest.mark.parametrize(("options", "named"), [
    ({"name": ""}, "name is empty"),
    ({"name": "x" * 64}, "longer than the 63 bytes"),
    ({"owner": ""}, "name is empty"),
    ({"comment": "a\0b"}, "NUL"),
    ({"publications": []}, "publications is an empty list"),
    ({"publications": ["a", "b", "a"]}, "publications names 'a' twice"),
    ({"publications": [""]}, "name is empty"),
    ({"slot_name": "Upper"}, "slot_name is 'Upper'"),
    ({"slot_name": "x" * 64}, "slot_name"),
    ({"slot_name": ""}, "slot_name is ''"),
    ({"slot_name": "none"}, "enabled: false"),
    ({"slot_name": "none", "enabled": False, "failover": True}, "failover"),
    ({"conninfo": {}}, "conninfo is empty"),
    ({"conninfo": {"host": "a\0b"}}, "host holds a NUL"),
    ({"timeout": 0}, "timeout is 0"),
    ({"timeout": 3000000}, "timeout is 3000000"),
    ({"enabled": False, "wait_for_sync": True}, "wait_for_sync"),
    ({"enabled": False, "refresh": True}, "refresh"),
])
def test_what_can_never_be_right_is_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        subscription_state.desired(params(**options))


def test_a_secret_is_not_part_of_a_refusal() -> None:
    with pytest.raises(InputError) as caught:
        subscription_state.desired(params(conninfo={"password": "s3cr\0et"}))
    assert "s3cr" not in str(caught.value)


def test_what_is_to_be_absent_needs_no_agreement_of_other_options() -> None:
    assert not subscription_state.desired(params(state="absent", slot_name="none")).present


class Recorder:
    """A session that answers every query with a subscription's row, and remembers the query."""

    def __init__(self, version_num: int, **row: Any) -> None:
        self.version_num = version_num
        self.row = row
        self.asked: list[str] = []

    def rows(self, text: str) -> list[dict[str, Any]]:
        self.asked.append(text)
        return [self.row]


@pytest.mark.parametrize("version", range(13, 19))
def test_only_columns_that_the_version_has_are_read(version: int) -> None:
    session = Recorder(version * 10000, oid=None, owner_is_superuser=True)
    wanted = subscription_state.desired(params())
    assert subscription_state.read(session, wanted).subscription is None  # type: ignore[arg-type]
    assert len(session.asked) == 1
    came_with = {"subbinary": 14, "substream": 14, "subtwophasestate": 15, "subdisableonerr": 15, "subpasswordrequired": 16,
                 "subrunasowner": 16, "suborigin": 16, "subfailover": 17}
    assert {name: name in session.asked[0] for name in came_with} == {
        name: since <= version for name, since in came_with.items()}


def test_a_connection_string_is_not_read_for_what_is_to_be_absent() -> None:
    session = Recorder(180000, oid=None, owner_is_superuser=True)
    subscription_state.read(session, subscription_state.desired(params(state="absent")))  # type: ignore[arg-type]
    assert "subconninfo" not in session.asked[0]
