# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is: one instance with its replication, read over one connection with three statements however much there is."""

from __future__ import annotations

import os
import pwd
from typing import Any, Callable, Dict, List, Mapping, Optional

from . import archiver, configuration, fenced, info_query, layout, login, packages, peers, programs, standby, version, wal_end
from .errors import PgError, StateError, Unreachable
from .instance import Host, Instance, kind_of, place_taken, read_text, wal_timeline
from .instance import read as read_instance


def gather(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return everything about one instance.

    Raises:
        Unreachable: the login options name a server that does not answer, and no data directory to read instead.
        StateError: the data directory cannot be read with the programs at hand.
    """
    result: Dict[str, Any] = {"running": True, "instance": None, "host": _host(params), "problems": [],
                              "peers": peers.ask(params["peers"])}
    keywords = None if params["data_directory"] else login.conninfo_of(params)
    if params["data_directory"]:
        instance = _read(params, result)
        process = instance.process
        result["running"] = process is not None
        keywords = (login.local(process.socket_directory, process.port, params["superuser"], params["login_db"]) if process
                    else None)
    if keywords is not None:
        result.update(_live(keywords, params))
    if params["data_directory"] and result.get("role") == "standby":
        result["timeline"] = max(result["timeline"] or 0, wal_timeline(params["data_directory"]))
    return result


def _read(params: Mapping[str, Any], result: Dict[str, Any]) -> Instance:
    """Return what is in the data directory, with what there is to tell of it put into the results."""
    # The directory alone says nothing: psql may be in it without the server, also while packages are being installed.
    if params["programs_planned"] and not os.access(os.path.join(params["bindir"], "postgres"), os.X_OK):
        instance = _read_without_programs(params)
        result["instance"] = _instance(instance, 0)
        result["problems"] = _problems(None, instance, params)
        return instance
    with programs.readable(params) as found:
        host = Host(programs.Installation(found.bindir), found.user or "", params["data_directory"], params["timeout"])
        with host.lock():
            instance = read_instance(found, params["data_directory"])
        result["instance"] = dict(_instance(instance, found.version_num), wal_end=wal_end.read(host.programs, instance))
        result["problems"] = _problems(host, instance, params)
    return instance


def _read_without_programs(params: Mapping[str, Any]) -> Instance:
    kind = kind_of(params["data_directory"])
    if kind == "instance":
        made_by = (read_text(os.path.join(params["data_directory"], "PG_VERSION")) or "").strip()
        raise StateError("The data directory %s holds an instance and its programs are not in %s; install PostgreSQL %s, which "
                         "it was made by." % (params["data_directory"], params["bindir"], made_by))
    return Instance(params["data_directory"], kind)


def _host(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what tells this host from others, and who we are on it."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    spaces = [os.readlink("/proc/self/ns/%s" % kind) for kind in ("net", "mnt")]
    return {"machine": ":".join([boot] + spaces), "uid": os.geteuid(), "account": pwd.getpwuid(os.geteuid()).pw_name,
            "bindir": _bindir(params), "account_exists": not params["user"] or _account_exists(params["user"]),
            "prepared": any(os.path.exists(path) for path in layout.PREPARATION),
            "scheduled": os.path.exists(os.path.join(params["backup_directory"], layout.SCHEDULE))}


def _bindir(params: Mapping[str, Any]) -> str:
    """Return where the programs are used from, ``""`` where there are none: a server elsewhere can be asked without."""
    try:
        return programs.locate(params).bindir
    except StateError:
        return ""


def _account_exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _instance(instance: Instance, version_num: int) -> Dict[str, Any]:
    control, process = instance.control, instance.process
    return {
        "data_directory": instance.data_directory,
        "kind": instance.kind,
        "programs_version_num": version_num,
        "system_identifier": control.system_identifier if control else "",
        "control_state": control.state if control else "",
        "timeline": instance.newest_timeline,
        "checkpoint_lsn": control.checkpoint_lsn if control else None,
        "minimum_recovery_lsn": control.minimum_recovery_lsn if control else None,
        "wal_end": None,
        "floors": control.floors if control else {},
        "standby_signal": instance.standby_signal,
        "recovery_signal": instance.recovery_signal,
        "follows": standby.upstream_of(read_text(os.path.join(instance.data_directory, "postgresql.auto.conf")) or ""),
        "port": process.port if process else None,
        "socket_directory": process.socket_directory if process else None,
        "pid": process.pid if process else None,
        "archive": archiver.archive_of(instance.data_directory),
        "fenced": fenced.marks_of(instance.data_directory),
    }


def _problems(host: Optional[Host], instance: Instance, params: Mapping[str, Any]) -> List[str]:
    """Return what would keep an instance from being made or started as the options say, each as a sentence."""
    checks: List[Callable[[], None]] = [instance.refuse_foreign, lambda: _check_socket(params)]
    checks.append(lambda: _check_version(host, params) if host else _check_distribution(params))
    if host and params["configuration"] is not None:
        checks.append(lambda: configuration.check(host, params["configuration"]))
    if params["listen_port"] and instance.process is None and instance.kind != "foreign":
        checks.append(lambda: _check_port(params))
    found = []
    for check in checks:
        try:
            check()
        except PgError as error:
            found.append(str(error))
    return found


def _check_version(host: Host, params: Mapping[str, Any]) -> None:
    found = version.major(host.programs.version_num)
    if params["version"] and found != params["version"]:
        raise StateError("PostgreSQL %d was asked for and the programs in %s are of version %d; set bindir, or "
                         "pg_cluster_version to %d." % (params["version"], host.programs.bindir, found, found))


def _check_distribution(params: Mapping[str, Any]) -> None:
    offered = packages.offered(read_text(packages.OS_RELEASE_FILE) or "")
    if params["version"] and params["from_distribution"] and offered and offered != params["version"]:
        raise StateError("PostgreSQL %d was asked for and this release of the distribution has %d; set pg_cluster_version to %d, "
                         "or take PostgreSQL from PGDG by pg_server_pgdg." % (params["version"], offered, offered))


def _check_port(params: Mapping[str, Any]) -> None:
    place = place_taken(params["listen_address"], params["listen_port"], params["socket_directory"])
    if place:
        raise configuration.already_taken(params["data_directory"], place, params["listen_port"])


def _check_socket(params: Mapping[str, Any]) -> None:
    if params["socket_directory"]:
        configuration.check_socket_directory(params["socket_directory"], params["listen_port"])


def _live(keywords: Mapping[str, Any], params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what the running server says."""
    try:
        session = login.Session(login.reader(keywords))
    except Unreachable as error:
        if not params["data_directory"]:
            raise
        return {"running": True, "answers": False, "problems": [str(error)]}
    try:
        facts: Dict[str, Any] = {"answers": True, "server_version_num": session.version_num}
        facts.update(_ask(session, info_query.server(session.version_num)))
        rights = facts.pop("rights")
        facts.update(_ask(session, info_query.streams(session.version_num, rights)))
        facts.update(_ask(session, info_query.logical(session.version_num, rights)))
        facts["archiver"] = _archiver(facts["archiver"], params["log_file"])
        facts["not_visible"] = info_query.not_visible(str(keywords["user"]), facts, rights)
        return facts
    finally:
        session.close()


def _archiver(found: Mapping[str, Any], log_file: str) -> Dict[str, Any]:
    """Return what the statistics say of the archiver, and why it fails when it does."""
    return dict(found, reason=archiver.last_words(log_file) if found["failing"] else "")


def _ask(session: login.Session, query: str) -> Dict[str, Any]:
    found: Dict[str, Any] = session.rows(query)[0]["found"]
    return found
