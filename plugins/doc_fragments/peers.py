# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation fragments: the connections to other servers, with the keywords of the fragment ``conninfo``."""

from __future__ import annotations

from ansible_collections.pgmahout.cluster.plugins.doc_fragments import conninfo

_KEYWORDS = conninfo.ModuleDocFragment.DOCUMENTATION.split("    type: dict\n", 1)[1]


class ModuleDocFragment:
    """The option ``peers``."""

    DOCUMENTATION: str = r"""
options:
  peers:
    description:
      - Servers to which a replication connection from this host is tried, each with one host, as keywords of libpq.
      - All are tried at once; O(peers.connect_timeout) is 10 seconds by default.
    type: list
    elements: dict
    default: []
""" + _KEYWORDS.replace("O(conninfo.", "O(peers.")
