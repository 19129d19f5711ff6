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
  - Makes an instance a standby of an upstream, lets it recover to a target, or lets it be neither, by its signal file and by the
    settings in C(postgresql.auto.conf) that go with it.
  - A standby that runs is pointed to another upstream by a reload, without a restart.
  - A server that runs as primary is never made a standby, and a standby that runs is never made a primary; the messages name what
    does that.
  - A recovery to a target begins when the server starts. Once it runs, the module waits until it has got there, which is when the
    server has been promoted or is paused, and not when it merely answers.
extends_documentation_fragment:
  - pgmahout.cluster.programs
  - pgmahout.cluster.primary_conninfo
  - pgmahout.cluster.recovery_target
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
      - V(standby) follows O(primary_conninfo). V(targeted) replays WAL up to a target and ends there; the data directory must
        hold a base backup. V(none) does not recover from anywhere, and takes the settings of a recovery that has ended away.
    type: str
    choices: [standby, targeted, none]
    required: true
  primary_slot_name:
    description:
      - The physical replication slot of the upstream that keeps the WAL for this standby; empty for none. Left as it is when not
        given.
    type: str
  restore_command:
    description:
      - The command that fetches a WAL segment from an archive; empty for none. Left as it is when not given. Required for a
        targeted recovery.
    type: str
  until_segment:
    description:
      - The segment of WAL into which a targeted recovery must come at least. One that ends before it is a failure, since the WAL
        is damaged there.
    type: str
    default: ""
  log_file:
    description:
      - The server's log, for what a targeted recovery says of itself. By default the data directory's name with C(.log) behind
        it.
    type: path
    default: ""
  wait:
    description:
      - Whether to wait until a standby that runs streams from its upstream, or a targeted recovery has reached its target. What
        its server logged last is told when it does not within O(timeout).
      - A targeted recovery must run to be awaited; to prepare one before its server starts, give V(false).
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
reached:
  description:
    - Where a targeted recovery ended. Its O(ignore:lsn), O(ignore:timeline), the O(ignore:time) of the last transaction, whether
      it is O(ignore:paused), and what the server logged about it.
  type: dict
  returned: when a server runs there that recovered to a target
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

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import (
    conninfo,
    instance,
    programs,
    recovery,
    recovery_target,
    runner,
)

ARGUMENT_SPEC = dict(
    programs.SPEC,
    **recovery_target.SPEC,
    superuser=programs.SUPERUSER,
    data_directory={"type": "path", "required": True},
    mode={"type": "str", "choices": ["standby", "targeted", "none"], "required": True},
    primary_conninfo=conninfo.SPEC,
    primary_slot_name={"type": "str"},
    restore_command={"type": "str"},
    until_segment={"type": "str", "default": ""},
    log_file={"type": "path", "default": ""},
    wait={"type": "bool", "default": True},
)


def main() -> None:
    runner.run(recovery, ARGUMENT_SPEC, instance.opener)


if __name__ == "__main__":
    main()
