# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation fragments: a publisher whose schema is brought, with the keywords of the fragment ``conninfo`` inside."""

from __future__ import annotations

import textwrap

from ansible_collections.pgmahout.cluster.plugins.doc_fragments import conninfo

_CONNINFO = conninfo.ModuleDocFragment.DOCUMENTATION.split("options:\n", 1)[1]


class ModuleDocFragment:
    """The option ``schema_from``."""

    DOCUMENTATION: str = r"""
options:
  schema_from:
    description:
      - Where a new database's schema comes from, so that a subscription to the publications can be made in it.
      - Relations that are not published and what depends on them are left out, and so are foreign keys, triggers, rules,
        row security policies, comments, foreign servers, privileges and owners. Rows arrive from a publication with row
        filters or from a part of the tables, so that foreign keys could not hold.
      - A table with a column list has just these columns, with NOT NULL and its key, and neither defaults nor checks,
        further indexes or partitions. So has a table that the user may not read wholly, with its partitions. With a
        publisher older than PostgreSQL 15, the user needs SELECT on all of them, since C(pg_dump) locks them.
      - The publisher may be older than the programs in O(bindir), not newer.
      - O(schema_from.conninfo.dbname) is required. A password reaches C(pg_dump) by a passfile that only this task can
        read; O(schema_from.conninfo.passfile) is read by the account that the task runs as.
    type: dict
    suboptions:
      publications:
        description:
          - Publications whose relations are brought.
        type: list
        elements: str
        required: true
""" + textwrap.indent(_CONNINFO.replace("O(conninfo.", "O(schema_from.conninfo.").replace(
        "    type: dict\n", "    type: dict\n    required: true\n", 1), "    ")
