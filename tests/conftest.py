# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures that every kind of test shares."""

from __future__ import annotations

import sys
from pathlib import Path

COLLECTIONS = Path(__file__).parent.parent / ".collections"
sys.path.insert(0, str(COLLECTIONS))
