# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that take place by themselves: a program in the repository, its options, and a timer of systemd or a line of cron.

The program is the code of the module pg_backup itself (``bundle``, ``scheduled``), so that it needs neither Ansible nor the
controller. It runs as the server's account and never as root: it lies in a directory of that account, who could change it.

The sources are the manual pages systemd.timer, systemd.service and crontab(5).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from . import bundle, layout, schedule_expression, scheduled, system_file, tools
from .errors import InputError, StateError, ToolError
from .instance import Host, hash_of
from .plan import Action, Plan
from .programs import Installation

#: What stands before the paths outside the repository; a test puts a directory of its own there.
ROOT = ""

#: Options of the module: those of a backup, and when.
SPEC: Dict[str, Any] = dict(
    scheduled.SPEC,
    schedule={"type": "str", "default": ""},
    schedule_with={"type": "str", "choices": ["systemd", "cron"], "default": "systemd"},
    state={"type": "str", "choices": ["present", "absent"], "default": "present"},
)

_ENTRY = "scheduled"
_HEADER = "# Made by pgmahout.cluster.pg_backup_schedule, which undoes other changes."
#: Where programs of the system are looked for, as tools.run runs them.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_SERVICE = """{header}
[Unit]
Description=A backup of the PostgreSQL cluster {cluster}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User={user}
UMask=0077
ExecStart={command}
"""

_TIMER = """{header}
[Unit]
Description=Backups of the PostgreSQL cluster {cluster}

[Timer]
OnCalendar={schedule}
Persistent=true
RandomizedDelaySec=0

[Install]
WantedBy=timers.target
"""


class Wanted(NamedTuple):
    """What the options ask for.

    Attributes:
        name: the cluster's, as file names can have it.
        cluster: its name.
        schedule: when; ``""`` for never.
        kind: ``systemd`` or ``cron``, ``""`` for nothing at all.
        directory: the repository.
        options: of the backup, as the program reads them.
        modules: the texts that the program is made of.
        planned: whether an earlier task would have brought the account and the packages that are missing.
    """

    name: str
    cluster: str
    schedule: str
    kind: str
    directory: str
    options: str
    modules: Mapping[str, str]
    planned: bool

    @property
    def program(self) -> str:
        """The path of the program."""
        return os.path.join(self.directory, "bin", "take-backup")

    @property
    def options_file(self) -> str:
        """The path of its options."""
        return os.path.join(self.directory, layout.SCHEDULE)

    def unit(self, suffix: str) -> str:
        """Return the name of a unit of systemd."""
        return "%s.%s" % (self.name, suffix)


class Current(NamedTuple):
    """What is.

    Attributes:
        files: the present bytes of each file, by its path; None where missing.
        crontab: of the account, where we are not root; None where no crontab can be had.
        interpreter: a Python that the account can run and that has psycopg2; ``""`` for none.
        user: the name of the account.
        unusable: what is to be told when the kind that is wanted does not work here; ``""`` when it does.
        timer: what systemd knows of the timer and its service, as ``systemctl show`` has it; empty without systemd.
        is_root: whether we are root.
    """

    files: Mapping[str, Optional[bytes]]
    crontab: Optional[str]
    interpreter: str
    user: str
    unusable: str
    timer: Mapping[str, str]
    is_root: bool

    @property
    def is_on(self) -> bool:
        """Whether the timer is enabled or waits."""
        return self.timer.get("UnitFileState") == "enabled" or self.timer.get("ActiveState") == "active"


@contextmanager
def opener(params: Mapping[str, Any]) -> Iterator[Host]:
    """Give the host that a module runs on; what it locks is the schedule, so that no backup holds it up.

    No program of PostgreSQL is run, so none need be there to take a schedule away.
    """
    locked = os.path.join(params["directory"], layout.SCHEDULE)
    yield Host(Installation(params["bindir"]), params["user"], locked, params["timeout"])


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: there is no schedule, it is none of cron's, or a backup with these options is refused.
    """
    is_present = params["state"] == "present"
    if is_present:
        _refuse(params)
    return Wanted(
        _name(params["cluster"]), params["cluster"], params["schedule"].strip(), params["schedule_with"] if is_present else "",
        os.path.normpath(params["directory"]),
        json.dumps(scheduled.stored(params), indent=2, sort_keys=True) + "\n" if is_present else "",
        bundle.closure(_ENTRY, bundle.source) if is_present else {}, params["programs_planned"] and params["check_mode"])


def _refuse(params: Mapping[str, Any]) -> None:
    text = params["schedule"].strip()
    if not text or "\n" in text:
        raise InputError("The option schedule is %r; give a time such as %s, or state absent." % (
            text, "'0 2 * * *'" if params["schedule_with"] == "cron" else "'*-*-* 02:00'"))
    if params["schedule_with"] == "cron":
        schedule_expression.refuse_cron(text)


def _name(cluster: str) -> str:
    """Return a name for files, another one for each cluster; cron reads no file whose name has a dot."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", cluster)
    return "pgmahout-backup-%s" % (plain if plain == cluster else "%s-%08x" % (plain, hash_of(cluster)))


def read(host: Host, wanted: Wanted) -> Current:
    """Return what is on the host."""
    user, unusable = host.programs.user or "", _unusable(wanted)
    if wanted.kind and not wanted.planned:
        user = host.account.name
    return Current(
        {path: _bytes(path) for path in _paths(wanted)}, _crontab(), _interpreter(wanted, user), user, unusable,
        {} if unusable else _timer(wanted), os.geteuid() == 0)


def _system_paths(wanted: Wanted) -> List[str]:
    return [ROOT + "/etc/systemd/system/" + wanted.unit("service"), ROOT + "/etc/systemd/system/" + wanted.unit("timer"),
            ROOT + "/etc/cron.d/" + wanted.name]


def _paths(wanted: Wanted) -> List[str]:
    """Return all files; who finds the first one knows that there is a schedule, or half of one."""
    return [wanted.options_file, wanted.program] + _system_paths(wanted)


def _bytes(path: str) -> Optional[bytes]:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _crontab() -> Optional[str]:
    if os.geteuid() == 0 or shutil.which("crontab", path=_PATH) is None:
        return None
    return tools.run(["crontab", "-l"], accept=(0, 1))


def _interpreter(wanted: Wanted, user: str) -> str:
    """Return a Python for the program: the one that runs this, else the system's; ours may be in a closed home."""
    if not wanted.kind or wanted.planned:
        return sys.executable
    for path in (sys.executable, "/usr/bin/python3"):
        try:
            tools.run([path, "-c", "import sys, psycopg2; sys.exit(sys.version_info < (3, 8))"], user)
        except ToolError:
            continue
        return path
    return ""


def _unusable(wanted: Wanted) -> str:
    """Return why systemd or cron cannot do what is wanted, as the end of a sentence; ``""`` when it can."""
    if wanted.kind == "systemd":
        if not os.path.isdir(ROOT + "/run/systemd/system"):
            return "this host is not run by systemd; set schedule_with to cron."
        try:
            tools.run(["systemd-analyze", "calendar", wanted.schedule])
        except ToolError:
            return ("systemd does not take it for a time; give what 'systemd-analyze calendar' understands, such as "
                    "'*-*-* 02:00'.")
    if wanted.kind == "cron" and not any(shutil.which(name, path=_PATH) for name in ("cron", "crond")):
        return "this host has no cron; install it, or set schedule_with to systemd."
    return ""


def _timer(wanted: Wanted) -> Mapping[str, str]:
    """Return what systemd knows of the timer; whether it must read the files anew may be said by the service too."""
    if not os.path.isdir(ROOT + "/run/systemd/system"):
        return {}
    shown = tools.run(["systemctl", "show", "--property=LoadState", "--property=UnitFileState", "--property=ActiveState",
                       "--property=NeedDaemonReload", wanted.unit("service"), wanted.unit("timer")])
    service, timer = (dict(line.split("=", 1) for line in block.split("\n") if "=" in line) for block in shown.split("\n\n"))
    stale = "yes" in (service.get("NeedDaemonReload"), timer.get("NeedDaemonReload"))
    return dict(timer, NeedDaemonReload="yes" if stale else "no")


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps from what is to what is wanted.

    Raises:
        StateError: this host cannot take it.
    """
    _refuse_host(current, wanted)
    texts = _texts(current, wanted)
    files = {path: text for path, text in texts.items() if current.files[path] != text}
    crontab = _with_line(current.crontab or "", wanted.name, _cron_line(current, wanted) if not current.is_root else "")
    steps = _steps(current, wanted, files)
    if crontab != (current.crontab or ""):
        steps.append(Action("crontab", "crontab -", {"text": crontab}))
    _refuse_rights(current, wanted, files)
    before: Dict[str, Any] = {path: _shown(current.files[path]) for path in files}
    after: Dict[str, Any] = {path: _shown(text) for path, text in files.items()}
    if steps and steps[-1].action == "crontab":
        before["crontab"], after["crontab"] = (current.crontab or "").splitlines(), crontab.splitlines()
    if current.timer:
        before["timer"] = current.is_on
        after["timer"] = wanted.kind == "systemd"
    return Plan(steps, before, after, {"program": wanted.program, "options_file": wanted.options_file})


def _texts(current: Current, wanted: Wanted) -> Dict[str, Optional[bytes]]:
    """Return what each file is to hold; None for one that is not to be there."""
    service, timer, cron = _system_paths(wanted)
    texts: Dict[str, Optional[str]] = dict.fromkeys(_paths(wanted))
    command = [current.interpreter, wanted.program, wanted.options_file]
    if wanted.kind == "systemd":
        values = {"header": _HEADER, "cluster": wanted.cluster.replace("%", "%%"), "user": current.user,
                  "schedule": wanted.schedule, "command": schedule_expression.for_systemd(command)}
        texts.update({service: _SERVICE.format(**values), timer: _TIMER.format(**values)})
    if wanted.kind == "cron" and current.is_root:
        texts[cron] = "%s\n%s\n" % (_HEADER, _cron_line(current, wanted))
    found = {path: None if text is None else text.encode("utf-8") for path, text in texts.items()}
    if wanted.kind:
        found[wanted.program] = bundle.program(_ENTRY, wanted.modules, current.interpreter)
        found[wanted.options_file] = wanted.options.encode("utf-8")
    return found


def _cron_line(current: Current, wanted: Wanted) -> str:
    """Return the line; only what goes wrong is mailed. A table of the system names the account too."""
    if wanted.kind != "cron":
        return ""
    command = schedule_expression.for_cron([current.interpreter, wanted.program, wanted.options_file])
    return " ".join([wanted.schedule] + [current.user] * current.is_root + [command, "> /dev/null"])


def _with_line(crontab: str, name: str, line: str) -> str:
    """Return an account's crontab with our line between its marks, at its end when it is new; without them for no line."""
    marks = "# BEGIN %s" % name, "# END %s" % name
    section = "".join("%s\n" % text for text in (marks[0], line, marks[1])) if line else ""
    pattern = re.compile(r"^%s\n(?:.*\n)*?%s\n" % tuple(map(re.escape, marks)), re.MULTILINE)
    if pattern.search(crontab):
        return pattern.sub(lambda _found: section, crontab)
    return crontab + ("\n" if section and crontab and not crontab.endswith("\n") else "") + section


def _steps(current: Current, wanted: Wanted, files: Mapping[str, Optional[bytes]]) -> List[Action]:
    steps: List[Action] = []
    timer, on = wanted.unit("timer"), wanted.kind == "systemd"
    if current.is_on and not on:
        steps.append(Action("systemctl", "systemctl disable --now %s" % timer, {"argv": ["disable", "--now", timer]}))
    gone = [path for path in reversed(list(files)) if files[path] is None]
    steps += [Action("file", "write %s" % path, {"path": path, "text": text}) for path, text in files.items() if text is not None]
    steps += [Action("file", "rm %s" % path, {"path": path, "text": None}) for path in gone]
    is_stale = current.timer.get("NeedDaemonReload") == "yes" or (not on and current.timer.get("LoadState") == "loaded")
    if current.timer and (is_stale or any(path in files for path in _system_paths(wanted)[:2])):
        steps.append(Action("systemctl", "systemctl daemon-reload", {"argv": ["daemon-reload"]}))
    if on and (current.timer.get("UnitFileState"), current.timer.get("ActiveState")) != ("enabled", "active"):
        steps.append(Action("systemctl", "systemctl enable --now %s" % timer, {"argv": ["enable", "--now", timer]}))
    return steps


def _shown(text: Optional[bytes]) -> List[str]:
    """Return what people are shown of a file: its lines, or of the program which one it is."""
    if text is None:
        return []
    if text.startswith(b"#!"):
        return ["sha256 %s" % hashlib.sha256(text).hexdigest()]
    return text.decode("utf-8", "replace").splitlines()


def _refuse_host(current: Current, wanted: Wanted) -> None:
    if current.unusable:
        raise StateError("Backups were to be scheduled at %r by %s and %s" % (wanted.schedule, wanted.kind, current.unusable))
    if wanted.kind and not current.interpreter:
        raise StateError("Backups were to be scheduled and the account %s can run no Python 3.8 or newer with psycopg2, neither "
                         "%s nor /usr/bin/python3; install it, such as by the package python3-psycopg2."
                         % (current.user, sys.executable))
    if wanted.kind == "cron" and not current.is_root and current.crontab is None:
        raise StateError("Backups were to be scheduled by cron and this host has no program crontab; install cron.")


def _refuse_rights(current: Current, wanted: Wanted, files: Mapping[str, Optional[bytes]]) -> None:
    theirs = [path for path in _system_paths(wanted) if path in files]
    if theirs and not current.is_root:
        raise StateError("The file %s was to be %s and this task does not run as root; run it with become, or set schedule_with "
                         "to cron." % (theirs[0], "removed" if files[theirs[0]] is None else "written"))


def apply(host: Host, wanted: Wanted, steps: Sequence[Action]) -> None:
    """Do the steps.

    Raises:
        StateError: the file system refused one.
        ToolError: systemd or cron did.
    """
    for step in steps:
        if step.action == "systemctl":
            tools.run(["systemctl"] + step.values["argv"])
        elif step.action == "crontab":
            _install_crontab(step.values["text"])
        elif step.values["path"] in _system_paths(wanted):
            text = step.values["text"]
            system_file.put(step.values["path"], None if text is None else text.decode("utf-8"))
        else:
            _put(host, step.values["path"], step.values["text"], 0o700 if step.values["path"] == wanted.program else 0o600)


def _put(host: Host, path: str, text: Optional[bytes], mode: int) -> None:
    """Write or remove a file of the repository."""
    if text is None:
        os.unlink(path)
        return
    host.make_directory(os.path.dirname(path))
    host.write(path, text, mode)


def _install_crontab(text: str) -> None:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        tools.run(["crontab", file.name])
