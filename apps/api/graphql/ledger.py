"""The ledger."""

from dataclasses import replace
from typing import Any, Self

import strawberry

from apps.access import policy
from apps.access.ledger_view import LedgerView
from apps.access.policy import EVERYWHERE
from apps.api import ledger as rest
from apps.api.graphql.context import Info, Peers
from apps.api.graphql.fields import field, node
from apps.api.graphql.paging import Connection, Edge, Page, connect, page_of
from apps.api.graphql.scalars import Json, Long, Time
from apps.audit.selectors import head, list_checkpoints, list_verifications
from apps.engine.values import parse_canonical


@node
class AuditEvent:
    """One act, or a part of one; the hashes make a chain."""

    number: Long
    revision: Long
    at: Time
    actor: str
    action: str
    target: str
    data: Json
    hash: str
    previous: str
    shortened: bool = strawberry.field(
        default=False, description="Whether key rules hide a part of its data."
    )

    @classmethod
    def of(cls, row: Any, _peers: Peers | None = None) -> Self:
        """The event as the reader may see it."""
        return cls(**rest.present_event(row))


@node
class Verification:
    """What a verification of the ledger found."""

    at: Time
    actor: str
    ok: bool
    revision: Long
    events: Long
    checkpoints: Long
    outcome: str

    @classmethod
    def of(cls, row: Any, _peers: Peers | None = None) -> Self:
        """The verification of a row."""
        return cls(**rest.present_verification(row))


@node
class Checkpoint:
    """A signed statement of where the ledger ended."""

    line: Json

    @classmethod
    def of(cls, row: Any, _peers: Peers | None = None) -> Self:
        """The checkpoint of a row."""
        return cls(line=parse_canonical(row.line))


@node
class Position:
    """How far this server is."""

    epoch: str
    revision: Long


@node
class Queries:
    """What can be asked of them."""

    @field(paged=True)
    def audit(  # noqa: PLR0913 - the arguments are the field's own
        self,
        info: Info,
        page: Page,
        *,
        actor: str = "",
        action: str = "",
        target: str = "",
        key: str = "",
        since: Time | None = None,
        until: Time | None = None,
        ascending: bool = False,
    ) -> Connection[AuditEvent] | None:
        """Events, newest first unless ascending.

        A page of them. A cursor is the number of an event, which the list goes on from.
        """
        policy.require(info.context.actor, "audit", EVERYWHERE)
        asked = {"actor": actor, "action": action, "target": target, "key": key}
        filters = rest.read_filters({**asked, "since": since, "until": until})
        upwards = ascending != page.backwards
        view = LedgerView(info.context.actor, filters.key)
        found = view.page(replace(filters, ascending=upwards), page.cursor, page.size + 1)
        shown, goes_on = found[: page.size], len(found) > page.size
        if page.backwards:
            shown.reverse()
        return page_of(
            [Edge(cursor=str(each.event.number), node=AuditEvent.of(each)) for each in shown],
            has_next=goes_on or page.backwards,
            has_previous=goes_on if page.backwards else page.cursor is not None,
        )

    @field(paged=True)
    def checkpoints(self, info: Info, page: Page) -> Connection[Checkpoint] | None:
        """Signed checkpoints, newest first. A page of them."""
        policy.require(info.context.actor, "audit", EVERYWHERE)
        return connect(list_checkpoints(), page, Checkpoint.of)

    @field(paged=True)
    def verifications(self, info: Info, page: Page) -> Connection[Verification] | None:
        """What verifications found, newest first. A page of them."""
        policy.require(info.context.actor, "audit", EVERYWHERE)
        return connect(list_verifications(), page, Verification.of)

    @field()
    def position(self) -> Position:
        """How far this server is: to go on from with 'changed'.

        As the headers of REST say it.
        """
        reached = head()
        return Position(epoch=reached.epoch, revision=reached.revision)
