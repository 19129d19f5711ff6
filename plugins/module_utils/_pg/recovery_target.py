# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a recovery is to end: a moment, a transaction, a position, a named point, the end of the backup, or of the WAL. Pure.

The source is PostgreSQL's documentation, chapter 19.5.6 (recovery target).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Mapping, NamedTuple, Optional

from . import lsn
from .errors import InputError

#: Options of the modules that recover to a target; documented in the fragment ``recovery_target``.
SPEC: Dict[str, Any] = {
    "target_time": {"type": "str", "default": ""},
    "target_xid": {"type": "str", "default": ""},
    "target_lsn": {"type": "str", "default": ""},
    "target_name": {"type": "str", "default": ""},
    "target_immediate": {"type": "bool", "default": False},
    "target_inclusive": {"type": "bool", "default": True},
    "target_timeline": {"type": "str", "default": ""},
    "target_action": {"type": "str", "choices": ["promote", "pause"], "default": "promote"},
}

#: All settings by which a server is told; of these a recovery has none that was not asked for.
SETTINGS = ("recovery_target", "recovery_target_time", "recovery_target_xid", "recovery_target_lsn", "recovery_target_name",
            "recovery_target_inclusive", "recovery_target_timeline", "recovery_target_action")

_KINDS = ("time", "xid", "lsn", "name", "immediate")
_TIME = re.compile(r"\A(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?\s*(Z|UTC|[+-]\d\d(?::?\d\d)?)\Z")


class Target(NamedTuple):
    """Where a recovery is to end.

    Attributes:
        kind: ``time``, ``xid``, ``lsn``, ``name``, ``immediate`` (the end of the backup) or ``latest`` (the end of the WAL).
        value: of that kind, as the server takes it; a time is in UTC. ``""`` for the last two.
        inclusive: whether what stands at exactly the target is recovered too.
        timeline: ``current`` (that of the backup), ``latest``, or a number as text.
        action: ``promote`` or ``pause``.
    """

    kind: str
    value: str
    inclusive: bool
    timeline: str
    action: str

    @property
    def shown(self) -> str:
        """The target as a person names it."""
        return "the end of the %s" % {"immediate": "backup", "latest": "WAL"}[self.kind] if not self.value else "the %s %s" % (
            {"name": "restore point", "xid": "transaction", "lsn": "LSN"}.get(self.kind, self.kind), self.value)


def desired(params: Mapping[str, Any]) -> Target:
    """Return the target that the options ask for.

    Raises:
        InputError: there are several, one has no meaning, or a moment lacks its time zone or lies in the future.
    """
    given = [kind for kind in _KINDS if params["target_" + kind]]
    if len(given) > 1:
        raise InputError("The options %s were given; a recovery ends at one target, give one of them."
                         % " and ".join("target_" + kind for kind in given))
    kind = given[0] if given else "latest"
    if kind == "latest" and params["target_action"] == "pause":
        raise InputError("The option target_action is pause and no target was given, and at the end of the WAL PostgreSQL "
                         "always promotes; give a target.")
    value = "" if kind in ("immediate", "latest") else _VALUES[kind](str(params["target_" + kind]).strip())
    return Target(kind, value, params["target_inclusive"], _timeline(params["target_timeline"]), params["target_action"])


def _timeline(text: str) -> str:
    if text in ("", "current", "latest"):
        return text or "current"
    if not re.match(r"\A(0x[0-9a-fA-F]+|[0-9]+)\Z", text) or int(text, 0) < 1:
        raise InputError("The option target_timeline is %r; give a number from 1 on, current, or latest." % text)
    return str(int(text, 0))


def moment(text: str) -> datetime:
    """Return a moment, such as ``2026-11-22 18:30:00.5+01:00``, in UTC.

    Raises:
        InputError: it has another form, no time zone, or is none of the calendar.
    """
    found = _TIME.match(text)
    if found is None:
        raise InputError("The target time %r is not a date and a time with its time zone, without which it could mean several "
                         "moments; write it like 2026-11-22 18:30:00+01:00 or with UTC." % text)
    fraction = (found.group(7) or "").ljust(6, "0")
    try:
        local = datetime(int(found.group(1)), int(found.group(2)), int(found.group(3)), int(found.group(4)), int(found.group(5)),
                         int(found.group(6) or 0), int(fraction), timezone.utc)
        return local - _offset(found.group(8))
    except (ValueError, OverflowError) as error:
        raise InputError("The target time %r is no moment of the calendar (%s); correct it." % (text, error)) from None


def _offset(zone: str) -> timedelta:
    if zone in ("Z", "UTC"):
        return timedelta()
    size = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:].lstrip(":") or 0))
    return -size if zone[0] == "-" else size


def show(when: datetime) -> str:
    """Return a moment as the server takes it, in UTC."""
    return when.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f+00")


def _time(text: str) -> str:
    return show(moment(text))


def _xid(text: str) -> str:
    if not re.match(r"\A[0-9]{1,20}\Z", text) or int(text) & 0xFFFFFFFF < 3:
        raise InputError("The target transaction %r is no transaction id, which is a number from 3 on; correct target_xid."
                         % text)
    return text


def _lsn(text: str) -> str:
    return lsn.show(lsn.parse(text))


def _name(text: str) -> str:
    if len(text.encode("utf-8")) > 63:
        raise InputError("The restore point %r is longer than the 63 bytes that a name can have; correct target_name." % text)
    return text


_VALUES = {"time": _time, "xid": _xid, "lsn": _lsn, "name": _name}


def settings(target: Target) -> Dict[str, Optional[str]]:
    """Return all settings of a target, None for those that must not be set."""
    found: Dict[str, Optional[str]] = dict.fromkeys(SETTINGS)
    found["recovery_target_timeline"] = target.timeline
    if target.kind == "latest":
        return found
    found["recovery_target_action"] = target.action
    if target.kind == "immediate":
        found["recovery_target"] = "immediate"
        return found
    # WAL has 32 bits of a transaction id.
    value = str(int(target.value) & 0xFFFFFFFF) if target.kind == "xid" else target.value
    found["recovery_target_" + target.kind] = value
    if target.kind != "name":
        found["recovery_target_inclusive"] = "true" if target.inclusive else "false"
    return found
