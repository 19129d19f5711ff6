#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_promote
short_description: A standby becomes a primary
version_added: 1.0.0
description:
  - Promotes a standby and waits until it takes writes. A server that is a primary is no change.
  - It only promotes. That its primary has stopped, and that there are not two afterwards, is for the playbooks C(switchover) and
    C(failover) to see to.
  - Whatever the standby has received it replays before it takes writes, also when its replay was paused or is delayed by
    C(recovery_min_apply_delay).
  - A server that is still starting is awaited.
extends_documentation_fragment:
  - pgmahout.cluster.login
  - pgmahout.cluster.programs
  - pgmahout.cluster.attributes
options:
  data_directory:
    description:
      - The data directory of a server of this host, to which it connects as O(superuser) over its socket. Used instead of the
        login options.
      - Only so can a standby be promoted that has C(hot_standby) off, since that lets nobody in.
    type: path
    default: ""
  superuser:
    description:
      - Role of the server to connect as, with O(data_directory).
    type: str
    default: postgres
  log_file:
    description:
      - The server's log, for what it says when it ends instead, with O(data_directory). By default the data directory's name with
        C(.log) behind it.
    type: path
    default: ""
  wait:
    description:
      - Whether to wait until it takes writes.
    type: bool
    default: true
  checkpoint:
    description:
      - Whether to have a checkpoint done on its new timeline, where there was none yet. The server has one done by itself, within
        C(checkpoint_timeout). Before that, its control file names the old timeline, and C(pg_rewind) does not see that a former
        primary has diverged from it. It is no change.
      - The role must be a superuser, or a member of C(pg_checkpoint). Without O(wait) there is none.
    type: bool
    default: false
  timeout:
    description:
      - How long to wait, in seconds, until it lets us in and until it takes writes. A promotion that takes longer goes on.
    type: int
    default: 60
seealso:
  - module: pgmahout.cluster.pg_rewind
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: The standby is a primary
  pgmahout.cluster.pg_promote:
    login_unix_socket: /var/run/postgresql
    login_port: 5433

- name: The instance is a primary, whether it lets anyone in or not
  pgmahout.cluster.pg_promote:
    data_directory: /srv/orders/node2/data
    user: postgres
"""

RETURN = r"""
timeline_before:
  description:
    - The timeline on which it was found.
  type: int
  returned: success, with a null where an earlier task of the play makes the server
  sample: 1
timeline:
  description:
    - The timeline on which it takes writes.
  type: int
  returned: when it is a primary
  sample: 2
lsn:
  description:
    - The position at which that timeline begins. Of a server that was a primary already, the one up to which it has written.
  type: str
  returned: when it is a primary
  sample: 0/3000148
statements:
  description: What was sent to the server, or would be in check mode.
  type: list
  elements: str
  returned: when the server lets clients in
  sample: [SELECT pg_catalog.pg_promote(false)]
commands:
  description: What was done, or would be in check mode, as commands.
  type: list
  elements: str
  returned: when the server is a standby with C(hot_standby) off
  sample: [pg_ctl promote --pgdata=/srv/orders/node2/data --no-wait]
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import login, programs, promotion, runner

ARGUMENT_SPEC = dict(
    login.SPEC,
    **dict(programs.SPEC, timeout={"type": "int", "default": 60}),
    superuser=programs.SUPERUSER,
    data_directory={"type": "path", "default": ""},
    log_file={"type": "path", "default": ""},
    wait={"type": "bool", "default": True},
    checkpoint={"type": "bool", "default": False},
)


def main() -> None:
    runner.run(promotion, ARGUMENT_SPEC, promotion.opener)


if __name__ == "__main__":
    main()
