#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_probe
short_description: What a server holds, as of one snapshot or one exact position in the WAL
version_added: 1.0.0
description:
  - Counts the rows of tables and hashes their content, and runs queries and compares what they give with what is expected.
    Everything in one database is seen by one snapshot. It writes nothing.
  - The hash of a table is the sum of a 64-bit hash of each row's text, modulo 2^64. It depends neither on the order of the rows
    nor on a collation, and costs one read of the table. Two contents that differ by chance have the same hash once in 2^64 times.
    The text of a row is the same on two servers of one major version.
  - With O(mark), a primary tells its content at exactly the position RV(lsn), with which a restore to that position
    (C(target_lsn), not inclusive) can be compared. For that the tables are locked in mode C(SHARE) for a moment, so that no
    transaction which has written to them is open, and released before anything is read. Who writes to them meanwhile waits, at
    most O(lock_timeout) each time. What removes or rewrites a table (C(TRUNCATE), C(ALTER TABLE)) waits until the content was
    read, as with C(pg_dump).
attributes:
  check_mode:
    support: full
    description: Returns the tables that are chosen and reads, locks and probes none.
  diff_mode:
    support: none
    description: It changes nothing.
extends_documentation_fragment:
  - pgmahout.cluster.login
options:
  tables:
    description:
      - The tables whose content is told.
    type: list
    elements: dict
    default: []
    suboptions:
      database:
        description: Database of the table, by default O(login_db). V(*) stands for all but the templates.
        type: str
        default: ""
      table:
        description:
          - Name of the table, with its schema unless that is C(public). V(schema.*) stands for all tables of a schema, V(*) for
            all that users have made. These leave out what is empty after a recovery (unlogged and temporary tables); to name such
            a table is an error. A partitioned table is read as a whole.
        type: str
        required: true
  probes:
    description:
      - Queries to run.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What it is told as.
        type: str
        required: true
      database:
        description: Database to run it in, by default O(login_db).
        type: str
        default: ""
      query:
        description:
          - The query. It runs in a transaction that cannot write, in the time zone UTC, and finds names without a schema in
            C(public).
        type: str
        required: true
      expected:
        description:
          - The rows that it should give; one value stands for one row of one column, a list for rows, each a list of values or
            one value. They are compared as the texts that C(psql) shows, so V(true) is C(t); null is NULL. Without it, any rows
            will do.
        type: raw
  mark:
    description:
      - Whether the content is told as of one exact position in the WAL. The server must be a primary.
    type: bool
    default: false
  switch_wal:
    description:
      - Whether a primary begins a new WAL segment behind the snapshot, so that a WAL archive gets the one before it.
    type: bool
    default: false
  lock_timeout:
    description:
      - How long O(mark) waits for the locks each time, in seconds, and so makes writers wait at most.
      - It must be less than the server's C(deadlock_timeout) (1 s), so that no writer which locks the tables in another order
        ever ends with an error on its account.
    type: float
    default: 0.5
  timeout:
    description:
      - For how long O(mark) tries, in seconds.
    type: int
    default: 60
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: The content of the shop at one position of the WAL is known
  pgmahout.cluster.pg_probe:
    login_unix_socket: /var/run/postgresql
    tables: [{database: shop, table: "*"}]
    mark: true
    switch_wal: true
  become: true
  become_user: postgres
  register: marked

- name: What was restored to there is probed
  pgmahout.cluster.pg_probe:
    login_unix_socket: /srv/restored/run
    login_port: 5499
    tables: "{{ marked.chosen }}"
    probes:
      - {name: no order without a customer, database: shop, expected: 0,
         query: SELECT count(*) FROM orders o LEFT JOIN customers c ON c.id = o.customer_id WHERE c.id IS NULL}
  register: restored
"""

RETURN = r"""
chosen:
  description: The chosen tables by C(database) and C(table), as O(tables) takes them again.
  returned: success
  type: list
  elements: dict
tables:
  description: The chosen tables with their content; none in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    database:
      description: Database of the table.
      type: str
    table:
      description: Schema and name, quoted.
      type: str
    rows:
      description: How many rows it has.
      type: int
    hash:
      description: 16 hexadecimal digits that stand for its content.
      type: str
probes:
  description: The probes, in their order.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: As given.
      type: str
    database:
      description: Where it ran.
      type: str
    query:
      description: As given.
      type: str
    expected:
      description: The rows expected, as texts; null where any will do.
      type: list
      elements: list
    found:
      description: The rows found, as texts; null after an error.
      type: list
      elements: list
    error:
      description: Why the server refused the query.
      type: str
    passed:
      description: Whether it found what was expected.
      type: bool
first_lsn:
  description: Where the WAL ended at the first query, before anything was locked; null in recovery.
  returned: success
  type: str
first_time:
  description: When that was, by the server's clock, in seconds since the epoch.
  returned: success
  type: float
lsn:
  description: With O(mark), the position; without, about where the snapshot was taken.
  returned: success, not in check mode
  type: str
timeline:
  description: The timeline that the position is on.
  returned: success
  type: int
time:
  description: When that was, by the server's clock, in seconds since the epoch.
  returned: success, not in check mode
  type: float
switched:
  description: Whether a new WAL segment was begun, or would be in check mode; RV(ignore:changed) says the same.
  returned: success
  type: bool
in_recovery:
  description: Whether the server is in recovery.
  returned: success
  type: bool
system_identifier:
  description: The server's system identifier, as text.
  returned: success
  type: str
server_version:
  description: The server's version, such as C(18.6).
  returned: success
  type: str
data_checksums:
  description: Whether its pages carry checksums.
  returned: success
  type: bool
replayed_lsn:
  description: Up to where the server has replayed WAL, also long ago; null if it never did.
  returned: success
  type: str
replayed_time:
  description: When the last transaction that it replayed was committed, in seconds since the epoch; null without any.
  returned: success
  type: float
server_started:
  description: When the server was started, by its clock, in seconds since the epoch.
  returned: success
  type: float
recovered:
  description: When its recovery had ended; null while it has not, and where neither autovacuum nor logical replication is on.
  returned: success
  type: float
started:
  description: When the module began, by the clock of its host, in seconds since the epoch.
  returned: success
  type: float
answered:
  description: When the first query was answered.
  returned: success
  type: float
ended:
  description: When everything was read.
  returned: success
  type: float
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import probes, runner

ARGUMENT_SPEC = {
    "tables": {"type": "list", "elements": "dict", "default": [], "options": {
        "database": {"type": "str", "default": ""},
        "table": {"type": "str", "required": True},
    }},
    "probes": {"type": "list", "elements": "dict", "default": [], "options": {
        "name": {"type": "str", "required": True},
        "database": {"type": "str", "default": ""},
        "query": {"type": "str", "required": True},
        "expected": {"type": "raw"},
    }},
    "mark": {"type": "bool", "default": False},
    "switch_wal": {"type": "bool", "default": False},
    "lock_timeout": {"type": "float", "default": 0.5},
    "timeout": {"type": "int", "default": 60},
}


def main() -> None:
    runner.run_reader(probes.gather, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
