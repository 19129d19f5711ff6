# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository of packages: its files, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import apt_repository
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError

KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINBGPL\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----"
OPTION: dict[str, Any] = {"uri": "http://apt.postgresql.org/pub/repos/apt", "suite": None, "components": ["main"], "key": KEY}


@pytest.mark.parametrize(("changes", "suite", "components"), [
    ({}, "trixie-pgdg", "main"),
    ({"suite": "trixie-pgdg-testing", "components": ["main", "19"]}, "trixie-pgdg-testing", "main 19"),
])
def test_the_files_are_what_apt_reads(changes: dict[str, Any], suite: str, components: str) -> None:
    files = apt_repository.files(apt_repository.desired({**OPTION, **changes}), "trixie")
    assert files[apt_repository.KEY_FILE] == KEY + "\n"
    assert (files[apt_repository.SOURCES_FILE] or "").splitlines()[1:] == [
        "Types: deb", "URIs: http://apt.postgresql.org/pub/repos/apt", f"Suites: {suite}", f"Components: {components}",
        "Signed-By: /etc/apt/keyrings/pgmahout-pgdg.asc"]


@pytest.mark.parametrize("option", [None, {}])
def test_without_a_repository_there_is_no_file(option: dict[str, Any] | None) -> None:
    assert apt_repository.files(apt_repository.desired(option), "trixie") == {
        apt_repository.KEY_FILE: None, apt_repository.SOURCES_FILE: None}


@pytest.mark.parametrize("key", ["\n  " + KEY + "  \n\n", KEY.replace("\n", "\r\n"), KEY.replace("\n", " \n")])
def test_how_a_key_was_copied_does_not_matter(key: str) -> None:
    assert apt_repository.files(apt_repository.desired({**OPTION, "key": key}), "x")[apt_repository.KEY_FILE] == KEY + "\n"


@pytest.mark.parametrize(("changes", "told"), [
    ({"uri": "apt.postgresql.org"}, "option repository.uri is 'apt.postgresql.org'; give an address"),
    ({"uri": "http://host/apt\nTrusted: yes"}, "option repository.uri is "),
    ({"uri": "https://me:s3cret@host/apt"}, "holds the name of an account.*auth.conf.d"),
    ({"suite": "trixie pgdg"}, "option repository.suite has 'trixie pgdg'"),
    ({"suite": "x\nTrusted: yes"}, "option repository.suite has"),
    ({"components": ["main", "a b"]}, "option repository.components has 'a b'"),
    ({"key": ""}, "option repository.key is no armoured public key"),
    ({"key": KEY.replace("PUBLIC", "PRIVATE")}, "option repository.key is no armoured public key"),
    ({"key": "http://host/key.asc"}, "option repository.key is no armoured public key"),
])
def test_what_cannot_be_a_repository_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told) as refusal:
        apt_repository.desired({**OPTION, **changes})
    assert "s3cret" not in str(refusal.value)


def test_a_release_without_a_name_needs_a_suite() -> None:
    with pytest.raises(StateError, match="set repository.suite"):
        apt_repository.files(apt_repository.desired(OPTION), "")
    assert apt_repository.files(apt_repository.desired({**OPTION, "suite": "s"}), "")[apt_repository.SOURCES_FILE]
