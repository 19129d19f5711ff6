# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module of the collection as Ansible would, in this process, and return what it returned."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
from typing import Any
from unittest.mock import patch

from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

PACKAGE = "ansible_collections.pgmahout.cluster.plugins.modules"


def run_module(name: str, /, *, check: bool = False, **options: Any) -> dict[str, Any]:
    """The result of a module; ``failed`` is set in it when the module failed.

    Args:
        name: such as ``pg_publication``.
        check: run in check mode.
        options: the module's options.
    """
    module = importlib.import_module(f"{PACKAGE}.{name}")
    printed = io.StringIO()
    # Ansible keeps warnings for the life of a process, which is one module's elsewhere.
    warnings._global_warnings.clear()
    arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
    # A test that imports controller code makes all modules of this process show their warnings instead of returning them.
    on_a_host = patch.object(_internal, "is_controller", False)
    with on_a_host, patch_module_args(arguments), contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        module.main()
    result: dict[str, Any] = json.loads(printed.getvalue())
    return result


def ok(name: str, /, **options: Any) -> dict[str, Any]:
    """The result of a module that must not fail."""
    result = run_module(name, **options)
    assert not result.get("failed"), result.get("msg")
    return result


def refused(name: str, /, **options: Any) -> str:
    """The message of a module that must fail."""
    result = run_module(name, **options)
    assert result.get("failed"), f"{name} was expected to refuse, and returned {result}"
    return str(result["msg"])
