"""Templates and their versions."""

from typing import Any, Self

import strawberry

from apps.api.graphql import configurations
from apps.api.graphql.context import Info, Peers, find
from apps.api.graphql.edges import ConfigurationRef
from apps.api.graphql.fields import HEAVY, field, node
from apps.api.graphql.paging import Connection, Nested, Page, connect
from apps.api.graphql.scalars import Json, Long, Time
from apps.api.points import read_point
from apps.api.resources import present_template_version
from apps.configs.selectors import templates as selected


@node
class TemplateVersion:
    """One published state of a template."""

    version: int
    revision: Long
    published_at: Time
    author: str
    message: str
    parameters: Json = strawberry.field(description="The JSON Schema of what it takes.")
    content: Json
    extends: Json

    @classmethod
    def of(cls, row: Any, _peers: Peers | None = None) -> Self:
        """The version of a row."""
        return cls(**present_template_version(row))


@node
class Template:
    """A document that configurations lie on."""

    row: strawberry.Private[Any]
    peers: strawberry.Private[Peers]
    slug: str
    name: str

    @classmethod
    def of(cls, row: Any, peers: Peers | None = None) -> Self:
        """The template of a row."""
        return cls(row=row, peers=peers or Peers([row]), slug=row.slug, name=row.name)

    @field()
    def newest(self, info: Info, at: str | None = None) -> TemplateVersion | None:
        """Its newest version; with ``at`` the newest by then. Needs ``read`` somewhere, as its versions do."""
        actor = info.context.actor
        row = self.peers.get(
            ("newest", at),
            self.row.pk,
            lambda rows: selected.list_newest_versions(
                actor=actor, templates=[each.pk for each in rows], point=read_point(at)
            ),
        )
        return None if row is None else TemplateVersion.of(row)

    @field(paged=True)
    def versions(self, info: Info, page: Page) -> Connection[TemplateVersion] | None:
        """Its versions, newest first. A page of them."""
        actor = info.context.actor
        versions = Nested(
            what="versions",
            by=("template_id",),
            order=("-number",),
            rows=lambda rows: selected.list_versions_of(
                actor=actor, templates=[each.pk for each in rows]
            ),
            build=TemplateVersion.of,
        )
        return versions.page(self.peers, (self.row.pk,), page)

    @field(paged=True, cost=HEAVY)
    def users(self, info: Info, page: Page) -> Connection[ConfigurationRef] | None:
        """The live configurations that extend it. A page of those that the caller may list."""
        rows, _hidden = selected.list_users(actor=info.context.actor, template=self.row)
        return configurations.of_lives(rows, page)


@node
class Queries:
    """What can be asked of them."""

    @field(paged=True)
    def templates(self, info: Info, page: Page) -> Connection[Template] | None:
        """Templates by name. A page of them, for those who may list something."""
        return connect(selected.list_templates(actor=info.context.actor), page, Template.of)

    @field()
    def template(self, info: Info, slug: str) -> Template | None:
        """One template, by its name in any case. ``None`` for one that is missing or hidden."""
        actor = info.context.actor
        return find(info, lambda: Template.of(selected.get_template(actor=actor, slug=slug)))
