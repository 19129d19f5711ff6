# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a dump as psql is to read it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import dump_text

LARGE = b"""-- Data for Name: 4711; Type: BLOBS; Schema: -; Owner: postgres
--

BEGIN;

SELECT pg_catalog.lo_open('4711', 131072);
COMMIT;
"""
ROWS = b"COPY public.t (a) FROM stdin;\nBEGIN;\n-- Data for Name: 1; Type: BLOBS; \nCOMMIT;\n\\.\n"


def lines(text: bytes) -> list[bytes]:
    return text.splitlines(keepends=True)


def restored(text: bytes, role: str = "", single: bool = True) -> bytes:
    return b"".join(dump_text.of_database(lines(text), role, single))


def test_all_is_one_transaction_and_ends_only_with_the_text() -> None:
    assert restored(ROWS) == b"BEGIN;\n" + ROWS + b"\nCOMMIT;\n"
    assert restored(ROWS, 'ro"le') == b'BEGIN;\nSET ROLE "ro""le";\n' + ROWS + b"\nCOMMIT;\n"
    assert restored(LARGE + ROWS, single=False) == LARGE + ROWS


def test_the_transactions_of_large_objects_alone_are_left_out() -> None:
    inside = LARGE.replace(b"BEGIN;\n", b"").replace(b"COMMIT;\n", b"")
    assert restored(ROWS + LARGE + ROWS + LARGE) == b"BEGIN;\n" + ROWS + inside + ROWS + inside + b"\nCOMMIT;\n"


def test_a_text_that_stops_is_never_committed() -> None:
    def stopping() -> Iterator[bytes]:
        yield from lines(ROWS)
        raise OSError("damaged")

    text = dump_text.of_database(stopping(), "", True)
    read = [next(text) for _line in [b"BEGIN;\n", *lines(ROWS)]]
    assert b"".join(read) == b"BEGIN;\n" + ROWS
    with pytest.raises(OSError, match="damaged"):
        next(text)


@pytest.mark.parametrize(("line", "role"), [
    (b"CREATE ROLE a;\n", "a"), (b'CREATE ROLE "A ""b""; c";\n', 'A "b"; c'), (b"CREATE ROLE a\n", ""), (b"ALTER ROLE a;\n", "")])
def test_the_role_that_a_line_makes(line: bytes, role: str) -> None:
    assert dump_text.created_role(line) == role


def test_roles_that_are_there_are_not_made_and_rows_are_left_alone() -> None:
    text = lines(b'CREATE ROLE a;\nALTER ROLE a WITH LOGIN;\nCREATE ROLE "B";\n\\connect shop\nCREATE ROLE a;\n')
    assert list(dump_text.of_cluster(text, {"a", "b"})) == text[1:]
