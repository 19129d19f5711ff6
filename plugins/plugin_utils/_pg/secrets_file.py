# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file on the controller that keeps what was made and must not be known: JSON, mode 0600, written whole or not at all.

Passwords stand by cluster and role, as they always did; certificates with their keys have a section of their own::

    {"orders": {"replicator": "..."},
     "/certificates": {"authority": {"certificate": "...", "key": "..."},
                       "clusters": {"orders": {"node1": {"certificate": "...", "key": "..."}}}}}
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

#: Where the file is when no variable says otherwise; the roles have the same default.
DEFAULT = "~/.config/pgmahout/secrets.json"
#: The section of the certificates. No cluster is called so: a cluster's name becomes part of paths, and a slash is refused in it.
CERTIFICATES = "/certificates"


class Unusable(Exception):
    """The file cannot be trusted or read; one sentence says why."""


@dataclass
class Secrets:
    """What the file holds.

    Attributes:
        passwords: by cluster and role.
        authority: ``certificate`` and ``key`` of the one that issues certificates; empty when there is none. It is kept as long
            as a certificate is.
        certificates: by cluster and member, each ``certificate`` and ``key``.
    """

    passwords: dict[str, dict[str, str]] = field(default_factory=dict)
    authority: dict[str, str] = field(default_factory=dict)
    certificates: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return it as the file has it."""
        if CERTIFICATES in self.passwords:
            raise Unusable("A cluster cannot have the name %s, a section of the secrets file; give it another." % CERTIFICATES)
        if not self.certificates:
            return dict(self.passwords)
        return {**self.passwords, CERTIFICATES: {"authority": self.authority, "clusters": self.certificates}}


def password(path: str, cluster: str, user: str, keep: bool) -> str:
    """Return the password in the secrets file; one that is not there is made, and kept if asked to.

    Raises:
        Unusable: the file is open to others, or is not JSON.
    """
    with opened(path, keep) as known:
        return str(known.passwords.setdefault(cluster, {}).setdefault(user, secrets.token_urlsafe(24)))


def forget(path: str, cluster: str, keep: bool) -> bool:
    """Take a cluster's passwords and certificates out of the file and return whether there were any.

    The authority goes with the last certificate; the file goes when it is empty, and its directory with it.

    Args:
        path: the file.
        cluster: whose secrets.
        keep: whether to only look.

    Raises:
        Unusable: the file is open to others, or is not JSON.
    """
    known = _read(path)
    there = cluster in known.passwords or cluster in known.certificates
    if there and not keep:
        with opened(path, keep=True) as known:
            known.passwords.pop(cluster, None)
            known.certificates.pop(cluster, None)
    return there


@contextlib.contextmanager
def opened(path: str, keep: bool) -> Iterator[Secrets]:
    """Give what the file holds, to be changed in place.

    With ``keep``, nobody else changes the file meanwhile, and what differs afterwards is written; after an error nothing is.

    Raises:
        Unusable: the file is open to others, or is not JSON.
    """
    if not keep:
        yield _read(path)
        return
    with _locked(path):
        known = _read(path)
        before = _text(known)
        yield known
        if not known.document():
            _remove(path)
        elif _text(known) != before:
            _write(path, _text(known))


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    directory = os.path.dirname(path) or os.curdir
    os.makedirs(directory, 0o755, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _read(path: str) -> Secrets:
    try:
        with open(path, encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise Unusable("The secrets file %s can be read by others; give it the mode 0600." % path)
            found = json.load(file)
    except FileNotFoundError:
        return Secrets()
    except ValueError as error:
        raise Unusable("The secrets file %s is not JSON (%s); restore it, or remove it to have new passwords made."
                       % (path, type(error).__name__)) from None
    if not _nested(found):
        raise Unusable("The secrets file %s does not hold passwords by cluster and role; restore it, or remove it to have new "
                       "passwords made." % path)
    if CERTIFICATES not in found:
        return Secrets(found)
    section = found.pop(CERTIFICATES)
    if not _is_section(section):
        raise Unusable("The section %s of the secrets file %s does not hold an authority and certificates by cluster and member; "
                       "restore it, or remove the section to have new certificates made." % (CERTIFICATES, path))
    return Secrets(found, section["authority"], section["clusters"])


def _is_section(found: dict[str, Any]) -> bool:
    if set(found) != {"authority", "clusters"} or not _nested(found["clusters"]):
        return False
    pairs = [found["authority"], *(pair for members in found["clusters"].values() for pair in members.values())]
    return all(isinstance(pair, dict) and sorted(pair) == ["certificate", "key"] and
               all(isinstance(text, str) for text in pair.values()) for pair in pairs)


def _nested(found: Any) -> bool:
    return isinstance(found, dict) and all(isinstance(value, dict) for value in found.values())


def _text(known: Secrets) -> str:
    return json.dumps(known.document(), indent=2, sort_keys=True) + "\n"


def _write(path: str, text: str) -> None:
    draft = path + ".new"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(draft, path)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(path))
