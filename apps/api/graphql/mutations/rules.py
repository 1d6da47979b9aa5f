"""The rules that documents must keep."""

from enum import Enum
from typing import Any

import strawberry

from apps.api.graphql.acts import ACT, absent, perform
from apps.api.graphql.context import Info
from apps.api.graphql.fields import field, given, node
from apps.api.graphql.inputs import Given
from apps.api.graphql.rules import ABSENT, Rule
from apps.api.graphql.scalars import Json
from apps.api.rules import RulesView, RuleView


@strawberry.enum(description="Whether a broken rule refuses a publish, or is told with it.")
class Severity(Enum):
    """What a broken rule does."""

    ERROR = "error"
    WARNING = "warning"


@given
class RulePatch:
    """What is set of a rule: 'expression', or 'key' and 'equals'. What is absent stays."""

    severity: Severity | None = absent()
    expression: str | None = absent("CEL.")
    key: str | None = absent()
    equals: Json | None = absent()
    message: str | None = absent()
    description: str | None = absent()
    tests: Json | None = absent('[{"config":{…},"holds":true}].')
    acknowledge: bool | None = absent("Although live configurations would break it.")


@given
class RuleInput(RulePatch):
    """A new rule, and where it holds: in a service, an environment, both, or everywhere."""

    name: str
    service: str | None = absent()
    environment: str | None = absent()


@node
class Mutations:
    """What can be done with them."""

    @field(cost=ACT)
    def create_rule(self, info: Info, input_: Given[RuleInput]) -> Rule | None:
        """Make a rule. Refused while live configurations would break it."""
        made: dict[str, Any] = perform(info, RulesView, "post", input_)
        return Rule(**{**ABSENT, **made})

    @field(cost=ACT)
    def update_rule(self, info: Info, name: str, input_: Given[RulePatch]) -> Rule | None:
        """Change a rule. Its name and scope stay."""
        made: dict[str, Any] = perform(info, RuleView, "patch", input_, name=name)
        return Rule(**{**ABSENT, **made})

    @field(cost=ACT)
    def delete_rule(self, info: Info, name: str) -> bool | None:
        """End a rule. Nothing is held against it from the next publish on."""
        perform(info, RuleView, "delete", name=name)
        return True
