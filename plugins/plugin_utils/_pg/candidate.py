# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which standby becomes the primary, in a planned switchover or when the primary is gone, and who follows it then. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import lsn
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import assumed, liveness, loss, preflight, quorum, topology
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg.view import View

Decision = dict[str, Any]

_SYNCHRONOUS = ("sync", "quorum")


class Wish(NamedTuple):
    """What was asked for.

    Attributes:
        cluster: its name; ``""`` for that of ``to``, else for the only one with standbys.
        to: the member that is to be primary; ``""`` for the best.
        is_named: whether a person named it.
        max_lag_bytes: how much WAL the candidate of a switchover may not have replayed yet.
        force: whether a failover may promote a standby that has less than another.
    """

    cluster: str = ""
    to: str = ""
    is_named: bool = False
    max_lag_bytes: int = 16 * 1024 ** 2
    force: bool = False


class Refusal(Exception):
    """There is no candidate; one sentence says why."""


def switchover(inventory: Mapping[str, Any], results: Mapping[str, Any], wish: Wish) -> Decision:
    """Return how a switchover would go, or all that stands against it.

    Args:
        inventory: as ``inventory.build`` returns it.
        results: what pg_replication_info returned of each member in this run.
        wish: what was asked for.

    Returns:
        ``cluster``, ``primary``, ``candidate``, ``refusals``, ``resume`` (a switchover was interrupted and is gone on with),
        ``followers`` (by member, its ``upstream`` and whether it is to follow ``before`` the primary stops), ``slots`` (the
        physical ones that the candidate needs) ``synchronized_slots`` (the logical ones that it must have in step) and
        ``logical_slots`` (those to make on it by hand beforehand).
    """
    return _answer(inventory, results, wish, _switchover)


def failover(inventory: Mapping[str, Any], results: Mapping[str, Any], wish: Wish) -> Decision:
    """Return which standby to promote when the primary is gone, as ``switchover`` does; whether it is gone is asked elsewhere.

    Returns:
        ``loss`` beside, as ``loss.expected`` returns it, and ``ahead``, the standbys that have more than the candidate and so
        cannot follow it.
    """
    return _answer(inventory, results, wish, _failover)


def _answer(inventory: Mapping[str, Any], results: Mapping[str, Any], wish: Wish, decide: Any) -> Decision:
    answer: Decision = {"cluster": "", "primary": "", "candidate": "", "refusals": [], "resume": False, "followers": {},
                        "slots": [], "synchronized_slots": [], "logical_slots": [], "ahead": [], "loss": loss.UNKNOWN}
    try:
        name = answer["cluster"] = cluster_of(inventory, wish)
        hosts = inventory["clusters"][name]["members"]
        _refuse_part(name, hosts, results)
        decide(View(name, hosts, inventory["members"], results), wish, answer)
    except Refusal as refusal:
        answer["refusals"].append(str(refusal))
    return answer


def cluster_of(inventory: Mapping[str, Any], wish: Wish) -> str:
    """Return the cluster that is meant.

    Raises:
        Refusal: it is not known, or there are several.
    """
    clusters = inventory["clusters"]
    if wish.cluster:
        if wish.cluster not in clusters:
            raise Refusal("The cluster %s was named, which this inventory does not have; it has %s." % (
                wish.cluster, ", ".join(sorted(clusters))))
        return wish.cluster
    if wish.to in inventory["members"]:
        return str(inventory["members"][wish.to]["cluster"])
    replicated: list[str] = [name for name, cluster in clusters.items() if len(cluster["members"]) > 1]
    if len(replicated) != 1:
        raise Refusal("No cluster was named and %s; name one." % (
            "several have standbys: %s" % ", ".join(replicated) if replicated else "none has a standby"))
    return replicated[0]


def _refuse_part(name: str, hosts: Sequence[str], results: Mapping[str, Any]) -> None:
    unseen = [host for host in hosts if host not in results]
    if unseen:
        raise Refusal("The cluster %s is only partly in this run, without %s; run it on all its members." % (
            name, ", ".join(unseen)))


def _refuse_stranger(view: View, to: str) -> None:
    if to and to not in view.hosts:
        raise Refusal("%s was named, which is no member of the cluster %s; it has %s." % (to, view.name, ", ".join(view.hosts)))


def _switchover(view: View, wish: Wish, answer: Decision) -> None:
    _refuse_stranger(view, wish.to)
    now = view.decided(view.found)
    if now["refusals"]:
        raise Refusal(now["refusals"][0])
    answer["primary"] = primary = now["clusters"][view.name]["primary"]
    answer["resume"] = not view.found[primary].running
    if wish.to == primary:
        raise Refusal("%s was named, which is the primary of the cluster %s already; name another of %s." % (
            primary, view.name, ", ".join(view.hosts)))
    if not answer["resume"] and not view.answers(primary):
        raise Refusal("The primary %s runs and does not answer: %s" % (primary, " ".join(view.results[primary]["problems"])))
    hosts = _to_resume(view, primary, wish) if answer["resume"] else _to_choose_from(view, primary, wish, now["members"])
    plans = [_plan(view, primary, host, wish, now["members"]) for host in hosts]
    judge = preflight.refusals_to_resume if answer["resume"] else preflight.refusals
    told = [judge(plan) for plan in plans]
    # The best of those that nothing stands against; where there is none, what stands against the best.
    best = next((number for number, refusals in enumerate(told) if not refusals), 0)
    _fill(answer, plans[best], told[best])


def _plan(view: View, primary: str, candidate: str, wish: Wish, now: Mapping[str, Any]) -> preflight.Plan:
    after = view.decided(assumed.reversed_roles(view.found, primary, candidate))["members"]
    return preflight.Plan(view, primary, candidate, wish.is_named, wish.max_lag_bytes, now, after)


def _fill(answer: Decision, plan: preflight.Plan, refusals: Sequence[str]) -> None:
    before = [] if answer["resume"] else _before(plan)
    answer.update(
        candidate=plan.candidate, refusals=[*answer["refusals"], *refusals], slots=plan.slots,
        followers={host: {"upstream": plan.after[host]["upstream"], "before": host in before} for host in plan.others},
        synchronized_slots=preflight.synchronized(plan),
        logical_slots=[{key: slot[key] for key in ("name", "plugin", "database", "two_phase", "confirmed_flush_lsn")}
                       for slot in preflight.lacking(plan)])


def _to_choose_from(view: View, primary: str, wish: Wish, now: Mapping[str, Any]) -> list[str]:
    """Return the candidates, the best first: undelayed, synchronous, least behind, first in the inventory."""
    if wish.to:
        return [wish.to]
    hosts = [host for host in view.streams_from(primary) if now[host]["role"] == "standby" and view.answers(host)]
    if not hosts:
        raise Refusal("The cluster %s has no standby that streams from the primary %s; run the playbook deploy." % (
            view.name, primary))

    def rank(host: str) -> tuple[bool, bool, int]:
        sender = view.sender(primary, host)
        return view.is_delayed(host), sender["sync_state"] not in _SYNCHRONOUS, sender["lag_bytes"] or 0

    return sorted(hosts, key=rank)


def _to_resume(view: View, primary: str, wish: Wish) -> list[str]:
    """Return who may become primary after one that was shut down in order: who has all that it wrote.

    One that was on its way to become a standby says of whom; that one may have been asked to promote already.

    Raises:
        Refusal: nobody may.
    """
    instance = view.results[primary]["instance"]
    chosen = view.at(instance["follows"]) if instance["standby_signal"] else ""
    if chosen and wish.to not in ("", chosen):
        raise Refusal("A switchover to %s was asked for and one to %s was interrupted, which %s follows already; name %s." % (
            wish.to, chosen, primary, chosen))
    found = [host for host in ([chosen or wish.to] if chosen or wish.to else view.hosts)
             if host != primary and _has_all(view, host, instance)]
    if not found or instance["control_state"] != "shut down":
        raise Refusal("The primary %s of the cluster %s does not run (%s) and no standby that may be chosen is known to have all "
                      "that it wrote; start it with the playbook deploy." % (primary, view.name, instance["control_state"]))
    return sorted(found, key=view.is_delayed)


def _has_all(view: View, host: str, instance: Mapping[str, Any]) -> bool:
    """Return whether a standby has received the last record, that of the shutdown checkpoint, of a primary that was shut down."""
    if not view.answers(host) or view.results[host]["role"] != "standby":
        return False
    end = instance["wal_end"] or lsn.show(lsn.parse(instance["checkpoint_lsn"]) + 1)
    return bool(view.results[host]["timeline"] == instance["timeline"] and view.position(host) >= lsn.parse(end))


def _before(plan: preflight.Plan) -> list[str]:
    """Return who may follow the candidate before the primary stops: those whom no commit waits for."""
    view, rule = plan.view, quorum.parse(plan.view.setting(plan.primary, "synchronous_standby_names"))
    left, moved = view.streams_from(plan.primary), []
    for host in plan.followers:
        rest = [one for one in left if one != host]
        if host in left and (rule is None or rule.is_met_by(rest)):
            left = rest
            moved.append(host)
    return moved


def _failover(view: View, wish: Wish, answer: Decision) -> None:
    _refuse_stranger(view, wish.to)
    former = liveness.former(view.hosts, view.results)
    answer["primary"] = former[0] if len(former) == 1 else ""
    standbys = _standbys(view)
    if not standbys:
        raise Refusal("The cluster %s has no standby that runs and answers; start one, or make its host reachable." % view.name)
    identifiers = {view.results[host]["system_identifier"]: host for host in standbys}
    if len(identifiers) > 1:
        raise Refusal("The standbys of the cluster %s are of different systems (%s); name the right data directories." % (
            view.name, ", ".join("%s: %s" % (host, identifier) for identifier, host in identifiers.items())))
    if wish.to and wish.to not in standbys:
        raise Refusal("%s was named, which is no standby of the cluster %s that runs and answers; name one of %s." % (
            wish.to, view.name, ", ".join(standbys)))
    fit = [host for host in standbys if not view.is_delayed(host)]
    if not wish.to and not fit:
        raise Refusal("The cluster %s has only standbys that replay with a delay (%s); name the one that is to be primary." % (
            view.name, ", ".join(standbys)))
    answer["candidate"] = chosen = wish.to or max(fit, key=lambda host: _newest(view, host))
    if not wish.force:
        answer["refusals"] += _behind(view, chosen, standbys)
    ahead = [host for host in standbys if _newest(view, host) > _newest(view, chosen)]
    after = view.decided(assumed.failed_over(view.found, chosen, [*former, *ahead]))["members"]
    answer.update(
        ahead=ahead, slots=after[chosen]["slots"], loss=loss.expected(view, answer["primary"], chosen, standbys),
        followers={host: {"upstream": one["upstream"], "before": False} for host, one in after.items()
                   if one["role"] == "standby"})


def _standbys(view: View) -> list[str]:
    """Return the members that could be promoted."""
    found, outside = view.found, topology.fenced(view.found)
    return [host for host in view.hosts if view.answers(host) and found[host].role == "standby" and not found[host].recovering
            and host not in outside]


def _newest(view: View, host: str) -> tuple[int, int]:
    return view.results[host]["timeline"], view.position(host)


def _behind(view: View, chosen: str, standbys: Sequence[str]) -> list[str]:
    """Return why one that has less than another is not promoted."""
    best = max(standbys, key=lambda host: _newest(view, host))
    if _newest(view, chosen) == _newest(view, best):
        return []
    return ["%s has received WAL up to %s on timeline %d and %s up to %s on timeline %d; name %s by pg_failover_to, or set "
            "pg_failover_force to true to lose what %s lacks." % (
                chosen, view.results[chosen]["lsn"], view.results[chosen]["timeline"], best, view.results[best]["lsn"],
                view.results[best]["timeline"], best, chosen)]
