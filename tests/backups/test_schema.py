"""The tables of a restored database are those that all migrations make one after the other."""

import contextlib
import re
import sqlite3

import psycopg
import pytest

from tests.backups.elsewhere import elsewhere
from tests.serving import installation

pytestmark = pytest.mark.servers

SHOWN = (
    "SELECT table_name, column_name, udt_name, character_maximum_length, is_nullable, "
    "column_default, is_identity FROM information_schema.columns WHERE table_schema = 'public'",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace",
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), tgenabled FROM pg_trigger "
    "WHERE NOT tgisinternal",
    "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "SELECT sequencename, data_type::text, increment_by FROM pg_sequences",
)
MIGRATIONS = "SELECT app, name FROM django_migrations"


def schema_of(made):
    """All that the database says of its form, whatever the order it was made in."""
    if made.is_postgres:
        with psycopg.connect(made.environment["DATABASE_URL"]) as opened:
            return [set(opened.execute(asked)) for asked in (*SHOWN, MIGRATIONS)]
    with contextlib.closing(sqlite3.connect(made.folder / "configsvc.sqlite3")) as opened:
        found = opened.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        return [{(*names, _sorted(sql)) for *names, sql in found}, set(opened.execute(MIGRATIONS))]


def _sorted(sql):
    """The parts of a table's definition; a column that was added later stands behind others."""
    if sql is None or not sql.startswith("CREATE TABLE"):
        return sql
    parts, depth = [""], 0
    for token in re.split(r"([(),])", sql[sql.index("(") + 1 : sql.rindex(")")]):
        depth += (token == "(") - (token == ")")
        if token == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += token
    return tuple(sorted(part.strip() for part in parts))


def test_restore__of_this_programs_schema__leaves_what_all_migrations_leave():
    with installation() as made:
        name = made.manage("backup", "create").stdout.split()[0]
        migrated = schema_of(made)
        with elsewhere(made) as other:
            other.manage("backup", "restore", name, "--yes")
            restored = schema_of(other)

    assert all(migrated)
    assert restored == migrated


MADE_THEN_MIGRATED = """
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from apps.backups.schema import make_tables

executor = MigrationExecutor(connection)
plan = executor.migration_plan(executor.loader.graph.leaf_nodes(), clean_start=True)
older = plan[: len(plan) * {share} // 100]
make_tables([(each.app_label, each.name) for each, _backwards in older])
call_command("migrate", verbosity=0)
"""


@pytest.mark.parametrize("share", [30, 50, 70, 90] if pytest.long_form else [70])
def test_make_tables__of_an_older_schema_and_then_migrated__leaves_what_all_migrations_leave(share):
    with installation() as made, elsewhere(made) as other:
        other.manage("shell", "-v0", "-c", MADE_THEN_MIGRATED.format(share=share))

        assert schema_of(other) == schema_of(made)
