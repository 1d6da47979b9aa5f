"""Making archive files of the database as it is."""

import contextlib
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from django.db import connection

from apps.backups.reading import Header, context_of
from apps.backups.snapshots import Snapshot, SqliteSnapshot, snapshot
from apps.backups.stores import SUFFIX, Store, sync_folder
from apps.backups.work import working_in
from apps.backups.writing import Progress, Written, read_head, silent, write_archive
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
    with working_in(work), snapshot(work) as taken:
        return _write(store, work, taken, None, progress, archive)


def write_segment(
    store: Store, work: Path, *, progress: Progress = silent
) -> tuple[str, Header, Written] | None:
    """Put what came since the last archive into ``store``; ``None`` when nothing did.

    A full one is written where there is no chain to go on: none was made here, its newest archive is
    gone from the store, the tables are others, or a redaction has changed rows that a segment does
    not hold. SQLite alone; writers wait meanwhile.
    """
    chain = Chain.read(work)
    if connection.vendor != "sqlite" or chain is None or not chain.fits(store):
        return write_full(store, work, progress=progress)
    with working_in(work), _live() as taken:
        if not chain.goes_on(taken):
            chain = None
        elif read_head(taken)["revision"] == chain.header.revision:
            return None
        if chain is not None:
            return _write(store, work, taken, chain, progress)
    return write_full(store, work, progress=progress)


@contextlib.contextmanager
def _live() -> Iterator[Snapshot]:
    """The SQLite database itself, which nobody writes to meanwhile."""
    path = connection.settings_dict["NAME"]
    with (
        writing(),
        contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as opened,
    ):
        opened.execute("BEGIN")
        yield SqliteSnapshot(opened)


def _write(
    store: Store,
    work: Path,
    taken: Snapshot,
    chain: "Chain | None",
    progress: Progress,
    archive: str | None = None,
) -> tuple[str, Header, Written]:
    header, data_key = _new_header(taken, chain, archive or secrets.token_hex(16))
    name = f"{_stamp(header.created_at)}-{header.kind}-{header.id[:8]}{SUFFIX}"
    with TemporaryDirectory(dir=work, prefix=".making-") as folder:
        path = Path(folder) / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            written = write_archive(
                file,
                taken,
                members_of(header),
                data_key,
                progress=progress,
                previous=chain.written if chain else None,
            )
        progress("Storing", 0, 0)
        store.put(path, name)
    Chain(name, header, written, count_redactions(taken)).write(work)
    return name, header, written


def _new_header(taken: Snapshot, chain: "Chain | None", archive: str) -> tuple[Header, bytes]:
    data_key = secrets.token_bytes(32)
    key_id, wrapped = key_provider().wrap(data_key, context_of(archive))
    head = read_head(taken)
    header = Header(
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
        key_id=key_id,
        wrapped=wrapped.hex(),
    )
    return header, data_key


def _stamp(moment: str) -> str:
    """A time as a part of a name that sorts: ``20261127T091500.123456Z``."""
    return moment.replace("-", "").replace(":", "")


def members_of(header: Header) -> dict[str, Any]:
    """A header as it is written."""
    return {name: getattr(header, name) for name in Header.__slots__}


def count_redactions(taken: Snapshot) -> int:
    """How many texts were redacted, ever."""
    [(count,)] = taken.all("SELECT count(*) FROM configs_redaction")
    return int(count)


class Chain:
    """Where the newest archive ended, kept in the work folder, for the next segment to go on from."""

    def __init__(self, name: str, header: Header, written: Written, redactions: int) -> None:
        self.name, self.header = name, header
        self.written, self.redactions = written, redactions

    @classmethod
    def read(cls, work: Path) -> "Chain | None":
        """The chain that was written last; ``None`` when there is none, or it cannot be read."""
        try:
            members = json.loads((work / CHAIN).read_text())
            written = Written(members["rows"], members["digests"], members["last"])
            return cls(
                members["name"], Header.of(members["header"]), written, members["redactions"]
            )
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
            "redactions": self.redactions,
        }
        part = work / f"{CHAIN}.part"
        part.write_text(json.dumps(members))
        part.rename(work / CHAIN)
        sync_folder(work)

    def fits(self, store: Store) -> bool:
        """Whether a segment may follow in ``store``."""
        names = {each.name for each in store.list()}
        return self.name in names and self.header.number < MAX_SEGMENTS

    def goes_on(self, taken: Snapshot) -> bool:
        """Whether the database is the one that the chain is of, and holds all that it held."""
        head = read_head(taken)
        same = head["epoch"] == self.header.epoch and int(head["revision"]) >= self.header.revision
        return same and count_redactions(taken) == self.redactions
