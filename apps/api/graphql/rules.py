"""The rules that documents must keep."""

from typing import Any, Self

from apps.api.graphql.context import Info, Peers, find
from apps.api.graphql.fields import field, node
from apps.api.graphql.paging import Connection, Page, connect
from apps.api.graphql.scalars import Json
from apps.configs import describing
from apps.configs.selectors import rules as selected

ABSENT = dict.fromkeys(("expression", "key", "equals"))
"""What a rule has one half of."""


@node
class Rule:
    """A condition that documents must keep: an expression, or a key's value."""

    name: str
    service: str | None
    environment: str | None
    severity: str
    expression: str | None
    key: str | None
    equals: Json | None
    message: str
    description: str
    tests: Json

    @classmethod
    def of(cls, row: Any, _peers: Peers | None = None) -> Self:
        """The rule of a row."""
        return cls(**{**ABSENT, **describing.rule(row)})


@node
class Queries:
    """What can be asked of them."""

    @field(paged=True)
    def rules(self, info: Info, page: Page, service: str = "") -> Connection[Rule] | None:
        """Rules by name. A page of those that the caller may know of."""
        rows = selected.list_rules(actor=info.context.actor, service=service)
        return connect(rows, page, Rule.of)

    @field()
    def rule(self, info: Info, name: str) -> Rule | None:
        """One rule. ``None`` for one that is missing or hidden."""
        actor = info.context.actor
        return find(info, lambda: Rule.of(selected.get_rule(actor=actor, name=name)))
