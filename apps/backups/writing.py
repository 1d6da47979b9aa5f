"""Writing an archive of a snapshot.

The stream of an archive is lines: ``{"table", "columns", "after"}`` before the rows of a table (see
``tables``), ``{"end", "rows", "digest"}`` behind them, and at last ``{"manifest"}``. The digest is
that of :class:`Digest`: no order of rows is better than another.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final

from apps.backups.snapshots import Snapshot
from apps.backups.tables import Table, dumped, list_tables
from apps.engine.archives import Writer
from apps.engine.values import Tree, canonical, compact

TELL_EVERY: Final = 5_000

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is, and of how much (0: not known)."""


def silent(_what: str, _done: int, _of: int) -> None:
    """Nobody looks."""


class Digest:
    """Of a set of lines, in whatever order: the sum of their SHA-256, modulo 2**256 (AdHash: Bellare
    and Micciancio, "A new paradigm for collision-free hashing", 1997). What a database gave is held
    against what it should hold; that an archive was not altered is for its seal to say.
    """

    def __init__(self) -> None:
        self._sum = 0
        self.rows = 0

    def add(self, line: str) -> None:
        """Count a line in."""
        self._sum += int.from_bytes(hashlib.sha256(line.encode()).digest(), "big")
        self.rows += 1

    def __str__(self) -> str:
        return f"{self._sum % 2**256:064x}"


@dataclass(slots=True)
class Written:
    """What an archive holds: by table the number of rows, their digest, and on SQLite the last row's
    number, which the next segment goes on from.
    """

    rows: dict[str, int] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    size: int = 0


def read_head(snapshot: Snapshot) -> dict[str, Tree]:
    """Where the ledger ends: epoch, revision, and the last event's hash."""
    [(revision, digest, epoch)] = snapshot.all("SELECT number, hash, epoch FROM audit_head")
    return {"epoch": epoch, "revision": revision, "hash": digest}


def read_migrations(snapshot: Snapshot) -> list[list[str]]:
    """The migrations that made the tables what they are, by app and name."""
    rows = snapshot.all("SELECT app, name FROM django_migrations ORDER BY app, name")
    return [list(row) for row in rows]


def write_archive(
    file: IO[bytes],
    snapshot: Snapshot,
    header: Mapping[str, Tree],
    key: bytes,
    *,
    progress: Progress = silent,
    previous: Written | None = None,
) -> Written:
    """Write all rows, or, after a ``previous`` archive of the same database, those since.

    Tables that grow give their newer rows, others all of theirs, and nothing when they are as they
    were.
    """
    writer = Writer(file, header, key)
    written = Written()
    tables = list_tables()
    told = _Told(progress, 0 if previous else _count(snapshot, tables))
    for table in tables:
        _write_table(writer, snapshot, table, written, previous, told)
    manifest = {
        **read_head(snapshot),
        "migrations": read_migrations(snapshot),
        "sequences": _sequences(snapshot),
        "rows": dict(written.rows),
        "digests": dict(written.digests),
        "last": dict(written.last),
    }
    writer.write(canonical({"manifest": manifest}))
    writer.finish()
    written.size = writer.written
    return written


class _Told:
    """Tells how many rows are written, of how many (0: not counted)."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total = progress, total
        self._done = 0

    def counted(self, lines: Iterator[str]) -> Iterator[str]:
        """The lines, each counted as it goes by."""
        for line in lines:
            if self._done % TELL_EVERY == 0:
                self._progress("Writing", self._done, self._total)
            self._done += 1
            yield line


def _count(snapshot: Snapshot, tables: Sequence[Table]) -> int:
    """All rows there are."""
    statements = (f'SELECT count(*) FROM "{each.name}"' for each in tables)  # noqa: S608 - our own names
    return sum(int(snapshot.all(each)[0][0]) for each in statements)


def _write_table(
    writer: Writer,
    snapshot: Snapshot,
    table: Table,
    written: Written,
    previous: Written | None,
    told: _Told,
) -> None:
    after = previous.last.get(table.name, 0) if previous and table.grows else 0
    lines = told.counted(map(dumped(table), snapshot.rows(table, after)))
    digest = Digest()
    if previous is not None and not table.grows:
        kept = list(lines)
        for line in kept:
            digest.add(line)
        if previous.digests.get(table.name) == str(digest):
            written.rows[table.name], written.digests[table.name] = digest.rows, str(digest)
            return
        lines, digest = iter(kept), Digest()
    columns: list[Tree] = [[each.name, each.kind] for each in table.columns]
    writer.write(compact({"table": table.name, "columns": columns, "after": after}))
    for line in lines:
        writer.write(line)
        digest.add(line)
    writer.write(compact({"end": table.name, "rows": digest.rows, "digest": str(digest)}))
    written.rows[table.name], written.digests[table.name] = digest.rows, str(digest)
    if snapshot.vendor == "sqlite" and table.grows:
        [(last,)] = snapshot.all(f'SELECT MAX(rowid) FROM "{table.name}"')  # noqa: S608 - names of our own
        written.last[table.name] = last or 0


def _sequences(snapshot: Snapshot) -> dict[str, Tree]:
    """The last key that each table gave: none may be given again to another row."""
    if snapshot.vendor == "sqlite":
        return dict(snapshot.all("SELECT name, seq FROM sqlite_sequence"))
    rows = snapshot.all(
        "SELECT c.relname, pg_sequence_last_value(s.oid) FROM pg_class s"
        " JOIN pg_depend d ON d.objid = s.oid AND d.deptype IN ('a', 'i')"
        " JOIN pg_class c ON c.oid = d.refobjid WHERE s.relkind = 'S'"
    )
    return {name: last for name, last in rows if last is not None}


def summary(written: Written) -> dict[str, Any]:
    """What people read of it."""
    return {"rows": sum(written.rows.values()), "bytes": written.size}
