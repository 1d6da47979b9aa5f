"""A configuration's history: newest first, in pages, by key, author and time."""

import functools
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max, QuerySet

from apps.access import policy
from apps.access.policy import Place
from apps.configs.models import Version
from apps.configs.selectors.configurations import texts_around
from apps.configs.selectors.several import rows_at
from apps.configs.selectors.touching import sieved, touching
from apps.core.actor import Actor
from apps.core.windows import first_of_each
from apps.engine import paths
from apps.engine.errors import DomainError
from apps.engine.guarding import Guard, visible
from apps.engine.values import canonical, checksum, parse_canonical
from apps.registry.models import Configuration
from apps.registry.selectors import find_configuration

REACH = 20_000
REACH_HIDDEN = 2_000
JUDGED = 2_000
MARKS = 500


@dataclass(frozen=True, slots=True)
class Filters:
    """What a history is narrowed to; ``key`` is a glob over the keys that a version changed."""

    key: str = ""
    author: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A version in a history, with the keys and the checksum of the reader's view."""

    row: Version
    keys: list[str]
    checksum: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some versions, newest first, and the numbers to go on below and above (``None``: the end).

    A narrowed one may hold fewer than were asked for, or none, and go on all the same.
    """

    versions: list[Entry]
    next_before: int | None
    previous_after: int | None = None


def list_history(
    *,
    actor: Actor,
    place: Place,
    filters: Filters | None = None,
    before: int | None = None,
    after: int | None = None,
    size: int = 50,
) -> Page:
    """At most ``size`` versions below ``before``, or next above ``after``. Needs ``read`` or ``audit``.

    A page costs the same at the start and at the end of a long history: it goes on from a
    number. Narrowed, it ends after ``REACH`` versions at the latest, and by a key after ``JUDGED``
    that may have touched it. Where keys are hidden from the actor it ends after ``REACH_HIDDEN``,
    whatever they touched, so that the place where it ends says nothing of them. Documents are not
    loaded.
    """
    _require_sight(actor, place)
    filters = filters or Filters()
    names = policy.guard(actor, "list", place)
    seen = policy.guard(actor, "read", place)
    order = "-number" if after is None else "number"
    rows: QuerySet[Version] = Version.objects.filter(configuration=_configuration(place))
    rows = rows.order_by(order)
    reached = None
    if filters == Filters():
        bounds = {"number__lt": before, "number__gt": after}
        found = rows.filter(**{name: at for name, at in bounds.items() if at is not None})
    else:
        reach = REACH if names.is_open else REACH_HIDDEN
        stretch = _stretch(rows, filters, before, after, reach)
        found, reached = _look_through(rows, filters, stretch, names, size + 1)
    if not (seen.is_open and names.is_open):
        found = found.select_related("effective")
    versions = list(found.defer("lock", "extends")[: size + 1])
    goes_on = versions[size - 1].number if len(versions) > size else reached
    page = _entries(versions[:size], names, seen)
    if after is not None:
        page.reverse()
        return Page(page, page[-1].row.number if page else after + 1, goes_on)
    came_from = None if before is None else page[0].row.number if page else before - 1
    return Page(page, goes_on, came_from)


def list_marks(*, actor: Actor, place: Place) -> list[Version]:
    """Versions at even distances over all of the history, at most ``MARKS``, the oldest first, with
    the newest: their numbers, revisions, times, causes and authors. Needs ``read`` or ``audit``.
    """
    _require_sight(actor, place)
    rows = Version.objects.filter(configuration=_configuration(place))
    newest = rows.aggregate(number=Max("number"))["number"] or 0
    step = -(-newest // MARKS) or 1
    wanted = [*range(newest, 0, -step)]
    names = ("number", "revision", "published_at", "cause", "author")
    return list(rows.filter(number__in=wanted).only(*names).order_by("number"))


def _require_sight(actor: Actor, place: Place) -> None:
    if not policy.allowed(actor, "audit", place):
        policy.require(actor, "read", place)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The numbers that are looked through for a page, and where one goes on (``None``: the end)."""

    lowest: int
    highest: int
    reached: int | None


def _stretch(
    rows: QuerySet[Version], filters: Filters, before: int | None, after: int | None, reach: int
) -> _Stretch:
    """At most ``reach`` numbers of the time that is asked for, next below or above a number."""
    lowest, highest = 1, 0
    of_time = rows.order_by("number")
    if filters.since is not None:
        of_time = of_time.filter(published_at__gte=filters.since)
    if filters.until is not None:
        of_time = of_time.filter(published_at__lte=filters.until)
    if filters.since is not None or filters.until is not None:  # times rise with the numbers
        of_time = of_time.order_by("published_at", "number")
    numbers = of_time.values_list("number", flat=True)
    if (first := numbers.first()) and (last := numbers.last()):
        lowest, highest = first, last
    if after is not None:
        begin = max(after + 1, lowest)
        end = min(begin + reach - 1, highest)
        return _Stretch(begin, end, end if end < highest else None)
    begin = highest if before is None else min(before - 1, highest)
    end = max(begin - reach + 1, lowest)
    return _Stretch(end, begin, end if end > lowest else None)


def _look_through(
    rows: QuerySet[Version], filters: Filters, stretch: _Stretch, names: Guard, wanted: int
) -> tuple[QuerySet[Version], int | None]:
    """The first ``wanted`` versions of a stretch that pass, and where one goes on after it."""
    within = rows.filter(number__range=(stretch.lowest, stretch.highest))
    if filters.author:
        within = within.filter(author__in=(filters.author, f"user:{filters.author}"))
    if not filters.key:
        return within, stretch.reached
    glob = paths.Glob(filters.key)
    judged = list(sieved(within, glob).values_list("configuration", "number", "keys")[:JUDGED])
    touched = list(itertools.islice(touching(judged, glob, names), wanted))
    reached = stretch.reached
    if len(judged) == JUDGED and judged[-1][1] not in (stretch.lowest, stretch.highest):
        reached = judged[-1][1]
    return rows.filter(number__in=touched), reached


def list_first_pages(
    *, actor: Actor, places: Iterable[Place], size: int
) -> dict[Place, Page | DomainError]:
    """The first page of the history at each of the places, or why the actor may not see it, in one
    statement. What was never published is left out.
    """
    found: dict[Place, Page | DomainError] = {}
    readable: dict[tuple[int, int], Place] = {}
    for place in places:
        try:
            _require_sight(actor, place)
        except DomainError as error:
            found[place] = error
            continue
        if place.service is not None and place.environment is not None:
            readable[place.service.pk, place.environment.pk] = place
    guards = {
        place: (policy.guard(actor, "list", place), policy.guard(actor, "read", place))
        for place in readable.values()
    }
    at = rows_at(readable.values())
    rows = Version.objects.filter(at).select_related("configuration").defer("lock", "extends")
    if not all(guard.is_open for pair in guards.values() for guard in pair):
        rows = rows.select_related("configuration", "effective")
    by_place: dict[Place, list[Version]] = defaultdict(list)
    last = size + 2  # one tells that there are more, and what stood before it is the next
    for row in first_of_each(
        rows, by=("configuration_id",), order=("-number",), after=0, until=last
    ):
        key = (row.configuration.service_id, row.configuration.environment_id)
        by_place[readable[key]].append(row)
    for place, versions in by_place.items():
        names, seen = guards[place]
        texts = None if names.is_open else _texts_within(versions)
        page = _entries(versions[:size], names, seen, texts)
        goes_on = len(versions) > size
        found[place] = Page(page, page[-1].row.number if goes_on else None)
    return found


def _texts_within(versions: list[Version]) -> dict[int, list[str]]:
    """What :func:`texts_around` gives, of versions that follow each other, all but the last."""
    contents = {each.number: each.effective.content for each in versions}
    return {
        number: [text, *filter(None, [contents.get(number - 1)])]
        for number, text in contents.items()
    }


def _configuration(place: Place) -> Configuration | None:
    if place.service is None or place.environment is None:
        return None
    return find_configuration(place.service, place.environment)


def _entries(
    versions: list[Version],
    names: Guard,
    seen: Guard,
    texts: Mapping[int, list[str]] | None = None,
) -> list[Entry]:
    """The versions with what the reader may know of them; ``texts`` as of :func:`texts_around`."""
    parsed = functools.cache(parse_canonical)  # what one version is, the next one was
    changed = {each.number: json.loads(each.keys) for each in versions}
    unsure = {number for number, keys in changed.items() if names.needs_documents(keys)}
    if unsure and texts is None:
        texts = texts_around(versions[0].configuration_id, unsure)
    entries = []
    for each in versions:
        around = texts[each.number] if texts and each.number in unsure else ()
        keys = names.allowed_keys(changed[each.number], *map(parsed, around))
        digest = each.checksum
        if not seen.is_open:
            digest = checksum(canonical(visible(parsed(each.effective.content), seen)))
        entries.append(Entry(each, keys, digest))
    return entries
