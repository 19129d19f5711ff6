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
    against the roles' argument specifications and all of them together, and returns members and clusters. Registered as
    C(pg_inventory), they are what the other parts of the collection look for.
  - Everything that is wrong is told at once. No secret is in the result.
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
  register: pg_inventory
"""

RETURN = r"""
members:
  description: By host, the cluster of each member, its address, port, data directory, slot, backup host, and who may connect
    to it.
  returned: success
  type: dict
clusters:
  description: By name, the members of each cluster, its subscribers, from where its backups are taken, and how to reach the
    member that takes writes.
  returned: success
  type: dict
"""
