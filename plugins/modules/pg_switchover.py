#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_switchover
short_description: A primary and its standby change their roles, without a lost commit
version_added: 1.0.0
description:
  - Runs on the host of the primary and is the critical section of a switchover, from the checkpoint before it to the old primary
    that runs as a standby. One process does it all over connections that it opened before.
  - The candidate is promoted only when the control file of the old primary says that it was shut down and the candidate has
    received its shutdown checkpoint. No commit can be lost then, and the old primary follows without a rewind.
  - C(standby.signal) is in the data directory of the old primary before the candidate is promoted, so that there are never two
    primaries, whoever starts what.
  - Where the section cannot be completed before the candidate was asked to promote, the old primary is started again and takes
    writes.
  - Run again after it was interrupted, it goes on where it stopped. Where the candidate is the primary already and this
    instance runs as a standby, nothing changes.
  - The playbook C(pgmahout.cluster.switchover) does what comes before, such as the slot on the candidate, and after.
extends_documentation_fragment:
  - pgmahout.cluster.programs
  - pgmahout.cluster.primary_conninfo
  - pgmahout.cluster.attributes
options:
  data_directory:
    description:
      - The data directory of the primary that is to become a standby.
    type: path
    required: true
  primary_conninfo:
    description:
      - The candidate, as the old primary follows it afterwards. Its role must be allowed to execute C(pg_promote()) in the
        database that it connects to; see O(pgmahout.cluster.pg_replication_role#module:may).
    required: true
  primary_slot_name:
    description:
      - The physical replication slot on the candidate that keeps WAL for the old primary. It should be there already.
    type: str
    default: ""
  synchronized_slots:
    description:
      - Names of logical replication slots that the candidate must have in step before the primary is stopped (PostgreSQL 17 and
        later, chapter 47.2.3). They are awaited, as long as O(timeout); then the module fails and nothing was touched.
    type: list
    elements: str
    default: []
  leftover_slots:
    description:
      - Names of replication slots of the old primary that nobody uses when it is a standby. They are removed before it is
        started. A logical one would keep the new primary's slot of that name from being synchronized to it (chapter 47.2.3).
    type: list
    elements: str
    default: []
  max_lag_bytes:
    description:
      - How much WAL the candidate may have left to receive, and to replay, when the section begins; with more the module fails
        and nothing was touched.
    type: int
    default: 16777216
  superuser:
    description:
      - Role of the server to connect as, over its socket.
    type: str
    default: postgres
  unit:
    description:
      - The systemd unit of the server; empty where it is a process of its own.
    type: str
    default: ""
  log_file:
    description:
      - The server's log. By default the data directory's name with C(.log) behind it.
    type: path
    default: ""
author:
  - The pgmahout founders (@pgmahout)
seealso:
  - module: pgmahout.cluster.pg_promote
  - module: pgmahout.cluster.pg_rewind
"""

EXAMPLES = r"""
- name: node2 is primary and node1, on which this runs, its standby
  pgmahout.cluster.pg_switchover:
    data_directory: /srv/orders/node1/data
    user: postgres
    primary_slot_name: node1
    primary_conninfo:
      host: node2
      port: 5432
      dbname: postgres
      user: replicator
      passfile: /srv/orders/node1/passfile
      application_name: node1
"""

RETURN = r"""
outage_ms:
  description:
    - For how long writes were refused, in milliseconds, from the request to stop to the first moment at which the candidate took
      writes. Null where an earlier run had stopped the primary.
  type: float
  returned: when something was done
steps:
  description: The steps that were done, each with its name in RV(ignore:step) and the time it took in RV(ignore:ms).
  type: list
  elements: dict
  returned: when something was done
lsn:
  description: The position of the shutdown checkpoint, the last record of the old timeline, which the candidate has.
  type: str
  returned: when something was done
timeline_before:
  description: The timeline of the cluster before.
  type: int
  returned: success
timeline:
  description: The timeline of the cluster now.
  type: int
  returned: success
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

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import conninfo, programs, runner, switchover

ARGUMENT_SPEC = dict(
    programs.SPEC,
    superuser=programs.SUPERUSER,
    data_directory={"type": "path", "required": True},
    primary_conninfo=dict(conninfo.SPEC, required=True),
    primary_slot_name={"type": "str", "default": ""},
    synchronized_slots={"type": "list", "elements": "str", "default": []},
    leftover_slots={"type": "list", "elements": "str", "default": []},
    max_lag_bytes={"type": "int", "default": 16 * 1024 ** 2},
    unit={"type": "str", "default": ""},
    log_file={"type": "path", "default": ""},
)


def main() -> None:
    runner.run(switchover, ARGUMENT_SPEC, switchover.opener)


if __name__ == "__main__":
    main()
