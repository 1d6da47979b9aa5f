"""A start warms what was hot: what is asked most is remembered, and asked again before a process serves.

Answers are kept in memory alone. What outlives the process is the questions, each with the id of the token
that they are asked by. A process that starts asks them of Django ahead of the holders of these tokens, by
what they may do at that moment, so that the first who come are answered as the last ones before were.
"""

import asyncio
import contextlib
import hashlib
import heapq
import logging
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from channels.db import database_sync_to_async

from apps.core import clock
from apps.core.transactions import writing
from apps.delivery.feed import Feed, feed_here
from apps.delivery.hot import Hot
from apps.delivery.keeping import WHOLE, Kept
from apps.delivery.memory import Key
from apps.delivery.models import HotQuestion
from apps.delivery.questions import TAG, key_of, read_back, write_down

logger = logging.getLogger(__name__)

NOTE_EVERY: Final = 60.0
MOST: Final = 1_000
"""So many questions are remembered of a process."""
WARM_FOR: Final = timedelta(days=1)
WITHIN: Final = 2.0
"""So many seconds a start takes for it, at most."""
AT_ONCE: Final = 4


class Warmth:
    """Remembers what is hot in this process, and has it ready again in the next."""

    def __init__(self, hot: Hot) -> None:
        self._hot = hot
        self._noting: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Have ready what was hot, as far as there is time; then remember from while to while."""
        began = time.monotonic()
        try:
            ready, known = await self._warm(until=began + WITHIN)
        except Exception:
            logger.exception(
                "What is asked often could not be made ready; it comes when it is asked for."
            )
        else:
            if known:
                took = time.monotonic() - began
                logger.info("%d of %d answers are ready again, after %.1f s.", ready, known, took)
        self._noting = asyncio.create_task(self._note_often())

    async def end(self) -> None:
        """Remember what is hot now."""
        if self._noting is not None:
            self._noting.cancel()
            await asyncio.wait({self._noting})
        await _note()

    async def _warm(self, until: float) -> tuple[int, int]:
        """How many answers are ready, of how many that were hot."""
        feed, known = feed_here(), await _read()
        if feed is None or not known or not await feed.caught_up(WITHIN):
            return 0, len(known)
        left = iter(known)
        await asyncio.gather(*(self._ask_each(left, until) for _one in range(AT_ONCE)))
        return len(_kept(feed)), len(known)

    async def _ask_each(self, left: Iterator[tuple[str, str, str]], until: float) -> None:
        for token_id, digest, asked in left:
            with contextlib.suppress(ValueError):  # written down by another program
                scope = read_back(asked)
                key = key_of(scope, bytes.fromhex(digest))
                if key is not None:
                    await self._hot.ask_ahead(key, scope, token_id)
            if time.monotonic() > until:
                break

    async def _note_often(self) -> None:
        while True:
            await asyncio.sleep(NOTE_EVERY)
            await _note()


async def _note() -> None:
    feed = feed_here()
    if feed is None:
        return
    try:
        await database_sync_to_async(_write)(feed)
    except Exception as error:
        logger.warning("What is asked often could not be remembered: %s", error)


def _kept(feed: Feed) -> list[tuple[Key, Kept]]:
    """The answers in memory without values of secrets, each with what is asked."""
    return [
        (key, kept)
        for key, kept in feed.memory.items()
        if isinstance(kept, Kept)
        and not isinstance(key, bytes)  # the same, as it was asked word for word
        and kept.served.sealed is None
        and (kept.status != WHOLE or key[TAG] is None)  # it is there without the tag, too
    ]


def _write(feed: Feed) -> None:
    """Write down what was asked most since this was done last."""
    asked = heapq.nlargest(MOST, _kept(feed), key=lambda each: each[1].times)
    now = clock.now()
    rows = [
        HotQuestion(
            token_id=uuid.UUID(kept.served.actor.token_id),
            digest=hashlib.sha256(written.encode()).hexdigest(),
            asked=written,
            count=kept.times,
            last_at=now,
        )
        for key, kept in asked
        if kept.times and (written := write_down(key))
    ]
    for _key, kept in asked:
        kept.times = 0
    if not rows:
        return
    with writing():
        HotQuestion.objects.filter(last_at__lt=now - WARM_FOR).delete()
        HotQuestion.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["token", "digest"],
            update_fields=["count", "last_at"],
        )


@database_sync_to_async
def _read() -> list[tuple[str, str, str]]:
    """The ids and digests of tokens, and what they ask, the hottest first."""
    hot = HotQuestion.objects.filter(last_at__gte=clock.now() - WARM_FOR).order_by("-count")
    rows = hot.values_list("token_id", "token__digest", "asked")[:MOST]
    return [(str(token_id), digest, asked) for token_id, digest, asked in rows]
