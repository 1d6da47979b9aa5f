"""Roles: the built-in ones, and one's own."""

from typing import Any, Self

from apps.api import roles as rest
from apps.api.graphql.context import Info, Peers, find
from apps.api.graphql.fields import field, node
from apps.api.graphql.paging import Connection, Page, connect


@node
class Role:
    """A named bundle of verbs."""

    name: str
    description: str
    verbs: list[str]
    built_in: bool

    @classmethod
    def of(cls, row: Any, _peers: Peers | None = None) -> Self:
        """The role of a bundle."""
        return cls(**rest.present_role(row))


@node
class Queries:
    """What can be asked of them."""

    @field(paged=True)
    def roles(self, info: Info, page: Page) -> Connection[Role] | None:
        """The built-in roles, then one's own.

        A page of them, for those who manage, secure or audit something.
        """
        return connect(rest.list_known_roles(info.context.actor), page, Role.of)

    @field()
    def role(self, info: Info, name: str) -> Role | None:
        """One role. ``None`` where there is none of that name."""
        actor = info.context.actor
        return find(info, lambda: Role.of(rest.find_known_role(actor, name)))
