# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small authority: others verify what it issues, and each thing that can be wrong with a certificate is noticed."""

from __future__ import annotations

import ipaddress
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import authority
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg.authority import Pair
from tests.support.certificates import DAY, NOW, refusal

CA = authority.make(NOW)
NAMES = authority.names("10.0.0.1", "node1")


def read(certificate: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate.encode())


def why(present: Pair, **changed: object) -> str:
    asked = {"authority": CA.certificate, "wanted": NAMES, "now": NOW, "issued_after": None, **changed}
    return authority.why_renew(present, **asked)  # type: ignore[arg-type]


def values(names: list[x509.GeneralName]) -> list[tuple[str, str]]:
    return [(type(name).__name__, str(name.value)) for name in names]


def test_the_authority_may_issue_certificates_of_servers_and_nothing_else() -> None:
    made = read(CA.certificate)
    basic = made.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = made.extensions.get_extension_for_class(x509.KeyUsage)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    assert (usage.critical, usage.value.key_cert_sign, usage.value.digital_signature) == (True, True, False)
    assert made.not_valid_before_utc <= NOW - timedelta(hours=1)
    assert abs(made.not_valid_after_utc - NOW - 3652 * DAY) <= DAY
    key = serialization.load_pem_private_key(CA.key.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"


def test_two_authorities_are_told_apart_by_their_names() -> None:
    assert read(CA.certificate).subject != read(authority.make(NOW).certificate).subject


@pytest.mark.parametrize(("address", "host"), [
    ("10.0.0.1", "node1"), ("fd00::1", "node1"), ("db1.example.com", "node_1"), ("a." + 30 * "long." + "example.com", "node1")])
def test_what_it_issues_is_verified_by_others(address: str, host: str) -> None:
    made = authority.issue(CA, authority.names(address, host), NOW)
    for name in (address, host):
        assert refusal(made.certificate, made.key, CA.certificate, name, strict=True) == ""
    assert "mismatch" in refusal(made.certificate, made.key, CA.certificate, "node2")
    assert refusal(made.certificate, made.key, authority.make(NOW).certificate) != ""
    builder = PolicyBuilder().store(Store([read(CA.certificate)])).time(NOW)
    subject = x509.DNSName(address) if "example" in address else x509.IPAddress(ipaddress.ip_address(address))
    builder.build_server_verifier(subject).verify(read(made.certificate), [])
    builder.build_client_verifier().verify(read(made.certificate), [])


def test_a_certificate_says_whose_it_is_and_what_for() -> None:
    made = read(authority.issue(CA, authority.names("db1.example.com", "node1"), NOW).certificate)
    assert made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "db1.example.com"
    purposes = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert made.not_valid_before_utc == NOW - timedelta(hours=1)
    assert made.not_valid_after_utc == NOW + timedelta(days=397)


@pytest.mark.parametrize(("address", "host", "expected"), [
    ("10.0.0.1", "node1", [("IPAddress", "10.0.0.1"), ("DNSName", "10.0.0.1"), ("DNSName", "node1")]),
    ("fd00::1", "node1", [("IPAddress", "fd00::1"), ("DNSName", "fd00::1"), ("DNSName", "node1")]),
    ("fe80::1%eth0", "node1", [("IPAddress", "fe80::1"), ("DNSName", "fe80::1%eth0"), ("DNSName", "node1")]),
    ("db1.example.com", "node_1", [("DNSName", "db1.example.com"), ("DNSName", "node_1")]),
    ("node1", "node1", [("DNSName", "node1")]),
    ("node1", "10.0.0.1", [("DNSName", "node1"), ("IPAddress", "10.0.0.1"), ("DNSName", "10.0.0.1")]),
    ("db1", "the first one", [("DNSName", "db1")]),
    ("db1", "*.example.com", [("DNSName", "db1")]),
    ("db1", "bücher", [("DNSName", "db1")]),
])
def test_the_names_are_those_a_client_may_use(address: str, host: str, expected: list[tuple[str, str]]) -> None:
    assert values(authority.names(address, host)) == expected


@pytest.mark.parametrize("address", ["", "*", "*.example.com", "bücher.example.com", "a b", "a..b", "a.", "/run/postgresql",
                                     "a\n", "x" * 64, ".".join(["x" * 60] * 5)])
def test_an_address_that_no_certificate_can_name_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="The pg_server_address of node1 is .*, which no certificate can name; give an IP"):
        authority.names(address, "node1")


ANY_NAME = st.one_of(st.text(), st.ip_addresses().map(str), st.from_regex(r"[a-z0-9_.-]{1,70}", fullmatch=True))


@given(ANY_NAME, ANY_NAME)
def test_whatever_is_accepted_is_held_by_the_certificate_and_stays_right(address: str, host: str) -> None:
    try:
        wanted = authority.names(address, host)
    except InputError:
        return
    made = authority.issue(CA, wanted, NOW)
    assert address in [name.value for name in authority.alternative_names(read(made.certificate))]
    assert why(made, wanted=authority.names(address, host)) == ""


def test_a_certificate_that_is_right_is_not_renewed_until_30_days_before_its_end() -> None:
    made = authority.issue(CA, NAMES, NOW)
    assert why(made) == ""
    assert why(made, now=NOW + 367 * DAY, issued_after=NOW) == ""
    end = read(made.certificate).not_valid_after_utc
    assert why(made, now=NOW + 367 * DAY + timedelta(seconds=1)) == f"it ends on {end.date()}"
    assert why(made, now=NOW + 1000 * DAY) == f"it ends on {end.date()}"


def test_each_thing_that_is_wrong_is_a_reason() -> None:
    made, other = authority.issue(CA, NAMES, NOW), authority.issue(CA, NAMES, NOW)
    assert why(Pair(made.certificate, other.key)) == "its key is that of another"
    assert why(made, authority=authority.make(NOW).certificate) == "another authority issued it"
    assert why(made, wanted=authority.names("10.0.0.2", "node1")) == "its names are not 10.0.0.2, node1"
    assert why(made, wanted=NAMES[:-1]) == "its names are not 10.0.0.1"
    assert why(made, now=NOW - 2 * DAY) == "it is not valid yet"
    assert why(made, issued_after=NOW + timedelta(seconds=1)).startswith("it was issued before ")
    assert why(made, issued_after=NOW) == ""


@pytest.mark.parametrize("broken", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "\ud800"])
def test_what_cannot_be_read_is_renewed(broken: str) -> None:
    made = authority.issue(CA, NAMES, NOW)
    assert why(Pair(broken, made.key)) == "it cannot be read"
    assert why(Pair(made.certificate, broken)) == "it cannot be read"


@given(st.text())
def test_no_text_is_taken_for_a_key(text: str) -> None:
    assert why(Pair(authority.issue(CA, NAMES, NOW).certificate, text)) == "it cannot be read"


def test_an_authority_is_left_alone_until_its_last_two_years() -> None:
    assert authority.renewed(CA, NOW + 2900 * DAY) is CA
    later = authority.renewed(CA, NOW + 2950 * DAY)
    assert later.key == CA.key
    assert read(later.certificate).not_valid_after_utc > NOW + 6000 * DAY


def test_a_renewed_authority_and_the_old_one_verify_each_others_certificates() -> None:
    old = authority.make(NOW - 3000 * DAY)
    new = authority.renewed(old, NOW)
    assert new.certificate != old.certificate
    before, after = authority.issue(old, NAMES, NOW), authority.issue(new, NAMES, NOW)
    for made in (before, after):
        for known in (old, new):
            assert refusal(made.certificate, made.key, known.certificate, "10.0.0.1", strict=True) == ""
            assert why(made, authority=known.certificate) == ""


def test_no_certificate_outlives_its_authority() -> None:
    end = read(CA.certificate).not_valid_after_utc
    last = end - authority.AUTHORITY_RENEWAL
    assert authority.renewed(CA, last) is CA
    assert authority.renewed(CA, last + timedelta(seconds=1)) is not CA
    assert read(authority.issue(CA, NAMES, last).certificate).not_valid_after_utc < end


def test_an_authority_with_the_key_of_another_is_refused() -> None:
    with pytest.raises(ValueError, match="the key is that of another"):
        authority.renewed(Pair(CA.certificate, authority.make(NOW).key), NOW)
