# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running server is asked about its replication: three statements, each of one row with one JSON object. Pure.

The columns are those of the views in PostgreSQL's documentation, chapters 27.2 (cumulative statistics), 52 (catalogs) and
53 (system views). What a version does not have is null. Whatever may hold a password is not asked for.
"""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence, Tuple

from .guc import STANDBY_FLOOR
from .sql import literal

SHOWN_SETTINGS = STANDBY_FLOOR + (
    "archive_mode", "cluster_name", "data_checksums", "default_transaction_read_only", "hot_standby_feedback",
    "max_replication_slots", "port", "primary_slot_name", "recovery_min_apply_delay", "server_encoding", "sync_replication_slots",
    "synchronized_standby_slots", "synchronous_commit", "synchronous_standby_names", "transaction_read_only", "wal_level",
    "wal_log_hints", "wal_segment_size")

_IN_RECOVERY = "pg_catalog.pg_is_in_recovery()"
_RECEIVED = "pg_catalog.pg_last_wal_receive_lsn()"
_REPLAYED = "pg_catalog.pg_last_wal_replay_lsn()"

#: A standby that restarted asks for WAL from the start of a segment, so that it may have replayed more than it received.
_POSITION = "CASE WHEN %s THEN greatest(%s, %s) ELSE pg_catalog.pg_current_wal_lsn() END" % (
    _IN_RECOVERY, _RECEIVED, _REPLAYED)

_ARCHIVER = (
    "(SELECT pg_catalog.row_to_json(a) FROM (SELECT archived_count, last_archived_wal, last_archived_time, failed_count,"
    " last_failed_wal, last_failed_time, stats_reset,"
    " coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS failing, %s AS ready"
    " FROM pg_catalog.pg_stat_archiver) a)")

#: History files wait for the archive too; they are no WAL.
_READY = "(SELECT count(name) FROM pg_catalog.pg_ls_archive_statusdir() WHERE name ~ '^[0-9A-F]{24}(\\.partial)?\\.ready$')"


def server(version_num: int) -> str:
    """Return the query for the server itself, and for ``rights``: what the role that asks may see.

    Args:
        version_num: such as 180006.
    """
    return "SELECT %s AS found" % _object((
        ("role", "CASE WHEN %s THEN 'standby' ELSE 'primary' END" % _IN_RECOVERY),
        ("database", "pg_catalog.current_database()"),
        ("system_identifier", "(SELECT system_identifier::text FROM pg_catalog.pg_control_system())"),
        ("timeline", TIMELINE),
        ("started", "extract(epoch FROM pg_catalog.pg_postmaster_start_time())::float8"),
        ("lsn", "(%s)::text" % _POSITION),
        ("received_lsn", "%s::text" % _RECEIVED),
        ("replay_lsn", "%s::text" % _REPLAYED),
        # latest_end_lsn is how far the upstream itself was when it sent its last message.
        ("replay_lag_bytes", "CASE WHEN %s THEN %s END" % (_IN_RECOVERY, _bytes(
            "greatest(%s, (SELECT latest_end_lsn FROM pg_catalog.pg_stat_wal_receiver))" % _RECEIVED, _REPLAYED))),
        ("replay_lag_seconds", _REPLAY_LAG_SECONDS),
        ("replay_paused", "CASE WHEN %s THEN pg_catalog.pg_is_wal_replay_paused() END" % _IN_RECOVERY),
        ("upstream", _UPSTREAM),
        ("settings", "(SELECT pg_catalog.json_object_agg(name, setting) FROM pg_catalog.pg_settings WHERE name IN (%s))"
         % ", ".join(literal(name) for name in SHOWN_SETTINGS)),
        ("pending_restart", _array("name", "pg_catalog.pg_settings WHERE pending_restart ORDER BY name")),
        ("rights", _rights(version_num)),
    ))


def streams(version_num: int, rights: Mapping[str, bool]) -> str:
    """Return the query for where WAL goes: the WAL senders, the replication slots, base backups and the archiver.

    Args:
        version_num: such as 180006.
        rights: as ``server`` found them; permissions are checked before a statement runs, so what the role may not read
            must not be in its text.
    """
    standbys = _array(
        "r.application_name, r.client_addr::text, r.client_port, r.state, r.sync_state, r.sync_priority, s.slot_name,"
        " s.slot_type, r.sent_lsn::text, r.write_lsn::text, r.flush_lsn::text, r.replay_lsn::text,"
        " %s AS lag_bytes,"
        " CASE WHEN r.replay_lsn IS NOT NULL THEN coalesce(extract(epoch FROM r.replay_lag), 0)::float8 END AS lag_seconds"
        % _bytes(_POSITION, "r.replay_lsn"),
        "pg_catalog.pg_stat_replication r LEFT JOIN pg_catalog.pg_replication_slots s ON s.active_pid = r.pid"
        " ORDER BY r.application_name, r.pid")
    slots = _array(
        "slot_name AS name, slot_type, plugin, database, active, active_pid, temporary, restart_lsn::text,"
        " confirmed_flush_lsn::text, %s AS retained_bytes,"
        " wal_status, safe_wal_size, %s" % (_bytes(_POSITION, "restart_lsn"), _columns(version_num, (
            (14, "two_phase", "two_phase"), (16, "conflicting", "conflicting"),
            (17, "invalidation_reason", "invalidation_reason"), (17, "failover", "failover"), (17, "synced", "synced"),
            (17, "inactive_since", "extract(epoch FROM inactive_since)::float8")))),
        "pg_catalog.pg_replication_slots ORDER BY slot_name")
    return "SELECT %s AS found" % _object((
        ("standbys", standbys), ("slots", slots),
        ("base_backups", "(SELECT count(pid) FROM pg_catalog.pg_stat_progress_basebackup)"),
        ("archiver", _ARCHIVER % (_READY if rights["archive"] else "NULL"))))


def logical(version_num: int, rights: Mapping[str, bool]) -> str:
    """Return the query for publications and subscriptions.

    Args:
        version_num: such as 180006.
        rights: as ``streams`` takes them.
    """
    return "SELECT %s AS found" % _object((
        ("publications", _publications(version_num)), ("subscriptions", _subscriptions(version_num, rights))))


def not_visible(user: str, facts: Mapping[str, Any], rights: Mapping[str, bool]) -> List[str]:
    """Return what a role could not see of a server, each as a sentence that says how it could.

    Args:
        user: who asked.
        facts: the results.
        rights: as ``server`` found them.
    """
    subscriptions = facts["subscriptions"]
    elsewhere = [one for one in subscriptions if one["database"] != facts["database"]]
    sentences = (
        (rights["stats"], "The role %r sees neither how far WAL senders are nor the WAL receiver; grant it pg_monitor." % user),
        (rights["settings"], "The role %r does not see the settings that are for superusers, so that pending_restart may lack "
                             "some; grant it pg_monitor." % user),
        (rights["archive"], "The role %r does not see how many segments wait for the archive; grant it pg_monitor." % user),
        (rights["subscriptions"] or not subscriptions,
         "The role %r sees neither workers nor tables of subscriptions, which this version shows to superusers only; log in as "
         "one." % user),
        (rights["origins"] or not subscriptions,
         "The role %r does not see applied_lsn of subscriptions; log in as a superuser or, from PostgreSQL 14 on, grant it "
         "EXECUTE on the function pg_show_replication_origin_status()." % user),
        (not elsewhere,
         "The tables of the subscriptions %s are told only in their own database, and %s was connected to; set login_db." % (
             ", ".join("%s (database %s)" % (one["name"], one["database"]) for one in elsewhere), facts["database"])),
    )
    return [sentence for seen, sentence in sentences if not seen]


TIMELINE = ("CASE WHEN %s THEN greatest((SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()),"
            " (SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver),"
            " (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery()))"
            " ELSE ('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::int END"
            % _IN_RECOVERY)

_REPLAY_LAG_SECONDS = ("CASE WHEN NOT %s THEN NULL WHEN %s <= %s THEN 0 ELSE extract(epoch FROM pg_catalog.clock_timestamp() -"
                       " pg_catalog.pg_last_xact_replay_timestamp())::float8 END" % (_IN_RECOVERY, _RECEIVED, _REPLAYED))

_UPSTREAM = ("(SELECT pg_catalog.row_to_json(r) FROM (SELECT status, sender_host AS host, sender_port AS port, slot_name,"
             " flushed_lsn::text, latest_end_lsn::text, received_tli AS timeline, extract(epoch FROM"
             " pg_catalog.clock_timestamp() - last_msg_receipt_time)::float8 AS silent_seconds"
             " FROM pg_catalog.pg_stat_wal_receiver) r)")


def _rights(version_num: int) -> str:
    """Return what the role may see; before PostgreSQL 14, origins are for superusers whatever is granted."""
    origins = "pg_catalog.has_function_privilege('pg_catalog.pg_show_replication_origin_status()', 'EXECUTE')"
    if version_num < 140000:
        origins = "pg_catalog.current_setting('is_superuser')::bool"
    return _object((
        ("stats", "pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')"),
        ("settings", "pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE')"),
        ("archive", "pg_catalog.has_function_privilege('pg_catalog.pg_ls_archive_statusdir()', 'EXECUTE')"),
        ("subscriptions", "pg_catalog.has_column_privilege('pg_catalog.pg_subscription', 'oid', 'SELECT')"),
        ("origins", origins)))


def _publications(version_num: int) -> str:
    kinds = ("pg_catalog.array_remove(ARRAY[%s], NULL)" % ", ".join(
        "CASE WHEN pub%s THEN '%s' END" % (kind, kind) for kind in ("insert", "update", "delete", "truncate")))
    return _array(
        "p.pubname AS name, pg_catalog.pg_get_userbyid(p.pubowner) AS owner, p.puballtables AS all_tables, %s AS publish,"
        " p.pubviaroot AS publish_via_partition_root, %s, coalesce((SELECT pg_catalog.array_agg(pg_catalog.format('%%I.%%I',"
        " t.schemaname, t.tablename) ORDER BY t.schemaname, t.tablename) FROM pg_catalog.pg_publication_tables t"
        " WHERE t.pubname = p.pubname), '{}') AS tables" % (kinds, _columns(version_num, (
            (15, "schemas", "ARRAY(SELECT n.nspname FROM pg_catalog.pg_publication_namespace pn JOIN pg_catalog.pg_namespace n"
                            " ON n.oid = pn.pnnspid WHERE pn.pnpubid = p.oid ORDER BY n.nspname)"),
            (18, "publish_generated_columns", "CASE p.pubgencols WHEN 's' THEN 'stored' ELSE 'none' END")))),
        "pg_catalog.pg_publication p ORDER BY p.pubname")


def _subscriptions(version_num: int, rights: Mapping[str, bool]) -> str:
    columns = (
        "s.subname AS name, d.datname AS database, s.subenabled AS enabled, s.subpublications AS publications,"
        " s.subslotname AS slot_name, " + _columns(version_num, (
            (15, "two_phase", "CASE s.subtwophasestate WHEN 'd' THEN 'disabled' WHEN 'p' THEN 'pending' ELSE 'enabled' END"),
            (17, "failover", "s.subfailover"))))
    source = "pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid"
    workers = _worker_columns(version_num, rights["origins"])
    if rights["subscriptions"]:
        # Workers that copy a table or apply in parallel have rows of their own.
        source += " LEFT JOIN pg_catalog.pg_stat_subscription w ON w.subid = s.oid AND w.relid IS NULL"
        source += " AND w.leader_pid IS NULL" if version_num >= 160000 else ""
        source += " LEFT JOIN pg_catalog.pg_stat_subscription_stats e ON e.subid = s.oid" if version_num >= 150000 else ""
    else:
        workers = [(name, "NULL") for name, _expression in workers]
    selected = ", ".join([columns] + ["%s AS %s" % (expression, name) for name, expression in workers])
    return _array(selected, source + " ORDER BY s.subname, d.datname")


def _worker_columns(version_num: int, origins: bool) -> List[Tuple[str, str]]:
    """Return name and expression of what is known by the subscription's oid: its workers, its origin, its tables."""
    return [
        ("running", "w.pid IS NOT NULL"),
        ("received_lsn", "w.received_lsn::text"),
        ("latest_end_lsn", "w.latest_end_lsn::text"),
        ("applied_lsn", "(SELECT o.remote_lsn::text FROM pg_catalog.pg_show_replication_origin_status() o"
                        " WHERE o.external_id = 'pg_' || s.oid)" if origins else "NULL"),
        ("lag_seconds", "extract(epoch FROM greatest(w.last_msg_receipt_time, w.last_msg_send_time)"
                        " - w.last_msg_send_time)::float8"),
        ("silent_seconds", "extract(epoch FROM pg_catalog.clock_timestamp() - w.last_msg_receipt_time)::float8"),
        ("apply_errors", "e.apply_error_count" if version_num >= 150000 else "NULL"),
        ("sync_errors", "e.sync_error_count" if version_num >= 150000 else "NULL"),
        ("tables", "CASE WHEN d.datname = pg_catalog.current_database() THEN coalesce((SELECT pg_catalog.json_object_agg("
                   "r.srrelid::pg_catalog.regclass::text, r.srsubstate) FROM pg_catalog.pg_subscription_rel r"
                   " WHERE r.srsubid = s.oid), '{}') END"),
    ]


def _bytes(newer: str, older: str) -> str:
    """Return the bytes of WAL between two positions, 0 when the older one is ahead, null when it is unknown."""
    return "pg_catalog.pg_wal_lsn_diff(greatest(%s, %s), %s)::int8" % (newer, older, older)


def _array(columns: str, source: str) -> str:
    """Return a subquery that gives all rows as one JSON array."""
    return "(SELECT coalesce(pg_catalog.json_agg(pg_catalog.row_to_json(r)), '[]') FROM (SELECT %s FROM %s) r)" % (
        columns, source)


def _object(pairs: Sequence[Tuple[str, str]]) -> str:
    return "pg_catalog.json_build_object(%s)" % ", ".join("%s, %s" % (literal(key), value) for key, value in pairs)


def _columns(version_num: int, columns: Sequence[Tuple[int, str, str]]) -> str:
    """Return a select list of (major version that has it, name, expression); NULL stands for what came later."""
    return ", ".join("%s AS %s" % (expression if version_num >= since * 10000 else "NULL", name)
                     for since, name, expression in columns)
