#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_liveness
short_description: Whether the primary that a failover is to replace still lives
version_added: 1.0.0
description:
  - Says which member of a cluster is, or may be, the primary, and by what it is seen to live. Ansible may have found its server
    running (C(pg_found)), it may answer to the controller, or to another member (C(peers) in C(pg_found)), or a standby may
    stream from it.
  - A server that refuses a login, or is starting, lives.
  - Runs on the controller.
attributes:
  check_mode:
    support: full
    description: Only reads.
  diff_mode:
    support: none
    description: Only reads.
options:
  cluster:
    description:
      - The name of the cluster.
    type: str
    required: true
  force:
    description:
      - Whether a primary that lives is to be replaced all the same, which can be done where its host can be reached to stop it.
    type: bool
    default: false
  timeout:
    description:
      - How long the controller waits for an answer, in seconds.
    type: float
    default: 3
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: Whether the primary is gone is known
  pgmahout.cluster.pg_liveness:
    cluster: orders
  run_once: true
  register: pg_liveness
"""

RETURN = r"""
former:
  description: The members that are, or may be, the primary.
  returned: success
  type: list
  elements: str
signs:
  description: By the name of those among them that live, what shows it, each as words that follow the name.
  returned: success
  type: dict
refusals:
  description: Why nothing may be promoted, each in a sentence.
  returned: success
  type: list
  elements: str
"""
