"""Histories: the versions of a configuration, newest first."""

from dataclasses import dataclass
from typing import Any

import strawberry

from apps.access.policy import Place
from apps.api.graphql import versions
from apps.api.graphql.context import Info, Peers
from apps.api.graphql.edges import VersionRef
from apps.api.graphql.fields import field, node
from apps.api.graphql.paging import Connection, Edge, Page, page_of
from apps.api.graphql.scalars import Long, Time
from apps.api.versions import present_entry
from apps.configs.selectors.history import Entry, Filters, list_first_pages, list_history
from apps.configs.selectors.history import Page as Found
from apps.configs.selectors.several import list_by_key


@dataclass(frozen=True, slots=True)
class Listed:
    """A version of a history, and where."""

    entry: Entry
    place: Place


@node
class HistoryEntry:
    """A version as its history tells of it."""

    row: strawberry.Private[Listed]
    owner: strawberry.Private[Any]
    peers: strawberry.Private[Peers]
    version: int
    revision: Long
    published_at: Time
    author: str
    message: str
    cause: str
    keys: list[str] = strawberry.field(description="What it changed.")
    checksum: str

    @classmethod
    def of(cls, row: Listed, owner: Any, peers: Peers) -> "HistoryEntry":
        """The entry of a row, of its configuration ``owner``."""
        return cls(row=row, owner=owner, peers=peers, **present_entry(row.entry))

    @field()
    def whole(self, info: Info) -> VersionRef | None:
        """The version, whole. With its document, its source and its lock."""
        actor = info.context.actor

        def fetch(rows: Any) -> Any:
            wanted = {each.entry.row.pk: each.place for each in rows}
            return list_by_key(actor=actor, wanted=wanted)

        found = self.peers.get("whole", self.row.entry.row.pk, fetch)
        return None if found is None else versions.Version.of(found, self.owner)


def history_of(info: Info, owner: Any, page: Page, filters: Filters) -> Connection[HistoryEntry]:
    """A page of the history of a configuration: a first one of all its peers at once.

    A cursor is the number of a version, which the list goes on from. A narrowed page may be empty
    and go on all the same.
    """
    actor, place = info.context.actor, owner.here.place
    if page.cursor is None and filters == Filters():

        def fetch(rows: Any) -> Any:
            found = list_first_pages(
                actor=actor, places=[each.place for each in rows], size=page.size
            )
            listed = Peers(
                [
                    Listed(entry, where)
                    for where, each in found.items()
                    if isinstance(each, Found)
                    for entry in each.versions
                ]
            )
            return {
                where: (each, listed) if isinstance(each, Found) else each
                for where, each in found.items()
            }

        first: Any = owner.peers.get(("history", page.size), place, fetch)
        if first is None:
            return page_of([], has_next=False, has_previous=False)
        return _connected(owner, *first)
    found = list_history(
        actor=actor,
        place=place,
        filters=filters,
        before=None if page.backwards else page.cursor,
        after=page.cursor if page.backwards else None,
        size=page.size,
    )
    return _connected(owner, found, Peers([Listed(each, place) for each in found.versions]))


def _connected(owner: Any, found: Found, peers: Peers) -> Connection[HistoryEntry]:
    edges = [
        Edge(
            cursor=str(each.row.number),
            node=HistoryEntry.of(Listed(each, owner.here.place), owner, peers),
        )
        for each in found.versions
    ]
    return page_of(
        edges,
        has_next=found.next_before is not None,
        has_previous=found.previous_after is not None,
        cursors=(found.previous_after, found.next_before),
    )
