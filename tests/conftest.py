# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures that every kind of test shares."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import settings

COLLECTIONS = Path(__file__).parent.parent / ".collections"
sys.path.insert(0, str(COLLECTIONS))

# The same examples every time where a failure would stop somebody else's work; new ones wherever a person looks.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")
