# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way from one state of a subscription to another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.postgres import Server
from tests.support.replication import PASSWORD, Pair, databases, filled, writing

Options = dict[str, Any]


def states(made: Pair, owner: str) -> dict[str, Options]:
    """The states by name, each with every option that the version can change."""
    major = made.server.major
    base: Options = {"slot_name": made.sub, "synchronous_commit": "off", "binary": False, "streaming": "off",
                     "disable_on_error": False, "owner": "postgres", "comment": "", "enabled": True}
    if major >= 16:
        base.update(password_required=True, run_as_owner=False, origin="any")
    if major >= 17:
        base.update(failover=False)
    if major >= 18:
        base.update(two_phase=False)
    changes: dict[str, Options] = {
        "plain": {},
        "two publications": {"publications": ["b", "a"]},
        "another publication": {"publications": ["c"]},
        "disabled": {"enabled": False, "publications": ["a", "c"]},
        "binary and streaming": {"binary": True, "streaming": "on"},
        "commits and errors": {"synchronous_commit": "remote_apply", "disable_on_error": True},
        "another slot": {"slot_name": f"{made.sub}_other"},
        "another owner": {"owner": owner, "comment": "it's\n\"ours\""},
        "another conninfo": {"conninfo": made.conninfo(application_name="a = 'b' \\", keepalives_idle="007")},
        "a socket, no password": {"conninfo": {"host": str(made.server.home), "port": made.server.port, "user": "postgres",
                                               "dbname": made.publisher}},
    }
    if major >= 16:
        changes["privileges"] = {"streaming": "parallel", "origin": "none", "run_as_owner": True,
                                 "password_required": False}
    if major >= 17:
        changes["failover"] = {"failover": True}
    if major >= 18:
        changes["two_phase"] = {"two_phase": True, "publications": ["b"]}
    return {"absent": {"state": "absent"}, **{name: {**base, **change} for name, change in changes.items()}}


def tour(names: list[str]) -> Iterator[str]:
    """A walk that begins at the first name and goes from every name to every other one exactly once."""
    left = {name: [other for other in names if other != name] for name in names}
    stack, walk = [names[0]], []
    while stack:
        if left[stack[-1]]:
            stack.append(left[stack[-1]].pop())
        else:
            walk.append(stack.pop())
    return reversed(walk)


def in_catalog(made: Pair, options: Options) -> Options:
    """Those columns of the catalog that the options decide, as they should be."""
    columns = {"enabled": "subenabled", "slot_name": "subslotname", "synchronous_commit": "subsynccommit",
               "binary": "subbinary", "disable_on_error": "subdisableonerr", "password_required": "subpasswordrequired",
               "run_as_owner": "subrunasowner", "origin": "suborigin", "failover": "subfailover", "owner": "owner"}
    wanted = {column: options[option] for option, column in columns.items() if option in options}
    wanted["comment"] = options["comment"] or None
    wanted["subpublications"] = sorted(options["publications"])
    letters = {"off": "f", "on": "t", "parallel": "p"}
    wanted["substream"] = letters[options["streaming"]] if made.server.major >= 16 else options["streaming"] == "on"
    return wanted


def converge(made: Pair, options: Options, seen: list[str]) -> dict[str, Any]:
    """Go to a state: check mode, the run, the same run again; and compare the three."""
    before = len(made.server.log)
    planned = made.check(**options)
    assert not writing(made.server.log[before:])
    done = made.ok(**options)
    after = len(made.server.log)
    again = made.ok(**options)
    assert not writing(made.server.log[after:])
    assert planned["changed"] is True, planned
    assert done["changed"] is True
    assert planned["diff"] == done["diff"]
    assert planned["statements"] == done["statements"]
    assert again["changed"] is False, again["statements"]
    assert again["diff"]["after"] == again["diff"]["before"] == done["diff"]["after"]
    seen += [json.dumps(planned), json.dumps(done), json.dumps(again)]
    return done


@pytest.mark.parametrize("major", [15, 18])
def test_every_state_is_reached_from_every_other(server_of: Callable[[int], Server], major: int) -> None:
    server = server_of(major)
    seen: list[str] = []
    with databases(server) as empty, filled(empty) as made:
        owner = f"Owner of {made.sub}"
        server.sql(f'CREATE ROLE "{owner}" SUPERUSER')
        all_states = states(made, owner)
        assert len(all_states) >= 11
        walk = tour(list(all_states))
        assert next(walk) == "absent"
        position = "absent"
        for name in walk:
            options = made.options(**all_states[name])
            try:
                converge(made, all_states[name], seen)
                row = made.catalog()
                if name == "absent":
                    assert row is None
                    assert made.slots() == set()
                else:
                    assert row is not None
                    row["subpublications"].sort()
                    wanted = in_catalog(made, options)
                    assert {key: row[key] for key in wanted} == wanted
                    assert row.get("subtwophasestate", "d") in ("pe" if options.get("two_phase") else "d")
                    assert made.slots() == {options["slot_name"]}
            except AssertionError as error:
                raise AssertionError(f"from {position} to {name}: {error}") from error
            position = name
        assert position == "absent"
        server.sql(f'DROP ROLE "{owner}"')
    assert PASSWORD not in server.log
    assert not [text for text in seen if json.dumps(PASSWORD)[1:-1] in text or "s3cr" in text]
