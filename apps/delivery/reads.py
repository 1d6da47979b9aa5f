"""Counting who reads what: in memory first, in the database every few seconds.

A read costs nothing but a dictionary's entry. What a killed server had not yet written is lost:
some seconds of counts, never a disclosure of a secret, which is written before it is made.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from apps.access import policy
from apps.access.policy import Place
from apps.access.selectors import find_holder
from apps.access.services import note_use
from apps.configs.selectors.configurations import Published, find_live
from apps.core import clock
from apps.core.actor import Actor
from apps.core.models import User
from apps.core.transactions import writing
from apps.delivery.models import ReadCount
from apps.engine import paths
from apps.engine.guarding import OPEN, Guard
from apps.engine.paths import Glob
from apps.registry.models import Configuration
from apps.registry.selectors import find_configuration

MAX_ASKED = 500
MAX_PATTERNS = 30
"""An account that asks for more different keys than this is counted as reading the whole."""
MAX_WAITING = 5_000
PERSON = "user:"

Key = tuple[int, int, str, int, str]
"""Service, environment, account, version, and the globs of keys."""


@dataclass(slots=True)
class Counter:
    """When first, when last (in seconds since the epoch), and how often."""

    first_at: float
    last_at: float
    count: int = 0


_lock = threading.Lock()
_used: dict[str, Actor] = {}
_waiting: dict[Key, Counter] = {}
_window = object()  # another one each time that what was counted is taken


@dataclass(frozen=True, slots=True)
class Reader:
    """An account that has read a key, since when, until when and how often; newest version."""

    account: str
    first_at: datetime
    last_at: datetime
    count: int
    version: int


class Reading:
    """What is counted when ``actor`` is given a version of the configuration of a service and an environment
    (their keys), or the ``keys`` (globs) of it. It remembers its counter until that is taken to be
    written, so an answer from memory looks for nothing.
    """

    __slots__ = ("_actor", "_counter", "_key", "_window")

    def __init__(
        self,
        service_id: int,
        environment_id: int,
        *,
        actor: Actor,
        version: int,
        keys: Sequence[str] = (),
    ) -> None:
        asked = " ".join(sorted(set(keys))) if keys else ""
        if len(asked) > MAX_ASKED or " " in "".join(keys):
            asked = ""
        self._key: Key = (service_id, environment_id, actor.name, version, asked)
        self._actor = actor
        self._counter: Counter | None = None
        self._window: object = None

    def note(self, now: float) -> None:
        """Count one more, at a moment in seconds since the epoch."""
        with _lock:
            if self._window is not _window:
                self._begin(now)
            counter = self._counter
            if counter is not None:
                counter.last_at = now
                counter.count += 1

    def _begin(self, now: float) -> None:
        """The first time since counters were taken; there is none where too many wait already."""
        token = self._actor.token_id
        if token is not None and len(_used) < MAX_WAITING:
            _used[token] = self._actor
        counter = _waiting.get(self._key)
        if counter is None and len(_waiting) < MAX_WAITING:
            counter = _waiting[self._key] = Counter(now, now)
        self._counter, self._window = counter, _window


def note_read(*, actor: Actor, place: Place, version: int, keys: Sequence[str] = ()) -> None:
    """Count that ``actor`` was given a version, or the ``keys`` (globs) of it."""
    if place.service is not None and place.environment is not None:
        spot = place.service.pk, place.environment.pk
        Reading(*spot, actor=actor, version=version, keys=keys).note(clock.now().timestamp())


def note_given(*, actor: Actor, given: Iterable[Published], keys: Sequence[str] = ()) -> None:
    """The same for each of some versions, once, however often it is in the answer."""
    for each in {published.row.pk: published for published in given}.values():
        note_read(actor=actor, place=each.place, version=each.version, keys=keys)


def flush() -> int:
    """Write what was counted since the last time; gives the number of counters.

    What cannot be written waits for the next time.
    """
    global _window  # noqa: PLW0603 - so that each reading finds its counter anew
    with _lock:
        taken, used = dict(_waiting), dict(_used)
        _waiting.clear()
        _used.clear()
        _window = object()
    try:
        _write(taken, used)
    except Exception:
        _take_back(taken, used)
        raise
    return len(taken)


def _take_back(taken: dict[Key, Counter], used: dict[str, Actor]) -> None:
    with _lock:
        for key, counter in taken.items():
            newer = _waiting.setdefault(key, counter)
            if newer is not counter:
                newer.first_at = counter.first_at
                newer.count += counter.count
        _used.update({**used, **_used})


def _write(taken: dict[Key, Counter], used: dict[str, Actor]) -> None:
    for actor in used.values():
        note_use(actor)
    if not taken:
        return
    with writing():
        found = Configuration.objects.filter(service_id__in={service for service, *_rest in taken})
        places = {(each.service_id, each.environment_id): each for each in found}
        wholes = []
        for service, environment, account, version, asked in sorted(taken):
            counter = taken[service, environment, account, version, asked]
            counted = counter.first_at, counter.last_at, counter.count
            configuration = places.get((service, environment))
            if configuration is None:
                continue
            if asked and not _is_one_too_many(configuration, account, version, asked):
                _add([(configuration.pk, account, version, asked, *counted)])
            else:
                wholes.append((configuration.pk, account, version, "", *counted))
        _add(wholes)


def _is_one_too_many(configuration: Configuration, account: str, version: int, asked: str) -> bool:
    """Whether the account has asked for so many other keys that this counts as the whole."""
    mine = ReadCount.objects.filter(configuration=configuration, account=account)
    if mine.filter(version=version, asked=asked).exists():
        return False
    return mine.exclude(asked="").count() >= MAX_PATTERNS


def _add(rows: Iterable[Sequence[Any]]) -> None:
    """Add to the counters: a configuration's key, account, version, keys, first, last, how often."""

    def moment(seconds: float) -> Any:
        return connection.ops.adapt_datetimefield_value(datetime.fromtimestamp(seconds, UTC))

    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO delivery_readcount"
            " (configuration_id, account, version, asked, first_at, last_at, count)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (configuration_id, account, version, asked) DO UPDATE"
            " SET count = delivery_readcount.count + excluded.count, last_at = excluded.last_at",
            [[*row[:4], moment(row[4]), moment(row[5]), row[6]] for row in rows],
        )


def list_readers(*, actor: Actor, place: Place, key: str = "") -> list[Reader]:
    """Who has read the configuration, or ``key`` (a dotted path) of it; latest first.

    Needs ``audit``, and ``list`` on the key.
    """
    policy.require(actor, "audit", place)
    path = paths.parse_path(key) if key else ()
    if path:
        policy.require(actor, "list", place, [path])
    found: dict[str, Reader] = {}
    for row in _rows(place):
        if not (_covers(row.asked, path) and _sees(row.account, place, path)):
            continue
        known = found.get(row.account)
        found[row.account] = Reader(
            account=row.account,
            first_at=min(row.first_at, known.first_at) if known else row.first_at,
            last_at=max(row.last_at, known.last_at) if known else row.last_at,
            count=row.count + (known.count if known else 0),
            version=max(row.version, known.version) if known else row.version,
        )
    return sorted(found.values(), key=lambda each: each.last_at, reverse=True)


def _sees(account: str, place: Place, path: paths.Path) -> bool:
    """Whether the key was in what the account was given, by its rights of today."""
    return not path or _guard_of(account, place).allows(path)


def _guard_of(account: str, place: Place) -> Guard:
    """What the account may read there by its rights of today; all, where it is gone."""
    holder = find_holder(account)
    if not isinstance(holder, User):
        return OPEN
    reader = Actor(name=account, user_id=holder.pk, is_superuser=holder.is_superuser)
    return policy.guard(reader, "read", place)


def list_unread(*, actor: Actor, place: Place, days: int) -> list[str]:
    """The keys of what is live that no service account has been given for ``days`` days, as the
    actor sees it: people who look at pages do not use a key.

    Needs ``audit`` and ``read``. A key that nobody has asked for since counting began is one.
    """
    policy.require(actor, "audit", place)
    live = find_live(actor=actor, place=place)
    if live is None or live.row.retired:
        return []
    since = clock.now() - timedelta(days=days)
    asked: dict[str, set[str]] = defaultdict(set)
    for row in _rows(place):
        if row.last_at >= since and not row.account.startswith(PERSON):
            asked[row.account].add(row.asked)
    unread = {paths.format_path(path): path for path, _leaf in paths.leaves(live.tree) if path}
    for account, patterns in asked.items():
        globs = (
            None
            if "" in patterns
            else [Glob(each) for text in patterns for each in text.split(" ")]
        )
        for key in _guard_of(account, place).allowed_keys(list(unread), live.tree):
            if globs is None or any(glob.reaches(unread[key]) for glob in globs):
                del unread[key]
    return list(unread)


def _rows(place: Place) -> list[ReadCount]:
    flush()
    if place.service is None or place.environment is None:
        return []
    configuration = find_configuration(place.service, place.environment)
    return list(ReadCount.objects.filter(configuration=configuration)) if configuration else []


def _covers(asked: str, path: paths.Path) -> bool:
    """Whether what was asked for has the key at ``path`` in it, or something inside of it."""
    if not asked or not path:
        return True
    return any(Glob(each).reaches(path) for each in asked.split(" "))
