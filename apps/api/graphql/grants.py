"""Who may do what, and which keys need a right of their own."""

from typing import Annotated, Any, Self

import strawberry

from apps.access import policy
from apps.api import grants as rest
from apps.api.graphql.context import Info, Peers, find
from apps.api.graphql.fields import field, node
from apps.api.graphql.paging import Connection, Page, connect
from apps.api.graphql.scalars import Long, Time

Id = Annotated[Long, strawberry.argument(name="id")]


@node
class KeyRule:
    """Keys that need a right of their own."""

    id: Long
    pattern: str
    service: str | None
    environment: str | None
    description: str
    created_at: Time
    created_by: str

    @classmethod
    def of(cls, row: Any, _peers: Peers | None = None) -> Self:
        """The rule of a row."""
        return cls(**rest.present_key_rule(row))


@node
class Scope:
    """What a grant is given on; nothing of it: on everything."""

    rule: strawberry.Private[Any]
    service: str | None
    environment: str | None
    key_rule: Long | None

    @field()
    def rule_itself(self, info: Info) -> KeyRule | None:
        """The key rule, where the caller may know of it. ``None`` for a grant on a place."""
        known = self.rule is not None and policy.may_know_rule(info.context.actor, self.rule)
        return KeyRule.of(self.rule) if known else None


@node
class Grant:
    """A role or a verb that somebody has, and where."""

    id: Long
    to: str
    role: str | None
    verb: str | None
    on: Scope
    expires_at: Time | None
    created_at: Time
    created_by: str

    @classmethod
    def of(cls, row: Any, _peers: Peers | None = None) -> Self:
        """The grant of a row."""
        shown = {"role": None, "verb": None, **rest.present_grant(row)}
        return cls(on=Scope(rule=row.key_rule, **shown.pop("on")), **shown)


@node
class Queries:
    """What can be asked of them."""

    @field(paged=True)
    def grants(self, info: Info, page: Page) -> Connection[Grant] | None:
        """Every grant. A page of them, for those who manage or audit everything."""
        return connect(rest.list_known_grants(info.context.actor), page, Grant.of)

    @field(paged=True)
    def key_rules(self, info: Info, page: Page) -> Connection[KeyRule] | None:
        """Key rules, oldest first. A page of those that the caller may change or audit."""
        return connect(rest.list_known_rules(info.context.actor), page, KeyRule.of)

    @field()
    def key_rule(self, info: Info, id_: Id) -> KeyRule | None:
        """One key rule. ``None`` for one that is missing or hidden."""
        actor = info.context.actor
        return find(info, lambda: KeyRule.of(rest.find_known_rule(actor, max(id_, 0))))
