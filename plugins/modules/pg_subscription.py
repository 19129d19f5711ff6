#!/usr/bin/python
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_subscription
short_description: What a database subscribes to
version_added: 1.0.0
description:
  - Makes, changes or drops a subscription of logical replication in the database O(login_db).
  - An option that is not given is left as it is, or is the server's default in a new subscription.
  - A run that finds nothing to do does not ask the publisher, except with O(refresh). A run that makes a subscription,
    enables it, or changes its publications or slot asks the publisher from the host that runs the module, with the
    subscription's own conninfo, and changes nothing when a publication does not exist there.
  - The replication slot is made before the subscription is enabled and after the subscription claims its name, so that
    an interrupted run leaves no slot that nobody owns. Hence publisher and subscriber may be one server.
  - PostgreSQL 13 to 18. An option that the server's version does not have is refused.
options:
  name:
    description:
      - Name of the subscription, kept exactly as written.
    type: str
    required: true
  state:
    description:
      - V(absent) drops the subscription and its replication slot.
    type: str
    choices: [present, absent]
    default: present
  publications:
    description:
      - Names of the publications, exactly these. A change refreshes an enabled subscription's tables.
      - Required, like O(conninfo), when the subscription does not exist.
    type: list
    elements: str
  enabled:
    description:
      - Whether the subscription receives changes. One that C(disable_on_error) has disabled is enabled again.
      - A subscription that is enabled is refreshed too, unless it is in O(two_phase).
    type: bool
    default: true
  copy_data:
    description:
      - Whether the rows that tables already have are copied, at the creation and whenever a refresh finds new tables.
    type: bool
    default: true
  create_slot:
    description:
      - Whether the replication slot is made on the publisher where it does not exist. An idle one that exists is used.
      - With V(false) the slot must exist when the subscription is made, is enabled, or changes to it.
    type: bool
    default: true
  slot_name:
    description:
      - Name of the replication slot on the publisher, V(none) for a disabled subscription without one. Without this option
        a new subscription's slot has the subscription's name.
      - With another name than before, the new slot becomes a copy of the old one, so that no change is lost, and the old
        one is dropped. A new slot that exists already is used once everything before its beginning was received.
    type: str
  binary:
    description:
      - Whether values travel in binary form (PostgreSQL 14).
    type: bool
  streaming:
    description:
      - Whether changes of transactions in progress are sent (PostgreSQL 14). V(parallel) applies them while they arrive
        (PostgreSQL 16).
    type: str
    choices: ["off", "on", parallel]
  synchronous_commit:
    description:
      - The setting C(synchronous_commit) of the workers that apply changes.
    type: str
    choices: ["off", local, remote_write, remote_apply, "on"]
  two_phase:
    description:
      - Whether prepared transactions are replicated when they are prepared (PostgreSQL 15). It can be changed since
        PostgreSQL 18; before that a difference is an error.
      - While this is in use PostgreSQL copies no tables; a change of O(publications) then needs O(copy_data=false).
    type: bool
  disable_on_error:
    description:
      - Whether an error while changes are applied disables the subscription (PostgreSQL 15).
      - It is off while tables leave the subscription, since a worker that still expects one of them fails and starts again.
    type: bool
  password_required:
    description:
      - Whether O(conninfo) must hold a password where the owner is not a superuser (PostgreSQL 16). A superuser may set
        V(false).
    type: bool
  run_as_owner:
    description:
      - Whether changes are applied as the subscription's owner, not as the tables' owners (PostgreSQL 16).
    type: bool
  origin:
    description:
      - V(none) receives only changes that the publisher did not itself receive by replication (PostgreSQL 16).
    type: str
    choices: [any, none]
  failover:
    description:
      - Whether the publisher's standbys keep a copy of the slot, with which the subscription survives a promotion. Both
        publisher and subscriber must be of PostgreSQL 17 or newer.
    type: bool
  owner:
    description:
      - Role that owns the subscription. Before PostgreSQL 16 it must be a superuser.
    type: str
  comment:
    description:
      - The subscription's comment. An empty one removes it.
    type: str
  refresh:
    description:
      - Whether to ask the publisher which tables the publications have, and to refresh an enabled subscription that has
        others.
    type: bool
    default: false
  wait_for_sync:
    description:
      - Whether to return only when every table is ready, which is when it was copied and follows the changes.
    type: bool
    default: false
  timeout:
    description:
      - Time that O(wait_for_sync) waits, and that each statement may take, in seconds. Making a slot waits for the
        transactions that are running on the publisher.
    type: int
    default: 60
  on_unreachable_publisher:
    description:
      - What O(state=absent) does when the publisher does not answer, so that the replication slot cannot be dropped.
      - V(fail) changes nothing. V(detach) drops the subscription and returns the slots that stay on the publisher, where
        they retain WAL until somebody drops them.
    type: str
    choices: [fail, detach]
    default: fail
extends_documentation_fragment:
  - pgmahout.cluster.conninfo
  - pgmahout.cluster.login
  - pgmahout.cluster.attributes
notes:
  - Before PostgreSQL 16 only superusers may make subscriptions. Since then C(pg_create_subscription) and C(CREATE) on the
    database are enough, with a password in O(conninfo). To compare it, such a user needs C(SELECT (subconninfo)) on
    C(pg_subscription), and the right to set the settings that keep it out of the server's log; what is missing is named.
seealso:
  - module: pgmahout.cluster.pg_publication
  - module: pgmahout.cluster.pg_replication_slot
author:
  - The pgmahout founders (@pgmahout)
"""

EXAMPLES = r"""
- name: The warehouse receives the sales of whichever node is primary
  pgmahout.cluster.pg_subscription:
    name: sales_in
    login_db: dwh
    conninfo:
      host: node1,node2,node3
      dbname: shop
      user: subscriber
      passfile: /var/lib/postgresql/.pgpass
      target_session_attrs: read-write
    publications: [sales]
    wait_for_sync: true
    timeout: 3600

- name: Tables that were added to the publication are received too
  pgmahout.cluster.pg_subscription:
    name: sales_in
    login_db: dwh
    refresh: true

- name: The subscription is gone, even though its publisher does not exist any more
  pgmahout.cluster.pg_subscription:
    name: sales_in
    login_db: dwh
    state: absent
    on_unreachable_publisher: detach
"""

RETURN = r"""
statements:
  description:
    - What was sent to the subscriber, or would be sent in check mode, and in comments what the publisher is asked to do.
    - Secrets are masked.
  returned: success
  type: list
  elements: str
  sample: ['ALTER SUBSCRIPTION "sales_in" ENABLE']
slots_left:
  description: The replication slots that stay on the publisher and belong to no subscription any more.
  returned: when there are any
  type: list
  elements: str
  sample: [sales_in]
"""

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import conninfo, runner, subscriptions

ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "conninfo": conninfo.SPEC,
    "publications": {"type": "list", "elements": "str"},
    "enabled": {"type": "bool", "default": True},
    "copy_data": {"type": "bool", "default": True},
    "create_slot": {"type": "bool", "default": True},
    "slot_name": {"type": "str"},
    "binary": {"type": "bool"},
    "streaming": {"type": "str", "choices": ["off", "on", "parallel"]},
    "synchronous_commit": {"type": "str", "choices": ["off", "local", "remote_write", "remote_apply", "on"]},
    "two_phase": {"type": "bool"},
    "disable_on_error": {"type": "bool"},
    "password_required": {"type": "bool", "no_log": False},
    "run_as_owner": {"type": "bool"},
    "origin": {"type": "str", "choices": ["any", "none"]},
    "failover": {"type": "bool"},
    "owner": {"type": "str"},
    "comment": {"type": "str"},
    "refresh": {"type": "bool", "default": False},
    "wait_for_sync": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 60},
    "on_unreachable_publisher": {"type": "str", "choices": ["fail", "detach"], "default": "fail"},
}


def main() -> None:
    runner.run(subscriptions, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
