# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory as a value: what follows from it, and everything that can be wrong with it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import hba
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import inventory

BASE: dict[str, Any] = {
    "pg_cluster_name": "orders", "pg_cluster_version": 18, "pg_cluster_bootstrap_primary": False,
    "pg_cluster_replication_user": "replicator", "pg_server_port": 5432, "pg_server_data_directory": "/srv/data",
    "pg_server_socket_directory": "/run/pg", "pg_server_superuser": "postgres", "pg_server_initdb": {"encoding": "UTF8"},
    "pg_server_default_settings": {"max_wal_senders": 20}, "pg_server_settings": {}, "pg_standby_upstream": "",
    "pg_server_packages": [], "pg_server_pgdg": {}, "pg_server_tls": False, "pg_server_hba": [], "pg_host_swappiness": None,
    "pg_backup_host": "", "pg_backup_schedule": "", "pg_backup_schedule_with": "cron",
    "pg_backup_directory": "/backups", "pg_backup_wal": "none",
    "pg_backup_wal_compress": "gzip", "pg_backup_archive_timeout": 60, "pg_backup_incremental": 0,
    "pg_primary_databases": [], "pg_publisher_publications": [], "pg_subscriber_subscriptions": []}
SUBSCRIPTION: dict[str, Any] = {"name": "s", "database": "dwh", "cluster": "orders", "publications": ["sales"],
                                "publisher_database": None, "user": "subscriber", "conninfo": None}
SALES = {"pg_publisher_publications": [{"name": "sales", "database": "shop"}]}


def hosts(**members: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {host: {**BASE, "pg_server_address": host + ".example.org", **given} for host, given in members.items()}


def reporting(**subscription: Any) -> dict[str, Any]:
    return {"pg_cluster_name": "reporting", "pg_subscriber_subscriptions": [{**SUBSCRIPTION, **subscription}]}


def test_a_right_inventory_has_nothing_wrong() -> None:
    assert inventory.complaints(hosts(node1=SALES, node2=SALES, node3={"pg_standby_upstream": "node2"}, dwh=reporting())) == []
    assert inventory.complaints(hosts(dwh=reporting(cluster=None, conninfo={"host": "elsewhere"}))) == []


@pytest.mark.parametrize(("members", "told"), [
    ({"node1": {"pg_cluster_name": "or/ders"}}, "pg_cluster_name of node1 is 'or/ders', which becomes part of paths"),
    ({"node1": {"pg_cluster_name": ".."}}, "pg_cluster_name of node1"),
    ({"node1": {"pg_cluster_name": "orders\n"}}, "pg_cluster_name of node1"),
    ({"node1": {"pg_server_port": 0}}, "pg_server_port of node1 is 0"),
    ({"node1": {"pg_server_port": 65536}}, "pg_server_port of node1 is 65536"),
    ({"node1": {}, "node2": {"pg_standby_upstream": "node9"}},
     "pg_standby_upstream of node2 is node9, which is no member of the cluster orders; its members are node1, node2"),
    ({"node1": {}, "node2": {"pg_standby_upstream": "node3"}, "node3": {"pg_standby_upstream": "node2"}},
     "node2 -> node3 -> node2 of the cluster orders follow each other in a circle"),
    ({"node1": {"pg_standby_upstream": "node1"}}, "node1 -> node1"),
    ({"node1": {"pg_cluster_bootstrap_primary": True}, "node2": {"pg_cluster_bootstrap_primary": True}},
     "pg_cluster_bootstrap_primary on node1 and node2; set it on one member"),
    ({"node1": {"pg_server_settings": {"max_connections": 200}}, "node2": {}},
     "max_connections differs in the cluster orders (node2 has 100, node1 has 200)"),
    ({"node1": {}, "node2": {"pg_cluster_version": 17}}, "pg_cluster_version differs between the members of the cluster orders"),
    ({"node1": {}, "node2": {"pg_cluster_replication_user": "x"}}, "pg_cluster_replication_user differs"),
    ({"node1": {}, "node2": {"pg_server_initdb": {}}}, "pg_server_initdb differs"),
    ({"node1": {}, "node2": {"pg_server_tls": True}}, "pg_server_tls differs"),
    ({"node1": {}, "node2": {"pg_backup_host": "node1"}}, "pg_backup_host differs"),
    ({"node1": {}, "node2": {"pg_backup_wal": "stream"}}, "pg_backup_wal differs"),
    ({"node1": {}, "node2": {"pg_backup_directory": "/elsewhere"}}, "pg_backup_directory differs"),
    ({"node1": {"pg_backup_schedule": "0 25 * * *"}}, "On node1: The schedule '0 25 * * *' has 25 as hour"),
    ({"node1": {"pg_backup_host": "vualt"}},
     "pg_backup_host of node1 is vualt, which this inventory does not have; add that host, with or without a pg_cluster_name"),
    ({"node1": {"pg_server_tls": True, "pg_server_hba": [{"type": "host", "method": "scram-sha-256"}]}},
     "pg_server_hba of node1 has an entry of type host, which lets a connection in without encryption"),
    ({"node1": {"pg_server_tls": True, **SALES}, "dwh": reporting()},
     "connects to the cluster orders, which has pg_server_tls on, and reporting has it off"),
    ({"node1": SALES, "dwh": {**reporting(failover=True), "pg_cluster_version": 16}},
     "subscription s of dwh has failover, which came with PostgreSQL 17, and the cluster's version is 16"),
    ({"node1": {}, "dwh": reporting(cluster="ordres")},
     "names the cluster ordres, which this inventory does not have; it has orders, reporting"),
    ({"node1": {}, "dwh": reporting()}, "names the publication sales, which the cluster orders does not declare"),
    ({"node1": {"pg_publisher_publications": [{"name": "sales", "database": "shop"}, {"name": "staff", "database": "hr"}]},
      "dwh": reporting(publications=["sales", "staff"])}, "names publications of several databases (hr, shop)"),
    ({"dwh": reporting(cluster="reporting")}, "names its own cluster; a cluster cannot subscribe to itself"),
    ({"dwh": reporting(cluster=None)}, "needs either cluster, the name of a cluster of this inventory, or conninfo"),
    ({"node1": SALES, "dwh": reporting(conninfo={"host": "x"})}, "needs either cluster"),
] + [({"node1": {"pg_server_settings": {name.upper(): "x"}}},
      "hold %s, which follows from" % name) for name in inventory.OWNED_SETTINGS])
def test_every_complaint_is_one_sentence_that_names_what_is_wrong(members: dict[str, Any], told: str) -> None:
    found = inventory.complaints(hosts(**members))
    assert [told in text for text in found] == [True]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    assert len(inventory.complaints(hosts(node1={"pg_server_port": 0, "pg_standby_upstream": "x"},
                                          node2={"pg_server_port": -1}))) == 3


@given(st.dictionaries(st.sampled_from(["node1", "node2", "node3", "node4"]),
                       st.sampled_from(["node1", "node2", "node3", "node4"])))
def test_a_circle_is_found_exactly_where_there_is_one(upstreams: dict[str, str]) -> None:
    names = ("node1", "node2", "node3", "node4")
    members = {host: {"upstream": upstreams.get(host, "")} for host in names}

    def returns(host: str) -> bool:
        after = host
        for _step in names:
            after = upstreams.get(after, "")
            if after == host:
                return True
        return False

    loop = inventory._loop(names, members)
    assert bool(loop) == any(returns(host) for host in names)
    assert all(upstreams[one] == other for one, other in zip(loop, loop[1:]))


@given(st.text(), st.text())
def test_every_host_has_a_slot_name_of_its_own(one: str, other: str) -> None:
    for host in (one, other):
        assert re.match(r"\A[a-z0-9_]{0,63}\Z", inventory.slot_name(host))
    assert (inventory.slot_name(one) == inventory.slot_name(other)) == (one == other)


def test_a_host_that_may_be_a_slot_is_one() -> None:
    assert inventory.slot_name("node1") == "node1"
    assert inventory.slot_name("Node-1.example.org").startswith("node_1_example_org_")
    assert len(inventory.slot_name("n" * 64)) == 63


@pytest.mark.parametrize(("address", "shown"), [
    ("10.0.0.1", "10.0.0.1/32"), ("2001:db8::1", "2001:db8::1/128"), ("node1.example.org", "node1.example.org")])
def test_an_address_is_let_in_alone(address: str, shown: str) -> None:
    assert inventory.hba_address(address) == shown


def test_members_and_subscribers_are_let_in_to_what_they_need() -> None:
    built = inventory.build(hosts(node1=SALES, node2=SALES, dwh1=reporting(), dwh2=reporting()))
    lines = [hba.line(entry) for entry in built["members"]["node1"]["hba"]]
    assert lines == [
        "host replication replicator node1.example.org scram-sha-256", "host postgres replicator node1.example.org scram-sha-256",
        "host replication replicator node2.example.org scram-sha-256", "host postgres replicator node2.example.org scram-sha-256",
        "host shop subscriber dwh1.example.org scram-sha-256", "host shop subscriber dwh2.example.org scram-sha-256"]
    assert built["clusters"]["orders"]["subscribers"] == [
        {"user": "subscriber", "database": "shop", "publications": ["sales"],
         "addresses": ["dwh1.example.org", "dwh2.example.org"]}]
    assert built["members"]["dwh1"]["hba"][0]["database"] == "replication"


def test_who_is_fenced_may_ask_and_not_stream_from_an_address_of_its_own() -> None:
    built = inventory.build(hosts(node1=SALES, node2=SALES, dwh1=reporting()))
    lines = [hba.line(entry) for entry in inventory.hba_entries("orders", built["members"], built["clusters"], ["node1"])]
    assert lines == [
        "host postgres replicator node1.example.org scram-sha-256",
        "host replication replicator node2.example.org scram-sha-256", "host postgres replicator node2.example.org scram-sha-256",
        "host shop subscriber dwh1.example.org scram-sha-256"]
    shared = {**SALES, "pg_server_address": "10.0.0.1"}
    built = inventory.build(hosts(node1=shared, node2=shared))
    assert inventory.hba_entries("orders", built["members"], built["clusters"], ["node1"]) == built["members"]["node1"]["hba"]


@pytest.mark.parametrize(("backup_host", "address"), [
    ("vault", "10.0.0.9/32"), ("dwh", "dwh.example.org"), ("node1", "node1.example.org"), ("", "node1.example.org")])
def test_the_backup_host_is_let_in_as_a_standby_is_whether_or_not_it_is_a_member(backup_host: str, address: str) -> None:
    members = hosts(node1={"pg_server_tls": True, "pg_backup_host": backup_host}, dwh={"pg_cluster_name": "reporting"})
    built = inventory.build(members, {"vault": "10.0.0.9"})
    lines = [hba.line(entry) for entry in built["members"]["node1"]["hba"]]
    own = [f"hostssl {database} replicator node1.example.org scram-sha-256" for database in ("replication", "postgres")]
    assert lines == list(dict.fromkeys([*own, *(line.replace("node1.example.org", address) for line in own)]))
    assert built["members"]["node1"]["backup_host"] == backup_host
    assert inventory.complaints(members, {"vault": "10.0.0.9"}) == []


@pytest.mark.parametrize(("named", "dbname"), [(None, "shop"), ("other", "other")])
def test_a_subscription_connects_to_the_database_that_its_publications_are_in(named: str | None, dbname: str) -> None:
    built = inventory.build(hosts(node1=SALES, node2=SALES, dwh=reporting(publisher_database=named)))
    assert built["members"]["dwh"]["publishers"] == {"s": {**built["clusters"]["orders"]["conninfo"], "dbname": dbname}}
    assert [entry["database"] for entry in built["members"]["node1"]["hba"]][-1] == dbname


def test_whom_a_member_connects_to_is_in_its_passfile_once() -> None:
    built = inventory.build(hosts(node1=SALES, node2=SALES, dwh=reporting()))
    assert built["members"]["dwh"]["passfile"] == [
        {"host": "dwh.example.org", "port": "5432", "user": "replicator", "member": "dwh"},
        {"host": "node1.example.org", "port": "5432", "user": "subscriber", "member": "node1"},
        {"host": "node2.example.org", "port": "5432", "user": "subscriber", "member": "node2"}]
    assert len(built["members"]["node1"]["passfile"]) == 2


def test_a_publishing_cluster_is_reached_at_whichever_member_takes_writes() -> None:
    built = inventory.build(hosts(node1={}, node2={"pg_server_port": 5433}))
    assert built["clusters"]["orders"]["conninfo"] == {
        "host": "node1.example.org,node2.example.org", "port": "5432,5433", "target_session_attrs": "read-write"}


def test_settings_of_the_inventory_win_over_the_defaults() -> None:
    floors = inventory.build(hosts(node1={"pg_server_settings": {"max_wal_senders": 5}}))["members"]["node1"]["floors"]
    assert (floors["max_wal_senders"], floors["max_connections"]) == (5, 100)


def test_members_of_one_machine_must_not_share_a_port_or_a_directory() -> None:
    members = inventory.build(hosts(node1={}, node2={},
                                    node3={"pg_server_port": 5433, "pg_server_data_directory": "/srv/other"}))["members"]
    assert inventory.clashes(members, {"node1": "a", "node2": "b", "node3": "a"}) == []
    found = inventory.clashes(members, {"node1": "a", "node2": "a", "node3": "a"})
    assert [re.sub(r" (and have|have).*the same", " share", text) for text in found] == [
        "The members node1 and node2 are on one machine share port 5432; give each its own.",
        "The members node1 and node2 are on one machine share data directory /srv/data; give each its own."]


@pytest.mark.parametrize(("given", "told"), [
    ({"pg_host_swappiness": 1}, "different variables pg_host_*, which prepare it as a whole"),
    ({"pg_server_pgdg": {"key": "-"}}, "different pg_server_pgdg, which is for it as a whole")])
def test_members_of_one_machine_want_the_same_of_it(given: dict[str, Any], told: str) -> None:
    other = {"pg_server_port": 5433, "pg_server_data_directory": "/srv/other"}
    members = inventory.build(hosts(node1=given, node2=other))["members"]
    assert inventory.clashes(members, {"node1": "a", "node2": "b"}) == []
    assert [told in text for text in inventory.clashes(members, {"node1": "a", "node2": "a"})] == [True]
    same = inventory.build(hosts(node1=given, node2={**other, **given}))["members"]
    assert inventory.clashes(same, {"node1": "a", "node2": "a"}) == []
