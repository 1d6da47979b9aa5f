"""Write transactions: one at a time on SQLite, ordinary ones on PostgreSQL."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import connection, transaction
from django.db.models import Model

from apps.engine.errors import NOTHING_HERE, NotFoundError

Row = TypeVar("Row", bound=Model)
_sqlite_writers = threading.Lock()


@contextmanager
def writing() -> Iterator[None]:
    """One transaction that writes.

    SQLite has one writer and an unfair busy loop, so writers of this process queue on a lock
    first; other processes (management commands) meet at SQLite's own lock with its timeout.
    Inside an open transaction it is a savepoint, as ``transaction.atomic`` is.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        with transaction.atomic():
            yield
        return
    with _sqlite_writers, transaction.atomic():
        yield


@contextmanager
def undone() -> Iterator[None]:
    """What is written inside is taken back at the end; what was locked stays so. For trying."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def locked(row: Row) -> Row:
    """The row as committed, locked until the transaction ends: what was read before may be old.

    Raises :class:`NotFoundError` when it is gone, or hidden since.
    """
    found = type(row)._default_manager.select_for_update().filter(pk=row.pk).first()  # noqa: SLF001 - Django's own name
    if found is None or getattr(found, "deleted_at", None) is not None:
        raise NotFoundError(NOTHING_HERE)
    return found


def lock_row(table: str, *columns: str) -> tuple[Any, ...]:
    """Lock the only row of ``table`` until the transaction ends, and read it.

    A bare statement, as every act takes such locks. SQLite has locked everything by then. Raises
    :class:`LookupError` when the row is missing: the database was not migrated.
    """
    quote = connection.ops.quote_name
    suffix = " FOR UPDATE" if connection.features.has_select_for_update else ""
    names = ", ".join(map(quote, columns))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {names} FROM {quote(table)} WHERE id = 1{suffix}")  # noqa: S608 - names of our own
        row: tuple[Any, ...] | None = cursor.fetchone()
    if row is None:
        raise LookupError(f"The row of {table} is missing: run migrate.")
    return row
