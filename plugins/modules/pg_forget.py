#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_forget
short_description: The passwords and certificates of a cluster are forgotten
version_added: 1.0.0
description:
  - Takes the passwords and certificates that were made for a cluster out of the secrets file on the controller, the authority
    with the last certificate, and the file away when it is empty.
attributes:
  check_mode:
    support: full
    description: Only looks.
  diff_mode:
    support: none
    description: Secrets are not shown.
options:
  cluster:
    description:
      - Name of the cluster.
    type: str
    required: true
  secrets_file:
    description:
      - The secrets file.
    type: path
    required: true
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: Nothing is kept of a cluster that is gone
  pgmahout.cluster.pg_forget:
    cluster: orders
    secrets_file: ~/.config/pgmahout/secrets.json
"""

RETURN = r"""
"""
