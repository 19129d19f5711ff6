#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_basebackup
short_description: A base backup, or the clone of a running server
version_added: 1.0.0
description:
  - Copies a running server over a replication connection, as a clone that can follow it as a standby, or as a backup.
  - The copy is made beside its place, verified against its manifest, and renamed when it is complete; a clone is made a standby
    before. A run that is killed leaves nothing under the final name, and the next one removes what it left beside it.
  - O(conninfo) names the server to copy. Its role must be allowed replication connections. A password in it is refused; put it
    into a file and give O(conninfo.passfile), readable by the server's account.
  - A destination that holds a copy of the same system in the same format already is no change, whatever the other options are.
    One that holds anything else is refused.
  - M(pgmahout.cluster.pg_backup) keeps backups in a repository with a catalog and retention, which this module knows nothing of.
extends_documentation_fragment:
  - pgmahout.cluster.programs
  - pgmahout.cluster.credentials
  - pgmahout.cluster.progress
  - pgmahout.cluster.conninfo
  - pgmahout.cluster.attributes
options:
  dest:
    description:
      - The data directory of the clone, or the directory of the backup. It must be missing, empty, or hold the same system.
    type: path
    required: true
  dest_planned:
    description:
      - An earlier task of the same play makes room there, so that in check mode O(dest) may hold something.
    type: bool
    default: false
  format:
    description:
      - Whether the backup is a data directory that could be started (V(plain)) or files of tar (V(tar)), one for each tablespace.
      - To be verified, a backup in tar format is unpacked beside its place before PostgreSQL 18, which takes as much space as the
        server's data.
    type: str
    choices: [plain, tar]
    default: plain
  compress:
    description:
      - How it is compressed, V(gzip), V(lz4), V(zstd) or V(none), with a level behind a colon as in V(zstd:3).
      - With V(server-) before it, the server compresses and less is transferred; a backup in plain format can be compressed only
        on the way, so this is needed there. With V(client-) or nothing before it, the host of the backup compresses.
      - Before PostgreSQL 15 there is V(gzip) on the client only. LZ4 and Zstandard must be built in.
    type: str
    default: ""
  wal_method:
    description:
      - How the WAL that makes the backup consistent comes into it. V(stream) receives it meanwhile, V(fetch) copies it at the
        end, when the server must still have it, and V(none) leaves it to an archive.
    type: str
    choices: [stream, fetch, none]
    default: stream
  slot:
    description:
      - A physical replication slot of that server. It keeps the WAL that the clone needs from the moment it is taken until the
        standby streams. Without one, a temporary slot keeps it as long as the backup takes.
    type: str
    default: ""
  create_slot:
    description:
      - Whether O(slot) is made first when it is missing.
    type: bool
    default: false
  checkpoint:
    description:
      - Whether the server makes its checkpoint at once (V(fast)) or spreads it, which takes minutes and spares its disks.
    type: str
    choices: [fast, spread]
    default: fast
  max_rate:
    description:
      - How much may be transferred in a second, such as V(64M); kB without a suffix.
    type: str
    default: ""
  incremental_from:
    description:
      - An older backup of the same server, or its manifest. The new one holds what has changed since then, and
        C(pg_combinebackup) makes a whole one of both.
      - It needs PostgreSQL 17 and the setting C(summarize_wal) on the server.
    type: path
    default: ""
  tablespace_mapping:
    description:
      - New directories of tablespaces by their present ones, for the format V(plain). Needed when the copy is on the same host.
    type: dict
    default: {}
  write_recovery_conf:
    description:
      - Whether the copy becomes a standby of the server that it is made from, with O(conninfo) and O(slot). Without it, a server
        started on the copy would be a primary of its own.
      - When it is not given, a full backup in plain format does, and no other can.
    type: bool
  verify:
    description:
      - Whether every file, and the WAL, is checked against the manifest before the backup gets its name.
      - Without it a damaged backup is found when it is restored; verify it before then with C(pg_verifybackup).
    type: bool
    default: true
  progress:
    description:
      - Whether a backup that takes longer than a few seconds shows how far it is, where its role may connect to the database
        C(postgres).
    type: bool
    default: true
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: A compressed backup of node1 is there
  pgmahout.cluster.pg_basebackup:
    dest: /srv/backups/orders-friday
    user: postgres
    format: tar
    compress: zstd
    conninfo:
      host: node1
      user: replicator
      passfile: /srv/backups/passfile

- name: What has changed since the backup of sunday is there
  pgmahout.cluster.pg_basebackup:
    dest: /srv/backups/orders-monday
    incremental_from: /srv/backups/orders-sunday
    user: postgres
    conninfo:
      host: node1
      user: replicator
      passfile: /srv/backups/passfile

- name: node2 holds a clone of node1
  pgmahout.cluster.pg_basebackup:
    dest: /srv/orders/node2/data
    user: postgres
    slot: node2
    conninfo:
      host: node1
      port: 5432
      user: replicator
      passfile: /srv/orders/node2/passfile
      application_name: node2
"""

RETURN = r"""
commands:
  description: What was done, or would be done in check mode, as commands.
  type: list
  elements: str
  returned: success
dest:
  description: The directory of the copy.
  type: str
  returned: success
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import (
    backups,
    conninfo,
    credentials,
    instance,
    programs,
    progress,
    runner,
)

ARGUMENT_SPEC = dict(
    programs.SPEC,
    **credentials.SPEC,
    **progress.SPEC,
    dest={"type": "path", "required": True},
    dest_planned={"type": "bool", "default": False},
    conninfo=conninfo.SPEC,
    format={"type": "str", "choices": ["plain", "tar"], "default": "plain"},
    compress={"type": "str", "default": ""},
    wal_method={"type": "str", "choices": ["stream", "fetch", "none"], "default": "stream"},
    slot={"type": "str", "default": ""},
    create_slot={"type": "bool", "default": False},
    checkpoint={"type": "str", "choices": ["fast", "spread"], "default": "fast"},
    max_rate={"type": "str", "default": ""},
    incremental_from={"type": "path", "default": ""},
    tablespace_mapping={"type": "dict", "default": {}},
    write_recovery_conf={"type": "bool"},
    verify={"type": "bool", "default": True},
    progress={"type": "bool", "default": True},
)


def main() -> None:
    runner.run(backups, ARGUMENT_SPEC, instance.opener)


if __name__ == "__main__":
    main()
