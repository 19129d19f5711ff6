# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a member's certificate comes from: given files are vetted, made ones are kept until they are no longer right."""

from __future__ import annotations

import json
import multiprocessing
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import authority, certificates, secrets_file
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg.certificates import Asked
from tests.support.certificates import DAY, NOW, refusal, root, server

ROOT = root()
LEAF = server(ROOT)
FILES: dict[str, Any] = {"pg_server_tls_certificate_file": "/tls/server.crt", "pg_server_tls_key_file": "/tls/server.key",
                         "pg_server_tls_ca_file": "/tls/ca.crt"}
TEXTS = {"/tls/server.crt": LEAF.text, "/tls/server.key": LEAF.key_text, "/tls/ca.crt": ROOT.text}


def asked(host: str = "node1", now: datetime = NOW, **variables: Any) -> Asked:
    return Asked(host, {"pg_cluster_name": "orders", "pg_server_address": "10.0.0.1", **variables}, now)


def make(path: Path, whom: Asked | None = None, keep: bool = True, told: list[str] | None = None) -> dict[str, str]:
    reasons: list[str] = [] if told is None else told
    return certificates.made(whom or asked(), str(path), keep, tell=reasons.append)


def make_together(path: Path, host: str, start: Any, answers: Any) -> None:
    start.wait()
    answers.put((host, make(path, asked(host))))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets.json"


def test_a_member_without_files_is_given_nothing() -> None:
    assert certificates.given(asked(), TEXTS.__getitem__) == {}
    empty: dict[str, Any] = dict.fromkeys(FILES, "")
    assert certificates.given(asked(**empty), TEXTS.__getitem__) == {}


def test_the_files_of_the_variables_are_returned_as_they_are() -> None:
    found = certificates.given(asked(**FILES), TEXTS.__getitem__)
    assert found == {"certificate": LEAF.text, "key": LEAF.key_text, "ca": ROOT.text}


@pytest.mark.parametrize("left_out", FILES)
def test_all_three_are_needed(left_out: str) -> None:
    some: dict[str, Any] = {variable: path for variable, path in FILES.items() if variable != left_out}
    with pytest.raises(InputError, match=f"^node1 has {' and '.join(some)} and lacks {left_out}; give all three, or none"):
        certificates.given(asked(**some), TEXTS.__getitem__)
    with pytest.raises(InputError, match=f"^node1 has {left_out} and lacks {' and '.join(some)}; give all three, or none"):
        certificates.given(asked(**{left_out: FILES[left_out]}), TEXTS.__getitem__)


def test_files_that_cannot_be_read_are_all_told(tmp_path: Path) -> None:
    missing: dict[str, Any] = {variable: str(tmp_path / variable) for variable in FILES}
    with pytest.raises(InputError) as refused:
        certificates.given(asked(**missing), lambda path: Path(path).read_text())
    assert str(refused.value).splitlines() == [
        f"The {variable} of node1, {path}, cannot be read (No such file or directory); name a file of the controller that can."
        for variable, path in missing.items()]


def test_what_is_wrong_with_them_names_the_variable_and_the_file_and_shows_no_key() -> None:
    with pytest.raises(InputError) as refused:
        certificates.given(asked(pg_server_address="10.0.0.9", **FILES), {**TEXTS, "/tls/server.key": ROOT.key_text}.__getitem__)
    of_key, of_name = str(refused.value).splitlines()
    assert of_key.startswith("The pg_server_tls_key_file of node1, /tls/server.key, does not belong to the first certificate")
    assert of_name.startswith("The pg_server_tls_certificate_file of node1, /tls/server.crt, is for db1.example.com, 10.0.0.1 ")
    assert ROOT.key_text.splitlines()[1] not in str(refused.value)


def test_the_clusters_version_says_how_an_address_is_looked_for() -> None:
    assert certificates.given(asked(pg_cluster_version=15, **FILES), TEXTS.__getitem__)
    with pytest.raises(InputError, match="and not for the pg_server_address"):
        certificates.given(asked(pg_cluster_version="14", **FILES), TEXTS.__getitem__)


@pytest.mark.parametrize(("variables", "address"), [
    ({"pg_server_address": "10.0.0.1", "ansible_host": "10.0.0.2"}, "10.0.0.1"), ({"ansible_host": "10.0.0.2"}, "10.0.0.2"),
    ({}, "node1")])
def test_the_address_defaults_as_that_of_the_role(variables: dict[str, str], address: str) -> None:
    assert Asked("node1", variables, NOW).address == address


def test_a_certificate_is_made_once_and_then_returned_byte_for_byte(path: Path) -> None:
    told: list[str] = []
    first = make(path, told=told)
    before = path.stat().st_ino
    assert told == ["A certificate is made for node1: there is none."]
    assert refusal(first["certificate"], first["key"], first["ca"], "10.0.0.1", strict=True) == ""
    assert make(path, asked(now=NOW + 366 * DAY), told=told) == first
    assert (len(told), path.stat().st_ino, path.stat().st_mode & 0o777) == (1, before, 0o600)


def test_all_clusters_of_a_file_have_one_authority_and_each_member_its_own_key(path: Path) -> None:
    made = [make(path), make(path, asked("node2")), make(path, asked("node1", pg_cluster_name="reporting"))]
    assert len({one["ca"] for one in made}) == 1
    assert len({one["key"] for one in made}) == len({one["certificate"] for one in made}) == 3
    kept = json.loads(path.read_text())["/certificates"]
    assert {cluster: list(members) for cluster, members in kept["clusters"].items()} == {
        "orders": ["node1", "node2"], "reporting": ["node1"]}
    secrets_file.forget(str(path), "orders", keep=False)
    assert make(path, asked("node1", pg_cluster_name="reporting")) == made[2]


def test_looking_keeps_nothing_and_tells_what_would_be(path: Path) -> None:
    told: list[str] = []
    seen = make(path, keep=False, told=told)
    assert told == ["A certificate is made for node1: there is none."]
    assert refusal(seen["certificate"], seen["key"], seen["ca"], "10.0.0.1") == ""
    assert not path.exists()
    kept = make(path)
    before = path.read_bytes()
    assert make(path, keep=False) == kept
    moved = make(path, asked(pg_server_address="10.0.0.2"), keep=False, told=told)
    assert told[1:] == ["A certificate is made for node1: its names are not 10.0.0.2, node1."]
    assert (moved["ca"], moved["certificate"] != kept["certificate"]) == (kept["ca"], True)
    assert path.read_bytes() == before


def test_what_is_no_longer_right_is_replaced_alone(path: Path) -> None:
    first, other = make(path), make(path, asked("node2"))
    for changed in (asked(pg_server_address="10.0.0.2"), asked(pg_server_address="10.0.0.2", now=NOW + 370 * DAY)):
        renewed = make(path, changed)
        assert renewed["ca"] == first["ca"]
        assert len({one["certificate"] for one in (first, other, renewed)}) == 3
        assert make(path, changed) == renewed
    assert make(path, asked("node2")) == other


def test_one_rotates_by_a_time_after_which_certificates_are_issued(path: Path) -> None:
    first = make(path)
    later = NOW + timedelta(days=2)
    after: dict[str, Any] = {"pg_server_tls_issued_after": (NOW + DAY).isoformat()}
    told: list[str] = []
    second = make(path, asked(now=later, **after), told=told)
    assert told == [f"A certificate is made for node1: it was issued before {NOW + DAY}."]
    assert (second["ca"], second["key"] != first["key"]) == (first["ca"], True)
    assert make(path, asked(now=later + DAY, **after)) == second
    assert make(path, asked(now=later + DAY)) == second


def test_a_rotation_asked_for_now_happens_once(path: Path) -> None:
    make(path, asked(now=NOW - DAY))
    now = NOW + timedelta(microseconds=900_000)
    after: dict[str, Any] = {"pg_server_tls_issued_after": (NOW + timedelta(microseconds=500_000)).isoformat()}
    second = make(path, asked(now=now, **after))
    assert make(path, asked(now=now, **after)) == second


@pytest.mark.parametrize(("written", "moment"), [
    ("2026-11-22T10:00:00Z", datetime(2026, 11, 22, 10, tzinfo=timezone.utc)),
    ("2026-11-22 10:00:00.75", datetime(2026, 11, 22, 10, tzinfo=timezone.utc)),
    ("2026-11-22T12:00:00+02:00", datetime(2026, 11, 22, 10, tzinfo=timezone.utc)),
    ("2026-11-22", datetime(2026, 11, 22, tzinfo=timezone.utc)),
    (datetime(2026, 11, 22, 10, tzinfo=timezone.utc), datetime(2026, 11, 22, 10, tzinfo=timezone.utc)),
    (datetime(2026, 11, 22, 10), datetime(2026, 11, 22, 10, tzinfo=timezone.utc)),
    (date(2026, 11, 22), datetime(2026, 11, 22, tzinfo=timezone.utc)),
    ("", None), (None, None)])
def test_a_time_is_understood_as_yaml_and_people_write_it(written: object, moment: datetime | None) -> None:
    now = datetime(2026, 12, 1, tzinfo=timezone.utc)
    assert certificates.issued_after(asked(now=now, pg_server_tls_issued_after=written)) == moment


@generated(st.text(min_size=1))
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        with pytest.raises(InputError, match="^The pg_server_tls_issued_after of node1 is .*, which is no time; give one such"):
            certificates.issued_after(asked(pg_server_tls_issued_after=text))


def test_a_time_that_has_not_come_is_refused_before_anything_is_made(path: Path) -> None:
    after = (NOW + timedelta(hours=1)).isoformat()
    with pytest.raises(InputError, match="and the controller's clock is at .*; give a time that has passed"):
        make(path, asked(pg_server_tls_issued_after=after))
    assert not path.exists()


def test_an_authority_in_its_last_years_is_renewed_and_its_certificates_stay(path: Path) -> None:
    first = make(path, asked(now=NOW - 3000 * DAY))
    recent = make(path, asked(now=NOW - 100 * DAY))
    assert recent["ca"] == first["ca"]
    renewed = make(path)
    assert renewed["certificate"] == recent["certificate"]
    assert renewed["ca"] != recent["ca"]
    assert make(path) == renewed
    for ca in (recent["ca"], renewed["ca"]):
        assert refusal(renewed["certificate"], renewed["key"], ca, "10.0.0.1", strict=True) == ""


@pytest.mark.parametrize("broken", [{"certificate": "x"}, {"key": "s3cret"}, {"key": authority.make(NOW).key}])
def test_an_authority_that_is_damaged_is_refused_and_left_as_it_is(path: Path, broken: dict[str, str]) -> None:
    make(path)
    held = json.loads(path.read_text())
    held["/certificates"]["authority"].update(broken)
    path.write_text(json.dumps(held))
    with pytest.raises(secrets_file.Unusable, match="is unusable; restore the file, or remove its section /certif") as refused:
        make(path)
    assert "s3cret" not in str(refused.value)
    assert json.loads(path.read_text()) == held


def test_members_that_ask_at_once_get_one_authority(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, answers = context.Event(), context.Queue()
    workers = [context.Process(target=make_together, args=(path, host, start, answers)) for host in ("node1", "node2") * 3]
    for worker in workers:
        worker.start()
    start.set()
    found = [answers.get(timeout=30) for _worker in workers]
    for worker in workers:
        worker.join()
    assert len({made["ca"] for _host, made in found}) == 1
    assert len({(host, made["certificate"]) for host, made in found}) == 2
