"""What a configuration is made of beside its own document, and what is made of it."""

from collections import defaultdict
from dataclasses import dataclass

from django.db.models import Q

from apps.access import policy
from apps.access.policy import Place
from apps.audit.selectors import Point
from apps.configs.referring import list_rows_to
from apps.configs.restricted import shown_extends
from apps.configs.selectors.configurations import get_served, list_served_at
from apps.configs.selectors.heirs import list_heirs
from apps.configs.world import name_of
from apps.core.actor import Actor
from apps.engine.errors import GoneError, NotFoundError
from apps.engine.paths import format_path, parse_path
from apps.engine.uses import Name, load_uses
from apps.engine.values import Tree, canonical, parse_canonical


@dataclass(frozen=True, slots=True)
class Link:
    """A key here that comes from a key there."""

    key: str
    target: str


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Where a live version comes from: the layers of its lock, and the keys that it refers to."""

    layers: list[dict[str, Tree]]
    references: list[tuple[str, str, Link]]


@dataclass(frozen=True, slots=True)
class Dependent:
    """A live configuration that inherits, or refers to some keys."""

    place: Place
    inherits: bool
    links: list[Link]


def list_dependencies(*, actor: Actor, place: Place, point: Point | None = None) -> Dependencies:
    """What the live version at ``place`` (or what was, as of ``point``) is made of, in the actor's
    view; nothing where nothing is. Needs ``read``.

    References are those in the documents that make it, not those that lead on from there.
    """
    try:
        live = get_served(actor=actor, place=place, point=point)
    except (NotFoundError, GoneError):
        policy.require(actor, "read", place)
        return Dependencies([], [])
    guard = policy.guard(actor, "read", place)
    lock = [each for each in parse_canonical(live.row.lock) if "reference" not in each]
    layers = shown_extends(lock, guard)
    uses = [use for use in load_uses(parse_canonical(live.row.uses)) if use.hops == 1]
    keys = [format_path(use.path) for use in uses]
    seen = set(guard.allowed_keys(keys, parse_canonical(live.row.effective.content)))
    links = [
        (key, use.target.document, format_path(use.target.path))
        for key, use in zip(keys, uses, strict=True)
        if key in seen
    ]
    return Dependencies(
        layers,
        [
            (document.service, document.environment, Link(key, target))
            for key, document, target in sorted(links)
        ],
    )


def list_dependents(
    *, actor: Actor, place: Place, point: Point | None = None
) -> tuple[list[Dependent], int]:
    """Who inherits from the configuration or refers to its keys (or did, as of ``point``), and how many
    more there are that the actor may not list. Needs ``read`` here; of keys he is told what he may see on
    both sides.
    """
    found, hidden = find_dependents(actor=actor, place=place, point=point)
    return found, len(hidden)


def find_dependents(
    *, actor: Actor, place: Place, point: Point | None = None
) -> tuple[list[Dependent], set[Place]]:
    """The same with those that are to be counted only, for who adds several counts up."""
    policy.require(actor, "read", place)
    if place.service is None or place.environment is None:
        return [], set()
    name = name_of(place.service, place.environment)
    heirs, uses = _tied_now(place, name) if point is None else _tied_at(place, name, point)
    links: dict[Place, list[Link]] = defaultdict(list)
    here = policy.guard(actor, "list", place)
    for at, link in uses:
        links[at] += (
            [link]
            if here.allows(parse_path(link.target))
            and policy.guard(actor, "list", at).allows(parse_path(link.key))
            else []
        )
    places = sorted({*heirs, *links}, key=str)
    found = [
        Dependent(each, each in heirs, sorted(links[each], key=lambda link: link.key))
        for each in places
        if policy.sees(actor, each) and (each in heirs or links[each])
    ]
    return found, set(places) - {each.place for each in found}


_Tied = tuple[list[Place], list[tuple[Place, Link]]]
"""Who inherits, and who refers to which key."""


def _tied_now(place: Place, name: Name) -> _Tied:
    uses = [
        (Place(row.configuration.service, row.configuration.environment), Link(row.key, row.target))
        for row in list_rows_to({name})
        if row.hops == 1
    ]
    return list_heirs([place]), uses


def _tied_at(place: Place, name: Name, point: Point) -> _Tied:
    """What the documents of then were made of, as their locks and uses say."""
    parent = {"environment": str(place.environment)}
    inherits = Q(configuration__service=place.service, lock__contains=canonical(parent)[1:-1])
    refers = Q(uses__contains=canonical({"service": name.service})[1:-1])
    rows = list_served_at(point, Q()).filter(inherits | refers, retired=False)
    heirs, uses = [], []
    for row in rows.only("lock", "uses", "configuration__service", "configuration__environment"):
        at = Place(row.configuration.service, row.configuration.environment)
        layers = parse_canonical(row.lock)
        same = at.service == place.service
        if same and any(_is_layer(each, str(place.environment)) for each in layers):
            heirs.append(at)
        uses += [
            (at, Link(format_path(use.path), format_path(use.target.path)))
            for use in load_uses(parse_canonical(row.uses))
            if use.hops == 1 and use.target.document == name and at != place
        ]
    return heirs, uses


def _is_layer(entry: dict[str, Tree], environment: str) -> bool:
    return "reference" not in entry and entry.get("environment") == environment
