# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes an instance a standby, as texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import conninfo, guc, recovery_target, standby
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.sql import MASK

UPSTREAM = {"host": "node1", "port": "5440", "user": "replicator"}
AUTO = "# Do not edit\nwork_mem = '5MB'\n"


@pytest.mark.parametrize("key", conninfo.SECRETS)
def test_a_secret_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(InputError, match="option primary_conninfo holds %s.*passfile" % key) as refusal:
        standby.refuse_secrets({**UPSTREAM, key: "s3cret"}, "primary_conninfo")
    assert "s3cret" not in str(refusal.value)


def test_no_secret_is_no_reason_to_refuse() -> None:
    standby.refuse_secrets({**UPSTREAM, "password": None, "passfile": "/p"}, "primary_conninfo")


def test_what_is_not_asked_for_is_left_and_what_is_empty_is_removed() -> None:
    shown = "host=node1 port=5440 user=replicator"
    no_target = dict.fromkeys(recovery_target.SETTINGS)
    assert standby.settings(UPSTREAM, None) == {**no_target, "primary_conninfo": shown}
    assert standby.settings(UPSTREAM, "", "") == {
        **no_target, "primary_conninfo": shown, "primary_slot_name": None, "restore_command": None}
    assert standby.settings(UPSTREAM, "s", "cp %p") == {
        **no_target, "primary_conninfo": shown, "primary_slot_name": "s", "restore_command": "cp %p"}


@given(st.dictionaries(st.sampled_from(["host", "user", "application_name", "options"]), st.text(
    st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"])), min_size=1))
def test_the_file_holds_the_connection_whatever_its_values(upstream: dict[str, str]) -> None:
    text = standby.auto_conf_text(AUTO, standby.settings(upstream, "s"))
    assert conninfo.parse(guc.parse(text)["primary_conninfo"]) == upstream
    assert text.startswith(AUTO)
    assert standby.auto_conf_text(text, standby.settings(upstream, "s")) == text


def test_a_connection_that_means_the_same_keeps_its_line() -> None:
    text = AUTO + "primary_conninfo = 'user=''replicator'' port=5440 host=node1'\n"
    assert standby.auto_conf_text(text, standby.settings(UPSTREAM, None)) == text
    assert standby.auto_conf_text(text, standby.settings({**UPSTREAM, "port": "5441"}, None)) != text


def test_a_connection_that_cannot_be_read_is_replaced() -> None:
    text = standby.auto_conf_text("primary_conninfo = 'nonsense'\n", standby.settings(UPSTREAM, None))
    assert conninfo.parse(guc.parse(text)["primary_conninfo"]) == UPSTREAM


@pytest.mark.parametrize(("line", "upstream"), [
    ("primary_conninfo = 'host=node1 port=5441 password=s3cret'", "node1:5441"), ("primary_slot_name = 's'", ""),
    ("primary_conninfo = 'host=node1'", "node1:5432"), ("primary_conninfo = 'user=replicator'", ""),
    ("primary_conninfo = 'nonsense'", "")])
def test_the_upstream_is_an_address_and_nothing_else_of_the_connection(line: str, upstream: str) -> None:
    assert standby.upstream_of(line + "\n") == upstream


def test_a_password_that_somebody_stored_is_not_shown() -> None:
    found = standby.shown("primary_conninfo = 'host=a password=s3cret'\nprimary_slot_name = 's'\n", True)
    assert found == {"primary_conninfo": {"host": "a", "password": MASK}, "primary_slot_name": "s",
                     "restore_command": None, "standby.signal": True}


def test_what_is_no_connection_is_not_shown_either() -> None:
    found = standby.shown("primary_conninfo = 'host=a s3cret'\n", False)
    assert found["primary_conninfo"] == "not a connection string"
    assert found["standby.signal"] is False


@pytest.mark.parametrize(("command", "asked", "left"), [
    ("/srv/b/bin/restore-wal /srv/b/wal %f %p 1", None, None), ("'/a b/bin/restore-wal' '/a b/wal' %f %p 1", None, None),
    ("cp /archive/%f %p", None, "cp /archive/%f %p"), ("/b/bin/restore-wal /b/wal %f %p 1", "cp /a/%f %p", "cp /a/%f %p")])
def test_the_command_that_a_server_was_restored_by_does_not_stay(command: str, asked: str | None, left: str | None) -> None:
    text = guc.edit("", {"restore_command": command})
    changed = standby.auto_conf_text(text, standby.settings({"host": "node1"}, "node2", asked))
    assert guc.parse(changed).get("restore_command") == left
