"""Making archive files of the database as it is."""

import contextlib
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from django.db import connection

from apps.backups.reading import Header, context_of, name_of
from apps.backups.snapshots import Snapshot, SqliteSnapshot, snapshot
from apps.backups.stores import Store, sync_folder
from apps.backups.work import working_in
from apps.backups.writing import (
    Progress,
    Written,
    read_head,
    read_migrations,
    silent,
    write_archive,
)
from apps.core import clock
from apps.core.transactions import writing
from apps.vault.providers import key_provider

PROGRAM: Final = "1"
CHAIN: Final = ".chain.json"
MAX_SEGMENTS: Final = 10_000


def write_full(
    store: Store, work: Path, *, progress: Progress = silent, archive: str | None = None
) -> tuple[str, Header, Written]:
    """Put a full archive into ``store``; ``work`` is a folder of this machine to make it in. Its id
    is ``archive`` (32 hexadecimal digits) where that is given.
    """
    progress("Copying", 0, 0)
    with working_in(work), _making(work) as folder:
        sealing = _Sealing.new(archive)
        with snapshot(work) as taken:
            made = _make(folder, taken, None, sealing, progress)
        return _keep(store, work, folder, made, progress)


def write_segment(
    store: Store, work: Path, *, progress: Progress = silent
) -> tuple[str, Header, Written] | None:
    """Put what came since the last archive into ``store``; ``None`` when nothing did.

    A full one is written where there is no chain to go on: none was made here, its newest archive is
    gone from the store, the tables are others, or a redaction has changed rows that a segment does
    not hold. SQLite alone; writers wait while rows are read, not for key provider and storage.
    """
    chain = Chain.read(work)
    if connection.vendor != "sqlite" or chain is None or not chain.fits(store):
        return write_full(store, work, progress=progress)
    with _opened() as taken:
        goes_on = chain.goes_on(taken)
        if goes_on and read_head(taken)["revision"] == chain.header.revision:
            return None
    if goes_on:
        with working_in(work), _making(work) as folder:
            sealing, made = _Sealing.new(), None
            with writing(), _opened() as taken:
                if chain.goes_on(taken):  # still
                    made = _make(folder, taken, chain, sealing, progress)
            if made is not None:
                return _keep(store, work, folder, made, progress)
    return write_full(store, work, progress=progress)


@contextlib.contextmanager
def _opened() -> Iterator[Snapshot]:
    """The SQLite database itself."""
    path = connection.settings_dict["NAME"]
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as opened:
        opened.execute("BEGIN")
        yield SqliteSnapshot(opened)


@contextlib.contextmanager
def _making(work: Path) -> Iterator[Path]:
    """A folder for an archive that is not stored yet."""
    with TemporaryDirectory(dir=work, prefix=".making-") as folder:
        yield Path(folder)


def _make(
    folder: Path, taken: Snapshot, chain: "Chain | None", sealing: "_Sealing", progress: Progress
) -> "Chain":
    header = _new_header(taken, chain, sealing)
    name = name_of(header)
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        written = write_archive(
            file,
            taken,
            members_of(header),
            sealing.data_key,
            progress=progress,
            previous=chain.written if chain else None,
        )
    return Chain(name, header, written, Held.of(taken))


def _keep(
    store: Store, work: Path, folder: Path, made: "Chain", progress: Progress
) -> tuple[str, Header, Written]:
    progress("Storing", 0, 0)
    store.put(folder / made.name, made.name)
    made.write(work)
    return made.name, made.header, made.written


@dataclass(frozen=True, slots=True)
class _Sealing:
    """The id of an archive to come, its key, and that key wrapped by the provider, which may be far away."""

    archive: str
    data_key: bytes = field(repr=False)
    key_id: str
    wrapped: bytes

    @classmethod
    def new(cls, archive: str | None = None) -> "_Sealing":
        archive, data_key = archive or secrets.token_hex(16), secrets.token_bytes(32)
        return cls(archive, data_key, *key_provider().wrap(data_key, context_of(archive)))


def _new_header(taken: Snapshot, chain: "Chain | None", sealing: _Sealing) -> Header:
    head, archive = read_head(taken), sealing.archive
    return Header(
        id=archive,
        kind="segment" if chain else "full",
        base=chain.header.base if chain else archive,
        previous=chain.header.id if chain else "",
        number=chain.header.number + 1 if chain else 0,
        created_at=clock.rfc3339(clock.now()),
        epoch=str(head["epoch"]),
        revision=int(head["revision"]),
        program=PROGRAM,
        vendor=connection.vendor,
        key_id=sealing.key_id,
        wrapped=sealing.wrapped.hex(),
    )


def members_of(header: Header) -> dict[str, Any]:
    """A header as it is written."""
    return {name: getattr(header, name) for name in Header.__slots__}


@dataclass(frozen=True, slots=True)
class Held:
    """What no segment can follow a change of: how many texts were redacted, ever, and the migrations
    that made the tables.
    """

    redactions: int
    migrations: list[list[str]]

    @classmethod
    def of(cls, taken: Snapshot) -> "Held":
        """As it is."""
        [(count,)] = taken.all("SELECT count(*) FROM configs_redaction")
        return cls(int(count), read_migrations(taken))


class Chain:
    """Where the newest archive ended, kept in the work folder, for the next segment to go on from."""

    def __init__(self, name: str, header: Header, written: Written, held: Held) -> None:
        self.name, self.header = name, header
        self.written, self.held = written, held

    @classmethod
    def read(cls, work: Path) -> "Chain | None":
        """The chain that was written last; ``None`` when there is none, or it cannot be read."""
        try:
            members = json.loads((work / CHAIN).read_text())
            written = Written(members["rows"], members["digests"], members["last"])
            held = Held(members["redactions"], members["migrations"])
            return cls(members["name"], Header.of(members["header"]), written, held)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, work: Path) -> None:
        """Keep it, whole or not at all. It is lost without harm: the next archive is a full one."""
        members = {
            "name": self.name,
            "header": members_of(self.header),
            "rows": self.written.rows,
            "digests": self.written.digests,
            "last": self.written.last,
            "redactions": self.held.redactions,
            "migrations": self.held.migrations,
        }
        part = work / f"{CHAIN}.{secrets.token_hex(4)}.part"  # others may write theirs
        part.write_text(json.dumps(members))
        part.rename(work / CHAIN)
        sync_folder(work)

    def fits(self, store: Store) -> bool:
        """Whether a segment may follow in ``store``."""
        names = {each.name for each in store.list()}
        return self.name in names and self.header.number < MAX_SEGMENTS

    def goes_on(self, taken: Snapshot) -> bool:
        """Whether the database is the one that the chain is of, in the same tables, and holds all
        that it held.
        """
        head = read_head(taken)
        same = head["epoch"] == self.header.epoch and int(head["revision"]) >= self.header.revision
        return same and Held.of(taken) == self.held
