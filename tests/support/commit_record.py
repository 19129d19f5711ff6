# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who wrote what, and which rows a recovery must bring back: a record that knows nothing of backups.

``Writer`` puts a steady load on a server and remembers every transaction by its xid. Which of them came when is read from the
server's own WAL. ``Record.rows`` does what was remembered once more, in the order of the commits and as far as a recovery goes.

How far it goes is PostgreSQL's documentation, chapter 19.5.6 (recovery target), and its ``xlogrecovery.c``:

- An LSN is compared with where records start. Inclusive, the first record at or behind it is still replayed.
- A time is compared with the times in commits and aborts. These are taken before the record has its place, so they are not in the
  order of the log, and the first record that is too late ends the recovery, whatever would come behind it.
- An xid is compared for equality only, with commits and with aborts.
- A restore point is replayed. Where its name is there twice, the first one counts.
- What is in front of the backup's start is in the backup, and is not looked at.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, NamedTuple

from .postgres import Server, bindir, server_user

#: The rows that all sessions share: their ids, and what they begin with.
ACCOUNTS = dict.fromkeys(range(1, 21), 1000)
#: Between two ids that sessions give away on their own, so that no two give the same.
_STRIDE = 1_000_000

_TABLE = "CREATE TABLE ledger (id bigint PRIMARY KEY, amount bigint NOT NULL, filler text NOT NULL)"
_FILLER = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 8))"

Rows = dict[int, int]


class Change(NamedTuple):
    """What one statement does to one row: ``insert``, ``set``, ``add`` or ``delete``."""

    verb: str
    id: int
    amount: int = 0

    def statement(self) -> str:
        """Return it as SQL."""
        return {"insert": f"INSERT INTO ledger VALUES ({self.id}, {self.amount}, {_FILLER})",
                "set": f"UPDATE ledger SET amount = {self.amount} WHERE id = {self.id}",
                "add": f"UPDATE ledger SET amount = amount + {self.amount} WHERE id = {self.id}",
                "delete": f"DELETE FROM ledger WHERE id = {self.id}"}[self.verb]

    def do(self, rows: Rows) -> None:
        """Do it to rows in memory."""
        if self.verb == "delete":
            del rows[self.id]
        else:
            rows[self.id] = self.amount + (rows[self.id] if self.verb == "add" else 0)


#: A transaction's steps: changes, and statements that begin, keep and drop subtransactions.
Script = Sequence["Change | str"]
SAVEPOINT, RELEASE, ROLLBACK_TO = "SAVEPOINT s", "RELEASE s", "ROLLBACK TO s"


def kept(script: Script) -> tuple[Change, ...]:
    """Return the changes that remain when the whole transaction commits; subtransactions are not nested."""
    done: list[Change] = []
    mark = 0
    for step in script:
        if isinstance(step, Change):
            done.append(step)
        elif step == SAVEPOINT:
            mark = len(done)
        elif step == ROLLBACK_TO:
            del done[mark:]
    return tuple(done)


class Transaction(NamedTuple):
    """One that a session made; ``committed`` says how the session ended it."""

    xid: int
    changes: tuple[Change, ...]
    committed: bool


class Entry(NamedTuple):
    """A record of the WAL.

    Attributes:
        lsn: where it starts.
        kind: such as ``COMMIT``, ``ABORT``, ``RESTORE_POINT``.
        xid: of the whole transaction; 0 for none.
        time: of commits and aborts.
        name: of a restore point.
    """

    lsn: int
    kind: str
    xid: int = 0
    time: datetime | None = None
    name: str = ""


class Target(NamedTuple):
    """Where a recovery is to end.

    Attributes:
        kind: ``time``, ``xid``, ``lsn``, ``name``, ``immediate`` or ``latest``.
        value: a ``datetime``, an xid, an LSN as a number, a name; for ``immediate`` the LSN at which the backup stopped, and for
            ``latest`` the one at which the timeline ended.
        inclusive: as ``recovery_target_inclusive``; without a meaning for the last three.
    """

    kind: str
    value: Any
    inclusive: bool = True


class Record(NamedTuple):
    """All transactions, and the WAL that they went to in its order."""

    transactions: Mapping[int, Transaction]
    wal: Sequence[Entry]

    def end(self, target: Target, since: int = 0) -> int:
        """Return where a recovery ends: it has replayed the records that start in front of this LSN, and no other.

        Args:
            target: where it is to end.
            since: the LSN at which it begins, where the backup started.

        Raises:
            LookupError: it never comes to the target.
        """
        if target.kind in ("immediate", "latest"):
            return int(target.value)
        for entry in self.wal:
            if entry.lsn >= since and _ends_before(entry, target):
                return entry.lsn
            if entry.lsn >= since and _ends_behind(entry, target):
                return entry.lsn + 1
        raise LookupError(f"the WAL does not come to {target}")

    def rows(self, target: Target, since: int = 0) -> Rows:
        """Return the rows that are there after a recovery; see ``end``."""
        end, rows = self.end(target, since), dict(ACCOUNTS)
        for entry in self.wal:
            if entry.kind == "COMMIT" and entry.lsn < end and entry.xid in self.transactions:
                for change in self.transactions[entry.xid].changes:
                    change.do(rows)
        return rows

    def ends_of_transactions(self) -> list[Entry]:
        """Return the commits and aborts of the writer."""
        return [entry for entry in self.wal if entry.kind in ("COMMIT", "ABORT") and entry.xid in self.transactions]

    def contradictions(self, confirmed: Iterable[int]) -> list[str]:
        """Return where the WAL says anything else than the sessions know; nothing, if all is well.

        Args:
            confirmed: the xids whose commit the server has confirmed. What others became may not be in the WAL yet.
        """
        ended: dict[int, list[str]] = {xid: [] for xid in self.transactions}
        for entry in self.ends_of_transactions():
            ended[entry.xid].append(entry.kind)
        surely = set(confirmed)
        return [f"transaction {made.xid} was to end with {wanted} and the WAL says {ended[made.xid]}"
                for made in self.transactions.values() for wanted in [["COMMIT" if made.committed else "ABORT"]]
                if ended[made.xid] != wanted and (ended[made.xid] or made.xid in surely)]


def _ends_before(entry: Entry, target: Target) -> bool:
    if target.kind == "lsn":
        return not target.inclusive and entry.lsn >= target.value
    if entry.kind not in ("COMMIT", "ABORT"):
        return False
    if target.kind == "time" and entry.time is not None:
        return bool(entry.time > target.value if target.inclusive else entry.time >= target.value)
    return target.kind == "xid" and not target.inclusive and entry.xid == target.value


def _ends_behind(entry: Entry, target: Target) -> bool:
    if target.kind == "lsn":
        return bool(entry.lsn >= target.value)
    if target.kind == "name":
        return entry.kind == "RESTORE_POINT" and entry.name == target.value
    return target.kind == "xid" and entry.kind in ("COMMIT", "ABORT") and entry.xid == target.value


_LINE = re.compile(r"tx: +(\d+), lsn: ([0-9A-F]+)/([0-9A-F]+), prev \S+, desc: (\w+) ?(.*)")


def parse(printed: str) -> list[Entry]:
    """Return what ``pg_waldump`` printed, with times in UTC, as records."""
    return [_entry(*found.groups()) for found in _LINE.finditer(printed)]


def _entry(xid: str, high: str, low: str, kind: str, rest: str) -> Entry:
    made = Entry((int(high, 16) << 32) + int(low, 16), kind, int(xid))
    if kind in ("COMMIT", "ABORT"):
        time = datetime.strptime(rest[:26], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=timezone.utc)
        return made._replace(time=time)
    return made._replace(name=rest) if kind == "RESTORE_POINT" else made


def read_wal(server: Server, begin: str) -> list[Entry]:
    """Return the records in a server's own WAL from an LSN to what it has flushed so far."""
    directory = bindir(server.major)
    assert directory is not None
    end = server.sql("SELECT pg_current_wal_flush_lsn()")[0][0]
    done = subprocess.run([directory / "pg_waldump", f"--path={server.data}/pg_wal", f"--start={begin}", f"--end={end}"],
                          check=True, text=True, capture_output=True, user=server_user(), env={**os.environ, "TZ": "UTC"})
    return parse(done.stdout)


def read_rows(server: Server, dbname: str = "postgres") -> Rows:
    """Return the rows as they are."""
    return dict(server.sql("SELECT id, amount FROM ledger", dbname))


class Writer:
    """Several sessions that write to one server until they are stopped.

    Args:
        server: its database ``postgres`` gets the table ``ledger``. It must keep all WAL (``wal_keep_size``).
        seed: of the choices that the sessions make.
        sessions: how many.
        pause: between two transactions of a session, in seconds.
    """

    def __init__(self, server: Server, seed: int, sessions: int = 4, pause: float = 0.02) -> None:
        self._server = server
        server.sql(_TABLE)
        server.sql("INSERT INTO ledger VALUES " + ", ".join(f"({id}, {amount}, '')" for id, amount in ACCOUNTS.items()))
        self._begin = server.sql("SELECT pg_current_wal_insert_lsn()")[0][0]
        self._transactions: dict[int, Transaction] = {}
        self._confirmed: set[int] = set()
        self._errors: list[Exception] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._session, args=(number, random.Random(seed + number), pause))
                         for number in range(1, sessions + 1)]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Write for as long as the block lasts.

        Raises:
            Exception: the first one of a session.
        """
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._end.set()
            for thread in self._threads:
                thread.join()
        if self._errors:
            raise self._errors[0]

    @property
    def count(self) -> int:
        """How many commits have been confirmed so far."""
        return len(self._confirmed)

    def record(self) -> Record:
        """Return what was written so far. What is committed meanwhile is in the WAL and known, or neither.

        Raises:
            AssertionError: the WAL contradicts what the sessions know.
        """
        confirmed = set(self._confirmed)
        wal = read_wal(self._server, self._begin)
        made = Record(dict(self._transactions), wal)
        assert not (found := made.contradictions(confirmed)), found
        return made

    def _session(self, number: int, choice: random.Random, pause: float) -> None:
        try:
            scripts = _Scripts(number, choice)
            connection = self._server.connect()
            connection.autocommit = False
            while not self._end.wait(pause * choice.uniform(0.5, 1.5)):
                self._transact(connection, scripts)
            connection.close()
        except Exception as error:  # whatever it was, the one who stops the writer must hear of it
            self._errors.append(error)

    def _transact(self, connection: Any, scripts: _Scripts) -> None:
        script, commits = scripts.next()
        with connection.cursor() as cursor:
            for step in script:
                cursor.execute(step.statement() if isinstance(step, Change) else step)
                assert cursor.rowcount == 1 or isinstance(step, str), f"{step} met {cursor.rowcount} rows"
            cursor.execute("SELECT pg_current_xact_id()::text::bigint")
            xid = cursor.fetchone()[0]
        changes = kept(script) if commits else ()
        self._transactions[xid] = Transaction(xid, changes, commits)
        if commits:
            connection.commit()
            self._confirmed.add(xid)
            scripts.learn(changes)
        else:
            connection.rollback()


class _Scripts:
    """What one session does. Only rows of its own come and go; those that all share are only added to, in the order of their ids,
    so that no session waits for another in a circle."""

    def __init__(self, number: int, choice: random.Random) -> None:
        self._next_id = number * _STRIDE
        self._mine: set[int] = set()
        self._choice = choice

    def next(self) -> tuple[Script, bool]:
        """Return the next transaction, and whether it commits."""
        kinds = [self._insert, self._insert_many, self._transfer, self._transfer, self._savepoint, self._savepoint]
        if len(self._mine) > 10:
            kinds += [self._set, self._delete, self._delete]
        return self._choice.choice(kinds)(), self._choice.random() > 0.15

    def learn(self, changes: Iterable[Change]) -> None:
        """Take note of what was committed."""
        for change in changes:
            if change.verb == "insert":
                self._mine.add(change.id)
            elif change.verb == "delete":
                self._mine.discard(change.id)

    def _insert(self) -> list[Change | str]:
        self._next_id += 1
        return [Change("insert", self._next_id, self._choice.randrange(1000))]

    def _insert_many(self) -> list[Change | str]:
        return [step for _ in range(self._choice.randint(2, 8)) for step in self._insert()]

    def _transfer(self) -> list[Change | str]:
        sum_, (first, second) = self._choice.randint(1, 100), sorted(self._choice.sample(sorted(ACCOUNTS), 2))
        return [Change("add", first, -sum_), Change("add", second, sum_)]

    def _savepoint(self) -> list[Change | str]:
        end = self._choice.choice([RELEASE, ROLLBACK_TO])
        return [*self._insert(), SAVEPOINT, *self._insert(), *self._transfer(), end, *self._insert()]

    def _set(self) -> list[Change | str]:
        return [Change("set", self._choice.choice(sorted(self._mine)), self._choice.randrange(1000))]

    def _delete(self) -> list[Change | str]:
        return [Change("delete", id) for id in self._choice.sample(sorted(self._mine), self._choice.randint(1, 5))]
