"""What a process tells operators of itself, in the text formats of Prometheus and OpenMetrics.

Everything is read when it is asked for. Each sample says by ``worker`` which process it is of, by its
number: of several that listen at one address, one answers.

Without the database nobody can be asked who calls. Whom this process has answered before is answered
on, for as long as his rights and its memory hold, so that there is somebody to tell that it is away. While
rights are held, after a restore, nobody is: whom it answered before is whom nobody has confirmed.
"""

import hashlib
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from prometheus_client import PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from apps.core.actor import Actor
from apps.delivery.feed import Feed, feed_of_process
from apps.vault.selectors import is_sealed

OPEN: Final = openmetrics.CONTENT_TYPE_LATEST.partition(";")[0]
PREFIX: Final = "configsvc_"
MOST_REMEMBERED: Final = 100


class Exposition(NamedTuple):
    """The samples in one of the formats."""

    body: bytes
    content_type: str


class Process(Collector):
    """What there is to say; ``sealed``: whether secrets cannot be opened, ``None``: nobody can tell."""

    def __init__(self, feed: Feed | None, sealed: bool | None) -> None:
        self._feed, self._sealed = feed, sealed

    def collect(self) -> Iterator[Metric]:
        """The families of samples, each sample with its worker."""
        worker = {"worker": str(os.getpid())}
        for family in self._families():
            family.samples = [
                each._replace(labels={**each.labels, **worker}) for each in family.samples
            ]
            yield family

    def _families(self) -> Iterator[Metric]:
        if self._feed is not None:
            yield from _of_feed(self._feed)
        if self._sealed is not None:
            meaning = "Whether secrets cannot be opened."
            yield GaugeMetricFamily(f"{PREFIX}sealed", meaning, int(self._sealed))
        yield from ProcessCollector(registry=None).collect()
        yield from PlatformCollector(registry=None).collect()


def _of_feed(feed: Feed) -> Iterator[Metric]:
    counts, memory = feed.counts, feed.memory
    yield InfoMetricFamily(
        f"{PREFIX}ledger", "The epoch that this process reads in.", {"epoch": feed.epoch}
    )
    gauges = {
        "ledger_revision": ("How far this process has read the ledger.", feed.revision),
        "ledger_read_age_seconds": ("Since it last looked there.", feed.read_age),
        "database_away": ("Whether the database takes no connections.", int(feed.is_away)),
        "watchers": ("Open streams, sockets and long polls.", len(feed.watchers)),
        "memory_bytes": ("Answers that are kept, about.", memory.size),
        "memory_entries": ("Answers that are kept, and their bodies.", len(memory)),
    }
    for name, (meaning, value) in gauges.items():
        unit = next((each for each in ("seconds", "bytes") if name.endswith(f"_{each}")), "")
        yield GaugeMetricFamily(PREFIX + name, meaning, value, unit=unit)
    answers = CounterMetricFamily(
        f"{PREFIX}answers",
        "Answers about configurations from memory, and of Django to all it was asked.",
        labels=["source"],
    )
    answers.add_metric(["memory"], counts.from_memory)
    answers.add_metric(["django"], counts.from_django)
    yield answers
    yield CounterMetricFamily(
        f"{PREFIX}resyncs",
        "Times that a stream was told to read the present state.",
        counts.resyncs,
    )
    yield CounterMetricFamily(
        f"{PREFIX}slow_watchers_closed",
        "Watchers that were closed, for a resync did not help them.",
        feed.watchers.given_up,
    )


def expose(accept: str, *, sealed: bool | None = None) -> Exposition:
    """The samples: OpenMetrics for who accepts it, else the text format 0.0.4."""
    process = Process(feed_of_process(), sealed)
    accepted = {each.partition(";")[0].strip().lower() for each in accept.split(",")}
    if OPEN in accepted:
        body = openmetrics.generate_latest(process)  # type: ignore[no-untyped-call] # the library's
        return Exposition(body, openmetrics.CONTENT_TYPE_LATEST)
    return Exposition(generate_latest(process), CONTENT_TYPE_PLAIN_0_0_4)


def expose_all(*, actor: Actor, authorization: str, accept: str) -> Exposition:
    """The same with what the database knows, for ``actor``, who is known again without it."""
    feed = feed_of_process()
    if feed is not None and authorization and actor.generation is not None:
        until = actor.expires_at.timestamp() if actor.expires_at else math.inf
        _remember(authorization, _Known(feed.epoch, actor.generation, until))
    return expose(accept, sealed=is_sealed())


@dataclass(frozen=True, slots=True)
class _Known:
    """Somebody who was let in, as of an epoch and an access generation."""

    epoch: str
    generation: int
    until: float


_known: dict[bytes, _Known] = {}


def _remember(authorization: str, known: _Known) -> None:
    _known[_digest(authorization)] = known
    while len(_known) > MOST_REMEMBERED:
        _known.pop(next(iter(tuple(_known))), None)


def _digest(authorization: str) -> bytes:
    return hashlib.sha256(authorization.encode()).digest()


def seconds_without(feed: Feed | None, authorization: str) -> float | None:
    """For how many seconds the database has been away for somebody who is answered all the same."""
    known = _known.get(_digest(authorization))
    if feed is None or known is None or time.time() >= known.until:
        return None
    is_same = (known.epoch, known.generation) == (feed.epoch, feed.generation)
    return feed.stale_for if is_same else None
