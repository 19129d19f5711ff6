# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What other servers say to a replication connection from this host: whether they are there, and whether they let it in."""

from __future__ import annotations

import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Mapping, Sequence

from . import conninfo, login
from .errors import Unreachable

#: The request for encryption (chapter 54.2.11), which a server answers with one byte before it looks at anything else.
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_PATIENCE = 10.0


def ask(peers: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """Return what each of some servers said, all asked at once, so that those that are gone cost the time of one.

    Args:
        peers: as ``conninfo.SPEC`` gives them, each with one host.

    Returns:
        For each, in that order, ``address``, ``answers``, ``system_identifier`` and ``problem``, ``""`` where there is none. A
        server that refuses the login, or is starting, answers and has a problem.
    """
    if not peers:
        return []
    with ThreadPoolExecutor(len(peers)) as pool:
        return list(pool.map(_ask, map(conninfo.given, peers)))


def _ask(keywords: Mapping[str, Any]) -> Dict[str, Any]:
    host, port = str(keywords.get("hostaddr") or keywords.get("host") or ""), int(keywords.get("port") or 5432)
    found: Dict[str, Any] = {"address": "%s:%d" % (keywords.get("host") or host, port), "answers": True, "system_identifier": "",
                             "problem": ""}
    try:
        found["system_identifier"] = login.system_identifier(keywords)
    except Unreachable as error:
        found.update(answers=is_server(host, port, float(keywords.get("connect_timeout") or _PATIENCE)), problem=str(error))
    return found


def is_server(host: str, port: int, patience: float) -> bool:
    """Return whether a PostgreSQL server is at an address, whomever it lets in and whatever state it is in.

    Args:
        host: name, address, or directory of a socket.
        port: TCP port, and part of the socket's name.
        patience: how long to wait for it, in seconds.
    """
    try:
        with _connected(host, port, patience) as connection:
            connection.sendall(_SSL_REQUEST)
            return connection.recv(1) in (b"S", b"N", b"E")
    except OSError:
        return False


def _connected(host: str, port: int, patience: float) -> socket.socket:
    if not host.startswith("/"):
        return socket.create_connection((host, port), patience)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(patience)
    try:
        connection.connect("%s/.s.PGSQL.%d" % (host, port))
    except OSError:
        connection.close()
        raise
    return connection
