# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One server of this host: what is wanted of it and what is.

What needs a restart comes from the server's own ``pg_settings.context`` (PostgreSQL's documentation, chapter 53.25).
"""

from __future__ import annotations

import os
from typing import Any, ContextManager, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set

from . import configuration, credentials, guc, layout, login, service, start_guard, tools
from .errors import InputError
from .instance import REMOVED, REWINDING, UNFINISHED, Host, Instance, place_taken, read_text
from .instance import read as read_instance

_INITDB = {"encoding": "--encoding=%s", "locale": "--locale=%s", "locale_provider": "--locale-provider=%s",
           "builtin_locale": "--builtin-locale=%s", "wal_segment_size": "--wal-segsize=%s"}
#: Values by which a setting such as wal_buffers asks the server to choose; pg_settings then shows what it chose.
_TUNE_YOURSELF = ("-1", "0")


class Wanted(NamedTuple):
    """What the options ask for; ``files`` are the texts of configuration files by their paths, ``unit`` that of systemd."""

    data_directory: str
    state: str
    create: bool
    planned: bool
    programs_upgraded: bool
    restart: str
    system_identifier: str
    initdb: Sequence[str]
    superuser: str
    files: Mapping[str, str]
    credentials: List[credentials.File]
    start_guard: List[start_guard.File]
    unit: str
    config_directory: str
    directories: Sequence[str]
    log_file: str
    address: str
    port: int
    socket_directory: str
    timeout: int


class Current(NamedTuple):
    """What is.

    Attributes:
        instance: the data directory.
        files: the present text of each file that is wanted, and of ``postgresql.auto.conf``; None where missing.
        credentials: the same of the passfile and the certificate's files.
        start_guard: the same of what the unit runs before it starts its server.
        unread: whether systemd has not read the unit's present files.
        missing_directories: those that are wanted and do not exist.
        stale: whether a file was written after the server last read its configuration.
        restart_reasons: the settings whose wanted value needs a restart, by name.
        place_taken: where something else listens that this server is to listen on; ``""`` where nothing does.
        leftovers: the files and directories of the instance, finished or not, that are there.
        last: whether no other instance is below the home that holds the copied programs.
        copy_of_programs: the command that brings the programs to where they are used from; ``""`` when they are there.
    """

    instance: Instance
    files: Mapping[str, Optional[str]]
    credentials: Mapping[str, Optional[str]] = {}
    start_guard: Mapping[str, Optional[str]] = {}
    unread: bool = False
    missing_directories: Sequence[str] = ()
    stale: bool = False
    restart_reasons: Sequence[str] = ()
    place_taken: str = ""
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
    config = os.path.normpath(params["config_directory"] or directory)
    if params["socket_directory"]:
        configuration.check_socket_directory(params["socket_directory"], params["port"])
    names = {"configuration": "postgresql.conf", "hba": "pg_hba.conf", "ident": "pg_ident.conf"}
    files = {os.path.join(config, name): params[option] for option, name in names.items() if params[option] is not None}
    if files:
        files.update((os.path.join(config, name), text) for name, text in layout.files(params["unit"]).items())
    log_file = params["log_file"] or directory + ".log"
    return Wanted(
        directory, params["state"], params["create"], params["planned"] and params["check_mode"],
        params["programs_upgraded"] and params["check_mode"], params["restart"],
        params["system_identifier"],
        _initdb_arguments(params), params["superuser"], files, credentials.desired(params),
        start_guard.desired(params, config), params["unit"], config,
        [path for path in (os.path.dirname(log_file), params["socket_directory"]) if path], log_file,
        params["listen_address"], params["port"], params["socket_directory"], params["timeout"])


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
        taken = "" if instance.kind == "foreign" else _place_taken(wanted)
        return Current(instance, {}, credentials.read(wanted.credentials), start_guard.read(wanted.start_guard),
                       place_taken=taken, copy_of_programs=host.copy_of_programs)
    wanted_files = _files(wanted, instance)
    files = {path: read_text(path) for path in wanted_files}
    refuse_bad_settings(host, wanted, files)
    current = Current(
        instance, files, credentials.read(wanted.credentials), start_guard.read(wanted.start_guard),
        bool(wanted.start_guard) and start_guard.is_unread(wanted.unit),
        [path for path in wanted.directories if not os.path.isdir(path)],
        place_taken=_place_taken(wanted) if _listens_elsewhere(instance, wanted) else "",
        copy_of_programs=host.copy_of_programs)
    if instance.process is None:
        return current
    with session(wanted) as connection:
        loaded = [path for path, text in files.items() if text is not None]
        stale = not connection.has_loaded(loaded + credentials.loaded(current.credentials, wanted.credentials))
        return current._replace(stale=stale, restart_reasons=_restart_reasons(host, wanted, connection, instance))


def _place_taken(wanted: Wanted) -> str:
    return place_taken(wanted.address, wanted.port, wanted.socket_directory)


def _listens_elsewhere(instance: Instance, wanted: Wanted) -> bool:
    return instance.process is None or instance.process.port != wanted.port


def refuse_bad_settings(host: Host, wanted: Wanted, files: Mapping[str, Optional[str]]) -> None:
    """Refuse a configuration that the server would refuse, where it differs from the present text.

    Raises:
        InputError: it holds an unknown setting or a value that is not allowed.
    """
    for path, text in wanted.files.items():
        if path.endswith("postgresql.conf") and files.get(path) != text:
            configuration.check(host, text)


def _leftovers(wanted: Wanted) -> List[str]:
    paths = [wanted.data_directory + suffix for suffix in ("", UNFINISHED, REMOVED, REWINDING)] + [wanted.log_file]
    paths += [file.path for file in wanted.credentials] + start_guard.leftovers(wanted.unit)
    if wanted.config_directory != wanted.data_directory:
        paths += _configuration_of_ours(wanted, {os.path.basename(file.path) for file in wanted.credentials})
    return [path for path in paths if path and os.path.exists(path)]


def _configuration_of_ours(wanted: Wanted, secret: Set[str]) -> List[str]:
    """Return the directory of the configuration, or its files alone where it holds others that are not ours to remove."""
    directory = wanted.config_directory
    known = {"postgresql.conf", "pg_hba.conf", "pg_ident.conf", *layout.files(wanted.unit), *start_guard.NAMES}
    found = set(os.listdir(directory)) if os.path.isdir(directory) else set()
    if found and found <= known | secret:
        return [directory]
    return [os.path.join(directory, name) for name in sorted(found & known)]


def auto_conf(wanted: Wanted) -> str:
    """Return the path of the file that ALTER SYSTEM writes."""
    return os.path.join(wanted.data_directory, "postgresql.auto.conf")


def _files(wanted: Wanted, instance: Instance) -> Dict[str, str]:
    """Return the wanted text of each file; settings that we configure lose their override by ALTER SYSTEM."""
    files = dict(wanted.files)
    settings = configured(wanted)
    if instance.exists and settings:
        auto = read_text(auto_conf(wanted)) or ""
        files[auto_conf(wanted)] = guc.edit(auto, dict.fromkeys(settings))
    return files


def configured(wanted: Wanted) -> Dict[str, str]:
    """Return the wanted settings by their names, none when the configuration is not ours."""
    texts = [text for path, text in wanted.files.items() if path.endswith("postgresql.conf")]
    return guc.parse(texts[0]) if texts else {}


def session(wanted: Wanted) -> ContextManager[login.Session]:
    """Return a session with the running server, as superuser over its socket."""
    return service.session(wanted.data_directory, wanted.log_file, wanted.superuser, wanted.timeout)


def _restart_reasons(host: Host, wanted: Wanted, connection: login.Session, instance: Instance) -> List[str]:
    settings = configured(wanted)
    rows = connection.rows("SELECT name, setting, vartype, unit, source, pending_restart FROM pg_catalog.pg_settings"
                           " WHERE context = 'postmaster'")
    doubtful = [row["name"] for row in rows if settings and _is_doubtful(row, settings)]
    meant = configuration.meant(host, _texts(wanted), doubtful) if doubtful else {}
    running = {row["name"]: row["setting"] for row in rows}
    tuned = {row["name"] for row in rows if row["source"] == "override"}
    reasons = {name for name in meant
               if meant[name] != running[name] and not (name in tuned and meant[name] in _TUNE_YOURSELF)}
    if not settings:
        reasons = {row["name"] for row in rows if row["pending_restart"]}
    if wanted.programs_upgraded or _runs_other_programs(host, instance):
        reasons.add("bindir")
    return sorted(reasons)


def _is_doubtful(row: Mapping[str, Any], settings: Mapping[str, str]) -> bool:
    """Return whether a running value may differ from the configured one, or from the default where none is configured."""
    if row["name"] in settings:
        return not guc.same(settings[row["name"]], row["setting"], row["vartype"], row["unit"])
    return bool(row["pending_restart"]) or row["source"] == "configuration file"


def _runs_other_programs(host: Host, instance: Instance) -> bool:
    """Return whether a server runs what is no longer, or not, the program at hand; an upgrade of packages leaves it so."""
    running = "/proc/%d/exe" % (instance.process.pid if instance.process else 0)
    found = os.stat(host.programs.path("postgres"))
    try:
        return not os.path.samestat(os.stat(running), found)
    except PermissionError:
        # Root without CAP_SYS_PTRACE, as in a container; the server's own account may look.
        printed = tools.run(["stat", "--dereference", "--format=%d %i", running], host.programs.user)
        return printed.split() != [str(found.st_dev), str(found.st_ino)]
    except FileNotFoundError:
        return False


def _texts(wanted: Wanted) -> Dict[str, str]:
    """Return the configuration files as they would be, by their names."""
    files = _files(wanted, Instance(wanted.data_directory, "instance"))
    return {os.path.basename(path): text for path, text in files.items()}
