#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_replication_info
short_description: What an instance is, and what replicates from and to it
version_added: 1.0.0
description:
  - Reads one instance over one connection with three statements, however many standbys, slots and subscriptions there are.
  - With O(data_directory) it also reads that directory of this host, whether or not a server runs on it, and says what would keep
    one from being made or started there.
  - It waits for another task that is at work on that directory, so that what it returns is not half done.
  - Changes nothing. No password is among the results, and nothing that may hold one is read.
  - A role with C(pg_monitor) is enough; what it could not see is null, and RV(not_visible) says so.
extends_documentation_fragment:
  - pgmahout.cluster.login
  - pgmahout.cluster.peers
  - pgmahout.cluster.programs
attributes:
  check_mode:
    support: full
    description: Only reads.
  diff_mode:
    support: none
    description: Only reads.
options:
  data_directory:
    description:
      - A data directory of this host. The connection is then made over the socket of the server that runs on it, and a server
        that does not run is no error.
    type: path
    default: ""
  superuser:
    description:
      - Role of the server to connect as, over its socket.
    type: str
    default: postgres
  configuration:
    description:
      - The text of a C(postgresql.conf) to check.
    type: str
  listen_address:
    description:
      - The address on which O(listen_port) must be free when no server runs on O(data_directory).
    type: str
    default: localhost
  listen_port:
    description:
      - The TCP port to check; V(0) checks none.
    type: int
    default: 0
  socket_directory:
    description:
      - The directory of the socket to check for the length of its name.
    type: path
    default: ""
  version:
    description:
      - The major version that the programs must have; V(0) checks none.
    type: int
    default: 0
  log_file:
    description:
      - The server's log, of which a failing archiver's last line is returned.
    type: path
    default: ""
  backup_directory:
    description:
      - A repository of backups, of which is returned whether it has a schedule.
    type: path
    default: ""
  from_distribution:
    description:
      - Whether programs that are not there yet come with the host's distribution, which must then have O(version).
    type: bool
    default: false
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: What runs on port 5440 is known
  pgmahout.cluster.pg_replication_info:
    login_unix_socket: /srv/run
    login_port: 5440
  register: found

- name: Every standby streams
  ansible.builtin.assert:
    that: found.standbys | rejectattr('state', 'eq', 'streaming') | length == 0
"""

RETURN = r"""
running:
  description: Whether a server runs.
  type: bool
  returned: success
answers:
  description: Whether the running server let us in.
  type: bool
  returned: when a server runs
role:
  description: V(primary) or V(standby), as the running server says.
  type: str
  returned: when the server answers
system_identifier:
  description: The system identifier, as text since it has 64 bits.
  type: str
  returned: when the server answers
timeline:
  description: The timeline that is written (primary) or followed (standby).
  type: int
  returned: when the server answers
server_version_num:
  description: The version, such as 180006.
  type: int
  returned: when the server answers
started:
  description: When the server was started, in seconds since the epoch.
  type: float
  returned: when the server answers
lsn:
  description: The position written (primary) or received (standby).
  type: str
  returned: when the server answers
received_lsn:
  description: The position received by streaming since the server was started; null on a primary, and before it streams.
  type: str
  returned: when the server answers
replay_lsn:
  description: The position replayed; null on a primary.
  type: str
  returned: when the server answers
replay_lag_bytes:
  description:
    - WAL that is not replayed yet, in bytes, up to what the upstream last said that it has, or to what was received when there is
      no upstream; null on a primary.
  type: int
  returned: when the server answers
replay_lag_seconds:
  description: Age of the last replayed transaction, in seconds, 0 when all that was received is replayed; null on a primary.
  type: float
  returned: when the server answers
replay_paused:
  description: Whether replay is paused; null on a primary.
  type: bool
  returned: when the server answers
database:
  description: The database that was connected to.
  type: str
  returned: when the server answers
upstream:
  description: The WAL receiver; null where none runs, as on a primary or when the upstream is gone.
  type: dict
  returned: when the server answers
  contains:
    status:
      description: Such as V(streaming) or V(waiting).
      type: str
    host:
      description: Host name, address or socket directory of the upstream.
      type: str
    port:
      description: Port of the upstream.
      type: int
    slot_name:
      description: The slot in use there; null without one.
      type: str
    flushed_lsn:
      description: The position received and on disk.
      type: str
    latest_end_lsn:
      description: The upstream's own position when it sent its last message.
      type: str
    timeline:
      description: The timeline that is received.
      type: int
    silent_seconds:
      description: Age of the last message, in seconds.
      type: float
standbys:
  description: The WAL senders; logical subscribers and base backups are among them.
  type: list
  elements: dict
  returned: when the server answers
  contains:
    application_name:
      description: What C(synchronous_standby_names) would name; the name of the subscription of a subscriber.
      type: str
    client_addr:
      description: Address; null over a socket.
      type: str
    client_port:
      description: Port, V(-1) over a socket.
      type: int
    state:
      description: V(startup), V(catchup), V(streaming), V(backup) or V(stopping).
      type: str
    sync_state:
      description: V(async), V(potential), V(sync) or V(quorum).
      type: str
    sync_priority:
      description: Place among the synchronous standbys, V(0) for an asynchronous one.
      type: int
    slot_name:
      description: The slot in use; null without one.
      type: str
    slot_type:
      description: V(physical) or V(logical); null without a slot.
      type: str
    sent_lsn:
      description: The position sent.
      type: str
    write_lsn:
      description: The position written there.
      type: str
    flush_lsn:
      description: The position on disk there.
      type: str
    replay_lsn:
      description: The position replayed there; null while a base backup is taken.
      type: str
    lag_bytes:
      description: WAL not replayed there yet, in bytes.
      type: int
    lag_seconds:
      description: Time that the last WAL took to be replayed there, in seconds, 0 when all is; as C(replay_lag).
      type: float
slots:
  description: The replication slots of the server.
  type: list
  elements: dict
  returned: when the server answers
  contains:
    name:
      description: Name.
      type: str
    slot_type:
      description: V(physical) or V(logical).
      type: str
    plugin:
      description: Output plugin of a logical slot.
      type: str
    database:
      description: Database of a logical slot.
      type: str
    active:
      description: Whether it is in use.
      type: bool
    active_pid:
      description: Process that uses it.
      type: int
    temporary:
      description: Whether it goes with its session.
      type: bool
    restart_lsn:
      description: The oldest WAL that it keeps; null when it reserves nothing.
      type: str
    confirmed_flush_lsn:
      description: What the consumer of a logical slot has confirmed.
      type: str
    retained_bytes:
      description: WAL that it keeps, in bytes; null when it reserves nothing.
      type: int
    wal_status:
      description: V(reserved), V(extended), V(unreserved) or V(lost).
      type: str
    safe_wal_size:
      description: WAL that can be written before it may be lost, in bytes; null without C(max_slot_wal_keep_size).
      type: int
    two_phase:
      description: Whether prepared transactions are decoded. PostgreSQL 14; null before.
      type: bool
    conflicting:
      description: Whether a logical slot was invalidated by a conflict with recovery. PostgreSQL 16; null before.
      type: bool
    invalidation_reason:
      description: Such as V(wal_removed); null while it is valid. PostgreSQL 17; null before, where C(wal_status) tells.
      type: str
    failover:
      description: Whether it is synchronized to standbys. PostgreSQL 17; null before.
      type: bool
    synced:
      description: Whether it was synchronized from a primary. PostgreSQL 17; null before.
      type: bool
    inactive_since:
      description: Since when it is not in use, in seconds since the epoch. PostgreSQL 17; null before.
      type: float
base_backups:
  description: How many base backups are being taken from it.
  type: int
  returned: when the server answers
publications:
  description: The publications of RV(database).
  type: list
  elements: dict
  returned: when the server answers
  contains:
    name:
      description: Name.
      type: str
    owner:
      description: Owner.
      type: str
    all_tables:
      description: Whether every table is published.
      type: bool
    publish:
      description: Of V(insert), V(update), V(delete), V(truncate).
      type: list
      elements: str
    publish_via_partition_root:
      description: Whether changes of partitions are published as those of the root.
      type: bool
    schemas:
      description: Schemas whose tables are published. PostgreSQL 15; null before.
      type: list
      elements: str
    publish_generated_columns:
      description: V(none) or V(stored). PostgreSQL 18; null before.
      type: str
    tables:
      description: The tables that are published, schema-qualified and quoted where SQL needs it.
      type: list
      elements: str
subscriptions:
  description:
    - The subscriptions of all databases of the server.
    - The lag in bytes is known to the publisher only, as C(lag_bytes) of its RV(standbys).
  type: list
  elements: dict
  returned: when the server answers
  contains:
    name:
      description: Name.
      type: str
    database:
      description: Its database.
      type: str
    enabled:
      description: Whether it is enabled.
      type: bool
    publications:
      description: Publications that it subscribes to.
      type: list
      elements: str
    slot_name:
      description: The slot at the publisher; null when it is detached.
      type: str
    two_phase:
      description: V(disabled), V(pending) or V(enabled). PostgreSQL 15; null before.
      type: str
    failover:
      description: Whether its slot is synchronized to standbys of the publisher. PostgreSQL 17; null before.
      type: bool
    running:
      description: Whether its worker runs.
      type: bool
    received_lsn:
      description: The publisher's position received; null when no worker runs.
      type: str
    latest_end_lsn:
      description: The position last confirmed to the publisher.
      type: str
    applied_lsn:
      description: The publisher's position of the last transaction applied here; null before the first one.
      type: str
    lag_seconds:
      description:
        - Time that the last message took from the publisher to the worker, in seconds, by the clocks of both; it grows when
          the worker cannot keep up.
      type: float
    silent_seconds:
      description: Age of the last message, in seconds.
      type: float
    apply_errors:
      description: How often applying failed. PostgreSQL 15; null before.
      type: int
    sync_errors:
      description: How often the copy of a table failed. PostgreSQL 15; null before.
      type: int
    tables:
      description:
        - The state of each table, by its schema-qualified name, quoted where SQL needs it. V(i) initial, V(d) being copied,
          V(f) copied, V(s) synchronized, V(r) ready.
        - Null for subscriptions of databases other than RV(database).
      type: dict
archiver:
  description:
    - The columns of C(pg_stat_archiver), times in ISO 8601. C(failing) says whether the last attempt failed, and C(reason) what
      O(log_file) says of it. C(ready) is how many segments wait for the archive; null without the right to see it.
  type: dict
  returned: when the server answers
  sample:
    archived_count: 4
    last_archived_wal: "000000010000000000000004"
    failed_count: 0
    last_failed_wal: null
    failing: false
    ready: 0
    reason: ""
settings:
  description: The settings that replication depends on, by name, as C(setting) of C(pg_settings).
  type: dict
  returned: when the server answers
pending_restart:
  description: The settings that wait for a restart.
  type: list
  elements: dict
  returned: when the server answers
  contains:
    name:
      description: Name of the setting.
      type: str
not_visible:
  description:
    - What this role could not see over this connection, each as a sentence that says what would show it; what is meant is null
      or left out elsewhere in the results.
  type: list
  elements: str
  returned: when the server answers
instance:
  description:
    - What is in O(data_directory). C(kind) is V(missing), V(empty), V(foreign) or V(instance). C(archive) names the archive of
      the repository that its WAL goes to, C(follows) the upstream in C(postgresql.auto.conf), C(fenced) the members that a
      failover shut out, with the timeline and LSN from which on they are not trusted.
    - C(wal_end) is where the WAL of a primary that does not run ends; null where that is not known, as before PostgreSQL 15.
    - Null without that option.
  type: dict
  returned: success
host:
  description:
    - What tells this host from others, the account of the module, where PostgreSQL's programs are used from (empty when there are
      none), whether pg_host has prepared it, and whether there is a schedule for the repository in O(backup_directory).
  type: dict
  returned: success
peers:
  description: What the servers of O(peers) said, in that order.
  type: list
  elements: dict
  returned: success
  contains:
    address:
      description: Host and port.
      type: str
    answers:
      description: Whether a PostgreSQL server is there; one that refuses the login, or is starting, is.
      type: bool
    system_identifier:
      description: Its system identifier; empty where it did not let us in.
      type: str
    problem:
      description: Why it did not let us in, as a sentence; empty where it did.
      type: str
problems:
  description: What would keep an instance from being made or started as the options say, each as a sentence.
  type: list
  elements: str
  returned: success
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import conninfo, info, programs, runner

ARGUMENT_SPEC = dict(
    programs.SPEC,
    superuser=programs.SUPERUSER,
    data_directory={"type": "path", "default": ""},
    configuration={"type": "str"},
    listen_address={"type": "str", "default": "localhost"},
    listen_port={"type": "int", "default": 0},
    socket_directory={"type": "path", "default": ""},
    version={"type": "int", "default": 0},
    log_file={"type": "path", "default": ""},
    peers=dict(conninfo.SPEC, type="list", elements="dict", default=[]),
    backup_directory={"type": "path", "default": ""},
    from_distribution={"type": "bool", "default": False},
)


def main() -> None:
    runner.run_reader(info.gather, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
