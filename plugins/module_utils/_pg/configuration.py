# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a configuration means to the server itself, asked of ``postgres -C`` on a copy, before any file is touched."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from typing import Dict, Iterator, Mapping, Sequence

from .errors import InputError, StateError, ToolError
from .instance import Host

#: What a server says that was built without OpenSSL.
_NO_TLS = "SSL is not supported by this build"


def check(host: Host, text: str) -> None:
    """Refuse a configuration that the server would refuse.

    Raises:
        InputError: it holds an unknown setting or a value that is not allowed.
    """
    with _draft(host, {"postgresql.conf": text, "postgresql.auto.conf": ""}) as draft:
        try:
            host.programs.run("postgres", "-D", draft, "-C", "port")
        except ToolError as error:
            complaint = _complaint(error)
            remedy = "set pg_server_tls to false, or use programs that can" if _NO_TLS in complaint else (
                "correct it in pg_server_settings")
            raise InputError("The settings asked for are refused by PostgreSQL: %s; %s." % (complaint, remedy)) from None


def meant(host: Host, texts: Mapping[str, str], names: Sequence[str]) -> Dict[str, str]:
    """Return what a configuration means for some settings, in the server's own words.

    Args:
        host: whose programs are asked.
        texts: the configuration files by their names.
        names: of the settings.
    """
    with _draft(host, texts) as draft:
        return {name: host.programs.run("postgres", "-D", draft, "-C", name).rstrip("\n") for name in names}


def _complaint(error: ToolError) -> str:
    """Return what the server says is wrong: its first complaint, not the summary at the end."""
    found = re.search(r"(?:LOG|FATAL|ERROR):\s+(.*)", error.output)
    text = found.group(1) if found else str(error)
    return re.sub(r' in file "[^"]*postgresql.conf" line \d+', "", text).rstrip(".")


@contextmanager
def _draft(host: Host, texts: Mapping[str, str]) -> Iterator[str]:
    """Give a temporary directory of the server's account with some files, removed at the end."""
    draft = tempfile.mkdtemp(prefix="pgmahout-")
    try:
        os.chmod(draft, 0o700)
        if not host.account.is_us:
            os.chown(draft, host.account.uid, host.account.gid)
        for name, text in texts.items():
            host.write(os.path.join(draft, name), text)
        yield draft
    finally:
        shutil.rmtree(draft)


def check_socket_directory(directory: str, port: int) -> None:
    """Refuse a directory whose sockets would have names longer than the system allows.

    Raises:
        InputError: they would.
    """
    longest = 107
    path = os.path.join(directory, ".s.PGSQL.%d" % port)
    if len(path.encode("utf-8")) > longest:
        raise InputError("The socket %s would have a name of %d bytes and the system allows %d; choose a shorter directory."
                         % (path, len(path.encode("utf-8")), longest))


def already_taken(data_directory: str, place: str, port: int) -> StateError:
    """Return the refusal of a port that something else uses, at an address or in a socket's directory."""
    return StateError("The server in %s was asked to listen on %s port %d and something else does already; stop that or choose "
                      "another port." % (data_directory, place, port))
