"""The services and environments that somebody may know of, as they are and as they were."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final

from django.db.models import Count, Q

from apps.access import policy
from apps.access.policy import Place
from apps.audit.selectors import Point, last_states
from apps.configs.selectors.configurations import list_served_at
from apps.core.actor import Actor
from apps.engine.errors import NOTHING_HERE, NotFoundError
from apps.registry.models import INSTALLATION, Environment, NamedQuerySet, Service
from apps.registry.selectors import get_environment, get_service

SERVICE_ACTIONS: Final = ("service.created", "service.updated", "service.deleted")
ENVIRONMENT_ACTIONS: Final = ("environment.created", "environment.updated", "environment.deleted")
"""Each act on one writes one row of its history."""


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


def get_counted_environment(*, actor: Actor, slug: str, point: Point | None = None) -> Environment:
    """An environment with its count of ``services`` (as of ``point``). Raises :class:`NotFoundError`."""
    if point is None:
        found = list_environments(actor=actor).named(slug).first()
    else:
        then = list_environments_at(actor=actor, point=point)
        found = next((each for each in then if each.slug.lower() == slug.lower()), None)
    if found is None:
        raise NotFoundError(NOTHING_HERE)
    return found


def get_listed_service(*, actor: Actor, slug: str, point: Point | None = None) -> Service:
    """A service that the actor may know of (as of ``point``). Raises :class:`NotFoundError` otherwise."""
    service = get_service(slug)
    policy.require_sight(actor, Place(service))
    if point is None:
        return service
    then = _services_at([service], point)
    if not then:
        raise NotFoundError(NOTHING_HERE)
    return then[0]


def get_listed_environment(*, actor: Actor, slug: str) -> Environment:
    """An environment that the actor may know of. Raises :class:`NotFoundError` otherwise."""
    environment = get_environment(slug)
    policy.require_sight(actor, Place(environment=environment))
    return environment


def list_services_at(*, actor: Actor, point: Point) -> list[Service]:
    """The services that there were as of ``point``, as they were, by name: of those there are now the
    ones that the actor may know of.
    """
    return _services_at(list_services(actor=actor), point)


def _services_at(services: Iterable[Service], point: Point) -> list[Service]:
    order = {each.pk: position for position, each in enumerate(services)}
    states = defaultdict(list)
    history = Service.history.filter(id__in=order).select_related("owner")
    for state in history.order_by("history_id"):
        states[f"service:{state.slug}"].append(state)
    found = []
    for state in last_states(states, actions=SERVICE_ACTIONS, point=point):
        row = state.instance
        row.owner = state.owner
        found.append(row)
    return sorted(found, key=lambda each: order[each.pk])


def list_environments_at(*, actor: Actor, point: Point) -> list[Environment]:
    """The environments that there were as of ``point``, likewise, by rank, with ``services``."""
    listed = {each.pk for each in list_environments(actor=actor)}
    states: dict[str, list[Any]] = defaultdict(list)
    first: list[str] = []
    for state in Environment.history.select_related("parent").order_by("history_id"):
        target = f"environment:{state.slug}"
        if state.history_change_reason == INSTALLATION:
            first.append(target)
            states[target].insert(0, state)
        else:
            states[target].append(state)
    last = last_states(states, actions=ENVIRONMENT_ACTIONS, point=point, first=first)
    served = list_served_at(point, Q()).filter(retired=False).order_by()
    counts = served.values_list("configuration__environment").annotate(Count("pk"))
    services = dict(counts)
    # another one that becomes the default says so, and not the one that was it
    default = next((each for each in reversed(last) if each.is_default), None)
    found = []
    for state in last:
        if state.id in listed:
            row = state.instance
            row.parent, row.is_default = state.parent, state is default
            row.services = services.get(row.pk, 0)
            found.append(row)
    return sorted(found, key=lambda each: (each.rank, each.slug))
