"""Backups, and what is done with them."""

from typing import Any, Self

import strawberry

from apps.api import backups as rest
from apps.api.graphql.context import Info, Peers, find
from apps.api.graphql.fields import HEAVY, field, node
from apps.api.graphql.inputs import Uuid
from apps.api.graphql.paging import Connection, Page, connect
from apps.api.graphql.scalars import Long, Time
from apps.backups import selectors


@node
class Backup:
    """An archive of everything, or of what came since the one before it."""

    name: str
    kind: str | None = strawberry.field(description="full or segment; null: it cannot be read.")
    created_at: Time | None
    epoch: str | None
    revision: Long | None
    bytes: Long
    verified_at: Time | None
    drilled_at: Time | None = strawberry.field(description="When it was restored on trial.")
    problem: str | None

    @classmethod
    def of(cls, row: Any, peers: Peers) -> Self:
        """The archive of a row; what came of those listed together is looked up at once."""

        def fetch(rows: Any) -> Any:
            return {each.archive.name: each for each in selectors.look_up(rows)}

        looked: Any = peers.get("looked", row.name, fetch)
        return cls(**rest.present_archive(looked))


@node
class Restorable:
    """One archive, and those that restoring it needs, itself as the last."""

    archive: Backup
    needs: list[str]


@node
class Progress:
    """How far a run is."""

    step: str
    done: Long
    total: Long = strawberry.field(description="0: not known.")


@node
class BackupRun:
    """Something that is done with archives: create, verify, drill or prune."""

    id: str
    kind: str
    state: str = strawberry.field(description="waiting, running, done or failed.")
    archive: str | None
    author: str
    asked_at: Time
    started_at: Time | None
    ended_at: Time | None
    progress: Progress
    revision: Long | None
    bytes: Long | None
    problem: str | None

    @classmethod
    def told(cls, told: Any) -> Self:
        """The run that REST tells of."""
        return cls(**{**told, "progress": Progress(**told["progress"])})

    @classmethod
    def of(cls, row: Any, _peers: Peers | None = None) -> Self:
        """The run of a row."""
        return cls.told(rest.present_run(row))


@node
class Queries:
    """What can be asked of them."""

    @field(paged=True, cost=HEAVY)
    def backups(
        self, info: Info, page: Page, redaction: Long | None = None
    ) -> Connection[Backup] | None:
        """The archives, newest first, or those that hold what the act of that revision redacted.

        A page of them.
        """
        found = selectors.list_archives(actor=info.context.actor, redaction=redaction)
        return connect(found, page, Backup.of)

    @field(cost=HEAVY)
    def backup(self, info: Info, name: str) -> Restorable | None:
        """One archive. Null where there is none of that name."""
        actor = info.context.actor

        def look() -> Restorable:
            told = dict(rest.find_archive(actor, name))
            needs: Any = told.pop("needs")
            members: Any = told
            return Restorable(archive=Backup(**members), needs=needs)

        return find(info, look)

    @field(paged=True)
    def backup_runs(self, info: Info, page: Page) -> Connection[BackupRun] | None:
        """What was done with them, the last that was asked for first. A page of it."""
        return connect(selectors.list_runs(actor=info.context.actor), page, BackupRun.of)

    @field()
    def backup_run(self, info: Info, id_: Uuid) -> BackupRun | None:
        """How far a run is, or what came of it."""
        actor = info.context.actor
        return find(info, lambda: BackupRun.of(selectors.get_run(actor=actor, pk=str(id_))))
