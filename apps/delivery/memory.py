"""Answers that are ready, in the memory of one process.

One cache class, one key and one invalidation: :class:`Memory` keeps an answer by what decides it in
a request (:data:`Key`), and forgets those about a configuration when an act has touched it, or all of
them when who may do what has moved.
"""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Key = tuple[bytes | str | None, ...]
PlaceKey = tuple[int, int]
"""The keys of a service and of an environment."""


class Sized(Protocol):
    """What says how many bytes it takes."""

    @property
    def size(self) -> int:
        """Bytes, about."""


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Sized)


@dataclass(slots=True)
class Entry(Generic[V]):
    """A value, ``None`` once it was dropped, the places that it is about, and how many bytes it is counted
    with. ``is_used``: it is new, or somebody has asked for it since it was spared.
    """

    value: V | None
    places: Sequence[PlaceKey]
    size: int
    is_used: bool = True

    def find(self) -> V | None:
        """The value, which is spared when it is its turn to go."""
        self.is_used = True
        return self.value


class Memory(Generic[K, V]):
    """At most ``limit`` bytes of values; those that nobody has asked for longest go first, or nearly:
    of a queue the first goes that was not used since it was there last (second chance; Corbató, "A
    paging experiment with the Multics system", 1968). So whoever asks moves nothing, and waits for nobody.

    Several threads may use it. A value may be about places: they can be forgotten by these.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._kept: OrderedDict[K, Entry[V]] = OrderedDict()
        self._at: defaultdict[PlaceKey, set[K]] = defaultdict(set)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: K) -> V | None:
        """The value, which is spared when it is its turn to go."""
        entry = self._kept.get(key)
        return None if entry is None else entry.find()

    def keep_once(self, key: K, value: V, places: Sequence[PlaceKey] = ()) -> Entry[V]:
        """Where a value is remembered, by whoever was first; so it is found without its key."""
        entry = self._kept.get(key)
        if entry is None:
            return self.keep(key, value, places)
        entry.is_used = True
        return entry

    def keep(
        self, key: K, value: V, places: Sequence[PlaceKey] = (), size: int | None = None
    ) -> Entry[V]:
        """Remember a value, unless it is larger than everything together may be. ``size``: what this
        takes, for one that is there by another key.
        """
        size = value.size if size is None else size
        entry: Entry[V] = Entry(value, places, size)
        with self._lock:
            self._drop(key)
            self._kept[key] = entry
            self.size += size
            for place in places:
                self._at[place].add(key)
            if size > self.limit:
                self._drop(key)
            while self.size > self.limit:
                self._drop_first()
        return entry

    def items(self) -> Iterator[tuple[K, V]]:
        """All that is kept; what comes or goes meanwhile may be missing. Nothing is spared by it."""
        with self._lock:
            keys = list(self._kept)
        for key in keys:
            entry = self._kept.get(key)
            if entry is not None and (value := entry.value) is not None:
                yield key, value

    def forget(self, places: Collection[PlaceKey]) -> None:
        """Forget what is about any of ``places``."""
        with self._lock:
            for place in places:
                for key in tuple(self._at.get(place, ())):
                    self._drop(key)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self._at.clear()
            self.size = 0

    def _drop_first(self) -> None:
        key, entry = next(iter(self._kept.items()))
        if entry.is_used:
            entry.is_used = False
            self._kept.move_to_end(key)
        else:
            self._drop(key)

    def _drop(self, key: K) -> None:
        entry = self._kept.pop(key, None)
        if entry is None:
            return
        entry.value = None
        self.size -= entry.size
        for place in entry.places:
            self._at[place].discard(key)
            if not self._at[place]:
                del self._at[place]


class Body(Sized, Protocol):
    """What is sent after the head of an answer."""

    def read(self, revision: int) -> bytes | None:
        """Its bytes at a revision; ``None`` where they cannot be given."""


@dataclass(frozen=True, slots=True)
class Text:
    """Bytes that several answers may send."""

    data: bytes

    @property
    def size(self) -> int:
        """Bytes, with what Python needs around them."""
        return len(self.data) + 200

    def read(self, _revision: int) -> bytes:
        """Its bytes."""
        return self.data


@dataclass(frozen=True, slots=True)
class Dated:
    """Bytes around the revision at which they are sent."""

    before: bytes
    after: bytes

    @property
    def size(self) -> int:
        """Bytes, with what Python needs around them."""
        return len(self.before) + len(self.after) + 300

    def read(self, revision: int) -> bytes:
        """Its bytes."""
        return b"%b%d%b" % (self.before, revision, self.after)
