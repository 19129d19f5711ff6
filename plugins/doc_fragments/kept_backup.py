# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation fragments: a backup in a repository and what is kept there, written once."""

from __future__ import annotations


class ModuleDocFragment:
    """Which backup is taken, and how many are kept."""

    DOCUMENTATION = r"""
options:
  directory:
    description:
      - The repository. It is made when it is missing.
    type: path
    required: true
  cluster:
    description:
      - The name of the cluster, which the catalog tells.
    type: str
    required: true
  format:
    description:
      - Whether the backup is a directory that could be started (V(plain)) or archives of tar (V(tar)).
    type: str
    choices: [plain, tar]
    default: plain
  compress:
    description:
      - How it is compressed, as the option C(--compress) of pg_basebackup has it, such as V(gzip:5) or V(server-zstd); not at
        all by default.
    type: str
    default: ""
  checkpoint:
    description:
      - Whether the server makes its checkpoint at once (V(fast)) or spreads it, which takes minutes and spares its disks.
    type: str
    choices: [fast, spread]
    default: fast
  max_rate:
    description:
      - How much may be transferred in a second, such as V(64M); kB without a suffix.
    type: str
    default: ""
  incremental:
    description:
      - How many incremental backups follow a full one. They need PostgreSQL 17 and its setting C(summarize_wal).
      - After a promotion the next one is a full one.
    type: int
    default: 0
  keep_count:
    description:
      - How many full backups are kept, with the incremental ones that build on them.
    type: int
    default: 7
  keep_days:
    description:
      - For how many days back every moment stays restorable, whatever O(keep_count) says; V(0) for none.
    type: int
    default: 0
"""
