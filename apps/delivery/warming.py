"""A start warms what was hot: what is asked most is remembered, and asked again before a process serves.

Answers are kept in memory alone. What outlives the process is the questions, each with the id of the token
that they are asked by. A process that starts asks them of Django ahead of the holders of these tokens, by
what they may do at that moment, so that the first who come are answered as the last ones before were.
"""

import asyncio
import contextlib
import hashlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Final

from channels.db import database_sync_to_async
from django.db import connection
from django.db.models import Q, QuerySet, Window
from django.db.models.functions import RowNumber

from apps.access.holds import are_held
from apps.core import clock
from apps.core.transactions import writing
from apps.delivery.feed import feed_here, feed_of_process
from apps.delivery.hot import Hot
from apps.delivery.keeping import WHOLE, Kept
from apps.delivery.memory import Key
from apps.delivery.models import HotQuestion
from apps.delivery.questions import INSTANCE, TAG, UNIT, key_of, read_back, write_down

logger = logging.getLogger(__name__)

NOTE_EVERY: Final = 60.0
MOST: Final = 1_000
"""So many questions are remembered, and of one token :data:`MOST_OF_ONE`."""
MOST_OF_ONE: Final = 500
WARM_FOR: Final = timedelta(days=1)
HOT_FOR: Final = timedelta(hours=1)
"""What was asked within this comes before what was not, however often that was asked."""
WITHIN: Final = 2.0
"""So many seconds a start waits for it, at most."""
AT_ONCE: Final = 4
NOTES: Final = 0x686F7473
"""The number of the advisory lock of who notes: the bytes of "hots"."""


async def warm(hot: Hot) -> None:
    """Have ready what was hot, as far as there is time: whatever is slow then, or fails, a start goes on."""
    began = time.monotonic()
    ready: list[str] = []
    known: list[tuple[str, str, str]] = []
    warming = asyncio.create_task(_warm(hot, known, ready))
    done, _left = await asyncio.wait({warming}, timeout=WITHIN)
    if not done:
        warming.cancel()  # and not waited for: it may be stuck in a thread
    elif (error := warming.exception()) is not None:
        logger.error("What is asked often could not be made ready.", exc_info=error)
    if known:
        took = time.monotonic() - began
        logger.info("%d of %d answers are ready again, after %.1f s.", len(ready), len(known), took)


async def _warm(hot: Hot, known: list[tuple[str, str, str]], ready: list[str]) -> None:
    """Ask what is ``known`` to have been hot, the hottest first; what was asked is ``ready``."""
    feed = feed_here()
    known += await _read()
    if feed is None or not known or not await feed.caught_up(WITHIN):
        return
    left = iter(known)

    async def ask_each() -> None:
        for token_id, digest, asked in left:
            with contextlib.suppress(ValueError):  # no question of this program's
                scope = read_back(asked)
                key = key_of(scope, bytes.fromhex(digest))
                if key is not None and await hot.ask_ahead(key, scope, token_id):
                    ready.append(asked)

    await asyncio.gather(*(ask_each() for _one in range(AT_ONCE)))


@database_sync_to_async
def _read() -> list[tuple[str, str, str]]:
    """The ids and digests of tokens, and what they ask, the hottest first; nothing while rights are held."""
    if are_held():
        return []
    rows = _hottest(clock.now()).filter(token__withdrawn_at=None)
    found = rows.values_list("token_id", "token__digest", "asked")[:MOST]
    return [(str(token_id), digest, asked) for token_id, digest, asked in found]


def _hottest(now: datetime) -> QuerySet[HotQuestion]:
    """The hottest first, of each token so many."""
    rows = HotQuestion.objects.filter(last_at__gte=now - WARM_FOR)
    order = "-is_hot", "-count"
    place = Window(RowNumber(), partition_by="token_id", order_by=order)
    ordered = rows.annotate(is_hot=Q(last_at__gte=now - HOT_FOR)).annotate(place=place)
    return ordered.filter(place__lte=MOST_OF_ONE).order_by(*order)


_noted_at = 0.0


def flush(*, everything: bool) -> None:
    """Remember what was asked most since the last time, if that is a minute ago or ``everything`` is to be."""
    global _noted_at  # noqa: PLW0603 - one for the process, as its memory is
    feed = feed_of_process()
    if feed is None or not (everything or time.monotonic() - _noted_at >= NOTE_EVERY):
        return
    _noted_at = time.monotonic()
    found = _take_hot(feed.memory.items())
    if found:
        _write(found)


def _take_hot(items: Iterator[tuple[Key | bytes, object]]) -> dict[tuple[str, str], int]:
    """What was asked most, by the token's id and the question as it is written down."""
    asked = []
    for key, kept in items:
        if (
            isinstance(kept, Kept)
            and kept.times
            and isinstance(key, tuple)
            and _is_its_own(key, kept)
        ):
            asked.append((kept.times, key, kept.served.actor.token_id))
            kept.times = 0
    found: dict[tuple[str, str], int] = {}
    of_token: Counter[str] = Counter()
    for times, key, token_id in sorted(asked, key=itemgetter(0), reverse=True):
        written = write_down(key) if token_id and of_token[token_id] < MOST_OF_ONE else None
        if token_id and written:
            found[token_id, written] = times
            of_token[token_id] += 1
        if len(found) == MOST:
            break
    return found


def _is_its_own(key: Key, kept: Kept) -> bool:
    """Whether an answer is kept by its own question, which everybody with the token may ask."""
    if key[INSTANCE] is not None or key[UNIT] is not None or kept.served.sealed is not None:
        return False
    return kept.status != WHOLE or key[TAG] is None  # it is there without the tag, too


def _write(found: dict[tuple[str, str], int]) -> None:
    now = clock.now()
    rows = [
        HotQuestion(
            token_id=uuid.UUID(token_id),
            digest=hashlib.sha256(asked.encode()).hexdigest(),
            asked=asked,
            count=count,
            last_at=now,
        )
        for (token_id, asked), count in found.items()
    ]
    with writing():
        if connection.vendor == "postgresql":  # one after the other
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [NOTES])
        HotQuestion.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["token", "digest"],
            update_fields=["count", "last_at"],
        )
        hottest = list(_hottest(now).values_list("pk", flat=True)[:MOST])
        HotQuestion.objects.exclude(pk__in=hottest).delete()
