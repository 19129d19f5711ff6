# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contenders: each makes the same four instances its own way; and what must be true when it is done."""

from __future__ import annotations

import importlib.metadata
import json
import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from benchmarks.scene import ROOT, ContenderError, Job, Scene, ask, expect

MAIN_JOB = ("node1", "node2", "node3", "reporting1")
PEER_VENV = ROOT / "build" / "peer"
PEER_PACKAGE = "ansible==12.3.0"  # holds community.postgresql 4.2.0

#: What the publisher publishes of each table, and what the subscriber has.
SAME = [(f"SELECT md5(string_agg({row}::text, ',' ORDER BY {row}::text)) FROM {source} t",
         f"SELECT md5(string_agg({row}::text, ',' ORDER BY {row}::text)) FROM {table} t")
        for row, source, table in (("t", "order_items", "order_items"),
                                   ("t", "(SELECT * FROM orders WHERE status <> 'cancelled')", "orders"),
                                   ("(id, name, country)", "customers", "customers"))]


def bare(here: Scene) -> Job:
    """Plain shell commands."""
    script, shop = (here.hand_over(Path(shutil.copy(ROOT / path, here.home)))
                    for path in ("benchmarks/bare.sh", "inventories/shop.sql"))
    ports = [str(here.ports[name]) for name in MAIN_JOB]
    argv = ["bash", str(script), str(here.home), str(here.bindir), str(shop), *ports]
    return Job(argv, {"PATH": os.environ["PATH"]}, here.account, {"PGHOST": str(here.home)})


def peer(here: Scene) -> Job:
    """A playbook with community.postgresql, in an environment of its own."""
    passwords = {name: secrets.token_hex(16) for name in ("superuser", "replicator", "subscriber")}
    variables = {"home": str(here.home), "bindir": str(here.bindir), "shop_sql": str(ROOT / "inventories/shop.sql"),
                 "account": here.account or "", "ports": here.ports, "passwords": passwords,
                 "as_account": ["setpriv", f"--reuid={here.account}", f"--regid={_group(here.account)}", "--clear-groups"]
                 if here.account else []}
    given = here.home / "variables.json"
    given.touch(mode=0o600)
    given.write_text(json.dumps(variables))
    folder = ROOT / "benchmarks/peer"
    argv = [str(PEER_VENV / "bin/ansible-playbook"), "-i", str(folder / "inventory.yml"), "-e", f"@{given}",
            str(folder / "site.yml")]
    return Job(argv, _ansible_env(ANSIBLE_CONFIG=str(folder / "ansible.cfg")), None,
               {"PGHOST": "127.0.0.1", "PGUSER": "postgres", "PGPASSWORD": passwords["superuser"]})


def ours(here: Scene, in_process: bool = True) -> Job:
    """The playbook deploy with inventories/local.yml, or with direct standbys only when other instances are asked for.

    Args:
        here: where.
        in_process: False to run every module as a process of its own, as on remote hosts.
    """
    inventory: dict[str, Any] = yaml.safe_load((ROOT / "inventories/local.yml").read_text())
    everywhere, clusters = inventory["all"]["vars"], inventory["all"]["children"]
    everywhere.update(pg_server_home=str(here.home), pg_cluster_secrets_file=str(here.home / "secrets.json"),
                      pg_server_user=here.account or "", pg_in_process=in_process)
    if tuple(here.ports) != MAIN_JOB:
        del clusters["reporting"]
        clusters["orders"]["hosts"] = {name: {} for name in here.ports}
    # The others archive no WAL.
    clusters["orders"]["vars"]["pg_backup_wal"] = "none"
    for cluster in clusters.values():
        for name in cluster["hosts"]:
            cluster["hosts"][name]["pg_server_port"] = here.ports[name]
    folder = here.home / "inventory"
    folder.mkdir()
    shutil.copy(ROOT / "inventories/shop.sql", folder)
    (folder / "inventory.yml").write_text(yaml.safe_dump(inventory))
    argv = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(folder / "inventory.yml"), "pgmahout.cluster.deploy"]
    return Job(argv, our_env(), None, {"PGHOST": str(here.home / "run"), "PGUSER": "postgres"})


def install_peer() -> None:
    """Make the peer's environment, with the ansible-core and psycopg2 that we use; nothing is done when it is there."""
    same = [f"{name}=={importlib.metadata.version(name)}" for name in ("ansible-core", "psycopg2-binary")]
    if not PEER_VENV.exists():
        subprocess.run([sys.executable, "-m", "venv", PEER_VENV], check=True)
    subprocess.run([PEER_VENV / "bin/python", "-m", "pip", "install", "--quiet", PEER_PACKAGE, *same], check=True)


def check_main_job(here: Scene, job: Job) -> None:
    """Check that the standbys stream and that what is written at the primary arrives everywhere, as published.

    Raises:
        ContenderError: something is not as it must be.
    """
    for standby, upstream in (("node2", "node1"), ("node3", "node2")):
        expect(f"{standby}|streaming", here, job, upstream,
               "SELECT application_name, state FROM pg_stat_replication WHERE application_name <> 'sales_in'")
    customer = ask(here, job, "node1", "INSERT INTO customers (name, email, country) VALUES ('New', gen_random_uuid(), 'DE')"
                   " RETURNING id", "shop")
    ask(here, job, "node1", "INSERT INTO orders (customer_id, status) SELECT max(id), unnest(ARRAY['open', 'cancelled'])"
        " FROM customers", "shop")
    orders = f"SELECT string_agg(status, ' ' ORDER BY status) FROM orders WHERE customer_id = {customer}"
    for name, answer, database in (("node2", "cancelled open", "shop"), ("node3", "cancelled open", "shop"),
                                   ("reporting1", "open", "dwh")):
        expect(answer, here, job, name, orders, database)
    for published, received in SAME:
        expect(ask(here, job, "node1", published, "shop"), here, job, "reporting1", received, "dwh")


def check_standbys(here: Scene, job: Job) -> None:
    """Check that every instance but the first streams from the first.

    Raises:
        ContenderError: one does not.
    """
    streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
    expect(str(len(here.ports) - 1), here, job, "node1", streaming)


def check_unchanged(printed: str) -> None:
    """Check that a playbook's second run changed nothing.

    Raises:
        ContenderError: it did.
    """
    changed = re.findall(r"changed=(\d+)", printed)
    if not changed or any(count != "0" for count in changed):
        raise ContenderError(f"The second run was to change nothing:\n{printed[-4000:]}")


def our_env(**variables: str) -> dict[str, str]:
    """The environment in which Ansible finds this checkout as a collection, and these variables."""
    checkout = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections")}
    return _ansible_env(**checkout, **variables)


def _ansible_env(**variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {**inherited, **variables}


def _group(account: str) -> int:
    return pwd.getpwnam(account).pw_gid
