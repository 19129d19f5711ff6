#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup_restore
short_description: A data directory from a repository of backups, ready to recover to a target
version_added: 1.0.0
description:
  - Chooses the backup from which the target is reached with the least WAL, verifies it, brings it to a data directory that is
    missing or empty, and makes it recover up to the target when its server starts. Incremental backups are combined.
  - It is made beside its place and gets its name when it is whole and ready. A run that is killed leaves nothing under that name.
  - It gets an archive of its own, so that it never writes to the one it came from.
  - A data directory that was restored so already is no change. One that was to be restored to another target and never got there
    is made anew. Anything else there is refused.
  - Start the server then with M(pgmahout.cluster.pg_instance) and await the target with M(pgmahout.cluster.pg_recovery).
extends_documentation_fragment:
  - pgmahout.cluster.programs
  - pgmahout.cluster.recovery_target
  - pgmahout.cluster.attributes
options:
  directory:
    description:
      - The repository, as M(pgmahout.cluster.pg_backup) fills it.
    type: path
    required: true
  data_directory:
    description:
      - The data directory to make.
    type: path
    required: true
  backup:
    description:
      - The id of the backup to use, instead of choosing it.
    type: str
    default: ""
  system_identifier:
    description:
      - The system whose backups count, where the repository has those of several.
    type: str
    default: ""
  tablespace_mapping:
    description:
      - New directories of tablespaces by those they had. One that is not named is restored to where it was, which must be empty.
    type: dict
    default: {}
  repository_planned:
    description:
      - Whether an earlier task of the play brings the repository to this host, so that check mode does not find it yet. Nothing
        is chosen then.
    type: bool
    default: false
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: The state just before the accident is made
  pgmahout.cluster.pg_backup_restore:
    directory: /srv/backups/orders
    data_directory: /srv/restored
    user: postgres
    target_time: 2026-11-22 18:29:59+00:00
"""

RETURN = r"""
backups:
  description: The ids of the backup used and of those that it builds on, oldest first.
  type: list
  elements: str
  returned: success
archive:
  description: The directory with the WAL that is replayed.
  type: str
  returned: success
first_segment:
  description: The first segment of WAL that is replayed.
  type: str
  returned: success
target:
  description: Where recovery ends, in words.
  type: str
  returned: success
system_identifier:
  description: Of the cluster, as text.
  type: str
  returned: success
timeline:
  description: That the backup was taken on.
  type: int
  returned: success
wal_segment_size:
  description: In bytes.
  type: int
  returned: success
restore_command:
  description: The command that fetches WAL.
  type: str
  returned: success
until_segment:
  description: The newest segment of the archive, into which a recovery to the end of the WAL must come; empty for another target.
  type: str
  returned: success
recovering:
  description: Whether the server is still to recover when it starts; false where it has been promoted.
  type: bool
  returned: success
phases:
  description: When each step began and ended, in seconds since 1970.
  type: list
  elements: dict
  returned: when it was not check mode
commands:
  description: What was done, or would be done in check mode, as commands.
  type: list
  elements: str
  returned: success
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import instance, programs, recovery_target, restores, runner

ARGUMENT_SPEC = dict(
    programs.SPEC,
    **recovery_target.SPEC,
    directory={"type": "path", "required": True},
    data_directory={"type": "path", "required": True},
    backup={"type": "str", "default": ""},
    system_identifier={"type": "str", "default": ""},
    tablespace_mapping={"type": "dict", "default": {}},
    repository_planned={"type": "bool", "default": False},
)


def main() -> None:
    runner.run(restores, ARGUMENT_SPEC, instance.opener)


if __name__ == "__main__":
    main()
