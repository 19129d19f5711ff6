# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that Ansible would send to a host for one task; run by the interpreter whose ansible-core is to make it.

Standard input: a JSON object with ``module`` (its full name), ``args`` and, where the collections are, ``collections``.
Standard output: the program, which takes the arguments with it and needs nothing but Python.
"""

from __future__ import annotations

import json
import sys

from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, module_loader
from ansible.template import Templar

wanted = json.load(sys.stdin)
init_plugin_loader(wanted["collections"])
found = module_loader.find_plugin_with_context(wanted["module"])
made = modify_module(module_name=found.resolved_fqcn, module_path=found.plugin_resolved_path, module_args=wanted["args"],
                     templar=Templar(loader=DataLoader()), task_vars={"ansible_playbook_python": sys.executable},
                     module_compression="ZIP_DEFLATED", remote_is_local=True)
sys.stdout.buffer.write(made.b_module_data)
