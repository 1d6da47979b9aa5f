"""Templates and their versions."""

from typing import Any

from apps.api.graphql.acts import ACT, absent, perform
from apps.api.graphql.context import Info, find
from apps.api.graphql.fields import field, given, node
from apps.api.graphql.inputs import Extend, Given
from apps.api.graphql.mutations.configurations import OnDependents
from apps.api.graphql.outcomes import Followers
from apps.api.graphql.scalars import Json
from apps.api.graphql.templates import Template, TemplateVersion
from apps.api.resources import TemplatesView, TemplateVersionsView, TemplateView
from apps.configs.selectors import templates as selected


@given
class TemplateVersionInput:
    """What a template says."""

    content: Json
    parameters: Json | None = absent("The JSON Schema of what it takes.")
    extends: list[Extend] | None = absent("The templates below.")
    message: str | None = absent("Why.")
    base_version: int | None = absent("The version that this is a change of.")
    dependents: OnDependents | None = absent("Absent: REFUSE.")
    dry_run: bool | None = absent("Say what would follow, and store nothing.")


@given
class TemplateInput:
    """A new template with its first version."""

    slug: str
    name: str | None = absent()
    content: Json
    parameters: Json | None = absent("The JSON Schema of what it takes.")
    extends: list[Extend] | None = absent("The templates below.")
    message: str | None = absent("Why.")


@node
class TemplateOutcome:
    """What publishing a version of a template did, or would do."""

    version: TemplateVersion | None
    affected: Followers
    unchanged: bool
    dry_run: bool

    @classmethod
    def of(cls, told: Any) -> "TemplateOutcome":
        """What REST tells of it."""
        marks = {name: told.pop(name, False) for name in ("unchanged", "dry_run")}
        followers = Followers.of(told.pop("affected"))
        version = None if marks["dry_run"] else TemplateVersion(**told)
        return cls(version=version, affected=followers, **marks)


def find_template(info: Info, slug: str) -> Template | None:
    """The template, where the caller may know of it."""
    actor = info.context.actor
    return find(info, lambda: Template.of(selected.get_template(actor=actor, slug=slug)))


@node
class Mutations:
    """What can be done with them."""

    @field(cost=ACT)
    def create_template(self, info: Info, input_: Given[TemplateInput]) -> Template | None:
        """Make a template with its first version; its name is for ever."""
        made = perform(info, TemplatesView, "post", input_)
        return find_template(info, made["slug"])

    @field(cost=ACT)
    def publish_template(
        self, info: Info, slug: str, input_: Given[TemplateVersionInput]
    ) -> TemplateOutcome | None:
        """Publish a version of a template. Its users follow in the same act."""
        return TemplateOutcome.of(perform(info, TemplateVersionsView, "post", input_, slug=slug))

    @field(cost=ACT)
    def rename_template(self, info: Info, slug: str, name: str) -> Template | None:
        """Change a template's title."""
        perform(info, TemplateView, "patch", {"name": name}, slug=slug)
        return find_template(info, slug)

    @field(cost=ACT)
    def delete_template(self, info: Info, slug: str) -> bool | None:
        """Hide a template. Refused while a live configuration extends it."""
        perform(info, TemplateView, "delete", slug=slug)
        return True
