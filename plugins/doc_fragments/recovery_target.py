# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation fragments: where a recovery is to end."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of ``module_utils/_pg/recovery_target.py``."""

    DOCUMENTATION: str = r"""
options:
  target_time:
    description:
      - Recover up to this moment, given with its time zone, such as V(2026-11-22 18:30:00.5+01:00) or V(2026-11-22 17:30:00 UTC).
      - Without any target, recovery goes to the end of the WAL.
    type: str
    default: ""
  target_xid:
    description:
      - Recover up to this transaction. Those that had a lower number and committed later are not recovered.
    type: str
    default: ""
  target_lsn:
    description:
      - Recover up to this position in the WAL, such as V(16/B374D848).
    type: str
    default: ""
  target_name:
    description:
      - Recover up to the point that C(pg_create_restore_point) made under this name.
    type: str
    default: ""
  target_immediate:
    description:
      - Recover up to the end of the backup itself, as soon as the data is consistent.
    type: bool
    default: false
  target_inclusive:
    description:
      - Whether what stands at exactly the target is recovered too. A restore point and the end of a backup have nothing there.
    type: bool
    default: true
  target_timeline:
    description:
      - The timeline to follow, a number, V(current) or V(latest). By default that of the backup, so that an earlier restore from
        the same archive does not lead away from it.
    type: str
    default: ""
  target_action:
    description:
      - Whether the server is promoted at the target, or pauses there to be looked at. At the end of the WAL it is always
        promoted.
    type: str
    choices: [promote, pause]
    default: promote
"""
