# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of pg_hba.conf as values (PostgreSQL's documentation, chapter 21.1)."""

from __future__ import annotations

import re
from typing import Any, Mapping

from .errors import InputError

TYPES = ("local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc")
METHODS = ("scram-sha-256", "md5", "peer", "cert", "reject", "ldap", "radius", "pam", "gss", "ident", "oauth")
_KEYWORDS = {"database": ("all", "sameuser", "samerole", "replication"), "user": ("all",)}


def line(entry: Mapping[str, Any]) -> str:
    """Return one line.

    Args:
        entry: ``type``, ``database``, ``user``, ``address`` (not for local), ``method``, ``options``. A database or user may
            hold several, separated by commas; a name that is also a keyword, or holds anything but letters, digits and
            underscores, is quoted, so that it means the name.

    Raises:
        InputError: a type or method is unknown, or would let anyone in without proof.
    """
    kind, method = entry["type"], entry["method"]
    if kind not in TYPES:
        raise InputError("The type %r of a pg_hba entry is none of %s." % (kind, ", ".join(TYPES)))
    if method not in METHODS:
        raise InputError("The method %r of a pg_hba entry is none of %s; trust and password are not offered since they let "
                         "anyone in or send passwords in clear." % (method, ", ".join(METHODS)))
    if (kind == "local") != (not entry.get("address")):
        raise InputError("A pg_hba entry of type %s %s address." % (kind, "has no" if kind == "local" else "needs an"))
    fields = [kind, _names(entry, "database"), _names(entry, "user")]
    if kind != "local":
        fields.append(_plain(entry["address"], r"[\w.:/*-]+", "address"))
    fields.append(method)
    fields += ["%s=%s" % (_plain(key, r"\w+", "option"), quoted(str(value)))
               for key, value in sorted((entry.get("options") or {}).items())]
    return " ".join(fields)


def _names(entry: Mapping[str, Any], field: str) -> str:
    keywords, parts = _KEYWORDS[field], str(entry[field]).split(",")
    if len(parts) > 1 and any(part != part.strip() or not part for part in parts):
        raise InputError("The %s %r of a pg_hba entry has a blank beside a comma, or nothing; write a,b." % (field, entry[field]))
    return ",".join(part if part in keywords else quoted(part) for part in parts)


def _plain(text: str, form: str, what: str) -> str:
    if re.match(r"\A(?:%s)\Z" % form, text) is None:
        raise InputError("The %s %r of a pg_hba entry has characters that none has; correct it." % (what, text))
    return text


def quoted(name: str) -> str:
    """Return a name so that the file means it, with quotes where a bare word would mean something else.

    Raises:
        InputError: it holds a line break.
    """
    if "\n" in name or "\r" in name or "\0" in name:
        raise InputError("The name %r of a pg_hba entry holds a line break or a NUL; remove it." % name)
    if re.match(r"\A[A-Za-z0-9_]+\Z", name) and name not in ("all", "sameuser", "samerole", "replication"):
        return name
    return '"%s"' % name.replace('"', '""')
