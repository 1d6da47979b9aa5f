"""Reading sections, as they are and as they were."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from django.db.models import QuerySet

from apps.access import policy
from apps.access.policy import Place
from apps.audit.selectors import Point, last_states
from apps.configs.models import Section
from apps.core.actor import Actor
from apps.engine.errors import NotFoundError
from apps.engine.values import Tree
from apps.registry.models import Service

ACTIONS: Final = ("section.created", "section.updated", "section.deleted")
"""Each act on a section writes one row of its history."""


def list_sections(
    *, actor: Actor, service: Service, point: Point | None = None
) -> Sequence[Section] | QuerySet[Section]:
    """The service's sections by key (as of ``point``). Needs ``list`` on it."""
    policy.require_sight(actor, Place(service))
    if point is not None:
        return _as_of({service.pk: service.slug}, point)
    return Section.objects.filter(service=service)


def list_sections_of(*, actor: Actor, services: Iterable[int]) -> QuerySet[Section]:
    """The sections of several services, of which the actor sees each, by service and key."""
    rights = policy.find_rights(actor)
    seen = [each for each in services if rights is None or rights.touches_service("list", each)]
    return Section.objects.filter(service__in=seen).order_by("service", "key")


def get_section(*, actor: Actor, service: Service, key: str, point: Point | None = None) -> Section:
    """One section by its key (as of ``point``). Raises :class:`NotFoundError`."""
    rows = list_sections(actor=actor, service=service, point=point)
    found = next((each for each in rows if each.key == key), None)
    if found is None:
        raise NotFoundError("There is no such section.")
    return found


def list_sections_at(*, actor: Actor, services: Iterable[Service], point: Point) -> list[Section]:
    """The sections of several services as of ``point``, of which the actor sees each, likewise."""
    rights = policy.find_rights(actor)
    seen = [each for each in services if rights is None or rights.touches_service("list", each.pk)]
    return _as_of({each.pk: each.slug for each in seen}, point)


def _as_of(services: Mapping[int, str], point: Point) -> list[Section]:
    states = defaultdict(list)
    for state in Section.history.filter(service__in=services).order_by("history_id"):
        states[target_of(services[state.service_id], state.key)].append(state)
    last = last_states(states, actions=ACTIONS, point=point)
    found = [each.instance for each in last if each.history_type != "-"]
    return sorted(found, key=lambda each: (each.service_id, each.key))


def target_of(service: str, key: str) -> str:
    """What the ledger calls a section."""
    return f"section:{service}:{key}"


def env_sections(
    service: Service, tree: Tree, point: Point | None = None
) -> tuple[str, ...] | None:
    """The keys of ``tree`` that are the service's sections of type environment variables (as of
    ``point``), whoever may know of them; ``None`` where the service has none.
    """
    rows = Section.objects.filter(service=service)
    found = rows if point is None else _as_of({service.pk: service.slug}, point)
    keys = [each.key for each in found if each.type == "environment_variables"]
    return tuple(key for key in keys if key in tree) if keys else None
