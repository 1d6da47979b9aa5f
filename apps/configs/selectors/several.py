"""What is read of one configuration, for several of them at once, in few statements."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeAlias
from uuid import UUID

from django.db.models import Q

from apps.access import policy
from apps.access.policy import Place
from apps.configs.models import Live, Version
from apps.configs.selectors.configurations import Published, as_seen
from apps.core.actor import Actor
from apps.engine.errors import DomainError

Seen: TypeAlias = Published | DomainError
"""What the actor sees, or why he sees nothing."""


def list_published(*, actor: Actor, places: Iterable[Place]) -> dict[Place, Seen]:
    """What is live at each of the places, retired ones too; those before a first publish are left
    out. Needs ``read`` at each, as :func:`find_live` does.
    """
    found, readable = _judge(actor, places)
    rows = Live.objects.select_related("version__effective", "version__source", "configuration")
    for row in rows.filter(rows_at(readable.values())) if readable else ():
        place = readable[row.configuration.service_id, row.configuration.environment_id]
        found[place] = as_seen(actor, place, row.version, row)
    return found


def list_numbered(*, actor: Actor, places: Iterable[Place], number: int) -> dict[Place, Seen]:
    """The version of that number at each of the places that has one, likewise."""
    found, readable = _judge(actor, places)
    rows = Version.objects.select_related("effective", "source", "configuration")
    for row in rows.filter(rows_at(readable.values()), number=number) if readable else ():
        place = readable[row.configuration.service_id, row.configuration.environment_id]
        found[place] = as_seen(actor, place, row, None)
    return found


def list_by_key(*, actor: Actor, wanted: Mapping[UUID, Place]) -> dict[UUID, Seen]:
    """The versions with these keys, each at its place, likewise."""
    judged, readable = _judge(actor, wanted.values())
    found: dict[UUID, Seen] = {
        key: judged[place] for key, place in wanted.items() if place in judged
    }
    places = set(readable.values())
    keys = [key for key, place in wanted.items() if place in places]
    for row in Version.objects.select_related("effective", "source").filter(pk__in=keys):
        found[row.pk] = as_seen(actor, wanted[row.pk], row, None)
    return found


def _judge(
    actor: Actor, places: Iterable[Place]
) -> tuple[dict[Place, Seen], dict[tuple[int, int], Place]]:
    """Why the actor may not read, by place; and the places that he may read, by their keys."""
    refused: dict[Place, Seen] = {}
    readable: dict[tuple[int, int], Place] = {}
    for place in places:
        try:
            policy.require(actor, "read", place)
        except DomainError as error:
            refused[place] = error
        else:
            if place.service is not None and place.environment is not None:
                readable[place.service.pk, place.environment.pk] = place
    return refused, readable


def rows_at(places: Iterable[Place], prefix: str = "configuration__") -> Q:
    """The filter that keeps rows at exactly these places; ``prefix`` leads to what has them."""
    services: defaultdict[int, list[int]] = defaultdict(list)
    for place in places:
        if place.service is not None and place.environment is not None:
            services[place.environment.pk].append(place.service.pk)
    query = Q(pk__in=[])
    for environment, keys in services.items():
        query |= Q(**{f"{prefix}environment": environment, f"{prefix}service__in": keys})
    return query
