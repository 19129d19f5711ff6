# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of every kind, right and wrong, and what OpenSSL says of them."""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

#: The time in the tests, in whole seconds; OpenSSL knows only the true one.
NOW = datetime.now(timezone.utc).replace(microsecond=0)
DAY = timedelta(days=1)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_text(key: ec.EllipticCurvePrivateKey, passphrase: str = "", form: serialization.PrivateFormat =
             serialization.PrivateFormat.PKCS8) -> str:
    closed = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, closed).decode()


def named(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else [])


@dataclass
class Made:
    """A certificate as a test wants it.

    Attributes:
        name: the common name, ``""`` for none.
        issuer: who issued it; None is itself.
        names: the alternative names, addresses as such and the rest as host names; None for no such extension.
        authority: what the basic constraints say; None for no such extension.
        length: the path length.
        purposes: the extended key usage.
        usage: whether the key usage allows to sign certificates; None for no such extension.
        begin: when it begins, in days from now.
        end: when it ends, in days from now.
        key: its key.
    """

    name: str
    issuer: Made | None = None
    names: Sequence[str] | None = None
    authority: bool | None = None
    length: int | None = None
    purposes: Sequence[x509.ObjectIdentifier] = ()
    usage: bool | None = None
    begin: int = -1
    end: int = 90
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    def __post_init__(self) -> None:
        signer = self.issuer or self
        builder = x509.CertificateBuilder().subject_name(named(self.name)).issuer_name(named(signer.name))
        builder = builder.public_key(self.key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(NOW + self.begin * DAY).not_valid_after(NOW + self.end * DAY)
        for extension in self._extensions():
            builder = builder.add_extension(extension, critical=False)
        self.certificate = builder.sign(signer.key, hashes.SHA256())

    def _extensions(self) -> list[x509.ExtensionType]:
        found: list[x509.ExtensionType] = []
        if self.names is not None:
            found.append(x509.SubjectAlternativeName([general(name) for name in self.names]))
        if self.authority is not None:
            found.append(x509.BasicConstraints(self.authority, self.length))
        if self.purposes:
            found.append(x509.ExtendedKeyUsage(self.purposes))
        if self.usage is not None:
            found.append(x509.KeyUsage(True, False, False, False, False, self.usage, False, False, False))
        return found

    @property
    def text(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_text(self) -> str:
        return key_text(self.key)


def general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def root(name: str = "root", **keywords: object) -> Made:
    return Made(name, **{"authority": True, **keywords})  # type: ignore[arg-type]


def server(issuer: Made | None, **keywords: object) -> Made:
    return Made(**{"name": "db1", "issuer": issuer, "names": ["db1.example.com", "10.0.0.1"], **keywords})  # type: ignore[arg-type]


def refusal(certificate: str, key: str, ca: str, host: str = "", strict: bool = False) -> str:
    """Shake hands in memory and return why the client refuses the server, ``""`` when it does not.

    Args:
        certificate: what the server shows.
        key: its key.
        ca: what the client trusts.
        host: the name or address that must be the server's; by default nobody looks.
        strict: look at everything that RFC 5280 asks for.
    """
    of_server, of_client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with tempfile.TemporaryDirectory() as home:
        Path(home, "chain").write_text(certificate)
        Path(home, "key").write_text(key)
        of_server.load_cert_chain(f"{home}/chain", f"{home}/key")
    of_client.check_hostname = bool(host)
    of_client.load_verify_locations(cadata=ca)
    if strict:
        of_client.verify_flags |= ssl.VERIFY_X509_STRICT
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = of_client.wrap_bio(back, there, server_hostname=host or None)
    server_side = of_server.wrap_bio(there, back, server_side=True)
    for side in (client, server_side, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
    assert client.version() is not None
    return ""
