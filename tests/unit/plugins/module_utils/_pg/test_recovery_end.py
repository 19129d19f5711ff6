# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server's log says of a recovery, and what is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import recovery_end, service
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import StateError

AT = "2026-11-22 19:57:01.146 GMT [24331] "
SEGMENT = "000000010000000000000011"
BEGIN = ["LOG:  starting PostgreSQL 18.0", "LOG:  starting archive recovery", f'LOG:  restored log file "{SEGMENT}" from archive']
END = ["LOG:  last completed transaction was at log time 2026-11-22 19:56:55+00", "LOG:  archive recovery complete"]
#: As ``xlogreader.c`` has them.
DAMAGES = [
    "invalid record length at 0/1102060: expected at least 24, got 17", "record length 70000 at 0/1102060 too long",
    "record with incorrect prev-link 0/1102160 at 0/1102098", "invalid resource manager ID 200 at 0/1102060",
    "incorrect resource manager data checksum in record at 0/1102060",
    f"invalid magic number D119 in WAL segment {SEGMENT}, LSN 0/1102000, offset 8192",
    f"unexpected pageaddr 0/1102100 in WAL segment {SEGMENT}, LSN 0/1102000, offset 8192",
    f"out-of-sequence timeline ID 0 (after 1) in WAL segment {SEGMENT}, LSN 0/1102000, offset 8192",
    "there is no contrecord flag at 0/1102000", "contrecord is requested by 0/1102000",
    "WAL file is from different database system: WAL file database system identifier is 1"]


def log(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "log"
    path.write_text("".join((line if line.startswith("restore-wal") else AT + line) + "\n" for line in lines))
    return str(path)


def judge(log_file: str, until: str = SEGMENT, lsn: str = "0/1101FC0", ended: bool = False) -> Any:
    found = {"lsn": lsn, "segment": 1 << 20, "timeline": 2, "time": None, "paused": False}
    return recovery_end._judge(recovery_end.Recovery("/data", "postgres", 5, until, log_file), None if ended else found, ended)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_in_the_last_segment_is_told_where_that_was_whole(tmp_path: Path, damage: str) -> None:
    log_file = log(tmp_path, *BEGIN, f"LOG:  {damage}", *END)
    with pytest.raises(recovery_end.EndedEarly) as caught:
        judge(log_file)
    assert damage in str(caught.value)
    assert SEGMENT in str(caught.value)
    # Of one that was being received, or ended with its timeline, the rest may be anything.
    assert judge(log_file, SEGMENT + ".partial")["reached"]["log"] == [END[0][6:]]
    # Replayed to its end, with something wrong in what came to the archive since.
    assert judge(log_file, lsn="0/1200000")["reached"]["timeline"] == 2
    assert judge(log_file, until="")["reached"]["timeline"] == 2


def test_an_end_in_front_of_the_last_segment_is_told_without_any_word_of_the_server(tmp_path: Path) -> None:
    for until in ("000000010000000000000012", "000000010000000000000012.partial"):
        with pytest.raises(recovery_end.EndedEarly, match=f"ended at 0/1101FC0 in the segment {SEGMENT} and the archive goes on"):
            judge(log(tmp_path, *BEGIN, *END), until)


def test_damage_that_an_earlier_recovery_met_is_past(tmp_path: Path) -> None:
    assert judge(log(tmp_path, *BEGIN, f"LOG:  {DAMAGES[0]}", *END, *BEGIN, *END))["reached"]["lsn"] == "0/1101FC0"


def test_a_server_that_ended_is_told_with_its_last_words_and_the_last_wal_it_got(tmp_path: Path) -> None:
    fatal = "FATAL:  recovery ended before configured recovery target was reached"
    with pytest.raises(StateError, match=f"{fatal}, and the last segment from the archive was {SEGMENT}"):
        judge(log(tmp_path, *BEGIN, fatal, "FATAL:  the database system is shutting down", "LOG:  database system is shut down"),
              ended=True)


def test_a_server_that_cannot_pause_is_told_why(tmp_path: Path) -> None:
    lines = ["LOG:  shutdown at recovery target", "FATAL:  the database system is not accepting connections"]
    with pytest.raises(StateError, match="set hot_standby to on"):
        judge(log(tmp_path, *BEGIN, *lines), ended=True)


def test_why_wal_was_not_fetched_is_in_the_words_of_the_program(tmp_path: Path) -> None:
    fatal = f'FATAL:  could not restore file "{SEGMENT}" from archive: child process exited with exit code 200'
    said = service.last_words(log(tmp_path, *BEGIN, "restore-wal: /archive/11.gz is damaged; replace it.", fatal), 0)
    assert said == f"{AT}{fatal}: restore-wal: /archive/11.gz is damaged; replace it."
    # Another complaint is not explained by what was fetched before.
    later = log(tmp_path, "restore-wal: /archive/11.gz is damaged.", "PANIC:  no room")
    assert service.last_words(later, 0) == f"{AT}PANIC:  no room"
