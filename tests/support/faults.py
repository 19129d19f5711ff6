# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong on a host: a run is killed, a disk is full, a byte is another than it was; and whether anything was lost."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import COLLECTIONS

from .postgres import server_user

_PROGRAM = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from tests.support.modules import run_module
print(json.dumps(run_module(sys.argv[2], **json.loads(sys.argv[3]))))
"""


@contextlib.contextmanager
def module_process(name: str, /, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A module that runs in a process group of its own, which is killed at the end of the block if it still is there."""
    paths = [str(COLLECTIONS), str(Path(__file__).parents[2])]
    argv = [sys.executable, "-c", _PROGRAM, json.dumps(paths), name, json.dumps(options)]
    with subprocess.Popen(argv, text=True, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def digests(directory: Path) -> dict[str, str]:
    """A hash of each file below a directory, by its path from there."""
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(directory.rglob("*")) if path.is_file()}


@contextlib.contextmanager
def flipped(path: Path, offset: int = -100) -> Iterator[None]:
    """A file with one bit turned over, for the length of the block; a negative offset counts from its end."""
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[offset] ^= 1
    _overwrite(path, bytes(damaged))
    try:
        yield
    finally:
        _overwrite(path, whole)


def _overwrite(path: Path, content: bytes) -> None:
    """Write into the file that is there, which keeps its owner and mode."""
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()


@contextlib.contextmanager
def missing(path: Path) -> Iterator[None]:
    """A file, or a directory, that is not there for the length of the block."""
    with tempfile.TemporaryDirectory() as aside:
        shutil.move(path, aside)
        try:
            yield
        finally:
            shutil.move(Path(aside) / path.name, path)


@contextlib.contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    """A file system of its own over a directory, for the server's account.

    Args:
        directory: where; what is in it is out of sight meanwhile. It is made if it is missing.
        size: as ``mount`` takes it, such as ``4m``.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    directory.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(directory)], check=True)
    try:
        if (user := server_user()) is not None:
            shutil.chown(directory, user)
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
