"""Keys of a service in all its environments: what each has, and which layer gave it."""

import contextlib
from dataclasses import dataclass, replace

from apps.access import policy
from apps.access.policy import Place
from apps.access.rights import generation
from apps.audit.selectors import Point
from apps.configs.selectors.configurations import Published, find_live, get_as_of
from apps.configs.selectors.origins import Chosen, Origin, trace
from apps.configs.selectors.places import get_listed_service, list_environments
from apps.core.actor import Actor
from apps.engine import paths
from apps.engine.errors import GoneError, NotFoundError
from apps.engine.values import Tree
from apps.registry.models import Service


@dataclass(frozen=True, slots=True)
class Column:
    """An environment in which the actor may read the service; ``live`` is ``None`` where nothing
    is live, or what was is retired.
    """

    place: Place
    live: Published | None


@dataclass(frozen=True, slots=True)
class Value:
    """What one environment has at a key, with secrets by their names, and where it comes from."""

    tree: Tree
    origin: Origin


@dataclass(frozen=True, slots=True)
class Across:
    """The columns by rank, and by key the value in each of them; ``None``: nothing is there, or
    nothing that the actor may know of.
    """

    columns: list[Column]
    keys: dict[str, list[Value | None]]


def get_across(
    *, actor: Actor, service: Service, chosen: Chosen, point: Point | None = None
) -> Across:
    """The ``chosen`` keys in every environment where the actor may ``read`` the service, with ``point``
    as they were then.

    Keys are in the order of the first environment that has them; a list is one key. Raises
    :class:`NotFoundError` for a service that he may not know of, :class:`ForbiddenError` where he
    may read it nowhere.
    """
    reader = replace(actor, generation=generation())
    service = get_listed_service(actor=reader, slug=service.slug)
    seen = [
        place
        for each in list_environments(actor=reader)
        if policy.sees(reader, place := Place(service, each))
    ]
    places = [place for place in seen if policy.allowed(reader, "read", place)]
    if not places:
        policy.require(reader, "read", seen[0] if seen else Place(service))
    columns = [Column(place, _find_served(reader, place, point)) for place in places]
    keys: dict[str, list[Value | None]] = {}
    for index, column in enumerate(columns):
        if column.live is None:
            continue
        tree = column.live.tree
        for origin in trace(actor=reader, place=column.place, live=column.live, chosen=chosen):
            row = keys.setdefault(origin.key, [None] * len(columns))
            row[index] = Value(paths.find(tree, paths.parse_path(origin.key))[1], origin)
    return Across(columns, keys)


def _find_served(reader: Actor, place: Place, point: Point | None) -> Published | None:
    if point is not None:
        with contextlib.suppress(NotFoundError, GoneError):
            return get_as_of(actor=reader, place=place, revision=point.revision)
        return None
    found = find_live(actor=reader, place=place)
    return None if found is None or found.row.retired else found
