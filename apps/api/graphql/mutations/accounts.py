"""Service accounts and their tokens."""

from typing import Any

import strawberry

from apps.api.accounts import (
    AccountsView,
    AccountView,
    TokenRotationView,
    TokensView,
    TokenView,
    find_managed_account,
)
from apps.api.graphql.accounts import ServiceAccount, Token
from apps.api.graphql.acts import ACT, absent, perform
from apps.api.graphql.context import Info, find
from apps.api.graphql.fields import field, given, node
from apps.api.graphql.inputs import Given
from apps.api.graphql.scalars import Time


@given
class ServiceAccountPatch:
    """What is set of a service account; what is absent stays."""

    description: str | None = absent()
    environment: str | None = absent("Its own environment; null: none.")


@given
class ServiceAccountInput(ServiceAccountPatch):
    """A new service account, without any right yet."""

    slug: str


@given
class TokenInput:
    """A new token."""

    name: str | None = absent()
    expires_at: Time | None = absent()


@given
class TokenRotationInput:
    """How a token is replaced."""

    overlap: int | None = absent("For so many seconds both work.")
    expires_at: Time | None = absent("When the new one ends.")


@node
class NewToken:
    """A token that was just made, itself in this answer alone."""

    raw: str = strawberry.field(description="What goes into the Authorization header: csk_…")
    token: Token

    @classmethod
    def of(cls, told: Any) -> "NewToken":
        """The token that REST tells of."""
        return cls(raw=told.pop("token"), token=Token(**told))


def find_account(info: Info, slug: str) -> ServiceAccount | None:
    """The account, for those who manage it."""
    actor = info.context.actor
    return find(info, lambda: ServiceAccount.of(find_managed_account(actor, slug)))


@node
class Mutations:
    """What can be done with them."""

    @field(cost=ACT)
    def create_service_account(
        self, info: Info, input_: Given[ServiceAccountInput]
    ) -> ServiceAccount | None:
        """Make a service account; its name is for ever."""
        made = perform(info, AccountsView, "post", input_)
        return find_account(info, made["slug"])

    @field(cost=ACT)
    def update_service_account(
        self, info: Info, slug: str, input_: Given[ServiceAccountPatch]
    ) -> ServiceAccount | None:
        """Change a service account's description or environment."""
        perform(info, AccountView, "patch", input_, slug=slug)
        return find_account(info, slug)

    @field(cost=ACT)
    def delete_service_account(self, info: Info, slug: str) -> bool | None:
        """End a service account and its tokens."""
        perform(info, AccountView, "delete", slug=slug)
        return True

    @field(cost=ACT)
    def create_token(self, info: Info, account: str, input_: Given[TokenInput]) -> NewToken | None:
        """Make a token. The answer holds it, once."""
        return NewToken.of(perform(info, TokensView, "post", input_, slug=account))

    @field(cost=ACT)
    def rotate_token(
        self, info: Info, account: str, token: strawberry.ID, input_: Given[TokenRotationInput]
    ) -> NewToken | None:
        """Replace a token without a moment in which none works. The answer holds it, once."""
        told = perform(info, TokenRotationView, "post", input_, slug=account, token_id=str(token))
        return NewToken.of(told)

    @field(cost=ACT)
    def withdraw_token(self, info: Info, account: str, token: strawberry.ID) -> bool | None:
        """Withdraw a token. It ends at once."""
        perform(info, TokenView, "delete", slug=account, token_id=str(token))
        return True
