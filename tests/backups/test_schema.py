"""Tables that are made at once are those that all migrations make one after the other."""

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
FIRST_ROWS = """
SELECT slug, name, rank, is_default, composition.count, generation.count, head.count,
    permission.count, first.count
FROM registry_environment,
    (SELECT count(*) AS count FROM registry_composition) AS composition,
    (SELECT count(*) AS count FROM access_accessgeneration) AS generation,
    (SELECT count(*) AS count FROM audit_head) AS head,
    (SELECT count(*) AS count FROM auth_permission) AS permission,
    (SELECT count(*) AS count FROM registry_historicalenvironment) AS first
ORDER BY rank
"""


def schema_of(made):
    """All that the database says of its form, whatever the order it was made in."""
    if made.is_postgres:
        return [set(asked(made, statement)) for statement in (*SHOWN, MIGRATIONS)]
    found = asked(made, "SELECT type, name, tbl_name, sql FROM sqlite_master")
    return [{(*names, _sorted(sql)) for *names, sql in found}, set(asked(made, MIGRATIONS))]


def asked(made, statement):
    """The rows that its database answers."""
    if made.is_postgres:
        with psycopg.connect(made.environment["DATABASE_URL"]) as opened:
            return opened.execute(statement).fetchall()
    with contextlib.closing(sqlite3.connect(made.folder / "configsvc.sqlite3")) as opened:
        return opened.execute(statement).fetchall()


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


def test_first_start_and_restore__leave_what_all_migrations_leave():
    with installation() as made, elsewhere(made) as migrated, elsewhere(made) as restored:
        name = made.manage("backup", "create").stdout.split()[0]
        migrated.manage("migrate", "-v0")
        restored.manage("backup", "restore", name, "--yes")

        schema = schema_of(migrated)
        assert all(schema)
        assert schema_of(made) == schema
        assert schema_of(restored) == schema
        assert asked(made, FIRST_ROWS) == asked(migrated, FIRST_ROWS) != []


MADE_THEN_MIGRATED = """
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from apps.delivery.schema import make_tables

executor = MigrationExecutor(connection)
plan = executor.migration_plan(executor.loader.graph.leaf_nodes(), clean_start=True)
older = plan[: len(plan) * {share} // 100]
make_tables([(each.app_label, each.name) for each, _backwards in older])
call_command("migrate", verbosity=0)
"""


@pytest.mark.servers(database=pytest.long_form)
@pytest.mark.parametrize("share", [30, 50, 70, 90] if pytest.long_form else [70])
def test_make_tables__of_an_older_schema_and_then_migrated__leaves_what_all_migrations_leave(share):
    with installation() as made, elsewhere(made) as other:
        other.manage("shell", "-v0", "-c", MADE_THEN_MIGRATED.format(share=share))

        assert schema_of(other) == schema_of(made)
