#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_drill_report
short_description: The report of a restore drill, as data and as a page
version_added: 1.0.0
description:
  - Judges what a drill measured and writes C(drill-report.json), which C(docs/drill-report.schema.json) of this collection
    describes, and C(drill-report.html), one page that needs nothing else. Each is written whole or not at all.
  - Runs on the controller. A drill that failed is no error of this module; see RV(passed).
attributes:
  check_mode:
    support: full
    description: Judges, and writes nothing.
  diff_mode:
    support: none
    description: Each report is a new one.
options:
  directory:
    description:
      - Where the files go; made when it is missing.
    type: path
    required: true
  facts:
    description:
      - What was measured, as the role C(pgmahout.cluster.pg_drill) hands it over.
    type: dict
    required: true
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: The report is written
  pgmahout.cluster.pg_drill_report:
    directory: ./drill
    facts: "{{ measured }}"
  register: drill
"""

RETURN = r"""
report:
  description: The report, as in C(drill-report.json).
  returned: success
  type: dict
passed:
  description: Whether nothing failed.
  returned: success
  type: bool
files:
  description: The paths of both files.
  returned: success
  type: list
  elements: str
"""
