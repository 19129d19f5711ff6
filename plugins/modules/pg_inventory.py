#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_inventory
short_description: The inventory as one value, checked before anything is touched
version_added: 1.0.0
description:
  - Resolves the variables of this collection's roles for every host of the play that has a C(pg_cluster_name), checks each
    against the roles' argument specifications and all of them together, and returns members and clusters as the fact
    C(pg_inventory).
  - Everything that is wrong is told at once. No secret is in the fact.
  - Runs on the controller.
attributes:
  check_mode:
    support: full
    description: Only reads.
  diff_mode:
    support: none
    description: Only reads.
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: The inventory is right
  pgmahout.cluster.pg_inventory:
  run_once: true
"""

RETURN = r"""
ansible_facts:
  description: The fact C(pg_inventory).
  returned: success
  type: dict
  contains:
    pg_inventory:
      description:
        - C(members) by host, each with its cluster, address, port, data directory, slot, and who may connect to it; C(clusters)
          by name, each with its members, its subscribers, and how to reach the member that takes writes.
      returned: success
      type: dict
"""
