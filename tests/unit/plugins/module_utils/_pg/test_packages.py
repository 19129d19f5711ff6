# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dpkg and apt say, read as they write it."""

from __future__ import annotations

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import packages
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.packages import Package

STATUS = """\
Package: dpkg
Essential: yes
Status: install ok installed
Priority: required
Architecture: amd64
Version: 1.22.21
Description: Debian package management system
 Status: deinstall ok installed is what a line of this text may look like.

Package: postgresql-17
Status: hold ok installed
Architecture: amd64
Version: 17.6-0+deb13u1

Package: libpq5
Status: install ok installed
Architecture: i386
Multi-Arch: same
Version: 17.5-1

Package: libpq5
Status: deinstall ok config-files
Architecture: amd64
Multi-Arch: same
Version: 17.6-0+deb13u1

Package: postgresql-client-17
Status: install reinstreq half-installed
Architecture: amd64
Version: 17.6-0+deb13u1

Package: never-there
Status: unknown ok not-installed
Architecture: amd64
"""
JOURNAL = """
Package: postgresql-17
Status: install ok unpacked
Architecture: amd64
Version: 17.7-0+deb13u1
"""


def test_only_what_is_installed_completely_counts() -> None:
    assert packages.installed(STATUS) == {
        "dpkg": Package("install", "1.22.21"), "postgresql-17": Package("hold", "17.6-0+deb13u1"),
        "libpq5": Package("install", "17.5-1")}


def test_what_a_killed_dpkg_left_in_its_journal_counts() -> None:
    assert "postgresql-17" not in packages.installed(STATUS + "\n" + JOURNAL)


@pytest.mark.parametrize("text", ["", "\n", "nonsense"])
def test_no_text_is_no_package(text: str) -> None:
    assert packages.installed(text) == {}


def test_candidates_are_what_apt_would_install() -> None:
    policy = """\
postgresql-15:
  Installed: 15.18-0+deb12u1
  Candidate: 15.20-0+deb12u1
  Version table:
     15.20-0+deb12u1 500
        500 http://deb.debian.org/debian-security bookworm-security/main amd64 Packages
 *** 15.18-0+deb12u1 100
        100 /var/lib/dpkg/status
mail-transport-agent:
  Installed: (none)
  Candidate: (none)
  Version table:
python3-psycopg2:
  Installed: (none)
  Candidate: 2.9.5-1+b1
"""
    assert packages.candidates(policy) == {"postgresql-15": "15.20-0+deb12u1", "python3-psycopg2": "2.9.5-1+b1"}


@pytest.mark.parametrize(("text", "codename", "major"), [
    ('ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n', "trixie", 17),
    ("ID=debian\nVERSION_ID='12'\nVERSION_CODENAME='bookworm'\n", "bookworm", 15),
    ('ID=ubuntu\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\n', "noble", 16),
    ("ID=debian\nVERSION_CODENAME=sid\n", "sid", None),
    ("ID=fedora\nVERSION_ID=43\n", "", None),
])
def test_a_release_says_its_name_and_we_know_its_postgresql(text: str, codename: str, major: int | None) -> None:
    assert (packages.codename(text), packages.offered(text)) == (codename, major)
