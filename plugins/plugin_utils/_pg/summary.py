# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person is shown: a line for each instance, and what is not healthy. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import conninfo
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import archiving


def lines(inventory: Mapping[str, Any], topology: Mapping[str, Any], results: Mapping[str, Any]) -> list[str]:
    """Return the summary: for each member its role, address, lag, and a command that connects to it.

    Args:
        inventory: what ``pg_inventory`` returned.
        topology: what ``pg_topology`` returned.
        results: what was read of each member.
    """
    rows = [("CLUSTER", "HOST", "ROLE", "ADDRESS", "TL", "LAG", "CONNECT")]
    for name, cluster in inventory["clusters"].items():
        rows += [(name, host) + _cells(host, inventory, topology, results) for host in cluster["members"] if host in results]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    shown = ["  ".join([cell.ljust(width) for cell, width in zip(row, widths)] + [row[6]]).rstrip() for row in rows]
    for name, cluster in topology["clusters"].items():
        shown += archiving.lines(name, inventory["members"], cluster["primary"], results[cluster["primary"]])
    return shown + [member["note"] for member in topology["members"].values() if member["note"]]


def _cells(host: str, inventory: Mapping[str, Any], topology: Mapping[str, Any],
           results: Mapping[str, Any]) -> tuple[str, ...]:
    member, result = inventory["members"][host], results[host]
    address = "%s:%s" % (member["address"], member["port"])
    live = bool(result.get("answers"))
    timeline = str(result["timeline"]) if live else "-"
    connect = _connect(host, inventory, result) if live else "-"
    return (_role(host, topology, result), address, timeline, _lag(host, topology, results), connect)


def _role(host: str, topology: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    decided = topology["members"].get(host, {})
    if result.get("unreachable"):
        return "unreachable"
    if decided.get("role") == "left":
        return "left alone"
    role = str(result.get("role") or decided.get("role") or "?")
    if not result.get("running"):
        return "%s (%s)" % (role, "stopped" if result["instance"]["kind"] == "instance" else "not there")
    if role == "standby":
        return "standby of %s" % decided.get("upstream", "?")
    return "subscriber" if result.get("subscriptions") else role


def _lag(host: str, topology: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    result = results[host]
    if result.get("role") == "standby":
        upstream = topology["members"].get(host, {}).get("upstream", "")
        return _sender_lag(results.get(upstream, {}), [host])
    names = [subscription["name"] for subscription in result.get("subscriptions", ())]
    return _sender_lag({"standbys": [one for other in results.values() for one in other.get("standbys", ())]}, names)


def _sender_lag(upstream: Mapping[str, Any], names: list[str]) -> str:
    found = [one for one in upstream.get("standbys", ()) if one["application_name"] in names]
    if not found:
        return "no stream" if names and upstream else "-"
    return "%d B, %.1f s" % (max(one["lag_bytes"] or 0 for one in found), max(one["lag_seconds"] or 0 for one in found))


def _connect(host: str, inventory: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    instance = result["instance"]
    cluster = inventory["clusters"][inventory["members"][host]["cluster"]]
    databases = [name for member in cluster["members"] for name in inventory["members"][member]["databases"]]
    databases += [one["database"] for one in result.get("subscriptions", ())]
    return "%s/psql 'host=%s port=%s user=%s dbname=%s'" % (
        result["host"]["bindir"], instance["socket_directory"], instance["port"], inventory["members"][host]["superuser"],
        (databases or ["postgres"])[0])


def switchover_line(result: Mapping[str, Any], former: str, promoted: str, clients: Mapping[str, str]) -> str:
    """Return what people are told of a switchover.

    Args:
        result: what ``pg_switchover`` returned.
        former: the member that was primary.
        promoted: the member that is primary now.
        clients: libpq keywords by which clients reach whichever member takes writes.
    """
    outage = result.get("outage_ms")
    refused = ("writes were refused for %.1f ms" % outage if outage is not None else
               "an interrupted switchover was completed, so how long writes were refused is not known")
    proof = "%s had the shutdown checkpoint%s" % (promoted, " at %s" % result["lsn"] if result.get("lsn") else "")
    return "%s is primary on timeline %d and %s its standby: %s, and no commit was lost, since %s. Clients reach it by: %s" % (
        promoted, result["timeline"], former, refused, proof, conninfo.render(clients))


def complaints(inventory: Mapping[str, Any], topology: Mapping[str, Any], results: Mapping[str, Any]) -> list[str]:
    """Return everything that is not healthy, each as one sentence."""
    found = list(topology["refusals"])
    for host, decided in topology["members"].items():
        found += _member_complaints(host, decided, results[host])
        if decided["role"] == "primary" and results[host].get("answers"):
            found += archiving.unhealthy(host, inventory["members"][host], results[host])
    return found


def _member_complaints(host: str, decided: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    if decided["role"] == "left":
        return [decided["note"]]
    if not result.get("running"):
        return ["%s does not run; start it with the playbook deploy." % host]
    if not result.get("answers"):
        return list(result["problems"])
    found = []
    if decided["role"] == "standby" and (result["upstream"] or {}).get("status") != "streaming":
        found.append("%s is a standby and does not stream from %s; look at its log." % (host, decided["upstream"]))
    if result["replay_paused"]:
        found.append("%s has paused its replay; call pg_wal_replay_resume() on it when that was not meant." % host)
    found += ["%s has the slot %s, whose WAL is gone; its standby or subscriber needs a new copy." % (host, slot["name"])
              for slot in result["slots"] if slot["wal_status"] == "lost"]
    found += ["%s has settings that wait for a restart: %s; run the playbook deploy." % (
        host, ", ".join(one["name"] for one in result["pending_restart"]))] if result["pending_restart"] else []
    for subscription in result["subscriptions"]:
        found += _subscription_complaints(host, subscription)
    return found


def _subscription_complaints(host: str, subscription: Mapping[str, Any]) -> list[str]:
    name = subscription["name"]
    if not subscription["enabled"]:
        return ["%s has the subscription %s disabled; enable it when the reason is gone." % (host, name)]
    if not subscription["running"]:
        return ["%s has the subscription %s enabled and its worker does not run; look at its log." % (host, name)]
    waiting = [table for table, state in (subscription["tables"] or {}).items() if state != "r"]
    if waiting:
        return ["%s has the subscription %s, whose tables %s are not in step yet." % (host, name, ", ".join(sorted(waiting)))]
    return []
