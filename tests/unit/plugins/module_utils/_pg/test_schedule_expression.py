# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times of cron, and commands as cron's shell and systemd read them back."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import schedule_expression as schedule
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError

WORDS = st.lists(st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), min_size=1), min_size=1)


@pytest.mark.parametrize("expression", [
    "0 2 * * *", "*/15 * * * *", "0,30 1-5/2 1 jan Sun", "59 23 31 12 7", "0 0 29 2 *", "0 0 30 2 1", "0\t2  * * 1-5", "@daily",
    "@midnight", "05 08 * * *"])
def test_a_time_of_cron_passes(expression: str) -> None:
    schedule.refuse_cron(expression)


@pytest.mark.parametrize(("expression", "reason"), [
    ("", "is none of cron's"), ("0 2 * *", "is none of cron's"), ("0 2 * * * *", "is none of cron's"),
    ("@reboot", "is none of cron's"), ("Mon *-*-* 02:00", "is none of cron's"), ("0 2 * *\n*", "is none of cron's"),
    ("60 * * * *", "has 60 as minute; give numbers from 0 to 59"), ("* 24 * * *", "has 24 as hour"),
    ("* * 0 * *", "has 0 as day of the month"), ("* * * 13 *", "has 13 as month"), ("* * * * 8", "has 8 as day of the week"),
    ("5/2 * * * *", "has 5/2 as minute"), ("*/0 * * * *", r"has \*/0 as minute"), ("5-1 * * * *", "has 5-1 as minute"),
    ("1,,2 * * * *", "has nothing as minute"), ("* * * * mon-fri", "has mon-fri as day of the week"), ("-5 * * * *", "has -5"),
    ("* * * * monday", "has monday"), ("٣ * * * *", "has ٣"), ("0 0 31 2,4 *", "would never run"),
    ("0 0 30 feb *", "would never run")])
def test_what_is_no_time_of_cron_is_refused(expression: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        schedule.refuse_cron(expression)


@given(WORDS)
def test_a_shell_reads_the_words_from_a_line_of_cron(words: list[str]) -> None:
    line = schedule.for_cron(words)
    # cron itself: a percent sign that is not escaped ends the line, and one that is stands for itself.
    assert "%" not in line.replace("\\%", "")
    assert shlex.split(line.replace("\\%", "%")) == words


@given(WORDS)
def test_systemd_reads_the_words_from_a_unit(words: list[str]) -> None:
    line = schedule.for_systemd(words)
    assert all(text.count(sign) % 2 == 0 for sign in "%$" for text in [line])
    assert shlex.split(line.replace("%%", "%").replace("$$", "$")) == words


@pytest.mark.parametrize("written", [schedule.for_cron, schedule.for_systemd])
def test_no_schedule_runs_a_path_with_a_line_break(written: object) -> None:
    assert callable(written)
    with pytest.raises(InputError, match="holds a line break"):
        written(["/srv/a\nb"])
