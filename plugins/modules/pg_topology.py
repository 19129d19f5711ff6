#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_topology
short_description: Who is primary today, and what each member is to be
version_added: 1.0.0
description:
  - Compares what M(pgmahout.cluster.pg_replication_info) found on every member (registered as C(pg_found)) with what
    M(pgmahout.cluster.pg_inventory) returned (registered as C(pg_inventory)).
  - The instances say who is primary, never the inventory, save on the very first run. A former primary is left alone. Two
    primaries, different systems in one cluster, and anything doubtful are refused with the members named.
  - Runs on the controller.
attributes:
  check_mode:
    support: full
    description: Only reads.
  diff_mode:
    support: none
    description: Only reads.
options:
  refuse:
    description:
      - Whether refusals are an error. With V(false) they are in the result, for a play that only looks.
    type: bool
    default: true
  promoted:
    description:
      - A standby. With it, the decision is the one that would be made when a switchover had made it the primary, and the primary
        of its cluster a standby; with O(fenced), when a failover had.
    type: str
    default: ""
  fenced:
    description:
      - Members that the failover to O(promoted) fences.
    type: list
    elements: str
  rejoined:
    description:
      - Members that left their cluster. The decision is the one that would be made when they had come back as standbys.
    type: list
    elements: str
    default: []
  recloned:
    description:
      - Members whose data will have been removed, so that they are cloned.
    type: list
    elements: str
    default: []
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: Who is what is decided
  pgmahout.cluster.pg_topology:
  run_once: true
  register: pg_topology
"""

RETURN = r"""
members:
  description:
    - By host, the role of each member (primary, standby, left), its action (create, clone, follow, run, leave), upstream, depth
      in the cascade, slots and note, whether it is C(fenced), whether the playbook rejoin C(returns) it, and the lines of
      C(pg_hba.conf) for members and subscribers as C(hba).
  returned: success
  type: dict
clusters:
  description: By name, the primary of each cluster, and whether it exists and runs.
  returned: success
  type: dict
depth:
  description: How many standbys the longest cascade has, one after the other.
  returned: success
  type: int
refusals:
  description: Why nothing may be touched, each in a sentence.
  returned: success
  type: list
  elements: str
hosts:
  description: The members that take part in this run.
  returned: success
  type: list
  elements: str
"""
