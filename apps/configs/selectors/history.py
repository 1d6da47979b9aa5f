"""A configuration's history: newest first, in pages, by key, author and time."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from apps.access import policy
from apps.access.policy import Place
from apps.configs.models import Version
from apps.configs.selectors.configurations import texts_around
from apps.configs.selectors.several import rows_at
from apps.core.actor import Actor
from apps.core.windows import first_of_each
from apps.engine import paths
from apps.engine.errors import DomainError
from apps.engine.guarding import Guard, visible
from apps.engine.values import canonical, checksum, parse_canonical
from apps.registry.selectors import find_configuration

SCAN = 500


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
    """Some versions, newest first, and the numbers to go on below and above (``None``: the end)."""

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
    number. Documents are not loaded.
    """
    if not policy.allowed(actor, "audit", place):
        policy.require(actor, "read", place)
    filters = filters or Filters()
    names = policy.guard(actor, "list", place)
    seen = policy.guard(actor, "read", place)
    keep = _key_filter(filters.key, names)
    rows = _rows(place, filters)
    if not (seen.is_open and names.is_open):
        rows = rows.select_related("effective")
    found: list[Version] = []
    upwards = after is not None
    rows = rows.order_by("number") if upwards else rows
    cursor = after if upwards else before
    while len(found) <= size:
        wanted = SCAN if filters.key else size + 1
        beyond = {"number__gt" if upwards else "number__lt": cursor}
        chunk = list((rows if cursor is None else rows.filter(**beyond))[:wanted])
        found += keep(chunk)
        if len(chunk) < wanted:
            break
        cursor = chunk[-1].number
    page, goes_on = _entries(found[:size], names, seen), len(found) > size
    if upwards:
        page.reverse()
        return Page(
            page, page[-1].row.number if page else after, page[0].row.number if goes_on else None
        )
    came_from = page[0].row.number if page and before is not None else None
    return Page(page, page[-1].row.number if goes_on else None, came_from)


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
            if not policy.allowed(actor, "audit", place):
                policy.require(actor, "read", place)
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


def _rows(place: Place, filters: Filters) -> QuerySet[Version]:
    configuration = (
        find_configuration(place.service, place.environment)
        if place.service and place.environment
        else None
    )
    rows = Version.objects.filter(configuration=configuration).order_by("-number")
    for word in paths.Glob(filters.key).words if filters.key else ():
        if word.isascii() and word.isalnum():  # else it may be written otherwise in JSON
            rows = rows.filter(keys__contains=word)
    if filters.author:
        rows = rows.filter(author__in=(filters.author, f"user:{filters.author}"))
    if filters.since:
        rows = rows.filter(published_at__gte=filters.since)
    if filters.until:
        rows = rows.filter(published_at__lte=filters.until)
    return rows.defer("lock", "extends")


def _entries(
    versions: list[Version],
    names: Guard,
    seen: Guard,
    texts: Mapping[int, list[str]] | None = None,
) -> list[Entry]:
    keys = _keys(versions, names, texts)
    return [Entry(each, keys[each.number], _checksum(each, seen)) for each in versions]


def _checksum(version: Version, seen: Guard) -> str:
    if seen.is_open:
        return version.checksum
    return checksum(canonical(visible(parse_canonical(version.effective.content), seen)))


def _keys(
    versions: list[Version], names: Guard, texts: Mapping[int, list[str]] | None = None
) -> dict[int, list[str]]:
    """By version the keys that it changed, as far as the reader may know of them."""
    changed = {each.number: json.loads(each.keys) for each in versions}
    if names.is_open:
        return changed
    texts = texts_around(versions) if texts is None else texts
    return {
        number: names.allowed_keys(keys, *map(parse_canonical, texts[number]))
        for number, keys in changed.items()
    }


def _key_filter(key: str, names: Guard) -> Callable[[list[Version]], list[Version]]:
    if not key:
        return lambda versions: versions
    glob = paths.Glob(key)

    def touching(versions: list[Version]) -> list[Version]:
        keys = _keys(versions, names)
        return [
            each
            for each in versions
            if any(glob.covers(paths.parse_path(name)) for name in keys[each.number])
        ]

    return touching
