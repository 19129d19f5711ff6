#!/usr/bin/env bash
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The floor of the benchmark: what `deploy` makes of inventories/local.yml, as a person would type it into an empty directory.
# Nothing is checked, nothing can be run twice. One command after the other, nothing in the background.
#
# Usage: bare.sh HOME BINDIR SHOP_SQL PORT_OF_NODE1 PORT_OF_NODE2 PORT_OF_NODE3 PORT_OF_REPORTING1
set -e
home=$1 PATH=$2:$PATH shop=$3 node1=$4 node2=$5 node3=$6 reporting1=$7
export PGHOST=$home PGPASSFILE=$home/passfile PGDATABASE=postgres

password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
umask 077
printf '%s\n' "127.0.0.1:*:*:replicator:$password" "127.0.0.1:*:*:subscriber:$password" > "$home/passfile"

configure() {  # NAME PORT SYNC_REPLICATION_SLOTS
    cat > "$home/$1/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $2
unix_socket_directories = '$home'
cluster_name = '$1'
sync_replication_slots = $3
shared_buffers = '32MB'
wal_level = logical
max_wal_senders = 20
max_replication_slots = 20
hot_standby_feedback = on
password_encryption = 'scram-sha-256'
log_line_prefix = '%m [%p] %q%u@%d '
CONF
}

start() {  # NAME
    pg_ctl --pgdata="$home/$1" --log="$home/$1.log" --wait --silent start
}

create() {  # NAME PORT
    initdb --pgdata="$home/$1" --auth-local=peer --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 > /dev/null
    configure "$1" "$2" on
    start "$1"
}

follow() {  # NAME PORT UPSTREAM_PORT SYNC_REPLICATION_SLOTS
    psql -qp "$3" -c "SELECT pg_create_physical_replication_slot('$1', true)" > /dev/null
    pg_basebackup --pgdata="$home/$1" --write-recovery-conf --slot="$1" --checkpoint=fast \
        --dbname="host=127.0.0.1 port=$3 user=replicator dbname=postgres application_name=$1"
    configure "$1" "$2" "$4"
    start "$1"
}

create node1 "$node1"
psql -qp "$node1" <<SQL
CREATE ROLE replicator LOGIN REPLICATION PASSWORD '$password';
CREATE ROLE subscriber LOGIN REPLICATION PASSWORD '$password';
CREATE DATABASE shop;
SQL
psql -qp "$node1" -d shop -f "$shop" > /dev/null
psql -qp "$node1" -d shop <<SQL
GRANT SELECT ON customers, orders, order_items TO subscriber;
CREATE PUBLICATION sales FOR TABLE order_items, orders WHERE (status <> 'cancelled'), customers (id, name, country);
SQL

follow node2 "$node2" "$node1" on
follow node3 "$node3" "$node2" off

create reporting1 "$reporting1"
psql -qp "$reporting1" -c "CREATE DATABASE dwh"
pg_dump -p "$node1" -d shop --schema-only --no-owner --no-privileges --no-publications | psql -qp "$reporting1" -d dwh > /dev/null
psql -qp "$reporting1" -d dwh <<SQL
ALTER TABLE customers DROP COLUMN email, DROP COLUMN created_at;
CREATE SUBSCRIPTION sales_in
    CONNECTION 'host=127.0.0.1 port=$node1 dbname=shop user=subscriber passfile=$home/passfile'
    PUBLICATION sales WITH (failover = true);
SQL
until psql -Atqp "$reporting1" -d dwh -c "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel" | grep -q t; do
    sleep 0.05
done
