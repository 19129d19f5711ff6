# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server of a unit: what is told when it does not start, and whether systemd starts it again by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import service, tools
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import ToolError
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.instance import Host
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.programs import Installation

UNIT = "postgresql@17-orders"
REFUSAL = "start-guard: The server in /data is a primary of timeline 1 and was not started."


class Systemd:
    """One whose unit ends at once.

    Attributes:
        journal: what the unit told.
        log: the server's log, and what it logs when it is started.
        restart: what the unit has as Restart=.
    """

    def __init__(self) -> None:
        self.journal, self.restart = "", "no"
        self.log, self.logged = Path("/dev/null"), ""

    def run(self, argv: Sequence[str], **_options: Any) -> str:
        if argv[0] == "journalctl":
            assert f"--unit={UNIT}" in argv
            return self.journal
        if "--property=Restart" in argv:
            return f"{self.restart}\n"
        if argv[1] == "start":
            with self.log.open("a") as file:
                file.write(self.logged)
        return "ActiveState=failed\nJob=\n"


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> Systemd:
    made = Systemd()
    monkeypatch.setattr(tools, "run", made.run)
    return made


@pytest.mark.parametrize(("journal", "logged", "told"), [
    (f"start-guard: a member was asked\n{REFUSAL}\npostgresql: failed\n", "", REFUSAL),
    ("start-guard: a member was asked what it knows and did not say: no route\n", "FATAL:  no space\n", "FATAL:  no space"),
    ("", "FATAL:  no space\n", "FATAL:  no space"),
])
def test_why_a_unit_did_not_start_is_told_by_its_guard_or_its_log(systemd: Systemd, tmp_path: Path, journal: str, logged: str,
                                                                told: str) -> None:
    systemd.journal, systemd.log, systemd.logged = journal, tmp_path / "log", logged
    systemd.log.write_text("FATAL:  old\n")
    with pytest.raises(ToolError) as refused:
        service.start(Host(Installation("/usr/bin"), "", "/data", 1, UNIT), "/data", str(systemd.log), 1)
    assert str(refused.value) == f"The server in /data ended when it was started: {told}"


@pytest.mark.parametrize(("restart", "expected"), [
    ("no", False), ("on-failure", False), ("on-abnormal", False), ("on-success", True), ("always", True)])
def test_who_is_stopped_in_order_comes_back_by_itself_only_where_systemd_was_told_so(systemd: Systemd, restart: str,
                                                                                   expected: bool) -> None:
    systemd.restart = restart
    assert service.restarts_by_itself(UNIT) is expected
