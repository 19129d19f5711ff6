# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file on the controller that keeps the passwords which were made: JSON, mode 0600, written whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator


class Unusable(Exception):
    """The file cannot be trusted or read; one sentence says why."""


def password(path: str, cluster: str, user: str, keep: bool) -> str:
    """Return the password in the secrets file; one that is not there is made, and kept if asked to.

    Raises:
        Unusable: the file is open to others, or is not JSON.
    """
    if not keep:
        return _read(path).get(cluster, {}).get(user) or secrets.token_urlsafe(24)
    with _locked(path):
        known = _read(path)
        found = known.setdefault(cluster, {}).setdefault(user, secrets.token_urlsafe(24))
        if known != _read(path):
            _write(path, known)
        return str(found)


def forget(path: str, cluster: str, keep: bool) -> bool:
    """Take a cluster's passwords out of the file and return whether there were any.

    The file goes when it is empty, and its directory with it.

    Args:
        path: the file.
        cluster: whose passwords.
        keep: whether to only look.

    Raises:
        Unusable: the file is open to others, or is not JSON.
    """
    if cluster not in _read(path) or keep:
        return cluster in _read(path)
    with _locked(path):
        known = _read(path)
        del known[cluster]
        if known:
            _write(path, known)
        else:
            os.unlink(path)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(path))
    return True


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


def _read(path: str) -> dict[str, dict[str, str]]:
    try:
        with open(path, encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise Unusable("The secrets file %s can be read by others; give it the mode 0600." % path)
            found = json.load(file)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise Unusable("The secrets file %s is not JSON (%s); restore it, or remove it to have new passwords made."
                       % (path, type(error).__name__)) from None
    if not isinstance(found, dict) or not all(isinstance(known, dict) for known in found.values()):
        raise Unusable("The secrets file %s does not hold passwords by cluster and role; restore it, or remove it to have new "
                       "passwords made." % path)
    return dict(found)


def _write(path: str, known: dict[str, dict[str, str]]) -> None:
    draft = path + ".new"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(known, file, indent=2, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.rename(draft, path)
