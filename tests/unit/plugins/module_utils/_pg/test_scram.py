# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SCRAM verifiers: the example of RFC 7677, the preparation of passwords, comparison."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import scram

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
AUTH_MESSAGE = (b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
                b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
                b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
PROOF = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
SIGNATURE = base64.b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


def keys(verifier: str) -> tuple[bytes, bytes]:
    stored, server = verifier.split("$")[2].split(":")
    return base64.b64decode(stored), base64.b64decode(server)


def test_the_example_of_rfc_7677_authenticates_both_sides() -> None:
    stored_key, server_key = keys(scram.verifier("pencil", 4096, SALT))
    client_signature = hmac.new(stored_key, AUTH_MESSAGE, hashlib.sha256).digest()
    client_key = bytes(a ^ b for a, b in zip(PROOF, client_signature))
    assert hashlib.sha256(client_key).digest() == stored_key
    assert hmac.new(server_key, AUTH_MESSAGE, hashlib.sha256).digest() == SIGNATURE


def test_the_form_is_that_of_pg_authid() -> None:
    made = scram.verifier("pencil", 4096, SALT)
    assert made.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
    assert scram.is_verifier(made)
    assert scram.iterations_of(made) == 4096


def test_every_verifier_has_a_salt_of_its_own() -> None:
    assert scram.verifier("same", 1) != scram.verifier("same", 1)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.integers(1, 3))
def test_a_password_matches_its_own_verifier(password: str, iterations: int) -> None:
    assert scram.matches(scram.verifier(password, iterations), password)


@given(st.text(st.characters(max_codepoint=126, min_codepoint=33), min_size=1),
       st.text(st.characters(max_codepoint=126, min_codepoint=33), min_size=1))
def test_two_plain_passwords_match_only_when_equal(one: str, other: str) -> None:
    assert scram.matches(scram.verifier(one, 1), other) is (one == other)


@pytest.mark.parametrize(("one", "other"), [
    ("I\u00adX", "IX"),  # RFC 4013, section 3: SOFT HYPHEN is mapped to nothing
    ("\u00aa", "a"),  # ... and the feminine ordinal is normalized
    ("\u2168", "IX"),
    ("a\u00a0b", "a b"),
    ("a\u200bb", "a b"),  # as the server does, not as RFC 4013 orders its tables
    ("\U0002f868", "\u36fc"),  # normalized by today's tables, in which Unicode 3.2's error is gone
])
def test_passwords_that_prepare_to_the_same_are_one(one: str, other: str) -> None:
    assert scram.matches(scram.verifier(one, 1), other)


@pytest.mark.parametrize(("one", "other"), [
    ("USER", "user"),
    ("\u0007\u00aa", "\u0007a"),  # a control character forbids preparation
    ("\u06271", "\u0627 1"),  # right-to-left text that does not end so
    ("a\u0340", "a\u0300"),  # forbidden before normalization, although harmless after it
])
def test_passwords_that_are_not_prepared_stay_apart(one: str, other: str) -> None:
    assert not scram.matches(scram.verifier(one, 1), other)


@pytest.mark.parametrize("stored", [None, "", "md5" + "0" * 32, "SCRAM-SHA-256$4096:AAAA$BBBB", "pencil"])
def test_what_is_no_verifier_matches_nothing(stored: str | None) -> None:
    assert not scram.matches(stored, "pencil")
    assert scram.iterations_of(stored or "") == 0
