# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other servers asked from here, played by sockets: what counts as an answer."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import login, peers
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import Unreachable


@contextlib.contextmanager
def saying(reply: bytes, family: int = socket.AF_INET, address: Any = ("127.0.0.1", 0)) -> Iterator[int]:
    """Somebody who hears eight bytes and says something; give the port."""
    with socket.socket(family) as listening:
        listening.bind(address)
        listening.listen()

        def serve() -> None:
            connection, _address = listening.accept()
            with connection:
                if connection.recv(8) == peers._SSL_REQUEST and reply:
                    connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1] if family == socket.AF_INET else 0
        thread.join()


@pytest.mark.parametrize(("reply", "is_server"), [
    (b"S", True), (b"N", True), (b"E...", True), (b"220 mail", False), (b"", False)])
def test_a_server_is_what_answers_the_request_for_encryption(reply: bytes, is_server: bool) -> None:
    with saying(reply) as port:
        assert peers.is_server("127.0.0.1", port, 5) is is_server
    assert peers.is_server("127.0.0.1", port, 5) is False


def test_a_server_may_be_behind_a_socket_of_a_directory(tmp_path: Path) -> None:
    with saying(b"N", socket.AF_UNIX, str(tmp_path / ".s.PGSQL.5432")):
        assert peers.is_server(str(tmp_path), 5432, 5)
    assert not peers.is_server(str(tmp_path), 5433, 5)


def test_all_are_asked_at_once_and_told_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(3, timeout=10)

    def identifier(keywords: dict[str, Any]) -> str:
        together.wait()
        if keywords["host"] == "gone":
            raise Unreachable("No route.")
        return "7001"

    monkeypatch.setattr(login, "system_identifier", identifier)
    monkeypatch.setattr(peers, "is_server", lambda *_where: False)
    found = peers.ask([{"host": name, "port": port} for name, port in (("a", "5440"), ("gone", None), ("b", "5441"))])
    assert [tuple(one.values()) for one in found] == [
        ("a:5440", True, "7001", ""), ("gone:5432", False, "", "No route."), ("b:5441", True, "7001", "")]
    assert peers.ask([]) == []
