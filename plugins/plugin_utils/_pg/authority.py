# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small certificate authority for the servers of one secrets file: what it issues, and when that is no longer right.

Certificates and keys come and go as PEM texts. Nothing here reads a clock or a file; only keys and serial numbers are random.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError

try:
    import cryptography
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    VERSION = cryptography.__version__
    #: What the package cryptography raises for a certificate or a key that it cannot make sense of.
    UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
except ImportError:
    VERSION = ""

#: How far a host's clock may be behind the controller's for it to accept what was issued just now.
SKEW = timedelta(hours=1)
#: How long a server's certificate is valid, and how long before its end a new one takes its place.
LIFETIME, RENEWAL = timedelta(days=397), timedelta(days=30)
#: The same for the authority. No certificate outlives it, and who verifies has two years to fetch its new one.
AUTHORITY_LIFETIME, AUTHORITY_RENEWAL = timedelta(days=3652), timedelta(days=731)

#: The names that go into a certificate: what the DNS takes as a host's name, and underscores, which inventories like.
_HOST_NAME = re.compile(r"\A(?=.{1,253}\Z)\w[\w-]{0,62}(\.\w[\w-]{0,62})*\Z", re.ASCII)


def require() -> None:
    """Refuse to go on without the package cryptography, which ansible-core installs but which may be older than we need.

    Raises:
        InputError: it is not there, or too old.
    """
    if int(VERSION.split(".")[0] or 0) < 42:
        raise InputError("Certificates need the package cryptography, and the Python that runs Ansible has %s; install version "
                         "42 or newer." % (VERSION or "none"))


class Pair(NamedTuple):
    """A certificate and the private key that belongs to it, both in PEM, the key without a passphrase."""

    certificate: str
    key: str


def make(now: datetime, key: str = "") -> Pair:
    """Return an authority, which issues certificates of servers and no further authorities.

    With the key of one that ends soon, it is renewed: name and key are the same, so each of the two verifies what was issued
    under the other, and nothing has to change at once.

    Args:
        now: the time, with its zone.
        key: the private key; without it, one is made.
    """
    private = _private(key) if key else ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(private.public_key())
    name = _name("pgmahout.cluster %s" % identifier.digest.hex()[:16])
    builder = _builder(name, private, now, AUTHORITY_LIFETIME).issuer_name(name)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
    return _signed(builder.add_extension(identifier, critical=False), private, private)


def renewed(present: Pair, now: datetime) -> Pair:
    """Return an authority as it is, or with a new certificate when the present one ends soon.

    Raises:
        ValueError: certificate or key cannot be read, or do not belong together; other errors in ``UNREADABLE`` mean the same.
    """
    certificate = x509.load_pem_x509_certificate(present.certificate.encode())
    if not belongs(certificate, present.key):
        raise ValueError("the key is that of another certificate")
    return make(now, present.key) if certificate.not_valid_after_utc - now < AUTHORITY_RENEWAL else present


def names(address: str, host: str) -> list[x509.GeneralName]:
    """Return the names that a member's certificate holds: where it is reached, and what the inventory calls it.

    An IP address is there a second time as the name of a host, since libpq before version 15 looks for it only there
    (documentation of 15, chapter 34.19.1), and it is the client's version that counts. What the inventory calls the member is
    left out where it is no name that a certificate may hold.

    Raises:
        InputError: the address is none, nor a name that a certificate may hold.
    """
    found: list[x509.GeneralName] = []
    for given in dict.fromkeys([address, host]):
        try:
            # Through its bytes, which know no zone (fe80::1%eth0); a certificate does not either.
            found += [x509.IPAddress(ipaddress.ip_address(ipaddress.ip_address(given).packed)), x509.DNSName(given)]
        except ValueError:
            if _HOST_NAME.match(given):
                found.append(x509.DNSName(given))
    if address not in [name.value for name in found]:
        raise InputError("The pg_server_address of %s is %r, which no certificate can name; give an IP address, or a host name "
                         "of letters, digits, dots and dashes." % (host, address))
    return found


def issue(authority: Pair, wanted: Collection[x509.GeneralName], now: datetime) -> Pair:
    """Return a new certificate and key for a server, which is a client of others too.

    Args:
        authority: who issues it.
        wanted: the names, as ``names`` returns them.
        now: the time, with its zone.
    """
    private, signer = ec.generate_private_key(ec.SECP256R1()), _private(authority.key)
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    address = str(next(iter(wanted)).value)
    builder = _builder(_name(address), private, now, LIFETIME).issuer_name(issuer.subject)
    for extension, critical in (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage("digital_signature"), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
            (x509.SubjectAlternativeName(wanted), False),
            (x509.SubjectKeyIdentifier.from_public_key(private.public_key()), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)):
        builder = builder.add_extension(extension, critical)
    return _signed(builder, private, signer)


def why_renew(present: Pair, authority: str, wanted: Collection[x509.GeneralName], now: datetime,
              issued_after: datetime | None) -> str:
    """Return why a certificate of ours must be replaced, or ``""`` when it is right.

    Args:
        present: the certificate with its key.
        authority: the certificate of the authority.
        wanted: the names that it should hold.
        now: the time, with its zone.
        issued_after: nothing issued before that time is right; certificates know whole seconds, so give such.
    """
    try:
        certificate = x509.load_pem_x509_certificate(present.certificate.encode())
        fits = belongs(certificate, present.key)
        issuer = x509.load_pem_x509_certificate(authority.encode())
        held = set(alternative_names(certificate))
    except UNREADABLE:
        return "it cannot be read"
    end = certificate.not_valid_after_utc
    reasons = {
        "its key is that of another": not fits,
        "another authority issued it": not issued_by(certificate, issuer),
        "its names are not %s" % ", ".join(sorted({str(name.value) for name in wanted})): held != set(wanted),
        "it is not valid yet": now < certificate.not_valid_before_utc,
        "it ends on %s" % end.date(): end - now < RENEWAL,
        "it was issued before %s" % issued_after: issued_after is not None and issued_at(certificate) < issued_after,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def issued_at(certificate: x509.Certificate) -> datetime:
    """Return when a certificate of ours was issued, in whole seconds."""
    return certificate.not_valid_before_utc + SKEW


def alternative_names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    """Return the subject alternative names of a certificate."""
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Say whether the issuer's name and key are those that signed a certificate."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def belongs(certificate: x509.Certificate, key: str) -> bool:
    """Say whether a private key belongs to a certificate.

    Raises:
        TypeError: the key has a passphrase.
        ValueError: it is none.
    """
    return serialization.load_pem_private_key(key.encode(), password=None).public_key() == certificate.public_key()


def _private(key: str) -> ec.EllipticCurvePrivateKey:
    found = serialization.load_pem_private_key(key.encode(), password=None)
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise ValueError("not a key on an elliptic curve")
    return found


def _name(common: str) -> x509.Name:
    # X.520 allows 64 characters; nobody reads this name where alternative ones stand beside it.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _usage(*granted: str) -> x509.KeyUsage:
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
             "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{use: use in granted for use in every})


def _builder(subject: x509.Name, private: ec.EllipticCurvePrivateKey, now: datetime,
             lifetime: timedelta) -> x509.CertificateBuilder:
    began = now.replace(microsecond=0)
    builder = x509.CertificateBuilder().subject_name(subject).public_key(private.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(began - SKEW).not_valid_after(began + lifetime)


def _signed(builder: x509.CertificateBuilder, private: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey) -> Pair:
    encoding = serialization.Encoding.PEM
    return Pair(builder.sign(signer, hashes.SHA256()).public_bytes(encoding).decode(),
                private.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode())
