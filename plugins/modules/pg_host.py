#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_host
short_description: What a host's kernel and systemd are told for PostgreSQL
version_added: 1.0.0
description:
  - Puts in force what PostgreSQL's documentation says of the kernel (chapter 18.4, Managing Kernel Resources) and little else.
    Every option is off until it is given.
  - A value is set at once where another one is in force, and comes back at boot from C(/etc/sysctl.d/60-pgmahout.conf) and, for
    transparent huge pages, from C(/etc/tmpfiles.d/60-pgmahout.conf). The limits of servers are in
    C(/etc/systemd/system/postgresql@.service.d/60-pgmahout.conf). These files are written whole and hold nothing but what is
    given.
  - An option that is no longer given disappears from its file. What is in force stays so until the host is rebooted, since
    nobody knows what it was before. A limit is gone when the server is started the next time.
  - At boot, a file that comes later in the order of C(/etc/sysctl.d), such as C(99-sysctl.conf), has the last word.
requirements:
  - root, where something is to be changed
extends_documentation_fragment:
  - pgmahout.cluster.attributes
options:
  huge_pages:
    description:
      - How many huge pages of the default size the kernel keeps for shared memory (C(vm.nr_hugepages), chapter 18.4.5).
        PostgreSQL takes them by itself, its setting C(huge_pages) being V(try). They are of no use to anything else, so ask for
        what the servers of the host need.
      - What a server needs is printed by C(postgres -D DATA -C shared_memory_size_in_huge_pages) while it is stopped, and by
        C(SHOW shared_memory_size_in_huge_pages) while it runs, from PostgreSQL 15 on.
      - It is an error when the kernel does not find room for all of them. They are asked for again at boot, when memory is not
        in pieces yet.
    type: int
  transparent_huge_pages:
    description:
      - When the kernel makes huge pages of ordinary memory by itself, which PostgreSQL discourages (chapter 19.4.1,
        C(huge_pages)). V(never) is for all programs. V(madvise) leaves them to programs that ask for them, which PostgreSQL
        does not.
    type: str
    choices: [madvise, never]
  overcommit_memory:
    description:
      - Whether the kernel promises more memory than it has (C(vm.overcommit_memory), chapter 18.4.4). With V(2) it does not,
        and a server is told that there is no more instead of being killed. V(0) is what kernels start with, and V(1) promises
        everything.
      - V(2) is refused when more than its limit is promised already.
    type: int
  overcommit_ratio:
    description:
      - How much may be promised when O(overcommit_memory) is V(2), in percent of the memory that is not huge pages, in addition
        to the swap space (C(vm.overcommit_ratio)).
    type: int
  dirty_background_bytes:
    description:
      - How much written data the kernel gathers before it begins to bring it to disk (C(vm.dirty_background_bytes)), such as
        V(64M). It takes the place of C(vm.dirty_background_ratio), whose 10 percent may be many seconds of work for the disks
        of a large host, which the end of a checkpoint then waits for.
    type: bytes
  dirty_bytes:
    description:
      - How much there may be before those who write have to wait (C(vm.dirty_bytes)), such as V(512M). It takes the place of
        C(vm.dirty_ratio).
    type: bytes
  swappiness:
    description:
      - How readily the kernel swaps out programs instead of dropping cached files (C(vm.swappiness)), from 0 to 200.
    type: int
  open_files:
    description:
      - How many files each process of a server may have open (C(LimitNOFILE) of the units C(postgresql@.service), chapter
        18.4.3). It is needed when PostgreSQL's setting C(max_files_per_process) is to be greater than its default, since
        systemd's own limit is 1024.
      - A server gets it when it is started the next time; this module restarts none.
    type: int
  core_size:
    description:
      - How large a core dump of a server may be (C(LimitCORE) of the same units), V(infinity), or a size such as V(0) or
        V(512M).
    type: str
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: The kernel keeps memory for the servers and promises no more than it has
  pgmahout.cluster.pg_host:
    huge_pages: 4300
    overcommit_memory: 2
    overcommit_ratio: 90
    dirty_background_bytes: 64M
    dirty_bytes: 512M
    open_files: 65536
  become: true

- name: Nothing of it comes back at the next boot
  pgmahout.cluster.pg_host:
  become: true
"""

RETURN = r"""
commands:
  description: What was done, or would be done in check mode, as commands.
  type: list
  elements: str
  returned: success
  sample: ["sysctl vm.swappiness=10", "write /etc/sysctl.d/60-pgmahout.conf"]
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import host_settings, runner

ARGUMENT_SPEC = {
    "huge_pages": {"type": "int"},
    "transparent_huge_pages": {"type": "str", "choices": ["madvise", "never"]},
    "overcommit_memory": {"type": "int"},
    "overcommit_ratio": {"type": "int"},
    "dirty_background_bytes": {"type": "bytes"},
    "dirty_bytes": {"type": "bytes"},
    "swappiness": {"type": "int"},
    "open_files": {"type": "int"},
    "core_size": {"type": "str"},
}


def main() -> None:
    runner.run(host_settings, ARGUMENT_SPEC, host_settings.opener)


if __name__ == "__main__":
    main()
