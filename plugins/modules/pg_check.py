#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_check
short_description: Whether the structure of an instance is sound
version_added: 1.0.0
description:
  - Runs C(pg_amcheck), which looks whether tables and indexes are as they should be and agree, or C(pg_checksums), which looks
    whether every page is as it was written.
  - What is found is a result, RV(status), and no error.
  - For a scratch instance, such as a restored backup. C(pg_amcheck) makes its extension in every database.
attributes:
  check_mode:
    support: full
    description: Runs C(pg_checksums) on an instance that is stopped, and nothing else.
  diff_mode:
    support: none
    description: There is no text that changes.
extends_documentation_fragment:
  - pgmahout.cluster.programs
options:
  data_directory:
    description:
      - The data directory.
    type: path
    required: true
  program:
    description:
      - V(pg_amcheck) needs PostgreSQL 14 and the server running. V(pg_checksums) needs the server stopped cleanly, and is skipped
        without checksums.
    type: str
    choices: [pg_amcheck, pg_checksums]
    required: true
  superuser:
    description:
      - Role of the server to connect as, over its socket.
    type: str
    default: postgres
  jobs:
    description:
      - How many connections C(pg_amcheck) works with at once.
    type: int
    default: 1
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: Tables and indexes are sound
  pgmahout.cluster.pg_check:
    data_directory: /srv/restored/data
    program: pg_amcheck
    user: postgres
  become: true
  register: checked
  failed_when: checked.status == 'failed'
"""

RETURN = r"""
program:
  description: As given.
  returned: success
  type: str
status:
  description: V(passed), V(failed) or V(skipped).
  returned: success
  type: str
found:
  description: What was found, in one sentence.
  returned: success
  type: str
complaints:
  description: The first of them, as the program printed them.
  returned: success
  type: list
  elements: str
started:
  description: When the check began, by the clock of the host, in seconds since the epoch.
  returned: success
  type: float
ended:
  description: When it ended.
  returned: success
  type: float
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import programs, runner, soundness

ARGUMENT_SPEC = {
    "data_directory": {"type": "path", "required": True},
    "program": {"type": "str", "choices": ["pg_amcheck", "pg_checksums"], "required": True},
    "superuser": programs.SUPERUSER,
    "jobs": {"type": "int", "default": 1},
}


def main() -> None:
    runner.run_reader(soundness.gather, ARGUMENT_SPEC, programs.SPEC)


if __name__ == "__main__":
    main()
