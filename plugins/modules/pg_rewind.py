#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_rewind
short_description: A former primary can follow again
version_added: 1.0.0
description:
  - Makes a stopped instance a standby of a primary, by C(pg_rewind) where it has written what that primary never had, and else by
    its configuration alone. It leaves the instance stopped; M(pgmahout.cluster.pg_instance) starts it.
  - What the instance had written and the primary had not is gone afterwards.
  - Whoever starts the instance meanwhile gets a standby, or nothing. While it is rewound PostgreSQL refuses to start it, since
    its directory has permissions that PostgreSQL does not accept, and its configuration lies in a directory beside it, with
    C(.pgmahout-rewinding) behind its name. A run that was killed is ended by the next.
  - Files in the data directory that are not the server's, such as its configuration, stay as they are. So does
    C(postgresql.auto.conf), but for what makes a standby. Which archive it writes to is said by the source.
  - A server that crashed first replays all its WAL, as a standby of nobody, which no client can reach. Where it crashed before
    its first checkpoint after a promotion, C(pg_rewind) before PostgreSQL 16 cannot rewind it, and it must be cloned anew.
  - It refuses, before it touches anything, an instance without data checksums or C(wal_log_hints), a server that runs, a source
    that is a standby or another system, a role that may not read the source's files, and missing WAL. What helps is told.
  - A standby that streams from the source as it should is no change.
  - Right after a promotion, C(pg_rewind) before PostgreSQL 16 does not see the divergence, and the files of the source may lack
    what was written before. The module waits until the source has done a checkpoint on its timeline, as long as O(timeout).
extends_documentation_fragment:
  - pgmahout.cluster.programs
  - pgmahout.cluster.conninfo
  - pgmahout.cluster.attributes
options:
  data_directory:
    description:
      - The data directory, which must hold an instance whose server has been stopped.
    type: path
    required: true
  config_directory:
    description:
      - Where its C(postgresql.conf) is, if not in the data directory.
    type: path
    default: ""
  conninfo:
    description:
      - The primary, and how to log in there, as keywords of libpq. The instance is rewound from it and follows it.
      - The role must be a superuser, or have the right C(rewind) of M(pgmahout.cluster.pg_replication_role), in the database of
        O(conninfo.dbname), which is C(postgres) by default, and it must be one that may replicate.
      - A password is refused, since it would be stored in clear; put it into a file and give O(conninfo.passfile).
    required: true
  primary_slot_name:
    description:
      - The physical replication slot of the primary that keeps the WAL for this standby; empty for none. Left as it is when not
        given.
    type: str
  restore_target_wal:
    description:
      - Whether WAL that the instance or the primary has recycled is fetched from an archive, by O(restore_command).
    type: bool
    default: false
  restore_command:
    description:
      - The command that fetches a segment, as PostgreSQL's setting of that name has it. Only used by this module.
    type: str
  unit:
    description:
      - The systemd unit of the server. It is not started.
    type: str
    default: ""
  log_file:
    description:
      - The server's log, to which it writes when it recovers from a crash. By default the data directory's name with C(.log)
        behind it.
    type: path
    default: ""
  superuser:
    description:
      - Role to connect as, over the socket of a server that runs, to see whether it streams.
    type: str
    default: postgres
  planned:
    description:
      - An earlier task of the same play stops the server, so that check mode finds it running.
    type: bool
    default: false
seealso:
  - module: pgmahout.cluster.pg_promote
  - module: pgmahout.cluster.pg_recovery
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: node1, which was the primary, is a standby of node2
  pgmahout.cluster.pg_rewind:
    data_directory: /srv/orders/node1/data
    user: postgres
    primary_slot_name: node1
    conninfo:
      host: node2
      port: 5432
      user: replicator
      passfile: /srv/orders/node1/passfile
      application_name: node1

- name: The same, with WAL from the archive where it is needed
  pgmahout.cluster.pg_rewind:
    data_directory: /srv/orders/node1/data
    user: postgres
    conninfo: "{{ conninfo }}"
    restore_target_wal: true
    restore_command: /srv/backups/orders/bin/restore-wal /srv/backups/orders/wal %f %p
"""

RETURN = r"""
needed:
  description: Whether it had to be rewound.
  type: bool
  returned: success
diverged_at:
  description: The LSN from which on it had what the primary never had; null where it need not be rewound.
  type: str
  returned: success
  sample: 0/3000148
timeline_before:
  description: The timeline on which it was found.
  type: int
  returned: success
  sample: 1
timeline:
  description: The timeline of the primary that it follows.
  type: int
  returned: success
  sample: 2
commands:
  description: What was done, or would be done in check mode, as commands.
  type: list
  elements: str
  returned: success
data_directory:
  description: The data directory.
  type: str
  returned: success
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import conninfo, programs, rewind, runner

ARGUMENT_SPEC = dict(
    programs.SPEC,
    superuser=programs.SUPERUSER,
    data_directory={"type": "path", "required": True},
    config_directory={"type": "path", "default": ""},
    conninfo=dict(conninfo.SPEC, required=True),
    primary_slot_name={"type": "str"},
    restore_target_wal={"type": "bool", "default": False},
    restore_command={"type": "str"},
    unit={"type": "str", "default": ""},
    log_file={"type": "path", "default": ""},
    planned={"type": "bool", "default": False},
)


def main() -> None:
    runner.run(rewind, ARGUMENT_SPEC, rewind.opener)


if __name__ == "__main__":
    main()
