# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the module of this name is run; see ``plugin_utils/_pg/here.py``."""

from __future__ import annotations

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg.here import ActionModule

__all__ = ["ActionModule"]
