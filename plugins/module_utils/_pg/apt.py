# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages of a Debian host: where they come from, which are installed and held; no server is started or stopped by them.

The sources are the manual pages apt-get(8), apt-mark(8), apt.conf(5), dpkg(1) and pg_createcluster(1), whose
``createcluster.conf`` says that a new server package makes no instance of its own.
"""

from __future__ import annotations

import fcntl
import glob
import os
import re
import time
from contextlib import contextmanager, nullcontext
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from . import apt_repository, packages, service_policy, tools
from .apt_repository import Repository
from .errors import InputError, StateError, ToolError
from .instance import read_text, wait_until
from .packages import Package
from .plan import Action, Plan
from .system_file import put

#: What stands before every path that is used here; a test puts a directory of its own there.
ROOT = ""

CREATECLUSTER_FILE = "/etc/postgresql-common/createcluster.d/pgmahout.conf"
_CREATECLUSTER = "# Made by pgmahout.cluster.pg_packages, which undoes other changes.\ncreate_main_cluster = false\n"

_DPKG = "/var/lib/dpkg"
_LISTS = "/var/lib/apt/lists"
_SOURCES = "/etc/apt/sources.list"

#: Nothing asks, shows news, or restarts what uses a library that was replaced (needrestart then does so after the next apt).
_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "APT_LISTCHANGES_FRONTEND": "none", "UCF_FORCE_CONFFOLD": "1",
                "NEEDRESTART_SUSPEND": "1"}
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")
_LOCKED = re.compile(r"Could not get lock|[Uu]nable to (?:acquire|lock)|locked by another process")

#: What stands for a version where there is none, and where it is only known after the run.
_MISSING, _INSTALLED, _NEWEST = "missing", "installed", "newest"


class Wanted(NamedTuple):
    """What the options ask for.

    Attributes:
        latest: whether what is installed is to be of the newest version.
        repository: None without one.
        valid_time: seconds for which the lists of packages count as fresh.
        timeout: seconds to wait for others that work with packages.
        check_mode: whether nothing may be fetched.
    """

    packages: Sequence[str]
    hold: Sequence[str]
    latest: bool
    repository: Optional[Repository]
    valid_time: int
    timeout: int
    check_mode: bool


class Current(NamedTuple):
    """What is.

    Attributes:
        packages: those that are installed, by name.
        files: the present text of each file; None where missing.
        codename: what the release calls itself.
        stale: whether the lists of packages are to be fetched before they are used.
        interrupted: whether a dpkg was killed, so that apt refuses to work.
        policy_repair: the command that takes away a policy that a killed run has left; ``""`` without.
        serves: whether there is an instance that packages could start or stop.
        candidates: the versions that apt would install, by name; only read where the newest is asked for.
    """

    packages: Mapping[str, Package]
    files: Mapping[str, Optional[str]] = {}
    codename: str = ""
    stale: bool = False
    interrupted: bool = False
    policy_repair: str = ""
    serves: bool = False
    candidates: Mapping[str, str] = {}


class Host:
    """The host that a module runs on."""

    shown_as = "commands"

    def __init__(self, timeout: int) -> None:
        self._timeout = timeout

    @contextmanager
    def lock(self, *_names: str) -> Iterator[None]:
        """Hold the packages against other runs, and wait for an apt that works now, such as that of a run that was killed.

        The lock is on a directory, so it writes nothing, and ends with us. That of dpkg is let go again, for our own apt to take.

        Raises:
            StateError: they were held for the whole time-out.
        """
        handle = os.open(ROOT + _DPKG, os.O_RDONLY)
        try:
            if not (wait_until(lambda: _try(fcntl.flock, handle), self._timeout) and wait_until(_is_idle, self._timeout)):
                raise StateError("The packages of this host are being worked on by another program, for %d s now; wait for it to "
                                 "end." % self._timeout)
            yield
        finally:
            os.close(handle)


def _is_idle() -> bool:
    """Return whether neither apt, which holds the first of these locks, nor dpkg, which holds the second, is at work."""
    for name in ("lock-frontend", "lock"):
        handle = os.open("%s/%s" % (ROOT + _DPKG, name), os.O_RDWR | os.O_CREAT, 0o640)
        try:
            if not _try(fcntl.lockf, handle):
                return False
        finally:
            os.close(handle)
    return True


def _try(lock: Callable[[int, int], None], handle: int) -> bool:
    try:
        lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def opener(params: Mapping[str, Any]) -> Iterator[Host]:
    """Give the host that a module runs on.

    Raises:
        StateError: it has no dpkg, or we are not root.
    """
    if not os.path.exists(ROOT + packages.STATUS_FILE):
        raise StateError("The packages of this host were asked for and it has no dpkg; use a host with Debian or Ubuntu, or "
                         "another pg_server_provider.")
    if os.geteuid() != 0:
        raise StateError("The packages of this host were asked for and this task does not run as root; run it with become.")
    yield Host(params["lock_timeout"])


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: a name that is none, a package to be held that is not asked for, or a repository that cannot be one.
    """
    names = list(dict.fromkeys(params["packages"]))
    for name in names:
        if re.match(r"\A[a-z0-9][a-z0-9+.-]+\Z", name) is None:
            raise InputError("The option packages has %r; give names of packages, without version or architecture." % name)
    for name in params["hold"]:
        if name not in names:
            raise InputError("The option hold has %s and packages has not; add it there." % name)
    for option in ("cache_valid_time", "lock_timeout"):
        if params[option] < 0:
            raise InputError("The option %s is %d; give a number of seconds, 0 or more." % (option, params[option]))
    return Wanted(names, list(dict.fromkeys(params["hold"])), params["state"] == "latest",
                  apt_repository.desired(params["repository"]), params["cache_valid_time"], params["lock_timeout"],
                  params["check_mode"])


def read(_host: Host, wanted: Wanted) -> Current:
    """Return what is on the host.

    What is the newest is asked of the repositories, unless in check mode, or where those are not yet the ones asked for.
    """
    current = Current(
        _installed(), {path: read_text(ROOT + path) for path in (CREATECLUSTER_FILE, *apt_repository.files(None, ""))},
        packages.codename(read_text(ROOT + packages.OS_RELEASE_FILE) or ""),
        _is_stale(wanted.valid_time), bool(_journal()) and _is_idle(), service_policy.repair(ROOT + service_policy.PATH),
        bool(glob.glob(ROOT + "/etc/postgresql/*/*/postgresql.conf")))
    if not wanted.latest:
        return current
    if current.stale and not wanted.check_mode and not _is_moved(_files(current, wanted)):
        _update(wanted.timeout)
    return current._replace(candidates=packages.candidates(tools.run(["apt-cache", "policy", *wanted.packages])))


def _installed() -> Dict[str, Package]:
    return packages.installed("\n\n".join(read_text(path) or "" for path in (ROOT + packages.STATUS_FILE, *_journal())))


def _journal() -> List[str]:
    """Return the files of dpkg's journal, in their order; once dpkg has ended, such are left only where it was killed."""
    return sorted(glob.glob(ROOT + _DPKG + "/updates/[0-9]*"))


def _is_stale(valid_time: int) -> bool:
    """Return whether the lists are missing, too old, or older than what says where they come from."""
    lists, sources = ROOT + _LISTS, ROOT + _SOURCES
    if not (os.path.isdir(lists) and any(name.endswith("Release") for name in os.listdir(lists))):
        return True
    fetched = os.stat(lists).st_mtime
    places = [sources, sources + ".d", *glob.glob(sources + ".d/*"), ROOT + apt_repository.KEY_FILE]
    changed = max((os.stat(place).st_mtime for place in places if os.path.exists(place)), default=0.0)
    return fetched < changed or fetched < time.time() - valid_time


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps from what is to what is wanted.

    Raises:
        StateError: the suite of the repository is neither given nor known.
    """
    files = _files(current, wanted)
    is_moved = _is_moved(files)
    versions = {name: _version_then(current, wanted, name, is_moved) for name in wanted.packages}
    names = [name for name, version in versions.items() if version != _version(current, name)]
    hold = _hold(current, wanted, names)
    steps = [Action("policy", current.policy_repair)] if current.policy_repair else []
    steps += [Action("file", ("rm %s" if text is None else "write %s") % path, {"path": path, "text": text})
              for path, text in files.items()]
    if current.interrupted:
        steps.append(_run("dpkg", "--configure", "-a", serves=current.serves))
    if names and (is_moved or (current.stale and not wanted.latest)):
        steps.append(Action("update", "apt-get update"))
    steps += [_installation(current, wanted, names)] if names else []
    steps += [_run("apt-mark", "hold", *hold)] if hold else []
    before: Dict[str, Any] = {name: _shown(_version(current, name), _is_held(current, name)) for name in versions}
    after: Dict[str, Any] = {name: _shown(version, name in hold or _is_held(current, name)) for name, version in versions.items()}
    before.update((path, (current.files[path] or "").splitlines()) for path in files)
    after.update((path, (text or "").splitlines()) for path, text in files.items())
    return Plan(steps, before, after, {"upgraded": [name for name in names if name in current.packages]})


def _files(current: Current, wanted: Wanted) -> Dict[str, Optional[str]]:
    """Return the files that differ with the text that each is to have, in the order to write them."""
    texts = dict({CREATECLUSTER_FILE: _CREATECLUSTER}, **apt_repository.files(wanted.repository, current.codename))
    return {path: text for path, text in texts.items() if current.files.get(path) != text}


def _is_moved(files: Mapping[str, Optional[str]]) -> bool:
    """Return whether packages will come from elsewhere once some files are written."""
    return bool(files.keys() - {CREATECLUSTER_FILE})


def _version_then(current: Current, wanted: Wanted, name: str, is_moved: bool) -> str:
    """Return the version of a package after the steps; what a repository has that is not asked yet nobody knows."""
    if name not in current.packages:
        return _INSTALLED
    if not wanted.latest:
        return _version(current, name)
    return _NEWEST if is_moved else current.candidates.get(name, _version(current, name))


def _version(current: Current, name: str) -> str:
    return current.packages[name].version if name in current.packages else _MISSING


def _is_held(current: Current, name: str) -> bool:
    return name in current.packages and current.packages[name].selection == "hold"


def _shown(version: str, is_held: bool) -> Dict[str, Any]:
    return {"version": version, "held": is_held}


def _hold(current: Current, wanted: Wanted, names: Sequence[str]) -> List[str]:
    """Return what is to be held; what is held and moves is held again, since apt forgets that it was."""
    moved = [name for name in names if _is_held(current, name)]
    return [name for name in wanted.packages if name in moved or (name in wanted.hold and not _is_held(current, name))]


def _run(*argv: str, serves: bool = False) -> Action:
    return Action("run", " ".join(argv), {"argv": argv, "keeps_services": serves})


def _installation(current: Current, wanted: Wanted, names: Sequence[str]) -> Action:
    """Return the step that installs packages; what is held moves only where it is among them."""
    argv = ["apt-get", "install", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold",
            "-o", "DPkg::Lock::Timeout=%d" % wanted.timeout]
    argv += ["--allow-change-held-packages"] if any(_is_held(current, name) for name in names) else []
    return _run(*argv, *names, serves=current.serves)


def apply(_host: Host, wanted: Wanted, steps: Sequence[Action]) -> Dict[str, Any]:
    """Do the steps; return which packages have another version now.

    Raises:
        StateError: apt refused, or what it installed are other packages than those asked for.
    """
    before = _installed()
    for step in steps:
        if step.action == "policy":
            service_policy.restore(ROOT + service_policy.PATH)
        elif step.action == "file":
            put(ROOT + step.values["path"], step.values["text"])
        elif step.action == "update":
            _update(wanted.timeout)
        else:
            with service_policy.kept(ROOT + service_policy.PATH) if step.values["keeps_services"] else nullcontext():
                _insist(step.values["argv"], wanted.timeout)
    after = _installed()
    for name in wanted.packages:
        if name not in after:
            raise StateError("The package %s was installed by apt-get and is not there, as when others only provide it; name one "
                             "that does (apt-cache showpkg %s)." % (name, name))
    return {"upgraded": [name for name in wanted.packages if name in before and before[name].version != after[name].version]}


def _update(timeout: int) -> None:
    """Fetch the lists of packages, and note when that was, since apt touches their directory when it fails, or not at all."""
    try:
        _insist(["apt-get", "update", "-q"], timeout)
    except StateError:
        os.utime(ROOT + _LISTS, (0, 0))
        raise
    os.utime(ROOT + _LISTS)


def _insist(argv: Sequence[str], timeout: int) -> None:
    """Run a program of apt or dpkg, again for as long as another holds something that it needs.

    Raises:
        StateError: it ended with an error, or the time-out is over; its own first words are told.
    """
    failures: List[ToolError] = []

    def ended() -> bool:
        failures.clear()
        try:
            tools.run(argv, env=_environment())
        except ToolError as error:
            failures.append(error)
            return _LOCKED.search(error.output) is None
        return True

    wait_until(ended, timeout)
    for error in failures:
        raise StateError("%s was run and failed: %s; put right what it names and run this again."
                         % (" ".join(argv), _first_words(error)))


def _environment() -> Dict[str, str]:
    proxies = {name: os.environ[name] for name in _PROXIES if name in os.environ}
    return dict(_ENVIRONMENT, **service_policy.ENVIRONMENT, **proxies)


def _first_words(error: ToolError) -> str:
    """Return the first complaint of apt, or of the dpkg under it, which knows more."""
    told = re.search(r"^(?:E: (?P<apt>.+)|(?P<dpkg>dpkg: error.+))$", error.output, re.MULTILINE)
    return (told["apt"] or told["dpkg"] if told else str(error)).rstrip(" .:")
