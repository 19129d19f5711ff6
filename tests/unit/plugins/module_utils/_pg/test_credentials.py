# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that nobody may be shown: what is written, with which mode, and what of it is told."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import credentials
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError

OPTIONS: dict[str, Any] = {
    "passfile": "", "passfile_entries": None, "tls_directory": "", "tls_certificate": None, "tls_key": None, "tls_ca": None}
TLS = {"tls_directory": "/etc/pg", "tls_certificate": "CERT", "tls_key": "KEY", "tls_ca": "CA"}
LINE = {"host": "node1", "port": "5440", "database": "*", "user": "me", "password": "s3cret"}


def desired(**options: Any) -> list[credentials.File]:
    return credentials.desired({**OPTIONS, **options})


def test_keys_and_passwords_are_for_their_owner_alone_and_certificates_for_all() -> None:
    files = desired(passfile="/srv/passfile", passfile_entries=[LINE], **TLS)
    assert {file.path: oct(file.mode) for file in files} == {
        "/srv/passfile": "0o600", "/etc/pg/server.key": "0o600", "/etc/pg/server.crt": "0o644", "/etc/pg/ca.crt": "0o644"}


@pytest.mark.parametrize("missing", TLS)
def test_a_certificate_needs_its_key_its_authority_and_a_place(missing: str) -> None:
    with pytest.raises(InputError, match="belong together, give all of them"):
        desired(**{**TLS, missing: OPTIONS[missing]})


def test_a_client_has_the_authority_and_no_certificate() -> None:
    client = desired(tls_directory="/etc/pg", tls_ca="CA")
    shown = [(step.values["path"], step.values["before"]) for step in credentials.writes({}, client)]
    assert shown == [("/etc/pg/ca.crt", "missing")]
    with pytest.raises(InputError, match="or for a client tls_ca and tls_directory"):
        desired(tls_ca="CA")


def test_a_directory_alone_only_names_the_files() -> None:
    files = desired(tls_directory="/etc/pg", passfile="/srv/passfile")
    assert [file.path for file in files] == ["/srv/passfile", "/etc/pg/server.key", "/etc/pg/server.crt", "/etc/pg/ca.crt"]
    assert credentials.writes({}, files) == []


def test_what_differs_is_written_and_no_text_is_told() -> None:
    files = desired(passfile="/srv/passfile", passfile_entries=[LINE], **TLS)
    present = {file.path: file.text for file in files}
    assert credentials.writes(present, files) == []
    steps = credentials.writes({**present, "/etc/pg/server.key": "0LD", "/srv/passfile": None}, files)
    assert [step.shown for step in steps] == ["write /srv/passfile", "write /etc/pg/server.key"]
    assert [step.values["before"] for step in steps] == ["missing", "another text"]
    assert not any(secret in repr(steps) for secret in ("s3cret", "KEY", "0LD"))


def test_the_server_loads_its_certificate_with_its_configuration_and_not_its_passfile() -> None:
    files = desired(passfile="/srv/passfile", passfile_entries=[LINE], **TLS)
    there = {file.path: "some text" for file in files}
    assert credentials.loaded(there, files) == ["/etc/pg/server.key", "/etc/pg/server.crt", "/etc/pg/ca.crt"]
    assert credentials.loaded({**there, "/etc/pg/ca.crt": None}, files) == ["/etc/pg/server.key", "/etc/pg/server.crt"]
