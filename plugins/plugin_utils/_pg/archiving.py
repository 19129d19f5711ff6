# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows for a member from how its WAL is archived. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

#: The replication slot of the receiver. No member has a slot of this name but by being called so.
SLOT = "pgmahout_wal"

#: What the roles set while they archive, by the variable that it follows from.
OWNED_SETTINGS = {"archive_mode": "pg_backup_wal", "archive_command": "pg_backup_wal", "archive_library": "pg_backup_wal",
                  "archive_timeout": "pg_backup_archive_timeout"}

#: The programs that compress WAL, beside gzip, which every host has; Debian's packages are called as they are.
_PACKAGES = ("zstd", "lz4")

_SUMMARIES = 17

Variables = Mapping[str, Any]


def settings(given: Variables) -> dict[str, Any]:
    """Return the settings of a member's server (documentation, chapters 19.5.3 and 19.5.8).

    A standby has them too: it archives from the moment on that it is promoted.
    """
    found: dict[str, Any] = {}
    if given["pg_backup_wal"] == "archive":
        found = {"archive_mode": True, "archive_command": command(given["pg_backup_directory"], given["pg_backup_wal_compress"]),
                 "archive_timeout": given["pg_backup_archive_timeout"]}
    if given["pg_backup_incremental"] > 0:
        found["summarize_wal"] = True
    return found


def command(directory: str, compress: str) -> str:
    """Return the archive_command for a repository, text for a shell, in which the server takes ``%p`` and ``%%`` for its own."""
    quoted = shlex.quote(directory).replace("%", "%%")
    program = shlex.quote(directory + "/bin/archive-wal").replace("%", "%%")
    return "%s -c %s %s %%p" % (program, compress, quoted)


def packages(given: Variables) -> list[str]:
    """Return the packages that a member's machine needs for its archive, beside those of its server."""
    if given["pg_backup_wal"] != "archive" or not given["pg_server_packages"]:
        return []
    return [name for name in _PACKAGES if name == given["pg_backup_wal_compress"]]


def complaints(host: str, given: Variables) -> list[str]:
    """Return what is wrong with a member's variables, each as one sentence."""
    found = []
    asked = {name.lower() for name in given["pg_server_settings"]}
    if given["pg_backup_wal"] == "archive":
        found += ["The pg_server_settings of %s hold %s while pg_backup_wal is archive, and it follows from %s; set that instead."
                  % (host, name, owner) for name, owner in OWNED_SETTINGS.items() if name in asked]
    if given["pg_backup_wal"] == "stream" and given["pg_backup_wal_compress"] == "zstd":
        found.append("The pg_backup_wal of %s is stream and pg_backup_wal_compress is zstd, which pg_receivewal cannot; use "
                     "gzip, lz4 or none." % host)
    if given["pg_backup_incremental"] > 0 and int(given["pg_cluster_version"]) < _SUMMARIES:
        found.append("The pg_backup_incremental of %s is %d, and incremental backups came with PostgreSQL %d; the "
                     "cluster's version is %s, leave it out." % (
                         host, given["pg_backup_incremental"], _SUMMARIES, given["pg_cluster_version"]))
    if given["pg_backup_wal"] != "none" and not given["pg_backup_directory"].startswith("/"):
        found.append("The pg_backup_directory of %s is %r; give an absolute path." % (host, given["pg_backup_directory"]))
    return found


def shared(variables: Mapping[str, Variables]) -> list[str]:
    """Return a complaint for each repository that two clusters would write to."""
    found: list[str] = []
    owners: dict[tuple[str, str], str] = {}
    for host, given in variables.items():
        if given["pg_backup_wal"] == "none":
            continue
        where = (given["pg_backup_host"] or given["pg_server_address"], given["pg_backup_directory"])
        owner = owners.setdefault(where, given["pg_cluster_name"])
        if owner != given["pg_cluster_name"]:
            found.append("The pg_backup_directory of %s is %s, which is that of the cluster %s; a repository has the WAL of one "
                         "cluster, choose another." % (host, given["pg_backup_directory"], owner))
    return found


def lines(name: str, members: Mapping[str, Any], primary: str, result: Mapping[str, Any]) -> list[str]:
    """Return what people are shown of a cluster's archive.

    Args:
        name: of the cluster.
        members: of the inventory.
        primary: the member that is primary.
        result: what was read of it.
    """
    member = members[primary]
    if member["wal"] == "none" or not result.get("answers"):
        return []
    where = "%s/%s" % (member["backup_directory"], result["instance"]["archive"])
    if member["wal"] == "stream":
        return ["%s: archive: %s on %s, %s" % (name, where, member["backup_host"] or primary, _streamed(result))]
    if not result["archiver"]["last_archived_wal"]:
        return ["%s: archive: %s, nothing archived yet" % (name, where)]
    return ["%s: archive: %s, last %s at %s" % (
        name, where, result["archiver"]["last_archived_wal"], result["archiver"]["last_archived_time"])]


def _streamed(result: Mapping[str, Any]) -> str:
    sender = _sender(result)
    return "streamed up to %s, %d B behind" % (sender["flush_lsn"], sender["lag_bytes"] or 0) if sender else "nothing is received"


def _sender(result: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Sequence[Mapping[str, Any]] = [one for one in result["standbys"] if one["slot_name"] == SLOT]
    return found[0] if found else {}


def unhealthy(primary: str, member: Variables, result: Mapping[str, Any]) -> list[str]:
    """Return what is not healthy about the archive of a running primary, each as one sentence.

    Args:
        primary: its name.
        member: what the inventory has of it.
        result: what was read of it.
    """
    if member["wal"] == "archive" and result["settings"]["archive_mode"] == "off":
        return ["%s is to archive its WAL and archive_mode is off; run the playbook deploy." % primary]
    if member["wal"] == "archive" and result["archiver"]["failing"]:
        return ["%s cannot archive its WAL, since %s fails: %s" % (
            primary, result["archiver"]["last_failed_wal"], result["archiver"]["reason"])]
    if member["wal"] == "stream" and not _sender(result):
        return ["%s has nothing that receives its WAL from the slot %s; look at the receiver's log on %s and run the playbook "
                "deploy." % (primary, SLOT, member["backup_host"] or primary)]
    return []
