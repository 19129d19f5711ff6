# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a long task is: told by a module in a file, which the action plugin on the controller looks at while the module runs.

A module that tells its progress has the hidden option ``_progress_file``. The action plugin ``plugin_utils/_pg/here.py`` gives it
to such a module, a name in ``/tmp`` that nobody can guess, and shows what is in the file. Without it nothing is asked or written.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional

from .errors import PgError

#: The hidden option of a module that tells its progress.
OPTION = "_progress_file"
SPEC: Dict[str, Any] = {OPTION: {"type": "path", "default": ""}}


class Progress(NamedTuple):
    """How far something is.

    Attributes:
        doing: what is done at the moment, as PostgreSQL calls it.
        done: bytes; None when it is not known.
        total: bytes, as estimated; None when it is not known.
    """

    doing: str
    done: Optional[int]
    total: Optional[int]


@contextmanager
def watch(gauge: Any, path: str) -> Iterator[Optional[Callable[[], None]]]:
    """Give a function that writes down how far something is each time it is called; None when nobody watches.

    What goes wrong with it is nobody's concern: it is not tried again.

    Args:
        gauge: called, it returns a ``Progress`` or None; ``close`` ends it.
        path: the file, removed at the end; ``""`` when nobody watches.
    """
    if not path:
        yield None
        return
    gauges = [gauge]

    def look() -> None:
        try:
            found = gauges[0]() if gauges else None
            if found is not None:
                _tell(path, found)
        except (PgError, OSError):
            gauges.clear()

    try:
        yield look
    finally:
        gauge.close()
        with suppress(OSError):
            os.remove(path)


@contextmanager
def during(path: str, doing: str) -> Iterator[None]:
    """Tell what is done meanwhile, where no one knows how far it is.

    Args:
        path: the file, removed at the end; ``""`` when nobody watches.
        doing: what is done.
    """
    with suppress(OSError):
        if path:
            _tell(path, Progress(doing, None, None))
    try:
        yield
    finally:
        with suppress(OSError):
            os.remove(path)


def _tell(path: str, found: Progress) -> None:
    """Write the file whole; it is new under a name of its own first, so that no link of another account is followed."""
    text = json.dumps(found._asdict())
    draft = path + ".new"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    os.rename(draft, path)
