"""What writes answer."""

from typing import Any, Self

import strawberry

from apps.access.policy import Place
from apps.api.graphql import configurations
from apps.api.graphql.context import Info, find
from apps.api.graphql.edges import ConfigurationRef
from apps.api.graphql.fields import field, node
from apps.api.graphql.scalars import Json, Long
from apps.configs.selectors.configurations import resolve_place

ABSENT = dict.fromkeys(("old", "new", "origin", "to", "item"))


@node
class KeyChange:
    """What differs at one key."""

    key: str
    pointer: str
    kind: str = strawberry.field(description="added, removed, changed, moved or renamed.")
    old: Json | None = strawberry.field(description="For what was changed or removed.")
    new: Json | None = strawberry.field(description="For what was changed or added.")
    origin: int | None = strawberry.field(name="from", description="Where an item was that moved.")
    to: int | None
    item: Json | None = strawberry.field(description="The name of a list's item.")

    @classmethod
    def of(cls, told: Any) -> Self:
        """The change that REST tells of."""
        return cls(**{**ABSENT, **{_python_name(name): each for name, each in told.items()}})


def _python_name(name: str) -> str:
    return "origin" if name == "from" else name


@node
class Finding:
    """A problem with one place of a document."""

    pointer: str
    code: str
    message: str
    line: int | None = None
    column: int | None = None
    service: str | None = None
    environment: str | None = None

    @classmethod
    def all(cls, told: Any) -> list[Self]:
        """The findings that REST tells of."""
        return [cls(**each) for each in told]


@node
class Affected:
    """A configuration that followed from a write."""

    service: str
    environment: str
    changes: list[KeyChange]
    outdated: str | None = strawberry.field(description="Why it was left as it is.")


@node
class Followers:
    """What followed from a write: those that the caller may list, and a count of the others."""

    results: list[Affected]
    hidden: int

    @classmethod
    def of(cls, told: Any) -> Self:
        """Those that REST tells of."""
        shown = [
            Affected(
                service=each["service"],
                environment=each["environment"],
                changes=[KeyChange.of(change) for change in each["changes"]],
                outdated=each.get("outdated") or None,
            )
            for each in told
            if "service" in each
        ]
        return cls(results=shown, hidden=sum(each.get("hidden", 0) for each in told))


@node
class Outcome:
    """What a write of a configuration did, or would do."""

    where: strawberry.Private[tuple[str, str | None]]
    version: int | None = strawberry.field(description="Null for a dry run.")
    revision: Long | None
    checksum: str
    changes: list[KeyChange]
    affected: Followers
    warnings: list[Finding]
    unchanged: bool
    pinned: bool
    dry_run: bool

    @classmethod
    def of(cls, told: Any, service: str, environment: str | None) -> Self:
        """What REST tells of it."""
        return cls(
            where=(service, environment),
            version=told.get("version"),
            revision=told.get("revision"),
            checksum=told["checksum"],
            changes=[KeyChange.of(each) for each in told["changes"]],
            affected=Followers.of(told["affected"]),
            warnings=Finding.all(told["warnings"]),
            **{name: told.get(name, False) for name in ("unchanged", "pinned", "dry_run")},
        )

    @field()
    def configuration(self, info: Info) -> ConfigurationRef | None:
        """The configuration as it is now. The service and the environment."""
        return find_configuration(info, *self.where)


def find_configuration(
    info: Info, service: str, environment: str | None
) -> "configurations.Configuration | None":
    """The configuration, where the caller may know of it."""
    actor = info.context.actor

    def look() -> Place:
        return resolve_place(actor=actor, service=service, environment=environment, verb="list")

    place = find(info, look)
    return None if place is None else configurations.Configuration.at(place)
