#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup
short_description: A verified base backup in a repository, and retention
version_added: 1.0.0
description:
  - Takes a base backup of a running server into a repository, verifies every file and the WAL that it needs, and enters it into
    the repository's catalog.
  - Each run takes a new one. It is made under another name and gets its own when it is whole; a run that is killed leaves nothing
    that could be taken for a backup, and the next one removes what it left.
  - Then what retention lets go is removed, backups first and then the WAL that none of the others needs. A backup that another
    one builds on stays, and so does the newest one.
  - How the run ended is in C(status.json) and, for Prometheus, in C(status.prom) of the repository, also when it failed.
extends_documentation_fragment:
  - pgmahout.cluster.programs
  - pgmahout.cluster.credentials
  - pgmahout.cluster.progress
  - pgmahout.cluster.conninfo
  - pgmahout.cluster.kept_backup
  - pgmahout.cluster.attributes
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: Last night's state of orders is kept
  pgmahout.cluster.pg_backup:
    directory: /srv/backups/orders
    cluster: orders
    user: postgres
    incremental: 6
    keep_count: 4
    conninfo:
      host: node1,node2
      target_session_attrs: read-write
      user: replicator
      passfile: /srv/backups/passfile
"""

RETURN = r"""
backup:
  description: The backup, as C(backup.json) has it; in check mode its O(ignore:id) and O(ignore:type) alone.
  type: dict
  returned: success
removed:
  description: The ids of the backups that retention let go.
  type: list
  elements: str
  returned: when it was not check mode
removed_segments:
  description: How many files of the archive of WAL went with them.
  type: int
  returned: when it was not check mode
commands:
  description: What was done, or would be done in check mode, as commands.
  type: list
  elements: str
  returned: success
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import kept_backups, progress, runner

ARGUMENT_SPEC = dict(kept_backups.SPEC, **progress.SPEC)


def main() -> None:
    runner.run(kept_backups, ARGUMENT_SPEC, kept_backups.opener)


if __name__ == "__main__":
    main()
