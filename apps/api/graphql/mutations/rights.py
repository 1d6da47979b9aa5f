"""Grants, key rules and roles."""

from typing import Any

from apps.api.grants import (
    GrantsView,
    GrantView,
    KeyRulesView,
    KeyRuleView,
    find_known_grant,
)
from apps.api.graphql.acts import ACT, absent, perform
from apps.api.graphql.context import Info, find
from apps.api.graphql.fields import field, given, node
from apps.api.graphql.grants import Grant, KeyRule
from apps.api.graphql.inputs import Given, Id
from apps.api.graphql.roles import Role
from apps.api.graphql.scalars import Long, Time
from apps.api.roles import RoleView


@given
class ScopeInput:
    """What a grant is given on; nothing of it: on everything."""

    service: str | None = absent()
    environment: str | None = absent()
    key_rule: Long | None = absent("Alone: the rule has the place.")


@given
class GrantInput:
    """A role or a verb, to whom, and where."""

    to: str
    role: str | None = absent()
    verb: str | None = absent()
    on: ScopeInput | None = absent()
    expires_at: Time | None = absent()


@given
class KeyRulePatch:
    """What is set of a key rule; its scope stays."""

    pattern: str | None = absent()
    description: str | None = absent()


@given
class KeyRuleInput:
    """A new key rule."""

    pattern: str
    service: str | None = absent()
    environment: str | None = absent()
    description: str | None = absent()


@given
class RoleInput:
    """What a role is."""

    verbs: list[str]
    description: str | None = absent()


@node
class Mutations:
    """What can be done with them."""

    @field(cost=ACT)
    def create_grant(self, info: Info, input_: Given[GrantInput]) -> Grant | None:
        """Give a role or a verb. Needs `manage` there, and what is given."""
        made: dict[str, Any] = perform(info, GrantsView, "post", input_)
        actor = info.context.actor
        return find(info, lambda: Grant.of(find_known_grant(actor, made["id"])))

    @field(cost=ACT)
    def withdraw_grant(self, info: Info, id_: Id) -> bool | None:
        """Take a grant back. Others stay as they are."""
        perform(info, GrantView, "delete", pk=str(id_))
        return True

    @field(cost=ACT)
    def create_key_rule(self, info: Info, input_: Given[KeyRuleInput]) -> KeyRule | None:
        """Make a key rule. From then on the keys need grants on it."""
        return KeyRule(**perform(info, KeyRulesView, "post", input_))

    @field(cost=ACT)
    def update_key_rule(self, info: Info, id_: Id, input_: Given[KeyRulePatch]) -> KeyRule | None:
        """Change a key rule's pattern or description."""
        return KeyRule(**perform(info, KeyRuleView, "patch", input_, pk=str(id_)))

    @field(cost=ACT)
    def delete_key_rule(self, info: Info, id_: Id) -> bool | None:
        """End a key rule, and the grants on it. Its keys go by the ordinary grants again."""
        perform(info, KeyRuleView, "delete", pk=str(id_))
        return True

    @field(cost=ACT)
    def put_role(self, info: Info, name: str, input_: Given[RoleInput]) -> Role | None:
        """Make a role, or change its verbs. What was given of it follows at once."""
        return Role(**perform(info, RoleView, "put", input_, name=name))

    @field(cost=ACT)
    def delete_role(self, info: Info, name: str) -> bool | None:
        """End a role that nobody has."""
        perform(info, RoleView, "delete", name=name)
        return True
