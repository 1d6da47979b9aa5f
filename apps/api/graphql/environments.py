"""Environments."""

from typing import Any, Self

import strawberry

from apps.api.graphql import configurations
from apps.api.graphql.context import Info, Peers, find
from apps.api.graphql.edges import ConfigurationRef
from apps.api.graphql.fields import AT_COST, field, node
from apps.api.graphql.paging import Connection, Page, connect
from apps.api.points import read_point
from apps.api.resources import present_environment
from apps.audit.selectors import Point
from apps.configs.selectors import places as listed


@node
class Environment:
    """Where services are configured: development, production."""

    row: strawberry.Private[Any]
    peers: strawberry.Private[Peers]
    point: strawberry.Private[Point | None] = None
    slug: str
    name: str
    rank: int
    default: bool
    protected: bool
    required_approvals: int
    service_count: int = strawberry.field(description="How many configurations are live here.")
    parent_slug: str | None

    @classmethod
    def of(cls, row: Any, peers: Peers | None = None, point: Point | None = None) -> Self:
        """The environment of a row, which is what it was as of ``point``."""
        shown = present_environment(row)
        count, parent = shown.pop("services"), shown.pop("parent")
        shown |= {"service_count": count, "parent_slug": parent}
        return cls(row=row, peers=peers or Peers([row]), point=point, **shown)

    @field()
    def parent(self, info: Info) -> "Environment | None":
        """What it inherits from, where the caller may know of that. The environment above."""
        actor, point = info.context.actor, self.point
        if point is None:
            return find_environment(info, self.row.parent_id)

        def fetch(_rows: Any) -> dict[int, Any]:
            return {each.pk: each for each in listed.list_environments_at(actor=actor, point=point)}

        row = self.peers.get("environments", self.row.parent_id, fetch)
        return None if row is None else Environment.of(row, self.peers, point)

    @field(paged=True)
    def configurations(self, info: Info, page: Page) -> Connection[ConfigurationRef] | None:
        """What is live here, or was, by service. A page of them."""
        return configurations.of_environment(info, self.peers, self.row.pk, page, self.point)


def find_environment(info: Info, pk: int | None) -> Environment | None:
    """The environment, where the caller may know of it."""
    row = info.context.environments.get(pk) if pk is not None else None
    return None if row is None else Environment.of(row)


@node
class Queries:
    """What can be asked of them."""

    @field(paged=True, cost_with=AT_COST)
    def environments(
        self, info: Info, page: Page, at: str | None = None
    ) -> Connection[Environment] | None:
        """Environments by rank; with ``at`` as they were, and what they lead to.

        A page of those that the caller may know of.
        """
        actor, point = info.context.actor, read_point(at)
        rows: Any = listed.list_environments(actor=actor)
        if point is not None:
            rows = listed.list_environments_at(actor=actor, point=point)
        return connect(rows, page, lambda row, peers: Environment.of(row, peers, point))

    @field(cost_with=AT_COST)
    def environment(self, info: Info, slug: str, at: str | None = None) -> Environment | None:
        """One environment, by its name in any case; with ``at`` as it was, and what it leads to.

        ``None`` for one that is missing or hidden.
        """
        actor, point = info.context.actor, read_point(at)

        def shown() -> Environment:
            row = listed.get_counted_environment(actor=actor, slug=slug, point=point)
            return Environment.of(row, point=point)

        return find(info, shown)
