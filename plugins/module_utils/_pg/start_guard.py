# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a unit asks before it starts its server: whether the other members have another primary by now.

The program is run as the server's account and not as root, since it lies beside the configuration, which is that account's. It
runs when the network is up, as PostgreSQL's documentation has it for units (chapter 18.3), or it would find nobody at boot. The
rest is from the manual pages systemd.unit, on drop-in files, and systemd.service.
"""

from __future__ import annotations

import grp
import os
import pwd
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from . import conninfo, system_file, tools
from .errors import InputError
from .instance import Host, read_text
from .plan import Action
from .programs import locate
from .schedule_expression import for_systemd

#: What stands before the paths of systemd; a test puts a directory of its own there.
ROOT = ""

#: Options of the module; documented in the fragment ``start_guard``.
SPEC: Dict[str, Any] = {
    "start_guard": dict(conninfo.SPEC, type="list", elements="dict"),
    "start_guard_program": {"type": "str", "default": ""},
}

NAMES = ("start-guard", "start-guard.peers")

_DROP_IN = """# Made by pgmahout.cluster.pg_instance, which undoes other changes.
[Unit]
Wants=network-online.target
After=network-online.target

[Service]
ExecStartPre=%s
"""


class File(NamedTuple):
    """One file; ``text`` is None where it is not to be there."""

    path: str
    text: Optional[str]
    mode: int


def desired(params: Mapping[str, Any], config_directory: str) -> List[File]:
    """Return the files that the option asks for, the one that systemd reads last; none where it was not given.

    Raises:
        InputError: there is no unit that could ask, or a peer holds what the file cannot.
        StateError: there are no programs to ask with.
    """
    if params["start_guard"] is None:
        return []
    if not params["unit"]:
        raise InputError("The option start_guard was given without unit, and only a unit asks before its server starts; leave "
                         "it out.")
    program, peers = (os.path.join(config_directory, name) for name in NAMES)
    texts: List[Optional[str]] = [None, None, None]
    if params["start_guard"]:
        data_directory = os.path.normpath(params["data_directory"])
        command = for_systemd(_as_account(params["user"]) + [program, locate(params).bindir, data_directory, peers])
        texts = [params["start_guard_program"], "".join(map(_line, params["start_guard"])), _DROP_IN % command]
    return [File(*found) for found in zip((program, peers, drop_in(params["unit"])), texts, (0o755, 0o640, 0o644))]


def _line(peer: Mapping[str, Any]) -> str:
    keywords = conninfo.given(peer)
    secrets = sorted(set(conninfo.SECRETS) & set(keywords))
    if secrets:
        raise InputError("The option start_guard has a member with %s, which would stand in a file in clear; give a passfile."
                         % secrets[0])
    text = conninfo.render(keywords)
    if "\n" in text or "\r" in text:
        raise InputError("The option start_guard has a member with a line break in it; remove it.")
    return text + "\n"


def _as_account(user: str) -> List[str]:
    """Return the beginning of a command that root runs as another account, with nothing of root's environment.

    An account that an earlier task is to bring has a group of its own name.
    """
    try:
        found = pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
        user, group = found.pw_name, grp.getgrgid(found.pw_gid).gr_name
    except KeyError:
        group = user
    return ["/usr/bin/setpriv", "--reuid=" + user, "--regid=" + group, "--init-groups", "--reset-env"]


def drop_in(unit: str) -> str:
    """Return the path of the file that systemd reads beside the unit's own."""
    return "%s/etc/systemd/system/%s.d/70-pgmahout-start-guard.conf" % (
        ROOT, unit if unit.endswith(".service") else unit + ".service")


def read(files: Sequence[File]) -> Dict[str, Optional[str]]:
    """Return the present text of each file by its path, None where there is none."""
    return {file.path: read_text(file.path) for file in files}


def is_unread(unit: str) -> bool:
    """Return whether systemd has not read the present files of a unit, as after a run that was killed."""
    shown = tools.run(["systemctl", "show", "--property=NeedDaemonReload", "--value", unit])
    return shown.strip() == "yes"


def writes(present: Mapping[str, Optional[str]], files: Sequence[File]) -> List[Action]:
    """Return the steps to what is wanted; where all goes, systemd's file goes first."""
    differ = [file for file in files if present.get(file.path) != file.text]
    steps = [Action("guard", "write %s" % file.path, {"path": file.path, "text": file.text, "mode": file.mode,
                                                      "before": present.get(file.path)})
             for file in differ if file.text is not None]
    return steps + [Action("guard", "rm %s" % file.path, {"path": file.path, "text": None, "before": present.get(file.path)})
                    for file in reversed(differ) if file.text is None]


def do(host: Host, step: Action) -> None:
    """Do one of the steps."""
    path, text = step.values["path"], step.values["text"]
    if os.path.basename(path) not in NAMES:
        system_file.put(path, text)
        if text is None and not os.listdir(os.path.dirname(path)):
            os.rmdir(os.path.dirname(path))
    elif text is None:
        os.unlink(path)
    else:
        host.write(path, text, step.values["mode"])


def leftovers(unit: str) -> List[str]:
    """Return what of a unit's drop-in files is ours: their directory where nothing else is in it."""
    path = drop_in(unit)
    if not unit or not os.path.exists(path):
        return []
    directory = os.path.dirname(path)
    return [directory if os.listdir(directory) == [os.path.basename(path)] else path]
