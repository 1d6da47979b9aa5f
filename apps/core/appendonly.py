"""Tables that only grow: a queryset that refuses, and a database trigger as the net below it."""

from typing import Any, ClassVar, NoReturn, TypeVar

from django.apps import apps
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.operations.base import Operation

ModelT = TypeVar("ModelT", bound=models.Model)


class AppendOnlyError(Exception):
    """Something tried to change or delete a row that is kept for ever: a fault in the program."""


def _refuse(name: str) -> NoReturn:
    raise AppendOnlyError(f"{name} rows are append-only.")


class AppendOnlyQuerySet(models.QuerySet[ModelT]):
    """A queryset whose ``update`` and ``delete`` raise :class:`AppendOnlyError`."""

    def update(self, **_kwargs: Any) -> int:
        """Raise: rows never change."""
        _refuse(self.model.__name__)

    def delete(self) -> tuple[int, dict[str, int]]:
        """Raise: rows never go."""
        _refuse(self.model.__name__)


class AppendOnlyModel(models.Model):
    """Base of the tables that the database itself keeps from changing."""

    change_recorded_in: ClassVar[str] = ""
    change_allowed: ClassVar[str] = ""
    """The table that records changes, and an SQL condition on it, ``OLD`` and ``NEW`` under which
    the triggers let an update through.
    """

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert. Raises :class:`AppendOnlyError` when the row exists already."""
        if not self._state.adding:
            _refuse(type(self).__name__)
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> tuple[int, dict[str, int]]:
        """Raise: rows never go."""
        _refuse(type(self).__name__)


def append_only_tables() -> list[str]:
    """The tables of every append-only model, sorted."""
    models_ = (model for model in apps.get_models() if issubclass(model, AppendOnlyModel))
    return sorted(model._meta.db_table for model in models_)  # noqa: SLF001


def _trigger_names(vendor: str, table: str) -> list[str]:
    kinds = ("update", "delete") if vendor == "sqlite" else ("update", "delete", "truncate")
    return [f"{table}_no_{kind}" for kind in kinds]


def _allowed(connection: BaseDatabaseWrapper, table: str) -> str:
    """The condition under which a row of ``table`` may change; empty: never, or not yet."""
    for model in apps.get_models():
        if issubclass(model, AppendOnlyModel) and model._meta.db_table == table:  # noqa: SLF001
            present = connection.introspection.table_names()
            return model.change_allowed if model.change_recorded_in in present else ""
    return ""


def create_triggers(connection: BaseDatabaseWrapper, table: str) -> None:
    """Make the triggers of ``table`` afresh; harmless when they exist."""
    drop_triggers(connection, table)
    condition = _allowed(connection, table)
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            for kind in ("update", "delete"):
                when = f"WHEN NOT ({condition}) " if condition and kind == "update" else ""
                cursor.execute(
                    f'CREATE TRIGGER "{table}_no_{kind}" BEFORE {kind.upper()} ON "{table}" {when}'
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
            return
        refuse = "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;"
        cursor.execute(
            "CREATE OR REPLACE FUNCTION configsvc_append_only() RETURNS trigger AS $$ "
            f"BEGIN {refuse} END $$ LANGUAGE plpgsql"
        )
        if condition:
            cursor.execute(
                f'CREATE OR REPLACE FUNCTION "{table}_change" () RETURNS trigger AS $$ '
                f"BEGIN IF {condition} THEN RETURN NEW; END IF; {refuse} END $$ LANGUAGE plpgsql"
            )
        for kind in ("update", "delete", "truncate"):
            each = "STATEMENT" if kind == "truncate" else "ROW"
            conditional = condition and kind == "update"
            function = f'"{table}_change"' if conditional else "configsvc_append_only"
            cursor.execute(
                f'CREATE TRIGGER "{table}_no_{kind}" BEFORE {kind.upper()} ON "{table}" '
                f"FOR EACH {each} EXECUTE FUNCTION {function}()"
            )


def drop_triggers(connection: BaseDatabaseWrapper, table: str) -> None:
    """Remove the triggers of ``table``: for a migration backwards, and for tests that flush."""
    on = "" if connection.vendor == "sqlite" else f' ON "{table}"'
    with connection.cursor() as cursor:
        for name in _trigger_names(connection.vendor, table):
            cursor.execute(f'DROP TRIGGER IF EXISTS "{name}"{on}')


def list_missing_triggers(connection: BaseDatabaseWrapper) -> list[str]:
    """The triggers that should be in the database and are not (or are disabled), sorted."""
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        if connection.vendor == "sqlite"
        else "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled IN ('O', 'A')"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        present = {row[0] for row in cursor.fetchall()}
    wanted = (
        name for table in append_only_tables() for name in _trigger_names(connection.vendor, table)
    )
    return [name for name in wanted if name not in present]


class AppendOnly(Operation):
    """Migration operation: put the triggers on the table of one model."""

    reversible = True
    reduces_to_sql = False

    def __init__(self, model: str) -> None:
        self.model = model

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Change nothing in the model state: triggers live in the database alone."""

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        """Create the triggers."""
        table = to_state.apps.get_model(app_label, self.model)._meta.db_table  # noqa: SLF001
        create_triggers(schema_editor.connection, table)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        """Drop them."""
        table = from_state.apps.get_model(app_label, self.model)._meta.db_table  # noqa: SLF001
        drop_triggers(schema_editor.connection, table)

    def describe(self) -> str:
        """One line for ``migrate``'s output."""
        return f"Make {self.model} append-only"
