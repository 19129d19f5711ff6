#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_repository_access
short_description: Another host may read some backups for a short time
version_added: 1.0.0
description:
  - Runs on the host that holds a repository of backups, and lets a key in by SSH that can do one thing, which is to run
    C(serve-backup), a program of the repository that only reads. Which backups and which WAL it gives is part of what the key may
    do. The other host uses M(pgmahout.cluster.pg_repository_copy).
  - The line for the key is in C(authorized_keys) of the account that the module runs as. Run it as the one that Ansible itself
    comes in as, without C(become), since that is known to be let in. Where the repository belongs to another account, the program
    is run as that one by C(sudo), which must not ask for a password, or by C(runuser) where the account is root.
  - sshd itself refuses the key when its time is over, so that a run which is killed leaves nothing that is of use. Lines of keys
    whose time is over are removed by the next run.
extends_documentation_fragment:
  - pgmahout.cluster.attributes
options:
  directory:
    description:
      - The repository.
    type: path
    required: true
  user:
    description:
      - Account that owns the repository. By default the one that the module runs as.
    type: str
    default: ""
  public_key:
    description:
      - The public key of the other host. Only in check mode it may be empty, since nobody has made it then.
    type: str
    required: true
  backups:
    description:
      - The ids of the backups that may be read.
    type: list
    elements: str
    default: []
  archive:
    description:
      - The archive of the repository whose WAL may be read.
    type: str
    default: wal
  first_segment:
    description:
      - The oldest WAL segment that may be read, such as V(000000010000000000000007). Newer ones of any timeline are, too.
    type: str
    default: "000000010000000000000000"
  valid:
    description:
      - For how many seconds a connection may be made. One that was made goes on for as long as it takes.
    type: int
    default: 600
  state:
    description:
      - Whether the key is let in.
    type: str
    choices: [present, absent]
    default: present
  timeout:
    description:
      - How long to wait, in seconds, for another run that works on the same file.
    type: int
    default: 60
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: The restore host may read one backup and the WAL that follows it
  pgmahout.cluster.pg_repository_access:
    directory: /var/backups/pgmahout/orders
    user: postgres
    public_key: "{{ prepared.public_key }}"
    backups: [20261122T190102Z]
    first_segment: "000000010000000000000007"
  delegate_to: vault
  become: false
  register: access
"""

RETURN = r"""
commands:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
host_keys:
  description: The public keys by which the other host knows this one, each as its type and itself.
  type: list
  elements: str
  returned: success
login_user:
  description: The account that the key is let in as.
  type: str
  returned: success
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import repository_access, runner

ARGUMENT_SPEC = {
    "directory": {"type": "path", "required": True},
    "user": {"type": "str", "default": ""},
    "public_key": {"type": "str", "required": True, "no_log": False},
    "backups": {"type": "list", "elements": "str", "default": []},
    "archive": {"type": "str", "default": "wal"},
    "first_segment": {"type": "str", "default": "000000010000000000000000"},
    "valid": {"type": "int", "default": 600},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "timeout": {"type": "int", "default": 60},
}


def main() -> None:
    runner.run(repository_access, ARGUMENT_SPEC, repository_access.opener)


if __name__ == "__main__":
    main()
