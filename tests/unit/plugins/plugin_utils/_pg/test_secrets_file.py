# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of what was made: closed to others, one secret for all who ask at once, nothing written when only looking."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import stat
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import secrets_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "secrets.json"


def ask(path: Path, user: str = "replicator", keep: bool = True, cluster: str = "orders") -> str:
    return secrets_file.password(str(path), cluster, user, keep)


def ask_together(path: Path, user: str, start: object, answers: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    answers.put((user, ask(path, user)))  # type: ignore[attr-defined]


def test_a_password_is_made_once_and_kept_closed_to_others(path: Path) -> None:
    made = ask(path)
    assert len(made) >= 32
    assert ask(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {"orders": {"replicator": made}}
    assert len({made, ask(path, "other"), ask(path, cluster="reporting")}) == 3
    assert [entry.name for entry in path.parent.iterdir()] == ["secrets.json"]


def test_looking_writes_nothing_and_still_finds_what_is_there(path: Path) -> None:
    assert ask(path, keep=False) != ask(path, keep=False)
    assert not path.parent.exists()
    made = ask(path)
    before = path.stat()
    assert ask(path, keep=False) == made
    ask(path, "other", keep=False)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_known_password_is_read_without_a_write(path: Path) -> None:
    ask(path)
    before = path.stat().st_ino
    ask(path)
    assert path.stat().st_ino == before


def test_all_who_ask_at_once_get_one_password(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, answers = context.Event(), context.Queue()
    workers = [context.Process(target=ask_together, args=(path, user, start, answers)) for user in ("a", "b") * 4]
    for worker in workers:
        worker.start()
    start.set()
    found = {answers.get(timeout=20) for _worker in workers}
    for worker in workers:
        worker.join()
    assert {user for user, _password in found} == {"a", "b"}
    assert dict(found) == json.loads(path.read_text())["orders"]
    assert len(found) == 2


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(path: Path, mode: int) -> None:
    made = ask(path)
    path.chmod(mode)
    for keep in (True, False):
        with pytest.raises(secrets_file.Unusable, match="can be read by others; give it the mode 0600") as refusal:
            ask(path, keep=keep)
        assert made not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "{", '{"orders": s3cret}', "[]", '{"orders": "s3cret"}', "\udcff"])
def test_a_file_that_is_not_ours_is_refused_and_left_as_it_is(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.touch(0o600)
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(secrets_file.Unusable, match="remove it to have new passwords made") as refusal:
        ask(path)
    assert "s3cret" not in str(refusal.value)
    assert path.read_bytes() == text.encode(errors="surrogateescape")


def test_a_file_of_the_working_directory_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ask(Path("secrets.json")) == ask(tmp_path / "secrets.json")


def test_a_cluster_is_forgotten_alone_and_the_last_one_takes_the_file_along(path: Path) -> None:
    ask(path)
    kept = ask(path, cluster="reporting")
    assert secrets_file.forget(str(path), "orders", keep=True)
    assert "orders" in json.loads(path.read_text())
    assert secrets_file.forget(str(path), "orders", keep=False)
    assert not secrets_file.forget(str(path), "orders", keep=False)
    assert json.loads(path.read_text()) == {"reporting": {"replicator": kept}}
    assert secrets_file.forget(str(path), "reporting", keep=False)
    assert not path.parent.exists()


def test_a_directory_with_other_files_stays(path: Path) -> None:
    ask(path)
    (path.parent / "other").touch()
    secrets_file.forget(str(path), "orders", keep=False)
    assert [entry.name for entry in path.parent.iterdir()] == ["other"]


def test_nothing_is_forgotten_where_there_is_nothing(path: Path) -> None:
    assert not secrets_file.forget(str(path), "orders", keep=False)
    assert not path.parent.exists()


PAIR = {"certificate": "a certificate", "key": "s3cret"}


def store(path: Path, cluster: str = "orders", member: str = "node1") -> None:
    with secrets_file.opened(str(path), keep=True) as known:
        known.authority = {"certificate": "an authority", "key": "s3cret"}
        known.certificates.setdefault(cluster, {})[member] = PAIR


def test_certificates_stand_beside_the_passwords_and_neither_touches_the_other(path: Path) -> None:
    made = ask(path)
    store(path)
    assert ask(path) == made
    other = ask(path, "other")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {
        "orders": {"replicator": made, "other": other},
        "/certificates": {"authority": {"certificate": "an authority", "key": "s3cret"}, "clusters": {"orders": {"node1": PAIR}}}}
    with secrets_file.opened(str(path), keep=False) as known:
        assert (known.passwords["orders"]["other"], known.certificates) == (other, {"orders": {"node1": PAIR}})


def test_what_is_changed_without_keeping_or_before_an_error_is_not_written(path: Path) -> None:
    store(path)
    before = path.read_bytes()
    with secrets_file.opened(str(path), keep=False) as known:
        known.certificates["orders"]["node2"] = PAIR
    with contextlib.suppress(KeyError), secrets_file.opened(str(path), keep=True) as known:
        known.certificates["orders"]["node2"] = PAIR
        raise KeyError
    assert path.read_bytes() == before
    store(path, member="node2")
    assert path.read_bytes() != before


def test_what_is_the_same_afterwards_is_not_written(path: Path) -> None:
    store(path)
    before = path.stat().st_ino
    store(path)
    assert path.stat().st_ino == before


def test_certificates_are_forgotten_with_their_cluster_and_the_authority_with_the_last(path: Path) -> None:
    store(path)
    store(path, "reporting")
    made = ask(path, cluster="reporting")
    assert secrets_file.forget(str(path), "orders", keep=True)
    assert secrets_file.forget(str(path), "orders", keep=False)
    assert not secrets_file.forget(str(path), "orders", keep=False)
    left = json.loads(path.read_text())
    assert left == {"reporting": {"replicator": made}, "/certificates": {
        "authority": {"certificate": "an authority", "key": "s3cret"}, "clusters": {"reporting": {"node1": PAIR}}}}
    ask(path, cluster="orders")
    secrets_file.forget(str(path), "reporting", keep=False)
    assert list(json.loads(path.read_text())) == ["orders"]
    secrets_file.forget(str(path), "orders", keep=False)
    assert not path.parent.exists()


def test_a_cluster_with_certificates_alone_is_forgotten_with_the_file(path: Path) -> None:
    store(path)
    assert secrets_file.forget(str(path), "orders", keep=False)
    assert not path.parent.exists()


@pytest.mark.parametrize("section", [
    {}, {"authority": PAIR}, {"authority": PAIR, "clusters": [PAIR]}, {"authority": PAIR, "clusters": {"orders": PAIR}},
    {"authority": PAIR, "clusters": {"orders": {"node1": {"certificate": "s3cret"}}}},
    {"authority": PAIR, "clusters": {"orders": {"node1": {"certificate": "s3cret", "key": 1}}}},
    {"authority": {}, "clusters": {"orders": {"node1": PAIR}}}, {"authority": "s3cret", "clusters": {"orders": {"node1": PAIR}}},
    {"authority": PAIR, "clusters": {"orders": {"node1": PAIR}}, "more": {}},
])
def test_certificates_that_are_not_ours_are_refused_and_left_as_they_are(path: Path, section: object) -> None:
    ask(path)
    text = json.dumps({"orders": {"replicator": "s3cret"}, "/certificates": section})
    path.write_text(text)
    with pytest.raises(secrets_file.Unusable, match="remove the section to have new certificates made") as refusal:
        ask(path)
    assert "s3cret" not in str(refusal.value)
    assert path.read_text() == text


def test_no_cluster_can_take_the_place_of_the_certificates(path: Path) -> None:
    store(path)
    before = path.read_bytes()
    with pytest.raises(secrets_file.Unusable, match="A cluster cannot have the name /certificates"):
        ask(path, cluster="/certificates")
    assert not secrets_file.forget(str(path), "/certificates", keep=False)
    assert path.read_bytes() == before


def test_the_place_without_a_variable_is_the_default_of_the_roles() -> None:
    defaults = Path(__file__).parents[5] / "roles" / "pg_server" / "defaults" / "main.yml"
    assert yaml.safe_load(defaults.read_text())["pg_cluster_secrets_file"] == secrets_file.DEFAULT


NAMES = st.one_of(st.text(), st.sampled_from(["orders", "authority", "certificate", "/certificates"]))


@given(st.lists(st.tuples(st.sampled_from(["password", "certificate", "forget"]), NAMES, NAMES), max_size=8))
def test_whatever_clusters_roles_and_members_are_called_each_gets_its_own_back(steps: list[tuple[str, str, str]]) -> None:
    passwords: dict[tuple[str, str], str] = {}
    members: set[tuple[str, str]] = set()
    with tempfile.TemporaryDirectory() as home:
        path = Path(home, "secrets.json")
        for what, cluster, name in steps:
            if what == "certificate":
                store(path, cluster, name)
                members.add((cluster, name))
            elif what == "forget":
                known = any(cluster == key[0] for key in [*passwords, *members])
                assert secrets_file.forget(str(path), cluster, keep=False) is known
                passwords = {key: value for key, value in passwords.items() if key[0] != cluster}
                members = {key for key in members if key[0] != cluster}
                Path(home).mkdir(exist_ok=True)
            elif cluster != secrets_file.CERTIFICATES:
                assert passwords.setdefault((cluster, name), found := ask(path, name, cluster=cluster)) == found
        with secrets_file.opened(str(path), keep=False) as kept:
            assert {(c, n): value for c, roles in kept.passwords.items() for n, value in roles.items()} == passwords
            assert {(c, n) for c, hosts in kept.certificates.items() for n in hosts} == members
