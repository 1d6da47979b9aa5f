"""What is asked by giving a document: nothing is stored."""

from typing import Annotated

import strawberry

from apps.api.graphql.acts import absent, inquire
from apps.api.graphql.context import Info
from apps.api.graphql.fields import HEAVY, field, given, node
from apps.api.graphql.inputs import Extend, Given
from apps.api.graphql.outcomes import Finding, Followers, KeyChange
from apps.api.graphql.scalars import Json
from apps.api.resources import TemplateRenderView
from apps.api.versions import ValidateView

With = Annotated[Json | None, strawberry.argument(name="with")]


@given
class ValidateInput:
    """A document for a configuration, or 'schema' and 'config' alone."""

    service: str | None = absent()
    environment: str | None = absent()
    config: Json | None = absent()
    content: str | None = absent("The text as it is written.")
    format: str | None = absent("json, yaml, toml, xml, env or properties.")
    extends: list[Extend] | None = absent("The templates below. Absent: none.")
    schema: Json | None = absent("A JSON Schema.")


@node
class Report:
    """What publishing a document would meet."""

    valid: bool
    errors: list[Finding]
    warnings: list[Finding]
    changes: list[KeyChange]
    affected: Followers


@node
class Queries:
    """What can be asked so."""

    @field(cost=HEAVY)
    def validate(self, info: Info, input_: Given[ValidateInput]) -> Report | None:
        """Whether a document is valid. As a publish would judge it; ``None`` where the place is hidden."""
        told = inquire(info, ValidateView, input_)
        if told is None:
            return None
        return Report(
            valid=told["valid"],
            errors=Finding.all(told["errors"]),
            warnings=Finding.all(told["warnings"]),
            changes=[KeyChange.of(each) for each in told["changes"]],
            affected=Followers.of(told["affected"]),
        )

    @field(cost=HEAVY, name="render")
    def render_template(
        self, info: Info, template: str, with_: With = None, version: int | None = None
    ) -> Json | None:
        """What a template gives with parameters. References stay as they are written."""
        asked = {"with": with_, "version": version}
        told = inquire(info, TemplateRenderView, asked, slug=template)
        return None if told is None else told["content"]
