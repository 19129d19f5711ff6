# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the primary that a failover is to replace still lives. Pure.

A primary that is merely cut off from us goes on taking writes, which a promotion elsewhere would lose. So it counts as gone
only when nothing of it is seen from anywhere: not by Ansible on its host, not by a connection from the controller, and not
from any standby, neither by a new connection nor by the one that it streams over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import topology

Results = Mapping[str, Mapping[str, Any]]

#: How long a standby may have heard nothing, in seconds, for its stream to be a sign of life. The stream from a host that lost
#: its power looks whole until wal_receiver_timeout is over (chapter 19.6.3), while new connections to it already fail.
_FRESH = 5.0


def former(hosts: Sequence[str], results: Results) -> list[str]:
    """Return the members that are, or may be, the primary which a failover replaces.

    Args:
        hosts: the members of the cluster.
        results: what pg_replication_info returned of each.

    Returns:
        The primary of the newest timeline, whether it runs or not, or the one that a failover has fenced which was killed then;
        where none is seen, everyone who cannot be reached, since any of them may be it. Others who are fenced are past members.
    """
    found = {host: topology.found_of(results[host]) for host in hosts}
    outside = topology.fenced(found)
    primaries = [host for host in hosts if host not in outside and found[host].has_data
                 and (found[host].role == "primary" or found[host].interrupted)]
    newest = max((found[host].timeline for host in primaries), default=0)
    standing = max((found[host].timeline for host in hosts if found[host].role == "standby" and host not in outside), default=0)
    return ([host for host in primaries if found[host].running or found[host].timeline == newest]
            or [host for host in outside if found[host].has_data and found[host].timeline == standing]
            or [host for host in hosts if not found[host].reachable and host not in outside])


def signs(suspects: Sequence[str], hosts: Sequence[str], inventory: Mapping[str, Any], results: Results,
          knocked: Mapping[str, bool]) -> dict[str, list[str]]:
    """Return by what each of the suspects is seen to live, each as words that follow its name; those that are not are left out.

    Args:
        suspects: as ``former`` returns them.
        hosts: the members of the cluster.
        inventory: as ``inventory.build`` returns it.
        results: what pg_replication_info returned of each, with the other members as ``peers``.
        knocked: by the name of the member, whether a server answers to the controller at its address.
    """
    found: dict[str, list[str]] = {}
    for suspect in suspects:
        member = inventory["members"][suspect]
        seen = ["runs on its host"] if results[suspect].get("running") else []
        seen += ["answers to the controller"] if knocked.get(suspect) else []
        for host in hosts:
            if host != suspect and results[host].get("peers") is not None:
                seen += _seen_from(host, results[host], "%s:%s" % (member["address"], member["port"]))
        if seen:
            found[suspect] = seen
    return found


def _seen_from(host: str, result: Mapping[str, Any], address: str) -> list[str]:
    """Return what a member sees of a server at an address; another system that listens there by now is not it."""
    own = (result.get("instance") or {}).get("system_identifier", "")
    answers = [peer for peer in result["peers"] if peer["address"] == address and peer["answers"]
               and peer["system_identifier"] in ("", own)]
    return (["answers to %s" % host] if answers else []) + (["streams to %s" % host] if _upstream(result) == address else [])


def _upstream(result: Mapping[str, Any]) -> str:
    """Return the address from which a standby has heard just now, ``""`` for none."""
    stream = result.get("upstream") or {}
    if stream.get("status") != "streaming" or (stream.get("silent_seconds") or 0) > _FRESH:
        return ""
    return "%s:%s" % (stream["host"], stream["port"])


def strangers(hosts: Sequence[str], inventory: Mapping[str, Any], results: Results) -> list[str]:
    """Return which standbys stream from a server that is no member of their cluster, each as one sentence."""
    members = {"%s:%s" % (inventory["members"][host]["address"], inventory["members"][host]["port"]) for host in hosts}
    return ["The member %s streams from %s, which is no member of its cluster and may be the primary; name it in the inventory."
            % (host, address) for host in hosts for address in [_upstream(results[host])] if address and address not in members]


def refusals(name: str, alive: Mapping[str, Sequence[str]], results: Results, force: bool) -> list[str]:
    """Return why the primary must not be replaced, each as one sentence; none where it is gone, or can be stopped by force.

    Args:
        name: of the cluster.
        alive: as ``signs`` returns it.
        results: what pg_replication_info returned of each member.
        force: whether a primary that lives is to be replaced all the same, once it was stopped.
    """
    refused = []
    for host, seen in alive.items():
        told = "The cluster %s was to fail over and its primary %s lives: it %s" % (name, host, ", ".join(seen))
        if not force:
            refused.append("%s; change over with the playbook switchover, or set pg_failover_force to true, which stops it."
                           % told)
        elif not results[host].get("running"):
            refused.append("%s, and its host cannot be reached to stop it; stop it, or make its host reachable." % told)
    return refused
