# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of an instance that nobody may be shown: its passfile, its certificate with the key, and whom it trusts.

The server wants its key to be readable by its own account alone (PostgreSQL's documentation, chapter 18.9.1), and libpq a
passfile likewise (chapter 32.16).
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional

from . import conninfo
from .errors import InputError
from .instance import Host, read_text
from .plan import Action

#: Options of the modules that write these files; documented in the fragment ``credentials``.
SPEC: Dict[str, Any] = {
    "passfile": {"type": "path", "default": ""},
    "passfile_entries": conninfo.PASSFILE_SPEC,
    "tls_directory": {"type": "path", "default": ""},
    "tls_certificate": {"type": "str"},
    "tls_key": {"type": "str", "no_log": True},
    "tls_ca": {"type": "str"},
}

#: Those of them that hold what is written, where the others say where.
SECRETS = ("passfile_entries", "tls_certificate", "tls_key", "tls_ca")

_NAMES = {"tls_key": "server.key", "tls_certificate": "server.crt", "tls_ca": "ca.crt"}


class File(NamedTuple):
    """One file.

    Attributes:
        text: None where the file is only known by its path.
        mode: of the file; certificates are for all to see.
        is_loaded: whether the server reads it with its configuration, and not anew for each connection.
    """

    path: str
    text: Optional[str]
    mode: int
    is_loaded: bool


def desired(params: Mapping[str, Any]) -> List[File]:
    """Return the files that the options ask for.

    Raises:
        InputError: a certificate without its key, authority or directory, or an entry that no passfile can hold.
    """
    files = []
    if params["passfile"]:
        entries = params["passfile_entries"]
        files.append(File(params["passfile"], conninfo.passfile(entries) if entries is not None else None, 0o600, False))
    given = [name for name in _NAMES if params[name] is not None]
    if given and (given not in (list(_NAMES), ["tls_ca"]) or not params["tls_directory"]):
        raise InputError("The option %s was given; tls_certificate, tls_key, tls_ca and tls_directory belong together, give "
                         "all of them, or for a client tls_ca and tls_directory." % given[0])
    if params["tls_directory"]:
        files += [File(os.path.join(params["tls_directory"], name), params[option], 0o600 if option == "tls_key" else 0o644, True)
                  for option, name in _NAMES.items()]
    return files


def read(files: List[File]) -> Dict[str, Optional[str]]:
    """Return the present text of each file by its path, None where there is none."""
    return {file.path: read_text(file.path) for file in files}


def writes(present: Mapping[str, Optional[str]], files: List[File]) -> List[Action]:
    """Return the steps that write what differs; no text is among what they show."""
    return [Action("secret", "write %s" % file.path, {
        "path": file.path, "is_loaded": file.is_loaded, "before": _shown(present.get(file.path))})
        for file in files if file.text is not None and present.get(file.path) != file.text]


def _shown(text: Optional[str]) -> str:
    return "missing" if text is None else "another text"


def loaded(present: Mapping[str, Optional[str]], files: List[File]) -> List[str]:
    """Return the paths of those that are there and that the server reads with its configuration."""
    return [file.path for file in files if file.is_loaded and present.get(file.path) is not None]


def write(host: Host, files: List[File], step: Action) -> None:
    """Do one of the steps; the texts are in the files alone."""
    for file in files:
        if file.path == step.values["path"] and file.text is not None:
            host.make_directory(os.path.dirname(file.path), 0o755)
            host.write(file.path, file.text, file.mode)


@contextmanager
def lent(files: List[File], keywords: Mapping[str, Any]) -> Iterator[Dict[str, Any]]:
    """Give the keywords of a connection that works before the files are written: those that differ are lent to it, for itself.

    Args:
        files: as they are to be.
        keywords: of libpq; those that name one of the files lead to a copy where it is not like that yet.
    """
    present = read(files)
    with tempfile.TemporaryDirectory(prefix="pgmahout-") as directory:
        copies: Dict[str, str] = {}
        for number, file in enumerate(files):
            if file.text is not None and present[file.path] != file.text:
                copies[file.path] = os.path.join(directory, str(number))
                handle = os.open(copies[file.path], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(handle, "w", encoding="utf-8") as copy:
                    copy.write(file.text)
        yield {key: copies.get(value, value) for key, value in keywords.items()}
