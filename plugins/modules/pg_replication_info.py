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
  - Changes nothing. No password is among the results.
extends_documentation_fragment:
  - pgmahout.cluster.login
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
      - A data directory of this host. The connection is then made over the socket of the server that runs on it, and a server that
        does not run is no error.
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
replay_lsn:
  description: The position replayed; null on a primary.
  type: str
  returned: when the server answers
replay_lag_seconds:
  description: Age of the last replayed transaction, 0 when all that was received is replayed; null on a primary.
  type: float
  returned: when the server answers
replay_paused:
  description: Whether replay is paused; null on a primary.
  type: bool
  returned: when the server answers
upstream:
  description: The WAL receiver's status, host, port, slot_name, latest_end_lsn and timeline; null where none runs.
  type: dict
  returned: when the server answers
standbys:
  description: The WAL senders, with lag_bytes and lag_seconds; logical subscribers among them.
  type: list
  elements: dict
  returned: when the server answers
slots:
  description: The replication slots, with retained_bytes and what invalidated them.
  type: list
  elements: dict
  returned: when the server answers
publications:
  description: The publications of the database that was connected to, with their tables.
  type: list
  elements: dict
  returned: when the server answers
subscriptions:
  description:
    - The subscriptions of the server. C(tables) holds the state of each table as in C(pg_subscription_rel), for subscriptions of
      the database that was connected to; null for others.
  type: list
  elements: dict
  returned: when the server answers
archiver:
  description: The columns of C(pg_stat_archiver).
  type: dict
  returned: when the server answers
settings:
  description: The settings that replication depends on.
  type: dict
  returned: when the server answers
pending_restart:
  description: The settings that wait for a restart.
  type: list
  elements: dict
  returned: when the server answers
instance:
  description:
    - What is in O(data_directory). C(kind) is V(missing), V(empty), V(foreign) or V(instance). Null without that option.
  type: dict
  returned: success
host:
  description: What tells this host from others, the account of the module, and where PostgreSQL's programs are used from.
  type: dict
  returned: success
problems:
  description: What would keep an instance from being made or started as the options say, each as a sentence.
  type: list
  elements: str
  returned: success
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import info, programs, runner

ARGUMENT_SPEC = dict(
    programs.SPEC,
    superuser=programs.SUPERUSER,
    data_directory={"type": "path", "default": ""},
    configuration={"type": "str"},
    listen_address={"type": "str", "default": "localhost"},
    listen_port={"type": "int", "default": 0},
    socket_directory={"type": "path", "default": ""},
    version={"type": "int", "default": 0},
)


def main() -> None:
    runner.run_reader(info.gather, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
