#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_archive_proof
short_description: The proof that a WAL archive works
version_added: 1.0.0
description:
  - Makes sure that the WAL of a primary gets into its archive, and fails with the reason where it does not.
  - With O(method=archive), an archiver is proven that archived a file of the present timeline, which lies in O(directory), and
    has not failed since. Otherwise a segment of WAL is ended, and the task waits until it is there. A server that cannot archive
    says why in its log, whose last line about it is the error.
  - With O(method=stream), the task waits until the receiver has on disk all WAL that there was when the task began.
  - It is a test and reports no change. In check mode it does nothing.
extends_documentation_fragment:
  - pgmahout.cluster.login
  - pgmahout.cluster.attributes
options:
  method:
    description:
      - How WAL gets into the archive, by C(archive_command) or by C(pg_receivewal).
    type: str
    choices: [archive, stream]
    required: true
  directory:
    description:
      - The directory of the archive as the host that runs the module sees it. Needed with O(method=archive).
    type: path
    default: ""
  slot:
    description:
      - The replication slot of the receiver. Needed with O(method=stream).
    type: str
    default: ""
  complete:
    description:
      - Whether all WAL that there is must be in the archive. A segment is ended then in any case.
    type: bool
    default: false
  log_file:
    description:
      - The server's log.
    type: path
    default: ""
  timeout:
    description:
      - How long to wait, in seconds.
    type: int
    default: 600
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: The archive is proven
  pgmahout.cluster.pg_archive_proof:
    method: archive
    directory: /var/backups/pgmahout/orders/wal
    log_file: /var/log/postgresql/postgresql-17-orders.log
    login_unix_socket: /var/run/postgresql
"""

RETURN = r"""
file:
  description:
    - The file in O(directory) that proves it, by the name that it has there; empty with O(method=stream) and in check mode.
  type: str
  returned: success
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import archive_proof, runner

ARGUMENT_SPEC = {
    "method": {"type": "str", "choices": ["archive", "stream"], "required": True},
    "directory": {"type": "path", "default": ""},
    "slot": {"type": "str", "default": ""},
    "complete": {"type": "bool", "default": False},
    "log_file": {"type": "path", "default": ""},
    "timeout": {"type": "int", "default": 600},
}


def main() -> None:
    runner.run_reader(archive_proof.gather, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
