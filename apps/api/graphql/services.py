"""Services and their sections."""

from typing import Any, Self

import strawberry

from apps.api.graphql import configurations
from apps.api.graphql.context import Info, Peers, find
from apps.api.graphql.edges import ConfigurationRef
from apps.api.graphql.fields import AT_COST, field, node
from apps.api.graphql.paging import Connection, Nested, Page, connect, connected
from apps.api.graphql.scalars import Json
from apps.api.points import read_point, require_point
from apps.api.resources import present_section, present_service
from apps.audit.selectors import Point
from apps.configs.selectors import places as listed
from apps.configs.selectors import sections as selected


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
    point: strawberry.Private[Point | None] = None
    slug: str
    name: str
    description: str
    owner: str | None = strawberry.field(description="A group.")
    labels: Json

    @classmethod
    def of(cls, row: Any, peers: Peers | None = None, point: Point | None = None) -> Self:
        """The service of a row, which is what it was as of ``point``."""
        return cls(row=row, peers=peers or Peers([row]), point=point, **present_service(row))

    @field(paged=True)
    def configurations(self, info: Info, page: Page) -> Connection[ConfigurationRef] | None:
        """What is live of it, or was, by environment. A page of them."""
        return configurations.of_service(info, self.peers, self.row.pk, page, self.point)

    @field(paged=True, cost_with=AT_COST)
    def sections(self, info: Info, page: Page, at: str | None = None) -> Connection[Section] | None:
        """Its sections by key; with ``at`` as they were. A page of them."""
        then = self.point if at is None else at
        if then is not None:
            start, stop = page.bounds
            return connected(self._sections_at(info, then)[start : stop + 1], page, Section.of)
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

    @field(cost_with=AT_COST)
    def section(self, info: Info, key: str, at: str | None = None) -> Section | None:
        """One section; with ``at`` as it was. ``None`` where there is none of that key."""
        then = self.point if at is None else at
        if then is not None:
            found = (each for each in self._sections_at(info, then) if each.key == key)
            return next(map(Section.of, found), None)
        actor = info.context.actor

        def fetch(rows: Any) -> dict[int, Any]:
            found = selected.list_sections_of(actor=actor, services=[each.pk for each in rows])
            return {each.service_id: each for each in found.filter(key=key)}

        row = self.peers.get(("section", key), self.row.pk, fetch)
        return None if row is None else Section.of(row)

    def _sections_at(self, info: Info, at: str | Point) -> list[Any]:
        """Its sections as of a point, found for all its peers at once."""
        actor = info.context.actor

        def fetch(rows: Any) -> dict[int, list[Any]]:
            point = require_point(at) if isinstance(at, str) else at
            found: dict[int, list[Any]] = {each.pk: [] for each in rows}
            for each in selected.list_sections_at(actor=actor, services=rows, point=point):
                found[each.service_id].append(each)
            return found

        return self.peers.get(("sections", at), self.row.pk, fetch) or []


@node
class Queries:
    """What can be asked of them."""

    @field(paged=True, cost_with=AT_COST)
    def services(self, info: Info, page: Page, at: str | None = None) -> Connection[Service] | None:
        """Services by name; with ``at`` as they were, and what they lead to.

        A page of those that the caller may know of.
        """
        actor, point = info.context.actor, read_point(at)
        rows: Any = listed.list_services(actor=actor)
        if point is not None:
            rows = listed.list_services_at(actor=actor, point=point)
        return connect(rows, page, lambda row, peers: Service.of(row, peers, point))

    @field(cost_with=AT_COST)
    def service(self, info: Info, slug: str, at: str | None = None) -> Service | None:
        """One service, by its name in any case; with ``at`` as it was, and what it leads to.

        ``None`` for one that is missing or hidden.
        """
        actor, point = info.context.actor, read_point(at)

        def shown() -> Service:
            row = listed.get_listed_service(actor=actor, slug=slug, point=point)
            return Service.of(row, point=point)

        return find(info, shown)
