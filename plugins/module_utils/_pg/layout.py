# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things are on a host that is not ours alone, and what the tools of Debian's postgresql-common want to find there.

With the files beside a configuration, ``pg_lsclusters``, ``pg_ctlcluster`` and the unit know an instance as one of their own (see
pg_createcluster).
"""

from __future__ import annotations

from typing import Dict

_FILES = {
    "start.conf": "auto\n",
    "environment": "# Environment variables of the server, as NAME = 'value'.\n",
    # A recovery that takes longer than pg_ctl waits goes on, and the unit counts as started, so that a boot is not held up.
    "pg_ctl.conf": "pg_ctl_options = ''\n",
}

#: Who may read what: all may see which instances there are, and where; not who is let in.
_MODES = {"pg_hba.conf": 0o640, "pg_ident.conf": 0o640}

#: Where the preparation of a host is kept.
SYSCTL_FILE = "/etc/sysctl.d/60-pgmahout.conf"
TMPFILES_FILE = "/etc/tmpfiles.d/60-pgmahout.conf"
DROP_IN = "/etc/systemd/system/postgresql@.service.d/60-pgmahout.conf"
PREPARATION = (SYSCTL_FILE, TMPFILES_FILE, DROP_IN)

#: What a repository of backups has as long as there is a schedule for it.
SCHEDULE = "schedule.json"


def files(unit: str) -> Dict[str, str]:
    """Return the texts of these files by their names; none for a server that is no unit."""
    return dict(_FILES) if unit else {}


def mode(unit: str, name: str) -> int:
    """Return the mode of a configuration file."""
    return _MODES.get(name, 0o644) if unit else 0o600
