"""Services and their sections."""

from typing import Any, Self

import strawberry

from apps.api.graphql import configurations
from apps.api.graphql.context import Info, Peers, find
from apps.api.graphql.edges import ConfigurationRef
from apps.api.graphql.fields import field, node
from apps.api.graphql.paging import Connection, Nested, Page, connect
from apps.api.graphql.scalars import Json
from apps.api.resources import present_section, present_service
from apps.configs.selectors import places as listed
from apps.configs.selectors import templates as selected


@node
class Section:
    """A top-level key of a service's configurations, with a type and a JSON Schema."""

    row: strawberry.Private[Any]
    key: str
    type: str
    schema: Json
    description: str

    @classmethod
    def of(cls, row: Any, _peers: Peers | None = None) -> Self:
        """The section of a row."""
        return cls(row=row, **present_section(row))


@node
class Service:
    """Who is configured."""

    row: strawberry.Private[Any]
    peers: strawberry.Private[Peers]
    slug: str
    name: str
    description: str
    owner: str | None = strawberry.field(description="A group.")
    labels: Json

    @classmethod
    def of(cls, row: Any, peers: Peers | None = None) -> Self:
        """The service of a row."""
        return cls(row=row, peers=peers or Peers([row]), **present_service(row))

    @field(paged=True)
    def configurations(self, info: Info, page: Page) -> Connection[ConfigurationRef] | None:
        """What is live of it, by environment. A page of them."""
        return configurations.of_service(info, self.peers, self.row.pk, page)

    @field(paged=True)
    def sections(self, info: Info, page: Page) -> Connection[Section] | None:
        """Its sections by key. A page of them."""
        actor = info.context.actor
        sections = Nested(
            what="sections",
            by=("service_id",),
            order=("key",),
            rows=lambda rows: selected.list_sections_of(
                actor=actor, services=[each.pk for each in rows]
            ),
            build=Section.of,
        )
        return sections.page(self.peers, (self.row.pk,), page)

    @field()
    def section(self, info: Info, key: str) -> Section | None:
        """One section. ``None`` where there is none of that key."""
        actor = info.context.actor

        def fetch(rows: Any) -> dict[int, Any]:
            found = selected.list_sections_of(actor=actor, services=[each.pk for each in rows])
            return {each.service_id: each for each in found.filter(key=key)}

        row = self.peers.get(("section", key), self.row.pk, fetch)
        return None if row is None else Section.of(row)


@node
class Queries:
    """What can be asked of them."""

    @field(paged=True)
    def services(self, info: Info, page: Page) -> Connection[Service] | None:
        """Services by name. A page of those that the caller may know of."""
        return connect(listed.list_services(actor=info.context.actor), page, Service.of)

    @field()
    def service(self, info: Info, slug: str) -> Service | None:
        """One service, by its name in any case. ``None`` for one that is missing or hidden."""
        actor = info.context.actor
        return find(info, lambda: Service.of(listed.get_listed_service(actor=actor, slug=slug)))
