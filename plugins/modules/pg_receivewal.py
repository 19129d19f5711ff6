#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_receivewal
short_description: WAL streamed into an archive, as a service
version_added: 1.0.0
description:
  - Runs C(pg_receivewal), which writes the WAL of a server into a directory as it comes, and tells the server that it is on disk.
    With a replication slot of its own nothing is missed while it is away.
  - It is a unit of systemd with O(unit), which starts at boot and whenever it ended; otherwise a process.
  - A task that is not in check mode waits until it streams. For that, the role of O(conninfo) must also be let into the database
    C(postgres), unless O(conninfo.dbname) names another. A receiver that ended or cannot stream is an error with what it said
    last.
  - A receiver that runs with other options than these is restarted. The directory that O(directory) is in has one receiver.
extends_documentation_fragment:
  - pgmahout.cluster.programs
  - pgmahout.cluster.credentials
  - pgmahout.cluster.conninfo
  - pgmahout.cluster.attributes
options:
  directory:
    description:
      - The directory of the archive. It is made when it is missing.
    type: path
    required: true
  conninfo:
    description:
      - With several hosts and C(target_session_attrs=read-write) the receiver finds the new primary after a failover by itself.
      - A password is refused, since the arguments of a process are for all to see; put it into O(passfile).
  slot:
    description:
      - A physical replication slot, which M(pgmahout.cluster.pg_replication_slot) makes. Needed with O(state=started).
    type: str
    default: ""
  compress:
    description:
      - How segments are compressed, with V(lz4) from PostgreSQL 15 on. The segment being written is, too.
    type: str
    choices: [none, gzip, lz4]
    default: gzip
  unit:
    description:
      - Name of the unit of systemd, without C(.service). Without it the receiver is a process that a restart of the host ends.
    type: str
    default: ""
  log_file:
    description:
      - The file that it logs to. Needed with O(state=started).
    type: path
    default: ""
  state:
    description:
      - Whether it runs. With V(absent) its unit is gone too; the archive stays.
    type: str
    choices: [started, stopped, absent]
    default: started
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: The WAL of the cluster orders is received
  pgmahout.cluster.pg_receivewal:
    directory: /var/backups/pgmahout/orders/wal
    bindir: /usr/lib/postgresql/17/bin
    user: postgres
    unit: pgmahout-receivewal-orders
    log_file: /var/log/postgresql/receivewal-orders.log
    slot: pgmahout_wal
    conninfo:
      host: node1,node2
      port: 5432,5432
      target_session_attrs: read-write
      user: replicator
      passfile: /etc/pgmahout/orders/passfile
  become: true
"""

RETURN = r"""
commands:
  description: What was done, or would be done in check mode, as commands.
  type: list
  elements: str
  returned: success
directory:
  description: The directory of the archive.
  type: str
  returned: success
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import conninfo, credentials, programs, receiver, runner

ARGUMENT_SPEC = dict(
    programs.SPEC,
    **credentials.SPEC,
    directory={"type": "path", "required": True},
    conninfo=conninfo.SPEC,
    slot={"type": "str", "default": ""},
    compress={"type": "str", "choices": ["none", "gzip", "lz4"], "default": "gzip"},
    unit={"type": "str", "default": ""},
    log_file={"type": "path", "default": ""},
    state={"type": "str", "choices": ["started", "stopped", "absent"], "default": "started"},
)


def main() -> None:
    runner.run(receiver, ARGUMENT_SPEC, receiver.opener)


if __name__ == "__main__":
    main()
