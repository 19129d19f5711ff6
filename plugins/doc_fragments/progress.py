# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation fragments: how far a task is."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of ``module_utils/_pg/progress.py``."""

    DOCUMENTATION: str = r"""
options:
  _progress_file:
    description:
      - The file in which the task tells how far it is. Ansible's side of this module gives it; it is not for you.
    type: path
    default: ""
"""
