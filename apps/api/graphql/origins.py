"""Where keys come from, what a configuration is made of, what is made of it, and who reads it."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import strawberry

from apps.api.dependencies import present_dependent
from apps.api.graphql import configurations
from apps.api.graphql.context import Info, Peers
from apps.api.graphql.edges import ConfigurationRef
from apps.api.graphql.fields import field, node
from apps.api.graphql.scalars import Json, Long, Time
from apps.api.origins import present_origin
from apps.api.versions import present_reader
from apps.configs.selectors.dependencies import Dependencies as FoundDependencies
from apps.configs.selectors.dependencies import Dependent as FoundDependent
from apps.configs.selectors.origins import Origin as FoundOrigin
from apps.configs.selectors.places import known_places
from apps.delivery.reads import Reader as FoundReader


@node
class Layer:
    """A layer of a configuration: own, environment or template."""

    kind: str
    name: str | None = None
    version: int | None = None


@node
class Target:
    """A key of a configuration."""

    service: str
    environment: str
    key: str


@node
class Origin:
    """Where one key comes from."""

    key: str
    layers: list[Layer] = strawberry.field(description="Those that give it, lowest first.")
    hides: list[Layer] = strawberry.field(description="Those that have it too, below.")
    references: list[Target]
    secrets: list[str]

    @classmethod
    def of(cls, found: FoundOrigin) -> Self:
        """The origin of a key."""
        shown = present_origin(found)
        return cls(
            key=found.key,
            layers=[Layer(**each) for each in shown["layers"]],
            hides=[Layer(**each) for each in shown["hides"]],
            references=[Target(**each) for each in shown.get("references", [])],
            secrets=shown.get("secrets", []),
        )


@node
class Reference:
    """A key here that is taken from a key there."""

    peers: strawberry.Private[Peers]
    key: str
    target: str
    service: str
    environment: str

    @field()
    def configuration(self, info: Info) -> ConfigurationRef | None:
        """What it is taken from, where the caller may know of that.

        ``None`` for one that is missing or hidden.
        """
        actor = info.context.actor

        def fetch(rows: Any) -> Mapping[Any, Any]:
            look = known_places(actor=actor, services={each[0] for each in rows})
            found = {each: place for each in rows if (place := look(*each)) is not None}
            return dict(zip(found, configurations.several(found.values()), strict=True))

        return self.peers.get("places", (self.service, self.environment), fetch)


@node
class Dependencies:
    """What a live configuration is made of."""

    layers: list[Json] = strawberry.field(description="As its lock names them, lowest first.")
    references: list[Reference]

    @classmethod
    def of(cls, found: FoundDependencies) -> Self:
        """What was found."""
        peers = Peers(list({(there, where) for there, where, _link in found.references}))
        return cls(
            layers=list(found.layers),
            references=[
                Reference(
                    peers=peers,
                    key=link.key,
                    target=link.target,
                    service=there,
                    environment=where,
                )
                for there, where, link in found.references
            ],
        )


@node
class Taken:
    """Keys of one configuration that are taken from another's."""

    key: str
    target: str


@node
class Dependent:
    """A configuration that inherits, or takes keys."""

    owner: strawberry.Private[Any]
    service: str
    environment: str
    inherits: bool
    keys: list[Taken]

    @classmethod
    def of(cls, found: FoundDependent, owner: Any) -> Self:
        """One that was found, with its configuration."""
        shown = present_dependent(found)
        keys = [Taken(**each) for each in shown.pop("keys")]
        return cls(owner=owner, keys=keys, **shown)

    @field()
    def configuration(self) -> ConfigurationRef:
        """The configuration itself. One that the caller may list."""
        owner: configurations.Configuration = self.owner
        return owner


@node
class Dependents:
    """Who would change with a configuration."""

    results: list[Dependent]
    hidden: int = strawberry.field(description="How many more there are.")

    @classmethod
    def of(cls, found: Sequence[FoundDependent], hidden: int) -> Self:
        """What was found."""
        owners = configurations.several([each.place for each in found])
        results = [Dependent.of(each, owner) for each, owner in zip(found, owners, strict=True)]
        return cls(results=results, hidden=hidden)


@node
class Reader:
    """Who was given a configuration, from the counters."""

    account: str
    first_at: Time
    last_at: Time
    count: Long
    version: int

    @classmethod
    def of(cls, found: FoundReader) -> Self:
        """One that was counted."""
        return cls(**present_reader(found))
