"""Who is told of which acts: the watchers of one process, found by the places that they watch.

A watcher costs nothing while nothing happens to it: it sleeps on one future, and on a timer that it shares
with all that are due at the same moment.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator

from apps.delivery.acts import Act

Spot = tuple[int | None, int | None]
"""A service's and an environment's number; ``None`` stands for every one."""


class Watcher:
    """One stream's end of the feed, with the acts that it has not taken yet, at most ``limit``.

    ``overflowed``: it was too slow, and has to be told so. Where it misses as many again before that,
    it is given up: ``stopped``, and ``give_up`` is called, which ends what it is stuck in.
    """

    __slots__ = (
        "_acts",
        "_give_up",
        "_limit",
        "_missed",
        "_waiting",
        "overflowed",
        "spots",
        "stopped",
    )

    def __init__(
        self, spots: frozenset[Spot], limit: int, give_up: Callable[[], object] | None = None
    ) -> None:
        self.spots = spots
        self.overflowed = self.stopped = False
        self._acts: list[Act] = []
        self._limit, self._give_up, self._missed = limit, give_up, 0
        self._waiting: asyncio.Future[None] | None = None

    @property
    def is_behind(self) -> bool:
        """Whether there are acts that it has not taken."""
        return bool(self._acts)

    def has_room(self, count: int) -> bool:
        """Whether so many more acts are not too many, or it is told of none any more."""
        return self.overflowed or self.stopped or len(self._acts) + count <= self._limit

    def offer(self, act: Act) -> None:
        """Queue an act, or note that the watcher is too slow."""
        if not self.overflowed and len(self._acts) < self._limit:
            self._acts.append(act)
        else:
            self.overflow()
            self._missed += 1
            if self._missed > self._limit:
                self.stop()
                if self._give_up is not None:  # once: it cancels what may be ending by now
                    self._give_up()
                    self._give_up = None
        self.wake()

    def take(self) -> Act | None:
        """The next act, where there is one."""
        return self._acts.pop(0) if self._acts else None

    def overflow(self) -> None:
        """Forget what is queued: the client is to read the present state instead."""
        self._acts.clear()
        self.overflowed = True
        self.wake()

    def resume(self) -> None:
        """It is about to be told that it overflowed: acts queue again from now on."""
        self.overflowed, self._missed = False, 0

    def stop(self) -> None:
        """End the stream."""
        self.stopped = True
        self.wake()

    def wake(self) -> None:
        """Let it look: at its acts, at its rights, at the time."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def wait(self) -> None:
        """Sleep until it is woken."""
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None


class Watchers:
    """All of a feed's, by what they watch. ``given_up``: how many have been, so far."""

    def __init__(self) -> None:
        self.given_up = 0
        self._all: set[Watcher] = set()
        self._by_spot: defaultdict[Spot, set[Watcher]] = defaultdict(set)
        self._due: dict[float, set[Watcher]] = {}

    def __iter__(self) -> Iterator[Watcher]:
        return iter(tuple(self._all))

    def __len__(self) -> int:
        return len(self._all)

    def add(self, watcher: Watcher) -> None:
        """Tell it from now on."""
        self._all.add(watcher)
        for spot in watcher.spots:
            self._by_spot[spot].add(watcher)

    def discard(self, watcher: Watcher) -> None:
        """Tell it no more."""
        self._all.discard(watcher)
        for spot in watcher.spots:
            self._by_spot[spot].discard(watcher)
            if not self._by_spot[spot]:
                del self._by_spot[spot]

    def wake_at(self, moment: float, watcher: Watcher) -> None:
        """Wake it at that moment of the event loop's clock, whatever else wakes it before."""
        if moment not in self._due:
            self._due[moment] = set()
            asyncio.get_running_loop().call_at(moment, self._wake_due, moment)
        self._due[moment].add(watcher)

    def _wake_due(self, moment: float) -> None:
        for watcher in self._due.pop(moment):
            watcher.wake()

    def offer(self, act: Act) -> None:
        """Hand an act to those whom it concerns."""
        concerned: set[Watcher] = set()
        for service, environment in {each.spot for each in act.notices}:
            around = (
                (service, environment),
                (service, None),
                (None, environment),
                (None, None),
            )
            concerned.update(*(self._by_spot.get(spot, ()) for spot in around))
        for watcher in concerned:
            had_stopped = watcher.stopped
            watcher.offer(act)
            self.given_up += watcher.stopped and not had_stopped
