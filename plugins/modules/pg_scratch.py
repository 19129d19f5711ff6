#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_scratch
short_description: The place of a scratch instance, and nothing left of one
version_added: 1.0.0
description:
  - Makes a directory for an instance that is only there to be looked at, closed to everybody but its account, with a directory
    for its socket; or takes one away with all that is in it, also the server that runs there.
  - Only a directory that this module made is removed. One that holds something else is refused.
extends_documentation_fragment:
  - pgmahout.cluster.programs
  - pgmahout.cluster.attributes
options:
  directory:
    description:
      - The directory. The data directory is C(data) in it.
    type: path
    required: true
  state:
    description:
      - V(fresh) removes what an earlier run left and makes an empty one, each time. V(absent) removes it.
    type: str
    choices: [fresh, absent]
    default: fresh
  planned:
    description:
      - An earlier task of the same play makes it, so that check mode does not find it yet, and V(absent) would remove it all the
        same.
    type: bool
    default: false
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: There is a place for the restored instance
  pgmahout.cluster.pg_scratch:
    directory: /var/lib/postgresql/drill/orders
    user: postgres
  become: true
  register: place
"""

RETURN = r"""
commands:
  description: What was done, or would be done in check mode, as commands.
  type: list
  elements: str
  returned: success
directory:
  description: As given.
  type: str
  returned: success
data_directory:
  description: Where the instance is to be.
  type: str
  returned: success
socket_directory:
  description: Where its socket is to be.
  type: str
  returned: success
at:
  description: When that was, by the clock of the host, in seconds since the epoch.
  type: float
  returned: success
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import programs, runner, scratch

ARGUMENT_SPEC = dict(
    programs.SPEC,
    directory={"type": "path", "required": True},
    state={"type": "str", "choices": ["fresh", "absent"], "default": "fresh"},
    planned={"type": "bool", "default": False},
)


def main() -> None:
    runner.run(scratch, ARGUMENT_SPEC, scratch.opener)


if __name__ == "__main__":
    main()
