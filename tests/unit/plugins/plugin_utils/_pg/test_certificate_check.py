# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that a user gives: each fault is one sentence, and what passes is what OpenSSL and libpq take."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat
from cryptography.x509 import load_pem_x509_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import authority, certificate_check
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg.certificate_check import CA, CERTIFICATE, KEY, Given, Member
from tests.support.certificates import NOW, Made, key_text, new_key, refusal, root, server

MEMBER = Member("10.0.0.1", 17)
ROOT = root()
LEAF = server(ROOT)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


def complaints(certificate: str, key: str, ca: str, member: Member = MEMBER) -> list[str]:
    files = {CERTIFICATE: certificate, KEY: key, CA: ca}
    given = {variable: Given(f"The {variable} of node1, /{variable},", text) for variable, text in files.items()}
    return certificate_check.complaints(given, member, NOW)


def only(found: list[str]) -> str:
    assert len(found) == 1, found
    return found[0]


def test_a_right_certificate_is_taken() -> None:
    assert complaints(LEAF.text, LEAF.key_text, ROOT.text) == []
    issuer = authority.make(NOW)
    made = authority.issue(issuer, authority.names("10.0.0.1", "node1"), NOW)
    assert complaints(made.certificate, made.key, issuer.certificate) == []


def test_text_around_certificates_and_other_authorities_beside_theirs_do_no_harm() -> None:
    assert complaints(f"# db1\n{LEAF.text}\n", LEAF.key_text, root("other").text + "root:\n" + ROOT.text) == []
    assert complaints(LEAF.text, key_text(LEAF.key, form=PrivateFormat.TraditionalOpenSSL), ROOT.text) == []


@pytest.mark.parametrize(("leaf", "told"), [
    (lambda: server(ROOT, begin=-9, end=-1), "is valid from "),
    (lambda: server(ROOT, begin=1), "is valid from "),
    (lambda: server(ROOT, names=["db1.example.com"]), "is for db1.example.com and not for the pg_server_address 10.0.0.1, so"),
    (lambda: server(ROOT, name="db7", names=None), "is for db7 and not for the pg_server_address 10.0.0.1, so"),
    (lambda: server(ROOT, name="", names=None), "is for no name and not for the pg_server_address 10.0.0.1, so"),
    (lambda: server(ROOT, purposes=[CLIENT]), "is not for a server, its extended key usage lacks serverAuth"),
    (lambda: server(root("stranger")), "was issued by CN=stranger, and no valid certificates lead from there"),
    (lambda: server(root()), "was issued by CN=root, and no valid certificates lead from there"),
    (lambda: server(None), "was issued by CN=db1, and no valid certificates lead from there"),
])
def test_each_fault_is_one_sentence(leaf: Callable[[], Made], told: str) -> None:
    made = leaf()
    assert only(complaints(made.text, made.key_text, ROOT.text)).startswith(f"The {CERTIFICATE} of node1, /{CERTIFICATE}, {told}")


def test_all_faults_are_told_at_once() -> None:
    leaf = server(root("stranger"), names=["other"], begin=-3, end=-1, purposes=[CLIENT])
    assert len(complaints(leaf.text, new_key_text(), ROOT.text)) == 5


def new_key_text() -> str:
    return key_text(new_key())


def test_a_key_that_is_not_the_certificates_is_told() -> None:
    told = f"The {KEY} of node1, /{KEY}, does not belong to the first certificate in {CERTIFICATE}; "
    assert only(complaints(LEAF.text, new_key_text(), ROOT.text)).startswith(told)
    assert only(complaints(LEAF.text, ROOT.key_text, ROOT.text)).startswith(told)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_key_with_a_passphrase_is_told(form: PrivateFormat) -> None:
    told = only(complaints(LEAF.text, key_text(LEAF.key, "s3cret", form), ROOT.text))
    assert told.startswith(f"The {KEY} of node1, /{KEY}, has a passphrase, which nobody is there to type")


@pytest.mark.parametrize("variable", [CERTIFICATE, KEY, CA])
@given(text=st.one_of(st.text(), st.text().map(lambda inner: f"-----BEGIN CERTIFICATE-----\n{inner}\n-----END CERTIFICATE-----"),
                      st.text().map(lambda inner: f"-----BEGIN PRIVATE KEY-----\n{inner}\n-----END PRIVATE KEY-----")))
def test_whatever_else_a_file_holds_is_told_without_being_shown(variable: str, text: str) -> None:
    files = {CERTIFICATE: LEAF.text, KEY: LEAF.key_text, CA: ROOT.text, variable: text}
    found = complaints(files[CERTIFICATE], files[KEY], files[CA])
    told = {CERTIFICATE: "holds no certificates that can be read", CA: "holds no certificates that can be read",
            KEY: "holds no private key that can be read"}[variable]
    assert f"The {variable} of node1, /{variable}, {told}" in found[-1]


@pytest.mark.parametrize("variable", [CERTIFICATE, CA])
def test_a_private_key_among_certificates_is_refused(variable: str) -> None:
    files = {CERTIFICATE: LEAF.text, CA: ROOT.text}
    files[variable] += LEAF.key_text
    told = only(complaints(files[CERTIFICATE], LEAF.key_text, files[CA]))
    assert told.startswith(f"The {variable} of node1, /{variable}, holds a private key")
    assert LEAF.key_text.splitlines()[1] not in told


def chains() -> dict[str, tuple[Made, list[Made], list[Made]]]:
    """Server, what it shows beside its own certificate, and what clients trust."""
    middle = Made("middle", ROOT, authority=True)
    low = Made("low", middle, authority=True)
    closed = root("closed", length=0)
    under_closed = Made("under", closed, authority=True)
    alone = server(None)
    crossed = Made("root", root("old"), authority=True, key=ROOT.key)
    plain = root("plain", authority=None)
    not_ca = Made("middle", ROOT, authority=False)
    no_constraints = Made("middle", ROOT)
    expired, expired_root = Made("middle", ROOT, authority=True, begin=-9, end=-1), root("expired", begin=-9, end=-1)
    clients, signs_not = root("clients", purposes=[CLIENT]), root("signs-not", usage=False)
    signs = root("signs", usage=True, purposes=[SERVER, CLIENT])
    return {
        "direct": (LEAF, [], [ROOT]),
        "with its root": (LEAF, [ROOT], [ROOT]),
        "root only shown": (LEAF, [ROOT], [root("other")]),
        "one between": (server(middle), [middle], [ROOT]),
        "one between, trusted beside the root": (server(middle), [], [middle, ROOT]),
        "one between, trusted alone": (server(middle), [], [middle]),
        "one between is missing": (server(middle), [], [ROOT]),
        "two between": (server(low), [low, middle], [ROOT]),
        "two between in any order": (server(low), [middle, low], [ROOT]),
        "two between, one missing": (server(low), [low], [ROOT]),
        "right under a root that closes": (server(closed), [], [closed]),
        "one between under a root that closes": (server(under_closed), [under_closed], [closed]),
        "itself": (alone, [], [alone]),
        "crossed, whose own root is missing": (LEAF, [], [crossed]),
        "root that says nothing about being one": (server(plain), [], [plain]),
        "not an authority": (server(not_ca), [not_ca], [ROOT]),
        "nothing said about being one": (server(no_constraints), [no_constraints], [ROOT]),
        "expired between": (server(expired), [expired], [ROOT]),
        "expired between beside a good one": (server(Made("middle", ROOT, authority=True, key=expired.key)), [expired, Made(
            "middle", ROOT, authority=True, key=expired.key)], [ROOT]),
        "expired root": (server(expired_root), [], [expired_root]),
        "authority of clients": (server(clients), [], [clients]),
        "authority that does not sign": (server(signs_not), [], [signs_not]),
        "authority that signs": (server(signs), [], [signs]),
        "expired itself": (server(ROOT, begin=-9, end=-1), [], [ROOT]),
        "for clients": (server(ROOT, purposes=[CLIENT]), [], [ROOT]),
        "for anything": (server(ROOT, purposes=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), [], [ROOT]),
        "for both": (server(ROOT, purposes=[CLIENT, SERVER]), [], [ROOT]),
    }


@pytest.mark.parametrize("which", chains())
def test_a_chain_is_taken_exactly_when_openssl_takes_it(which: str) -> None:
    leaf, shown, trusted = chains()[which]
    certificate, ca = "".join(made.text for made in [leaf, *shown]), "".join(made.text for made in trusted)
    assert (complaints(certificate, leaf.key_text, ca) == []) == (refusal(certificate, leaf.key_text, ca) == "")


def libpq(pattern: str, string: str) -> bool:
    """What fe-secure-common.c of PostgreSQL does, line by line."""
    if pattern.lower() == string.lower():
        return True
    if len(pattern) < 3 or pattern[0] != "*" or pattern[1] != ".":
        return False
    if len(pattern) > len(string):
        return False
    if pattern[1:].lower() != string[len(string) - len(pattern) + 1:].lower():
        return False
    return string.find(".") >= len(string) - len(pattern)


NAMES = st.text("*.ab", max_size=6)


@given(NAMES, NAMES)
def test_names_match_as_libpq_matches_them(pattern: str, host: str) -> None:
    assert certificate_check.matches(pattern, host) == libpq(pattern, host)


@pytest.mark.parametrize(("pattern", "host", "expected"), [
    ("DB1.example.com", "db1.EXAMPLE.com", True), ("*.example.com", "db1.example.com", True),
    ("*.example.com", "a.db1.example.com", False), ("*.example.com", "example.com", False),
    ("db*.example.com", "db1.example.com", False), ("*", "db1", False), ("*.com", ".com", False),
    ("*.", "db1.", False)])
def test_a_wildcard_stands_for_one_label(pattern: str, host: str, expected: bool) -> None:
    assert certificate_check.matches(pattern, host) is expected


@pytest.mark.parametrize(("address", "version", "name", "names", "expected"), [
    ("10.0.0.1", 17, "x", ["10.0.0.1"], True),
    ("10.0.0.1", 15, "x", ["10.0.0.1"], True),
    ("10.0.0.1", 14, "x", ["10.0.0.1"], False),
    ("10.0.0.1", 14, "10.0.0.1", ["10.0.0.1"], True),
    ("10.0.0.1", 14, "10.0.0.1", ["10.0.0.1", "db1"], False),
    ("10.0.0.1", 17, "10.0.0.1", ["db1"], True),
    ("10.0.0.1", 17, "10.0.0.1", ["10.0.0.2"], False),
    ("fd00:0:0::1", 17, "x", ["fd00::1"], True),
    ("db1", 17, "db1", ["10.0.0.1"], True),
    ("db1", 17, "db1", ["db2"], False),
    ("db1", 17, "x", ["db2", "db1"], True),
    ("db1", 17, "db1", None, True),
    ("db1", 17, "", None, False),
])
def test_a_name_is_looked_for_where_libpq_looks(address: str, version: int, name: str, names: list[str] | None,
                                                expected: bool) -> None:
    assert certificate_check.covers(server(ROOT, name=name, names=names).certificate, Member(address, version)) is expected


def test_an_address_among_the_host_names_serves_every_version() -> None:
    made = authority.issue(authority.make(NOW), authority.names("10.0.0.1", "node1"), NOW)
    certificate = load_pem_x509_certificate(made.certificate.encode())
    assert all(certificate_check.covers(certificate, Member("10.0.0.1", version)) for version in (13, 14, 15, 18))
