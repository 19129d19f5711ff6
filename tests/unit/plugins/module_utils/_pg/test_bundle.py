# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program made of modules of the package: what it consists of, that it runs, and that it is always the same."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import bundle

FILES = {
    "one": "from . import two\nfrom .three import THREE\n\n\ndef main(given):\n    print(two.TWO + THREE, given)\n    return 3\n",
    "two": "import os\nfrom typing import Any\n\nTWO = 2\n\n\ndef later():\n    from . import four\n    return four\n",
    "three": "from .two import TWO\n\nTHREE = TWO + 1\n",
    "four": "from . import one, two\n",
    "five": "FIVE = 5\n",
}


def test_a_module_brings_along_all_that_it_imports() -> None:
    assert set(bundle.closure("one", FILES.__getitem__)) == {"one", "two", "three", "four"}
    assert set(bundle.closure("three", FILES.__getitem__)) == {"one", "two", "three", "four"}
    assert bundle.closure("five", FILES.__getitem__) == {"five": FILES["five"]}


@pytest.mark.parametrize("entry", ["login", "kernel", "tools"])
def test_sources_are_those_of_the_package(entry: str) -> None:
    texts = bundle.closure(entry, bundle.source)
    assert all(text == Path(str(bundle.__file__)).with_name(name + ".py").read_text() for name, text in texts.items())
    assert {"login", "conninfo", "errors", "sql"} <= set(bundle.closure("login", bundle.source))


def test_the_same_modules_are_the_same_bytes() -> None:
    again = dict(reversed(list(FILES.items())))
    assert bundle.program("one", FILES, "/usr/bin/python3") == bundle.program("one", again, "/usr/bin/python3")
    assert bundle.program("one", FILES, "/usr/bin/python3") != bundle.program("one", {**FILES, "five": ""}, "/usr/bin/python3")


def test_the_program_runs_by_its_own_name_and_its_result_is_the_exit_code(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(bundle.program("one", bundle.closure("one", FILES.__getitem__), sys.executable))
    path.chmod(0o700)
    done = subprocess.run([path, "a b"], cwd="/", text=True, capture_output=True, env={})
    assert (done.returncode, done.stdout, done.stderr) == (3, "5 ['a b']\n", "")
    assert zipfile.ZipFile(path).testzip() is None


def test_what_a_schedule_runs_needs_python_and_psycopg2_alone() -> None:
    for name, text in bundle.closure("scheduled", bundle.source).items():
        for node in ast.walk(ast.parse(text)):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else (
                [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else [])
            foreign = {module.partition(".")[0] for module in imported} - set(sys.stdlib_module_names) - {"psycopg2"}
            assert not foreign, f"{name} imports {foreign}"
