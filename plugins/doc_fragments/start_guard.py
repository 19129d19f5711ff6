# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation fragments: whom a unit asks before it starts its server, with the keywords of the fragment ``conninfo``."""

from __future__ import annotations

from ansible_collections.pgmahout.cluster.plugins.doc_fragments import conninfo

_KEYWORDS = conninfo.ModuleDocFragment.DOCUMENTATION.split("    type: dict\n", 1)[1]


class ModuleDocFragment:
    """The options by which a former primary does not become a second one."""

    DOCUMENTATION: str = r"""
options:
  start_guard_program:
    description:
      - The text of the program that asks the members of O(start_guard). By default the one of this collection.
    type: str
    default: ""
  start_guard:
    description:
      - The other members of the cluster, each with one host, as keywords of libpq, which O(unit) asks before it starts a server
        that is no standby. So a primary that comes back after a failover does not become a second one.
      - The server is not started where one of them has its system identifier and is on a newer timeline, or takes writes on the
        same. Members that do not answer, or let nobody in, keep no server from starting.
      - Only a start by the unit is guarded, not one by C(pg_ctl). A server that runs is not restarted for it.
      - An empty list takes the guard away. Without the option, what is there is left alone.
    type: list
    elements: dict
""" + _KEYWORDS.replace("O(conninfo.", "O(start_guard.")
