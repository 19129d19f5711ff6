# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which members come back into their cluster as standbys, and how. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import assumed, topology


def choose(inventory: Mapping[str, Any], results: Mapping[str, Any], named: Sequence[str],
           recloned: Sequence[str]) -> dict[str, list[str]]:
    """Return who comes back.

    Args:
        inventory: as ``inventory.build`` returns it.
        results: what pg_replication_info returned of each member.
        named: who is to come back; nobody for all that were left alone and can.
        recloned: whose data is to make room for a clone.

    Returns:
        ``rejoined`` with its data, ``recloned`` without it, and ``refusals``, sentences. Who streams already is in neither.
    """
    found = {host: topology.found_of(one) for host, one in results.items()}
    decided = topology.decide(inventory, found)
    wanted = named or [host for host, one in decided["members"].items() if one["returns"] and host not in recloned]
    away = [host for host in [*wanted, *recloned] if host not in found or not _streams(host, results[host], decided)]
    refusals = [text for host in away for text in [_refusal(host, host in recloned, found, decided)] if text]
    chosen = {"rejoined": [host for host in away if host not in recloned],
              "recloned": [host for host in away if host in recloned]}
    # Where a cluster is refused, nobody can say whether somebody should come back.
    return {**chosen, "refusals": refusals or (_primaries(inventory, found, **chosen) if away or named else decided["refusals"])}


def _streams(host: str, result: Mapping[str, Any], decided: Mapping[str, Any]) -> bool:
    """Return whether a member is a standby already that has what it needs from its upstream."""
    is_left = decided["members"].get(host, {}).get("role") == "left"
    return not is_left and (result.get("upstream") or {}).get("status") == "streaming"


def _refusal(host: str, is_recloned: bool, found: Mapping[str, topology.Found], decided: Mapping[str, Any]) -> str:
    """Return why a member cannot come back, ``""`` when it can."""
    asked = "The member %s was to %s and " % (host, "be cloned anew" if is_recloned else "rejoin")
    if host not in found:
        return asked + "this run has no such member; it has %s." % ", ".join(found)
    one = found[host]
    if not one.reachable:
        return asked + "its host cannot be reached; make it reachable."
    if host in [cluster["primary"] for cluster in decided["clusters"].values()]:
        return asked + "is the primary of its cluster; change over with the playbook switchover first."
    if one.recovering:
        return asked + "is in a point-in-time recovery; let that end or remove it."
    if not one.has_data and not is_recloned:
        return asked + "has no data; run the playbook deploy, which clones it."
    return ""


def _primaries(inventory: Mapping[str, Any], found: Mapping[str, topology.Found], rejoined: Sequence[str],
               recloned: Sequence[str]) -> list[str]:
    """Return why there is no primary to follow, or none that is newer than what they were themselves."""
    back = {name: [host for host in cluster["members"] if host in (*rejoined, *recloned)]
            for name, cluster in inventory["clusters"].items()}
    own = {name: cluster for name, cluster in inventory["clusters"].items() if back[name]}
    after = topology.decide({**inventory, "clusters": own}, assumed.returned(found, rejoined, recloned))
    refusals = list(after["refusals"])
    for name, cluster in after["clusters"].items():
        primary = cluster["primary"]
        if not cluster["running"]:
            refusals.append("The members %s were to come back and their cluster %s has no primary that runs; run the playbook "
                            "deploy, or failover." % (", ".join(back[name]), name))
        refusals += ["The member %s was to come back and runs as primary on timeline %d, and %s on %d; stop the one that is "
                     "wrong yourself." % (host, found[host].timeline, primary, found[primary].timeline) for host in back[name]
                     if found[host].running and found[host].role == "primary"
                     and found[host].timeline >= found[primary].timeline]
    return refusals
