"""Environments."""

from typing import Any, Self

import strawberry

from apps.api.graphql import configurations
from apps.api.graphql.context import Info, Peers, find
from apps.api.graphql.edges import ConfigurationRef
from apps.api.graphql.fields import field, node
from apps.api.graphql.paging import Connection, Page, connect
from apps.api.resources import present_environment
from apps.configs.selectors import places as listed


@node
class Environment:
    """Where services are configured: development, production."""

    row: strawberry.Private[Any]
    peers: strawberry.Private[Peers]
    slug: str
    name: str
    rank: int
    default: bool
    protected: bool
    required_approvals: int
    service_count: int = strawberry.field(description="How many configurations are live here.")
    parent_slug: str | None

    @classmethod
    def of(cls, row: Any, peers: Peers | None = None) -> Self:
        """The environment of a row."""
        shown = present_environment(row)
        count, parent = shown.pop("services"), shown.pop("parent")
        peers = peers or Peers([row])
        return cls(row=row, peers=peers, service_count=count, parent_slug=parent, **shown)

    @field()
    def parent(self, info: Info) -> "Environment | None":
        """What it inherits from, where the caller may know of that. The environment above."""
        return find_environment(info, self.row.parent_id)

    @field(paged=True)
    def configurations(self, info: Info, page: Page) -> Connection[ConfigurationRef] | None:
        """What is live here, by service. A page of them."""
        return configurations.of_environment(info, self.peers, self.row.pk, page)


def find_environment(info: Info, pk: int | None) -> Environment | None:
    """The environment, where the caller may know of it."""
    row = info.context.environments.get(pk) if pk is not None else None
    return None if row is None else Environment.of(row)


@node
class Queries:
    """What can be asked of them."""

    @field(paged=True)
    def environments(self, info: Info, page: Page) -> Connection[Environment] | None:
        """Environments by rank. A page of those that the caller may know of."""
        rows = listed.list_environments(actor=info.context.actor)
        return connect(rows, page, Environment.of)

    @field()
    def environment(self, info: Info, slug: str) -> Environment | None:
        """One environment, by its name in any case.

        ``None`` for one that is missing or hidden.
        """
        actor = info.context.actor
        return find(
            info,
            lambda: Environment.of(listed.get_counted_environment(actor=actor, slug=slug)),
        )
