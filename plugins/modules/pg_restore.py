#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_restore
short_description: The restore of a logical backup, or of a part of one
version_added: 1.0.0
description:
  - Restores what M(pgmahout.cluster.pg_dump), C(pg_dump) or C(pg_dumpall) wrote. Archives (custom, directory, tar) go through
    C(pg_restore), text through C(psql), also where it is compressed.
  - The first error ends the restore and is the error of the task. By default all is one transaction, so that nothing of it stays.
  - What is there already is never restored again by accident; see O(when_not_empty).
  - Text is read to its end before anything is done, so that one that was cut off or is damaged changes nothing.
  - For a base backup and point-in-time recovery see the playbook C(restore).
extends_documentation_fragment:
  - pgmahout.cluster.programs
  - pgmahout.cluster.conninfo
  - pgmahout.cluster.attributes
options:
  source:
    description:
      - The dump, on the host that runs the module.
    type: path
    required: true
  database:
    description:
      - The database to restore into. Required but for dumps of roles and tablespaces or of a whole cluster, which name their
        own; for these, and to create a database, the login is to O(conninfo.dbname), by default C(postgres).
    type: str
    default: ""
  create:
    description:
      - Whether to create O(database) when it does not exist. It has another name until it is complete, so that a restore that
        fails or is killed leaves none.
      - It gets the server's encoding, locale and the login's role as owner. Make it by M(pgmahout.cluster.pg_database) for
        others.
    type: bool
    default: false
  when_not_empty:
    description:
      - What to do when something that would be restored is there already, which is any table, view or sequence of the schemas
        and tables to restore; rows of them with O(content=data); any database of one's own with the dump of a cluster; all
        roles with that of the roles.
      - V(fail) refuses, V(skip) changes nothing, V(restore) restores nevertheless, which usually ends with an error or with
        rows twice.
    type: str
    choices: [fail, skip, restore]
    default: fail
  schemas:
    description:
      - Schemas to restore; by default all. They are made when the database lacks them. Archives only.
    type: list
    elements: str
    default: []
  tables:
    description:
      - Tables, views, sequences to restore, such as V(public.orders); by default all. Archives only.
      - A table is restored with its partitions, rows, indexes, constraints, defaults, sequences, triggers, policies, comments
        and privileges. (C(pg_restore --table) leaves all but the rows out.) What it refers to must be there, such as types, or
        tables by foreign keys.
      - One that the dump does not hold is an error.
    type: list
    elements: str
    default: []
  content:
    description:
      - Definitions and rows, or the definitions (V(schema)), or the rows (V(data)). Archives only, but for V(all).
    type: str
    choices: [all, schema, data]
    default: all
  jobs:
    description:
      - How many connections restore at once, from the formats custom and directory.
    type: int
    default: 1
  single_transaction:
    description:
      - Whether all happens or nothing. By default yes, but with several O(jobs), where it is impossible, and for dumps of roles
        and tablespaces or of a cluster.
    type: bool
  clean:
    description:
      - Whether what the dump holds is dropped first, where it exists. Archives only. O(when_not_empty) does not matter then.
      - What other objects depend on cannot be dropped, and C(pg_restore) cannot drop the primary key of a partition; either is an
        error that leaves all as it was. Restore into a database of another name then.
    type: bool
    default: false
  no_owner:
    description:
      - Whether all belongs to the role that logs in, or to O(role), and not to who owned it. Archives only.
    type: bool
    default: false
  no_privileges:
    description:
      - Whether to leave out who may do what. Archives only.
    type: bool
    default: false
  role:
    description:
      - The role to restore as, which the one that logs in must be able to become.
    type: str
    default: ""
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: Yesterday's shop is there beside today's
  pgmahout.cluster.pg_restore:
    source: /srv/dumps/shop/20261122T190102Z.dir
    database: shop_yesterday
    create: true
    when_not_empty: skip
    jobs: 4
    conninfo: {host: /run/postgresql, user: postgres}

- name: One table is back
  pgmahout.cluster.pg_restore:
    source: /srv/dumps/shop.dump
    database: shop
    tables: [public.orders]
    conninfo:
      host: node1
      user: restorer
      passfile: /srv/dumps/passfile
"""

RETURN = r"""
commands:
  description: What was done, or would be done in check mode, as commands and statements.
  type: list
  elements: str
  returned: success
database:
  description: The database that was restored into; empty for a dump that names its own.
  type: str
  returned: success
scope:
  description: What the dump is of, C(database), C(globals) or C(cluster).
  type: str
  returned: success
duration_seconds:
  description: How long the restore took.
  type: float
  returned: when something was restored
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import conninfo, dump_restore, programs, runner

ARGUMENT_SPEC = dict(
    programs.SPEC,
    source={"type": "path", "required": True},
    database={"type": "str", "default": ""},
    create={"type": "bool", "default": False},
    when_not_empty={"type": "str", "choices": ["fail", "skip", "restore"], "default": "fail"},
    schemas={"type": "list", "elements": "str", "default": []},
    tables={"type": "list", "elements": "str", "default": []},
    content={"type": "str", "choices": ["all", "schema", "data"], "default": "all"},
    jobs={"type": "int", "default": 1},
    single_transaction={"type": "bool"},
    clean={"type": "bool", "default": False},
    no_owner={"type": "bool", "default": False},
    no_privileges={"type": "bool", "default": False},
    role={"type": "str", "default": ""},
    conninfo=conninfo.SPEC,
)


def main() -> None:
    runner.run(dump_restore, ARGUMENT_SPEC, dump_restore.opener)


if __name__ == "__main__":
    main()
