#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_packages
short_description: The packages of PostgreSQL on a Debian or Ubuntu host
version_added: 1.0.0
description:
  - Makes sure that packages are installed, from the distribution or from PGDG, the repository of the PostgreSQL project, and that
    no upgrade of the host replaces those that are to be held.
  - No package makes an instance of its own, by C(/etc/postgresql-common/createcluster.d/pgmahout.conf), which is written before
    anything is installed.
  - Where packages of a server are installed already, PostgreSQL's services are neither started nor stopped nor restarted by what
    is installed or upgraded, so that its servers go on with the programs that they were started with. For that time a
    C(/usr/sbin/policy-rc.d) of ours answers for these services; one of somebody else goes on answering for all others, and
    comes back. What C(needrestart) would restart is left to the next run of apt.
  - All of it is one module, and not a task each for M(ansible.builtin.copy), M(ansible.builtin.deb822_repository),
    M(ansible.builtin.apt) and M(ansible.builtin.dpkg_selections), since on a bare host in check mode these cannot say what
    they would do, and since a task costs the start of a module.
requirements:
  - root, in check mode too
  - Debian 11 or newer, or Ubuntu 22.04 or newer
extends_documentation_fragment:
  - pgmahout.cluster.attributes
attributes:
  check_mode:
    details:
      - Nothing is fetched. What is newest is told from the lists of packages that the host has, however old these are. Where
        O(repository) changes with O(state=latest), all of O(packages) are told to be upgraded; nobody knows yet what it has.
options:
  packages:
    description:
      - Names of the packages, without version or architecture.
    type: list
    elements: str
    required: true
  hold:
    description:
      - Names of those among O(packages) that only this module upgrades, with O(state=latest). One that is held already and is not
        named here stays held.
    type: list
    elements: str
    default: []
  state:
    description:
      - V(present) leaves what is installed as it is. V(latest) upgrades O(packages), also those that are held, to what the
        repositories have now; other packages are upgraded only where these depend on it.
    type: str
    choices: [present, latest]
    default: present
  repository:
    description:
      - PGDG, in C(/etc/apt/sources.list.d/pgmahout-pgdg.sources). Without this option that file and its key are removed; what was
        installed from it stays.
    type: dict
    suboptions:
      uri:
        description: Address of the repository, or of a mirror of it.
        type: str
        default: http://apt.postgresql.org/pub/repos/apt
      suite:
        description: The suite; by default the name of the host's release with C(-pgdg) behind it, such as V(trixie-pgdg).
        type: str
      components:
        description: Its components.
        type: list
        elements: str
        default: [main]
      key:
        description: The armoured public key that signs the repository, as text.
        type: str
        required: true
  cache_valid_time:
    description:
      - For how many seconds after C(apt-get update) the lists of packages are fresh. They are fetched when they are not, or are
        older than the files that name the repositories, and only where something is to be installed, or with O(state=latest).
        Fetching them is no change.
    type: int
    default: 3600
  lock_timeout:
    description:
      - For how many seconds to wait for others that work with packages, such as the upgrades of the distribution at boot.
    type: int
    default: 600
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: PostgreSQL 17 of the distribution is installed, and is upgraded by us alone
  pgmahout.cluster.pg_packages:
    packages: [postgresql-17, postgresql-client-17, python3-psycopg2]
    hold: [postgresql-17]
  become: true

- name: PostgreSQL 18 of PGDG is of its newest minor version, and servers that run have not noticed
  pgmahout.cluster.pg_packages:
    packages: [postgresql-18, python3-psycopg2]
    hold: [postgresql-18]
    state: latest
    repository:
      key: "{{ lookup('ansible.builtin.file', 'ACCC4CF8.asc') }}"
  become: true
"""

RETURN = r"""
commands:
  description: What was done, or would be done in check mode, as commands.
  type: list
  elements: str
  returned: success
  sample: ["apt-get update", "apt-mark hold postgresql-17"]
upgraded:
  description: The packages that were installed before and are of another version now.
  type: list
  elements: str
  returned: success
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import apt, apt_repository, runner

ARGUMENT_SPEC = {
    "packages": {"type": "list", "elements": "str", "required": True},
    "hold": {"type": "list", "elements": "str", "default": []},
    "state": {"type": "str", "choices": ["present", "latest"], "default": "present"},
    "repository": apt_repository.SPEC,
    "cache_valid_time": {"type": "int", "default": 3600},
    "lock_timeout": {"type": "int", "default": 600},
}


def main() -> None:
    runner.run(apt, ARGUMENT_SPEC, apt.opener)


if __name__ == "__main__":
    main()
