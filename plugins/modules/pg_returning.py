#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_returning
short_description: Which members come back into their cluster
version_added: 1.0.0
description:
  - From what M(pgmahout.cluster.pg_replication_info) found on every member (registered as C(pg_found)), says who comes back as a
    standby, with its data or as a clone.
  - Refuses where a member cannot come back, or its cluster has no primary that it could follow; all reasons at once.
  - Runs on the controller.
attributes:
  check_mode:
    support: full
    description: Only reads.
  diff_mode:
    support: none
    description: Only reads.
options:
  members:
    description:
      - Who is to come back. By default all who were left alone and can be reached. A member that streams already is passed over.
    type: list
    elements: str
    default: []
  reclone:
    description:
      - Whose data is to make room for a clone.
    type: list
    elements: str
    default: []
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: Who comes back is known
  pgmahout.cluster.pg_returning:
    members: [node1]
  run_once: true
  register: pg_returning
"""

RETURN = r"""
rejoined:
  description: The members that come back with their data.
  returned: success
  type: list
  elements: str
recloned:
  description: The members that are cloned anew.
  returned: success
  type: list
  elements: str
refusals:
  description: Empty, since a refusal is an error.
  returned: success
  type: list
  elements: str
"""
