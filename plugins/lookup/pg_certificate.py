# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The TLS certificate of a member: from the user's files, or made by a small authority on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
name: pg_certificate
author: The pgmahout founders (@pgmahout)
short_description: The TLS certificate of a member of a cluster
version_added: 1.0.0
description:
  - Returns the certificate that a member's server shows, its private key, and the certificate of the authority by which others
    verify it.
  - They come from the files of the controller that C(pg_server_tls_certificate_file), C(pg_server_tls_key_file) and
    C(pg_server_tls_ca_file) of the member name, all three or none. Ansible Vault may encrypt them. What would keep
    C(sslmode=verify-full) from working is refused, each fault in a sentence.
  - Where none is named, an authority issues a certificate for C(pg_server_address) and the host's name in the inventory. The
    authority is made once for a secrets file, so that all clusters of the file verify each other. It, the certificates and their
    keys are kept in that file on the controller, which has mode 0600.
  - A certificate is valid for 397 days, and returned byte for byte until it must be replaced. It is, when fewer than 30 days are
    left, when the member's address changes, or when it was issued before C(pg_server_tls_issued_after) of the member; setting
    that to the present time is how one rotates.
  - The authority is valid for ten years. In its last two years it gets a new certificate with its key and name, so the old one
    goes on verifying until it ends.
  - In check mode nothing is kept. What would be made is returned, and is made anew each time that it is asked for.
options:
  _terms:
    description:
      - Members, by their names in the inventory.
    type: list
    elements: str
    required: true
requirements:
  - cryptography 42 or newer on the controller, which ansible-core itself depends on
"""

EXAMPLES = r"""
- name: Clients of the cluster have what they verify its servers by
  ansible.builtin.copy:
    content: "{{ lookup('pgmahout.cluster.pg_certificate', 'node1').ca }}"
    dest: /etc/ssl/certs/orders-ca.crt
    mode: "0644"
  # psql 'host=... dbname=... sslmode=verify-full sslrootcert=/etc/ssl/certs/orders-ca.crt'

# The same on the controller, by hand:
# ansible localhost -i inventory.yml -m ansible.builtin.copy \
#   -a 'dest=./orders-ca.crt mode=0644 content="{{ lookup("pgmahout.cluster.pg_certificate", "node1").ca }}"'

- name: All three come from one lookup, so that they belong together in check mode too
  ansible.builtin.set_fact:
    tls: "{{ lookup('pgmahout.cluster.pg_certificate', inventory_hostname) }}"
  no_log: true
"""

RETURN = r"""
_raw:
  description:
    - For each member C(certificate), the server's with the intermediate ones after it, C(key), and C(ca); all are texts in PEM.
  type: list
  elements: dict
"""

import os
from datetime import datetime, timezone
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import authority, certificates, secrets_file


class LookupModule(LookupBase):  # type: ignore[misc]
    """Look up certificates."""

    def run(self, terms: Any, variables: Any = None, **kwargs: Any) -> list[dict[str, str]]:
        """Return the certificate, the key and the authority's certificate of each member."""
        try:
            authority.require()
            return [self._of(member, variables) for member in terms]
        except (InputError, secrets_file.Unusable) as error:
            raise AnsibleError(str(error)) from None

    def _of(self, member: str, variables: Any) -> dict[str, str]:
        hostvars = variables["hostvars"]
        if member not in hostvars or not hostvars[member].get("pg_cluster_name"):
            raise InputError("A certificate is asked for %s, which is no member of a cluster; name a host of the inventory that "
                             "has a pg_cluster_name." % member)
        of_member = hostvars[member]
        asked = certificates.Asked(member, of_member, datetime.now(timezone.utc))
        path = of_member.get("pg_cluster_secrets_file") or variables.get("pg_cluster_secrets_file") or secrets_file.DEFAULT
        return certificates.given(asked, certificates.reader(self._loader)) or certificates.made(
            asked, os.path.expanduser(path), keep=not variables["ansible_check_mode"], tell=self._display.v)
