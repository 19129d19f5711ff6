# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's distribution has: which packages are installed, and which PostgreSQL it comes with. Pure.

Read from dpkg's own file, since asking ``dpkg-query`` costs a process; the format is that of deb-control(5).
"""

from __future__ import annotations

import re
from typing import Dict, NamedTuple, Optional, Tuple

STATUS_FILE = "/var/lib/dpkg/status"
OS_RELEASE_FILE = "/etc/os-release"

#: The PostgreSQL that each release comes with, by what /etc/os-release calls it.
_OFFERED = {("debian", "11"): 13, ("debian", "12"): 15, ("debian", "13"): 17, ("ubuntu", "22.04"): 14, ("ubuntu", "24.04"): 16}


class Package(NamedTuple):
    """An installed package.

    Attributes:
        selection: what dpkg is to do with it, such as ``install`` or ``hold``.
        version: as Debian writes it, such as ``17.6-0+deb13u1``.
    """

    selection: str
    version: str


def installed(status: str) -> Dict[str, Package]:
    """Return the packages that are installed completely, by name.

    Args:
        status: the text of dpkg's file, with that of its journal behind it, where what comes later counts.
    """
    found: Dict[Tuple[str, str], Optional[Package]] = {}
    for stanza in status.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Architecture|Status|Version): (.+)$", stanza, re.MULTILINE))
        selection, _flag, state = fields.get("Status", "- - -").split(" ")
        found[fields.get("Package", ""), fields.get("Architecture", "")] = (
            Package(selection, fields["Version"]) if state == "installed" else None)
    return {name: package for (name, _architecture), package in found.items() if package}


def candidates(policy: str) -> Dict[str, str]:
    """Return the version of each package that apt would install, by name; one that it knows none of is left out.

    Args:
        policy: what ``apt-cache policy`` printed in the locale C.
    """
    found = re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (.+)$", policy, re.MULTILINE)
    return {name: version for name, version in found if version != "(none)"}


def offered(os_release: str) -> Optional[int]:
    """Return the major version of PostgreSQL that a release of a distribution comes with, None when we do not know it."""
    values = _release(os_release)
    return _OFFERED.get((values.get("ID", ""), values.get("VERSION_ID", "")))


def codename(os_release: str) -> str:
    """Return what a release calls itself, such as ``trixie``; ``""`` when it does not say."""
    return _release(os_release).get("VERSION_CODENAME", "")


def _release(text: str) -> Dict[str, str]:
    return {key: value.strip("\"'") for key, _sep, value in (line.partition("=") for line in text.splitlines())}
