# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection strings and passfiles of libpq as values (PostgreSQL's documentation, chapters 32.1 and 32.16)."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, List, Mapping, Optional
from urllib.parse import unquote

from .errors import InputError
from .sql import MASK

SECRETS = ("password", "sslpassword", "oauth_client_secret")

#: The other keywords of libpq that a conninfo of ours may hold (chapter 32.1.2).
KEYWORDS = (
    "host", "hostaddr", "port", "dbname", "user", "passfile", "require_auth", "channel_binding", "connect_timeout",
    "options", "application_name", "fallback_application_name", "keepalives", "keepalives_idle", "keepalives_interval",
    "keepalives_count", "tcp_user_timeout", "gssencmode", "sslmode", "sslnegotiation", "sslcompression", "sslcert",
    "sslkey", "sslcertmode", "sslrootcert", "sslcrl", "sslcrldir", "sslsni", "requirepeer", "ssl_min_protocol_version",
    "ssl_max_protocol_version", "min_protocol_version", "max_protocol_version", "krbsrvname", "gsslib",
    "gssdelegation", "service", "target_session_attrs", "load_balance_hosts", "oauth_issuer", "oauth_client_id",
    "oauth_scope",
)

#: A dictionary option that holds a connection string; documented in the fragment ``conninfo``. Only the secrets are
#: hidden from results: whatever is no_log disappears from every text that a module returns.
SPEC: Dict[str, Any] = {
    "type": "dict",
    "options": dict([(key, {"type": "str", "no_log": False}) for key in KEYWORDS]
                    + [(key, {"type": "str", "no_log": True}) for key in SECRETS]),
}

_PAIR = re.compile(r"""\s*([A-Za-z_]\w*)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?!')(?:[^\s\\]|\\.)*))(?=\s|\Z)""", re.DOTALL)
_PLAIN = re.compile(r"\A[A-Za-z0-9_./,:@%+*-]+\Z")


def render(keywords: Mapping[str, Optional[object]]) -> str:
    """Return the connection string of libpq keywords; a keyword whose value is ``None`` is left out.

    Raises:
        InputError: a keyword is not a word, or a value holds a NUL character.
    """
    pairs = []
    for key, value in keywords.items():
        if value is None:
            continue
        if re.match(r"\A[a-z_]+\Z", key) is None:
            raise InputError("The conninfo keyword %r is not one of libpq's; see its documentation, chapter 32.1.2."
                             % key)
        text = _text(value)
        if "\0" in text:
            raise InputError("The conninfo keyword %s holds a NUL character; remove it." % key)
        if _PLAIN.match(text) is None:
            text = "'%s'" % text.replace("\\", "\\\\").replace("'", "\\'")
        pairs.append("%s=%s" % (key, text))
    return " ".join(pairs)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def parse(text: str) -> Dict[str, str]:
    """Return the keywords of a connection string, in either of libpq's two forms.

    Raises:
        InputError: the text is neither form; the message never holds the text, which may hold a password.
    """
    if text.startswith(("postgresql://", "postgres://")):
        return _parse_uri(text.split("://", 1)[1])
    keywords: Dict[str, str] = {}
    position, end = 0, len(text.rstrip())
    while position < end:
        found = _PAIR.match(text, position)
        if found is None:
            raise InputError("A connection string is not made of keyword=value pairs from its character %d on; "
                             "quote values that hold blanks." % (position + 1))
        value = found.group(3) if found.group(2) is None else found.group(2)
        keywords[found.group(1)] = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
        position = found.end()
    return keywords


def _parse_uri(rest: str) -> Dict[str, str]:
    keywords: Dict[str, str] = {}
    rest, _sep, query = rest.partition("?")
    authority, _sep, dbname = rest.partition("/")
    credentials, _sep, hosts = authority.rpartition("@")
    user, _sep, password = credentials.partition(":")
    names, ports = [], []
    for spec in hosts.split(","):
        name, port = _host_and_port(spec)
        names.append(unquote(name))
        ports.append(port)
    found = {"user": unquote(user), "password": unquote(password), "dbname": unquote(dbname),
             "host": ",".join(names), "port": ",".join(ports) if any(ports) else ""}
    keywords.update({key: value for key, value in found.items() if value})
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    keywords.update((unquote(key), unquote(value)) for key, _sep, value in pairs)
    return keywords


def _host_and_port(spec: str) -> List[str]:
    if spec.startswith("["):
        name, _sep, rest = spec[1:].partition("]")
        return [name, rest[1:]]
    name, _sep, port = spec.partition(":")
    return [name, port]


def given(keywords: Optional[Mapping[str, Optional[Any]]]) -> Dict[str, Any]:
    """Return the keywords of an option ``SPEC`` that were given."""
    return {key: value for key, value in (keywords or {}).items() if value is not None}


def masked(keywords: Mapping[str, Optional[object]]) -> Dict[str, str]:
    """Return the keywords as text, with every secret among them replaced."""
    return {key: MASK if key in SECRETS else _text(value) for key, value in keywords.items() if value is not None}


#: An option that holds the lines of a passfile.
PASSFILE_SPEC: Dict[str, Any] = {"type": "list", "elements": "dict", "no_log": False, "options": {
    "host": {"type": "str", "required": True},
    "port": {"type": "str", "default": "*"},
    "database": {"type": "str", "default": "*"},
    "user": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
}}


def passfile(entries: Iterable[Mapping[str, str]]) -> str:
    """Return the text of a passfile.

    Args:
        entries: as the option ``PASSFILE_SPEC`` gives them; ``*`` matches all.

    Raises:
        InputError: a field holds a line break, which no passfile can hold; the message does not repeat a password.
    """
    lines = []
    for entry in entries:
        fields = [entry[name] for name in ("host", "port", "database", "user", "password")]
        if any("\n" in field or "\r" in field or "\0" in field for field in fields):
            raise InputError("A passfile entry for the user %r at %s:%s holds a line break or a NUL; passwords and names "
                             "in a passfile cannot." % (entry["user"], entry["host"], entry["port"]))
        lines.append(":".join(field.replace("\\", "\\\\").replace(":", "\\:") for field in fields))
    return "".join(line + "\n" for line in lines)
