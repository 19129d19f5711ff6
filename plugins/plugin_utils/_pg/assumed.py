# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What will be found once a switchover, a failover or a rejoin has done its part, from what is found now. Pure.

The rest of such a run follows from the topology as it will be then, so that check mode plans just what a run does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg.topology import Found


def reversed_roles(found: Mapping[str, Found], primary: str, candidate: str) -> dict[str, Found]:
    """Return what will be found when a switchover has made a standby the primary, and the primary a standby.

    What uses a slot now may follow somebody else then, so that none counts as active.
    """
    after = _unused_slots(found)
    former, promoted = after[primary], after[candidate]
    after[primary] = former._replace(role="standby", running=True, interrupted=False, leftover_slots=former.logical_slots)
    after[candidate] = promoted._replace(role="primary", timeline=former.timeline + 1)
    return after


def failed_over(found: Mapping[str, Found], candidate: str, fenced: Sequence[str]) -> dict[str, Found]:
    """Return what will be found when a failover has made a standby the primary and fenced others.

    Args:
        found: what was found of each member.
        candidate: the standby.
        fenced: who is marked on the candidate's data directory, and where that could be done made a standby that does not run.
    """
    after = _unused_slots(found)
    promoted = after[candidate]
    marks = {**promoted.fenced, **dict.fromkeys(fenced, promoted.timeline)}
    for host in fenced:
        one = after[host]
        after[host] = one._replace(role="standby", running=False, interrupted=False) if one.has_data else one
    after[candidate] = promoted._replace(role="primary", timeline=promoted.timeline + 1, fenced=marks)
    return after


def returned(found: Mapping[str, Found], rejoined: Sequence[str], recloned: Sequence[str]) -> dict[str, Found]:
    """Return what will be found when members have come back as standbys that wait to be started, or made room for a clone."""
    back = {*rejoined, *recloned}
    after = {host: one._replace(fenced={name: timeline for name, timeline in one.fenced.items() if name not in back})
             for host, one in found.items()}
    for host in rejoined:
        after[host] = after[host]._replace(role="standby", running=False, recovering=False, interrupted=False, timeline=0)
    return {**after, **dict.fromkeys(recloned, Found(True))}


def _unused_slots(found: Mapping[str, Found]) -> dict[str, Found]:
    """Return findings in which no slot is active: whoever uses one may follow somebody else then."""
    return {host: one._replace(slots=[*one.slots, *one.active_slots], active_slots=()) for host, one in found.items()}
