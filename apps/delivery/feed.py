"""The ledger as a feed: one listener per process reads it and tells its own watchers.

Push is a hint, the ledger is the truth: a wake-up (from a commit in this process, or through
the channel layer from another one) only makes the listener look; without one it looks every
second. What it hands on is therefore complete, ordered and unique, whatever the channel layer
drops. It keeps the answers that are ready in memory, too: what an act has touched is forgotten before
the feed says that it has read it. Many acts at once are read in pages, between which the watchers take
theirs: who cannot keep up with that is slow, and who has merely been told of many is not.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings

from apps.access.rights import read_generation
from apps.audit import epochs, wakeup
from apps.core.actor import system
from apps.core.reaching import AWAY, bound_waiting, stop_waiting, takes_connections
from apps.delivery import reads
from apps.delivery.acts import Act, read_page
from apps.delivery.between import hear_others, layer_between_processes, wake_others
from apps.delivery.memory import Memory
from apps.delivery.watchers import Spot, Watcher, Watchers
from apps.rollouts.assigning import forget_written

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0
REMEMBER_EVERY = 1.0
WRITE_COUNTS_EVERY = 10.0
CANCEL_EVERY = 0.5
QUEUE_LIMIT = 1_000
PAGES_OF_A_QUEUE = 4
ROOM_WITHIN = 0.25
"""So many seconds a look waits, after each page, for watchers that have no room for the next one."""
HURRY_AFTER = 2.0
"""So many seconds after it has begun it waits no more: a slow watcher keeps nobody from the present."""
ROOM_EVERY = 0.01
CURRENT_FOR = 1.4
"""So many seconds after the feed has begun to look, what it found is no longer the present."""
SERVED_WITHOUT = 3_600.0
"""So many seconds what a process holds is given while the database is away."""


class AwayError(Exception):
    """The database takes no connections."""


@dataclass(slots=True)
class Counts:
    """How often each has happened in this process: answers given by what is in memory, requests that
    Django answered, and streams that were told to read the present state.
    """

    from_memory: int = 0
    from_django: int = 0
    resyncs: int = 0


class Feed:
    """Follows the ledger in one event loop. ``revision`` is how far it has read; a watcher that is
    more than ``queue_limit`` acts behind is too slow.
    """

    def __init__(self, queue_limit: int = QUEUE_LIMIT) -> None:
        self._queue_limit = queue_limit
        self.epoch = ""
        self.revision = 0
        self.generation = 0
        self.rights_moved = asyncio.Event()  # set, and another one, when the generation moves
        self.standings: dict[str, asyncio.Task[Any]] = {}  # of tokens, as of now
        self.bookmark: Any = None  # the frame that a stream was sent last of that kind
        self.memory: Memory[Any, Any] = Memory(settings.MEMORY_BYTES)
        self.counts = Counts()
        self.watchers = Watchers()
        self.has_ended = False
        self.is_away = False  # the database takes no connections; not: a look is late
        self._told: object = object()  # another one with each commit of this process
        self._read: object = None  # the one before what was read last
        self._looked_at = 0.0  # monotonic, when that look began
        self._lost = False  # the database was away: another one may have taken its place
        self._name = secrets.token_hex(8)
        self._wake = asyncio.Event()
        self._moved = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._unsubscribe: Callable[[], None] | None = None

    async def start(self) -> None:
        """Read where the ledger ends and begin to follow it."""
        self._looked_at = time.monotonic()
        end, self.generation = await _read_position()
        self.epoch, self.revision = end.epoch, end.revision
        loop = asyncio.get_running_loop()

        def wake() -> None:
            self._told = object()  # from the committing thread, before anybody hears of the commit
            loop.call_soon_threadsafe(self._wake_all)

        self._unsubscribe = wakeup.subscribe(wake)
        self._tasks = [
            asyncio.create_task(self._follow()),
            asyncio.create_task(self._remember()),
            asyncio.create_task(self._write_counts()),
        ]
        layer = layer_between_processes()
        if layer is not None:
            hearing = hear_others(layer, self._name, self._wake.set)
            self._tasks.append(asyncio.create_task(hearing))

    async def stop(self) -> None:
        """End following; open watchers hear nothing more."""
        self.has_ended = True
        if self._unsubscribe:
            self._unsubscribe()
        self.end_streams()
        await _end(set(self._tasks))
        with contextlib.suppress(Exception):  # the database may be gone before the server
            await database_sync_to_async(reads.flush)()

    def end_streams(self) -> None:
        """End every open stream and poll: their clients go on with another server."""
        for watcher in self.watchers:
            watcher.stop()

    @property
    def position(self) -> str:
        """``EPOCH-REVISION`` as far as this process has read."""
        return f"{self.epoch}-{self.revision}"

    @property
    def is_current(self) -> bool:
        """Whether this process has read all that was committed in it, and looked a moment ago."""
        return self._read is self._told and time.monotonic() - self._looked_at < CURRENT_FOR

    @property
    def read_age(self) -> float:
        """Seconds since the last look that succeeded was begun."""
        return time.monotonic() - self._looked_at

    @property
    def stale_for(self) -> float | None:
        """Seconds since the last look, where what is in memory may be given all the same.

        That is while the database is away, for an hour, and not where this process has committed
        something that it could not read any more: it knows that what it holds is over.
        """
        if not self.is_away or self._read is not self._told:
            return None
        seconds = self.read_age
        return seconds if seconds < SERVED_WITHOUT else None

    async def caught_up(self, timeout: float) -> bool:
        """Wait until :attr:`is_current`, at most ``timeout`` seconds; not while the database is away.

        Whoever waits leaves the processor to the look, which a busy server may have held up.
        """
        if self.is_current or self.is_away:
            return self.is_current
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout), self._moved:
                await self._moved.wait_for(lambda: self.is_current or self.is_away)
        return self.is_current

    def register(
        self, spots: frozenset[Spot], give_up: Callable[[], object] | None = None
    ) -> tuple[Watcher, int]:
        """A watcher that gets every act there after the returned revision."""
        watcher = Watcher(spots, self._queue_limit, give_up)
        self.watchers.add(watcher)
        return watcher, self.revision

    def unregister(self, watcher: Watcher) -> None:
        """Forget a watcher."""
        self.watchers.discard(watcher)

    async def reached(self, revision: int, timeout: float) -> bool:
        """Wait until ``revision`` has been read, at most ``timeout`` seconds."""
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout), self._moved:
                await self._moved.wait_for(lambda: self.revision >= revision)
        return self.revision >= revision

    def _wake_all(self) -> None:
        self._wake.set()
        layer = layer_between_processes()
        if layer is not None:
            task = asyncio.ensure_future(wake_others(layer, self._name))
            self._tasks.append(task)
            task.add_done_callback(self._tasks.remove)

    async def _follow(self) -> None:
        while True:
            try:
                await self._look()
            except AwayError:  # which was logged when it began
                pass
            except Exception:
                self._lost = True
                logger.exception("The ledger could not be read; looking again in a second.")
            # not wait_for, which before Python 3.12 may swallow that it was cancelled
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._wake.wait()
            self._wake.clear()

    async def _look(self) -> None:
        """Read on; where that fails or takes long, find out whether the database is there at all.

        Raises :class:`AwayError` while it is still not, without waiting for a connection of the pool.
        """
        if self.is_away:
            if await asyncio.to_thread(takes_connections) is False:
                raise AwayError
            await asyncio.to_thread(bound_waiting)
        reading = asyncio.ensure_future(self._advance())
        try:
            await asyncio.wait({reading}, timeout=LOOK_EVERY)
            if not reading.done():
                is_there = await asyncio.to_thread(takes_connections)
                if is_there is False and not reading.done():
                    await self._lose()
            await reading
        except AWAY:
            if await asyncio.to_thread(takes_connections) is not True:
                await self._lose()
            raise
        finally:
            reading.cancel()

    async def _lose(self) -> None:
        """From now on the database is away, until a look succeeds; nobody here waits for it."""
        self.is_away = self._lost = True
        await asyncio.to_thread(stop_waiting)
        async with self._moved:
            self._moved.notify_all()

    async def _write_counts(self) -> None:
        while True:
            await asyncio.sleep(WRITE_COUNTS_EVERY)
            try:
                await database_sync_to_async(reads.flush)()
            except Exception:
                logger.exception("Counts of reads could not be written; they wait.")

    async def _remember(self) -> None:
        """Keep outside of the database how far it has come. No look waits for it: Redis may be stuck,
        and so it is not asked in the thread that asks the database, either.
        """
        remembered = ""
        while True:
            async with self._moved:
                await self._moved.wait()  # a look has made sure that it is the same database
            if self.position == remembered:
                continue
            remembered = self.position
            try:
                reached = await database_sync_to_async(epochs.remember_in_folder)()
                await asyncio.to_thread(epochs.remember_in_redis, *reached)
            except Exception:
                logger.exception("How far the ledger has come could not be remembered.")
            await asyncio.sleep(REMEMBER_EVERY)

    async def _find_position(self) -> tuple[epochs.End, int]:
        """Where the ledger ends, and the access generation. A database that may be another one than
        before begins an epoch of its own, and is asked again.
        """
        end, access = await _read_position()
        is_behind = end.epoch == self.epoch and end.revision < self.revision
        if self._lost or end.is_another or is_behind:
            await _settle()
            self._lost = False
            end, access = await _read_position()
        return end, access

    async def _advance(self) -> None:
        told, began = self._told, time.monotonic()
        end, access = await self._find_position()
        epoch, head = end.epoch, end.revision
        if epoch != self.epoch or head < self.revision:
            self.epoch, self.revision = epoch, head
            self.memory.clear()
            forget_written()
            for watcher in self.watchers:
                watcher.overflow()
        await self._read_on(epoch, head, access, hurry_at=began + HURRY_AFTER)
        if self.is_away:  # what this look has waited for has come
            await asyncio.to_thread(bound_waiting)
        self._read, self._looked_at, self.is_away = told, began, False
        async with self._moved:
            self._moved.notify_all()

    async def _read_on(self, epoch: str, head: int, access: int, hurry_at: float) -> None:
        """Hand on what there is up to ``head``, page by page, and the access generation with the first:
        it was read after all of them.
        """
        page = max(self._queue_limit // PAGES_OF_A_QUEUE, 1)
        while True:
            acts: list[Act] = []
            until = head
            if head > self.revision and (self.watchers or len(self.memory)):
                acts, until = await read_page(epoch, self.revision, head, page)
            for act in acts:
                self._hand_on(act)
            self.revision = until
            if access != self.generation:
                self._move_rights(access)
            if until == head:
                return
            await self._make_room(page, hurry_at)

    async def _make_room(self, count: int, hurry_at: float) -> None:
        """Let the watchers take what they were told of, and those who are full for a moment more."""
        async with self._moved:
            self._moved.notify_all()
        await asyncio.sleep(0)
        ends = min(time.monotonic() + ROOM_WITHIN, hurry_at)
        while time.monotonic() < ends and not all(each.has_room(count) for each in self.watchers):
            await asyncio.sleep(ROOM_EVERY)

    def _hand_on(self, act: Act) -> None:
        """Forget what the act has touched, and tell the watchers."""
        if act.spreads:
            self.memory.clear()
        else:
            self.memory.forget({each.spot for each in act.notices})
        self.watchers.offer(act)

    def _move_rights(self, generation: int) -> None:
        """Forget what rested on rights, and let everybody look at his again."""
        self.memory.clear()
        self.generation, self.standings = generation, {}
        self.rights_moved.set()
        self.rights_moved = asyncio.Event()
        for watcher in self.watchers:
            watcher.wake()


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel them until they have ended.

    Once is not always enough: the Redis client's wait_for, before Python 3.12, may swallow it.
    """
    while tasks:
        for task in tasks:
            task.cancel()
        ended, tasks = await asyncio.wait(tasks, timeout=CANCEL_EVERY)
        await asyncio.gather(*ended, return_exceptions=True)


@database_sync_to_async
def _settle() -> None:
    epochs.settle(actor=system("server"))


@database_sync_to_async
def _read_position() -> tuple[epochs.End, int]:
    return epochs.read_end(), read_generation()[0]


def feed_here() -> Feed | None:
    """The feed of the running event loop, where it has been started."""
    return _feeds.get(asyncio.get_running_loop())


def feed_of_process() -> Feed | None:
    """The feed of the event loop that serves, for any thread; ``None`` where nothing follows."""
    return next(iter(tuple(_feeds.values())), None)


_feeds: dict[asyncio.AbstractEventLoop, Feed] = {}
_starting: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}


async def running_feed() -> Feed:
    """The feed of the running event loop, started on its first use."""
    loop = asyncio.get_running_loop()
    async with _starting.setdefault(loop, asyncio.Lock()):
        if loop not in _feeds:
            feed = Feed()
            await feed.start()
            _feeds[loop] = feed
    return _feeds[loop]


async def stop_feed() -> None:
    """End the feed of the running event loop, if it has one."""
    loop = asyncio.get_running_loop()
    _starting.pop(loop, None)
    feed = _feeds.pop(loop, None)
    if feed is not None:
        await feed.stop()
