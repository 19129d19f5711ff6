# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a member's certificate comes from: the files that the user names, or the authority in the secrets file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ansible.errors import AnsibleError
from ansible.parsing.vault import is_encrypted

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import authority, certificate_check, secrets_file

FILES = {certificate_check.CERTIFICATE: "certificate", certificate_check.KEY: "key", certificate_check.CA: "ca"}


class Asked(NamedTuple):
    """Whose certificate is asked for, and when.

    Attributes:
        host: the member's name in the inventory.
        variables: the member's variables, resolved.
        now: the time, with its zone.
    """

    host: str
    variables: Mapping[str, Any]
    now: datetime

    @property
    def address(self) -> str:
        """Where others reach the member; the default is the role's."""
        return str(self.variables.get("pg_server_address") or self.variables.get("ansible_host") or self.host)


def reader(loader: Any) -> Callable[[str], str]:
    """Return what reads a file of the controller as text, decrypted where Ansible Vault has encrypted it.

    Args:
        loader: Ansible's, which has the vault's secrets.
    """
    def read(path: str) -> str:
        place = os.path.abspath(os.path.expanduser(path))
        with open(place, "rb") as file:
            held = file.read()
        if not is_encrypted(held):
            return held.decode(errors="replace")
        try:
            return str(loader.get_text_file_contents(place))
        except AnsibleError as error:
            raise OSError(str(error).rstrip(".")) from None

    return read


def complaints(asked: Asked, read: Callable[[str], str]) -> list[str]:
    """Return what is wrong with what a member's variables say of its certificate, each as one sentence."""
    try:
        authority.require()
        issued_after(asked)
        given(asked, read)
    except InputError as error:
        return str(error).splitlines()
    return []


def given(asked: Asked, read: Callable[[str], str]) -> dict[str, str]:
    """Return ``certificate``, ``key`` and ``ca`` from the files that the member's variables name; empty when they name none.

    Args:
        asked: whose.
        read: returns the text of a file of the controller; its ``OSError`` says why it cannot.

    Raises:
        InputError: some are named and not all, or what they hold would not do; one sentence a line.
    """
    paths = {variable: str(asked.variables[variable]) for variable in FILES if asked.variables.get(variable)}
    if not paths:
        return {}
    missing = [variable for variable in FILES if variable not in paths]
    if missing:
        raise InputError("%s has %s and lacks %s; give all three, or none to have a certificate made." % (
            asked.host, " and ".join(paths), " and ".join(missing)))
    files, wrong = {}, []
    for variable, path in paths.items():
        name = "The %s of %s, %s," % (variable, asked.host, path)
        try:
            files[variable] = certificate_check.Given(name, read(path))
        except OSError as error:
            wrong.append("%s cannot be read (%s); name a file of the controller that can." % (name, error.strerror or error))
    if not wrong:
        version = int(asked.variables.get("pg_cluster_version") or certificate_check.ADDRESSES_SINCE)
        wrong = certificate_check.complaints(files, certificate_check.Member(asked.address, version), asked.now)
    if wrong:
        raise InputError("\n".join(wrong))
    return {FILES[variable]: file.text for variable, file in files.items()}


def made(asked: Asked, path: str, keep: bool, tell: Callable[[str], None]) -> dict[str, str]:
    """Return ``certificate``, ``key`` and ``ca`` from the secrets file; what is not there or not right any more is made.

    Args:
        asked: whose.
        path: the secrets file.
        keep: whether what was made is kept; without it, it is returned all the same.
        tell: is given the reason when a certificate is made.

    Raises:
        InputError: the member's variables do not make sense.
        secrets_file.Unusable: the secrets file is open to others, or does not hold what it should.
    """
    after = issued_after(asked)
    wanted = authority.names(asked.address, asked.host)
    with secrets_file.opened(path, keep) as known:
        issuer = _issuer(known, path, asked.now)
        members = known.certificates.setdefault(asked.variables["pg_cluster_name"], {})
        reason = "there is none"
        if asked.host in members:
            reason = authority.why_renew(authority.Pair(**members[asked.host]), issuer.certificate, wanted, asked.now, after)
        if reason:
            tell("A certificate is made for %s: %s." % (asked.host, reason))
            members[asked.host] = authority.issue(issuer, wanted, asked.now)._asdict()
        return {**members[asked.host], "ca": issuer.certificate}


def issued_after(asked: Asked) -> datetime | None:
    """Return the time of ``pg_server_tls_issued_after`` in whole seconds; without a zone, it is of UTC.

    Raises:
        InputError: it is no time, or has not come yet, so that whatever is issued would be too old at once.
    """
    text = str(asked.variables.get("pg_server_tls_issued_after") or "")
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InputError("The pg_server_tls_issued_after of %s is %r, which is no time; give one such as 2026-11-22T10:00:00Z."
                         % (asked.host, text)) from None
    found = found if found.tzinfo else found.replace(tzinfo=timezone.utc)
    if found > asked.now:
        raise InputError("The pg_server_tls_issued_after of %s is %s, and the controller's clock is at %s; give a time that has "
                         "passed." % (asked.host, text, asked.now.isoformat(timespec="seconds")))
    return found.replace(microsecond=0)


def _issuer(known: secrets_file.Secrets, path: str, now: datetime) -> authority.Pair:
    """Return the authority of the file, made or renewed where it has to be."""
    try:
        found = authority.renewed(authority.Pair(**known.authority), now) if known.authority else authority.make(now)
    except authority.UNREADABLE:
        raise secrets_file.Unusable("The authority in the secrets file %s is unusable; restore the file, or remove its section "
                                    "%s to have new certificates made." % (path, secrets_file.CERTIFICATES)) from None
    known.authority = found._asdict()
    return found
