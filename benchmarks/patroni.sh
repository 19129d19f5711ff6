#!/usr/bin/env bash
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A member of a cluster of Patroni and of its etcd, with the times that Patroni has by default; run as root on all hosts at once.
# The first one that gets the lock becomes the primary.
#
# Usage: patroni.sh PORT NAME=ADDRESS..., where the names are those of the hosts
set -euo pipefail
port=$1 name=$(hostname)
shift
for member in "$@"; do
  if [ "${member%=*}" = "$name" ]; then address=${member#*=}; fi
done
clients=$(printf '%s:2379,' "${@#*=}")
peers=$(printf '%s:2380,' "${@/=/=http://}")

systemctl stop etcd
rm -rf /var/lib/etcd/*
cat > /etc/default/etcd <<CONF
ETCD_NAME=$name
ETCD_LISTEN_PEER_URLS=http://$address:2380
ETCD_LISTEN_CLIENT_URLS=http://$address:2379
ETCD_INITIAL_ADVERTISE_PEER_URLS=http://$address:2380
ETCD_ADVERTISE_CLIENT_URLS=http://$address:2379
ETCD_INITIAL_CLUSTER=${peers%,}
CONF
systemctl start etcd

cat > /etc/patroni/config.yml <<CONF
scope: bench
name: $name
restapi: {listen: "$address:8008", connect_address: "$address:8008"}
etcd3: {hosts: "${clients%,}"}
bootstrap:
  dcs:
    ttl: 30
    loop_wait: 10
    retry_timeout: 10
    maximum_lag_on_failover: 1048576
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters:
        shared_buffers: 32MB
        wal_level: logical
        max_wal_senders: 20
        max_replication_slots: 20
        hot_standby_feedback: "on"
        ssl: "on"
        ssl_cert_file: /etc/ssl/certs/ssl-cert-snakeoil.pem
        ssl_key_file: /etc/ssl/private/ssl-cert-snakeoil.key
  initdb: [data-checksums, {encoding: UTF8}, {locale: C.UTF-8}, {auth-local: peer}]
postgresql:
  listen: "*:$port"
  connect_address: "$address:$port"
  bin_dir: /usr/lib/postgresql/17/bin
  data_dir: /var/lib/postgresql/17/patroni
  pgpass: /var/lib/postgresql/patroni.pass
  authentication: {superuser: {username: postgres}, replication: {username: replicator}, rewind: {username: rewinder}}
  pg_hba:
    - local all all peer
    - host all,replication postgres,replicator,rewinder samenet trust
    - host all all samenet scram-sha-256
CONF
systemctl restart patroni
