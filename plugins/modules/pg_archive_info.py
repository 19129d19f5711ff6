#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_archive_info
short_description: What could be restored from a repository of backups right now
version_added: 1.0.0
description:
  - Finds the newest backup of a repository, or the one that is named, and how far the WAL in its archive follows it without a
    gap, with the position and time of the last commit in that. What was committed later would be lost with the primary.
  - Runs on the host that has the repository, and only reads.
attributes:
  check_mode:
    support: full
    description: Only reads.
  diff_mode:
    support: none
    description: Only reads.
extends_documentation_fragment:
  - pgmahout.cluster.programs
options:
  directory:
    description:
      - The repository.
    type: path
    required: true
  backup:
    description:
      - The id of the backup, by default the newest that is whole.
    type: str
    default: ""
  timeline:
    description:
      - The timeline to follow the WAL on, by default the newest in the archive.
    type: int
    default: 0
  until_lsn:
    description:
      - The last commit is looked for before this LSN, by default in all WAL.
    type: str
    default: ""
  await_lsn:
    description:
      - Waits until the archive has whole segments up to this LSN.
    type: str
    default: ""
seealso:
  - module: pgmahout.cluster.pg_probe
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: What would be lost is known
  pgmahout.cluster.pg_archive_info:
    directory: /var/backups/pgmahout/orders
    user: postgres
  become: true
"""

RETURN = r"""
backup:
  description: The backup, as the catalog has it.
  returned: success
  type: dict
backups:
  description: All backups, as the catalog has them.
  returned: success
  type: list
  elements: dict
at:
  description: When it was looked, by the clock of the host, in seconds since the epoch.
  returned: success
  type: float
newest_segment:
  description: The file up to which WAL follows the backup without a gap; empty when none does.
  returned: success
  type: str
missing_segment:
  description: The segment that is missing behind it while newer ones are there; empty when none is.
  returned: success
  type: str
segments:
  description: How many segments follow the backup.
  returned: success
  type: int
end_lsn:
  description:
    - Up to where the WAL goes. Of a segment that is being received, up to its last record.
  returned: success
  type: str
last_commit:
  description: The last commit in the WAL behind the backup, null when there is none.
  returned: success
  type: dict
  contains:
    xid:
      description: The transaction, by the 32 bits that WAL has of it.
      type: int
    lsn:
      description: Where its record begins.
      type: str
    time:
      description: When it was, by the clock of its server, in seconds since the epoch.
      type: float
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import archive_info, programs, runner

ARGUMENT_SPEC = {
    "directory": {"type": "path", "required": True},
    "backup": {"type": "str", "default": ""},
    "timeline": {"type": "int", "default": 0},
    "until_lsn": {"type": "str", "default": ""},
    "await_lsn": {"type": "str", "default": ""},
}


def main() -> None:
    runner.run_reader(archive_info.gather, ARGUMENT_SPEC, programs.SPEC)


if __name__ == "__main__":
    main()
