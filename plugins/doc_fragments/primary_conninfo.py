# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation fragments: the connection to an upstream, with the keywords of the fragment ``conninfo``."""

from __future__ import annotations

from ansible_collections.pgmahout.cluster.plugins.doc_fragments import conninfo

_KEYWORDS = conninfo.ModuleDocFragment.DOCUMENTATION.split("    type: dict\n", 1)[1]


class ModuleDocFragment:
    """The option ``primary_conninfo``."""

    DOCUMENTATION: str = r"""
options:
  primary_conninfo:
    description:
      - The upstream to follow and how to log in there, as keywords of libpq; needed for a standby.
      - A password is refused, since it would be stored in clear; put it into a file and give O(primary_conninfo.passfile).
    type: dict
""" + _KEYWORDS.replace("O(conninfo.", "O(primary_conninfo.")
