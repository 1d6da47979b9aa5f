"""Secrets: writing, rotating and revealing them."""

from typing import Any

from apps.access.policy import Place
from apps.api.graphql.acts import ACT, Sent, absent, perform, query_of
from apps.api.graphql.context import Info, find
from apps.api.graphql.fields import field, given, node
from apps.api.graphql.inputs import Given
from apps.api.graphql.scalars import Json
from apps.api.graphql.secrets import RotationStatus, Secret, SecretVersion
from apps.api.secrets import (
    SecretRevealView,
    SecretRotateView,
    SecretsView,
    SecretVersionsView,
    SecretView,
)
from apps.configs.selectors.configurations import resolve_place
from apps.vault import selectors


@given
class SecretInput:
    """A new secret with its first value, which no answer shows."""

    service: str
    environment: str | None = absent("As in REST: absent, the account's own, else the default one.")
    name: str
    description: str | None = absent()
    value: Json
    rotation: Json | None = absent('{"rotator","every_days", …the rotator\'s own}.')


@given
class SecretPatch:
    """What is set of a secret beside its value; what is absent stays."""

    description: str | None = absent()
    rotation: Json | None = absent("Null takes it away.")


@node
class RevealedSecret:
    """A secret's value, in this answer alone."""

    version: int
    value: Json


def find_secret(info: Info, service: str, name: str, environment: str | None) -> Secret | None:
    """The secret, where the caller may know of it."""
    actor = info.context.actor

    def look() -> Secret:
        place: Place = resolve_place(
            actor=actor, service=service, environment=environment, verb="list"
        )
        return Secret.of(selectors.get_secret(actor=actor, place=place, name=name), info)

    return find(info, look)


def _sent(environment: str | None, body: object = None) -> Sent:
    return Sent(body, query_of({"environment": environment}))


@node
class Mutations:
    """What can be done with them."""

    @field(cost=ACT)
    def create_secret(self, info: Info, input_: Given[SecretInput]) -> Secret | None:
        """Make a secret with its first value."""
        made: dict[str, Any] = perform(info, SecretsView, "post", input_)
        return find_secret(info, made["service"], made["name"], made["environment"])

    @field(cost=ACT)
    def update_secret(
        self,
        info: Info,
        service: str,
        name: str,
        input_: Given[SecretPatch],
        environment: str | None = None,
    ) -> Secret | None:
        """Change a secret's description and rotation."""
        sent = _sent(environment, input_)
        perform(info, SecretView, "patch", sent, service=service, name=name)
        return find_secret(info, service, name, environment)

    @field(cost=ACT)
    def delete_secret(
        self, info: Info, service: str, name: str, environment: str | None = None
    ) -> bool | None:
        """Delete a secret. Refused while a live configuration uses it; then its keys are destroyed."""
        perform(info, SecretView, "delete", _sent(environment), service=service, name=name)
        return True

    @field(cost=ACT)
    def write_secret(
        self, info: Info, service: str, name: str, value: Json, environment: str | None = None
    ) -> SecretVersion | None:
        """Write a new value. It is current from now on; the one before is `previous`."""
        sent = _sent(environment, {"value": value})
        told = perform(info, SecretVersionsView, "post", sent, service=service, name=name)
        return SecretVersion(**told)

    @field(cost=ACT)
    def rotate_secret(
        self,
        info: Info,
        service: str,
        name: str,
        environment: str | None = None,
        *,
        force: bool = False,
    ) -> RotationStatus | None:
        """Begin a rotation now. With 'force' also where it ends the value before too early."""
        sent = _sent(environment, {"force": force})
        told = perform(info, SecretRotateView, "post", sent, service=service, name=name)
        return RotationStatus(**told["rotation_status"])

    @field(cost=ACT)
    def reveal_secret(
        self,
        info: Info,
        service: str,
        name: str,
        environment: str | None = None,
        version: int | None = None,
    ) -> RevealedSecret | None:
        """A secret's value: the current one, or that of a version. Audited before it is told."""
        sent = _sent(environment, {"version": version})
        told = perform(info, SecretRevealView, "post", sent, service=service, name=name)
        return RevealedSecret(**told)
