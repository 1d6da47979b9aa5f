"""Putting a restored database in the place of the installation's own: the old one or the new, never between.

On SQLite the new database grows beside the old one and takes its place by one renaming; on PostgreSQL
it is one transaction. What becomes of rights is decided inside, so no moment lies between.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import connection, connections, transaction

from apps.access.holds import are_held, hold_rights
from apps.audit.services import Event, append, lock_ledger
from apps.backups.keeping import keep_withdrawn
from apps.backups.reading import Header
from apps.backups.restoring import Checked, fill, new_sqlite, point_at
from apps.backups.withdrawals import Present, require_unmoved
from apps.backups.writing import Progress, silent
from apps.core.actor import Actor
from apps.engine.errors import ConflictError
from apps.engine.values import Tree

ENDS_WITHIN: Final = 5.0
LOOK_EVERY: Final = 0.1


@dataclass(frozen=True, slots=True)
class Finish:
    """The last step of a restore into the installation's own database, from the archive ``name``:
    what was withdrawn after the backup stays so, or rights are held where that is not known
    (``present`` says why); the restored ledger says it.
    """

    actor: Actor
    name: str
    present: Present | str

    def __call__(self, header: Header, epoch: str) -> None:
        """Do it, inside the caller's transaction."""
        known = self.known
        events = keep_withdrawn(known, self.actor) if known else []
        held = known is None or known.is_held or are_held()  # as it was when the backup was made
        if held:
            hold_rights()
        data: dict[str, Tree] = {
            "archive": self.name,
            "id": header.id,
            "was": f"{header.epoch}-{header.revision}",
            "epoch": epoch,
            "kept_withdrawn": len(events),
            "rights_held": held,
        }
        events.append(Event("installation.restored", "installation", data))
        append(events, actor=self.actor)

    @property
    def known(self) -> Present | None:
        """The rights of the replaced database, where they are known."""
        return None if isinstance(self.present, str) else self.present


def restore_sqlite(checked: Checked, finish: Finish, progress: Progress = silent) -> str:
    """Replace the SQLite database by what the chain holds; the old one stays beside it.

    The caller holds the data folder's lock, so that no server runs. Returns the new epoch.
    """
    path = Path(str(settings.DATABASES["default"]["NAME"]))
    growing = path.with_name(".restoring.sqlite3")
    _forget_killed(path)
    with new_sqlite(growing):
        epoch = fill(checked, progress, finish=finish)
    _sync(growing)
    if path.exists():
        require_unmoved(finish.known)
        connection.close()
        _settle_journal(path)
        os.link(path, path.with_name(f"{path.stem}.before-{epoch}{path.suffix}"))
    growing.replace(path)
    _sync(path.parent)
    return epoch


def _forget_killed(path: Path) -> None:
    """Remove the name that a killed restore had given the database to keep it by, before it put the
    new one in its place; the half-made one is made anew.
    """
    for kept in path.parent.glob(f"{path.stem}.before-*{path.suffix}"):
        if path.exists() and kept.samefile(path):
            kept.unlink()


def _settle_journal(path: Path) -> None:
    """Let SQLite roll back what a killed server left half done: its journal must not meet another file.

    What is no database any more is kept as it is.
    """
    with (
        contextlib.suppress(sqlite3.DatabaseError),
        contextlib.closing(sqlite3.connect(path)) as old,
    ):
        old.execute("BEGIN IMMEDIATE")
        old.rollback()
    for end in ("-journal", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def restore_postgres(checked: Checked, finish: Finish, progress: Progress = silent) -> str:
    """Replace the PostgreSQL database by what the chain holds, in one transaction.

    Raises :class:`ConflictError` while anybody else is connected to it. Returns the new epoch.
    """
    with _one_connection(), transaction.atomic():
        _refuse_others()
        if finish.known is not None:
            lock_ledger()
            require_unmoved(finish.known)
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names(cursor):
                cursor.execute(f'DROP TABLE IF EXISTS "{table}" CASCADE')
        return fill(checked, progress, finish=finish)


@contextlib.contextmanager
def _one_connection() -> Iterator[None]:
    """Without a pool, whose idle connections would count as others'."""
    before = connections.settings["default"]
    options = {name: each for name, each in before["OPTIONS"].items() if name != "pool"}
    connections["default"].close()
    connections["default"].close_pool()  # type: ignore[attr-defined] # PostgreSQL's
    point_at({**before, "OPTIONS": options})
    try:
        yield
    finally:
        point_at(before)


def _refuse_others() -> None:
    """A server that was stopped just now leaves connections that end a moment later."""
    ends = time.monotonic() + ENDS_WITHIN
    while others := _count_others():
        if time.monotonic() > ends:
            raise ConflictError(
                f"{others} other connection(s) to the database: stop the servers and workers first.",
                code="running",
            )
        time.sleep(LOOK_EVERY)


def _count_others() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction sees one state of it
        cursor.execute(
            # Clients are those that belong to a role: what kind of process another role's is, a role
            # without pg_read_all_stats is not told.
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND usesysid IS NOT NULL"
        )
        [others] = cursor.fetchone()
    return int(others)
