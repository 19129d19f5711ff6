# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation fragments: the attributes that every module of the collection has."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes of every module that changes something; a reader says so in its own page."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    support: full
    description: Reads the present state and reports what would be done, and does none of it.
  diff_mode:
    support: full
    description: Returns the part of the state that was asked about, before and after.
"""
