#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_instance
short_description: One PostgreSQL server of this host
version_added: 1.0.0
description:
  - Makes sure that a data directory holds an instance, that its configuration files have the given texts, and that its server
    is in the given state.
  - A new instance is made beside its place and renamed when it is complete, so that a run that is killed leaves nothing that
    could be taken for an instance.
  - Whether a changed setting needs a reload or a restart is decided by what C(pg_settings) says of it, and what a value means by
    the server's own parser, not by comparing texts.
  - A directory that holds anything else is refused, never emptied.
extends_documentation_fragment:
  - pgmahout.cluster.programs
  - pgmahout.cluster.credentials
  - pgmahout.cluster.start_guard
  - pgmahout.cluster.attributes
options:
  data_directory:
    description:
      - The data directory. Its parent is made when it is missing.
    type: path
    required: true
  superuser:
    description:
      - Role of the server to connect as, over its socket.
    type: str
    default: postgres
  state:
    description:
      - V(started) and V(stopped) converge; V(restarted) and V(reloaded) always act.
      - V(absent) stops the server and removes the data directory, O(config_directory), O(passfile), the files of
        O(tls_directory), O(log_file), and what an interrupted run left beside them. An instance that exists must be named by
        O(system_identifier).
    type: str
    choices: [started, stopped, restarted, reloaded, absent]
    default: started
  create:
    description:
      - Whether an instance is made where there is none. With V(false) its absence is an error.
    type: bool
    default: true
  planned:
    description:
      - An earlier task of the same play clones the instance, so that check mode may not find it yet. It then counts as one that
        is stopped. A run that is not in check mode always needs it, or O(create).
    type: bool
    default: false
  programs_upgraded:
    description:
      - An earlier task of the same play upgrades the programs. Check mode, in which it did not, then counts a server that runs
        as one that runs other programs; a run that is not in check mode sees that for itself.
    type: bool
    default: false
  system_identifier:
    description:
      - The system identifier that the instance must have, as text. Any other is refused.
    type: str
    default: ""
  initdb:
    description:
      - How a new instance is made. An instance that exists keeps what it was made with.
    type: dict
    suboptions:
      encoding:
        description: Encoding of the template databases, such as C(UTF8).
        type: str
      locale:
        description: Locale of the template databases, such as C(C.UTF-8).
        type: str
      locale_provider:
        description: Where collations come from. V(builtin) needs PostgreSQL 17.
        type: str
        choices: [builtin, icu, libc]
      builtin_locale:
        description: Locale of the provider V(builtin).
        type: str
      wal_segment_size:
        description: Size of a WAL segment in MB, a power of two from 1 to 1024.
        type: int
      data_checksums:
        description: Whether pages carry checksums.
        type: bool
  port:
    description:
      - The TCP port that O(configuration) sets; checked to be free before a server is made or started.
    type: int
    default: 5432
  listen_address:
    description:
      - The address on which O(port) must be free; V(*) for all.
    type: str
    default: localhost
  configuration:
    description:
      - The whole text of C(postgresql.conf). Without it the file is left alone.
      - A setting in it that C(ALTER SYSTEM) has overridden loses its line in C(postgresql.auto.conf).
    type: str
  hba:
    description:
      - The whole text of C(pg_hba.conf). A text that the server cannot read is replaced by the former one and refused.
    type: str
  ident:
    description:
      - The whole text of C(pg_ident.conf).
    type: str
  config_directory:
    description:
      - Where the three files are. By default the data directory.
    type: path
    default: ""
  unit:
    description:
      - The systemd unit that starts and stops the server, in the form C(postgresql@VERSION-NAME) of Debian's
        postgresql-common. Its O(config_directory) is then C(/etc/postgresql/VERSION/NAME), where C(start.conf), which starts it
        at boot, C(environment) and C(pg_ctl.conf) are written too.
      - Without it, the server is a process of its own that no service manager knows.
    type: str
    default: ""
  log_file:
    description:
      - File that the server's messages go to. By default the data directory's path with C(.log) behind it.
    type: path
    default: ""
  socket_directory:
    description:
      - Directory of the Unix-domain socket that O(configuration) sets; made when it is missing.
    type: path
    default: ""
  restart:
    description:
      - What to do when a running server needs a restart for a setting.
      - V(when_needed) restarts it. V(never) writes and reloads, and RV(restart_required) says that a restart is left.
      - V(deferred) leaves all as it is, for a later task that restarts the members of a cluster in their order, and
        RV(restart_required) says so. Without the need of a restart it does what the others do.
    type: str
    choices: [when_needed, deferred, never]
    default: when_needed
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: An instance runs on port 5440
  pgmahout.cluster.pg_instance:
    data_directory: /srv/orders/node1/data
    user: postgres
    port: 5440
    socket_directory: /srv/run
    initdb: {encoding: UTF8, locale: C.UTF-8, data_checksums: true}
    configuration: |
      listen_addresses = 'localhost'
      port = 5440
      unix_socket_directories = '/srv/run'

- name: It is gone, with its data
  pgmahout.cluster.pg_instance:
    data_directory: /srv/orders/node1/data
    user: postgres
    state: absent
    system_identifier: "7575208263548962345"
"""

RETURN = r"""
commands:
  description: What was done, or would be done in check mode, as commands.
  type: list
  elements: str
  returned: success
  sample: ["pg_ctl reload --pgdata=/srv/orders/node1/data"]
data_directory:
  description: The data directory.
  type: str
  returned: success
system_identifier:
  description: The instance's system identifier, as text; empty where there is none, and in check mode for a new one.
  type: str
  returned: success
created:
  description: Whether a new instance was made.
  type: bool
  returned: success
restarted:
  description: Whether a running server was restarted.
  type: bool
  returned: success
reloaded:
  description: Whether a running server was told to read its configuration again.
  type: bool
  returned: success
restart_required:
  description: Whether some wanted value still waits for a restart.
  type: bool
  returned: success
restart_reasons:
  description:
    - The settings that need, or needed, a restart. C(bindir) stands for a server that runs other programs than the ones given.
  type: list
  elements: str
  returned: success
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import (
    credentials,
    instance,
    programs,
    runner,
    server,
    start_guard,
)

ARGUMENT_SPEC = dict(
    programs.SPEC,
    **credentials.SPEC,
    **start_guard.SPEC,
    superuser=programs.SUPERUSER,
    data_directory={"type": "path", "required": True},
    state={"type": "str", "choices": ["started", "stopped", "restarted", "reloaded", "absent"], "default": "started"},
    create={"type": "bool", "default": True},
    planned={"type": "bool", "default": False},
    programs_upgraded={"type": "bool", "default": False},
    system_identifier={"type": "str", "default": ""},
    initdb={"type": "dict", "options": {
        "encoding": {"type": "str"},
        "locale": {"type": "str"},
        "locale_provider": {"type": "str", "choices": ["builtin", "icu", "libc"]},
        "builtin_locale": {"type": "str"},
        "wal_segment_size": {"type": "int"},
        "data_checksums": {"type": "bool"},
    }},
    port={"type": "int", "default": 5432},
    listen_address={"type": "str", "default": "localhost"},
    configuration={"type": "str"},
    hba={"type": "str"},
    ident={"type": "str"},
    config_directory={"type": "path", "default": ""},
    unit={"type": "str", "default": ""},
    log_file={"type": "path", "default": ""},
    socket_directory={"type": "path", "default": ""},
    restart={"type": "str", "choices": ["when_needed", "deferred", "never"], "default": "when_needed"},
)


def main() -> None:
    runner.run(server, ARGUMENT_SPEC, instance.opener)


if __name__ == "__main__":
    main()
