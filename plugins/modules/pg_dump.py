#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_dump
short_description: A logical backup of a database, of all of them, or of the roles
version_added: 1.0.0
description:
  - Runs C(pg_dump) or C(pg_dumpall) beside the dump's place, reads back what they wrote, and gives it its name when it is
    whole. A run that fails or is killed leaves nothing under that name, and the next one removes what it left beside it.
  - Whoever reads a dump reads the data, and with the scopes V(globals) and V(cluster) the roles' password verifiers. A file has
    mode 0600, a directory 0700.
  - Names of tables are exact, such as V(public.orders); quote a part that holds a dot or a quote. A table without a schema is in
    V(public). A table is dumped with its partitions and with the tables that inherit from it.
  - A server newer than the programs in O(bindir) is refused, since they cannot read it.
extends_documentation_fragment:
  - pgmahout.cluster.programs
  - pgmahout.cluster.conninfo
  - pgmahout.cluster.attributes
options:
  dest:
    description:
      - The dump, a file, or a directory with the format V(directory). Give this or O(directory).
    type: path
    default: ""
  directory:
    description:
      - The directory of a series of dumps. Each run adds one, named by the time in UTC such as C(20261122T190102Z.dump).
    type: path
    default: ""
  keep:
    description:
      - How many dumps of O(directory) to keep, the new one counted; V(0) for all. Others are removed when the new one is whole.
    type: int
    default: 0
  on_exists:
    description:
      - What to do when O(dest) is there and is a dump in this format. V(keep) leaves it, and the task changes nothing.
        V(replace) makes a new one, which takes its place when it is whole.
    type: str
    choices: [keep, replace]
    default: keep
  scope:
    description:
      - What is dumped. V(database) is one database, by C(pg_dump). V(globals) are the roles and tablespaces, which no dump of a
        database holds, and V(cluster) is both of everything, by C(pg_dumpall) as one text.
    type: str
    choices: [database, globals, cluster]
    default: database
  database:
    description:
      - The database to dump. Required with the scope V(database).
    type: str
    default: ""
  format:
    description:
      - V(custom) is one compressed file from which M(pgmahout.cluster.pg_restore) can restore parts. V(directory) is the same
        as a file for each table, which several O(jobs) write and read at once. V(tar) is uncompressed. V(plain) is text for
        C(psql); the scopes V(globals) and V(cluster) know nothing else.
      - By default V(custom) with the scope V(database) and V(plain) with the others.
    type: str
    choices: [custom, directory, tar, plain]
  jobs:
    description:
      - How many connections dump at once, with the format V(directory).
    type: int
    default: 1
  content:
    description:
      - Definitions and rows, or the definitions (V(schema)), or the rows (V(data)).
    type: str
    choices: [all, schema, data]
    default: all
  schemas:
    description:
      - Schemas to dump; by default all. One that does not exist is an error.
    type: list
    elements: str
    default: []
  exclude_schemas:
    description:
      - Schemas to leave out.
    type: list
    elements: str
    default: []
  tables:
    description:
      - Tables, views, sequences to dump; by default all. One that does not exist is an error.
      - What they need, such as types and functions, is not dumped with them, and neither are large objects.
    type: list
    elements: str
    default: []
  exclude_tables:
    description:
      - Tables to leave out. One that does not exist is a warning.
    type: list
    elements: str
    default: []
  exclude_table_data:
    description:
      - Tables of which only the definition is dumped. One that does not exist is a warning.
    type: list
    elements: str
    default: []
  compress:
    description:
      - How to compress, V(none), V(gzip), V(zstd) or V(lz4), with a level behind a colon such as V(zstd:3). By default as
        C(pg_dump) does, which is V(gzip) with the formats V(custom) and V(directory).
      - V(zstd) and V(lz4) need programs of version 16 that were built with them. With the format V(plain), the host also needs
        the program of that name, since C(psql) reads no compressed text.
    type: str
    default: ""
  no_owner:
    description:
      - Whether to leave out who owns what.
    type: bool
    default: false
  no_privileges:
    description:
      - Whether to leave out who may do what.
    type: bool
    default: false
  role_passwords:
    description:
      - Whether the scopes V(globals) and V(cluster) hold the roles' password verifiers, which only a superuser may read.
    type: bool
    default: true
  lock_wait_timeout:
    description:
      - How long to wait for the lock on a table that somebody is changing, in seconds; V(0) waits forever.
    type: int
    default: 600
  verify:
    description:
      - Whether every row is read back before the dump gets its name, and not just its table of contents. Text is always read to
        its end.
    type: bool
    default: true
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: A dump of shop is there from before the upgrade
  pgmahout.cluster.pg_dump:
    dest: /srv/dumps/shop-before-upgrade.dump
    database: shop
    conninfo:
      host: node1
      user: backup
      passfile: /srv/dumps/passfile

- name: The last seven dumps of shop are kept
  pgmahout.cluster.pg_dump:
    directory: /srv/dumps/shop
    keep: 7
    database: shop
    format: directory
    jobs: 4
    exclude_table_data: [public.session]
    conninfo: {host: /run/postgresql, user: postgres}

- name: The roles are kept too, which no dump of a database holds
  pgmahout.cluster.pg_dump:
    directory: /srv/dumps/globals
    keep: 7
    scope: globals
    conninfo: {host: /run/postgresql, user: postgres}
"""

RETURN = r"""
commands:
  description: What was done, or would be done in check mode, as commands.
  type: list
  elements: str
  returned: success
dest:
  description: The path of the dump.
  type: str
  returned: success
removed:
  description: The dumps of the series that were removed.
  type: list
  elements: str
  returned: success
size_bytes:
  description: How much the dump takes.
  type: int
  returned: when a dump was made
duration_seconds:
  description: How long it took to make, with reading it back.
  type: float
  returned: when a dump was made
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import conninfo, dumps, programs, runner

ARGUMENT_SPEC = dict(
    programs.SPEC,
    dest={"type": "path", "default": ""},
    directory={"type": "path", "default": ""},
    keep={"type": "int", "default": 0},
    on_exists={"type": "str", "choices": ["keep", "replace"], "default": "keep"},
    scope={"type": "str", "choices": ["database", "globals", "cluster"], "default": "database"},
    database={"type": "str", "default": ""},
    format={"type": "str", "choices": ["custom", "directory", "tar", "plain"]},
    jobs={"type": "int", "default": 1},
    content={"type": "str", "choices": ["all", "schema", "data"], "default": "all"},
    schemas={"type": "list", "elements": "str", "default": []},
    exclude_schemas={"type": "list", "elements": "str", "default": []},
    tables={"type": "list", "elements": "str", "default": []},
    exclude_tables={"type": "list", "elements": "str", "default": []},
    exclude_table_data={"type": "list", "elements": "str", "default": []},
    compress={"type": "str", "default": ""},
    no_owner={"type": "bool", "default": False},
    no_privileges={"type": "bool", "default": False},
    role_passwords={"type": "bool", "default": True},
    lock_wait_timeout={"type": "int", "default": 600},
    verify={"type": "bool", "default": True},
    conninfo=conninfo.SPEC,
)


def main() -> None:
    runner.run(dumps, ARGUMENT_SPEC, dumps.opener)


if __name__ == "__main__":
    main()
