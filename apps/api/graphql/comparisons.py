"""What differs between two states of a configuration."""

from typing import Self

import strawberry

from apps.access.policy import Place
from apps.api.graphql import configurations, versions
from apps.api.graphql.edges import VersionRef
from apps.api.graphql.fields import HEAVY, field, node
from apps.api.graphql.scalars import Json
from apps.api.versions import render_unified
from apps.configs.selectors.comparing import Comparison
from apps.configs.selectors.configurations import Published
from apps.registry.selectors import get_environment


@node
class Diff:
    """What differs between two states of a service's configuration."""

    found: strawberry.Private[Comparison]
    place: strawberry.Private[Place]

    @classmethod
    def of(cls, found: Comparison, place: Place) -> Self:
        """The difference that was found from a place."""
        return cls(found=found, place=place)

    @field(name="from")
    def old(self) -> VersionRef:
        """The old side. What was compared."""
        return self._version(self.found.old)

    @field(name="to")
    def new(self) -> VersionRef:
        """The new side. What it was compared with."""
        return self._version(self.found.new)

    @field(cost=HEAVY)
    def changes(self) -> list[Json]:
        """By key, items of lists by their names. As REST lists them."""
        return [each.as_dict() for each in self.found.changes()]

    @field(cost=HEAVY)
    def patch(self) -> Json:
        """The JSON Patch (RFC 6902) from old to new. A list of operations."""
        return self.found.patch()

    @field(cost=HEAVY)
    def unified(self) -> str:
        """As text, in the format of the new side. A unified diff."""
        return render_unified(self.found)

    def _version(self, side: Published) -> "versions.Version":
        place, here = self.place, self.place.environment
        if here is None or here.slug != side.environment:
            place = Place(place.service, get_environment(side.environment))
        return versions.Version.of(side, configurations.Configuration.at(place))
