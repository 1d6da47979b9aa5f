"""The services and environments that somebody may know of."""

from django.db.models import Count, Q, QuerySet

from apps.access import policy
from apps.access.policy import Place
from apps.core.actor import Actor
from apps.registry.models import Environment, Service
from apps.registry.selectors import get_environment, get_service


def list_services(*, actor: Actor) -> QuerySet[Service]:
    """The services on which the actor has ``list`` in at least one environment, by name."""
    services = Service.objects.present().select_related("owner")
    rights = policy.find_rights(actor)
    if rights is None:
        return services
    listed = [service for verb, service, _environment in rights.triples if verb == "list"]
    if None in listed:
        return services
    return services.filter(pk__in=listed)


def list_environments(*, actor: Actor) -> QuerySet[Environment]:
    """The environments in which the actor has ``list`` on something, each with ``services``.

    ``services`` counts the configurations there that have a live version.
    """
    environments = (
        Environment.objects.present()
        .select_related("parent")
        .annotate(
            services=Count(
                "configurations",
                filter=Q(configurations__live__version__retired=False),
                distinct=True,
            )
        )
    )
    rights = policy.find_rights(actor)
    if rights is None:
        return environments
    listed = [environment for verb, _service, environment in rights.triples if verb == "list"]
    if None in listed:
        return environments
    return environments.filter(pk__in=listed)


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
