# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be known beforehand to stand against a switchover, all of it at once, each as one sentence. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import lsn
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.guc import STANDBY_FLOOR
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import archiving, quorum
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg.view import View

_WAL_LEVELS = ("minimal", "replica", "logical")

#: Since when a standby can keep logical slots in step (chapter 47.2.3), and since when it can have any at all.
_SYNCHRONIZED_SLOTS = 170000
_SLOTS_ON_STANDBYS = 160000


class Plan(NamedTuple):
    """A switchover that is looked at.

    Attributes:
        view: the cluster as it is.
        primary: who is primary.
        candidate: who is to be primary.
        is_named: whether a person named the candidate.
        max_lag_bytes: how much WAL it may not have replayed yet.
        now: what each member is, as the topology decided it.
        after: what each member will be.
    """

    view: View
    primary: str
    candidate: str
    is_named: bool
    max_lag_bytes: int
    now: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def others(self) -> list[str]:
        """The members other than the candidate that take part."""
        return [host for host in self.view.hosts if host != self.candidate and self.after[host]["role"] != "left"]

    @property
    def followers(self) -> list[str]:
        """The members that will follow the candidate without another one between."""
        return [host for host in self.others if self.after[host]["upstream"] == self.candidate]

    @property
    def slots(self) -> list[str]:
        """The physical slots that the candidate will need."""
        found: list[str] = self.after[self.candidate]["slots"]
        return found

    @property
    def logical_slots(self) -> list[Mapping[str, Any]]:
        """The logical slots of the primary, whose consumers will come to the candidate."""
        return [slot for slot in self.view.results[self.primary].get("slots") or ()
                if slot["slot_type"] == "logical" and not slot["temporary"]]


def refusals(plan: Plan) -> list[str]:
    """Return why a switchover with a running primary is refused; nothing where it may begin."""
    checks = [_absent, _standby, _recovery, _settings, _floors, _room, _synchronous, _reachable, _backups, _archive, _logical]
    return _told(checks, plan) if plan.view.answers(plan.candidate) else _absent(plan)


def refusals_to_resume(plan: Plan) -> list[str]:
    """Return why a switchover that was interrupted is not gone on with: its primary is stopped and cannot be asked."""
    return _told([_absent, _recovery, _reachable], plan) if plan.view.answers(plan.candidate) else _absent(plan)


def _told(checks: Sequence[Callable[[Plan], list[str]]], plan: Plan) -> list[str]:
    return [sentence for check in checks for sentence in check(plan)]


def _absent(plan: Plan) -> list[str]:
    """Members that cannot be asked, and so cannot be made to follow."""
    found = []
    for host in plan.view.hosts:
        result, decided = plan.view.results[host], plan.now[host]
        if "instance" not in result or result.get("unreachable"):
            found.append("%s cannot be reached, and would go on following %s; make it reachable, or take it out of the inventory."
                         % (host, plan.primary))
        elif decided["role"] == "standby" and not result["running"]:
            found.append("%s does not run; start it with the playbook deploy." % host)
        elif result["running"] and not plan.view.answers(host):
            found += ["On %s: %s" % (host, problem) for problem in result["problems"]]
        elif host == plan.candidate and decided["role"] == "left":
            found.append(decided["note"])
    return found


def _standby(plan: Plan) -> list[str]:
    """The candidate receives what the primary writes, and is not far behind."""
    view, sender = plan.view, plan.view.sender(plan.primary, plan.candidate)
    if not sender:
        fit = view.streams_from(plan.primary)
        return ["%s does not stream from the primary %s itself; %s." % (
            plan.candidate, plan.primary, "name one that does (%s)" % ", ".join(fit) if fit else "look at its log")]
    found = []
    if sender["state"] != "streaming":
        found.append("%s is not in step with the primary %s yet (%s); wait until it streams." % (
            plan.candidate, plan.primary, sender["state"]))
    timelines = [view.results[host]["timeline"] for host in (plan.candidate, plan.primary)]
    if timelines[0] != timelines[1]:
        found.append("%s is on timeline %d and the primary %s on timeline %d; wait until it has followed, or look at its log." % (
            plan.candidate, timelines[0], plan.primary, timelines[1]))
    if (sender["lag_bytes"] or 0) > plan.max_lag_bytes:
        found.append("%s has %d B of WAL yet to replay and %d B are allowed; wait until it has caught up, or allow more by "
                     "pg_switchover_max_lag_bytes." % (plan.candidate, sender["lag_bytes"], plan.max_lag_bytes))
    return found


def _recovery(plan: Plan) -> list[str]:
    """The candidate replays, and as soon as it can."""
    found = []
    if plan.view.results[plan.candidate]["replay_paused"]:
        found.append("%s has paused its replay; call pg_wal_replay_resume() on it." % plan.candidate)
    if plan.view.is_delayed(plan.candidate) and not plan.is_named:
        found.append("%s replays with a delay of %s ms, for which a standby is not chosen; name it by pg_switchover_to if it is "
                     "meant." % (plan.candidate, plan.view.setting(plan.candidate, "recovery_min_apply_delay")))
    return found


def _settings(plan: Plan) -> list[str]:
    """The candidate is configured as a primary that serves the same clients."""
    view, candidate, primary = plan.view, plan.candidate, plan.primary
    found = []
    for name, is_unfit in (
            ("default_transaction_read_only", lambda there, here: (there, here) == ("on", "off")),
            ("wal_level", lambda there, here: _WAL_LEVELS.index(there) < _WAL_LEVELS.index(here)),
            ("archive_mode", lambda there, here: there == "off" != here)):
        there, here = view.setting(candidate, name), view.setting(primary, name)
        if is_unfit(there, here):
            found.append("%s has %s %s and the primary %s has it %s; make them equal with the playbook deploy." % (
                candidate, name, there, primary, here))
    waiting = [one["name"] for one in view.results[candidate]["pending_restart"]]
    if waiting:
        # The server goes on saying so when the setting was taken back by a line that is gone, for which deploy restarts nothing.
        found.append("%s has settings that wait for a restart (%s); run the playbook deploy, and restart it if that does not." % (
            candidate, ", ".join(waiting)))
    return found


def _floors(plan: Plan) -> list[str]:
    """Nobody has less of what a standby must not have less of than its primary (chapter 26.4.3)."""
    view, found = plan.view, []
    for name in STANDBY_FLOOR:
        wanted = view.number(plan.candidate, name)
        low = [host for host in plan.others if view.answers(host) and view.number(host, name) < wanted]
        high = view.number(plan.primary, name)
        if low:
            found.append("%s has %s %d and %s less, which would stop replaying as its standby; make it equal with the playbook "
                         "deploy." % (plan.candidate, name, wanted, " and ".join(
                             "%s (%d)" % (host, view.number(host, name)) for host in low)))
        if wanted < high:
            found.append("%s has %s %d and the primary %s has %d, which its clients may need; make it equal with the playbook "
                         "deploy." % (plan.candidate, name, wanted, plan.primary, high))
    return found


def _room(plan: Plan) -> list[str]:
    """The candidate has slots and WAL senders for all that will follow it."""
    view, candidate, found = plan.view, plan.candidate, []
    wanted = [*plan.slots, *(slot["name"] for slot in plan.logical_slots)]
    there = {slot["name"] for slot in view.results[candidate]["slots"]}
    for name, free, needed in (
            ("max_wal_senders", view.number(candidate, "max_wal_senders"), len(wanted)),
            ("max_replication_slots", view.number(candidate, "max_replication_slots") - len(there), len(set(wanted) - there))):
        if needed > free:
            found.append("%s has %s %d, which leaves %d for the %d that would come to it; raise it in pg_server_settings of all "
                         "members and run the playbook deploy." % (candidate, name, view.number(candidate, name), free, needed))
    return found


def _synchronous(plan: Plan) -> list[str]:
    """Neither commits nor logical slots would wait on the candidate for standbys that do not follow it."""
    view, candidate, found = plan.view, plan.candidate, []
    text = view.setting(candidate, "synchronous_standby_names")
    rule = quorum.parse(text)
    if rule and not rule.is_met_by(plan.followers):
        found.append("%s has synchronous_standby_names %r, for which too few would follow it (%s), so that no commit would end; "
                     "name more of the members in pg_server_settings and run the playbook deploy." % (
                         candidate, text, ", ".join(plan.followers) or "nobody"))
    listed = view.setting(candidate, "synchronized_standby_slots")
    missing = sorted({name.strip(' "') for name in listed.split(",") if name.strip()} - set(plan.slots))
    if missing:
        found.append("%s has synchronized_standby_slots %r and would not have %s, for which logical replication would wait; give "
                     "each member the slots of the others and run the playbook deploy." % (candidate, listed, ", ".join(missing)))
    return found


def _reachable(plan: Plan) -> list[str]:
    """Every member gets a replication connection to the candidate; told as far as it was tried."""
    view, address = plan.view, plan.view.address(plan.candidate)
    tried = {host: one for host in plan.others for one in view.results[host].get("peers") or () if one["address"] == address}
    identifier = view.results[plan.candidate]["system_identifier"]
    found = []
    for host in plan.others if tried else ():
        if host not in tried:
            found += ["%s has not tried whether it can connect to %s; run this again." % (
                host, plan.candidate)] if view.answers(host) else []
        elif tried[host]["problem"]:
            found.append("%s cannot connect to %s for replication; run the playbook deploy, and look at the network and the "
                         "pg_hba.conf there: %s" % (host, plan.candidate, tried[host]["problem"]))
        elif tried[host]["system_identifier"] != identifier:
            found.append("%s finds the system %s at %s, where %s with the system %s should be; mend the network or the address."
                         % (host, tried[host]["system_identifier"], address, plan.candidate, identifier))
    return found


def _backups(plan: Plan) -> list[str]:
    """No base backup would be broken off."""
    return ["%s has %d base backup(s) under way, which would fail; wait for the end." % (host, count)
            for host in (plan.primary, plan.candidate) for count in [plan.view.results[host]["base_backups"]] if count]


def _archive(plan: Plan) -> list[str]:
    """What the primary wrote gets into the archive; a primary that stops waits for it."""
    view, primary = plan.view, plan.primary
    found = archiving.unhealthy(primary, view.members[primary], view.results[primary])
    archiver = view.results[primary]["archiver"]
    if view.setting(primary, "archive_mode") == "off":
        return found
    if archiver["failing"] and view.members[primary]["wal"] != "archive":
        found.append("%s cannot archive its WAL, since %s fails: %s" % (
            primary, archiver["last_failed_wal"], archiver["reason"]))
    if (archiver["ready"] or 0) > 1:
        found.append("%s has %d segments that wait for the archive, for which its shutdown would wait; wait until they are "
                     "there, or see to the archive." % (primary, archiver["ready"]))
    return found


def _logical(plan: Plan) -> list[str]:
    """No logical slot is lost with the primary (chapter 47.2.3)."""
    found = []
    for slot in plan.logical_slots:
        why = _why_lost(plan, slot)
        found += ["The slot %s of %s on %s would be lost, since %s." % (
            slot["name"], _consumer(plan.view, slot["name"]), plan.primary, why)] if why else []
    return found


def _why_lost(plan: Plan, slot: Mapping[str, Any]) -> str:
    """Return why a logical slot would be lost, and what to do; ``""`` where the candidate has it too."""
    results = plan.view.results[plan.candidate]
    version = int(results["server_version_num"])
    if version < _SLOTS_ON_STANDBYS:
        return "PostgreSQL %d has none on standbys; drop it, and make it anew with a new copy afterwards" % (version // 10000)
    if version < _SYNCHRONIZED_SLOTS:
        return ("PostgreSQL %d keeps none in step with it on %s; make a slot of that name there, and wait until this one has "
                "passed it" % (version // 10000, plan.candidate) if slot in lacking(plan) else "")
    if not slot["failover"]:
        return "it is not synchronized to standbys; give the subscription failover: true"
    copy = next((one for one in results["slots"] if one["name"] == slot["name"]), None)
    is_awaited = plan.view.setting(plan.candidate, "sync_replication_slots") == "on"
    if copy is None or not copy["synced"]:
        return "" if copy is None and is_awaited else (
            "its copy on %s is %s; see to sync_replication_slots there, and run the playbook deploy" % (
                plan.candidate, "not there" if copy is None else "another of that name"))
    if copy["invalidation_reason"]:
        return "its copy on %s is invalid (%s); drop the copy, and wait until there is a new one" % (
            plan.candidate, copy["invalidation_reason"])
    return "its copy on %s is not in step; see to sync_replication_slots there" % plan.candidate if (
        copy["temporary"] and not is_awaited) else ""


def synchronized(plan: Plan) -> list[str]:
    """Return the names of the logical slots that the server itself keeps in step on the candidate.

    A standby looks for them now and then, and has one in step when its consumer has come to what the standby has (chapter
    47.2.3). So they are awaited when the switchover begins, and nothing has been touched.
    """
    if int(plan.view.results[plan.candidate].get("server_version_num") or 0) < _SYNCHRONIZED_SLOTS:
        return []
    return [slot["name"] for slot in plan.logical_slots]


def lacking(plan: Plan) -> list[Mapping[str, Any]]:
    """Return the logical slots of the primary for which the candidate has none that a person has made, with PostgreSQL 16.

    A consumer goes on from where it is when the slot that it comes to is not further (chapter 47.2.3); from one that is, it would
    miss what lies between.
    """
    results = plan.view.results[plan.candidate]
    if not plan.view.answers(plan.candidate) or not _SLOTS_ON_STANDBYS <= results["server_version_num"] < _SYNCHRONIZED_SLOTS:
        return []
    there = {slot["name"]: slot for slot in results["slots"] if slot["slot_type"] == "logical" and not slot["temporary"]
             and not slot["conflicting"] and slot["wal_status"] != "lost"}
    return [slot for slot in plan.logical_slots if slot["name"] not in there
            or _confirmed(there[slot["name"]]) > _confirmed(slot)]


def _confirmed(slot: Mapping[str, Any]) -> int:
    return lsn.parse(slot["confirmed_flush_lsn"] or "0/0")


def _consumer(view: View, slot: str) -> str:
    """Return who uses a logical slot, as far as the inventory knows."""
    known = ["the subscription %s" % name for member in view.members.values() for name in member["publishers"] if name == slot]
    return known[0] if known else "whoever uses it"
