# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is what today: from what was found on the members to what each of them is to be. Pure.

The inventory says who the members are; the instances say which of them is primary. A member that holds data is never
demoted, re-initialised or re-cloned here, and where the truth is doubtful nothing is decided: the cluster is refused with
the members named.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import archiving

ABSENT = ("missing", "empty")


class Found(NamedTuple):
    """What was found of one member.

    Attributes:
        reachable: whether its host answered.
        kind: of its data directory: missing, empty, foreign or instance.
        running: whether a server runs.
        role: primary or standby: what the running server says, else what the signal files say.
        recovering: whether a point-in-time recovery is under way.
        system_identifier: ``""`` without an instance.
        timeline: 0 without an instance.
        floors: the present values of the settings that a standby must not have lower.
        slots: its physical slots that are not active, by name, and that of the receiver, which is stopped first.
        active_slots: its other physical slots.
        logical_slots: its logical slots that no other server keeps in step for it.
        leftover_slots: on a standby, those of them that it has of its time as primary: they keep the slots of that name on
            its new primary from being kept in step here (documentation, chapter 47.2.3).
        interrupted: whether it was shut down as primary by a switchover that did not come to its end.
        fenced: members that a failover fenced, as its data directory has them, each with the timeline up to which it is not to
            be trusted.
    """

    reachable: bool
    kind: str = "missing"
    running: bool = False
    role: str = ""
    recovering: bool = False
    system_identifier: str = ""
    timeline: int = 0
    floors: Mapping[str, int] = {}
    slots: Sequence[str] = ()
    fenced: Mapping[str, int] = {}
    active_slots: Sequence[str] = ()
    logical_slots: Sequence[str] = ()
    leftover_slots: Sequence[str] = ()
    interrupted: bool = False

    @property
    def has_data(self) -> bool:
        """Whether there is an instance."""
        return self.kind == "instance"


def found_of(result: Mapping[str, Any]) -> Found:
    """Return the finding in a result of pg_replication_info; of an unreachable host, that it is."""
    if result.get("unreachable") or "instance" not in result:
        return Found(False)
    instance = result["instance"]
    live = bool(result.get("answers"))
    role = result["role"] if live else ("standby" if instance["standby_signal"] else "primary")
    settings = result.get("settings") or {}
    slots = [slot for slot in result.get("slots", ()) if not slot.get("synced")]
    physical = [slot for slot in slots if slot["slot_type"] == "physical"]
    inactive = [slot["name"] for slot in physical if not slot["active"] or slot["name"] == archiving.SLOT]
    logical = [slot["name"] for slot in slots if slot["slot_type"] == "logical"]
    # Nobody can make a slot with failover on a standby.
    leftover = [slot["name"] for slot in slots if role == "standby" and slot.get("failover") and not slot["active"]]
    return Found(
        True, instance["kind"], result["running"], role if instance["kind"] == "instance" else "",
        instance["recovery_signal"], instance["system_identifier"],
        result["timeline"] if live else instance["timeline"],
        {name: int(settings.get(name, value)) for name, value in instance["floors"].items()},
        inactive,
        {name: int(mark["timeline"]) for name, mark in (instance.get("fenced") or {}).items()},
        [slot["name"] for slot in physical if slot["name"] not in inactive], logical, leftover,
        not result["running"] and instance["standby_signal"] and instance["control_state"] == "shut down")


class Refusal(Exception):
    """The truth about a cluster is doubtful or needs a person; one sentence says why."""


def decide(inventory: Mapping[str, Any], found: Mapping[str, Found]) -> dict[str, Any]:
    """Return what every member is to be.

    Args:
        inventory: as ``inventory.build`` returns it.
        found: what was found of each member that is in this run; a cluster of which none is, is passed over.

    Returns:
        ``members``: by name, each with role (primary, standby, left), action (create, clone, follow, run, leave), running,
        upstream, depth, floors, slots, stale_slots, interrupted, fenced, returns and note; ``clusters``: by name, with primary,
        exists and running; ``depth``: of the longest cascade; ``refusals``: sentences, and then nothing may be done.
    """
    decided: dict[str, Any] = {"members": {}, "clusters": {}, "refusals": []}
    for name, cluster in inventory["clusters"].items():
        here = {host: found[host] for host in cluster["members"] if host in found}
        if not here:
            continue
        try:
            _refuse_part(name, cluster["members"], here)
            primary = _primary(name, here, inventory["members"])
        except Refusal as refusal:
            decided["refusals"].append(str(refusal))
            continue
        decided["clusters"][name] = {"primary": primary, "exists": here[primary].has_data,
                                     "running": here[primary].running}
        decided["members"].update(_members(primary, here, inventory["members"]))
    decided["depth"] = max((member["depth"] for member in decided["members"].values()), default=0)
    return decided


def _refuse_part(name: str, members: Sequence[str], here: Mapping[str, Found]) -> None:
    """Refuse a run that sees just a part of a cluster: who is primary cannot be known from it."""
    unseen = [host for host in members if host not in here]
    if unseen:
        raise Refusal("The cluster %s is only partly in this run, without %s; run it on all its members."
                      % (name, ", ".join(unseen)))


def fenced(here: Mapping[str, Found]) -> list[str]:
    """Return the members that a failover fenced and no rejoin has brought back since.

    A mark that a member could not be told to forget has ended all the same when the data is gone or of a later timeline.
    """
    marks: dict[str, int] = {}
    for one in here.values():
        for host, timeline in one.fenced.items():
            marks[host] = max(timeline, marks.get(host, 0))
    return [host for host, one in here.items() if host in marks
            and (not one.reachable or (one.has_data and one.timeline <= marks[host]))]


def _primary(name: str, here: Mapping[str, Found], members: Mapping[str, Any]) -> str:
    """Return the member that is, or on a first run becomes, the primary; one that is fenced is none, whatever it runs as."""
    _refuse_mixed(name, here)
    outside = fenced(here)
    data = {host: one for host, one in here.items() if one.has_data and host not in outside}
    unknown = [host for host, one in here.items() if not one.reachable and host not in outside]
    if not data and outside:
        raise Refusal("The cluster %s has no data but that of %s, which a failover fenced; make the member reachable that was "
                      "promoted then, or restore a backup." % (name, ", ".join(outside)))
    if not data:
        return _first_primary(name, here, members, unknown)
    live = [host for host, one in data.items() if one.running and one.role == "primary"]
    if len(live) > 1:
        raise Refusal("The cluster %s has two primaries: %s; decide which one is right, stop the other, and bring it back with "
                      "the playbook rejoin." % (name, " and ".join(_told(host, data[host]) for host in live)))
    stopped = [host for host, one in data.items()
               if not one.running and (one.role == "primary" or one.interrupted) and not one.recovering]
    if live:
        newer = [host for host in stopped if data[host].timeline > data[live[0]].timeline]
        if newer:
            raise Refusal("The cluster %s runs with %s as primary, and %s was primary after it; decide which one is right." % (
                name, _told(live[0], data[live[0]]), _told(newer[0], data[newer[0]])))
        return live[0]
    return _stopped_primary(name, data, stopped, unknown)


def _refuse_mixed(name: str, here: Mapping[str, Found]) -> None:
    identifiers: dict[str, str] = {}
    for host, one in here.items():
        if one.has_data:
            identifiers.setdefault(one.system_identifier, host)
    if len(identifiers) > 1:
        raise Refusal("The members of the cluster %s hold different systems: %s; only clones of one another are a cluster, name "
                      "the right data directories." % (name, " and ".join(
                          "%s has the system identifier %s" % (host, value) for value, host in identifiers.items())))


def _first_primary(name: str, here: Mapping[str, Found], members: Mapping[str, Any], unknown: Sequence[str]) -> str:
    if unknown:
        raise Refusal("The cluster %s has no data on any member that answers, and %s cannot be reached and may hold it; make it "
                      "reachable or take it out of the inventory." % (name, ", ".join(unknown)))
    flagged = [host for host in here if members[host]["bootstrap"]]
    return (flagged or list(here))[0]


def _stopped_primary(name: str, data: Mapping[str, Found], stopped: Sequence[str], unknown: Sequence[str]) -> str:
    """Return the member to start as primary, when no primary runs and it is certain which one was the last."""
    if not stopped and unknown:
        raise Refusal("The cluster %s has standbys (%s) and no primary among the members that answer, and %s cannot be reached "
                      "and may be it; make it reachable, or where it is gone for good, promote the best standby with the "
                      "playbook failover." % (name, ", ".join(data), ", ".join(unknown)))
    if not stopped:
        raise Refusal("The cluster %s has standbys (%s) and no primary; promote the best of them with the playbook failover." % (
            name, ", ".join(data)))
    if unknown:
        raise Refusal("The cluster %s has no running primary, and %s cannot be reached and may have become it; %s is not started "
                      "before that is known." % (name, ", ".join(unknown), stopped[0]))
    newest = max(data[host].timeline for host in stopped)
    best = [host for host in stopped if data[host].timeline == newest]
    if len(best) > 1:
        raise Refusal("The cluster %s has two stopped primaries: %s; decide which one is right and start it." % (
            name, " and ".join(_told(host, data[host]) for host in best)))
    ahead = [host for host, one in data.items() if one.timeline > newest]
    if ahead:
        raise Refusal("The cluster %s has %s stopped as primary, and %s is ahead of it; promote the best standby with the "
                      "playbook failover." % (name, _told(best[0], data[best[0]]), _told(ahead[0], data[ahead[0]])))
    return best[0]


def _told(host: str, one: Found) -> str:
    return "%s (%s, timeline %d)" % (host, "running" if one.running else "stopped", one.timeline)


def _members(primary: str, here: Mapping[str, Found], members: Mapping[str, Any]) -> dict[str, Any]:
    outside = fenced(here)
    left = {host: note for host, note in ((host, _why_left(host, primary, here, outside)) for host in here) if note}
    following = [host for host in here if host != primary and host not in left]
    upstreams = {host: _upstream(host, primary, following, members) for host in following}
    slots = {host: sorted(members[down]["slot"] for down, up in upstreams.items() if up == host) for host in here}
    slots[primary] += [archiving.SLOT] if members[primary]["wal"] == "stream" else []
    # A member that cannot be reached comes back by itself, if the WAL that it needs is still kept for it.
    known = {members[host]["slot"] for host, one in here.items() if one.reachable or host in outside} | {archiving.SLOT}
    decided = {}
    for host, one in here.items():
        action = "leave" if host in left else _action(host, primary, one)
        decided[host] = {
            "role": "left" if host in left else ("primary" if host == primary else "standby"),
            "action": action,
            "running": one.running,
            "exists": one.has_data,
            "upstream": upstreams.get(host, ""),
            "depth": _depth(host, upstreams),
            "floors": _floors(host, primary, here, members) if host in following else {},
            "slots": slots[host],
            "stale_slots": sorted(_stale(one, known - set(slots[host]),
                                         {members[down]["slot"] for down, up in upstreams.items() if up != host})),
            "interrupted": host == primary and one.interrupted,
            "fenced": host in outside,
            "returns": host in left and one.has_data and not one.recovering,
            "note": left.get(host, ""),
        }
    return decided


def _stale(one: Found, unused: Collection[str], moving: Collection[str]) -> set[str]:
    """Return the slots of a member that nobody uses when everyone follows whom they are to.

    Args:
        one: the member.
        unused: names of slots of other members, that are not for those that are to follow this one.
        moving: of those, the slots of members that are to follow somebody else, who may still use them.
    """
    return {*one.leftover_slots, *(name for name in one.slots if name in unused),
            *(name for name in one.active_slots if name in moving)}


def _action(host: str, primary: str, one: Found) -> str:
    if host == primary:
        return "run" if one.has_data else "create"
    return "follow" if one.has_data else "clone"


def _why_left(host: str, primary: str, here: Mapping[str, Found], outside: Sequence[str]) -> str:
    """Return why a member is left alone, ``""`` when it is not."""
    one, first = here[host], here[primary]
    if host == primary:
        return ""
    if host in outside:
        return "%s was fenced by the failover to %s%s and is left alone; bring it back with the playbook rejoin%s." % (
            host, primary, ", RUNS AS A SECOND PRIMARY" if one.running and one.role == "primary" else "",
            "" if one.reachable else " when it can be reached")
    if not one.reachable:
        return "%s cannot be reached and is left alone; run this again when it answers." % host
    if one.recovering:
        return "%s is in a point-in-time recovery and is left alone; let it end or remove it." % host
    if one.has_data and one.role == "primary":
        return ("%s was primary on timeline %d and %s is primary on timeline %d, so %s is left alone as it is; bring it back as "
                "a standby with the playbook rejoin." % (host, one.timeline, primary, first.timeline, host))
    if one.has_data and one.timeline > first.timeline:
        return ("%s is a standby on timeline %d and the primary %s is on timeline %d, so it cannot follow and is left alone; "
                "bring it back with the playbook rejoin." % (host, one.timeline, primary, first.timeline))
    return ""


def _upstream(host: str, primary: str, following: Sequence[str], members: Mapping[str, Any]) -> str:
    """Return whom a standby follows: its declared upstream where that leads to the primary, else the primary."""
    declared = members[host]["upstream"]
    path = [host]
    while members[path[-1]]["upstream"] in following:
        upstream = members[path[-1]]["upstream"]
        if upstream in path:
            return primary
        path.append(upstream)
    return declared if declared in following else primary


def _depth(host: str, upstreams: Mapping[str, str]) -> int:
    depth = 0
    while host in upstreams:
        host, depth = upstreams[host], depth + 1
    return depth


def _floors(host: str, primary: str, here: Mapping[str, Found], members: Mapping[str, Any]) -> dict[str, int]:
    """Return the settings that a standby must keep higher than wanted until its primary has lowered them.

    A standby with less than its primary stops replaying (documentation, chapter 26.4.3), so what is lowered is lowered on
    the primary first, and what is raised is raised on the standbys first.
    """
    wanted = members[host]["floors"]
    floors = {}
    for name, value in wanted.items():
        present = max([one.floors[name] for one in (here[host], here[primary]) if name in one.floors], default=0)
        if here[host].has_data and present > int(value):
            floors[name] = present
    return floors
