# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the embedded provider keeps everything."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgmahout.cluster.plugins.lookup.pg_home import LookupModule


@pytest.mark.parametrize(("uid", "data", "home"), [
    (0, None, "/var/lib/pgmahout"), (0, "/data", "/var/lib/pgmahout"), (1000, "/data", "/data/pgmahout"),
    (1000, "", "/home/me/.local/share/pgmahout"), (1000, None, "/home/me/.local/share/pgmahout")])
def test_the_home_is_where_the_servers_account_can_enter(monkeypatch: pytest.MonkeyPatch, uid: int, data: str | None,
                                                         home: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    if data is not None:
        monkeypatch.setenv("XDG_DATA_HOME", data)
    assert LookupModule().run([]) == [home]
