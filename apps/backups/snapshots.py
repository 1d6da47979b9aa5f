"""Reading a whole database as of one moment, while others write."""

import contextlib
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol

from django.db import connection

from apps.backups.tables import Table
from apps.core.transactions import writing

ROWS: Final = 2_000


class Snapshot(Protocol):
    """A database as of one moment. ``vendor`` is Django's name of its kind."""

    vendor: str

    def rows(self, table: Table, after: int = 0) -> Iterator[Sequence[Any]]:
        """The rows by their key; on SQLite those whose row number is above ``after``."""

    def all(self, statement: str) -> list[Any]:
        """What a statement of ours gives."""


@contextlib.contextmanager
def snapshot(folder: Path) -> Iterator[Snapshot]:
    """The database as of now. On SQLite a copy of the file, made in ``folder`` and deleted after."""
    if connection.vendor == "sqlite":
        with TemporaryDirectory(dir=folder, prefix=".copy-") as place:
            copy = Path(place) / "copy.sqlite3"
            copy_database(copy)
            with contextlib.closing(open_database(copy)) as opened:
                yield SqliteSnapshot(opened)
    else:
        with _postgres() as snapshot_:
            yield snapshot_


def copy_database(copy: Path) -> None:
    """Copy the SQLite database in one step, while writers wait. Readers go on.

    With a rollback journal all that is committed is in the file itself, so while we hold the writers'
    lock it is copied as it is, three times as fast as by SQLite's backup interface, which is left for
    a write-ahead log. In steps that one begins anew whenever somebody has written: beside a busy
    writer it never ends.
    """
    path = Path(str(connection.settings_dict["NAME"]))
    with writing():
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode")
            [mode] = cursor.fetchone()
        program = shutil.which("cp")
        if mode != "wal" and program:
            # in a process of its own: whoever closes the file gives up its process's locks on it
            done = subprocess.run(  # noqa: S603 - our own paths
                [program, "--reflink=auto", path, copy], check=False, capture_output=True, text=True
            )
            if done.returncode:
                raise OSError(done.stderr.strip().splitlines()[-1] or "cp failed")
            return
        with (
            contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            target.execute("PRAGMA synchronous=OFF")  # made anew if it is lost
            source.backup(target, pages=-1)


def open_database(path: Path) -> sqlite3.Connection:
    """A copy, to be read."""
    return sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)


class SqliteSnapshot:
    """See :class:`Snapshot`."""

    vendor = "sqlite"

    def __init__(self, opened: sqlite3.Connection) -> None:
        self._opened = opened

    def rows(self, table: Table, after: int = 0) -> Iterator[Sequence[Any]]:
        """See :class:`Snapshot`."""
        names = ", ".join(f'"{name}"' for name in table.names)
        statement = f'SELECT {names} FROM "{table.name}"'  # noqa: S608 - names of our own
        if after:
            statement += f" WHERE rowid > {int(after)}"
        cursor = self._opened.execute(f'{statement} ORDER BY "{table.key}"')
        while batch := cursor.fetchmany(ROWS):
            yield from batch

    def all(self, statement: str) -> list[Any]:
        """See :class:`Snapshot`."""
        return self._opened.execute(statement).fetchall()


class PostgresSnapshot:
    """See :class:`Snapshot`: a transaction of isolation level REPEATABLE READ."""

    vendor = "postgresql"

    def __init__(self, opened: Any) -> None:
        self._opened = opened

    def rows(self, table: Table, after: int = 0) -> Iterator[Sequence[Any]]:
        """See :class:`Snapshot`."""
        assert not after, "Segments are for SQLite."  # noqa: S101 - asked by its vendor
        names = ", ".join(f'"{name}"' for name in table.names)
        with self._opened.cursor("rows") as cursor:
            cursor.itersize = ROWS
            cursor.execute(f'SELECT {names} FROM "{table.name}" ORDER BY "{table.key}"')  # noqa: S608 - names of our own
            yield from cursor

    def all(self, statement: str) -> list[Any]:
        """See :class:`Snapshot`."""
        with self._opened.cursor() as cursor:
            return list(cursor.execute(statement).fetchall())


@contextlib.contextmanager
def _postgres() -> Iterator[PostgresSnapshot]:
    import psycopg

    parameters = connection.get_connection_params()
    for name in ("pool", "context", "cursor_factory", "prepare_threshold"):
        parameters.pop(name, None)
    with psycopg.connect(**parameters) as opened:
        opened.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        opened.read_only = True
        yield PostgresSnapshot(opened)
