"""Services by environments: which version is live where, since when, and how far apart they are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KeyTransform

from apps.access import policy
from apps.access.policy import Place
from apps.access.rights import generation
from apps.configs.models import Live
from apps.configs.selectors.configurations import list_live
from apps.configs.selectors.places import list_services
from apps.core.actor import Actor
from apps.engine import diff
from apps.engine.guarding import visible
from apps.engine.values import canonical, parse_canonical
from apps.registry.models import Environment, Service

MOST_COMPARED = 8_000_000
"""How many characters of documents are compared for one page; where they are more, nobody counts."""

UNREAD_COLUMNS = ("extends", "lock", "keys", "secrets", "uses", "promotes")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which services: ``text`` is in the name, ``label`` is ``name`` or ``name=value``."""

    text: str = ""
    owner: str = ""
    label: str = ""

    def __bool__(self) -> bool:
        return bool(self.text or self.owner or self.label)


@dataclass(frozen=True, slots=True)
class Cell:
    """One service in one environment, as far as the actor may know of it.

    ``left`` is the nearest environment to the left with something live that he may read. Where he
    may read what is live here too, it ``is_compared`` with that: ``apart`` is how many keys of what
    he sees differ, ``None`` where the documents of the page are too large to count.
    """

    place: Place
    is_seen: bool
    live: Live | None = None
    left: Environment | None = None
    apart: int | None = None
    is_compared: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A service, and a cell for each environment, in their order."""

    service: Service
    cells: list[Cell]


def find_services(*, actor: Actor, wanted: Wanted) -> QuerySet[Service]:
    """The services that the actor may know of and that are wanted, by name."""
    found: QuerySet[Service] = list_services(actor=actor)
    if wanted.text:
        found = found.filter(Q(slug__icontains=wanted.text) | Q(name__icontains=wanted.text))
    if wanted.owner:
        found = found.filter(owner__name=wanted.owner)
    if wanted.label:
        key, equals, value = wanted.label.partition("=")
        found = (
            found.alias(label=KeyTransform(key, "labels")).filter(label=value)
            if equals
            else found.filter(labels__has_key=key)
        )
    return found


def list_rows(
    *, actor: Actor, services: Sequence[Service], environments: Sequence[Environment]
) -> list[Row]:
    """The rows of a page, in few statements, however many cells there are."""
    reader = replace(actor, generation=generation())
    rows = list_live(actor=reader).filter(
        configuration__service__in=services, configuration__environment__in=environments
    )
    unread = [f"version__{name}" for name in UNREAD_COLUMNS]
    live = {
        (each.configuration.service_id, each.configuration.environment_id): each
        for each in rows.select_related("version__effective").defer(*unread)
    }
    comparing = _Comparing(reader)
    return [
        Row(
            service,
            comparing.cells(
                [
                    (Place(service, environment), live.get((service.pk, environment.pk)))
                    for environment in environments
                ]
            ),
        )
        for service in services
    ]


@dataclass(slots=True)
class _Comparing:
    """Compares what stands beside each other in a row, as the reader sees it."""

    reader: Actor
    budget: int = MOST_COMPARED

    def cells(self, places: Sequence[tuple[Place, Live | None]]) -> list[Cell]:
        """The cells of one row."""
        cells = []
        left: Environment | None = None
        before = ""
        for place, live in places:
            if not policy.sees(self.reader, place):
                cells.append(Cell(place, False))
                continue
            text = self._text(place, live)
            is_compared = text is not None and left is not None
            apart = self._apart(before, text) if is_compared else None
            cells.append(Cell(place, True, live, left, apart, is_compared))
            if text is not None:
                left, before = place.environment, text
        return cells

    def _text(self, place: Place, live: Live | None) -> str | None:
        """What the reader sees of a document; ``None``: there is none, or he may not read it."""
        if live is None or live.version.retired or not policy.allowed(self.reader, "read", place):
            return None
        guard = policy.guard(self.reader, "read", place)
        text = live.version.effective.content
        return text if guard.is_open else canonical(visible(parse_canonical(text), guard))

    def _apart(self, before: str, text: str | None) -> int | None:
        if text is None or before == text:
            return 0
        self.budget -= len(before) + len(text)
        if self.budget < 0:
            return None
        return len(diff.changed_keys(parse_canonical(before), parse_canonical(text)))
