# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's kernel and its systemd are told for PostgreSQL's sake: memory, write-back, the limits of its servers.

The sources are PostgreSQL's documentation, chapters 18.4 (managing kernel resources) and 19.4.1 (``huge_pages``, on transparent
ones), the kernel's on ``/proc/sys/vm``, and the manual pages sysctl.d, tmpfiles.d and systemd.exec.

What is in force is read from the kernel and from systemd themselves; the files only bring it back at the next boot.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional, Sequence

from . import tools
from .errors import InputError, StateError
from .instance import read_text
from .layout import DROP_IN, SYSCTL_FILE, TMPFILES_FILE
from .plan import Action, Plan
from .system_file import put

#: What stands before every path that is used here; a test puts a directory of its own there.
ROOT = ""

_HEADER = "# Made by pgmahout.cluster.pg_host, which undoes other changes."

#: Options by what sysctl calls them, in the order to set them: how much memory may be promised is said before the kernel is told
#: to keep to it.
_SYSCTL = {
    "huge_pages": "vm.nr_hugepages",
    "overcommit_ratio": "vm.overcommit_ratio",
    "overcommit_memory": "vm.overcommit_memory",
    "dirty_background_bytes": "vm.dirty_background_bytes",
    "dirty_bytes": "vm.dirty_bytes",
    "swappiness": "vm.swappiness",
}
_TRANSPARENT = "/sys/kernel/mm/transparent_hugepage/enabled"
_COMMIT = ("vm.nr_hugepages", "vm.overcommit_ratio", "vm.overcommit_memory")
_LIMITS = {"open_files": "LimitNOFILE", "core_size": "LimitCORE"}

_LARGEST = 2 ** 63 - 1
_CAP_SYS_RESOURCE = 1 << 24
#: The least and the greatest value of an option, and what to tell who gave another. PostgreSQL itself opens up to 1000 files in
#: each process (``max_files_per_process``); less than 1 MiB of dirty memory is a size whose unit was forgotten.
_RANGES = {
    "huge_pages": (0, _LARGEST, "a number of pages, 0 or more"),
    "overcommit_memory": (0, 2, "0, 1 or 2"),
    "overcommit_ratio": (1, _LARGEST, "a percentage of the memory, 1 or more"),
    "dirty_background_bytes": (2 ** 20, _LARGEST, "a size of 1M or more"),
    "dirty_bytes": (2 ** 20, _LARGEST, "a size of 1M or more"),
    "swappiness": (0, 200, "a number from 0 to 200"),
    "open_files": (1024, _LARGEST, "a number of 1024 or more"),
}


class Wanted(NamedTuple):
    """What the options ask for.

    Attributes:
        values: what the kernel is to have in force, by the name of the setting, in the order to set them.
        files: the text that each file is to have; None for one that is not to be there.
        open_files: the limit that a server is to get; 0 for none of ours.
    """

    values: Mapping[str, str]
    files: Mapping[str, Optional[str]]
    open_files: int = 0


class Current(NamedTuple):
    """What is.

    Attributes:
        values: what the kernel has in force; None for a setting that it does not have.
        files: the present text of each file; None where missing.
        fixed: the settings that may be read here and not set.
        memory: what ``/proc/meminfo`` says, by name; sizes in kB, huge pages in pages.
        most_open_files: the greatest limit that systemd can give to a process.
        systemd: whether systemd runs this host.
        unread: whether it has not read the present drop-in file, or not noticed that there is none any more.
        is_root: whether we are root.
    """

    values: Mapping[str, Optional[str]]
    files: Mapping[str, Optional[str]]
    fixed: Sequence[str]
    memory: Mapping[str, int]
    most_open_files: int
    systemd: bool
    unread: bool
    is_root: bool


class Machine:
    """The host that a module runs on."""

    shown_as = "commands"

    @contextmanager
    def lock(self, *_names: str) -> Iterator[None]:
        """Hold the settings against other runs; the lock is on a directory, so it writes nothing, and ends with us."""
        handle = os.open(_at("/etc"), os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


@contextmanager
def opener(_params: Mapping[str, Any]) -> Iterator[Machine]:
    """Give the host that a module runs on."""
    yield Machine()


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: a value that no kernel takes, or that cannot have been meant.
    """
    given = {option: params[option] for option in [*_SYSCTL, *_LIMITS] if params[option] is not None}
    _refuse_values(given)
    settings = {name: str(given[option]) for option, name in _SYSCTL.items() if option in given}
    limits = {name: str(given[option]) for option, name in _LIMITS.items() if option in given}
    transparent = {_TRANSPARENT: params["transparent_huge_pages"]} if params["transparent_huge_pages"] else {}
    return Wanted(dict(settings, **transparent), {
        SYSCTL_FILE: _text(["%s = %s" % item for item in settings.items()]),
        TMPFILES_FILE: _text(["w %s - - - - %s" % item for item in transparent.items()]),
        DROP_IN: _text(["[Service]"] * bool(limits) + ["%s=%s" % item for item in limits.items()]),
    }, given.get("open_files", 0))


def _refuse_values(given: Mapping[str, Any]) -> None:
    for option, (least, greatest, right) in _RANGES.items():
        if option in given and not least <= given[option] <= greatest:
            raise InputError("The option %s is %s; give %s." % (option, given[option], right))
    if "dirty_bytes" in given and given.get("dirty_background_bytes", 0) >= given["dirty_bytes"]:
        raise InputError("The option dirty_background_bytes is %d and dirty_bytes is %d; the first, from which on the kernel "
                         "writes in the background, must be less than the second, from which on processes wait."
                         % (given["dirty_background_bytes"], given["dirty_bytes"]))
    if re.match(r"\A(infinity|\d+[KMGTPE]?)\Z", given.get("core_size", "0")) is None:
        raise InputError("The option core_size is %r; give infinity, or a size in bytes such as 0 or 512M." % given["core_size"])


def _text(lines: Sequence[str]) -> Optional[str]:
    return "\n".join([_HEADER, *lines, ""]) if lines else None


def read(_machine: Machine, wanted: Wanted) -> Current:
    """Return what is on the host."""
    names = [*_SYSCTL.values(), _TRANSPARENT]
    memory = re.findall(r"^(\w+): +(\d+)", read_text(_at("/proc/meminfo")) or "", re.MULTILINE)
    systemd = os.path.isdir(_at("/run/systemd/system"))
    return Current(
        {name: _value(name) for name in names},
        {path: read_text(_at(path)) for path in wanted.files},
        [name for name in names if not os.access(_at(_path(name)), os.W_OK)],
        {name: int(number) for name, number in memory},
        _most_open_files(),
        systemd, systemd and _is_unread(wanted.files[DROP_IN] is not None), os.geteuid() == 0)


def _at(path: str) -> str:
    return ROOT + path


def _path(name: str) -> str:
    """Return where the kernel shows a setting."""
    return name if name.startswith("/") else "/proc/sys/" + name.replace(".", "/")


def _value(name: str) -> Optional[str]:
    """Return what is in force; where the kernel lists the choices, that is the one in brackets."""
    text = read_text(_at(_path(name)))
    chosen = re.search(r"\[(\w+)\]", text or "")
    return chosen.group(1) if chosen else text and text.strip()


def _most_open_files() -> int:
    """Return the kernel's limit, or that of systemd where it may not pass it, as in a container; it then gives less unasked."""
    found = int(_value("fs.nr_open") or _LARGEST)
    rights = re.search(r"^CapEff:\s*([0-9a-f]+)", read_text(_at("/proc/1/status")) or "", re.MULTILINE)
    own = re.search(r"^Max open files +\d+ +(\d+)", read_text(_at("/proc/1/limits")) or "", re.MULTILINE)
    may_pass = rights is None or int(rights.group(1), 16) & _CAP_SYS_RESOURCE
    return found if own is None or may_pass else min(found, int(own.group(1)))


def _is_unread(wanted: bool) -> bool:
    """Return whether systemd knows the limits of a unit otherwise than by the drop-in file, as after a run that was killed.

    A unit that is not loaded yet is read for the question, but from the directories that systemd knew at its last reload; one
    that runs says whether its files are newer than what was read. No unit at all is one that its package will bring.
    """
    shown = tools.run(["systemctl", "show", "--property=LoadState", "--property=DropInPaths", "--property=NeedDaemonReload",
                       "postgresql@*.service", "postgresql@pgmahout.service"])
    for block in shown.split("\n\n"):
        unit = dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
        known = DROP_IN in unit.get("DropInPaths", "").split()
        stale = known != wanted or (wanted and unit.get("NeedDaemonReload") == "yes")
        if unit.get("LoadState") == "loaded" and stale:
            return True
    return False


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps from what is to what is wanted.

    Raises:
        StateError: this host cannot take it, or would not survive it.
    """
    values = {name: value for name, value in wanted.values.items() if current.values[name] != value}
    files = {path: text for path, text in wanted.files.items() if current.files[path] != text}
    _refuse_limits(current, wanted)
    _refuse_huge_pages(current, wanted, values)
    _refuse_overcommit(current, wanted, values)
    steps = [_setting(name, value) for name, value in values.items()]
    steps += [Action("file", ("rm %s" if text is None else "write %s") % path, {"path": path, "text": text})
              for path, text in files.items()]
    if current.systemd and (DROP_IN in files or current.unread):
        steps.append(Action("units", "systemctl daemon-reload"))
    _refuse_rights(current, values, bool(steps))
    before: Dict[str, Any] = {name: current.values[name] for name in wanted.values}
    before.update((path, (current.files[path] or "").splitlines()) for path in files)
    after: Dict[str, Any] = dict(wanted.values)
    after.update((path, (text or "").splitlines()) for path, text in files.items())
    return Plan(steps, before, after)


def _setting(name: str, value: str) -> Action:
    shown = "echo %s > %s" % (value, name) if name == _TRANSPARENT else "sysctl %s=%s" % (name, value)
    return Action("set", shown, {"name": name, "value": value})


def _refuse_limits(current: Current, wanted: Wanted) -> None:
    if wanted.files[DROP_IN] and not current.systemd:
        raise StateError("The limits open_files or core_size were asked for and this host is not run by systemd, which would set "
                         "them for its servers; leave them out.")
    if wanted.open_files > current.most_open_files:
        raise StateError("The option open_files is %d and systemd can give %d here, which servers would have to make do with; "
                         "ask for that at most, or raise fs.nr_open or the limit of the container."
                         % (wanted.open_files, current.most_open_files))


def _refuse_huge_pages(current: Current, wanted: Wanted, values: Mapping[str, str]) -> None:
    """Refuse more huge pages than there is memory; how many the kernel finds room for is only known when it has tried."""
    size, total = current.memory.get("Hugepagesize", 0), current.memory.get("MemTotal", 0)
    if int(values.get("vm.nr_hugepages", 0)) * size > total:
        raise StateError("The option huge_pages is %s, which at %d kB each is more than the %d kB of memory that this host has; "
                         "ask for what its servers need." % (wanted.values["vm.nr_hugepages"], size, total))


def _refuse_overcommit(current: Current, wanted: Wanted, values: Mapping[str, str]) -> None:
    """Refuse a limit on promised memory that has been passed already, since then no process could start any more.

    The limit is a part of the memory without huge pages, and the swap space; without a part (``vm.overcommit_kbytes`` stands in
    for it), what the kernel says now.
    """
    then = dict(current.values, **wanted.values)
    if then["vm.overcommit_memory"] != "2" or not set(values) & set(_COMMIT):
        return
    memory, ratio = current.memory, int(then["vm.overcommit_ratio"] or 0)
    pages = int(then["vm.nr_hugepages"] or 0) * memory.get("Hugepagesize", 0)
    limit = (memory["MemTotal"] - pages) * ratio // 100 + memory["SwapTotal"] if ratio else memory["CommitLimit"]
    if memory["Committed_AS"] > limit:
        raise StateError("The kernel was to promise no more than %d kB of memory (overcommit_memory 2, overcommit_ratio %d) and "
                         "has promised %d kB, so no process could start any more; raise overcommit_ratio or add swap space."
                         % (limit, ratio, memory["Committed_AS"]))


def _refuse_rights(current: Current, values: Mapping[str, str], changes: bool) -> None:
    for name, value in values.items():
        if current.values[name] is None:
            raise StateError("The setting %s was to be %s and this kernel does not have it; leave its option out."
                             % (name, value))
    if changes and not current.is_root:
        raise StateError("This host's settings were to be changed and this task does not run as root; run it with become.")
    for name, value in values.items():
        if name in current.fixed:
            raise StateError("The setting %s was to be %s, is %s, and cannot be written here, as in a container; set it on "
                             "the machine whose kernel this is, or leave its option out." % (name, value, current.values[name]))


def apply(_machine: Machine, _wanted: Wanted, steps: Sequence[Action]) -> None:
    """Do the steps.

    Raises:
        StateError: the kernel or the file system refused one.
    """
    for step in steps:
        if step.action == "set":
            _set(step.values["name"], step.values["value"])
        elif step.action == "file":
            put(_at(step.values["path"]), step.values["text"])
        else:
            tools.run(["systemctl", "daemon-reload"])


def _set(name: str, value: str) -> None:
    try:
        with open(_at(_path(name)), "w", encoding="ascii") as file:
            file.write(value)
    except OSError as error:
        raise StateError("The setting %s was to be %s and the kernel refused it: %s; choose another value."
                         % (name, value, error.strerror)) from None


def settle(_machine: Machine, wanted: Wanted) -> None:
    """See that as many huge pages are there as were asked for.

    Raises:
        StateError: the kernel found room for fewer, as it does without an error of its own.
    """
    pages, found = wanted.values.get("vm.nr_hugepages", "0"), _value("vm.nr_hugepages")
    if int(pages) > int(found or 0):
        raise StateError("The option huge_pages is %s and the kernel found room for %s, its free memory being in pieces; reboot "
                         "the host, which will have them from its start, or ask for fewer." % (pages, found))
