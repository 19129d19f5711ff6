#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_recovery
short_description: How an instance recovers
version_added: 1.0.0
description:
  - Makes an instance a standby of an upstream, or lets it be no standby, by its signal file and by the settings in
    C(postgresql.auto.conf) that go with it.
  - A standby that runs is pointed to another upstream by a reload, without a restart.
  - A server that runs as primary is never made a standby, and a standby that runs is never made a primary; the messages name what
    does that.
extends_documentation_fragment:
  - pgmahout.cluster.programs
  - pgmahout.cluster.primary_conninfo
  - pgmahout.cluster.attributes
options:
  data_directory:
    description:
      - The data directory, which must hold an instance.
    type: path
    required: true
  superuser:
    description:
      - Role of the server to connect as, over its socket.
    type: str
    default: postgres
  mode:
    description:
      - V(standby) follows O(primary_conninfo). V(none) does not recover from anywhere.
    type: str
    choices: [standby, none]
    required: true
  primary_slot_name:
    description:
      - The physical replication slot of the upstream that keeps the WAL for this standby; empty for none. Left as it is when not
        given.
    type: str
  restore_command:
    description:
      - The command that fetches a WAL segment from an archive; empty for none. Left as it is when not given.
    type: str
  wait:
    description:
      - Whether to wait until a standby that runs streams from its upstream. What its server logged last is told when it does not
        within O(timeout).
    type: bool
    default: true
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: node3 follows node2
  pgmahout.cluster.pg_recovery:
    data_directory: /srv/orders/node3/data
    user: postgres
    mode: standby
    primary_slot_name: node3
    primary_conninfo:
      host: node2
      port: 5432
      user: replicator
      passfile: /srv/orders/node3/passfile
      application_name: node3
"""

RETURN = r"""
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

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import conninfo, instance, programs, recovery, runner

ARGUMENT_SPEC = dict(
    programs.SPEC,
    superuser=programs.SUPERUSER,
    data_directory={"type": "path", "required": True},
    mode={"type": "str", "choices": ["standby", "none"], "required": True},
    primary_conninfo=conninfo.SPEC,
    primary_slot_name={"type": "str"},
    restore_command={"type": "str"},
    wait={"type": "bool", "default": True},
)


def main() -> None:
    runner.run(recovery, ARGUMENT_SPEC, instance.opener)


if __name__ == "__main__":
    main()
