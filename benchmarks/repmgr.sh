#!/usr/bin/env bash
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A member of a cluster of repmgr, as its documentation makes one; run as root on one host after the other. The accounts postgres
# reach each other by SSH.
#
# Usage: repmgr.sh PORT NUMBER ADDRESS ADDRESS_OF_THE_PRIMARY, which is where it is run first
set -euo pipefail
port=$1 number=$2 address=$3 primary=$4
data=/var/lib/postgresql/17/repmgr bin=/usr/lib/postgresql/17/bin log=/var/log/postgresql/repmgr.log
cd /
as_postgres() { runuser --user=postgres -- "$@"; }

cat > /etc/repmgr.conf <<CONF
node_id=$number
node_name=node$number
conninfo='host=$address port=$port user=repmgr dbname=repmgr connect_timeout=2'
data_directory='$data'
pg_bindir='$bin'
pg_ctl_options='-l $log'
# Without this, repmgr looks for the end of the shutdown once a second.
service_stop_command='$bin/pg_ctl --pgdata=$data --mode=fast --wait stop'
use_replication_slots=yes
CONF

if [ "$address" = "$primary" ]; then
  as_postgres $bin/initdb --pgdata=$data --data-checksums --encoding=UTF8 --locale=C.UTF-8 --auth-local=peer --auth-host=scram-sha-256 > /dev/null
  cat >> $data/postgresql.conf <<CONF
listen_addresses = '*'
port = $port
shared_buffers = 32MB
wal_level = logical
max_wal_senders = 20
max_replication_slots = 20
hot_standby_feedback = on
ssl = on
ssl_cert_file = '/etc/ssl/certs/ssl-cert-snakeoil.pem'
ssl_key_file = '/etc/ssl/private/ssl-cert-snakeoil.key'
shared_preload_libraries = repmgr
CONF
  cat > $data/pg_hba.conf <<CONF
local all all peer
host all,replication repmgr samenet trust
host all all samenet scram-sha-256
CONF
  as_postgres $bin/pg_ctl --pgdata=$data --log=$log --wait --silent start
  as_postgres createuser --port="$port" --superuser repmgr
  as_postgres createdb --port="$port" --owner=repmgr repmgr
  as_postgres repmgr primary register
else
  as_postgres repmgr --host="$primary" --port="$port" --username=repmgr --dbname=repmgr standby clone --fast-checkpoint
  as_postgres $bin/pg_ctl --pgdata=$data --log=$log --wait --silent start
  as_postgres repmgr standby register
fi
