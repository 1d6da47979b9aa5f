"""The database's tables: made at once where there are none, and brought up to date where there are."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from django.core.management import call_command
from django.core.management.sql import emit_post_migrate_signal
from django.db import connection
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import Migration, RunPython
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import StateApps

from apps.access import generation
from apps.core import appendonly

STARTS = 0x636F6E66  # the advisory lock's number: the bytes of "conf"


@contextmanager
def one_start_at_a_time() -> Iterator[None]:
    """Wait until no other node prepares this database, and hold others up meanwhile.

    PostgreSQL's advisory lock, which ends with its session; SQLite's server has its data folder
    to itself.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [STARTS])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [STARTS])


def bring_up_to_date() -> None:
    """Give the default database this program's schema; nothing happens where it has it.

    An empty one gets in one transaction what all migrations would leave, in a fifth of their time.
    """
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not connection.introspection.table_names():
        with connection.schema_editor() as editor:
            models = _create_models(editor, executor.loader, executor.loader.graph.nodes)
            _add_first_rows(editor, models, [migration for migration, _backwards in plan])
            finish_tables(executor.loader.graph.nodes)
        emit_post_migrate_signal(verbosity=0, interactive=False, db=connection.alias)
    elif plan:
        call_command("migrate", verbosity=0, interactive=False)


def make_tables(applied: Iterable[Sequence[str]]) -> None:
    """Make in an empty database the tables that those migrations, ``(app, name)``, leave.

    The rows that migrations add are left out.
    """
    loader = MigrationLoader(connection)
    there = loader.graph.nodes.keys() & {(app, name) for app, name in applied}
    with connection.schema_editor() as editor:
        _create_models(editor, loader, there)
    finish_tables(there)


def _create_models(
    editor: BaseDatabaseSchemaEditor, loader: MigrationLoader, there: Iterable[tuple[str, str]]
) -> StateApps:
    """Make the tables of the state that those migrations describe; gives its models."""
    models = loader.project_state(sorted(there)).apps
    for model in models.get_models():
        if model._meta.can_migrate(connection):  # noqa: SLF001
            editor.create_model(model)
    return models


def _add_first_rows(
    editor: BaseDatabaseSchemaEditor, models: StateApps, plan: Iterable[Migration]
) -> None:
    """Do what migrations of ours do beside making tables, with ``models`` as those that there are.

    Each of them may be done again.
    """
    for migration in plan:
        if not migration.__module__.startswith("apps."):
            continue
        for operation in migration.operations:
            if isinstance(operation, RunPython):
                operation.code(models, editor)


def finish_tables(applied: Iterable[tuple[str, str]]) -> None:
    """Add what models do not say: the triggers, and which migrations this is."""
    present = set(connection.introspection.table_names())
    for table in present.intersection(appendonly.append_only_tables()):
        appendonly.create_triggers(connection, table)
    generation.create_triggers(connection)
    recorder = MigrationRecorder(connection)
    recorder.ensure_schema()
    recorder.migration_qs.bulk_create(
        recorder.Migration(app=app, name=name) for app, name in sorted(applied)
    )
