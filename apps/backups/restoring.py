"""Making a database from archives: all of it is checked first, then all of it is there, or nothing.

Tables are made as they were when the archive was, filled, compared with the
archive row by row, and only then brought to this program's form.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

from django.conf import settings
from django.db import connection, connections, transaction
from django.db.migrations.loader import MigrationLoader

from apps.access.holds import hold_rights
from apps.audit.epochs import renew
from apps.backups.reading import (
    Header,
    LedgerCheck,
    TableHead,
    name_of,
    read_archive,
    read_archive_header,
    require_chain,
)
from apps.backups.tables import Table, dumped, loaded
from apps.backups.writing import Digest, Progress, silent
from apps.core.transactions import writing
from apps.delivery.schema import bring_up_to_date, make_tables
from apps.engine.errors import DomainError, IntegrityError, MalformedError

BATCH: Final = 2_000
MOVES_BY_ITSELF: Final = frozenset({"access_accessgeneration"})
"""Tables that triggers change while others are filled."""
Opened = Callable[[], IO[bytes]]


@dataclass(slots=True)
class Checked:
    """A chain of archives that is whole: each opened anew, its header and its manifest."""

    archives: list[Opened]
    headers: list[Header] = field(default_factory=list)
    manifests: list[dict[str, Any]] = field(default_factory=list)

    @property
    def last(self) -> dict[str, Any]:
        """The manifest of the newest."""
        return self.manifests[-1]


def check_chain(archives: Sequence[Opened], progress: Progress = silent) -> Checked:
    """Read a full archive and its segments, in order, whole.

    Raises :class:`MalformedError` (codes ``foreign``, ``newer``, ``damaged``), :class:`SealedError` or
    :class:`IntegrityError`; nothing has been touched then.
    """
    headers = [_header_of(each) for each in archives]
    require_chain(headers)
    found = Checked(list(archives))
    ledger = LedgerCheck()
    for number, open_archive in enumerate(archives):
        with _naming(headers[number] if headers[1:] else None), open_archive() as file:
            size = os.fstat(file.fileno()).st_size
            read = 0

            def told(count: int, size: int = size) -> None:
                nonlocal read
                read += count
                progress("Checking", read, size)

            header, manifest = read_archive(file, ledger.take, told)
            ledger.require_end(manifest)
        found.headers.append(header)
        found.manifests.append(manifest)
        if number == 0:
            _refuse_newer(manifest)
        elif manifest["migrations"] != found.manifests[0]["migrations"]:
            raise IntegrityError(f"The segment {number} is of other tables.", code="incomplete")
    return found


@contextlib.contextmanager
def _naming(header: Header | None) -> Iterator[None]:
    """Say of which archive of a chain a refusal is."""
    try:
        yield
    except DomainError as error:
        if header is not None:
            error.detail = f"{name_of(header)}: {error.detail}"
        raise


def _header_of(open_archive: Opened) -> Header:
    with open_archive() as file:
        return read_archive_header(file)[0]


def _refuse_newer(manifest: dict[str, Any]) -> None:
    known = set(MigrationLoader(None).graph.nodes)  # whatever the database is
    unknown = [each for each in manifest["migrations"] if tuple(each) not in known]
    if unknown:
        name = ".".join(unknown[0])
        raise MalformedError(
            f"The archive is of a newer configsvc than this one: it does not know {name}.",
            code="newer",
        )


@contextlib.contextmanager
def new_sqlite(path: Path) -> Iterator[None]:
    """Inside, the database is a new SQLite file at ``path``; it is deleted when something fails."""
    before = connections.settings["default"]
    journal = Path(f"{path}-journal")
    for left in (path, journal):  # by one that was killed
        left.unlink(missing_ok=True)
    path.touch(mode=0o600)
    point_at({**before, **_sqlite(path)})
    try:
        yield
        connection.close()
        journal.unlink(missing_ok=True)  # empty: all of it is in the file
    except BaseException:
        connection.close()
        for half in (path, journal):
            half.unlink(missing_ok=True)
        raise
    finally:
        point_at(before)


def _sqlite(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": dict(settings.SQLITE_OPTIONS),
    }


def point_at(chosen: dict[str, Any]) -> None:
    """Let the default connection be to another database from now on."""
    connections["default"].close()
    connections.settings["default"] = chosen
    del connections["default"]


def fill(
    checked: Checked,
    progress: Progress = silent,
    *,
    finish: Callable[[Header, str], None] | None = None,
) -> str:
    """Make the tables in the database as it is, empty, and fill them from the chain.

    ``finish`` gets the archive's header and the new epoch, in the last transaction; without it rights
    are held. Returns the epoch. Raises :class:`IntegrityError` when what came to be is not what the archives hold. The
    caller lets nobody see the database before this has returned.
    """
    progress("Making the tables", 0, 0)
    make_tables(checked.manifests[0]["migrations"])
    filling = _Filling(checked, progress)
    with transaction.atomic():
        filling.run()
    bring_up_to_date()
    with writing():
        epoch = renew()
        if finish is None:
            hold_rights()
        else:
            finish(checked.headers[-1], epoch)
    return epoch


class _Filling:
    """Fills empty tables from a chain of archives."""

    def __init__(self, checked: Checked, progress: Progress) -> None:
        self._checked, self._progress = checked, progress
        self._vendor = connection.vendor
        self._heads: dict[str, TableHead] = {}
        self._digests: dict[str, int] = {}
        self._whole: dict[str, int] = {}
        self._total = sum(sum(each["rows"].values()) for each in checked.manifests)
        self._done = 0

    def run(self) -> None:
        """Fill, restore the sequences, and compare."""
        self._empty()
        self._find_whole()
        for number, open_archive in enumerate(self._checked.archives):
            with open_archive() as file:
                read_archive(file, lambda head, lines, at=number: self._take(at, head, lines))  # type: ignore[misc] # at is bound
        self._restore_sequences()
        self._check_references()
        self._compare()

    def _empty(self) -> None:
        """What migrations put in goes: the archive holds it."""
        with connection.cursor() as cursor:
            tables = connection.introspection.table_names(cursor)
            for name in tables:
                if name != "django_migrations":
                    cursor.execute(f'DELETE FROM "{name}"')  # noqa: S608 - the database's own names

    def _find_whole(self) -> None:
        """In which archive of the chain the last state of a table is that goes whole."""

        for number, open_archive in enumerate(self._checked.archives):

            def note(head: TableHead, lines: Iterator[str], at: int = number) -> None:
                for _line in lines:
                    pass
                if not head.after:
                    self._whole[head.name] = at

            if len(self._checked.archives) > 1:
                with open_archive() as file:
                    read_archive(file, note)

    def _take(self, at: int, head: TableHead, lines: Iterator[str]) -> None:
        wanted = head.after > 0 or self._whole.get(head.name, at) == at
        digest = Digest()
        read = loaded(head.columns, self._vendor)
        rows = (read(line) for line in _counted(lines, digest))
        if not wanted:
            for _row in rows:
                pass
            return
        self._heads[head.name] = head
        while batch := list(islice(rows, BATCH)):
            _insert(head, batch, self._vendor)
            self._done += len(batch)
            self._progress("Filling", self._done, self._total)
        known = self._digests.get(head.name, 0) if head.after else 0
        self._digests[head.name] = (known + int(str(digest), 16)) % 2**256

    def _restore_sequences(self) -> None:
        last = self._checked.last["sequences"]
        present = set(connection.introspection.table_names())
        with connection.cursor() as cursor:
            for table, number in last.items():
                if table not in present:
                    continue
                if self._vendor == "sqlite":
                    cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [table])
                    cursor.execute("INSERT INTO sqlite_sequence VALUES (%s, %s)", [table, number])
                else:
                    key = self._key_of(table)
                    cursor.execute(
                        # 0 in SQLite's: the table has given no key yet
                        "SELECT setval(pg_get_serial_sequence(%s, %s), %s, %s)",
                        [f'"{table}"', key, max(number, 1), number > 0],
                    )

    def _key_of(self, table: str) -> str:
        with connection.cursor() as cursor:
            found = connection.introspection.get_primary_key_column(cursor, table)
        return str(found)

    def _check_references(self) -> None:
        """Every reference leads somewhere: deferred constraints are asked now."""
        if self._vendor == "sqlite":
            connection.check_constraints()
        else:
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    def _compare(self) -> None:
        for name, head in self._heads.items():
            if name in MOVES_BY_ITSELF:
                continue
            digest = Digest()
            dump = dumped(Table(name, "", head.columns))
            names = ", ".join(f'"{each.name}"' for each in head.columns)
            with connection.chunked_cursor() as cursor:
                cursor.execute(f'SELECT {names} FROM "{name}"')  # noqa: S608 - names of the archive
                while batch := cursor.fetchmany(BATCH):
                    for row in batch:
                        digest.add(dump(row))
            if int(str(digest), 16) != self._digests[name]:
                raise IntegrityError(f"What came to be of {name} is not what the archive holds.")
            self._progress("Comparing", 0, 0)


def _counted(lines: Iterator[str], digest: Digest) -> Iterator[str]:
    for line in lines:
        digest.add(line)
        yield line


def _insert(head: TableHead, rows: list[list[Any]], vendor: str) -> None:
    names = ", ".join(f'"{each.name}"' for each in head.columns)
    if vendor == "sqlite":
        marks = ", ".join(["?"] * len(head.columns))
        with connection.cursor() as cursor:
            cursor.cursor.executemany(  # the driver's own: Django rewrites each parameter
                f'INSERT INTO "{head.name}" ({names}) VALUES ({marks})',  # noqa: S608 - names of the archive
                rows,
            )
        return
    with (
        connection.cursor() as cursor,
        cursor.cursor.copy(f'COPY "{head.name}" ({names}) FROM STDIN') as copy,
    ):
        for row in rows:
            copy.write_row(row)
