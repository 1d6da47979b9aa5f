"""Environments, services and their sections."""

from enum import Enum

import strawberry

from apps.api.graphql.acts import ACT, Sent, absent, perform, query_of
from apps.api.graphql.context import Info, find
from apps.api.graphql.environments import Environment
from apps.api.graphql.fields import field, given, node
from apps.api.graphql.inputs import Given
from apps.api.graphql.mutations.configurations import OnDependents
from apps.api.graphql.outcomes import Followers
from apps.api.graphql.scalars import Json
from apps.api.graphql.services import Section, Service
from apps.api.resources import (
    EnvironmentsView,
    EnvironmentView,
    SectionsView,
    SectionView,
    ServicesView,
    ServiceView,
)
from apps.configs.selectors import places as listed
from apps.configs.selectors import sections as selected


@strawberry.enum(description="What a section holds.")
class SectionType(Enum):
    """What a section holds."""

    APPLICATION_SETTINGS = "application_settings"
    ENVIRONMENT_VARIABLES = "environment_variables"
    SERVICE_DISCOVERY = "service_discovery"
    SECURITY_SETTINGS = "security_settings"
    FEATURE_FLAGS = "feature_flags"
    RESOURCE_LIMITS = "resource_limits"


@given
class EnvironmentMembers:
    """What is set of an environment."""

    name: str | None = absent()
    parent: str | None = absent("What it inherits from; null: nothing.")
    rank: int | None = absent()
    default: bool | None = absent()
    protected: bool | None = absent()
    required_approvals: int | None = absent()


@given
class EnvironmentInput(EnvironmentMembers):
    """A new environment."""

    slug: str


@given
class EnvironmentPatch(EnvironmentMembers):
    """What is to change of an environment; what is absent stays."""

    dependents: OnDependents | None = absent("Absent: REFUSE.")
    dry_run: bool | None = absent("Say what would follow, and store nothing.")


@node
class EnvironmentOutcome:
    """An environment after a change, and what followed from another parent."""

    environment: Environment | None
    affected: Followers
    dry_run: bool


@given
class ServicePatch:
    """What is set of a service; what is absent stays."""

    name: str | None = absent()
    description: str | None = absent()
    owner: str | None = absent("A group; null: nobody.")
    labels: Json | None = absent("An object of texts.")


@given
class ServiceInput(ServicePatch):
    """A new service."""

    slug: str


@given
class SectionPatch:
    """What is set of a section; what is absent stays."""

    type: SectionType | None = absent()
    schema: Json | None = absent("A JSON Schema.")
    description: str | None = absent()
    acknowledge: bool | None = absent("Although live configurations would fail.")


@given
class SectionInput(SectionPatch):
    """A new section."""

    key: str


def find_environment(info: Info, slug: str) -> Environment | None:
    """The environment, where the caller may know of it."""
    actor = info.context.actor
    return find(
        info, lambda: Environment.of(listed.get_counted_environment(actor=actor, slug=slug))
    )


def find_service(info: Info, slug: str) -> Service | None:
    """The service, where the caller may know of it."""
    actor = info.context.actor
    return find(info, lambda: Service.of(listed.get_listed_service(actor=actor, slug=slug)))


def find_section(info: Info, service: str, key: str) -> Section | None:
    """The section, where the caller may know of it."""
    actor = info.context.actor

    def look() -> Section:
        row = listed.get_listed_service(actor=actor, slug=service)
        return Section.of(selected.get_section(actor=actor, service=row, key=key))

    return find(info, look)


@node
class Mutations:
    """What can be done with them."""

    @field(cost=ACT)
    def create_environment(self, info: Info, input_: Given[EnvironmentInput]) -> Environment | None:
        """Make an environment; its name is for ever."""
        made = perform(info, EnvironmentsView, "post", input_)
        return find_environment(info, made["slug"])

    @field(cost=ACT)
    def update_environment(
        self, info: Info, slug: str, input_: Given[EnvironmentPatch]
    ) -> EnvironmentOutcome | None:
        """Change an environment. Another parent composes all that is below it again."""
        told = perform(info, EnvironmentView, "patch", input_, slug=slug)
        return EnvironmentOutcome(
            environment=find_environment(info, slug),
            affected=Followers.of(told["affected"]),
            dry_run=told.get("dry_run", False),
        )

    @field(cost=ACT)
    def delete_environment(self, info: Info, slug: str) -> bool | None:
        """Hide an environment. Refused while something live uses it."""
        perform(info, EnvironmentView, "delete", slug=slug)
        return True

    @field(cost=ACT)
    def create_service(self, info: Info, input_: Given[ServiceInput]) -> Service | None:
        """Register a service; its name is for ever."""
        made = perform(info, ServicesView, "post", input_)
        return find_service(info, made["slug"])

    @field(cost=ACT)
    def update_service(self, info: Info, slug: str, input_: Given[ServicePatch]) -> Service | None:
        """Change a service."""
        perform(info, ServiceView, "patch", input_, slug=slug)
        return find_service(info, slug)

    @field(cost=ACT)
    def delete_service(self, info: Info, slug: str) -> bool | None:
        """Hide a service. Refused while it has a live configuration."""
        perform(info, ServiceView, "delete", slug=slug)
        return True

    @field(cost=ACT)
    def create_section(
        self, info: Info, service: str, input_: Given[SectionInput]
    ) -> Section | None:
        """Declare a section. Refused while live configurations would fail."""
        made = perform(info, SectionsView, "post", input_, slug=service)
        return find_section(info, service, made["key"])

    @field(cost=ACT)
    def update_section(
        self, info: Info, service: str, key: str, input_: Given[SectionPatch]
    ) -> Section | None:
        """Change a section. Refused while live configurations would fail."""
        perform(info, SectionView, "patch", input_, slug=service, key=key)
        return find_section(info, service, key)

    @field(cost=ACT)
    def delete_section(
        self, info: Info, service: str, key: str, *, acknowledge: bool = False
    ) -> bool | None:
        """Take a section's declaration away. The values stay, free of a schema."""
        sent = Sent(query=query_of({"acknowledge": acknowledge}))
        perform(info, SectionView, "delete", sent, slug=service, key=key)
        return True
