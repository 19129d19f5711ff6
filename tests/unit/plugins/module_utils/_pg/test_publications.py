# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publications as pure values: options, plans, and the query for old servers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import publication_query, publications
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.publication_query import Table
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.publications import (
    Current,
    Found,
    Lack,
    Publication,
)
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.sql import split_name

OPTIONS = dict.fromkeys(["all_tables", "tables", "schemas", "publish", "publish_via_partition_root",
                         "publish_generated_columns", "owner", "comment", "readers"])
TABLE = Table("public", "t")


def wanted(**options: Any) -> publications.Wanted:
    return publications.desired({"name": "p", "state": "present", "login_planned": False, **OPTIONS, **options})


def current(publication: Publication | None = None, **changes: Any) -> Current:
    tables = {("public", name): Found("r", "p", ()) for name in ("t", "u")}
    return Current(publication, "me", False, tables, ("s",), {"me": True, "app": False}, ())._replace(**changes)


def texts(now: Current, **options: Any) -> list[str]:
    return [step.text for step in publications.plan(now, wanted(**options)).steps]


def test_the_order_in_which_things_are_named_is_no_difference() -> None:
    one = wanted(tables=[{"name": "u"}, {"name": "t", "columns": ["b", "a"]}], schemas=None, publish=["delete", "insert"])
    other = wanted(tables=[{"name": "public.t", "columns": ["a", "b"]}, {"name": "u"}], publish=["insert", "delete"])
    assert one == other
    assert wanted(schemas=["b", "a", "b"]) == wanted(schemas=["a", "b"])


def test_a_publication_that_is_right_needs_nothing() -> None:
    now = Publication(tables=(TABLE,), owner="app", comment="c")
    plan = publications.plan(current(now), wanted(tables=[{"name": "t"}], owner="app", comment="c"))
    assert not plan.steps
    assert plan.before == plan.after


def test_only_what_differs_from_the_server_s_defaults_is_said() -> None:
    assert texts(current(), tables=[{"name": "t"}], publish=["insert", "update", "delete", "truncate"],
                 publish_via_partition_root=False, publish_generated_columns="none", comment="", owner="me"
                 ) == ['CREATE PUBLICATION "p" FOR TABLE ONLY "public"."t"']


def test_a_root_with_a_filter_is_published_before_it_is_filtered_and_the_other_way_round() -> None:
    plain, root = Publication(tables=(TABLE,), owner="me"), Publication(
        tables=(TABLE._replace(where="a"),), publish_via_partition_root=True, owner="me")
    settings = 'ALTER PUBLICATION "p" SET (publish_via_partition_root = %s)'
    assert texts(current(plain), tables=[{"name": "t", "where": "a"}], publish_via_partition_root=True) == [
        settings % "true", 'ALTER PUBLICATION "p" SET TABLE ONLY "public"."t" WHERE (a)']
    assert texts(current(root), tables=[{"name": "t"}], publish_via_partition_root=False) == [
        'ALTER PUBLICATION "p" SET TABLE ONLY "public"."t"', settings % "false"]


def test_to_and_from_all_tables_everything_else_is_kept() -> None:
    now = Publication(tables=(TABLE,), publish=("insert",), owner="app", comment="c", publish_generated_columns="stored")
    plan = publications.plan(current(now), wanted(all_tables=True))
    assert [step.text for step in plan.steps] == [
        'DROP PUBLICATION "p"', "CREATE PUBLICATION \"p\" FOR ALL TABLES WITH (publish = 'insert',"
        " publish_generated_columns = stored)", "COMMENT ON PUBLICATION \"p\" IS 'c'"]
    assert plan.before["owner"] == "app"
    assert plan.after["owner"] == "me"
    assert plan.warnings[0].endswith("It then belongs to 'me', since 'app' is no superuser.")
    back = publications.plan(current(now._replace(all_tables=True, tables=(), owner="root")), wanted(tables=[{"name": "t"}]))
    assert [step.text for step in back.steps][-1] == 'ALTER PUBLICATION "p" OWNER TO "root"'


def test_a_standby_is_named_when_there_is_something_to_change_only() -> None:
    with pytest.raises(StateError, match="this server is a standby; log in to its primary"):
        publications.plan(current(is_standby=True), wanted(all_tables=True))
    now = Publication(all_tables=True, owner="me")
    assert not publications.plan(current(now, is_standby=True), wanted(all_tables=True)).steps


def test_grants_are_one_statement_for_schemas_and_one_for_whole_tables() -> None:
    lacks = [Lack("r", "s", "", ()), Lack("r", "s", "a", ()), Lack("r", "s", "b", ("x", "y")), Lack("r", "z", "", ()),
             Lack("r", "z", "c", ())]
    assert texts(current(Publication(all_tables=True, owner="me"), lacks=lacks, superusers={"r": False}),
                 all_tables=True, readers=["r"]) == [
        'GRANT USAGE ON SCHEMA "s", "z" TO "r"', 'GRANT SELECT ON TABLE "s"."a", "z"."c" TO "r"',
        'GRANT SELECT ("x", "y") ON TABLE "s"."b" TO "r"']


@pytest.mark.parametrize(("options", "version"), [
    ({"schemas": ["s"]}, 14), ({"tables": [{"name": "t", "columns": ["a"]}]}, 13),
    ({"tables": [{"name": "t", "where": "a"}]}, 14), ({"all_tables": True, "publish_generated_columns": "stored"}, 17),
])
def test_an_option_that_the_server_does_not_have_is_refused_with_both_versions(options: Any, version: int) -> None:
    class OldServer:
        version_num = version * 10000 + 5

    with pytest.raises(InputError, match="needs PostgreSQL 1[58] or newer and this server is version %d" % version):
        publications.read(OldServer(), wanted(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("version_num", [130000, 140000, 150000, 170000, 180000])
def test_a_server_is_not_asked_for_columns_that_its_catalog_does_not_have(version_num: int) -> None:
    text = publication_query.query("p", wanted(tables=[{"name": "t"}]).asked, ["r"], version_num)
    for column in ("prqual", "prattrs", "pg_publication_namespace"):
        assert (column in text) == (version_num >= 150000)
    assert ("p.pubgencols" in text) == (version_num >= 180000)


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=15)


@given(NAMES, NAMES)
def test_a_table_s_name_in_a_diff_is_the_name_that_the_option_takes(schema: str, name: str) -> None:
    assert split_name(publications.shown_name(schema, name)) == (schema, name)
