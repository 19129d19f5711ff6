# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory as a value: who the members are and what they were given, checked as a whole before anything is touched.

Pure: from the roles' variables of each host, already resolved, to members and clusters, or to a list of complaints.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import schedule_expression
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import archiving

#: The defaults of PostgreSQL for the settings that a standby must not have lower (documentation, chapter 26.4.3).
FLOOR_DEFAULTS = {"max_connections": 100, "max_worker_processes": 8, "max_wal_senders": 10, "max_prepared_transactions": 0,
                  "max_locks_per_transaction": 64}

#: Settings that the roles set themselves, from variables of their own.
OWNED_SETTINGS = {
    "port": "pg_server_port", "listen_addresses": "pg_server_listen_addresses", "hba_file": "pg_server_data_directory",
    "unix_socket_directories": "pg_server_socket_directory", "data_directory": "pg_server_data_directory",
    "ident_file": "pg_server_data_directory", "cluster_name": "the inventory's host name",
    "ssl": "pg_server_tls", "ssl_cert_file": "pg_server_tls", "ssl_key_file": "pg_server_tls", "ssl_ca_file": "pg_server_tls",
    "external_pid_file": "pg_server_provider",
    "hot_standby": "the roles, which ask every standby how it is",
    "primary_conninfo": "pg_standby_upstream", "primary_slot_name": "pg_standby_upstream",
}

Variables = Mapping[str, Any]


def build(variables: Mapping[str, Variables], others: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return members and clusters by their names.

    Args:
        variables: the resolved variables of each member, in the order of the inventory.
        others: the addresses of backup hosts that are no members, by name.

    Returns:
        ``members`` and ``clusters`` as the roles use them. No secret is among them.
    """
    members = {host: _member(host, given) for host, given in variables.items()}
    clusters: dict[str, Any] = {}
    for host, member in members.items():
        cluster = clusters.setdefault(member["cluster"], {"members": [], "subscribers": []})
        cluster["members"].append(host)
    for cluster in clusters.values():
        cluster["conninfo"] = writable(cluster["members"], members)
        cluster["backup_addresses"] = backup_addresses(cluster["members"], members, others or {})
    for host, member in members.items():
        for subscription in variables[host]["pg_subscriber_subscriptions"]:
            publisher = clusters.get(subscription.get("cluster") or "")
            if publisher is not None:
                database = publisher_database(subscription, publisher["members"], members)
                member["publishers"][subscription["name"]] = {**publisher["conninfo"], "dbname": database}
                _add_subscriber(publisher, member["address"], subscription, database)
    for member in members.values():
        member["conninfo"] = {"host": member["address"], "port": str(member["port"]), "dbname": "postgres", **_verified(member)}
        member["hba"] = hba_entries(member["cluster"], members, clusters)
        member["passfile"] = passfile_entries(member["cluster"], members, clusters, variables)
    return {"members": members, "clusters": clusters}


def writable(hosts: Sequence[str], members: Mapping[str, Any]) -> dict[str, str]:
    """Return libpq keywords that reach whichever member of a cluster takes writes, also after a failover (chapter 32.1.1.3)."""
    return {"host": ",".join(members[host]["address"] for host in hosts),
            "port": ",".join(str(members[host]["port"]) for host in hosts), "target_session_attrs": "read-write",
            **_verified(members[hosts[0]])}


def _verified(member: Mapping[str, Any]) -> dict[str, str]:
    """Return the libpq keywords by which a client makes sure whom it talks to (chapter 32.19.1)."""
    return {"sslmode": "verify-full"} if member["tls"] else {}


def _member(host: str, given: Variables) -> dict[str, Any]:
    settings = {**given["pg_server_default_settings"], **given["pg_server_settings"]}
    return {
        "cluster": given["pg_cluster_name"],
        "address": given["pg_server_address"],
        "port": given["pg_server_port"],
        "data_directory": given["pg_server_data_directory"],
        "socket_directory": given["pg_server_socket_directory"],
        "upstream": given["pg_standby_upstream"],
        "bootstrap": given["pg_cluster_bootstrap_primary"],
        "packages": [*given["pg_server_packages"], *archiving.packages(given)],
        "prepare": {name: value for name, value in given.items() if name.startswith("pg_host_") and value is not None},
        "repository": given["pg_server_pgdg"],
        "tls": given["pg_server_tls"],
        "backup_host": given["pg_backup_host"],
        "backup_directory": given["pg_backup_directory"],
        "backup_settings": archiving.settings(given),
        "wal": given["pg_backup_wal"],
        "scheduled": bool(given["pg_backup_schedule"]),
        "slot": slot_name(host),
        "superuser": given["pg_server_superuser"],
        "replication_user": given["pg_cluster_replication_user"],
        "floors": {name: settings.get(name, default) for name, default in FLOOR_DEFAULTS.items()},
        "databases": [database["name"] for database in given["pg_primary_databases"]],
        "publications": {publication["name"]: publication["database"] for publication in given["pg_publisher_publications"]},
        "publishers": {},
    }


def slot_name(host: str) -> str:
    """Return the name of a member's replication slot: its own where the rules for slots allow it, else a likeness of it.

    Slot names hold lower-case letters, digits and underscores, at most 63 (documentation, chapter 26.2.6). A changed or
    shortened name gets a checksum of the true one, so that two hosts never share a slot.
    """
    plain = re.sub(r"[^a-z0-9_]", "_", host.lower())
    if plain == host and len(plain) <= 63:
        return plain
    return "%s_%s" % (plain[:54], hashlib.sha256(host.encode()).hexdigest()[:8])


def publisher_database(subscription: Variables, hosts: Iterable[str], members: Mapping[str, Any]) -> str:
    """Return the database that a subscription connects to: the one named, else the one that the publications are declared in."""
    if subscription.get("publisher_database"):
        return str(subscription["publisher_database"])
    declared = [members[host]["publications"].get(name) for host in hosts for name in subscription["publications"]]
    return next((database for database in declared if database), str(subscription["database"]))


def backup_addresses(hosts: Iterable[str], members: Mapping[str, Any], others: Mapping[str, str]) -> list[str]:
    """Return from where the hosts that hold a cluster's backups connect to it, as the role of its standbys."""
    known = {**{host: member["address"] for host, member in members.items()}, **others}
    return _unique(known[name] for name in (members[host]["backup_host"] for host in hosts) if name in known)


def _add_subscriber(publisher: dict[str, Any], address: str, subscription: Variables, database: str) -> None:
    """Tell the publishing cluster of a subscription: who comes, from where, to which database and publications."""
    entry = {"user": subscription["user"], "database": database, "publications": list(subscription["publications"]),
             "addresses": [address]}
    same = [known for known in publisher["subscribers"]
            if all(known[key] == entry[key] for key in ("user", "database", "publications"))]
    if not same:
        publisher["subscribers"].append(entry)
    elif address not in same[0]["addresses"]:
        same[0]["addresses"].append(address)


def hba_entries(cluster: str, members: Mapping[str, Any], clusters: Mapping[str, Any],
                fenced: Sequence[str] = ()) -> list[dict[str, str]]:
    """Return who may connect for replication: the members as standbys, backup hosts, the subscribers to what they subscribe to.

    A member that is fenced may not, from an address that is its alone. It may still ask who is primary (``start-guard``).

    ``all`` does not match replication connections (documentation, chapter 21.1), so these are lines of their own. The
    database ``postgres`` is where a standby asks for logical slots to keep in step.
    """
    own = clusters[cluster]["members"]
    user = members[own[0]]["replication_user"]
    kind = "hostssl" if members[own[0]]["tls"] else "host"
    entries = []
    backups, standbys = clusters[cluster]["backup_addresses"], [members[host]["address"] for host in own if host not in fenced]
    for address in _unique([*(members[host]["address"] for host in own), *backups]):
        if address in [*standbys, *backups]:
            entries.append(_hba(kind, "replication", user, address))
        entries.append(_hba(kind, "postgres", user, address))
    for subscriber in clusters[cluster]["subscribers"]:
        entries += [_hba(kind, subscriber["database"], subscriber["user"], address) for address in subscriber["addresses"]]
    return entries


def _hba(kind: str, database: str, user: str, address: str) -> dict[str, str]:
    return {"type": kind, "database": database, "user": user, "address": hba_address(address), "method": "scram-sha-256"}


def hba_address(address: str) -> str:
    """Return an address as pg_hba.conf takes it: an IP address with a mask for it alone, a name as it is."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return "%s/%d" % (found, found.max_prefixlen)


def passfile_entries(cluster: str, members: Mapping[str, Any], clusters: Mapping[str, Any],
                     variables: Mapping[str, Variables]) -> list[dict[str, str]]:
    """Return whom a member connects to and as whom; ``secret`` names the member whose cluster has the password."""
    entries = [_entry(members, host, members[host]["replication_user"]) for host in clusters[cluster]["members"]]
    for own in clusters[cluster]["members"]:
        for subscription in variables[own]["pg_subscriber_subscriptions"]:
            publisher = clusters.get(subscription.get("cluster") or "", {"members": []})
            entries += [_entry(members, host, subscription["user"]) for host in publisher["members"]]
    return [dict(pairs) for pairs in _unique(tuple(sorted(entry.items())) for entry in entries)]


def _entry(members: Mapping[str, Any], host: str, user: str) -> dict[str, str]:
    return {"host": members[host]["address"], "port": str(members[host]["port"]), "user": user, "member": host}


def _unique(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def complaints(variables: Mapping[str, Variables], others: Mapping[str, str] | None = None) -> list[str]:
    """Return everything that is wrong with the inventory as it stands, each as one sentence; see ``build``."""
    built = build(variables, others)
    found: list[str] = []
    for host, given in variables.items():
        found += _member_complaints(host, given, built)
        found += _schedule_complaints(host, given)
        if given["pg_backup_host"] and given["pg_backup_host"] not in {*variables, *(others or {})}:
            found.append("The pg_backup_host of %s is %s, which this inventory does not have; add that host, with or without a "
                         "pg_cluster_name." % (host, given["pg_backup_host"]))
    found += archiving.shared(variables)
    for name, cluster in built["clusters"].items():
        found += _cluster_complaints(name, cluster["members"], variables, built["members"])
    return found


def _schedule_complaints(host: str, given: Variables) -> list[str]:
    """Return what is wrong with a schedule for cron; one for systemd is judged by systemd, on the host."""
    try:
        if given["pg_backup_schedule"] and given["pg_backup_schedule_with"] == "cron":
            schedule_expression.refuse_cron(given["pg_backup_schedule"])
    except InputError as error:
        return ["On %s: %s" % (host, error)]
    return []


def _member_complaints(host: str, given: Variables, built: Mapping[str, Any]) -> list[str]:
    found = []
    if re.match(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]*\Z", given["pg_cluster_name"]) is None:
        found.append("The pg_cluster_name of %s is %r, which becomes part of paths; use letters, digits, dot, dash and "
                     "underscore." % (host, given["pg_cluster_name"]))
    if not 1 <= given["pg_server_port"] <= 65535:
        found.append("The pg_server_port of %s is %d; give a TCP port from 1 to 65535." % (host, given["pg_server_port"]))
    for name, owner in OWNED_SETTINGS.items():
        if name in {key.lower() for key in given["pg_server_settings"]}:
            found.append("The pg_server_settings of %s hold %s, which follows from %s; set that instead." % (host, name, owner))
    if given["pg_server_tls"]:
        found += ["The pg_server_hba of %s has an entry of type %s, which lets a connection in without encryption while "
                  "pg_server_tls is on; make it hostssl." % (host, entry["type"]) for entry in given["pg_server_hba"]
                  if entry["type"] in ("host", "hostnossl") and entry["method"] != "reject"]
    found += archiving.complaints(host, given)
    for subscription in given["pg_subscriber_subscriptions"]:
        found += _subscription_complaints(host, given["pg_cluster_name"], subscription, built)
        if subscription.get("failover") and int(given["pg_cluster_version"]) < 17:
            found.append("The subscription %s of %s has failover, which came with PostgreSQL 17, and the cluster's version is "
                         "%s; leave it out." % (subscription["name"], host, given["pg_cluster_version"]))
    return found


def _subscription_complaints(host: str, own: str, subscription: Variables, built: Mapping[str, Any]) -> list[str]:
    where = "The subscription %s of %s" % (subscription["name"], host)
    target = subscription.get("cluster")
    if bool(target) == bool(subscription.get("conninfo")):
        return ["%s needs either cluster, the name of a cluster of this inventory, or conninfo; give one of them." % where]
    if not target:
        return []
    if target not in built["clusters"]:
        return ["%s names the cluster %s, which this inventory does not have; it has %s." % (
            where, target, ", ".join(sorted(built["clusters"])))]
    if _has_tls(built, target) and not _has_tls(built, own):
        return ["%s connects to the cluster %s, which has pg_server_tls on, and %s has it off and trusts no certificate; turn it "
                "on for both." % (where, target, own)]
    if target == own:
        return ["%s names its own cluster; a cluster cannot subscribe to itself, name another." % where]
    declared: dict[str, str] = {}
    for member in built["clusters"][target]["members"]:
        declared.update(built["members"][member]["publications"])
    databases = {declared[name] for name in subscription["publications"] if name in declared}
    if len(databases) > 1:
        return ["%s names publications of several databases (%s); a subscription has one, make one for each." % (
            where, ", ".join(sorted(databases)))]
    return ["%s names the publication %s, which the cluster %s does not declare; add it to pg_publisher_publications there."
            % (where, name, target) for name in subscription["publications"] if name not in declared]


def _has_tls(built: Mapping[str, Any], cluster: str) -> bool:
    """Return whether the members of a cluster encrypt their connections."""
    return any(built["members"][host]["tls"] for host in built["clusters"][cluster]["members"])


def _cluster_complaints(name: str, hosts: Sequence[str], variables: Mapping[str, Variables],
                        members: Mapping[str, Any]) -> list[str]:
    found = []
    flagged = [host for host in hosts if members[host]["bootstrap"]]
    if len(flagged) > 1:
        found.append("The cluster %s has pg_cluster_bootstrap_primary on %s; set it on one member." % (
            name, " and ".join(flagged)))
    for host in hosts:
        upstream = members[host]["upstream"]
        if upstream and upstream not in hosts:
            found.append("The pg_standby_upstream of %s is %s, which is no member of the cluster %s; its members are %s." % (
                host, upstream, name, ", ".join(hosts)))
    loop = _loop(hosts, members)
    if loop:
        found.append("The members %s of the cluster %s follow each other in a circle by pg_standby_upstream; let one of them "
                     "follow the primary." % (" -> ".join(loop), name))
    for setting in FLOOR_DEFAULTS:
        values = {str(members[host]["floors"][setting]): host for host in reversed(hosts)}
        if len(values) > 1:
            found.append("The setting %s differs in the cluster %s (%s); a standby must not have less than its primary and any "
                         "member may become primary, so give all the same." % (
                             setting, name, ", ".join("%s has %s" % (host, value) for value, host in values.items())))
    for variable in ("pg_cluster_replication_user", "pg_server_initdb", "pg_cluster_version", "pg_server_tls", "pg_backup_host",
                     "pg_backup_directory", "pg_backup_wal"):
        if len({repr(variables[host][variable]) for host in hosts}) > 1:
            found.append("The variable %s differs between the members of the cluster %s; give all the same." % (variable, name))
    return found


def _loop(hosts: Sequence[str], members: Mapping[str, Any]) -> list[str]:
    for start in hosts:
        path = [start]
        while members[path[-1]]["upstream"] in hosts:
            path.append(members[path[-1]]["upstream"])
            if path[-1] == start:
                return path
            if path[-1] in path[:-1]:
                break
    return []


def clashes(members: Mapping[str, Any], machines: Mapping[str, str]) -> list[str]:
    """Return which members would get in each other's way on one machine.

    Args:
        members: as ``build`` returns them.
        machines: what tells the machine of each member from others.
    """
    found = []
    for key, what in (("port", "port"), ("data_directory", "data directory")):
        taken: dict[tuple[str, Any], str] = {}
        for host, machine in machines.items():
            other = taken.setdefault((machine, members[host][key]), host)
            if other != host:
                found.append("The members %s and %s are on one machine and have the same %s %s; give each its own." % (
                    other, host, what, members[host][key]))
    first: dict[str, str] = {}
    for host, machine in machines.items():
        other = first.setdefault(machine, host)
        for key, what in (("prepare", "variables pg_host_*, which prepare it"),
                          ("repository", "pg_server_pgdg, which is for it")):
            if members[other][key] != members[host][key]:
                found.append("The members %s and %s are on one machine and have different %s as a whole; give both the same."
                             % (other, host, what))
    return found
