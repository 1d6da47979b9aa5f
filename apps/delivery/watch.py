"""The one generator behind SSE, WebSocket and long poll.

Register first, then read the backlog from the ledger, then the new acts: nothing is missed
between the two and nothing is seen twice. Rights are asked again for every act, against the
access generation that the feed read after the act itself.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from channels.db import database_sync_to_async

from apps.access.policy import Place
from apps.access.rights import Rights
from apps.audit import selectors as ledger
from apps.configs.selectors.configurations import find_live, get_version
from apps.core import clock
from apps.core.actor import Actor
from apps.delivery.acts import Act, Notice, read_page
from apps.delivery.feed import Feed
from apps.delivery.reads import note_read
from apps.delivery.standing import Standing, WithdrawnError, stand
from apps.delivery.watchers import Spot, Watcher
from apps.engine.errors import DomainError
from apps.engine.values import parse_canonical
from apps.registry.selectors import get_environment, get_service
from apps.rollouts.assigning import as_assigned, note_served

BOOKMARK_EVERY = 15.0
BOOKMARKED_IN = 60
"""In so many groups: streams that are woken together cost half of what each costs by itself."""
CATCH_UP = 1.5
CATCH_UP_BUSY = 60.0
MAX_BACKLOG = 100_000
BACKLOG_PAGE = 250


@dataclass(frozen=True, slots=True)
class Interest:
    """What a stream is about. ``None`` stands for all that the actor may see. ``unit`` and
    ``instance`` are whom experiments go by in what ``with_config`` brings.
    """

    service_ids: frozenset[int] | None = None
    environment_id: int | None = None
    with_config: bool = False
    unit: str = ""
    instance: str = ""

    @property
    def spots(self) -> frozenset[Spot]:
        """Where it is, as watchers are found by."""
        services = [None] if self.service_ids is None else self.service_ids
        return frozenset((each, self.environment_id) for each in services)

    def covers(self, notice: Notice) -> bool:
        """Whether the notice is about this."""
        if self.service_ids is not None and notice.service_id not in self.service_ids:
            return False
        return self.environment_id in (None, notice.environment_id)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a stream goes on: a revision of an epoch (``None``: of the present one)."""

    revision: int
    epoch: str | None = None

    def is_beyond(self, epoch: str, revision: int) -> bool:
        """Whether it is of another epoch than a ledger that ends there, or above that end."""
        return self.epoch not in (None, epoch) or self.revision > revision


@dataclass(frozen=True, slots=True)
class Frame:
    """One thing to send. ``kind`` is ready, changed, bookmark or resync. ``encoded`` keeps what it is
    in each form of sending, for one frame goes to many.
    """

    kind: str
    epoch: str
    revision: int
    messages: tuple[dict[str, Any], ...] = ()
    encoded: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def position(self) -> dict[str, Any]:
        """``{"epoch","revision"}``."""
        return {"epoch": self.epoch, "revision": self.revision}


async def watch(
    feed: Feed,
    actor: Actor,
    interest: Interest,
    after: Cursor | None = None,
    *,
    bookmark_every: float = BOOKMARK_EVERY,
    give_up: Callable[[], object] | None = None,
) -> AsyncIterator[Frame]:
    """Frames for ``actor``, for ever: ``ready``, then every later change in order, once, and a
    bookmark after so many seconds without one. ``give_up`` is called when they are taken so slowly
    that not even a ``resync`` helps.

    Raises :class:`WithdrawnError` at most a few seconds after the actor lost his login, his token
    or his last right to read what the stream is about.
    """
    if after is not None:
        await _catch_up(feed, after)
    watcher, registered_at = feed.register(interest.spots, give_up)
    try:
        resumable = after is None or _resumable(feed, after, registered_at)
        start = registered_at if after is None or not resumable else after.revision
        gate = _Gate(feed, actor, interest)
        if resumable:
            yield Frame("ready", feed.epoch, start)
            async for frame in _backlog(feed, gate, start, registered_at):
                yield frame
        else:
            yield Frame("ready", feed.epoch, registered_at)
            yield _resync(feed, registered_at)
        async for frame in _live(feed, watcher, gate, registered_at, bookmark_every):
            yield frame
    finally:
        feed.unregister(watcher)


async def _catch_up(feed: Feed, after: Cursor) -> None:
    """Wait for this process to read what the client had read elsewhere: a moment, or, where the ledger
    does have it, until a busy one gets there.
    """
    if after.epoch not in (None, feed.epoch) or after.revision <= feed.revision:
        return
    if await feed.reached(after.revision, CATCH_UP):
        return
    end = await database_sync_to_async(ledger.head)()
    if not after.is_beyond(end.epoch, end.revision):
        await feed.reached(after.revision, CATCH_UP_BUSY)


def _resync(feed: Feed, revision: int) -> Frame:
    feed.counts.resyncs += 1
    return Frame("resync", feed.epoch, revision)


def _resumable(feed: Feed, after: Cursor, head: int) -> bool:
    same_epoch = after.epoch in (None, feed.epoch)
    return same_epoch and 0 <= head - after.revision <= MAX_BACKLOG


async def _backlog(feed: Feed, gate: "_Gate", start: int, until: int) -> AsyncIterator[Frame]:
    """What was missed, page by page, and a bookmark behind it."""
    reached = start
    while reached < until:
        acts, reached = await read_page(feed.epoch, reached, until, BACKLOG_PAGE)
        for act in acts:
            if (frame := await gate.pass_through(act)) is not None:
                yield frame
    if until > start:
        yield Frame("bookmark", feed.epoch, until)


async def _live(
    feed: Feed, watcher: Watcher, gate: "_Gate", reached: int, bookmark_every: float
) -> AsyncIterator[Frame]:
    """What comes from now on. Between two acts it sleeps until the next bookmark, or until rights
    have moved or end.
    """
    loop = asyncio.get_running_loop()
    bookmark_at = next_bookmark(loop.time(), bookmark_every)
    while not watcher.stopped:
        if watcher.overflowed:
            watcher.resume()
            reached = feed.revision
            yield _resync(feed, reached)
        act = await _next_act(watcher, gate, bookmark_at)
        await gate.check()
        frame = None if act is None else await gate.pass_through(act)
        if watcher.overflowed or watcher.stopped:
            continue
        if act is not None:
            reached = act.revision
        elif not watcher.is_behind:
            reached = feed.revision
        if frame is not None:
            yield frame
        elif loop.time() >= bookmark_at:
            yield _bookmark(feed, reached)
        else:
            continue
        bookmark_at = next_bookmark(loop.time(), bookmark_every)


def _bookmark(feed: Feed, revision: int) -> Frame:
    """A bookmark, the same one as the last stream's where that stood there too: so it is encoded once."""
    last: Frame | None = feed.bookmark
    if last is None or (last.epoch, last.revision) != (feed.epoch, revision):
        feed.bookmark = last = Frame("bookmark", feed.epoch, revision)
    return last


def next_bookmark(now: float, every: float) -> float:
    """When a stream that was told something at ``now`` is bookmarked: after ``every`` seconds or a little
    less, at a moment that it shares with others.
    """
    step = max(every / BOOKMARKED_IN, 0.001)
    return math.floor((now + every) / step) * step


async def _next_act(watcher: Watcher, gate: "_Gate", bookmark_at: float) -> Act | None:
    """What comes next; ``None`` when it is time for something else."""
    if not (watcher.is_behind or gate.is_stale):
        now = asyncio.get_running_loop().time()
        if now < bookmark_at:
            gate.feed.watchers.wake_at(gate.until(bookmark_at), watcher)
            await watcher.wait()
    return watcher.take()


class _Gate:
    """The actor's rights on a stream, read afresh whenever the access generation has moved."""

    def __init__(self, feed: Feed, actor: Actor, interest: Interest) -> None:
        self.feed, self.actor, self.interest = feed, actor, interest
        self.generation = -1
        self.standing: Standing | None = None

    @property
    def is_stale(self) -> bool:
        """Whether something has moved or ended since the rights were read."""
        return (
            self.standing is None
            or self.generation != self.feed.generation
            or self.standing.has_ended()
        )

    def until(self, moment: float) -> float:
        """The earlier one of a moment of the event loop's clock and of the end of a right."""
        ends_at = None if self.standing is None else self.standing.ends_at
        if ends_at is None:
            return moment
        seconds = (ends_at - clock.now()).total_seconds()
        return min(moment, asyncio.get_running_loop().time() + seconds)

    async def check(self) -> Standing:
        """Raise :class:`WithdrawnError` when the login, token or last right has ended."""
        standing = self.standing
        if standing is not None and not self.is_stale:
            return standing
        generation = self.feed.generation
        self.standing = standing = await stand(self.feed, self.actor)
        self.actor = standing.as_seen(self.actor)
        self.generation = generation
        if standing.rights is not None and not self._may_read_something(standing.rights):
            raise WithdrawnError
        return standing

    async def pass_through(self, act: Act) -> Frame | None:
        """What the actor is told of an act: what he asked for and may see."""
        standing = await self.check()
        told = tuple(
            at
            for at, each in enumerate(act.notices)
            if self.interest.covers(each) and standing.judge(each.spot).may_read
        )
        if not told:
            return None
        notices = [act.notices[at] for at in told]
        if not self.interest.with_config and all(standing.judge(n.spot).sees_all for n in notices):
            if told not in act.frames:
                messages = tuple(each.message for each in notices)
                act.frames[told] = Frame("changed", self.feed.epoch, act.revision, messages)
            frame: Frame = act.frames[told]
            return frame
        return Frame(
            "changed",
            self.feed.epoch,
            act.revision,
            tuple([await self._told(standing, each) for each in notices]),
        )

    async def _told(self, standing: Standing, notice: Notice) -> dict[str, Any]:
        if not standing.judge(notice.spot).sees_all:
            notice = await _in_view(self.actor, notice)
        if self.interest.with_config:
            return await _with_config(self.actor, notice, self.interest)
        return notice.message

    def _may_read_something(self, rights: Rights) -> bool:
        services, environment = self.interest.service_ids, self.interest.environment_id
        if services is None:
            if environment is None:
                return rights.holds_anywhere("read")
            return rights.touches_environment("read", environment)
        if environment is None:
            return any(rights.touches_service("read", each) for each in services)
        return any(rights.reaches("read", each, environment) for each in services)


def _place_of(notice: Notice) -> Place:
    """Where the change was. Raises :class:`NotFoundError` once either is deleted."""
    message = notice.message
    return Place(get_service(message["service"]), get_environment(message["environment"]))


@database_sync_to_async
def _in_view(actor: Actor, notice: Notice) -> Notice:
    """The notice with the keys and the checksum of the actor's view."""
    message = {**notice.message, "keys": [], "checksum": ""}
    try:
        found = get_version(actor=actor, place=_place_of(notice), number=message["version"])
        keys = found.seen_keys(notice.message["keys"])
        message |= {"keys": keys, "checksum": found.checksum}
    except DomainError:  # the place was hidden since: nothing more is told
        message.pop("checksum")
    return replace(notice, message=message)


@database_sync_to_async
def _with_config(actor: Actor, notice: Notice, interest: Interest) -> dict[str, Any]:
    """The message with its document, where that is still what is live and still to be seen."""
    message = notice.message
    try:
        place = _place_of(notice)
        live = find_live(actor=actor, place=place)
    except DomainError:  # the place was hidden since: the news of it stands as it was
        return message
    if live is None or live.version != message["version"] or live.row.retired:
        return message
    if interest.unit:
        who = {"unit": interest.unit, "instance": interest.instance}
        live = as_assigned(actor=actor, published=live, **who)
        note_served(live, interest.unit)
        message = {**message, "checksum": live.checksum}
    note_read(actor=actor, place=place, version=live.version)
    return {**message, "config": parse_canonical(live.text)}
