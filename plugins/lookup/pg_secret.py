# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one path of a secret: from the user's variables or the secrets file to a module's ``no_log`` option."""

from __future__ import annotations

DOCUMENTATION = r"""
name: pg_secret
author: The pgmahout founders (@pgmahout)
short_description: The password of a role of a cluster
version_added: 1.0.0
description:
  - Returns the password that the variable C(pg_cluster_passwords) of the cluster's member gives to the role, else the one in the
    secrets file on the controller, which has mode 0600. One that is in neither is made and kept there.
  - In check mode nothing is kept.
options:
  _terms:
    description:
      - Dictionaries with C(member), a host of the cluster, and C(user), the role. Further keys are handed through.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: The role of the standbys exists
  pgmahout.cluster.pg_replication_role:
    name: replicator
    password: "{{ lookup('pgmahout.cluster.pg_secret', {'member': 'node1', 'user': 'replicator'}).password }}"
"""

RETURN = r"""
_raw:
  description: The dictionaries, each with C(password) in place of C(member).
  type: list
  elements: dict
"""

import os
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import secrets_file


class LookupModule(LookupBase):  # type: ignore[misc]
    """Look up passwords."""

    def run(self, terms: Any, variables: Any = None, **kwargs: Any) -> list[Any]:
        """Return each term with its password."""
        return [{**{key: value for key, value in term.items() if key != "member"},
                 "password": self._password(variables, term["member"], term["user"])} for term in terms]

    @staticmethod
    def _password(variables: Any, member: str, user: str) -> str:
        of_member = variables["hostvars"][member]
        given = of_member.get("pg_cluster_passwords") or {}
        if user in given:
            return str(given[user])
        path = of_member.get("pg_cluster_secrets_file") or variables["pg_cluster_secrets_file"]
        try:
            return secrets_file.password(os.path.expanduser(path), of_member["pg_cluster_name"], user,
                                         keep=not variables["ansible_check_mode"])
        except secrets_file.Unusable as error:
            raise AnsibleError(str(error)) from None
