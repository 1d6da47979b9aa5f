"""Services by environments: which version is live where, since when, and how far apart they are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Length

from apps.access import policy
from apps.access.policy import Place
from apps.access.rights import generation
from apps.audit.selectors import Point
from apps.configs.models import Live, Text
from apps.configs.selectors.configurations import list_live, list_served_at, scope_filter
from apps.configs.selectors.places import list_services
from apps.core.actor import Actor
from apps.engine import diff
from apps.engine.guarding import visible
from apps.engine.values import Tree, canonical, parse_canonical
from apps.registry.models import Environment, Service

MOST_READ = 16_000_000
"""How many characters of documents are read for one page, the same for every reader; what is beyond
is not counted. A hundred and fifty documents of a hundred keys have less than a million.
"""

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
    he sees differ, ``None`` where the documents of the page are too large to count. Of the past it is not known whether
    it was pinned or outdated.
    """

    place: Place
    is_seen: bool
    live: Live | None = None
    left: Environment | None = None
    apart: int | None = None
    is_compared: bool = False
    is_past: bool = False


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
    return with_label(found, wanted.label) if wanted.label else found


def with_label(services: QuerySet[Service], label: str) -> QuerySet[Service]:
    """Those of the services that have a label: ``name`` or ``name=value``."""
    key, equals, value = label.partition("=")
    if not equals:
        return services.filter(labels__has_key=key)
    return services.alias(label=KeyTransform(key, "labels")).filter(label=value)


def list_rows(
    *,
    actor: Actor,
    services: Sequence[Service],
    environments: Sequence[Environment],
    point: Point | None = None,
) -> list[Row]:
    """The rows of a page, in few statements, however many cells there are; with ``point`` what was
    live then.
    """
    reader = replace(actor, generation=generation())
    within = Q(configuration__service__in=services, configuration__environment__in=environments)
    then = Q(service__in=services, environment__in=environments)
    rows = _find_live(reader, within) if point is None else _find_past(reader, then, point)
    live = {
        (each.configuration.service_id, each.configuration.environment_id): each
        for each, _size in rows
    }
    comparing = _Comparing(reader, _read_texts(rows), point is not None)
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


def _find_live(reader: Actor, within: Q) -> list[tuple[Live, int]]:
    """What is live, each with its size in characters."""
    unread = [f"version__{name}" for name in UNREAD_COLUMNS]
    rows = list_live(actor=reader).filter(within).defer(*unread)
    sized = rows.annotate(size=Length("version__effective__content"))
    return [(each, each.size) for each in sized]


def _find_past(reader: Actor, within: Q, point: Point) -> list[tuple[Live, int]]:
    """What was live as of ``point``, each with its size in characters."""
    versions = list_served_at(point, within & scope_filter(reader, "list"))
    sized = versions.defer(*UNREAD_COLUMNS).annotate(size=Length("effective__content"))
    return [(Live(configuration=each.configuration, version=each), each.size) for each in sized]


def _read_texts(rows: Iterable[tuple[Live, int]]) -> dict[str, str]:
    """Their documents, by their digests, as far as they fit."""
    sizes = {row.version.effective_id: size for row, size in rows if not row.version.retired}
    left = MOST_READ
    wanted = []
    for digest, size in sizes.items():
        left -= size
        if left >= 0:
            wanted.append(digest)
    return dict(Text.objects.filter(digest__in=wanted).values_list("digest", "content"))


@dataclass(slots=True)
class _Seen:
    """A document as the reader sees it; ``None``: it was not read."""

    text: str | None
    _tree: Tree = None

    @property
    def tree(self) -> Tree:
        if self._tree is None:
            self._tree = parse_canonical(self.text or "{}")
        return self._tree


@dataclass(frozen=True, slots=True)
class _Comparing:
    """Compares what stands beside each other in a row, as the reader sees it."""

    reader: Actor
    texts: Mapping[str, str]
    is_past: bool

    def cells(self, places: Sequence[tuple[Place, Live | None]]) -> list[Cell]:
        """The cells of one row."""
        cells = []
        left: Environment | None = None
        before = _Seen(None)
        for place, live in places:
            if not policy.sees(self.reader, place):
                cells.append(Cell(place, False))
                continue
            seen = self._find(place, live)
            is_compared = seen is not None and left is not None
            apart = _apart(before, seen) if is_compared and seen else None
            cells.append(Cell(place, True, live, left, apart, is_compared, self.is_past))
            if seen is not None:
                left, before = place.environment, seen
        return cells

    def _find(self, place: Place, live: Live | None) -> _Seen | None:
        """The document there; ``None``: there is none, or the reader may not read it."""
        if live is None or live.version.retired or not policy.allowed(self.reader, "read", place):
            return None
        text = self.texts.get(live.version.effective_id)
        guard = policy.guard(self.reader, "read", place)
        if text is None or guard.is_open:
            return _Seen(text)
        tree = visible(parse_canonical(text), guard)
        return _Seen(canonical(tree), tree)


def _apart(before: _Seen, after: _Seen) -> int | None:
    if before.text is None or after.text is None:
        return None
    return 0 if before.text == after.text else len(diff.changed_keys(before.tree, after.tree))
