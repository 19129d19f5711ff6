# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository of packages as apt knows it: its two files, and what cannot be one. Pure.

The format is that of sources.list(5), deb822 style, and that of the key is the armoured one, which apt takes since 1.4.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence

from .errors import InputError, StateError

SOURCES_FILE = "/etc/apt/sources.list.d/pgmahout-pgdg.sources"
KEY_FILE = "/etc/apt/keyrings/pgmahout-pgdg.asc"

#: The option of the module; documented there.
SPEC: Dict[str, Any] = {"type": "dict", "options": {
    "uri": {"type": "str", "default": "http://apt.postgresql.org/pub/repos/apt"},
    "suite": {"type": "str"},
    "components": {"type": "list", "elements": "str", "default": ["main"]},
    "key": {"type": "str", "required": True, "no_log": False},
}}

_HEADER = "# Made by pgmahout.cluster.pg_packages, which undoes other changes."
_KEY = re.compile(r"\A-----BEGIN PGP PUBLIC KEY BLOCK-----\n.+\n-----END PGP PUBLIC KEY BLOCK-----\Z", re.DOTALL)


class Repository(NamedTuple):
    """A repository; a suite of ``""`` is that of the host's release."""

    uri: str
    suite: str
    components: Sequence[str]
    key: str


def desired(option: Optional[Mapping[str, Any]]) -> Optional[Repository]:
    """Return the repository that the option describes, None without one.

    Raises:
        InputError: a value that does not fit into its file, or a secret in it.
    """
    if not option:
        return None
    if re.match(r"\A(https?|file|mirror)\S*:/\S+\Z", option["uri"]) is None:
        raise InputError("The option repository.uri is %r; give an address such as http://apt.postgresql.org/pub/repos/apt."
                         % option["uri"])
    if "@" in option["uri"]:
        raise InputError("The option repository.uri holds the name of an account, and everybody may read its file; put that and "
                         "its password into a file of /etc/apt/auth.conf.d.")
    for name, value in [("suite", option["suite"] or "x")] + [("components", value) for value in option["components"]]:
        if re.match(r"\A[\w.~+/-]+\Z", value) is None:
            raise InputError("The option repository.%s has %r; give names without spaces." % (name, value))
    key = re.sub(r"[ \t\r]+$", "", option["key"].strip(), flags=re.MULTILINE)
    if _KEY.match(key) is None:
        raise InputError("The option repository.key is no armoured public key; give the text that begins with -----BEGIN PGP "
                         "PUBLIC KEY BLOCK-----, such as that of https://www.postgresql.org/media/keys/ACCC4CF8.asc.")
    return Repository(option["uri"], option["suite"] or "", list(option["components"]), key + "\n")


def files(repository: Optional[Repository], codename: str) -> Dict[str, Optional[str]]:
    """Return the text that each file is to have; None for one that is not to be there.

    Args:
        repository: None without one.
        codename: what the host's release calls itself.

    Raises:
        StateError: no suite was given and the host's release has no name.
    """
    if repository is None:
        return {KEY_FILE: None, SOURCES_FILE: None}
    if not (repository.suite or codename):
        raise StateError("A repository was asked for without its suite and /etc/os-release has no VERSION_CODENAME to make one "
                         "from; set repository.suite.")
    lines = [_HEADER, "Types: deb", "URIs: %s" % repository.uri, "Suites: %s" % (repository.suite or codename + "-pgdg"),
             "Components: %s" % " ".join(repository.components), "Signed-By: %s" % KEY_FILE, ""]
    return {KEY_FILE: repository.key, SOURCES_FILE: "\n".join(lines)}
