# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a resource hands to the runner: the way from what is to what is wanted, as a value."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Sequence


class Action(NamedTuple):
    """One step on a host, where it is no SQL.

    Attributes:
        action: which; the resource knows how.
        shown: the command that does the same, as people may see it.
        values: what it needs.
    """

    action: str
    shown: str
    values: Mapping[str, Any] = {}


class Plan(NamedTuple):
    """What would be done.

    Attributes:
        steps: in order; each has ``shown``, what people may see of it. No step, no change.
        before: the part of the present state that the caller asked about.
        after: the same once the steps are done.
        facts: what else the module returns, as it will be after the steps.
        warnings: what a person should know, whether or not anything changes.
    """

    steps: Sequence[Any]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    facts: Mapping[str, Any] = {}
    warnings: Sequence[str] = ()
