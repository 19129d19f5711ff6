# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the embedded provider keeps everything by default."""

from __future__ import annotations

DOCUMENTATION = r"""
name: pg_home
author: The pgmahout founders (@pgmahout)
short_description: The home directory of embedded instances
version_added: 1.0.0
description:
  - Returns C(/var/lib/pgmahout) for root, whose own home no server's account can enter, and for anybody else C(pgmahout) in the
    user's data directory (C(XDG_DATA_HOME), by default C(~/.local/share)).
  - It speaks of the account and the home on the controller; for other hosts set C(pg_server_home).
"""

EXAMPLES = r"""
- name: It is shown
  ansible.builtin.debug:
    msg: "{{ lookup('pgmahout.cluster.pg_home') }}"
"""

RETURN = r"""
_raw:
  description: One directory.
  type: list
  elements: path
"""

import os
from typing import Any

from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):  # type: ignore[misc]
    """Look up the home."""

    def run(self, terms: Any, variables: Any = None, **kwargs: Any) -> list[str]:
        """Return the directory."""
        if os.geteuid() == 0:
            return ["/var/lib/pgmahout"]
        data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
        return [os.path.join(data, "pgmahout")]
