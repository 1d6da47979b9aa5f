"""Secrets: metadata everywhere; values in the answers to revealing alone."""

from typing import Any, Self

import strawberry

from apps.access import policy
from apps.access.policy import Place
from apps.api.graphql import configurations
from apps.api.graphql.context import Info, Peers, find
from apps.api.graphql.edges import ConfigurationRef
from apps.api.graphql.fields import HEAVY, field, node
from apps.api.graphql.paging import Connection, Nested, Page, connect
from apps.api.graphql.scalars import Json, Long, Time
from apps.api.points import require_point
from apps.api.secrets import (
    narrow,
    present_past,
    present_past_version,
    present_secret,
    present_status,
    present_version,
)
from apps.configs.selectors.configurations import resolve_place
from apps.configs.selectors.several import rows_at
from apps.vault import past, runs, selectors


@node
class RotationStatus:
    """How a secret's rotation stands."""

    state: str
    step: str | None
    error: str | None = strawberry.field(description="It never holds a value.")
    started_at: Time | None
    ended_at: Time | None
    next_at: Time | None
    previous_until: Time | None


@node
class SecretVersion:
    """A version of a secret, without its value."""

    version: int
    stages: list[str]
    created_at: Time
    author: str
    revision: Long
    destroyed: bool = strawberry.field(description="Its key is gone: nothing opens it.")

    @classmethod
    def of(cls, row: Any, _peers: Peers | None = None) -> Self:
        """The version of a row."""
        return cls(**present_version(row))


@node
class SecretMembers:
    """What a secret says of itself, now or then."""

    service: str
    environment: str
    name: str
    description: str
    version: int | None
    rotation: Json | None
    created_at: Time
    created_by: str


@node
class PastSecret(SecretMembers):
    """A secret as it was, without the value."""

    then: strawberry.Private[past.Past]

    @classmethod
    def of(cls, then: past.Past, info: Info) -> Self:
        """The secret as it was."""
        return cls(then=then, **present_past(then, info.context.actor))

    @field(paged=True, cost=HEAVY)
    def versions(self, page: Page) -> Connection[SecretVersion] | None:
        """The versions that there were, newest first. A page of them, with their stages."""
        rows = past.list_versions_at(self.then)
        return connect(
            rows, page, lambda row, _peers: SecretVersion(**present_past_version(row, self.then))
        )


@node
class SecretUsers:
    """The live configurations that use a secret."""

    results: list[ConfigurationRef]
    hidden: int = strawberry.field(description="How many more there are.")


@node
class Secret(SecretMembers):
    """A named value of a service in an environment, without the value."""

    row: strawberry.Private[Any]
    peers: strawberry.Private[Peers]

    @classmethod
    def of(cls, row: Any, info: Info, peers: Peers | None = None) -> Self:
        """The secret of a row."""
        peers = peers or Peers([row])
        return cls(row=row, peers=peers, **present_secret(row, info.context.actor))

    @field()
    def configuration(self) -> ConfigurationRef:
        """The configuration that it is of. The service and the environment."""
        found = self.peers.get("configurations", self.row.pk, _configurations)
        assert found is not None  # noqa: S101 - each secret is of one
        return found

    @field()
    def rotation_status(self) -> RotationStatus:
        """How its rotation stands. The last one, and the next."""
        found = self.peers.get("statuses", self.row.pk, runs.statuses_of)
        assert found is not None  # noqa: S101 - each secret has one
        return RotationStatus(**present_status(found))

    @field()
    def users(self, info: Info) -> SecretUsers:
        """The live configurations that use it.

        Those that the caller may know of, and a count of the others.
        """
        actor = info.context.actor
        used = self.peers.get("users", self.row.pk, selectors.users_of) or []
        places = [Place(each.service, each.environment) for each in used]
        seen = [each for each in places if policy.sees(actor, each)]
        return SecretUsers(results=list(configurations.several(seen)), hidden=len(used) - len(seen))

    @field(paged=True)
    def versions(self, page: Page) -> Connection[SecretVersion] | None:
        """Its versions, newest first. A page of them, with their stages."""
        versions = Nested(
            what="versions",
            by=("secret_id",),
            order=("-number",),
            rows=lambda rows: selectors.list_versions_of([each.pk for each in rows]),
            build=SecretVersion.of,
        )
        return versions.page(self.peers, (self.row.pk,), page)


def _configurations(rows: Any) -> "dict[Any, configurations.Configuration]":
    places = [selectors.place_of(each) for each in rows]
    found = configurations.several(places)
    return {row.pk: each for row, each in zip(rows, found, strict=True)}


def of_configuration(info: Info, peers: Peers, here: Any, page: Page) -> Connection[Secret]:
    """The page of a configuration's own secrets, found for all its peers at once."""
    actor = info.context.actor
    secrets = Nested(
        what="secrets",
        by=("service_id", "environment_id"),
        order=("slug",),
        rows=lambda rows: selectors.list_secrets(actor=actor).filter(
            rows_at([each.place for each in rows], prefix="")
        ),
        build=lambda row, together: Secret.of(row, info, together),
    )
    return secrets.page(peers, (here.place.service.pk, here.place.environment.pk), page)


@node
class Queries:
    """What can be asked of them."""

    @field(paged=True)
    def secrets(
        self, info: Info, page: Page, service: str | None = None, environment: str | None = None
    ) -> Connection[Secret] | None:
        """Secrets, without values. A page of those that the caller may know of."""
        rows = narrow(selectors.list_secrets(actor=info.context.actor), service, environment)
        return connect(rows, page, lambda row, peers: Secret.of(row, info, peers))

    @field()
    def secret(
        self, info: Info, service: str, name: str, environment: str | None = None
    ) -> Secret | None:
        """One secret, without its value; the environment as in REST.

        ``None`` for one that is missing or hidden.
        """
        actor = info.context.actor

        def look() -> Secret:
            place = resolve_place(
                actor=actor, service=service, environment=environment, verb="list"
            )
            return Secret.of(selectors.get_secret(actor=actor, place=place, name=name), info)

        return find(info, look)

    @field(paged=True, cost=HEAVY)
    def past_secrets(
        self,
        info: Info,
        page: Page,
        *,
        at: str,
        service: str | None = None,
        environment: str | None = None,
    ) -> Connection[PastSecret] | None:
        """The secrets that there were after the last act by a time, or by a revision.

        A page of those that the caller may know of, without values.
        """
        rows = past.list_secrets_at(
            actor=info.context.actor,
            point=require_point(at),
            service=service,
            environment=environment,
        )
        return connect(rows, page, lambda then, _peers: PastSecret.of(then, info))

    @field(cost=HEAVY)
    def past_secret(
        self, info: Info, *, at: str, service: str, name: str, environment: str | None = None
    ) -> PastSecret | None:
        """One secret as it was then, without its value; the environment as in REST.

        ``None`` for one that was missing or is hidden.
        """
        actor, point = info.context.actor, require_point(at)

        def look() -> PastSecret:
            place = resolve_place(
                actor=actor, service=service, environment=environment, verb="list"
            )
            found = past.get_secret_at(actor=actor, place=place, name=name, point=point)
            return PastSecret.of(found, info)

        return find(info, look)
