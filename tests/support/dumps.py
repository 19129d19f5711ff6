# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database that is hard to dump, all that a dump of it must bring back, and what ``pg_dump`` and ``pg_restore`` need for it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support.postgres import Server, bindir, server_user

#: A database with everything that texts and tables of contents could trip over.
CONTENT = r"""
CREATE SCHEMA "odd s"; CREATE SCHEMA "odd"; COMMENT ON SCHEMA "odd s" IS 'it''s odd';
CREATE TYPE mood AS ENUM ('a', 'b');
CREATE TABLE "odd s"."Or""der.*" (id serial PRIMARY KEY, "Größe" text COLLATE "C" CHECK ("Größe" <> 'x'), m mood DEFAULT 'a',
  b bytea, j jsonb, f float8, a int[], at timestamptz DEFAULT '2026-11-22 19:00:00.123456+00');
INSERT INTO "odd s"."Or""der.*" ("Größe", b, j, f, a)
  SELECT 'Zeile ' || g || E'\n\t\\.', sha256(g::text::bytea), '{"k": [1, null]}', 1.0 / g, ARRAY[g, NULL]
  FROM generate_series(1, 999) g;
CREATE INDEX "an index" ON "odd s"."Or""der.*" (f) WHERE id > 7;
COMMENT ON COLUMN "odd s"."Or""der.*".f IS 'c';
CREATE TABLE odd."s Or""der.*" (a int); INSERT INTO odd."s Or""der.*" VALUES (1);
CREATE TABLE texts (line text);
INSERT INTO texts VALUES ('BEGIN;'), ('COMMIT;'), ('CREATE ROLE postgres;'), (E'\\connect template1'), ('\.'), (''), (NULL),
  ('-- PostgreSQL database dump complete'), ('-- Data for Name: 1; Type: BLOBS; Schema: -; Owner: x'), ('BEGIN;'), (E'\r\n'),
  (E'\\N');
CREATE TABLE customer (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE NOT NULL);
INSERT INTO customer (name) VALUES ('Ada'), ('Bob');
CREATE TABLE visit (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer);
INSERT INTO visit VALUES (1, 1), (2, 2), (3, 2);
CREATE TABLE part (id int, k int, PRIMARY KEY (id, k)) PARTITION BY RANGE (k);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE "odd s"."part 2" PARTITION OF part FOR VALUES FROM (10) TO (20);
INSERT INTO part SELECT g, g FROM generate_series(0, 19) g;
CREATE SEQUENCE lonely START 5; SELECT nextval('lonely'); SELECT nextval('lonely');
CREATE VIEW seen AS SELECT c.name, count(*) FROM customer c JOIN visit v ON v.customer = c.id GROUP BY 1;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM seen;
CREATE FUNCTION tells() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN /*
COMMIT;
BEGIN;
*/ RETURN new; END $$;
CREATE TRIGGER t BEFORE UPDATE ON visit FOR EACH ROW EXECUTE FUNCTION tells();
ALTER TABLE visit ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON visit USING (true);
GRANT SELECT ON visit TO PUBLIC;
SELECT lo_from_bytea(4711, '\x0001ff'), lo_from_bytea(4712, 'zwei');
COMMENT ON LARGE OBJECT 4711 IS 'lo';
"""

_RELATIONS = """
SELECT c.oid::regclass::text, relkind, relrowsecurity,
  (SELECT string_agg(grantee::regrole::text || privilege_type, ' ' ORDER BY 1) FROM aclexplode(relacl)
   WHERE privilege_type <> 'MAINTAIN'),
  (SELECT string_agg(concat(attname, format_type(atttypid, atttypmod), pg_get_expr(adbin, adrelid), attnotnull), ''
                     ORDER BY attnum)
   FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
   WHERE attrelid = c.oid AND attnum > 0)
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND relkind <> 't' ORDER BY 1"""
_DEFINITIONS = ("SELECT indexdef FROM pg_indexes WHERE schemaname !~ '^pg_' ORDER BY 1",
                "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid >= 16384"
                " ORDER BY 1, 2",
                "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
                "SELECT tablename, policyname FROM pg_policies ORDER BY 1",
                "SELECT description FROM pg_description WHERE objoid >= 16384 OR classoid = 2613 ORDER BY 1",
                "SELECT oid, encode(lo_get(oid), 'hex') FROM pg_largeobject_metadata ORDER BY 1")


def fingerprint(server: Server, database: str, *schemas: str) -> dict[str, Any]:
    """Everything in a database by what it is, rows as a hash; of some schemas, or of all with what is in none."""
    found: dict[str, Any] = {}
    for name, *shape in server.sql("SET search_path TO ''; " + _RELATIONS, database):
        found[name] = shape
        if shape[0] in ("r", "m", "S", "p"):
            what = "last_value, is_called" if shape[0] == "S" else "*"
            rows = "count(*), md5(string_agg(x::text, '|' ORDER BY x::text COLLATE \"C\"))"
            found[name] += server.sql(f"SELECT {rows} FROM (SELECT {what} FROM {name}) x", database)
    if schemas:
        return {name: value for name, value in found.items() if name.startswith(schemas)}
    return {**found, **{text: server.sql("SET search_path TO ''; " + text, database) for text in _DEFINITIONS}}


def filled(server: Server, database: str) -> dict[str, Any]:
    """Make the database anew and return its fingerprint."""
    server.sql(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
    server.sql(f"CREATE DATABASE \"{database}\" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'")
    server.sql(CONTENT, database)
    return fingerprint(server, database)


@contextlib.contextmanager
def holding(server: Server, database: str) -> Iterator[Server]:
    """A server that has the database for the length of the block."""
    filled(server, database)
    try:
        yield server
    finally:
        server.sql(f'DROP DATABASE "{database}" WITH (FORCE)')


@contextlib.contextmanager
def writable() -> Iterator[Path]:
    """A directory that the server's account may write, removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="dumps-"))
    if (user := server_user()) is not None:
        shutil.chown(home, user)
    try:
        yield home
    finally:
        shutil.rmtree(home)


def wrapped(server: Server, place: Path, scripts: Mapping[str, str]) -> Path:
    """A directory with the programs, some of which are scripts, in which ``{real}`` stands for the program itself."""
    programs = place / "programs"
    programs.mkdir(mode=0o755)
    real = bindir(server.major)
    assert real is not None
    for name in ("pg_dump", "pg_dumpall", "pg_restore", "psql"):
        text = scripts.get(name, 'exec {real} "$@"')
        (programs / name).write_text("#!/bin/sh\n" + text.replace("{real}", str(real / name)) + "\n")
        (programs / name).chmod(0o755)
    return programs


@contextlib.contextmanager
def known_by_password(server: Server, place: Path) -> Iterator[dict[str, str]]:
    """The conninfo of a superuser who has to give the password ``geheim:\\7``, which stands in a passfile."""
    server.sql("CREATE ROLE test_known SUPERUSER LOGIN PASSWORD 'geheim:\\7'", options="-c log_statement=none")
    passfile = place / "passfile"
    passfile.write_text("*:*:*:*:geheim\\:\\\\7\n")
    passfile.chmod(0o600)
    shutil.chown(passfile, server.data.stat().st_uid)
    try:
        yield {"host": "127.0.0.1", "port": str(server.port), "user": "test_known", "passfile": str(passfile)}
    finally:
        server.sql("DROP ROLE test_known")


def options(server: Server, **keywords: Any) -> dict[str, Any]:
    """The options that both modules need: the programs, their account, and the server over its socket."""
    return {"bindir": str(bindir(server.major)), "user": server_user() or "", "timeout": 20,
            "conninfo": {"host": str(server.home), "port": str(server.port), "user": "postgres"}, **keywords}
