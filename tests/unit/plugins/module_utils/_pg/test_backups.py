# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base backups: what is refused, and what would be done, without a host."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import backups, instance
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError

DEST = "/srv/node2/data"
DRAFT = DEST + instance.UNFINISHED
PASS = "/srv/node2/passfile"
LINE = {"host": "node1", "port": "5440", "database": "*", "user": "replicator", "password": "s3cret"}
OPTIONS: dict[str, Any] = {
    "dest": DEST + "/", "conninfo": {"host": "node1", "user": "it's", "password": None}, "slot": "", "passfile": "",
    "passfile_entries": None, "checkpoint": "fast", "max_rate": "", "tablespace_mapping": {}, "write_recovery_conf": True,
    "verify": True, "tls_directory": "", "tls_certificate": None, "tls_key": None, "tls_ca": None}
CONTROL = instance.Control("7001", "in production", 1, "0/1", "0/0", {}, True)
BACKUP = ("pg_basebackup --pgdata=%s --dbname=host=node1 user='it\\'s' --checkpoint=fast --wal-method=stream --no-password"
          % DRAFT)
VERIFY, TOUCH, RENAME = "pg_verifybackup " + DRAFT, "touch %s/standby.signal" % DRAFT, "mv %s %s" % (DRAFT, DEST)


def plan(found: instance.Instance, upstream: str = "", text: str | None = None, copy: str = "", **options: Any) -> Any:
    return backups.plan(backups.Current(found, upstream, {PASS: text}, copy), backups.desired({**OPTIONS, **options}))


@pytest.mark.parametrize("kind", ["missing", "empty"])
@pytest.mark.parametrize(("options", "expected"), [
    ({}, [BACKUP, VERIFY, TOUCH, RENAME]),
    ({"verify": False}, [BACKUP, TOUCH, RENAME]),
    ({"write_recovery_conf": False}, [BACKUP, VERIFY, RENAME]),
    ({"slot": "node2"}, [BACKUP + " --slot=node2", VERIFY, TOUCH, RENAME]),
    ({"checkpoint": "spread", "max_rate": "64M"},
     [BACKUP.replace("fast", "spread") + " --max-rate=64M", VERIFY, TOUCH, RENAME]),
    ({"tablespace_mapping": {"/b": "/d", "/a=x": "/c=y"}},
     [BACKUP + r" --tablespace-mapping=/a\=x=/c\=y --tablespace-mapping=/b=/d", VERIFY, TOUCH, RENAME]),
    ({"copy": "cp -r a b"}, ["cp -r a b", BACKUP, VERIFY, TOUCH, RENAME]),
    ({"passfile": PASS, "passfile_entries": [LINE]}, ["write " + PASS, BACKUP, VERIFY, TOUCH, RENAME]),
    ({"passfile": PASS, "passfile_entries": [LINE], "text": "node1:5440:*:replicator:s3cret\n"},
     [BACKUP, VERIFY, TOUCH, RENAME]),
])
def test_a_clone_is_taken_beside_its_place(kind: str, options: dict[str, Any], expected: list[str]) -> None:
    found = plan(instance.Instance(DEST, kind), **options)
    assert [step.shown for step in found.steps] == expected
    assert (found.before["state"], found.after["state"]) == (kind, "instance")
    assert "s3cret" not in repr(found)


def test_a_clone_of_the_same_system_is_no_change() -> None:
    found = plan(instance.Instance(DEST, "instance", 18, CONTROL), "7001")
    assert found.steps == []
    assert found.before == found.after


def test_another_system_is_refused_with_both_names() -> None:
    with pytest.raises(StateError, match="system 7002 was asked for in %s and an instance of the system 7001 is there" % DEST):
        plan(instance.Instance(DEST, "instance", 18, CONTROL), "7002")


def test_something_else_is_refused() -> None:
    with pytest.raises(StateError, match="not empty and holds no PostgreSQL instance"):
        plan(instance.Instance(DEST, "foreign"))


@pytest.mark.parametrize("mapping", [{"a": "/b"}, {"/a": "b"}, {"": "/b"}])
def test_a_mapping_that_is_not_absolute_is_refused(mapping: dict[str, str]) -> None:
    with pytest.raises(InputError, match="both must be absolute paths"):
        backups.desired({**OPTIONS, "tablespace_mapping": mapping})


def test_a_password_in_the_connection_is_refused() -> None:
    with pytest.raises(InputError, match="option conninfo holds password") as refusal:
        backups.desired({**OPTIONS, "conninfo": {"host": "a", "password": "s3cret"}})
    assert "s3cret" not in str(refusal.value)
