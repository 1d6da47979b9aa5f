"""The services and environments that somebody may know of."""

from collections.abc import Callable, Iterable
from typing import Any

from django.db.models import Count, Q

from apps.access import policy
from apps.access.policy import Place
from apps.core.actor import Actor
from apps.engine.errors import NOTHING_HERE, NotFoundError
from apps.registry.models import Environment, NamedQuerySet, Service
from apps.registry.selectors import get_environment, get_service


def list_services(*, actor: Actor) -> NamedQuerySet[Service]:
    """The services on which the actor has ``list`` in at least one environment, by name."""
    services = Service.objects.present().select_related("owner")
    listed = _listed(actor, _SERVICE)
    return services if listed is None else services.filter(pk__in=listed)


def list_environments(*, actor: Actor) -> NamedQuerySet[Environment]:
    """The environments in which the actor has ``list`` on something, by rank, with ``services``.

    ``services`` counts the configurations there that have a live version.
    """
    environments: Any = (
        Environment.objects.present()
        .select_related("parent")
        .annotate(
            services=Count(
                "configurations",
                filter=Q(configurations__live__version__retired=False),
                distinct=True,
            )
        )
        .order_by("rank", "slug")  # Django leaves a model's own order out where it counts
    )
    listed = _listed(actor, _ENVIRONMENT)
    found: NamedQuerySet[Environment] = (
        environments if listed is None else environments.filter(pk__in=listed)
    )
    return found


_SERVICE, _ENVIRONMENT = 1, 2


def _listed(actor: Actor, part: int) -> set[Any] | None:
    """The keys of the services or environments that the actor may list; ``None``: all."""
    rights = policy.find_rights(actor)
    if rights is None:
        return None
    listed = {triple[part] for triple in rights.triples if triple[0] == "list"}
    return None if None in listed else listed


def known_places(*, actor: Actor, services: Iterable[str]) -> Callable[[str, str], Place | None]:
    """Finds configurations of those services by names in any case, where the actor may know of them.

    Two statements, however many there are.
    """
    wanted = {each.lower() for each in services}
    rows = list_services(actor=actor).filter(slug__lower__in=wanted) if wanted else ()
    by_name = {each.slug.lower(): each for each in rows}
    environments = list_environments(actor=actor) if by_name else ()
    by_slug = {each.slug.lower(): each for each in environments}

    def find(service: str, environment: str) -> Place | None:
        there = Place(by_name.get(service.lower()), by_slug.get(environment.lower()))
        is_whole = there.service is not None and there.environment is not None
        return there if is_whole and policy.sees(actor, there) else None

    return find


def get_counted_environment(*, actor: Actor, slug: str) -> Environment:
    """An environment with its count of ``services``. Raises :class:`NotFoundError`."""
    found = list_environments(actor=actor).named(slug).first()
    if found is None:
        raise NotFoundError(NOTHING_HERE)
    return found


def get_listed_service(*, actor: Actor, slug: str) -> Service:
    """A service that the actor may know of. Raises :class:`NotFoundError` otherwise."""
    service = get_service(slug)
    policy.require_sight(actor, Place(service))
    return service


def get_listed_environment(*, actor: Actor, slug: str) -> Environment:
    """An environment that the actor may know of. Raises :class:`NotFoundError` otherwise."""
    environment = get_environment(slug)
    policy.require_sight(actor, Place(environment=environment))
    return environment
