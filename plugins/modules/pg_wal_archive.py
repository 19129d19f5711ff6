#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_wal_archive
short_description: The directory of a WAL archive, and the programs for it
version_added: 1.0.0
description:
  - Makes the directory that holds the backups of a cluster, closed to everybody but the server's account, with the place of its
    WAL archive (C(wal)) and the programs C(bin/archive-wal) and C(bin/restore-wal).
  - C(archive-wal [-c none|gzip|zstd|lz4] DIRECTORY %p) is for PostgreSQL's C(archive_command). It brings a file to disk, gives it
    its name, and brings the name to disk. The same file again is a success, another one under the same name a failure.
  - C(restore-wal DIRECTORY/wal %f %p [SEGMENT_SIZE]) is for C(restore_command). It ends with 1 where the archive has no such
    file, and with 200 where it has one that is damaged, so that recovery stops with an error instead of ending early.
  - Compressed files carry a checksum, by which C(restore-wal) notices damage; with C(lz4) only those that C(archive-wal) wrote.
extends_documentation_fragment:
  - pgmahout.cluster.attributes
options:
  directory:
    description:
      - The directory. A directory that holds something else is refused.
    type: path
    required: true
  programs:
    description:
      - The texts of the programs by their names. By default the two of this collection.
    type: dict
    default: {}
  user:
    description:
      - Account of the operating system that runs the server and owns the directory. Needed when the module runs as root.
    type: str
    default: ""
  state:
    description:
      - Whether the directory and the programs are there. V(absent) takes away the programs, and the directory only where it holds
        nothing else; backups and WAL stay.
    type: str
    choices: [present, absent]
    default: present
  timeout:
    description:
      - How long to wait, in seconds, for another run that works on the same directory.
    type: int
    default: 600
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: The archive is there
  pgmahout.cluster.pg_wal_archive:
    directory: /var/backups/pgmahout/orders
    user: postgres
  become: true

# With this in postgresql.conf:
#   archive_mode = on
#   archive_command = '/var/backups/pgmahout/orders/bin/archive-wal -c gzip /var/backups/pgmahout/orders %p'
"""

RETURN = r"""
commands:
  description: What was done, or would be done in check mode, as commands.
  type: list
  elements: str
  returned: success
directory:
  description: The directory.
  type: str
  returned: success
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import runner, wal_archive

ARGUMENT_SPEC = {
    "directory": {"type": "path", "required": True},
    "programs": {"type": "dict", "default": {}},
    "user": {"type": "str", "default": ""},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "timeout": {"type": "int", "default": 600},
}


def main() -> None:
    runner.run(wal_archive, ARGUMENT_SPEC, wal_archive.opener)


if __name__ == "__main__":
    main()
