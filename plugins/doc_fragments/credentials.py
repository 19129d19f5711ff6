# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation fragments: the passwords and certificates of a server, written once."""

from __future__ import annotations


class ModuleDocFragment:
    """What a server itself uses to be known and to know others."""

    DOCUMENTATION = r"""
options:
  passfile:
    description:
      - Path of a passfile for the connections that the server makes, to its upstream and to publishers.
    type: path
    default: ""
  passfile_entries:
    description:
      - The lines of O(passfile), in order. A host, port, database or user of V(*) matches all.
    type: list
    elements: dict
    suboptions:
      host:
        description: Name or address, as the connection gives it.
        type: str
        required: true
      port:
        description: TCP port.
        type: str
        default: "*"
      database:
        description: Database.
        type: str
        default: "*"
      user:
        description: Role.
        type: str
        required: true
      password:
        description: Password in clear.
        type: str
        required: true
  tls_directory:
    description:
      - Directory for the files C(server.crt), C(server.key) and C(ca.crt), which the settings C(ssl_cert_file), C(ssl_key_file)
        and C(ssl_ca_file) of the server, and C(sslrootcert) of its connections, then name.
    type: path
    default: ""
  tls_certificate:
    description:
      - The server's certificate in PEM, with any intermediate ones behind it. Belongs together with the other C(tls_) options;
        what only connects to servers needs O(tls_directory) and O(tls_ca) alone.
    type: str
  tls_key:
    description:
      - The key of O(tls_certificate) in PEM, without a passphrase.
    type: str
  tls_ca:
    description:
      - The certificates in PEM that are trusted to have signed those of other servers and of clients.
    type: str
"""
