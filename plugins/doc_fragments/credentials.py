# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation fragments: the passfile of a server, written once."""

from __future__ import annotations


class ModuleDocFragment:
    """The passwords that a server itself uses."""

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
"""
