#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup_schedule
short_description: Backups that take place by themselves
version_added: 1.0.0
description:
  - Lets the host that holds a repository take backups at given times, without Ansible and without the controller.
  - What runs is C(bin/take-backup) in the repository, a program made of the code of M(pgmahout.cluster.pg_backup) itself, with
    the options in C(schedule.json) beside it. It needs a Python 3.8 or newer with psycopg2 that the account can run, the one
    that this module is run by, else C(/usr/bin/python3). A new version of this collection brings a new program with the next
    run of this module.
  - It runs as O(user), never as root. Call it by hand as that account to see it work. Its exit code is 0, or 1 after one
    sentence on standard error; either way C(status.json) and C(status.prom) of the repository say how it ended.
  - With O(schedule_with=systemd) there are the units C(pgmahout-backup-CLUSTER.service) and C(pgmahout-backup-CLUSTER.timer). A
    backup that was due while the host was down is taken when it is up again. What the program says is in the journal.
  - With O(schedule_with=cron) there is C(/etc/cron.d/pgmahout-backup-CLUSTER) where this module runs as root, else a line
    between marks in the account's crontab. cron mails what goes wrong.
  - Characters of the cluster's name that a file of cron cannot have are underscores in these names, which then end in a number.
  - The repository must be there, and so must be the files with passwords and certificates that O(conninfo) names. Logical
    backups are not scheduled.
extends_documentation_fragment:
  - pgmahout.cluster.programs
  - pgmahout.cluster.credentials
  - pgmahout.cluster.conninfo
  - pgmahout.cluster.kept_backup
  - pgmahout.cluster.attributes
options:
  schedule:
    description:
      - When, as C(OnCalendar=) of systemd has it (V(*-*-* 02:00)) or as the five fields of cron (V(0 2 * * *)). Needed unless
        O(state) is V(absent).
    type: str
    default: ""
  schedule_with:
    description:
      - What runs the backups. V(systemd) needs root.
    type: str
    choices: [systemd, cron]
    default: systemd
  only_with_primary_at:
    description:
      - Where the server must be that takes writes, among those of O(conninfo), each as C(HOST:PORT) as O(conninfo) has them.
        When it is elsewhere, a run ends well and takes no backup. For members that have a repository each on their own
        machines, of which only the primary's is to take backups.
    type: list
    elements: str
    default: []
  state:
    description:
      - Whether there is a schedule. With V(absent) the timer or the line, the program and its options go; backups stay.
    type: str
    choices: [present, absent]
    default: present
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: A backup of orders is taken every night
  pgmahout.cluster.pg_backup_schedule:
    directory: /srv/backups/orders
    cluster: orders
    user: postgres
    bindir: /usr/lib/postgresql/17/bin
    conninfo:
      host: node1,node2
      target_session_attrs: read-write
      user: replicator
      passfile: /srv/backups/passfile
    keep_count: 14
    schedule: "*-*-* 02:00"
  become: true

- name: No backup is taken by itself any more
  pgmahout.cluster.pg_backup_schedule:
    directory: /srv/backups/orders
    cluster: orders
    state: absent
  become: true
"""

RETURN = r"""
program:
  description: The path of the program, which takes the path in RV(options_file) as its argument.
  type: str
  returned: success
options_file:
  description: The path of its options.
  type: str
  returned: success
commands:
  description: What was done, or would be done in check mode, as commands.
  type: list
  elements: str
  returned: success
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import runner, schedule


def main() -> None:
    runner.run(schedule, schedule.SPEC, schedule.opener)


if __name__ == "__main__":
    main()
