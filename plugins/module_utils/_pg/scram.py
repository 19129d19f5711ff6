# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SCRAM-SHA-256 verifiers, made on the client so that no password ever travels in a statement.

The form is that of PostgreSQL's documentation, chapter 52.8 (pg_authid), the algorithm RFC 5802 and RFC 7677,
the preparation of the password RFC 4013 with the exception that chapter 54.3 describes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import stringprep
import unicodedata
from typing import Optional

ITERATIONS = 4096
_FORM = re.compile(r"\ASCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)\Z")

_PROHIBITED = (stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_c4,
               stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7, stringprep.in_table_c8,
               stringprep.in_table_c9, stringprep.in_table_a1)


def verifier(password: str, iterations: int = ITERATIONS, salt: Optional[bytes] = None) -> str:
    """Return the verifier that a server stores for a password.

    Args:
        password: in clear.
        iterations: how often the hash is applied; the server's ``scram_iterations`` (PostgreSQL 16), else 4096.
        salt: 16 random bytes when not given.
    """
    salt = os.urandom(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password), salt, iterations)
    stored_key = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    server_key = _hmac(salted, b"Server Key")
    return "SCRAM-SHA-256$%d:%s$%s:%s" % (iterations, _b64(salt), _b64(stored_key), _b64(server_key))


def is_verifier(text: str) -> bool:
    """Return whether a text is a SCRAM-SHA-256 verifier already."""
    return _FORM.match(text) is not None


def iterations_of(stored: str) -> int:
    """Return the iteration count of a verifier, 0 when the text is none."""
    found = _FORM.match(stored)
    return int(found.group(1)) if found else 0


def matches(stored: Optional[str], password: str) -> bool:
    """Return whether a stored verifier is a SCRAM one of this password."""
    found = _FORM.match(stored or "")
    if found is None:
        return False
    again = verifier(password, int(found.group(1)), base64.b64decode(found.group(2)))
    return hmac.compare_digest(again, found.group(0))


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _prepared(password: str) -> bytes:
    """Return the password after SASLprep, or as it is where the rules forbid one of its characters.

    In what RFC 4013 leaves open or forbids otherwise, this does as the server and libpq do: U+200B is a blank, and
    the characters are judged before they are normalized, not after.
    """
    raw = password.encode("utf-8", "surrogateescape")
    if all(byte < 128 for byte in raw):
        return raw
    mapped = "".join(" " if stringprep.in_table_c12(char) else char for char in password
                     if stringprep.in_table_c12(char) or not stringprep.in_table_b1(char))
    if not mapped or any(test(char) for char in mapped for test in _PROHIBITED) or not _directions_agree(mapped):
        return raw
    return unicodedata.normalize("NFKC", mapped).encode("utf-8")


def _directions_agree(text: str) -> bool:
    """Return whether right-to-left text is unmixed (RFC 3454, section 6)."""
    if not any(stringprep.in_table_d1(char) for char in text):
        return True
    return (not any(stringprep.in_table_d2(char) for char in text)
            and stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1]))
