#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_candidate
short_description: Which standby becomes the primary, and what stands against it
version_added: 1.0.0
description:
  - Compares what M(pgmahout.cluster.pg_replication_info) found on every member (registered as C(pg_found)) with what
    M(pgmahout.cluster.pg_inventory) returned (registered as C(pg_inventory)).
  - For a switchover, the best standby is one that streams from the primary itself, without a delay, synchronous before
    asynchronous, and the least behind; of equals, the first in the inventory. Everything that can be known beforehand to stand
    against it is told at once.
  - For a failover, it is the one with the most received WAL on the newest timeline; a delayed one only when it is named.
    Whether the primary is gone is not asked here.
  - Runs on the controller.
attributes:
  check_mode:
    support: full
    description: Only reads.
  diff_mode:
    support: none
    description: Only reads.
options:
  action:
    description:
      - Whether the primary hands over (V(switchover)) or is gone (V(failover)).
    type: str
    choices: [switchover, failover]
    required: true
  cluster:
    description:
      - The cluster. By default that of O(to), else the only one with standbys.
    type: str
    default: ""
  to:
    description:
      - The member that is to be primary; by default the best.
    type: str
    default: ""
  named:
    description:
      - Whether a person chose O(to), by which a delayed standby may be meant. By default whether it is given.
    type: bool
  max_lag_bytes:
    description:
      - How much WAL the candidate of a switchover may not have replayed yet.
    type: int
    default: 16777216
  force:
    description:
      - Whether a failover may promote a standby that has received less than another one.
    type: bool
    default: false
  refuse:
    description:
      - Whether refusals are an error. With V(false) they are in the result.
    type: bool
    default: true
author:
  - The pgmahout founders (@pgmahout)
seealso:
  - module: pgmahout.cluster.pg_switchover
  - module: pgmahout.cluster.pg_promote
"""

EXAMPLES = r"""
- name: The best standby of the cluster orders is known
  pgmahout.cluster.pg_candidate:
    action: switchover
    cluster: orders
  run_once: true
  register: pg_candidate
"""

RETURN = r"""
cluster:
  description: The cluster that is meant; empty where none could be.
  returned: success
  type: str
primary:
  description: Who is primary, or was; empty where that is not known.
  returned: success
  type: str
candidate:
  description: Who is to be primary; empty where nobody can be.
  returned: success
  type: str
refusals:
  description: What stands against it, each in a sentence that says what to do.
  returned: success
  type: list
  elements: str
resume:
  description:
    - Whether the primary was shut down in order, as by a switchover that was interrupted, and the candidate has all of its WAL.
  returned: success
  type: bool
followers:
  description: By member, the C(upstream) that it will follow, and whether it may do so C(before) the primary stops.
  returned: success
  type: dict
  sample: {node1: {upstream: node2, before: false}, node3: {upstream: node2, before: true}}
slots:
  description: The physical replication slots that the candidate needs.
  returned: success
  type: list
  elements: str
synchronized_slots:
  description: From PostgreSQL 17 on, the logical replication slots of the primary that the candidate must have in step.
  returned: success
  type: list
  elements: str
logical_slots:
  description: With PostgreSQL 16, the logical replication slots to make on the candidate by hand beforehand; see RV(refusals).
  returned: success
  type: list
  elements: dict
ahead:
  description: The standbys that have received more than the candidate of a failover, and cannot follow it as they are.
  returned: success
  type: list
  elements: str
loss:
  description:
    - What a failover loses. C(bytes) of WAL, null when that is not known; C(nothing), whether it is certain that no acknowledged
      commit is lost; and C(told), a sentence that says so, with one more for each subscription that loses its slot.
  returned: success
  type: dict
  sample: {bytes: 0, nothing: true, told: "Nothing is lost: node2 has all that node1 wrote."}
"""
