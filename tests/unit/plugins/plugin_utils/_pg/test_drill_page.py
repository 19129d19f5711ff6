# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a drill's report: complete, by itself, and safe whatever is in it."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg.drill_page import render
from tests.unit.plugins.plugin_utils._pg.test_drill_report import FACTS, report

HOSTILE = "<script>alert('x')</script>\"&"
VOID = {"meta", "line", "rect"}


class Page(HTMLParser):
    """The elements of a page; every one that is opened must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)


def text(page: str) -> str:
    return re.sub(r"\s+", " ", " ".join(Page(page).words))


def test_the_verdict_comes_first_and_everything_measured_is_there() -> None:
    words = text(render(report()))
    assert words.index("Passed") < words.index("was restored from the backup") < words.index("How long it took")
    for told in ("7.2 s", "7.5 s, 1.0 KiB", "20261122T190102Z", '"public"."orders"', "3000 rows", "00d01e6e052a6e91",
                 "pg_amcheck", "newest", "0/7000500", "Choose the backup", "First answer", "18.6", "7711076263936823935"):
        assert told in words, told


def test_the_picture_has_a_bar_for_each_phase_within_its_frame() -> None:
    page = render(report())
    drawn = re.findall(r'<rect class="bar" x="([\d.]+)" y="\d+" width="([\d.]+)"', page)
    bars = [(float(x), float(width)) for x, width in drawn]
    assert len(bars) == 4
    assert bars[0][0] == 190
    assert all(x >= 190 and x + width <= 710 + 1.5 for x, width in bars)
    assert bars == sorted(bars)


def test_it_needs_nothing_from_elsewhere() -> None:
    page = render(report())
    assert not re.search(r"https?:|src=|href=|url\(|@import|<script|<link", page)


def test_a_failed_drill_says_what_went_wrong_before_anything_else() -> None:
    words = text(render(report(failure={"task": "Restored", "message": "it broke."})))
    assert words.index("Failed") < words.index("What went wrong") < words.index("How long it took")
    assert "Restored: it broke." in words


def test_a_drill_that_broke_off_at_once_has_a_page() -> None:
    empty: dict[str, Any] = dict.fromkeys(("before", "primary", "after", "target", "restore", "restored"), {})
    words = text(render(report(**empty, checked=[], failure={"task": "t", "message": "m."})))
    assert "not reached" in words


@pytest.mark.parametrize("place", [
    ("cluster",), ("failure", "message"), ("before", "backup", "id"), ("restored", "probes", 0, "name"), ("target", "value"),
    ("primary", "tables", 0, "table"), ("drill", "host"), ("versions", "postgresql"), ("checked", 0, "found"),
    ("primary", "host"),
])
def test_what_is_hostile_is_shown_and_does_nothing(place: tuple[Any, ...]) -> None:
    facts = copy.deepcopy(FACTS)
    facts["failure"] = {"task": "t", "message": "m"}
    inner = facts
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = HOSTILE
    page = render(report(**facts))
    assert "script" not in Page(page).tags
    assert HOSTILE in "".join(Page(page).words)
