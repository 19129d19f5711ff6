# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One server of this host: its data directory, its configuration files, whether it runs.

What needs a restart comes from the server's own ``pg_settings.context`` (PostgreSQL's documentation, chapter 53.25), and
what a configured value means from ``postgres -C``, the server's own parser.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from . import guc, login
from .conninfo import passfile
from .errors import InputError, StateError, ToolError
from .instance import (
    REMOVED,
    UNFINISHED,
    Host,
    Instance,
    Process,
    port_is_taken,
    read_process,
    read_text,
    sync_directory,
    wait_until,
)
from .instance import read as read_instance
from .plan import Action, Plan

_INITDB = {"encoding": "--encoding=%s", "locale": "--locale=%s", "locale_provider": "--locale-provider=%s",
           "builtin_locale": "--builtin-locale=%s", "wal_segment_size": "--wal-segsize=%s"}


#: Values by which a setting such as wal_buffers asks the server to choose; pg_settings then shows what it chose.
_TUNE_YOURSELF = ("-1", "0")


class Wanted(NamedTuple):
    """What the options ask for; ``files`` are the texts of configuration files by their paths."""

    data_directory: str
    state: str
    create: bool
    planned: bool
    restart: str
    system_identifier: str
    initdb: Sequence[str]
    superuser: str
    files: Mapping[str, str]
    passfile: str
    passfile_text: str
    directories: Sequence[str]
    log_file: str
    address: str
    port: int
    timeout: int


class Current(NamedTuple):
    """What is.

    Attributes:
        instance: the data directory.
        files: the present text of each file that is wanted, and of ``postgresql.auto.conf``; None where missing.
        passfile_text: the same of the passfile.
        missing_directories: those that are wanted and do not exist.
        stale: whether a file was written after the server last read its configuration.
        restart_reasons: the settings whose wanted value needs a restart, by name.
        port_taken: whether something else listens where this server is to listen.
        leftovers: the files and directories of the instance, finished or not, that are there.
        last: whether no other instance is below the home that holds the copied programs.
        copy_of_programs: the command that brings the programs to where they are used from; ``""`` when they are there.
    """

    instance: Instance
    files: Mapping[str, Optional[str]]
    passfile_text: Optional[str] = None
    missing_directories: Sequence[str] = ()
    stale: bool = False
    restart_reasons: Sequence[str] = ()
    port_taken: bool = False
    copy_of_programs: str = ""
    leftovers: Sequence[str] = ()
    last: bool = False


def desired(params: Mapping[str, Any]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: an option contradicts another.
    """
    directory = os.path.normpath(params["data_directory"])
    if directory in ("/", "//", os.path.expanduser("~")) or not os.path.isabs(directory):
        raise InputError("The option data_directory is %r, which cannot be an instance's own; give an absolute path."
                         % directory)
    config = params["config_directory"] or directory
    if params["socket_directory"]:
        check_socket_directory(params["socket_directory"], params["port"])
    names = {"configuration": "postgresql.conf", "hba": "pg_hba.conf", "ident": "pg_ident.conf"}
    files = {os.path.join(config, name): params[option] for option, name in names.items() if params[option] is not None}
    entries = params["passfile_entries"]
    log_file = params["log_file"] or directory + ".log"
    return Wanted(
        directory, params["state"], params["create"], params["planned"] and params["check_mode"], params["restart"],
        params["system_identifier"],
        _initdb_arguments(params), params["superuser"], files, params["passfile"],
        passfile(entries) if entries is not None else "",
        [path for path in (os.path.dirname(log_file), params["socket_directory"]) if path], log_file,
        params["listen_address"], params["port"], params["timeout"])


def _initdb_arguments(params: Mapping[str, Any]) -> List[str]:
    given = params["initdb"] or {}
    arguments = ["--username=%s" % params["superuser"], "--auth-local=peer", "--auth-host=scram-sha-256"]
    arguments += [_INITDB[name] % given[name] for name in _INITDB if given.get(name) is not None]
    if given.get("data_checksums") is not None:
        arguments.append("--data-checksums" if given["data_checksums"] else "--no-data-checksums")
    return arguments


def read(host: Host, wanted: Wanted) -> Current:
    """Return what is on the host."""
    instance = read_instance(host.programs, wanted.data_directory)
    if wanted.state == "absent":
        return Current(instance, {}, leftovers=_leftovers(wanted), last=host.is_last(wanted.data_directory))
    if not instance.exists:
        taken = instance.kind != "foreign" and port_is_taken(wanted.address, wanted.port)
        return Current(instance, {}, read_text(wanted.passfile) if wanted.passfile else None, port_taken=taken,
                       copy_of_programs=host.copy_of_programs)
    wanted_files = _files(wanted, instance)
    files = {path: read_text(path) for path in wanted_files}
    _refuse_bad_settings(host, wanted, files)
    current = Current(
        instance, files, read_text(wanted.passfile) if wanted.passfile else None,
        [path for path in wanted.directories if not os.path.isdir(path)],
        port_taken=_listens_elsewhere(instance, wanted) and port_is_taken(wanted.address, wanted.port),
        copy_of_programs=host.copy_of_programs)
    if instance.process is None:
        return current
    with _session(wanted) as session:
        stale = not session.has_loaded(path for path, text in files.items() if text is not None)
        return current._replace(stale=stale, restart_reasons=_restart_reasons(host, wanted, session, instance))


def _listens_elsewhere(instance: Instance, wanted: Wanted) -> bool:
    return instance.process is None or instance.process.port != wanted.port


def _refuse_bad_settings(host: Host, wanted: Wanted, files: Mapping[str, Optional[str]]) -> None:
    for path, text in wanted.files.items():
        if path.endswith("postgresql.conf") and files.get(path) != text:
            check_configuration(host, text)


def _leftovers(wanted: Wanted) -> List[str]:
    paths = [wanted.data_directory, wanted.data_directory + UNFINISHED, wanted.data_directory + REMOVED, wanted.passfile,
             wanted.log_file]
    return [path for path in paths if path and os.path.exists(path)]


def _auto_conf(wanted: Wanted) -> str:
    return os.path.join(wanted.data_directory, "postgresql.auto.conf")


def _files(wanted: Wanted, instance: Instance) -> Dict[str, str]:
    """Return the wanted text of each file; settings that we configure lose their override by ALTER SYSTEM."""
    files = dict(wanted.files)
    settings = _configured(wanted)
    if instance.exists and settings:
        auto = read_text(_auto_conf(wanted)) or ""
        files[_auto_conf(wanted)] = guc.edit(auto, dict.fromkeys(settings))
    return files


def _configured(wanted: Wanted) -> Dict[str, str]:
    texts = [text for path, text in wanted.files.items() if path.endswith("postgresql.conf")]
    return guc.parse(texts[0]) if texts else {}


@contextmanager
def _session(wanted: Wanted) -> Iterator[login.Session]:
    """Connect to the running server as superuser over its socket, once it lets anyone in."""
    process = await_ready(wanted.data_directory, wanted.log_file, wanted.timeout)
    session = login.Session(login.local(process.socket_directory, process.port, wanted.superuser))
    try:
        yield session
    finally:
        session.close()


def _restart_reasons(host: Host, wanted: Wanted, session: login.Session, instance: Instance) -> List[str]:
    settings = _configured(wanted)
    rows = session.rows("SELECT name, setting, vartype, unit, source, pending_restart FROM pg_catalog.pg_settings"
                        " WHERE context = 'postmaster'")
    doubtful = [row["name"] for row in rows if settings and _is_doubtful(row, settings)]
    meant = _meant(host, wanted, doubtful) if doubtful else {}
    running = {row["name"]: row["setting"] for row in rows}
    tuned = {row["name"] for row in rows if row["source"] == "override"}
    reasons = {name for name in meant
               if meant[name] != running[name] and not (name in tuned and meant[name] in _TUNE_YOURSELF)}
    if not settings:
        reasons = {row["name"] for row in rows if row["pending_restart"]}
    if _runs_other_programs(host, instance):
        reasons.add("bindir")
    return sorted(reasons)


def _is_doubtful(row: Mapping[str, Any], settings: Mapping[str, str]) -> bool:
    """Return whether a running value may differ from the configured one, or from the default where none is configured."""
    if row["name"] in settings:
        return not guc.same(settings[row["name"]], row["setting"], row["vartype"], row["unit"])
    return bool(row["pending_restart"]) or row["source"] == "configuration file"


def _runs_other_programs(host: Host, instance: Instance) -> bool:
    pid = instance.process.pid if instance.process else 0
    try:
        return not os.path.samefile("/proc/%d/exe" % pid, host.programs.path("postgres"))
    except OSError:
        return False


def _meant(host: Host, wanted: Wanted, names: Sequence[str]) -> Dict[str, str]:
    """Return what the wanted configuration means for some settings, in the server's own words."""
    with _draft(host, wanted) as draft:
        found = {}
        for name in names:
            found[name] = host.programs.run("postgres", "-D", draft, "-C", name).rstrip("\n")
        return found


@contextmanager
def _draft(host: Host, wanted: Wanted) -> Iterator[str]:
    """Give a directory with the configuration files as they would be."""
    texts = _files(wanted, Instance(wanted.data_directory, "instance"))
    with draft_directory(host, {os.path.basename(path): text for path, text in texts.items()}) as draft:
        yield draft


@contextmanager
def draft_directory(host: Host, texts: Mapping[str, str]) -> Iterator[str]:
    """Give a temporary directory of the server's account with some files, removed at the end."""
    draft = tempfile.mkdtemp(prefix="pgmahout-")
    try:
        os.chmod(draft, 0o700)
        if not host.account.is_us:
            os.chown(draft, host.account.uid, host.account.gid)
        for name, text in texts.items():
            host.write(os.path.join(draft, name), text)
        yield draft
    finally:
        shutil.rmtree(draft)


def check_configuration(host: Host, text: str) -> None:
    """Refuse a configuration that the server would refuse.

    Raises:
        InputError: it holds an unknown setting or a value that is not allowed.
    """
    with draft_directory(host, {"postgresql.conf": text, "postgresql.auto.conf": ""}) as draft:
        try:
            host.programs.run("postgres", "-D", draft, "-C", "port")
        except ToolError as error:
            raise InputError("The settings asked for are refused by PostgreSQL: %s; correct it in pg_server_settings."
                             % _complaint(error)) from None


def _complaint(error: ToolError) -> str:
    """Return what the server says is wrong: its first complaint, not the summary at the end."""
    found = re.search(r"(?:LOG|FATAL|ERROR):\s+(.*)", error.output)
    text = found.group(1) if found else str(error)
    return re.sub(r' in file "[^"]*postgresql.conf" line \d+', "", text).rstrip(".")


def plan(current: Current, wanted: Wanted) -> Plan:
    """Return the steps from what is to what is wanted.

    Raises:
        StateError: the directory holds something else, or another instance than the one named.
    """
    instance = current.instance
    instance.refuse_foreign()
    _refuse_another(instance, wanted)
    if wanted.state == "absent":
        steps = _removal(current, wanted)
    elif not instance.exists:
        steps = _creation(current, wanted)
    elif wanted.restart == "deferred" and current.restart_reasons and wanted.state == "started":
        steps = []
    else:
        steps = _copy(current) + _writes(current, wanted) + _service(current, wanted)
    return Plan(steps, _before(current, steps), _after(current, wanted, steps), _facts(current, wanted, steps))


def _refuse_another(instance: Instance, wanted: Wanted) -> None:
    found = instance.control.system_identifier if instance.control else ""
    if wanted.state == "absent" and found and not wanted.system_identifier:
        raise InputError("The instance in %s was to be absent, which destroys its data, and system_identifier does not name it; "
                         "give %s when it is the right one." % (wanted.data_directory, found))
    if wanted.system_identifier and found and found != wanted.system_identifier:
        raise StateError("The instance with the system identifier %s was asked for in %s and the one there has %s; name the "
                         "right directory." % (wanted.system_identifier, wanted.data_directory, found))


def _removal(current: Current, wanted: Wanted) -> List[Action]:
    steps = [_stop(wanted)] if current.instance.process else []
    steps += [Action("remove", "rm -r %s" % path, {"path": path}) for path in current.leftovers]
    if steps and current.last:
        steps.append(Action("tidy", "rm -r of the programs that no instance uses any more"))
    return steps


def _copy(current: Current) -> List[Action]:
    return [Action("programs", current.copy_of_programs)] if current.copy_of_programs else []


def _creation(current: Current, wanted: Wanted) -> List[Action]:
    if wanted.planned:
        return _writes(current, wanted) + ([] if wanted.state == "stopped" else [_start(wanted)])
    if not wanted.create:
        raise StateError("An instance was expected in %s and there is none; clone or create it first."
                         % wanted.data_directory)
    if current.port_taken:
        raise port_taken(wanted.data_directory, wanted.address, wanted.port)
    argv = ["--pgdata=%s" % (wanted.data_directory + UNFINISHED)] + list(wanted.initdb)
    steps = _copy(current)
    steps.append(Action("initdb", " ".join(["initdb"] + argv), {"argv": argv}))
    steps += [Action("write", "write %s" % path, {"path": path, "text": text, "before": None, "draft": _unfinished(path, wanted)})
              for path, text in wanted.files.items()]
    steps.append(Action("rename", "mv %s %s" % (wanted.data_directory + UNFINISHED, wanted.data_directory)))
    steps += _passfile_write(current, wanted)
    if wanted.state != "stopped":
        steps.append(_start(wanted))
    return steps


def _unfinished(path: str, wanted: Wanted) -> str:
    """Return where a file of the data directory stands while that is being made."""
    inside = wanted.data_directory + os.sep
    return wanted.data_directory + UNFINISHED + os.sep + path[len(inside):] if path.startswith(inside) else path


def port_taken(data_directory: str, address: str, port: int) -> StateError:
    """Return the refusal of a port that something else uses."""
    return StateError("The server in %s was asked to listen on %s port %d and something else does already; stop that or choose "
                      "another port." % (data_directory, address, port))


def check_socket_directory(directory: str, port: int) -> None:
    """Refuse a directory whose sockets would have names longer than the system allows.

    Raises:
        InputError: they would.
    """
    longest = 107
    path = os.path.join(directory, ".s.PGSQL.%d" % port)
    if len(path.encode("utf-8")) > longest:
        raise InputError("The socket %s would have a name of %d bytes and the system allows %d; choose a shorter directory."
                         % (path, len(path.encode("utf-8")), longest))


def _writes(current: Current, wanted: Wanted) -> List[Action]:
    steps = [Action("directory", "mkdir %s" % path, {"path": path}) for path in current.missing_directories]
    steps += [Action("write", "write %s" % path, {"path": path, "text": text, "before": current.files.get(path)})
              for path, text in _wanted_files(current, wanted).items() if current.files.get(path) != text]
    return steps + _passfile_write(current, wanted)


def _wanted_files(current: Current, wanted: Wanted) -> Dict[str, str]:
    """Return the wanted texts, with that of the override file derived from its present one."""
    files = dict(wanted.files)
    auto = current.files.get(_auto_conf(wanted))
    if auto is not None:
        files[_auto_conf(wanted)] = guc.edit(auto, dict.fromkeys(_configured(wanted)))
    return files


def _passfile_write(current: Current, wanted: Wanted) -> List[Action]:
    if not wanted.passfile or current.passfile_text == wanted.passfile_text:
        return []
    return [Action("passfile", "write %s" % wanted.passfile)]


def _service(current: Current, wanted: Wanted) -> List[Action]:
    writes = [step for step in _writes(current, wanted) if step.action == "write"]
    if current.instance.process is None:
        if wanted.state == "stopped":
            return []
        if current.port_taken:
            raise port_taken(wanted.data_directory, wanted.address, wanted.port)
        return [_start(wanted)]
    if wanted.state == "stopped":
        return [_stop(wanted)]
    if wanted.state == "restarted" or (current.restart_reasons and wanted.restart == "when_needed"):
        if current.port_taken and "port" in current.restart_reasons:
            raise port_taken(wanted.data_directory, wanted.address, wanted.port)
        return [Action("restart", "pg_ctl restart --pgdata=%s --mode=fast" % wanted.data_directory)]
    if wanted.state == "reloaded" or writes or current.stale:
        return [Action("reload", "pg_ctl reload --pgdata=%s" % wanted.data_directory)]
    return []


def _start(wanted: Wanted) -> Action:
    return Action("start", "pg_ctl start --pgdata=%s" % wanted.data_directory)


def _stop(wanted: Wanted) -> Action:
    return Action("stop", "pg_ctl stop --pgdata=%s --mode=fast" % wanted.data_directory)


def _before(current: Current, steps: Sequence[Action]) -> Dict[str, Any]:
    state: Dict[str, Any] = {"state": _state(current)}
    for step in steps:
        if step.action == "write":
            state[step.values["path"]] = (step.values["before"] or "").splitlines()
        elif step.action == "passfile":
            state[step.shown[6:]] = "missing" if current.passfile_text is None else "other entries"
    return state


def _after(current: Current, wanted: Wanted, steps: Sequence[Action]) -> Dict[str, Any]:
    state: Dict[str, Any] = {"state": _state(current)}
    for step in steps:
        if step.action in ("stop", "remove"):
            state["state"] = "missing" if wanted.state == "absent" else "stopped"
        elif step.action in ("start", "restart"):
            state["state"] = "started"
        elif step.action == "initdb":
            state["state"] = "stopped"
        elif step.action == "write":
            state[step.values["path"]] = step.values["text"].splitlines()
        elif step.action == "passfile":
            state[step.shown[6:]] = "%d entries" % wanted.passfile_text.count("\n")
    return state


def _state(current: Current) -> str:
    if current.instance.exists:
        return "started" if current.instance.process else "stopped"
    return current.instance.kind


def _facts(current: Current, wanted: Wanted, steps: Sequence[Action]) -> Dict[str, Any]:
    actions = {step.action for step in steps}
    control = current.instance.control
    return {
        "data_directory": wanted.data_directory,
        "system_identifier": control.system_identifier if control else "",
        "restart_required": bool(current.restart_reasons) and not actions & {"restart", "stop", "remove"},
        "restart_reasons": list(current.restart_reasons),
        "created": "initdb" in actions,
        "restarted": "restart" in actions,
        "reloaded": "reload" in actions,
    }


def apply(host: Host, wanted: Wanted, steps: Sequence[Action]) -> Dict[str, Any]:
    """Do the steps; return the system identifier where an instance was made."""
    doers = {"programs": _do_programs, "initdb": _do_initdb, "directory": _do_directory, "write": _do_write,
             "passfile": _do_passfile, "start": _do_start, "stop": _do_stop, "restart": _do_restart, "reload": _do_reload,
             "remove": _do_remove, "rename": _do_rename, "tidy": _do_tidy}
    for step in steps:
        if step.action in ("reload", "restart"):
            _refuse_bad_hba(host, wanted, steps)
        doers[step.action](host, wanted, step)
    if any(step.action == "initdb" for step in steps):
        control = read_instance(host.programs, wanted.data_directory).control
        return {"system_identifier": control.system_identifier if control else ""}
    return {}


def _do_programs(host: Host, _wanted: Wanted, _step: Action) -> None:
    host.copy_programs()


def _do_initdb(host: Host, wanted: Wanted, step: Action) -> None:
    _refuse_bad_settings(host, wanted, {})
    unfinished = wanted.data_directory + UNFINISHED
    if os.path.exists(unfinished):
        shutil.rmtree(unfinished)
    host.make_directory(os.path.dirname(wanted.data_directory), 0o755)
    for path in wanted.directories:
        host.make_directory(path, 0o755)
    host.programs.run("initdb", *step.values["argv"])


def _do_rename(_host: Host, wanted: Wanted, _step: Action) -> None:
    os.rename(wanted.data_directory + UNFINISHED, wanted.data_directory)
    sync_directory(os.path.dirname(wanted.data_directory))


def _do_directory(host: Host, _wanted: Wanted, step: Action) -> None:
    host.make_directory(step.values["path"], 0o755)


def _do_write(host: Host, _wanted: Wanted, step: Action) -> None:
    host.write(step.values.get("draft", step.values["path"]), step.values["text"])


def _do_passfile(host: Host, wanted: Wanted, _step: Action) -> None:
    host.make_directory(os.path.dirname(wanted.passfile), 0o755)
    host.write(wanted.passfile, wanted.passfile_text)


def _do_start(host: Host, wanted: Wanted, _step: Action) -> None:
    for path in wanted.directories:
        host.make_directory(path, 0o755)
    logged = _size(wanted.log_file)
    server = host.programs.spawn("postgres", "-D", wanted.data_directory, log_file=wanted.log_file)

    def settled() -> bool:
        return server.poll() is not None or _accepts(wanted.data_directory)

    if not wait_until(settled, wanted.timeout):
        raise StateError("The server in %s was started and is still recovering after %d s; it goes on, look at %s and run "
                         "this again." % (wanted.data_directory, wanted.timeout, wanted.log_file))
    if server.poll() is not None:
        raise ToolError("The server in %s ended when it was started: %s" % (
            wanted.data_directory, last_words(wanted.log_file, logged)))


def _accepts(data_directory: str) -> bool:
    process = read_process(data_directory)
    return process is not None and process.status in ("ready", "standby")


def await_ready(data_directory: str, log_file: str, timeout: int) -> Process:
    """Wait until a server that runs accepts connections, and return it.

    Raises:
        StateError: it did not within ``timeout`` seconds, or it ended.
    """
    wait_until(lambda: read_process(data_directory) is None or _accepts(data_directory), timeout)
    process = read_process(data_directory)
    if process is None or not _accepts(data_directory):
        raise StateError("The server in %s was found starting and does not accept connections: %s" % (
            data_directory, last_words(log_file, 0)))
    return process


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


def last_words(log_file: str, offset: int) -> str:
    """Return the last telling line that a server logged behind an offset in bytes."""
    try:
        with open(log_file, "rb") as file:
            file.seek(offset)
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return "it left no log in %s." % log_file
    telling = [line for line in lines if re.search(r"\b(FATAL|PANIC):", line)]
    return (telling or lines or ["it logged nothing in %s." % log_file])[-1]


def _do_stop(host: Host, wanted: Wanted, _step: Action) -> None:
    host.programs.run("pg_ctl", "stop", "--pgdata=%s" % wanted.data_directory, "--mode=fast", "--wait",
                      "--timeout=%d" % wanted.timeout)


def _do_restart(host: Host, wanted: Wanted, step: Action) -> None:
    """Stop and start, with what can be done beforehand done beforehand, so that the outage is short."""
    _await_floors(host, wanted)
    with _session(wanted) as session:
        session.rows("CHECKPOINT")
    _do_stop(host, wanted, step)
    _do_start(host, wanted, step)


def _await_floors(host: Host, wanted: Wanted) -> None:
    """Wait until a standby has replayed its primary's lower settings, below which it would not start."""
    settings = _configured(wanted)
    names = [name for name in guc.STANDBY_FLOOR if name in settings]

    def too_low() -> List[str]:
        instance = read_instance(host.programs, wanted.data_directory)
        if not instance.standby_signal or instance.control is None:
            return []
        floors = instance.control.floors
        return [name for name in names if int(settings[name]) < floors[name]]

    if not wait_until(lambda: not too_low(), wanted.timeout):
        raise StateError("The standby in %s was asked to lower %s and its primary still has more, or it does not replay; lower "
                         "it on the primary first." % (wanted.data_directory, ", ".join(too_low())))


def _do_reload(_host: Host, wanted: Wanted, _step: Action) -> None:
    with _session(wanted) as session:
        loaded = "SELECT pg_catalog.pg_conf_load_time()::text AS at"
        before = session.rows(loaded)[0]["at"]
        session.rows("SELECT pg_catalog.pg_reload_conf()")
        if not wait_until(lambda: session.rows(loaded)[0]["at"] != before, wanted.timeout):
            raise StateError("The server in %s was told to read its configuration and has not within %d s; look at %s."
                             % (wanted.data_directory, wanted.timeout, wanted.log_file))


def _refuse_bad_hba(host: Host, wanted: Wanted, steps: Sequence[Action]) -> None:
    """Put the former pg_hba.conf back when the server cannot read the new one, with which it would not start either.

    The view reads the file as it is, not as it was loaded (chapter 53.10).
    """
    with _session(wanted) as session:
        bad = session.rows("SELECT line_number, error FROM pg_catalog.pg_hba_file_rules WHERE error IS NOT NULL")
    if not bad:
        return
    written = [step.values for step in steps if step.action == "write" and step.values["path"].endswith("pg_hba.conf")]
    for values in written:
        host.write(values["path"], values["before"] or "")
    raise StateError("The %s pg_hba.conf has in line %s: %s; %scorrect pg_server_hba." % (
        "new" if written else "present", bad[0]["line_number"], bad[0]["error"],
        "the former file is back, " if written else ""))


def _do_remove(host: Host, wanted: Wanted, step: Action) -> None:
    path = step.values["path"]
    if not os.path.isdir(path):
        os.unlink(path)
    elif path != wanted.data_directory:
        shutil.rmtree(path)
    else:
        os.rename(path, path + REMOVED)
        shutil.rmtree(path + REMOVED)
    host.remove_empty_parents(path)


def _do_tidy(host: Host, wanted: Wanted, _step: Action) -> None:
    host.remove_programs([wanted.log_file] + [os.path.join(path, "") for path in wanted.directories])
