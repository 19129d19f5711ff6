# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that write to a cluster all the time: what was acknowledged, what of it is lost, and for how long nobody could write.

``Load`` has several writers that find the primary by themselves, as applications do (``target_session_attrs=read-write``), and on
request one for each member that tries this member alone, whatever it is. Every transaction inserts one row, and every commit that
the server acknowledged is kept with its timeline. What follows from these is said by pure functions.

    with Load({"node1": (socket_directory, 5440), "node2": (socket_directory, 5441)}, {"user": "postgres"}) as load:
        lab.play("switchover").ok()
        load.go_on()
    assert not load.lost()
    assert load.gaps()[2] < 1
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple

import psycopg2
from psycopg2.errors import ReadOnlySqlTransaction, UndefinedTable

#: How often roles change in the tests that do so under load. Who gives it has the machine for it; else there is less load.
TURNS = os.environ.get("PGMAHOUT_TURNS")
WRITERS = 8 if TURNS else 3
PAUSE = 0.01 if TURNS else 0.02  # seconds between two transactions of a writer: as fine as gaps are looked at here
RETRY = 0.05  # seconds before a writer that was refused tries again: many that connect in vain keep servers from becoming ready
SOON = 2  # seconds: who has been refused for longer tries again later, since each try is a process of each server
LATER = 0.25  # seconds
RETRY_DIRECTLY = 0.02 if TURNS else 0.05  # seconds, where most members refuse all the time
PATIENCE = 60  # seconds: who is refused for longer waits in vain

#: A cut cable is noticed soon, and nothing is negotiated that the test does not need.
_CONNECTION = {"connect_timeout": 1, "tcp_user_timeout": 2000, "gssencmode": "disable", "application_name": "load"}
_TABLE = """
    CREATE TABLE IF NOT EXISTS load (
        writer text, number int, at timestamptz DEFAULT clock_timestamp(),
        timeline int DEFAULT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int,
        PRIMARY KEY (writer, number))
"""
_INSERT = "INSERT INTO load (writer, number) VALUES (%s, %s) RETURNING timeline"

Row = tuple[str, int]


def turns(usual: int) -> int:
    """Return how often roles are to change: as usual, unless the environment variable ``PGMAHOUT_TURNS`` says."""
    return int(TURNS or usual)


class Commit(NamedTuple):
    """A commit that was acknowledged.

    Attributes:
        writer: who wrote.
        number: which of the writer's rows.
        member: the member that acknowledged it.
        timeline: the one that the member was on.
        sent: when the transaction was sent, in seconds of a clock that only goes forward.
        at: when the acknowledgement was there.
    """

    writer: str
    number: int
    member: str
    timeline: int
    sent: float
    at: float

    @property
    def row(self) -> Row:
        """The row that it inserted."""
        return self.writer, self.number


def lost(acknowledged: Iterable[Commit], rows: Collection[Row]) -> list[Commit]:
    """Return the commits whose rows are not there. Rows that nobody acknowledged may be there as well."""
    there = set(rows)
    return [commit for commit in acknowledged if commit.row not in there]


def gaps(acknowledged: Iterable[Commit]) -> dict[int, float]:
    """Return for each timeline but the first the seconds between the last commit of the one before and its own first."""
    ordered = sorted(acknowledged, key=lambda commit: commit.at)
    last = {commit.timeline: commit.at for commit in ordered}
    first = {commit.timeline: commit.at for commit in reversed(ordered)}
    timelines = sorted(first)
    return {after: first[after] - last[before] for before, after in zip(timelines, timelines[1:], strict=False)}


def two_primaries(acknowledged: Iterable[Commit]) -> list[Commit]:
    """Return the commits that prove that there were two primaries.

    One is on a timeline of which another member acknowledged the first commit, since the member that began a timeline is the only
    one that may write there. The other was sent when a commit on a newer timeline had already been acknowledged.
    """
    ordered = sorted(acknowledged, key=lambda commit: commit.at)
    first = {commit.timeline: commit for commit in reversed(ordered)}
    return [commit for commit in ordered
            if commit.member != first[commit.timeline].member
            or any(newer.timeline > commit.timeline and newer.at < commit.sent for newer in first.values())]


class _Writer(threading.Thread):
    """Commits one row after the other, and connects anew whenever it is refused."""

    def __init__(self, name: str, conninfo: Mapping[str, Any], members: Mapping[tuple[str, int], str], pause: float,
                 retry: float) -> None:
        super().__init__(name=f"writer {name}", daemon=True)
        self.commits: list[Commit] = []
        self.error: Exception | None = None
        self._writer, self._conninfo, self._members, self._pause, self._retry = name, conninfo, members, pause, retry
        self._connection: Any = None
        self._member = ""
        self._end = threading.Event()

    def stop(self) -> None:
        """Let it end with the transaction that it is at."""
        self._end.set()

    def run(self) -> None:
        number = 0
        while not self._end.is_set():
            number += 1
            try:
                self._commit(number)
                self._end.wait(self._pause)
            except (ReadOnlySqlTransaction, UndefinedTable):  # the table gets to a standby a moment later
                self._refused()
            except (psycopg2.DatabaseError, psycopg2.InterfaceError) as error:
                # What has no SQLSTATE is not from the server: the connection broke.
                if error.pgcode is not None and not isinstance(error, psycopg2.OperationalError):
                    self.error = error
                    return
                self._connection = None
                self._wait()
            except Exception as error:  # whatever else it is, the one who stops the load must hear of it
                self.error = error
                return
        self._close()

    def _commit(self, number: int) -> None:
        if self._connection is None:
            self._connection = psycopg2.connect(**self._conninfo)
            self._connection.autocommit = True
            self._member = self._members[self._connection.info.host, self._connection.info.port]
        with self._connection.cursor() as cursor:
            sent = time.monotonic()
            cursor.execute(_INSERT, (self._writer, number))
            at = time.monotonic()
            self.commits.append(Commit(self._writer, number, self._member, cursor.fetchone()[0], sent, at))

    def _refused(self) -> None:
        """Look for another primary; one that is to try this member alone stays."""
        if "target_session_attrs" in self._conninfo:
            self._close()
        self._wait()

    def _wait(self) -> None:
        """Wait before the next try; one that is to try this member alone is there whenever it could write."""
        is_long_ago = "target_session_attrs" in self._conninfo and self.commits and time.monotonic() > self.commits[-1].at + SOON
        self._end.wait(LATER if is_long_ago else self._retry)

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None


class Load:
    """Writers, from the beginning of a ``with`` block to its end; they write into the table ``load``, which is made empty.

    Args:
        members: host (or directory of the socket) and port of each member, by name.
        login: further keywords of a connection, such as user, dbname, password, passfile; who it is may make a table.
        writers: how many.
        pause: seconds between two transactions of one of them.
        everywhere: whether each member is also tried alone all the time.
    """

    def __init__(self, members: Mapping[str, tuple[str, int]], login: Mapping[str, Any], writers: int = WRITERS,
                 pause: float = PAUSE, everywhere: bool = False) -> None:
        keywords = {"dbname": "postgres", **_CONNECTION, **login}
        self._conninfo = {**keywords, "host": ",".join(host for host, _port in members.values()),
                          "port": ",".join(str(port) for _host, port in members.values()), "target_session_attrs": "read-write"}
        names = {address: name for name, address in members.items()}
        self._finders = [_Writer(str(number), self._conninfo, names, pause, RETRY) for number in range(1, writers + 1)]
        self._others = [_Writer(name, {**keywords, "host": host, "port": port}, names, RETRY_DIRECTLY, RETRY_DIRECTLY)
                        for name, (host, port) in members.items() if everywhere]

    def __enter__(self) -> Load:
        """Begin, and return when every writer that finds the primary has written.

        Raises:
            TimeoutError: one could not for a minute.
            psycopg2.Error: nobody can be connected to, or something else than a refusal came.
        """
        with contextlib.closing(psycopg2.connect(**self._conninfo)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(_TABLE)
            cursor.execute("TRUNCATE load")
        for writer in self._writers:
            writer.start()
        try:
            self.go_on()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End.

        Raises:
            Exception: what else than a refusal a writer met, unless the block has failed itself.
        """
        self._stop()
        if error is None:
            self._check()

    @property
    def commits(self) -> list[Commit]:
        """What was acknowledged so far, in the order in which it was."""
        return sorted((commit for writer in self._writers for commit in list(writer.commits)), key=lambda commit: commit.at)

    def go_on(self, seconds: float = PATIENCE) -> None:
        """Return when every writer that finds the primary has sent and got acknowledged one more.

        Raises:
            TimeoutError: one could not in time.
            Exception: what else than a refusal a writer met.
        """
        since = time.monotonic()
        for writer in self._finders:
            while not (writer.commits and writer.commits[-1].sent > since):
                self._check()
                if time.monotonic() > since + seconds:
                    raise TimeoutError(f"The {writer.name} was to commit a row and was refused for {seconds} s.")
                time.sleep(RETRY)

    def rows(self) -> list[Row]:
        """Return the rows that are there, on the primary."""
        with contextlib.closing(psycopg2.connect(**self._conninfo)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT writer, number FROM load")
            return list(cursor.fetchall())

    def lost(self) -> list[Commit]:
        """Return what was acknowledged and is not on the primary."""
        return lost(self.commits, self.rows())

    def gaps(self) -> dict[int, float]:
        """Return the seconds without a commit in front of each new timeline."""
        return gaps(self.commits)

    def two_primaries(self) -> list[Commit]:
        """Return the commits that prove that there were two primaries."""
        return two_primaries(self.commits)

    @property
    def _writers(self) -> Sequence[_Writer]:
        return [*self._finders, *self._others]

    def _stop(self) -> None:
        for writer in self._writers:
            writer.stop()
        for writer in self._writers:
            writer.join(PATIENCE)

    def _check(self) -> None:
        for writer in self._writers:
            if writer.error is not None:
                raise writer.error
