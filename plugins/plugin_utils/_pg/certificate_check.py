# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the certificate that a user gives for a member, before any host has seen it. Pure.

What is asked here is what OpenSSL and libpq ask of a server with ``sslmode=verify-full`` (documentation, chapter 32.19.1), so
that what passes works, and what would keep members from each other is told by name.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import authority

with contextlib.suppress(ImportError):  # authority.require() tells it
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: The first version whose libpq looks for an IP address among the IP addresses of a certificate.
ADDRESSES_SINCE = 15
CERTIFICATE, KEY, CA = "pg_server_tls_certificate_file", "pg_server_tls_key_file", "pg_server_tls_ca_file"

Extension = TypeVar("Extension", bound="x509.ExtensionType")


class Given(NamedTuple):
    """A file that a variable names.

    Attributes:
        name: the variable, the member and the file, as a sentence begins.
        text: what the file holds.
    """

    name: str
    text: str


class Member(NamedTuple):
    """Whom the certificate is for.

    Attributes:
        address: where others reach it, ``pg_server_address``.
        version: the major version of its cluster, which its members' libpq is taken to be of.
    """

    address: str
    version: int


def complaints(given: Mapping[str, Given], member: Member, now: datetime) -> list[str]:
    """Return everything that is wrong, each as one sentence.

    Args:
        given: the files by the variables that name them, all three.
        member: whom the certificate is for.
        now: the time, with its zone.
    """
    found = _unreadable(given)
    if found:
        return found
    chain = x509.load_pem_x509_certificates(given[CERTIFICATE].text.encode())
    anchors = x509.load_pem_x509_certificates(given[CA].text.encode())
    leaf, subject = chain[0], given[CERTIFICATE].name
    if not authority.belongs(leaf, given[KEY].text):
        found.append("%s does not belong to the first certificate in %s; name the key that it was made for." % (
            given[KEY].name, CERTIFICATE))
    if not _valid(leaf, now):
        found.append("%s is valid from %s to %s; name one that is valid now." % (
            subject, leaf.not_valid_before_utc.date(), leaf.not_valid_after_utc.date()))
    if not _for_servers(leaf):
        found.append("%s is not for a server, its extended key usage lacks serverAuth; name one that is." % subject)
    if not covers(leaf, member):
        found.append("%s is for %s and not for the pg_server_address %s, so sslmode=verify-full would fail; name one that is, or "
                     "set pg_server_address to a name that it holds." % (
                         subject, ", ".join(_held(leaf)) or "no name", member.address))
    if not _leads(leaf, [*anchors, *chain[1:]], anchors, 0, now):
        found.append("%s was issued by %s, and no valid certificates lead from there to a self-signed one in %s; add the "
                     "intermediate ones after the first, or name the bundle that holds its root." % (
                         subject, leaf.issuer.rfc4514_string() or "a nameless authority", CA))
    return found


def _unreadable(given: Mapping[str, Given]) -> list[str]:
    found = []
    for variable in (CERTIFICATE, CA):
        name, text = given[variable]
        if "PRIVATE KEY-----" in text:
            found.append("%s holds a private key, and others can read it on the host; put the key into %s alone." % (name, KEY))
        try:
            for certificate in x509.load_pem_x509_certificates(text.encode()):
                authority.alternative_names(certificate)
        except authority.UNREADABLE:
            found.append("%s holds no certificates that can be read; name a file with certificates in PEM." % name)
    name, text = given[KEY]
    try:
        serialization.load_pem_private_key(text.encode(), password=None)
    except TypeError:
        found.append("%s has a passphrase, which nobody is there to type when the server starts; name a key without one, kept in "
                     "Ansible Vault if you like." % name)
    except authority.UNREADABLE:
        found.append("%s holds no private key that can be read; name a file with one in PEM." % name)
    return found


def covers(certificate: x509.Certificate, member: Member) -> bool:
    """Say whether libpq takes a certificate for that of a member.

    Before ``ADDRESSES_SINCE``, an IP address is a name like others.
    """
    alternative = _extension(certificate, x509.SubjectAlternativeName) or x509.SubjectAlternativeName([])
    hosts, addresses = alternative.get_values_for_type(x509.DNSName), alternative.get_values_for_type(x509.IPAddress)
    if any(matches(pattern, member.address) for pattern in hosts):
        return True
    try:
        found = ipaddress.ip_address(member.address) if member.version >= ADDRESSES_SINCE else None
    except ValueError:
        found = None
    if found is not None and found in addresses:
        return True
    # The common name counts only where no alternative name is of the kind that is looked for.
    alike = hosts if found is None else addresses
    return not alike and any(matches(name, member.address) for name in _common_names(certificate))


def matches(pattern: str, host: str) -> bool:
    """Say whether a name in a certificate, which may begin with ``*.`` for one label, is that of a host."""
    first, dot, rest = host.partition(".")
    return pattern.lower() == host.lower() or bool(
        first and dot and rest and pattern.startswith("*.") and pattern[2:].lower() == rest.lower())


def _leads(certificate: x509.Certificate, candidates: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate], depth: int,
           now: datetime) -> bool:
    """Say whether a chain of valid authorities leads from a certificate to a root that is trusted."""
    if certificate in anchors and certificate.issuer == certificate.subject:
        return True
    return any(_leads(issuer, [other for other in candidates if other is not issuer], anchors, depth + 1, now)
               for issuer in candidates
               if authority.issued_by(certificate, issuer) and _may_issue(issuer, depth) and _valid(issuer, now))


def _may_issue(issuer: x509.Certificate, depth: int) -> bool:
    """Say whether a certificate is that of an authority for servers, with so many others between it and the server's."""
    basic, usage = _extension(issuer, x509.BasicConstraints), _extension(issuer, x509.KeyUsage)
    if basic is None or not basic.ca or (usage is not None and not usage.key_cert_sign):
        return False
    return _for_servers(issuer) and (basic.path_length is None or depth <= basic.path_length)


def _for_servers(certificate: x509.Certificate) -> bool:
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    return purposes is None or ExtendedKeyUsageOID.SERVER_AUTH in purposes


def _valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _held(certificate: x509.Certificate) -> list[str]:
    return [str(name.value) for name in authority.alternative_names(certificate)] or _common_names(certificate)


def _common_names(certificate: x509.Certificate) -> list[str]:
    return [str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)][:1]


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
