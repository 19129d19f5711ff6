# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules of this package as a program of its own: one file that a host's Python runs without Ansible (module ``zipapp``).

Pure, but for ``source``, which reads the package wherever it was loaded from, also from inside the archive by which Ansible
brings a module to a host.
"""

from __future__ import annotations

import ast
import io
import pkgutil
import zipfile
from typing import Callable, Dict, List, Mapping

#: The package that the modules form inside the program.
PACKAGE = "pgmahout"

_MAIN = "import sys\n\nfrom {package} import {entry}\n\nsys.exit({entry}.main(sys.argv[1:]))\n"


def source(name: str) -> str:
    """Return the text of a module of this package."""
    found = pkgutil.get_data(__name__.rpartition(".")[0], name + ".py")
    if found is None:
        raise AssertionError("%s has no source" % name)
    return found.decode("utf-8")


def imports(text: str) -> List[str]:
    """Return the modules of its own package that a module imports, as ``from . import a`` or ``from .a import b``."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names.update([node.module] if node.module else [alias.name for alias in node.names])
    return sorted(names)


def closure(entry: str, source_of: Callable[[str], str]) -> Dict[str, str]:
    """Return the texts of a module and of all that it needs of its package, by their names.

    Args:
        entry: the module to begin with.
        source_of: from the name of a module to its text.
    """
    texts: Dict[str, str] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name not in texts:
            texts[name] = source_of(name)
            waiting += imports(texts[name])
    return texts


def program(entry: str, texts: Mapping[str, str], interpreter: str) -> bytes:
    """Return a program that calls ``main(arguments)`` of one of the modules; the same bytes for the same values.

    Args:
        entry: that module, whose result is the exit code.
        texts: the modules by their names.
        interpreter: the Python to run it by, for who calls the file by its own name.
    """
    files = {"__main__.py": _MAIN.format(package=PACKAGE, entry=entry), PACKAGE + "/__init__.py": ""}
    files.update(("%s/%s.py" % (PACKAGE, name), text) for name, text in texts.items())
    packed = io.BytesIO()
    packed.write(("#!%s\n" % interpreter).encode("utf-8"))
    # Without times, and not compressed, so that neither a later run nor a newer zlib makes another program.
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name])
    return packed.getvalue()
