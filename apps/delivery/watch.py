"""The one generator behind SSE, WebSocket and long poll.

Register first, then read the backlog from the ledger, then the new acts: nothing is missed
between the two and nothing is seen twice. Rights are asked again for every act, against the
access generation that the feed read after the act itself.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from channels.db import database_sync_to_async

from apps.access.policy import Place
from apps.access.rights import rights_of
from apps.access.selectors import still_valid
from apps.configs.selectors.configurations import find_live, get_version
from apps.core import clock
from apps.core.actor import Actor
from apps.delivery.feed import Act, Feed, Notice, Watcher, read_acts
from apps.delivery.reads import note_read
from apps.engine.errors import DomainError
from apps.engine.values import parse_canonical
from apps.registry.selectors import get_environment, get_service
from apps.rollouts.assigning import as_assigned, note_served

BOOKMARK_EVERY = 15.0
LOOK_AT_RIGHTS_EVERY = 1.0
CATCH_UP = 1.5
MAX_BACKLOG = 100_000


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
    """One thing to send. ``kind`` is ready, changed, bookmark or resync."""

    kind: str
    epoch: str
    revision: int
    messages: tuple[dict[str, Any], ...] = ()

    @property
    def position(self) -> dict[str, Any]:
        """``{"epoch","revision"}``."""
        return {"epoch": self.epoch, "revision": self.revision}


class WithdrawnError(Exception):
    """The actor's login, token or last right on the stream has ended."""


async def watch(
    feed: Feed,
    actor: Actor,
    interest: Interest,
    after: Cursor | None = None,
    *,
    bookmark_every: float = BOOKMARK_EVERY,
) -> AsyncIterator[Frame]:
    """Frames for ``actor``, for ever: ``ready``, then every later change in order, once, and a
    bookmark after so many seconds without one.

    Raises :class:`WithdrawnError` at most a few seconds after the actor lost his login, his token
    or his last right to read what the stream is about.
    """
    if after is not None and after.epoch in (None, feed.epoch) and after.revision > feed.revision:
        await feed.reached(after.revision, CATCH_UP)  # the client read it before this process did
    watcher, registered_at = feed.register()
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
            yield Frame("resync", feed.epoch, registered_at)
        async for frame in _live(feed, watcher, gate, registered_at, bookmark_every):
            yield frame
    finally:
        feed.unregister(watcher)


def _resumable(feed: Feed, after: Cursor, head: int) -> bool:
    same_epoch = after.epoch in (None, feed.epoch)
    return same_epoch and 0 <= head - after.revision <= MAX_BACKLOG


async def _backlog(feed: Feed, gate: "_Gate", start: int, until: int) -> AsyncIterator[Frame]:
    if until > start:
        for act in await read_acts(feed.epoch, start, until):
            messages = await gate.pass_through(act)
            if messages:
                yield Frame("changed", feed.epoch, act.revision, messages)
        yield Frame("bookmark", feed.epoch, until)


async def _live(
    feed: Feed, watcher: Watcher, gate: "_Gate", reached: int, bookmark_every: float
) -> AsyncIterator[Frame]:
    """What comes from now on. Bookmarks and rights wait for no quiet second: others' acts may
    never leave one.
    """
    loop = asyncio.get_running_loop()
    bookmark_at = loop.time() + bookmark_every
    while not watcher.stopped:
        if watcher.overflowed:
            watcher.empty()
            reached = feed.revision
            yield Frame("resync", feed.epoch, reached)
        act = await _next_act(watcher)
        await gate.check()
        messages = await gate.pass_through(act) if act is not None else ()
        if watcher.overflowed or watcher.stopped:
            continue
        if act is not None:
            reached = act.revision
        elif watcher.queue.empty():
            reached = feed.revision
        if messages:
            yield Frame("changed", feed.epoch, reached, messages)
        elif loop.time() >= bookmark_at:
            yield Frame("bookmark", feed.epoch, reached)
        else:
            continue
        bookmark_at = loop.time() + bookmark_every


async def _next_act(watcher: Watcher) -> Act | None:
    try:
        return await asyncio.wait_for(watcher.queue.get(), LOOK_AT_RIGHTS_EVERY)
    except TimeoutError:
        return None


class _Gate:
    """The actor's rights on a stream, read afresh whenever the access generation has moved."""

    def __init__(self, feed: Feed, actor: Actor, interest: Interest) -> None:
        self.feed, self.actor, self.interest = feed, actor, interest
        self.generation = -1
        self.rights: Any = None

    async def check(self) -> None:
        """Raise :class:`WithdrawnError` when the login, token or last right has ended."""
        expires_at = self.actor.expires_at
        if expires_at is not None and expires_at <= clock.now():
            raise WithdrawnError
        if self.generation == self.feed.generation:
            return
        generation = self.feed.generation
        actor = await _reload(self.actor)
        if actor is None:
            raise WithdrawnError
        self.actor = replace(actor, environment=self.actor.environment)
        self.rights = None if actor.is_superuser else await _rights(actor)
        self.generation = generation
        if self.rights is not None and not self._may_read_something():
            raise WithdrawnError

    async def pass_through(self, act: Act) -> tuple[dict[str, Any], ...]:
        """The act's messages that the actor asked for and may see."""
        notices = [each for each in act.notices if self.interest.covers(each)]
        if not notices:
            return ()
        await self.check()
        seen = [each for each in notices if self._may_read(each)]
        told = [each if self._sees_all(each) else await _in_view(self.actor, each) for each in seen]
        if self.interest.with_config:
            interest = self.interest
            return tuple([await _with_config(self.actor, each, interest) for each in told])
        return tuple(each.message for each in told)

    def _may_read_something(self) -> bool:
        services, environment = self.interest.service_ids, self.interest.environment_id
        if services is None:
            if environment is None:
                return bool(self.rights.holds_anywhere("read"))
            return bool(self.rights.touches_environment("read", environment))
        if environment is None:
            return any(self.rights.touches_service("read", each) for each in services)
        return any(self.rights.reaches("read", each, environment) for each in services)

    def _may_read(self, notice: Notice) -> bool:
        if self.rights is None:
            return self.actor.is_superuser
        return bool(self.rights.reaches("read", notice.service_id, notice.environment_id))

    def _sees_all(self, notice: Notice) -> bool:
        """Whether no key of the configuration is hidden from the actor."""
        if self.rights is None:
            return True
        scope = (notice.service_id, notice.environment_id)
        return all(self.rights.guard(verb, *scope).is_open for verb in ("list", "read"))


@database_sync_to_async
def _reload(actor: Actor) -> Actor | None:
    return still_valid(actor, now=clock.now())


@database_sync_to_async
def _rights(actor: Actor) -> Any:
    return rights_of(actor)


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
