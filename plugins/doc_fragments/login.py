# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation fragments: the options and return values that modules share, written once."""

from __future__ import annotations


class ModuleDocFragment:
    """What the SQL modules share: how to log in."""

    DOCUMENTATION = r"""
requirements:
  - psycopg2 on the host that runs the module
options:
  login_host:
    description:
      - Host name or address of the server. Without it and without O(login_unix_socket), libpq's default socket is used.
    type: str
    default: ""
  login_port:
    description:
      - TCP port of the server, also part of the socket's name.
    type: int
    default: 5432
  login_user:
    description:
      - Role to connect as.
    type: str
    default: postgres
  login_password:
    description:
      - Password of O(login_user). It stays inside the module's process.
    type: str
  login_unix_socket:
    description:
      - Directory of the server's Unix-domain socket. Used instead of O(login_host).
    type: str
    default: ""
  login_db:
    description:
      - Database to connect to.
    type: str
    default: postgres
  login_planned:
    description:
      - The server or the database may not exist yet, since an earlier task of the same play makes it.
      - In check mode, a connection that cannot be made then counts as an empty server, so that the plan is complete. A run
        that is not in check mode always needs the connection.
    type: bool
    default: false
  connect_params:
    description:
      - Further keywords of libpq, such as C(connect_timeout) (seconds).
      - A password is refused here, since this option is shown in results.
    type: dict
    default: {}
  ssl_mode:
    description:
      - How much TLS the connection must have, as libpq's C(sslmode).
    type: str
    default: prefer
    choices: [allow, disable, prefer, require, verify-ca, verify-full]
  ca_cert:
    description:
      - File with the certificates of the authorities that may have signed the server's certificate.
    type: str
  ssl_cert:
    description:
      - File with the client's certificate.
    type: path
  ssl_key:
    description:
      - File with the key of O(ssl_cert).
    type: path
"""
