# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a task is, shown while its module runs: what the module writes into a file, read beside it; see ``module_utils``' twin.

The module runs as any other. A thread of the worker looks into the file from time to time, over a copy of the task's connection
where the file is on another host. A task that ends within the first seconds costs no look, and one whose file cannot be read is
not looked at again.
"""

from __future__ import annotations

import contextlib
import copy
import json
import shlex
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.utils.display import Display

#: Seconds from the start of a task to the first look, and from one to the next.
FIRST_LOOK = 3.0
NEXT_LOOK = 5.0

#: Seconds that a look under way when the task ends may go on.
_LAST_LOOK = 2.0


def new_file() -> str:
    """Return the path of a file that nobody can guess, for one task."""
    return f"/tmp/pgmahout-{uuid.uuid4().hex}.json"  # noqa: S108 - the module makes it, with O_EXCL


def here(path: str) -> Callable[[], str]:
    """Return what reads a file of this host; it is empty where there is none."""
    file = Path(path)
    return lambda: file.read_text() if file.exists() else ""


def there(action: Any, path: str) -> Callable[[], str]:
    """Return what reads a file of the host that an action plugin works on.

    Args:
        action: the plugin. Its connection and its way to become another account are copied, since they have states of their own.
        path: the file.
    """
    beside = copy.copy(action)
    beside._connection = copy.copy(action._connection)
    beside._connection.become = copy.copy(action._connection.become)

    def read() -> str:
        found: str = beside._low_level_execute_command(f"cat {shlex.quote(path)} 2> /dev/null || true")["stdout"]
        return found

    return read


@contextlib.contextmanager
def shown(read: Callable[[], str], title: str) -> Iterator[None]:
    """Show how far a task is for as long as this context lives.

    Args:
        read: gives what the module wrote last, ``""`` when it wrote nothing.
        title: of the lines.
    """
    ended = threading.Event()
    watcher = threading.Thread(target=_show, args=(read, title, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join(_LAST_LOOK)


def _show(read: Callable[[], str], title: str, ended: threading.Event) -> None:
    last, pause = "", FIRST_LOOK
    while not ended.wait(pause):
        try:
            text = read()
            line = sentence(json.loads(text)) if text else last
        except Exception as error:  # what goes wrong with a look must not touch the task
            Display().debug(f"no progress of {title}: {error}")
            return
        if line != last and not ended.is_set():
            Display().display(f"{title}: {line}")
        last, pause = line, NEXT_LOOK


def sentence(found: Mapping[str, Any]) -> str:
    """Return what people are shown of a module's progress, such as ``streaming database files, 412 MB of 2.1 GB (20 %)``."""
    doing, done, total = found["doing"], found["done"], found["total"]
    if done is None:
        return str(doing)
    if not total:
        return f"{doing}, {size(done)}"
    # The total is an estimate, made when the backup began.
    return f"{doing}, {size(done)} of {size(max(done, total))} ({100 * done // max(done, total)} %)"


def size(count: int) -> str:
    """Return a number of bytes in the unit that people would use, decimal as of disks."""
    units = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
    unit = next((name for name, bytes_ in units.items() if count < 999.5 * bytes_), "TB")
    number = count / units[unit]
    return f"{number:.1f} {unit}" if number < 9.95 and unit != "kB" else f"{number:.0f} {unit}"
