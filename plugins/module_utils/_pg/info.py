# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is: one instance with its replication, read over one connection with three statements however much there is.

The columns are those of the views in PostgreSQL's documentation, chapters 27.2 (cumulative statistics) and 53 (system
views); names of versions that a server does not have are null.
"""

from __future__ import annotations

import os
import pwd
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from . import login, programs, server, version
from .errors import PgError, StateError, Unreachable
from .guc import STANDBY_FLOOR
from .instance import Host, Instance, port_is_taken
from .instance import read as read_instance
from .sql import literal

SHOWN_SETTINGS = STANDBY_FLOOR + (
    "archive_mode", "cluster_name", "data_checksums", "hot_standby_feedback", "max_replication_slots", "port",
    "primary_slot_name", "server_encoding", "synchronous_standby_names", "wal_level", "wal_segment_size")


def gather(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return everything about one instance.

    Raises:
        Unreachable: the login options name a server that does not answer, and no data directory to read instead.
        StateError: the data directory cannot be read with the programs at hand.
    """
    result: Dict[str, Any] = {"running": True, "instance": None, "host": _host(params), "problems": []}
    keywords = None if params["data_directory"] else login.conninfo_of(params)
    if params["data_directory"]:
        with programs.readable(params) as found:
            host = Host(programs.Installation(found.bindir), found.user or "", params["data_directory"], params["timeout"])
            with host.lock():
                instance = read_instance(found, params["data_directory"])
            result["instance"] = _instance(instance, found.version_num)
            result["problems"] = _problems(host, instance, params)
        process = instance.process
        result["running"] = process is not None
        keywords = login.local(process.socket_directory, process.port, params["superuser"]) if process else None
    if keywords is not None:
        result.update(_live(keywords, params))
    return result


def _host(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what tells this host from others, and who we are on it."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    spaces = [os.readlink("/proc/self/ns/%s" % kind) for kind in ("net", "mnt")]
    installation = programs.locate(params)
    return {"machine": ":".join([boot] + spaces), "uid": os.geteuid(), "account": pwd.getpwuid(os.geteuid()).pw_name,
            "bindir": installation.bindir, "account_exists": not params["user"] or _account_exists(params["user"])}


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
        "floors": control.floors if control else {},
        "standby_signal": instance.standby_signal,
        "recovery_signal": instance.recovery_signal,
        "port": process.port if process else None,
        "socket_directory": process.socket_directory if process else None,
        "pid": process.pid if process else None,
    }


def _problems(host: Host, instance: Instance, params: Mapping[str, Any]) -> List[str]:
    """Return what would keep an instance from being made or started as the options say, each as a sentence."""
    checks = [instance.refuse_foreign, lambda: _check_socket(params), lambda: _check_version(host, params)]
    if params["configuration"] is not None:
        checks.append(lambda: server.check_configuration(host, params["configuration"]))
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
        raise StateError("PostgreSQL %d was asked for and the programs in %s are of version %d; set bindir, or pg_cluster_version "
                         "to %d." % (params["version"], host.programs.bindir, found, found))


def _check_port(params: Mapping[str, Any]) -> None:
    if port_is_taken(params["listen_address"], params["listen_port"]):
        raise server.port_taken(params["data_directory"], params["listen_address"], params["listen_port"])


def _check_socket(params: Mapping[str, Any]) -> None:
    if params["socket_directory"]:
        server.check_socket_directory(params["socket_directory"], params["listen_port"])


def _live(keywords: Mapping[str, Any], params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what the running server says."""
    try:
        session = login.Session(keywords)
    except Unreachable as error:
        if not params["data_directory"]:
            raise
        return {"running": True, "answers": False, "problems": [str(error)]}
    try:
        facts: Dict[str, Any] = {"answers": True, "server_version_num": session.version_num}
        for query in (_server_query(), _senders_query(session.version_num), _logical_query()):
            facts.update(session.rows(query)[0]["found"])
        return facts
    finally:
        session.close()


def _array(columns: str, source: str) -> str:
    """Return a subquery that gives all rows as one JSON array."""
    return "(SELECT coalesce(pg_catalog.json_agg(pg_catalog.row_to_json(r)), '[]') FROM (SELECT %s FROM %s) r)" % (
        columns, source)


def _object(pairs: Sequence[Tuple[str, str]]) -> str:
    return "pg_catalog.json_build_object(%s)" % ", ".join("%s, %s" % (literal(key), value) for key, value in pairs)


def _since(version_num: int, major: int, expression: str) -> str:
    return expression if version_num >= major * 10000 else "NULL"


_POSITION = ("CASE WHEN pg_catalog.pg_is_in_recovery() THEN coalesce(pg_catalog.pg_last_wal_receive_lsn(),"
             " pg_catalog.pg_last_wal_replay_lsn()) ELSE pg_catalog.pg_current_wal_lsn() END")


def _server_query() -> str:
    timeline = ("CASE WHEN pg_catalog.pg_is_in_recovery() THEN greatest((SELECT timeline_id FROM"
                " pg_catalog.pg_control_checkpoint()), (SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver),"
                " (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery()))"
                " ELSE ('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::int END")
    lag = ("CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN NULL WHEN pg_catalog.pg_last_wal_receive_lsn() ="
           " pg_catalog.pg_last_wal_replay_lsn() THEN 0 ELSE extract(epoch FROM pg_catalog.clock_timestamp() -"
           " pg_catalog.pg_last_xact_replay_timestamp())::float8 END")
    upstream = ("(SELECT pg_catalog.row_to_json(r) FROM (SELECT status, sender_host AS host, sender_port AS port, slot_name,"
                " latest_end_lsn::text, received_tli AS timeline FROM pg_catalog.pg_stat_wal_receiver) r)")
    settings = ("(SELECT pg_catalog.json_object_agg(name, setting) FROM pg_catalog.pg_settings WHERE name IN (%s))"
                % ", ".join(literal(name) for name in SHOWN_SETTINGS))
    return "SELECT %s AS found" % _object((
        ("role", "CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'standby' ELSE 'primary' END"),
        ("system_identifier", "(SELECT system_identifier::text FROM pg_catalog.pg_control_system())"),
        ("timeline", timeline),
        ("started", "extract(epoch FROM pg_catalog.pg_postmaster_start_time())::float8"),
        ("lsn", "(%s)::text" % _POSITION),
        ("replay_lsn", "pg_catalog.pg_last_wal_replay_lsn()::text"),
        ("replay_lag_seconds", lag),
        ("replay_paused", "CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_is_wal_replay_paused() END"),
        ("upstream", upstream),
        ("settings", settings),
        ("pending_restart", _array("name", "pg_catalog.pg_settings WHERE pending_restart ORDER BY name")),
        ("archiver", "(SELECT pg_catalog.row_to_json(a) FROM pg_catalog.pg_stat_archiver a)"),
    ))


def _senders_query(version_num: int) -> str:
    standbys = _array(
        "application_name, client_addr::text, client_port, state, sync_state, sent_lsn::text, write_lsn::text,"
        " flush_lsn::text, replay_lsn::text, pg_catalog.pg_wal_lsn_diff(%s, replay_lsn)::int8 AS lag_bytes,"
        " coalesce(extract(epoch FROM replay_lag), 0)::float8 AS lag_seconds" % _POSITION,
        "pg_catalog.pg_stat_replication ORDER BY application_name, pid")
    slots = _array(
        "slot_name AS name, slot_type, plugin, database, active, active_pid, temporary, restart_lsn::text,"
        " confirmed_flush_lsn::text, pg_catalog.pg_wal_lsn_diff(%s, restart_lsn)::int8 AS retained_bytes, wal_status,"
        " safe_wal_size, %s AS invalidation_reason, %s AS failover, %s AS synced" % (
            _POSITION, _since(version_num, 17, "invalidation_reason"), _since(version_num, 17, "failover"),
            _since(version_num, 17, "synced")),
        "pg_catalog.pg_replication_slots ORDER BY slot_name")
    return "SELECT %s AS found" % _object((("standbys", standbys), ("slots", slots)))


def _logical_query() -> str:
    publications = _array(
        "pubname AS name, puballtables AS all_tables, (SELECT pg_catalog.array_agg(t.schemaname || '.' || t.tablename ORDER BY"
        " 1) FROM pg_catalog.pg_publication_tables t WHERE t.pubname = p.pubname) AS tables",
        "pg_catalog.pg_publication p ORDER BY pubname")
    tables = ("(SELECT pg_catalog.json_object_agg(r.srrelid::regclass::text, r.srsubstate) FROM"
              " pg_catalog.pg_subscription_rel r WHERE r.srsubid = s.oid)")
    subscriptions = _array(
        "s.subname AS name, d.datname AS database, s.subenabled AS enabled, s.subpublications AS publications,"
        " s.subslotname AS slot_name, w.latest_end_lsn::text, extract(epoch FROM pg_catalog.clock_timestamp() -"
        " w.last_msg_receipt_time)::float8 AS silent_seconds, w.pid IS NOT NULL AS running, %s AS tables" % tables,
        "pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid LEFT JOIN"
        " pg_catalog.pg_stat_subscription w ON w.subid = s.oid AND w.relid IS NULL ORDER BY s.subname")
    return "SELECT %s AS found" % _object((("publications", publications), ("subscriptions", subscriptions)))
