"""The rules that documents must keep."""

from typing import Any, Self

from apps.api.graphql.context import Info, Peers, find
from apps.api.graphql.fields import AT_COST, field, node
from apps.api.graphql.paging import Connection, Page, connect
from apps.api.graphql.scalars import Json
from apps.api.points import read_point
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

    @field(paged=True, cost_with=AT_COST)
    def rules(
        self, info: Info, page: Page, service: str = "", at: str | None = None
    ) -> Connection[Rule] | None:
        """Rules by name; with ``at`` as they were. A page of those that the caller may know of."""
        actor, point = info.context.actor, read_point(at)
        if point is not None:
            then = selected.list_rules_at(actor=actor, point=point, service=service)
            return connect(then, page, Rule.of)
        return connect(selected.list_rules(actor=actor, service=service), page, Rule.of)

    @field(cost_with=AT_COST)
    def rule(self, info: Info, name: str, at: str | None = None) -> Rule | None:
        """One rule; with ``at`` as it was. ``None`` for one that is missing or hidden."""
        actor, point = info.context.actor, read_point(at)
        return find(info, lambda: Rule.of(selected.get_rule(actor=actor, name=name, point=point)))
