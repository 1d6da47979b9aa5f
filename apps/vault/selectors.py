"""Finding secrets by name, and what is known of them without their values."""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Max, Prefetch, Q, QuerySet, prefetch_related_objects

from apps.access import policy
from apps.access.policy import Place
from apps.access.rights import rights_of
from apps.core.actor import Actor
from apps.engine.errors import NOTHING_HERE, NotFoundError, SealedError
from apps.engine.paths import Name, Path
from apps.registry.models import Configuration, Environment, Service
from apps.registry.selectors import ancestors, find_service
from apps.vault.models import (
    KnownKey,
    Secret,
    SecretStage,
    SecretUse,
    SecretVersion,
    WrappedKey,
)
from apps.vault.providers import key_provider


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for at a place: the secret and its current version."""

    secret: Secret
    version: SecretVersion

    @property
    def place(self) -> Place:
        """The secret's own place: what its rights hang on."""
        return Place(self.secret.service, self.secret.environment)


def key_of(slug: str) -> Path:
    """The key by which rules guard a secret: ``$secret.NAME``."""
    return ("$secret", Name(slug))


def place_of(secret: Secret) -> Place:
    """What the rights of a secret hang on."""
    return Place(secret.service, secret.environment)


def find_named(place: Place, names: Iterable[str]) -> dict[str, Found]:
    """The secrets that names stand for in a configuration at ``place``; unknown ones are left out.

    ``name`` is a secret of the same service, ``service/name`` of another; in the environment of
    the place, else in the nearest of its parents that has one.
    """
    if place.service is None or place.environment is None:
        return {}
    order = [place.environment, *ancestors(place.environment)]
    found: dict[str, Found] = {}
    for name in names:
        service, slug = split_name(place.service, name)
        secret = _nearest(service, slug, order) if service else None
        if secret is not None:
            found[name] = secret
    return found


def split_name(own: Service, name: str) -> tuple[Service | None, str]:
    """The service that a name is about (``None``: there is none), and the secret's own name."""
    service, slash, slug = name.rpartition("/")
    return (find_service(service), slug) if slash else (own, slug)


def _nearest(service: Service, slug: str, order: list[Environment]) -> Found | None:
    rows = (
        SecretStage.objects.select_related(
            "version", "secret__service", "secret__environment", "version__wrapped"
        )
        .filter(
            stage="current",
            secret__service=service,
            secret__environment__in=order,
            secret__slug__lower=slug.lower(),
            secret__deleted_at__isnull=True,
        )
        .order_by()
    )
    by_environment = {row.secret.environment_id: row for row in rows}
    for environment in order:
        if environment.pk in by_environment:
            row = by_environment[environment.pk]
            return Found(row.secret, row.version)
    return None


_CURRENT = Max("versions__number", filter=Q(versions__stages__stage="current"))


def list_secrets(*, actor: Actor, service: Service | None = None) -> QuerySet[Secret]:
    """The secrets that the actor may know of, by service, rank and name, each with ``current``, that
    version's number.
    """
    rows: QuerySet[Secret] = (
        Secret.objects.present()
        .select_related("service", "environment", "rotation__connection")
        .annotate(current=_CURRENT)
        .order_by(
            "service__slug", "environment__rank", "slug"
        )  # where it counts, the model's is not
    )
    if service is not None:
        rows = rows.filter(service=service)
    if actor.is_superuser:
        return rows
    rights = rights_of(actor)
    seen = [
        row.pk
        for row in rows
        if rights.guard("list", row.service_id, row.environment_id).allows(key_of(row.slug))
    ]
    return rows.filter(pk__in=seen)


def get_secret(*, actor: Actor, place: Place, name: str) -> Secret:
    """The secret of that name at exactly this place. Raises :class:`NotFoundError`, too for those
    who may not ``list`` there.
    """
    policy.require(actor, "list", place)
    found = (
        Secret.objects.named(name)
        .select_related("service", "environment", "rotation__connection")
        .annotate(current=_CURRENT)
        .filter(service=place.service, environment=place.environment)
        .first()
    )
    # names are found without case, and rules go by the name as it is registered
    if found is None or not policy.allowed(actor, "list", place, [key_of(found.slug)]):
        raise NotFoundError(NOTHING_HERE)
    return found


def list_versions(secret: Secret) -> QuerySet[SecretVersion]:
    """The versions of a secret, newest first, with their stages; never the values."""
    return list_versions_of([secret.pk])


def list_versions_of(secrets: Iterable[uuid.UUID]) -> QuerySet[SecretVersion]:
    """The versions of several secrets, likewise."""
    rows = SecretVersion.objects.filter(secret__in=secrets).order_by("secret", "-number")
    return rows.select_related("wrapped").prefetch_related("stages").defer("sealed")


def list_users(secret: Secret) -> list[Configuration]:
    """The live configurations in which the secret's name stands for this secret."""
    return users_of([secret])[secret.pk]


def users_of(secrets: Collection[Secret]) -> dict[uuid.UUID, list[Configuration]]:
    """For each of the secrets the live configurations that use it, in three statements.

    One that has no value yet is taken as having one: it is about to be made.
    """
    services = {each.service_id for each in secrets}
    slugs = {each.slug.lower() for each in secrets}
    current = SecretStage.objects.filter(
        stage="current",
        secret__service__in=services,
        secret__slug__lower__in=slugs,
        secret__deleted_at__isnull=True,
    ).values_list("secret__service", "secret__slug", "secret__environment", "secret")
    at = {(service, slug.lower(), environment): pk for service, slug, environment, pk in current}
    at |= {(each.service_id, each.slug.lower(), each.environment_id): each.pk for each in secrets}
    parents = dict(Environment.objects.values_list("pk", "parent"))
    uses = SecretUse.objects.select_related(
        "configuration__service", "configuration__environment"
    ).filter(service__in=services, slug__in=slugs)
    users: dict[uuid.UUID, list[Configuration]] = {each.pk: [] for each in secrets}
    for use in uses:
        chain = _chain(use.configuration.environment_id, parents)
        found = (at.get((use.service_id, use.slug, each)) for each in chain)
        meant = next((pk for pk in found if pk is not None), None)
        if meant in users:
            users[meant].append(use.configuration)
    return users


def _chain(environment: int, parents: Mapping[int, int | None]) -> list[int]:
    """An environment and its parents, nearest first."""
    chain: list[int] = []
    above: int | None = environment
    while above is not None and above not in chain:
        chain.append(above)
        above = parents.get(above)
    return chain


def list_usable(*, actor: Actor, place: Place) -> list[Secret]:
    """The secrets that a name without a service can stand for at ``place``, by name: its own, and
    the nearest of those of its parents; those that the actor may know of.
    """
    if place.service is None or place.environment is None:
        return []
    order = [each.pk for each in (place.environment, *ancestors(place.environment))]
    rows = list_secrets(actor=actor, service=place.service).filter(
        environment__in=order, stages__stage="current"
    )
    nearest: dict[str, Secret] = {}
    for row in sorted(rows, key=lambda each: order.index(each.environment_id)):
        nearest.setdefault(row.slug.lower(), row)
    return [nearest[name] for name in sorted(nearest)]


def may_name(actor: Actor, secret: Secret) -> bool:
    """Whether the actor may write the secret's name into a configuration."""
    return policy.allowed(actor, "edit", place_of(secret), [key_of(secret.slug)])


def with_stages(secrets: Iterable[Secret]) -> list[Secret]:
    """The same secrets with their stages and the versions of these; never the values."""
    found = list(secrets)
    versions = SecretStage.objects.select_related("version").defer("version__sealed")
    prefetch_related_objects(found, Prefetch("stages", versions.order_by("stage")))
    return found


def is_sealed() -> bool:
    """Whether secrets cannot be opened: no key is here, or none of those that wrapped them."""
    try:
        key_provider().current()
        known = WrappedKey.objects.filter(key_id__in=KnownKey.objects.values("key_id"))
        ids = list(known.order_by().values_list("key_id", flat=True).distinct())
    except SealedError:
        return True
    return bool(ids) and not any(_is_held(each) for each in ids)


def _is_held(key_id: str) -> bool:
    try:
        return key_provider().holds(key_id)
    except SealedError:
        return False
