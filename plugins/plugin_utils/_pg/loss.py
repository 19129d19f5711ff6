# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a failover may lose: what the primary wrote and the standby that is promoted has not received, and logical slots. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import lsn
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import quorum
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg.view import View

UNKNOWN: dict[str, Any] = {"bytes": None, "nothing": False, "told": ""}


def expected(view: View, primary: str, candidate: str, standbys: Sequence[str]) -> dict[str, Any]:
    """Return what is lost when a standby is promoted.

    Args:
        view: the cluster.
        primary: who was primary; ``""`` when it is not known.
        candidate: who is to be promoted.
        standbys: all that could be asked.

    Returns:
        ``bytes`` of WAL, None when that is not known; ``nothing``, whether it is certain that no acknowledged commit is lost; and
        ``told``, a sentence that says so, with one more for each subscription that loses its slot.
    """
    found = _wal(view, primary, candidate, standbys)
    return {**found, "told": found["told"] + _slots(view, candidate, standbys)}


def _wal(view: View, primary: str, candidate: str, standbys: Sequence[str]) -> dict[str, Any]:
    count = _bytes(view, primary, candidate)
    former = primary or "the former primary"
    if count == 0:
        return {"bytes": 0, "nothing": True, "told": "Nothing is lost: %s has all that %s wrote." % (candidate, former)}
    names = _proof(view, primary, candidate, standbys)
    if names:
        return {"bytes": count, "nothing": True,
                "told": "No acknowledged commit is lost: %s saw to it that %s has each of them." % (names, candidate)}
    if count is not None:
        return {"bytes": count, "nothing": False,
                "told": "Up to %d B of WAL are lost, which %s wrote and %s has not received." % (count, former, candidate)}
    return {"bytes": None, "nothing": False,
            "told": "What %s wrote last and %s has not received is lost; how much that is cannot be known, since its data "
                    "directory does not tell." % (former, candidate)}


def _bytes(view: View, primary: str, candidate: str) -> int | None:
    """Return the WAL between the candidate's end and that of the former primary, where this is known."""
    instance = view.results[primary].get("instance") if primary else None
    if not instance or not instance.get("wal_end") or instance["timeline"] != view.results[candidate]["timeline"]:
        return None
    return max(0, lsn.parse(instance["wal_end"]) - view.position(candidate))


def _proof(view: View, primary: str, candidate: str, standbys: Sequence[str]) -> str:
    """Return the synchronous_standby_names by which the candidate must have every acknowledged commit; ``""`` without.

    The standbys have it as the primary had it, as far as the playbooks set it. It holds where none of those that can be asked has
    more than the candidate.
    """
    texts = {view.setting(host, "synchronous_standby_names") for host in standbys}
    waiting = all(view.setting(host, "synchronous_commit") in quorum.WAITING for host in standbys)
    newest = max((view.results[host]["timeline"], view.position(host)) for host in standbys)
    if len(texts) != 1 or not waiting or newest != (view.results[candidate]["timeline"], view.position(candidate)):
        return ""
    text = texts.pop()
    rule = quorum.parse(text)
    return "synchronous_standby_names %r" % text if rule and rule.proves(standbys, primary) else ""


def _slots(view: View, candidate: str, standbys: Sequence[str]) -> str:
    """Return which subscriptions cannot go on at the candidate, as one that lacks their slots; ``""`` where all can.

    What a standby keeps in step is temporary until it is (chapter 47.2.3), and the primary that it takes it from is gone.
    """
    names = view.subscriptions(candidate)
    names += [slot["name"] for host in standbys for slot in view.results[host]["slots"] if slot["synced"]]
    return "".join(_cannot_go_on(view, name, candidate, standbys)
                   for name in dict.fromkeys(names) if not _has_slot(view, candidate, name))


def _cannot_go_on(view: View, name: str, candidate: str, standbys: Sequence[str]) -> str:
    others = [host for host in standbys if _has_slot(view, host, name)]
    return (" The subscription %s cannot go on, since %s does not have its slot in step%s; drop it, empty its tables and make it "
            "again." % (name, candidate, ", as %s does" % " and ".join(others) if others else ""))


def _has_slot(view: View, host: str, name: str) -> bool:
    """Return whether a standby, once promoted, has a logical slot."""
    return any(slot["name"] == name and slot["slot_type"] == "logical" and not slot["temporary"] and slot["wal_status"] != "lost"
               and not slot["invalidation_reason"] and not slot["conflicting"] for slot in view.results[host]["slots"])
