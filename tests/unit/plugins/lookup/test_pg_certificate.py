# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup: whose variables count, where files are, and that errors are sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret

from ansible_collections.pgmahout.cluster.plugins.lookup import pg_certificate
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import authority
from tests.support.certificates import Made, refusal, root, server

ROOT = root()
LEAF = server(ROOT)


def look(path: Path, *members: str, check: bool = False, loader: DataLoader | None = None, **node1: Any) -> list[dict[str, str]]:
    hosts = {"node1": {"pg_cluster_name": "orders", "pg_cluster_secrets_file": str(path), "ansible_host": "10.0.0.1", **node1},
             "node2": {"pg_cluster_name": "orders"}, "laptop": {}}
    variables = {"hostvars": hosts, "ansible_check_mode": check, "pg_cluster_secrets_file": str(path)}
    return pg_certificate.LookupModule(loader=loader or DataLoader()).run(list(members or ["node1"]), variables)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    return write(tmp_path, LEAF)


def write(home: Path, leaf: Made) -> dict[str, Any]:
    texts = {"certificate": leaf.text, "key": leaf.key_text, "ca": ROOT.text}
    for name, text in texts.items():
        (home / name).write_text(text)
    return {f"pg_server_tls_{name}_file": str(home / name) for name in texts}


def test_each_member_gets_a_certificate_for_its_own_address(tmp_path: Path) -> None:
    first, second = look(tmp_path / "s.json", "node1", "node2")
    assert set(first) == {"certificate", "key", "ca"}
    for made, host in ((first, "10.0.0.1"), (second, "node2")):
        assert refusal(made["certificate"], made["key"], first["ca"], host) == ""
    assert look(tmp_path / "s.json", "node2", "node1") == [second, first]


def test_check_mode_keeps_nothing(tmp_path: Path) -> None:
    assert look(tmp_path / "s.json", check=True)[0]["certificate"]
    assert list(tmp_path.iterdir()) == []
    made = look(tmp_path / "s.json")
    assert look(tmp_path / "s.json", check=True) == made


def test_files_of_the_user_win_and_nothing_is_made(tmp_path: Path, files: dict[str, Any]) -> None:
    assert look(tmp_path / "s.json", **files) == [{"certificate": LEAF.text, "key": LEAF.key_text, "ca": ROOT.text}]
    assert not (tmp_path / "s.json").exists()


def test_files_are_found_from_home_and_from_the_working_directory(tmp_path: Path, files: dict[str, Any],
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    files.update(pg_server_tls_key_file="~/key", pg_server_tls_ca_file="ca")
    assert look(tmp_path / "s.json", **files)[0]["key"] == LEAF.key_text


def test_a_key_in_ansible_vault_is_taken_and_without_its_password_told(tmp_path: Path, files: dict[str, Any]) -> None:
    secret = VaultSecret(b"of the vault")
    (tmp_path / "key").write_bytes(VaultLib([("default", secret)]).encrypt(LEAF.key_text))
    loader = DataLoader()
    loader.set_vault_secrets([("default", secret)])
    assert look(tmp_path / "s.json", loader=loader, **files)[0]["key"] == LEAF.key_text
    with pytest.raises(AnsibleError, match=r"The pg_server_tls_key_file of node1, .*/key, cannot be read \(.*\); name a file"):
        look(tmp_path / "s.json", **files)


def test_a_file_in_der_or_none_at_all_is_told(tmp_path: Path, files: dict[str, Any]) -> None:
    (tmp_path / "ca").write_bytes(bytes(range(256)))
    with pytest.raises(AnsibleError, match="^The pg_server_tls_ca_file of node1, .*/ca, holds no certificates that can be read"):
        look(tmp_path / "s.json", **files)
    (tmp_path / "ca").unlink()
    with pytest.raises(AnsibleError, match=r"^The pg_server_tls_ca_file of node1, .*/ca, cannot be read \(No such file or dir"):
        look(tmp_path / "s.json", **files)


@pytest.mark.parametrize("member", ["nobody", "laptop"])
def test_a_host_that_is_no_member_is_told(tmp_path: Path, member: str) -> None:
    with pytest.raises(AnsibleError, match=f"^A certificate is asked for {member}, which is no member of a cluster; name a host"):
        look(tmp_path / "s.json", member)


def test_an_unusable_secrets_file_is_told_without_its_content(tmp_path: Path) -> None:
    made = look(tmp_path / "s.json")[0]["key"]
    (tmp_path / "s.json").chmod(0o644)
    with pytest.raises(AnsibleError, match="^The secrets file .*/s.json can be read by others") as refused:
        look(tmp_path / "s.json")
    assert made.splitlines()[1] not in str(refused.value)


@pytest.mark.parametrize(("version", "told"), [("41.0.7", "41.0.7"), ("", "none")])
def test_a_package_that_is_too_old_or_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str,
                                                      told: str) -> None:
    monkeypatch.setattr(authority, "VERSION", version)
    with pytest.raises(AnsibleError, match=f"and the Python that runs Ansible has {told}; install version 42 or newer"):
        look(tmp_path / "s.json")
