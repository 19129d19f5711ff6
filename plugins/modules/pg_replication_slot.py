#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_replication_slot
short_description: Physical and logical replication slots
version_added: 1.0.0
description:
  - Makes or drops replication slots, one or many with one connection.
  - A slot that is in use is never dropped. A slot that is lost (the server removed WAL that it needed) is reported.
  - Works on a primary and on a standby. Logical slots on a standby need PostgreSQL 16, and their creation waits until
    the primary writes a record of its running transactions (C(pg_log_standby_snapshot()) there does).
  - PostgreSQL 13 to 18.
options:
  name:
    description:
      - Name of the slot, 1 to 63 lower-case letters, digits and underscores.
    type: str
  slots:
    description:
      - Names of several slots, to which all other options apply. Used instead of O(name). Slots that are not named are
        left alone.
    type: list
    elements: str
  state:
    description:
      - Whether the slots exist.
    type: str
    choices: [present, absent]
    default: present
  slot_type:
    description:
      - What the slot keeps its position for. A logical slot belongs to the database O(login_db).
    type: str
    choices: [physical, logical]
    default: physical
  plugin:
    description:
      - Output plugin of a logical slot. Without it V(pgoutput), which subscriptions use.
    type: str
  reserve_wal:
    description:
      - Whether a physical slot reserves WAL from its creation on, not only from its first use on.
      - A physical slot that reserves nothing yet is dropped and made again, which loses nothing.
    type: bool
    default: false
  two_phase:
    description:
      - Whether a logical slot decodes prepared transactions when they are prepared (PostgreSQL 14). A new slot does not
        without it. For an existing slot it can be changed since PostgreSQL 18.
    type: bool
  failover:
    description:
      - Whether a logical slot is synchronized to standbys, to be there after a failover (PostgreSQL 17). A new slot
        is not without it.
    type: bool
  free_planned:
    description:
      - An earlier task of the same play stops what uses the slots, so that in check mode O(state=absent) may find them in use.
        Else their end is awaited, for 10 s.
    type: bool
    default: false
  on_mismatch:
    description:
      - What happens to a slot that has another type, plugin or database, is temporary, or differs in O(two_phase)
        before PostgreSQL 18.
      - V(fail) changes nothing. V(recreate) drops it and makes it anew, which gives up its position, so that its
        standby or subscriber may need to be cloned anew. A lost slot is made anew as well.
    type: str
    choices: [fail, recreate]
    default: fail
extends_documentation_fragment:
  - pgmahout.cluster.login
  - pgmahout.cluster.attributes
seealso:
  - module: pgmahout.cluster.pg_replication_role
  - module: pgmahout.cluster.pg_subscription
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: The slots of both standbys exist
  pgmahout.cluster.pg_replication_slot:
    slots: [node2, node3]
    reserve_wal: true

- name: A logical slot that survives a failover exists
  pgmahout.cluster.pg_replication_slot:
    name: warehouse
    slot_type: logical
    login_db: shop
    failover: true

- name: The slot of a standby that is gone is dropped
  pgmahout.cluster.pg_replication_slot:
    name: node4
    state: absent
"""

RETURN = r"""
statements:
  description: What was sent to the server, or would be sent in check mode.
  returned: success
  type: list
  elements: str
  sample: ["SELECT pg_catalog.pg_create_physical_replication_slot('node2', true)"]
slots:
  description:
    - The slots that were asked for and exist, in the order of the option, as the columns of C(pg_replication_slots)
      that the server's version has.
    - In check mode, a slot that would be made has null where only the server knows.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the slot.
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
    temporary:
      description: Whether it ends with its session.
      type: bool
    active:
      description: Whether it is in use.
      type: bool
    active_pid:
      description: Process that uses it.
      type: int
    restart_lsn:
      description: LSN of the oldest WAL that it keeps.
      type: str
    confirmed_flush_lsn:
      description: LSN up to which the consumer of a logical slot confirmed.
      type: str
    wal_status:
      description: V(reserved), V(extended), V(unreserved) or V(lost).
      type: str
    lost:
      description: Whether it can never be used again.
      type: bool
    invalidation_reason:
      description: Why it can never be used again (PostgreSQL 17).
      type: str
    two_phase:
      description: Whether prepared transactions are decoded (PostgreSQL 14).
      type: bool
    failover:
      description: Whether it is synchronized to standbys (PostgreSQL 17).
      type: bool
    synced:
      description: Whether it was synchronized from the primary (PostgreSQL 17).
      type: bool
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import runner, slots

ARGUMENT_SPEC = {
    "name": {"type": "str"},
    "slots": {"type": "list", "elements": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "slot_type": {"type": "str", "choices": ["physical", "logical"], "default": "physical"},
    "plugin": {"type": "str"},
    "reserve_wal": {"type": "bool", "default": False},
    "two_phase": {"type": "bool"},
    "failover": {"type": "bool"},
    "free_planned": {"type": "bool", "default": False},
    "on_mismatch": {"type": "str", "choices": ["fail", "recreate"], "default": "fail"},
}


def main() -> None:
    runner.run(slots, ARGUMENT_SPEC, mutually_exclusive=[("name", "slots")], required_one_of=[("name", "slots")])


if __name__ == "__main__":
    main()
