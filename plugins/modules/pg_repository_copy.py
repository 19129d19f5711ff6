#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_repository_copy
short_description: Some backups of another host, to restore from
version_added: 1.0.0
description:
  - Brings a part of a repository to a host that does not see the repository itself, namely a chain of backups and the WAL that
    follows it, for M(pgmahout.cluster.pg_backup_restore). It is fetched over SSH from the host that has the repository, without a
    detour by the controller, with a key pair that is made for this one time.
  - Three steps follow each other. With O(state=prepared) this module makes the key pair. M(pgmahout.cluster.pg_repository_access)
    lets the key in on the other host. With O(state=present) this module fetches, and removes the key whatever happens.
  - The copy has its name only when it is whole. What a run that failed or was killed has left is gone on with by the next one,
    which fetches the files that are missing or are shorter.
extends_documentation_fragment:
  - pgmahout.cluster.attributes
options:
  directory:
    description:
      - The copy. It must be missing or an earlier copy.
    type: path
    required: true
  user:
    description:
      - Account of the operating system that is to own the copy. Needed when the module runs as root.
    type: str
    default: ""
  cluster:
    description:
      - Name of the cluster, for the catalog of the copy.
    type: str
    default: ""
  backups:
    description:
      - The ids of the chain of backups. Others in an earlier copy are removed.
    type: list
    elements: str
    default: []
  source:
    description:
      - How to reach the host that has the repository. Needed with O(state=present).
    type: dict
    suboptions:
      address:
        description: Name or address.
        type: str
        required: true
      port:
        description: Port of sshd.
        type: int
        default: 22
      login_user:
        description: The account that the key is let in as.
        type: str
        required: true
      host_keys:
        description: The keys of sshd there, each as its type and itself. A host that shows another one gets nothing.
        type: list
        elements: str
        required: true
  state:
    description:
      - V(prepared) makes the key pair, V(present) the copy, and V(absent) removes both.
    type: str
    choices: [prepared, present, absent]
    default: present
  timeout:
    description:
      - How long to wait, in seconds, for another run that works on the same copy.
    type: int
    default: 600
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: There is a key for fetching backups
  pgmahout.cluster.pg_repository_copy:
    directory: /var/backups/pgmahout/orders.copy
    user: postgres
    backups: [20261122T190102Z]
    state: prepared
  become: true
  register: prepared

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

- name: The backup is on the restore host
  pgmahout.cluster.pg_repository_copy:
    directory: /var/backups/pgmahout/orders.copy
    user: postgres
    cluster: orders
    backups: [20261122T190102Z]
    source: {address: vault, login_user: "{{ access.login_user }}", host_keys: "{{ access.host_keys }}"}
  become: true
"""

RETURN = r"""
commands:
  description: What was done, or would be done in check mode, as commands.
  type: list
  elements: str
  returned: success
directory:
  description: The copy.
  type: str
  returned: success
public_key:
  description: The public key that was made.
  type: str
  returned: with O(state=prepared), not in check mode
bytes:
  description: How much was fetched.
  type: int
  returned: with O(state=present), not in check mode
seconds:
  description: How long that took.
  type: float
  returned: with O(state=present), not in check mode
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import repository_copy, runner

ARGUMENT_SPEC = {
    "directory": {"type": "path", "required": True},
    "user": {"type": "str", "default": ""},
    "cluster": {"type": "str", "default": ""},
    "backups": {"type": "list", "elements": "str", "default": []},
    "source": repository_copy.SOURCE_SPEC,
    "state": {"type": "str", "choices": ["prepared", "present", "absent"], "default": "present"},
    "timeout": {"type": "int", "default": 600},
}


def main() -> None:
    runner.run(repository_copy, ARGUMENT_SPEC, repository_copy.opener, required_if=[("state", "present", ["source"])])


if __name__ == "__main__":
    main()
