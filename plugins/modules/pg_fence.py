#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_fence
short_description: A former primary stays out of its cluster
version_added: 1.0.0
description:
  - Writes into a data directory which members of its cluster a failover has fenced, in the file C(pgmahout.fenced), which
    M(pgmahout.cluster.pg_replication_info) returns and M(pgmahout.cluster.pg_topology) respects.
  - In the data directory of a member that is fenced itself, it also makes sure that nobody who starts the server gets a second
    primary. C(standby.signal) is put there first, then the server is stopped, its replication slots are removed, and its unit is
    masked. Without a slot, no standby gets WAL from it that the new primary does not have.
extends_documentation_fragment:
  - pgmahout.cluster.programs
  - pgmahout.cluster.attributes
options:
  data_directory:
    description:
      - The data directory.
    type: path
    required: true
  members:
    description:
      - The names of the members that are fenced, or no longer; others that the file has stay there.
    type: list
    elements: str
    default: []
  timeline:
    description:
      - The timeline up to which the O(members) are not trusted. Needed to fence them. A member on a later one has come back.
    type: int
  lsn:
    description:
      - The position on O(timeline) from which on their WAL is not that of the cluster. Needed to fence them.
    type: str
  itself:
    description:
      - Whether the data directory is that of a member which stays out itself.
    type: bool
    default: false
  state:
    description:
      - V(fenced) marks the members. V(free) takes their marks away, and with O(itself) the mask of the unit; the server is not
        started and stays a standby.
    type: str
    choices: [fenced, free]
    default: fenced
  unit:
    description:
      - Unit of systemd that runs the server, without its suffix. Empty where the server runs as a process of its own.
    type: str
    default: ""
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: node1 stays out until somebody brings it back
  pgmahout.cluster.pg_fence:
    data_directory: /var/lib/postgresql/17/main
    members: [node1]
    timeline: 1
    lsn: 0/3000148
    itself: "{{ inventory_hostname == 'node1' }}"
    unit: postgresql@17-main
    bindir: /usr/lib/postgresql/17/bin
    user: postgres
  become: true
"""

RETURN = r"""
commands:
  description: What was done, or would be done in check mode, as commands.
  type: list
  elements: str
  returned: success
fenced:
  description: All members that the data directory says are fenced, by name, each with its RV(ignore:timeline) and RV(ignore:lsn).
  type: dict
  returned: success
  sample: {node1: {timeline: 1, lsn: 0/3000148}}
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import fence, instance, programs, runner

ARGUMENT_SPEC = dict(
    programs.SPEC,
    data_directory={"type": "path", "required": True},
    members={"type": "list", "elements": "str", "default": []},
    timeline={"type": "int"},
    lsn={"type": "str"},
    itself={"type": "bool", "default": False},
    state={"type": "str", "choices": ["fenced", "free"], "default": "fenced"},
    unit={"type": "str", "default": ""},
)


def main() -> None:
    runner.run(fence, ARGUMENT_SPEC, instance.opener)


if __name__ == "__main__":
    main()
