# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""At random targets under a running write load, the restored rows are exactly those that an independent record of commits has.

Each kind of target, inclusive and exclusive, from each kind of backup, with the WAL that came either way. Where the target alone
tells which backup leads to it, none is named.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import lsn
from tests.support.commit_record import Entry, Record, Target, Writer, read_rows
from tests.support.postgres import Server, bindir
from tests.support.replication import await_true
from tests.support.restores import Source, restored, source

SEED = int(os.environ.get("PGMAHOUT_SEED", "20261122"))

#: The sources by version and way, and how WAL is compressed there, as far as the builds at hand can.
SOURCES = {(18, "archive"): "gzip", (18, "stream"): "gzip", (15, "archive"): "zstd", (15, "stream"): "lz4"}
#: The backups of each version in the order in which they are taken: their names, and the options of pg_backup.
BACKUPS: dict[int, dict[str, dict[str, Any]]] = {
    15: {"tar": {"format": "tar", "compress": "zstd"}},
    18: {"tar": {"format": "tar", "compress": "gzip"}, "plain": {}, "part": {"incremental": 2}, "chain": {"incremental": 2}},
}
TARGETS = [pytest.param(kind, inclusive, id=f"{kind}-{'inclusive' if inclusive else 'exclusive'}")
           for kind in ("time", "xid", "lsn") for inclusive in (True, False)]
TARGETS += [pytest.param(kind, True, id=kind) for kind in ("name", "immediate", "latest")]


class Loaded(NamedTuple):
    """A source under load."""

    source: Source
    writer: Writer


@pytest.fixture(scope="module")
def loaded(request: pytest.FixtureRequest) -> Iterator[Loaded]:
    """A source with all its backups, taken while the writer writes, and transactions and a restore point behind each."""
    major, way = request.param
    if bindir(major) is None:
        pytest.skip(f"PostgreSQL {major} is not installed on this machine")
    settings = {"summarize_wal": "on"} if major >= 17 else {}
    with source(major, way, SOURCES[major, way], **settings) as made:
        writer = Writer(made.server, SEED, pause=0.04)
        with writer.running():
            for name, options in BACKUPS[major].items():
                grow(writer, 20)
                made.backup(name, **options)
                grow(writer, 60)
                made.server.sql(f"SELECT pg_create_restore_point('behind {name}')")
                grow(writer, 60)
            yield Loaded(made, writer)


def named(key: tuple[int, str]) -> str:
    return f"pg{key[0]}-{key[1]}"


def grow(writer: Writer, transactions: int) -> None:
    """Wait until the writer has committed so many more."""
    enough = writer.count + transactions
    await_true(lambda: writer.count >= enough)


@pytest.mark.parametrize("loaded", SOURCES, indirect=True, scope="module", ids=named)
@pytest.mark.parametrize(("kind", "inclusive"), TARGETS)
def test_a_packed_backup_leads_to_the_target(loaded: Loaded, kind: str, inclusive: bool) -> None:
    prove(loaded, "tar", Target(kind, None, inclusive))


@pytest.mark.parametrize("loaded", [key for key in SOURCES if key[0] == 18], indirect=True, scope="module", ids=named)
@pytest.mark.parametrize(("kind", "inclusive"), TARGETS)
@pytest.mark.parametrize("backup", ["plain", "chain"])
def test_a_backup_that_is_a_directory_leads_to_the_target(loaded: Loaded, backup: str, kind: str, inclusive: bool) -> None:
    prove(loaded, backup, Target(kind, None, inclusive))


def prove(loaded: Loaded, backup: str, target: Target) -> None:
    """Restore to a random target that a backup is the nearest to, and compare the rows."""
    made, writer = loaded
    choice = random.Random(f"{SEED} {made.server.major} {made.way} {backup} {target}")
    grow(writer, 20)
    before = writer.record()
    made.ship()
    target, options = pick(choice, before, made, backup, target)
    with restored(made, **options) as done:
        if target.kind == "latest":
            target = target._replace(value=end_of_timeline(done.server))
            assert target.value > before.ends_of_transactions()[-1].lsn
        entry = made.backups[backup]
        rows = writer.record().rows(target, since=lsn.parse(entry["start_lsn"]))
        assert read_rows(done.server) == rows, f"{target} of the backup {backup}, seed {SEED}"
        assert done.chosen["backups"][-1] == entry["id"]
        assert len(done.chosen["backups"]) == (3 if backup == "chain" else 1)


def pick(choice: random.Random, record: Record, made: Source, backup: str, target: Target) -> tuple[Target, dict[str, Any]]:
    """Return a random target that this backup is the nearest to, and the options of pg_backup_restore for it."""
    entry = made.backups[backup]
    plain = {"target_inclusive": target.inclusive}
    if target.kind == "latest":
        return target, {"backup": entry["id"], **plain}
    if target.kind == "immediate":
        stop = lsn.parse(entry["stop_lsn"])
        return target._replace(value=stop), {"backup": entry["id"], "target_immediate": True, **plain}
    if target.kind == "name":
        return target._replace(value=f"behind {backup}"), {"target_name": f"behind {backup}", **plain}
    ends = reached_best_from(record, made, backup)
    # Without a commit at the target, inclusive and exclusive would be the same.
    end = choice.choice(ends if target.inclusive else [end for end in ends if end.kind == "COMMIT"])
    if target.kind == "time":
        assert end.time is not None
        return target._replace(value=end.time), {"target_time": end.time.isoformat(), **plain}
    if target.kind == "xid":
        return target._replace(value=end.xid), {"target_xid": str(end.xid), **plain}
    # Where the record starts, or one byte behind it, where none does.
    position = end.lsn + (choice.randint(0, 1) if target.inclusive else 0)
    return target._replace(value=position), {"target_lsn": lsn.show(position), **plain}


def reached_best_from(record: Record, made: Source, backup: str) -> list[Entry]:
    """Return the ends of transactions that are behind a backup, and in no way behind the next one."""
    names = list(made.backups)
    following = names[names.index(backup) + 1:][:1]
    found = [end for end in record.ends_of_transactions() if all(is_behind(end, made.backups[backup]))
             and not any(any(is_behind(end, made.backups[name])) for name in following)]
    # The last ones may be the end of what is in the archive, where a recovery would not see that it has come to its target.
    return found[:-5]


def is_behind(end: Entry, entry: dict[str, Any]) -> list[bool]:
    """Return whether the end of a transaction is behind a backup by its LSN, by its xid, and by its time."""
    assert end.time is not None
    return [end.lsn >= lsn.parse(entry["stop_lsn"]), end.xid >= entry["next_xid"],
            end.time >= datetime.fromisoformat(entry["stop_time"])]


def end_of_timeline(server: Server) -> int:
    """Return the LSN at which a promoted server left the timeline of its backup."""
    return lsn.parse((server.data / "pg_wal/00000002.history").read_text().split()[1])
