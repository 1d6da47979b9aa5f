"""The database's tables: made at once where there are none, and brought up to date where there are."""

from collections.abc import Collection, Sequence

from django.core.management import call_command
from django.core.management.sql import emit_post_migrate_signal
from django.db import connection
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import RunPython
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState, StateApps

from apps.access import generation
from apps.core import appendonly


def bring_up_to_date() -> None:
    """Give the default database this program's schema; nothing happens where it has it.

    An empty one gets in one transaction what all migrations would leave, in a fifth of their time.
    """
    executor = MigrationExecutor(connection)
    if not connection.introspection.table_names():
        with connection.schema_editor() as editor:
            state = _create_models(editor, executor.loader.graph.nodes)
            _add_first_rows(state.apps, editor)
            finish_tables()
        emit_post_migrate_signal(verbosity=0, interactive=False, db=connection.alias)
    elif executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", verbosity=0, interactive=False)


def make_tables(applied: Sequence[Sequence[str]]) -> None:
    """Make in an empty database the tables that those migrations, ``(app, name)``, leave.

    The rows that migrations add are left out.
    """
    known = MigrationExecutor(connection).loader.graph.nodes.keys()
    there = known & {(app, name) for app, name in applied}
    with connection.schema_editor() as editor:
        _create_models(editor, there)
    finish_tables(there)


def _create_models(
    editor: BaseDatabaseSchemaEditor, there: Collection[tuple[str, str]]
) -> ProjectState:
    """Make the tables of the state that those migrations describe; gives that state."""
    state = MigrationExecutor(connection).loader.project_state(sorted(there))
    for model in state.apps.get_models():
        if model._meta.can_migrate(connection):  # noqa: SLF001
            editor.create_model(model)
    return state


def _add_first_rows(models: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Do what migrations of ours do beside making tables, with ``models`` as those that there are.

    Each of them may be done again.
    """
    executor = MigrationExecutor(connection)
    leaves = executor.loader.graph.leaf_nodes()
    for migration, _backwards in executor.migration_plan(leaves, clean_start=True):
        if not migration.__module__.startswith("apps."):
            continue
        for operation in migration.operations:
            if isinstance(operation, RunPython):
                operation.code(models, editor)


def finish_tables(applied: Collection[tuple[str, str]] | None = None) -> None:
    """Add what models do not say: the triggers, and which migrations this is; all, where none are given."""
    present = set(connection.introspection.table_names())
    for table in present.intersection(appendonly.append_only_tables()):
        appendonly.create_triggers(connection, table)
    generation.create_triggers(connection)
    executor = MigrationExecutor(connection)
    recorder = executor.recorder
    recorder.ensure_schema()
    recorder.migration_qs.bulk_create(
        recorder.Migration(app=app, name=name)
        for app, name in sorted(applied or executor.loader.graph.nodes)
    )
