# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of pg_inventory: resolve the roles' variables of every member, check them, give them as one value."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible.template import Templar

from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import certificates, inventory

ROLES = Path(__file__).parent.parent.parent / "roles"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Return the inventory as one value, or refuse it."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Do it; see the documentation of the module of the same name."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        hostvars = task_vars["hostvars"]
        # The whole inventory, not just the hosts of this run: who may connect does not depend on who is worked on.
        hosts = [host for host in task_vars["groups"]["all"] if hostvars.raw_get(host).get("pg_cluster_name")]
        if not hosts:
            raise AnsibleActionFail("No host of this inventory has a pg_cluster_name; give one to the hosts of each cluster.")
        specs, defaults = self._specs(), self._defaults()
        variables, complaints = {}, []
        for host in hosts:
            given = hostvars.raw_get(host)
            complaints += unknown(host, given, specs)
            variables[host], found = self._resolve(host, {**defaults, **given}, specs)
            complaints += found
        asked: set[str] = {given.get("pg_backup_host", "") for given in variables.values()}
        backup_hosts = asked & {*task_vars["groups"]["all"]} - {*hosts}
        others = {host: self._address({**defaults, **hostvars.raw_get(host)}) for host in backup_hosts}
        complaints = complaints or inventory.complaints(variables, others) or self._about_certificates(variables)
        if complaints:
            raise AnsibleActionFail("\n".join(complaints))
        result.update(inventory.build(variables, others))
        return result

    def _address(self, raw: Mapping[str, Any]) -> str:
        """Return where a host that is no member is reached; the default is the role's."""
        return str(Templar(loader=self._loader, variables=dict(raw)).template(raw["pg_server_address"]))

    def _about_certificates(self, variables: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Return what is wrong with the certificates that members were given."""
        found, read, now = [], certificates.reader(self._loader), datetime.now(timezone.utc)
        for host, given in variables.items():
            if given["pg_server_tls"]:
                found += certificates.complaints(certificates.Asked(host, given, now), read)
        return found

    def _specs(self) -> dict[str, Any]:
        specs: dict[str, Any] = {}
        for path in sorted(ROLES.glob("*/meta/argument_specs.yml")):
            specs.update(self._loader.load_from_file(str(path))["argument_specs"]["main"]["options"])
        return specs

    def _defaults(self) -> dict[str, Any]:
        defaults: dict[str, Any] = {}
        for path in [*sorted(ROLES.glob("*/vars/main.yml")), *sorted(ROLES.glob("*/defaults/main.yml"))]:
            defaults.update(self._loader.load_from_file(str(path), trusted_as_template=True) or {})
        return defaults

    def _resolve(self, host: str, raw: Mapping[str, Any], specs: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return a member's variables without their templates, and what is wrong with them; secrets are left out."""
        templar = Templar(loader=self._loader, variables=dict(raw))
        open_specs = {name: spec for name, spec in specs.items() if not spec.get("no_log")}
        values = {name: value for name in open_specs if name in raw and (value := templar.template(raw[name])) is not None}
        checked = ArgumentSpecValidator(open_specs).validate(values)
        return checked.validated_parameters, ["On %s: %s." % (host, message.rstrip(".")) for message in checked.error_messages]


def unknown(host: str, given: Mapping[str, Any], specs: Mapping[str, Any]) -> list[str]:
    """Return a complaint for each variable of a host that looks like ours and is none."""
    prefixes = tuple({"_".join(name.split("_")[:2]) + "_" for name in specs})
    found = []
    for name in given:
        if name.startswith(prefixes) and name not in specs and name not in ("pg_inventory", "pg_topology"):
            close = difflib.get_close_matches(name, specs, 1)
            found.append("The variable %s of %s is none of this collection's%s." % (
                name, host, "; did you mean %s" % close[0] if close else "; see the roles' argument_specs"))
    return found
