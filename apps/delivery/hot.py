"""The read path before Django: an answer that was given is given again from memory.

The first answer to a question comes from Django's view, which says whose it is and of what
(:func:`~apps.delivery.keeping.offer`), and it is kept as it was sent. So the two cannot differ: what
is kept is by everything in a request that decides an answer
(:func:`~apps.delivery.questions.key_of`), until the feed has read an act that touches it, a change of
who may do what, or the clock says that a right ends. While the feed has not read what this process
has committed, or has not looked at the ledger for too long, Django answers.

While the database is away, what is kept is given for an hour, with how old it may be
(:data:`STALE`); what is not kept, and what has secrets in it, is for Django, which answers 503.

An answer with the values of secrets is kept sealed (:class:`~apps.vault.disclosing.SealedAnswer`), and
opened for each who asks. For units of experiments the answers in each variant are kept,
and how units are assigned to variants. Of several configurations at once the revision is filled in.

What is not understood at a glance goes on to Django: another method, a cookie, a parameter that is
not in :data:`~apps.delivery.questions.PARAMETERS`. Of those who ask the same while nothing is kept,
one is sent there.
"""

import asyncio
import math
import time
from datetime import timedelta
from typing import Any, Final, NamedTuple

from apps.delivery.feed import Feed, feed_here
from apps.delivery.http import App, Receive, Send
from apps.delivery.keeping import (
    OFFER,
    WHOLE,
    Assigner,
    Headers,
    Heard,
    Kept,
    Offer,
    Served,
    name_of,
)
from apps.delivery.memory import Key
from apps.delivery.questions import (
    INSTANCE,
    PATH,
    TAG,
    TOGETHER,
    UNIT,
    bytes_of,
    instance_of,
    is_plain,
    key_of,
    of_units,
    of_variant,
    take_unit,
    unit_of,
    without_tag,
)
from apps.rollouts.assigning import note_variant

STALE: Final = b"x-config-stale"
"""Seconds since the ledger was looked at, in an answer that is given while the database is away."""
UNAVAILABLE: Final = 503
ANOTHER_NAME: Final = 700
"""Bytes of one more key by which memory has an answer."""
CATCH_UP_WITHIN: Final = 1.0
INSTANCE_NOTED: Final = timedelta(seconds=30)
"""After so long Django is asked again for an instance's answer, and notes that the instance is there."""


class Again(NamedTuple):
    """An answer from memory to a question that came again."""

    kept: Kept
    revision: int
    body: bytes

    @property
    def status(self) -> int:
        """Its status."""
        return self.kept.status

    @property
    def headers(self) -> Headers:
        """Its headers, as of now."""
        return self.kept.headers_at(self.revision, len(self.body))

    def head(self, status_line: bytes, more: Headers) -> bytes:
        """All before its body."""
        return self.kept.head_at(self.revision, len(self.body), status_line, more)


class Hot:
    """Wraps the application that answers everything else, and what this does not know."""

    def __init__(self, behind: App) -> None:
        self.behind = behind
        self._feed: Feed | None = None
        self._asked: dict[Key, asyncio.Event] = {}  # of Django now; set when it has answered

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        key, feed = key_of(scope), self._feed
        if feed is None or feed.has_ended:
            self._feed = feed = feed_here()
        if key is None or feed is None:
            await self.behind(scope, receive, send)
        elif await feed.caught_up(CATCH_UP_WITHIN):
            if not await _answer(feed, key, scope, send):
                await self._ask_once(feed, key, scope, receive, send)
        elif not await _answer_stale(feed, key, send):
            await self._ask_in_doubt(feed, key, scope, receive, send)

    async def _ask_in_doubt(
        self, feed: Feed, key: Key, scope: Any, receive: Receive, send: Send
    ) -> None:
        """Django's answer, while it is not known what has happened; where it says that it has no database,
        what is kept.
        """
        given = False

        async def answer(message: Any) -> None:
            nonlocal given
            if message["type"] == "http.response.start" and message["status"] == UNAVAILABLE:
                given = await _answer_stale(feed, key, send)
            if not given:
                await send(message)

        await self.behind(scope, receive, answer)

    async def _ask_once(
        self, feed: Feed, key: Key, scope: Any, receive: Receive, send: Send
    ) -> None:
        """Let Django answer the first who asks, and give that to those who ask the same meanwhile."""
        if not is_plain(take_unit(scope["query_string"])[1]):
            await self.behind(scope, receive, send)
            return
        asked = self._asked.get(key)
        if asked is not None:
            await asked.wait()
            if not (feed.is_current and await _answer(feed, key, scope, send)):
                await self._ask(feed, key, scope, receive, send)
            return
        self._asked[key] = asked = asyncio.Event()
        try:
            await self._ask(feed, key, scope, receive, send)
        finally:
            del self._asked[key]
            asked.set()

    async def ask_ahead(self, key: Key, scope: Any, token_id: str) -> bool:
        """Have ready what the holder of a token will ask, as far as he may know it; whether it is."""
        feed = feed_here()
        if feed is None or not is_plain(scope["query_string"]):
            return False
        await self._ask(feed, key, scope, _nothing, _nowhere, Offer(token_id))
        return feed.memory.find(key) is not None

    async def _ask(
        self,
        feed: Feed,
        key: Key,
        scope: Any,
        receive: Receive,
        send: Send,
        asked: Offer | None = None,
    ) -> None:
        """Let Django answer, and keep what it says, unless something has moved meanwhile."""
        read = feed.position, feed.generation
        asked, heard = asked or Offer(), Heard(send)
        await self.behind({**scope, OFFER: asked}, receive, heard)
        served = asked.served
        if served is None or not heard.may_be_kept(served):
            return
        if (feed.position, feed.generation) == read and feed.is_current:
            _keep(feed, key, served, heard)


async def _nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _nowhere(_message: Any) -> None:
    pass


def find_again(question: bytes) -> Again | None:
    """What was answered from memory to the same bytes, where that may be given again at once."""
    feed = feed_here()
    return _find(feed, question) if feed is not None and feed.is_current else None


async def _answer(feed: Feed, key: Key, scope: Any, send: Send) -> bool:
    """Give the answer that is kept, if there is one, to somebody who still may; it is found by the
    bytes of its question from then on.
    """
    kept_by = _kept_by(feed, key)
    found = _find(feed, kept_by) if kept_by is not None else None
    if found is None:
        return False
    await _give(key, found, found.headers, send)
    question = bytes_of(scope)
    if question is not None and kept_by == key and found.kept.is_framed:
        _know_again(feed, key, found.kept, question)
    return True


async def _answer_stale(feed: Feed, key: Key, send: Send) -> bool:
    """The same while the database is away, marked; the whole answer for a tag that nobody sent before."""
    seconds, kept_by = feed.stale_for, _kept_by(feed, key)
    if seconds is None or kept_by is None:
        return False
    kept: Kept | None = feed.memory.find(kept_by) or feed.memory.find(without_tag(kept_by))
    now = time.time()
    if kept is None or now >= kept.until or not kept.is_private:
        return False
    found = _read(feed, kept, now)
    if found is None:
        return False
    mark = (STALE, str(math.ceil(seconds)).encode())
    await _give(key, found, [*found.headers, mark], send)
    return True


def _kept_by(feed: Feed, key: Key) -> Key | None:
    """By which key the answer is kept; ``None``: it is not known in which variant the unit is."""
    if key[UNIT] is None:
        return key
    assigner: Assigner | None = feed.memory.find(of_units(key))
    unit = unit_of(key)
    if assigner is None or unit is None:
        return None
    return of_variant(key, assigner.variant_of(unit, instance_of(key)))


def _find(feed: Feed, key: Key | bytes) -> Again | None:
    """The answer, which is counted as a read; ``None`` where its time is over."""
    kept: Kept | None = feed.memory.find(key)
    now = time.time()
    if kept is None or now >= kept.until or now >= kept.again_at:
        return None
    return _read(feed, kept, now)


def _read(feed: Feed, kept: Kept, now: float) -> Again | None:
    """With its body, which is counted as a read."""
    kept_body = kept.body.find()
    body = kept_body.read(feed.revision) if kept_body is not None else None
    if body is None:
        return None
    feed.counts.from_memory += 1
    kept.times += 1
    for reading in kept.readings:
        reading.note(now)
    return Again(kept, feed.revision, body)


def _keep(feed: Feed, key: Key, served: Served, heard: Heard) -> None:
    """Keep what Django has answered."""
    body = heard.body_of(served, is_dated=key[PATH] in TOGETHER)
    again_after = INSTANCE_NOTED if key[INSTANCE] is not None else None
    places = served.places
    where = feed.memory.keep_once(name_of(body), body, places if served.sealed else ())
    kept = Kept(heard, served, where, again_after)
    unit = unit_of(key)
    if unit is not None and served.choices is not None:
        assigner = Assigner(served.actor, served.choices)
        feed.memory.keep(of_units(key), assigner, places)
        key = of_variant(key, assigner.variant_of(unit, instance_of(key)))
    feed.memory.keep(key, kept, places)
    if kept.status == WHOLE and key[TAG] is not None:  # so whoever knows none is answered
        feed.memory.keep(without_tag(key), kept, places, size=ANOTHER_NAME)


def _know_again(feed: Feed, key: Key, kept: Kept, question: bytes) -> None:
    """Find it by the bytes of its question, if nothing has touched it while it was sent."""
    if feed.memory.find(key) is kept:
        feed.memory.keep(question, kept, kept.served.places, size=ANOTHER_NAME)


async def _give(key: Key, found: Again, headers: Headers, send: Send) -> None:
    unit = unit_of(key)
    if unit is not None:
        note_variant(found.kept.served.variant, unit)
    await send({"type": "http.response.start", "status": found.status, "headers": headers})
    await send({"type": "http.response.body", "body": found.body, "more_body": False})
