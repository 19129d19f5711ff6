#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_publication
short_description: What a database publishes
version_added: 1.0.0
description:
  - Makes, changes or drops a publication for logical replication, from any state to any other.
  - An option that is not given is left as it is. O(tables), O(schemas) and O(all_tables) are one value, namely what is
    published. Where one of them is given, exactly that is published afterwards.
  - A change is one statement where PostgreSQL has one, else one transaction, so that there is no moment in which a
    subscriber misses a table. Changing to or from all tables drops the publication and makes it anew in a transaction.
  - Row filters are compared as the server understands them, without touching the publication.
  - PostgreSQL 13 to 18. O(schemas), O(tables[].columns) and O(tables[].where) need version 15.
options:
  name:
    description:
      - Name of the publication, kept exactly as written.
    type: str
    required: true
  state:
    description:
      - Whether the publication exists.
    type: str
    choices: [present, absent]
    default: present
  all_tables:
    description:
      - Publish all tables, also those that will be made. Only a superuser may own such a publication.
    type: bool
  tables:
    description:
      - The tables to publish. Only these, not what inherits from them. A partitioned table stands for its partitions.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - C(table) or C(schema.table), without a schema one of C(public). The case is kept as written. Quotes are only
            needed around a part that holds a dot or a quote, as in C("odd.schema".table).
        type: str
        required: true
      columns:
        description:
          - The columns to publish, in any order. Without it all, also those that will be added.
          - Needs PostgreSQL 15. It cannot be combined with O(schemas), and for a partitioned table it needs
            O(publish_via_partition_root).
        type: list
        elements: str
      where:
        description:
          - The row filter, one SQL expression over the table's columns. Comments and semicolons are refused.
          - Needs PostgreSQL 15, and for a partitioned table O(publish_via_partition_root).
        type: str
  schemas:
    description:
      - Schemas to publish with all their tables, also those that will be made. May be combined with O(tables).
      - Needs PostgreSQL 15, and a superuser.
    type: list
    elements: str
  publish:
    description:
      - Which changes are published. A new publication has all four, unless this is given.
    type: list
    elements: str
    choices: [insert, update, delete, truncate]
  publish_via_partition_root:
    description:
      - Whether changes of partitions are published as changes of the topmost partitioned table that is published.
        A new publication does not, unless this is given.
    type: bool
  publish_generated_columns:
    description:
      - Which generated columns are published where there is no column list. A new publication has V(none), unless this
        is given.
      - Needs PostgreSQL 18.
    type: str
    choices: [none, stored]
  owner:
    description:
      - Role that owns the publication. A new one belongs to O(login_user), unless this is given.
    type: str
  comment:
    description:
      - The publication's comment. An empty one removes it.
    type: str
  readers:
    description:
      - Roles that may read what is published, so that their subscriptions can do the initial copy with least privilege.
      - They are granted what they lack of C(USAGE) on the schemas and C(SELECT) on the tables as a subscriber copies
        them; where there is a column list, on its columns and those that the row filter names. Nothing is ever revoked.
      - Tables that are made later are granted when the module runs again.
      - Needs O(tables), O(schemas) or O(all_tables).
    type: list
    elements: str
extends_documentation_fragment:
  - pgmahout.cluster.login
  - pgmahout.cluster.attributes
seealso:
  - module: pgmahout.cluster.pg_subscription
  - module: pgmahout.cluster.pg_replication_role
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: Paid orders are published, without the customers' addresses
  pgmahout.cluster.pg_publication:
    login_db: shop
    name: sales
    tables:
      - name: public.orders
        columns: [id, customer, total]
        where: total > 0
      - name: public.customers
        columns: [id, name]
    readers: [subscriber]

- name: A schema and one more table are published, inserts only
  pgmahout.cluster.pg_publication:
    login_db: shop
    name: archive
    schemas: [history]
    tables:
      - name: audit.log
    publish: [insert]

- name: Everything is published
  pgmahout.cluster.pg_publication:
    login_db: shop
    name: everything
    all_tables: true

- name: A publication that is not needed any more is gone
  pgmahout.cluster.pg_publication:
    login_db: shop
    name: everything
    state: absent
"""

RETURN = r"""
statements:
  description: What was sent to the server, or would be sent in check mode, in order.
  returned: success
  type: list
  elements: str
  sample: ['ALTER PUBLICATION "sales" SET TABLE ONLY "public"."orders" WHERE (total > 0)']
diff:
  description: What was asked about, before and after. A row filter that means the same as the wanted one has its text.
  returned: success
  type: dict
  contains:
    before:
      description: The state that was found.
      type: dict
      returned: success
    after:
      description: The state that was asked for. C(readers_lack) is what readers may not read, afterwards nothing.
      type: dict
      returned: success
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import publications, runner

ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "all_tables": {"type": "bool"},
    "tables": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "columns": {"type": "list", "elements": "str"},
            "where": {"type": "str"},
        },
    },
    "schemas": {"type": "list", "elements": "str"},
    "publish": {"type": "list", "elements": "str", "choices": list(publications.EVENTS)},
    "publish_via_partition_root": {"type": "bool"},
    "publish_generated_columns": {"type": "str", "choices": list(publications.GENERATED.values())},
    "owner": {"type": "str"},
    "comment": {"type": "str"},
    "readers": {"type": "list", "elements": "str"},
}


def main() -> None:
    runner.run(publications, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
