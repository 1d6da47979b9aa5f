"""Service accounts and their tokens."""

from typing import Any, Self

import strawberry

from apps.access import selectors
from apps.api import accounts as rest
from apps.api.graphql import environments
from apps.api.graphql.context import Info, Peers, find
from apps.api.graphql.edges import EnvironmentRef
from apps.api.graphql.fields import field, node
from apps.api.graphql.paging import Connection, Nested, Page, connect
from apps.api.graphql.scalars import Time


@node
class Token:
    """A credential of a service account, without itself."""

    id: strawberry.ID
    name: str
    prefix: str
    created_by: str
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None
    withdrawn_at: Time | None

    @classmethod
    def of(cls, row: Any, _peers: Peers | None = None) -> Self:
        """The token of a row."""
        return cls(**rest.present_token(row))


@node
class ServiceAccount:
    """A machine's user."""

    row: strawberry.Private[Any]
    peers: strawberry.Private[Peers]
    slug: str
    description: str
    environment_slug: str | None
    created_at: Time

    @classmethod
    def of(cls, row: Any, peers: Peers | None = None) -> Self:
        """The account of a row."""
        shown = rest.present_account(row)
        slug = shown.pop("environment")
        return cls(row=row, peers=peers or Peers([row]), environment_slug=slug, **shown)

    @field()
    def environment(self, info: Info) -> EnvironmentRef | None:
        """Its own environment, where the caller may know of that.

        What it asks for when it names none.
        """
        return environments.find_environment(info, self.row.environment_id)

    @field(paged=True)
    def tokens(self, info: Info, page: Page) -> Connection[Token] | None:
        """Its tokens, newest first.

        A page of them, for those who manage or audit the account's environment.
        """
        rest.require_known(info.context.actor, self.row)
        tokens = Nested(
            what="tokens",
            by=("account_id",),
            order=("-created_at", "-pk"),
            rows=lambda rows: selectors.list_tokens_of([each.pk for each in rows]),
            build=Token.of,
        )
        return tokens.page(self.peers, (self.row.pk,), page)


@node
class Queries:
    """What can be asked of them."""

    @field(paged=True)
    def service_accounts(self, info: Info, page: Page) -> Connection[ServiceAccount] | None:
        """Service accounts by name. A page of them, for those who manage or audit something."""
        return connect(rest.list_known_accounts(info.context.actor), page, ServiceAccount.of)

    @field()
    def service_account(self, info: Info, slug: str) -> ServiceAccount | None:
        """One service account. ``None`` for one that is missing or hidden."""
        actor = info.context.actor
        return find(info, lambda: ServiceAccount.of(rest.find_known_account(actor, slug)))
