"""Write transactions: one at a time on SQLite, ordinary ones on PostgreSQL."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

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
