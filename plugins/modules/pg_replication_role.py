#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_replication_role
short_description: A role that may replicate
version_added: 1.0.0
description:
  - Makes, changes or drops a role for standbys, subscribers and base backups.
  - An option that is not given is left as it is. A superuser is never lowered or dropped.
  - The password travels and is stored as a SCRAM-SHA-256 verifier that is made on the host that runs the module. It is
    compared with the stored verifier, so that the right password is no change and a wrong one is one change.
  - PostgreSQL 13 to 18. Before version 16, only a superuser may set O(replication).
  - A user who is not a superuser needs C(SELECT) on C(pg_authid) to compare a password, and settings with which the
    server does not log a statement that holds a verifier. Where one of these is missing, the module says which.
options:
  name:
    description:
      - Name of the role, kept exactly as written.
    type: str
    required: true
  state:
    description:
      - V(absent) refuses a superuser, and a role that owns objects or has privileges in any database, but for those of O(may)
        in the database of O(login_db).
    type: str
    choices: [present, absent]
    default: present
  password:
    description:
      - The password in clear, or a SCRAM-SHA-256 verifier.
      - A new verifier has as many iterations as the server's C(scram_iterations) (PostgreSQL 16; 4096 before that). An
        md5 hash that is stored so far is replaced.
    type: str
  login:
    description:
      - Whether the role may log in. Without this option a new role may.
    type: bool
  replication:
    description:
      - Whether the role may stream WAL and use replication slots. Without this option a new role may.
    type: bool
  connection_limit:
    description:
      - Number of connections that the role may have at once, V(-1) for no limit. Connections of standbys do not count.
    type: int
  valid_until:
    description:
      - Time at which the password ends, such as V(2030-12-31T23:59:59+00), or V(infinity).
      - Without an offset it is a time of the server's C(TimeZone).
    type: str
  member_of:
    description:
      - The roles that this one is a direct member of, exactly these. Other memberships are revoked.
      - V([]) revokes all.
    type: list
    elements: str
  may:
    description:
      - What else the role may do without being a superuser, exactly these. Other rights of this list are revoked.
      - V(promote) lets it promote a standby (C(EXECUTE) on C(pg_promote)). V(rewind) lets M(pgmahout.cluster.pg_rewind) read
        the server's files as it (the four functions that the page of C(pg_rewind) names), with which it can read any data.
      - They hold in the database of O(login_db), in which the role must be connected to use them. A superuser needs none.
    type: list
    elements: str
    choices: [promote, rewind]
  comment:
    description:
      - The role's comment. An empty one removes it.
    type: str
extends_documentation_fragment:
  - pgmahout.cluster.login
  - pgmahout.cluster.attributes
seealso:
  - module: pgmahout.cluster.pg_replication_slot
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: The role of the standbys exists
  pgmahout.cluster.pg_replication_role:
    name: streaming
    password: "{{ vault_streaming_password }}"
    may: [promote, rewind]
    comment: standbys and base backups

- name: The role of the subscribers exists and may read what it copies
  pgmahout.cluster.pg_replication_role:
    name: subscriber
    password: "{{ vault_subscriber_password }}"
    connection_limit: 20
    member_of: [pg_read_all_data]

- name: A role that is not needed any more is gone
  pgmahout.cluster.pg_replication_role:
    name: subscriber
    state: absent
"""

RETURN = r"""
statements:
  description: What was sent to the server, or would be sent in check mode. A verifier is masked.
  returned: success
  type: list
  elements: str
  sample: ['CREATE ROLE "streaming" LOGIN REPLICATION PASSWORD ''********''']
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import rights, roles, runner

ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "password": {"type": "str", "no_log": True},
    "login": {"type": "bool"},
    "replication": {"type": "bool"},
    "connection_limit": {"type": "int"},
    "valid_until": {"type": "str"},
    "member_of": {"type": "list", "elements": "str"},
    "may": {"type": "list", "elements": "str", "choices": list(rights.FUNCTIONS)},
    "comment": {"type": "str"},
}


def main() -> None:
    runner.run(roles, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
