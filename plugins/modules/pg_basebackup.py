#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_basebackup
short_description: The clone of a running server
version_added: 1.0.0
description:
  - Copies a running server over a replication connection, so that the copy can follow it as a standby.
  - The copy is made beside its place, verified against its manifest, made a standby, and renamed when it is complete. A run that
    is killed leaves nothing under the final name, and the next one removes what it left beside it.
  - O(conninfo) names the server to copy. Its role must be allowed replication connections. A password in it is refused; put it
    into a file and give O(conninfo.passfile), readable by the server's account.
  - A destination that holds the same system already is no change. One that holds anything else is refused.
extends_documentation_fragment:
  - pgmahout.cluster.programs
  - pgmahout.cluster.credentials
  - pgmahout.cluster.conninfo
  - pgmahout.cluster.attributes
options:
  dest:
    description:
      - The data directory of the clone. It must be missing, empty, or hold the same system.
    type: path
    required: true
  slot:
    description:
      - A physical replication slot of that server. It keeps the WAL that the clone needs from the moment it is taken until the
        standby streams.
    type: str
    default: ""
  checkpoint:
    description:
      - Whether the server makes its checkpoint at once (V(fast)) or spreads it, which takes minutes and spares its disks.
    type: str
    choices: [fast, spread]
    default: fast
  max_rate:
    description:
      - How much may be transferred in a second, such as V(64M); kB without a suffix.
    type: str
    default: ""
  tablespace_mapping:
    description:
      - New directories of tablespaces by their present ones. Needed when the clone is on the same host.
    type: dict
    default: {}
  write_recovery_conf:
    description:
      - Whether the clone becomes a standby of the server that it copies, with O(conninfo) and O(slot).
    type: bool
    default: true
  verify:
    description:
      - Whether C(pg_verifybackup) checks every file and the WAL before the clone gets its name.
    type: bool
    default: true
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: node2 holds a clone of node1
  pgmahout.cluster.pg_basebackup:
    dest: /srv/orders/node2/data
    user: postgres
    slot: node2
    conninfo:
      host: node1
      port: 5432
      user: replicator
      passfile: /srv/orders/node2/passfile
      application_name: node2
"""

RETURN = r"""
commands:
  description: What was done, or would be done in check mode, as commands.
  type: list
  elements: str
  returned: success
dest:
  description: The data directory of the clone.
  type: str
  returned: success
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import (
    backups,
    conninfo,
    credentials,
    instance,
    programs,
    runner,
)

ARGUMENT_SPEC = dict(
    programs.SPEC,
    **credentials.SPEC,
    dest={"type": "path", "required": True},
    conninfo=conninfo.SPEC,
    slot={"type": "str", "default": ""},
    checkpoint={"type": "str", "choices": ["fast", "spread"], "default": "fast"},
    max_rate={"type": "str", "default": ""},
    tablespace_mapping={"type": "dict", "default": {}},
    write_recovery_conf={"type": "bool", "default": True},
    verify={"type": "bool", "default": True},
)


def main() -> None:
    runner.run(backups, ARGUMENT_SPEC, instance.opener)


if __name__ == "__main__":
    main()
