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
  - Compares what M(pgmahout.cluster.pg_replication_info) found on every member (registered as C(pg_found)) with the fact
    C(pg_inventory), and returns the fact C(pg_topology).
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
      - Whether refusals are an error. With V(false) they are in the fact, for a play that only looks.
    type: bool
    default: true
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: Who is what is decided
  pgmahout.cluster.pg_topology:
  run_once: true
"""

RETURN = r"""
ansible_facts:
  description: The fact C(pg_topology).
  returned: success
  type: dict
  contains:
    pg_topology:
      description:
        - C(members) by host, each with role (primary, standby, left), action (create, clone, follow, run, leave), upstream, depth
          in the cascade, slots and note; C(clusters) by name with their primary; C(depth) of the longest cascade; C(refusals).
      returned: success
      type: dict
"""
