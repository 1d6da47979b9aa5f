"""The read path before Django: an answer that was given is given again from memory.

The first answer to a question comes from Django's view, which says whose it is and of what (an
:class:`Offer`), and it is kept as it was sent. So the two cannot differ: what is kept is by everything in
a request that decides an answer (:func:`key_of`), until the feed has read an act that touches it, a
change of who may do what, or the clock says that a right ends. While the feed has not read what
this process has committed, or has not looked at the ledger for too long, Django answers.

While the database is away, what is kept is given for an hour, with how old it may be
(:data:`STALE`); what is not kept, above all revealed secrets, is for Django, which answers 503.

What is not understood at a glance goes on to Django: another method, a cookie, a unit of experiments,
a parameter that is not in :data:`PARAMETERS` (points in time, long polls, revealed secrets).
"""

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from apps.access.policy import Place
from apps.access.rights import rights_end
from apps.configs.selectors.configurations import Published
from apps.core import clock
from apps.core.actor import Actor
from apps.delivery import reads
from apps.delivery.feed import Feed, feed_here
from apps.delivery.http import App, Receive, Send
from apps.delivery.memory import Key, PlaceKey, Text
from apps.delivery.requests import API_PREFIX

Headers = list[tuple[bytes, bytes]]

BELOW: Final = ("/config/", f"{API_PREFIX}/config/")
PARAMETERS: Final = frozenset({"environment", "format", "view", "key", "section", "version"})
"""What may be in the query of a question whose answer is kept."""
AUTHORIZATION: Final = 0
INSTANCE: Final = 1
KNOWN: Final = 5
DECIDING: Final = {
    b"authorization": AUTHORIZATION,
    b"x-config-instance": INSTANCE,
    b"host": 2,
    b"accept": 3,
    b"accept-encoding": 4,
    b"if-none-match": KNOWN,
    b"x-forwarded-proto": 6,
    b"content-type": 7,
}
"""The headers that decide an answer, by their place in the key; the authorization stands there hashed."""
BEYOND: Final = frozenset({b"cookie", b"x-config-unit", b"content-length", b"transfer-encoding"})
"""With one of these a request is for Django; a body of no bytes is none."""
NO_BODY: Final = (b"content-length", b"0")
OFFER: Final = "configsvc.offer"
"""Where a view finds, in the ASGI scope, who would keep its answer."""
QUESTION: Final = "configsvc.question"
"""Where the state of an ASGI scope says by which bytes a request is known when it comes again."""
ENDING: Final = frozenset({b"connection", b"expect", b"upgrade", b"keep-alive"})
"""With one of these headers a request does more than ask."""
STAYING: Final = (b"connection", b"keep-alive")
REVISION: Final = b"x-config-revision"
STALE: Final = b"x-config-stale"
"""Seconds since the ledger was looked at, in an answer that is given while the database is away."""
WHOLE: Final = 200
NOT_MODIFIED: Final = 304
KEPT_STATUSES: Final = (WHOLE, NOT_MODIFIED)
KEPT_CACHING: Final = (b"cache-control", b"private, no-cache")
LONGEST_QUERY: Final = 2_000
CATCH_UP_WITHIN: Final = 1.0
INSTANCE_NOTED: Final = timedelta(seconds=30)
"""After so long Django is asked again for an instance's answer, and notes that the instance is there."""


@dataclass(frozen=True, slots=True)
class Served:
    """Whose answer it is, of which version, narrowed to which keys; and until when he may have it."""

    actor: Actor
    place: Place
    version: int
    keys: Sequence[str]
    until: datetime | None


class Offer:
    """What a view says of the answer that it gives; nothing: it is not to be kept."""

    def __init__(self) -> None:
        self.served: Served | None = None


def offer(scope: Any, *, actor: Actor, published: Published, keys: Sequence[str]) -> None:
    """Let the answer about ``published`` be given to ``actor`` again, where somebody would keep it.

    What is pinned or outdated is not kept: these marks may go without an act.
    """
    found = scope.get(OFFER) if scope else None
    if found is None or actor.token_id is None or published.pinned or published.outdated:
        return
    ends = (actor.expires_at, None if actor.is_superuser else rights_end(actor))
    until = min((each for each in ends if each is not None), default=None)
    found.served = Served(actor, published.place, published.version, tuple(keys), until)


class Kept:
    """An answer as it was sent, but for its body, which is kept once for all who get the same.

    It may be given until ``until``, and is asked for again at ``again_at``, if Django can answer.
    """

    __slots__ = ("_head", "again_at", "body", "headers", "served", "size", "status", "until")

    def __init__(
        self, heard: "Heard", served: Served, again_after: timedelta | None = None
    ) -> None:
        self.status = heard.status
        self.headers = heard.headers
        self.body = hashlib.sha256(heard.body).digest()
        self.served = served
        self.until = served.until.timestamp() if served.until else math.inf
        self.again_at = (clock.now() + again_after).timestamp() if again_after else math.inf
        self._head: tuple[int, Headers, bytes] = -1, [], b""
        self.size = 2_500 + sum(len(name) + len(value) for name, value in heard.headers)

    @property
    def is_framed(self) -> bool:
        """Whether its headers say how long it is."""
        return self.status == NOT_MODIFIED or any(n == b"content-length" for n, _v in self.headers)

    def headers_at(self, revision: int) -> Headers:
        """The headers, with how far this process has read by now."""
        text = str(revision).encode()
        return [(name, text if name == REVISION else value) for name, value in self.headers]

    def head_at(self, revision: int, status_line: bytes, more: Headers) -> bytes:
        """The head of an answer in HTTP/1.1, with the server's ``more`` headers first."""
        known_at, known_with, head = self._head
        if known_at != revision or known_with is not more:
            headers = [*more, *self.headers_at(revision)]
            lines = b"".join(b"%b: %b\r\n" % header for header in headers)
            head = b"%b%b\r\n" % (status_line, lines)
            self._head = revision, more, head
        return head


class Again(NamedTuple):
    """An answer from memory to a question that came again."""

    kept: Kept
    revision: int
    body: bytes

    @property
    def status(self) -> int:
        """Its status."""
        return self.kept.status

    def head(self, status_line: bytes, more: Headers) -> bytes:
        """All before its body."""
        return self.kept.head_at(self.revision, status_line, more)


class Hot:
    """Wraps the application that answers everything else, and what this does not know."""

    def __init__(self, behind: App) -> None:
        self.behind = behind
        self._feed: Feed | None = None

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        key, feed = key_of(scope), self._feed
        if feed is None or feed.has_ended:
            self._feed = feed = feed_here()
        if key is None or feed is None:
            await self.behind(scope, receive, send)
        elif await feed.caught_up(CATCH_UP_WITHIN):
            kept = await _answer(feed, key, send)
            if kept is None:
                await self._ask(feed, key, scope, receive, send)
            else:
                _know_again(feed, key, kept, scope)
        elif not await _answer_stale(feed, key, send):
            await self.behind(scope, receive, send)

    async def _ask(self, feed: Feed, key: Key, scope: Any, receive: Receive, send: Send) -> None:
        """Let Django answer, and keep what it says, unless something has moved meanwhile."""
        read = feed.position, feed.generation
        asked, heard = Offer(), Heard(send)
        await self.behind({**scope, OFFER: asked}, receive, heard)
        if asked.served is None or not is_plain(scope):
            return
        if (feed.position, feed.generation) != read or not feed.is_current or not heard.may_be_kept:
            return
        again_after = INSTANCE_NOTED if key[INSTANCE] is not None else None
        kept, place = Kept(heard, asked.served, again_after), place_key(asked.served.place)
        feed.memory.keep(kept.body, Text(bytes(heard.body)))
        feed.memory.keep(key, kept, place)
        if kept.status == WHOLE:  # so whoever knows no entity tag is answered
            feed.memory.keep(without_tag(key), kept, place)


class Heard:
    """Sends on what an application sends, and remembers it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.headers: Headers = []
        self.body = b""
        self.is_whole = False

    async def __call__(self, message: Any) -> None:
        """Send on one message."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            self.is_whole = not message.get("more_body", False)
        await self._send(message)

    @property
    def may_be_kept(self) -> bool:
        """Whether it is whole, and one of the answers that are kept: no error, nothing revealed."""
        return self.is_whole and self.status in KEPT_STATUSES and KEPT_CACHING in self.headers


def key_of(scope: Any) -> Key | None:
    """All that decides the answer to a request; ``None`` for one that is never kept.

    What else is in a request decides nothing: tests/delivery/test_hot.py holds that against Django.
    """
    path: str = scope["path"]
    if scope["method"] != "GET" or not path.startswith(BELOW):
        return None
    found: list[bytes | None] = [None] * len(DECIDING)
    for name, value in scope["headers"]:
        index = DECIDING.get(name)
        if index is not None:
            if found[index] is not None:
                return None
            found[index] = value
        elif name in BEYOND and (name, value) != NO_BODY:
            return None
    authorization = found[AUTHORIZATION]
    if authorization is None:
        return None
    found[AUTHORIZATION] = hashlib.sha256(authorization).digest()
    return (*found, path, scope["query_string"], scope["scheme"])


def is_plain(scope: Any) -> bool:
    """Whether nothing is asked but what is the same for as long as nothing happens."""
    query = scope["query_string"]
    if len(query) > LONGEST_QUERY:
        return False
    names = {name for name, _value in parse_qsl(query.decode("latin-1"), keep_blank_values=True)}
    return names <= PARAMETERS


def place_key(place: Place) -> PlaceKey:
    """The place of a configuration, as memory knows it."""
    assert place.service is not None  # noqa: S101 - a published version is of one configuration
    assert place.environment is not None  # noqa: S101 - as above
    return place.service.pk, place.environment.pk


def without_tag(key: Key) -> Key:
    """The same question by somebody who knows no entity tag."""
    return (*key[:KNOWN], None, *key[KNOWN + 1 :])


async def _answer(feed: Feed, key: Key, send: Send) -> Kept | None:
    """Give the answer that is kept, if there is one, and its body, for somebody who still may."""
    found = _find(feed, key)
    if found is not None:
        await _give(found, found.kept.headers_at(found.revision), send)
    return found and found.kept


def _know_again(feed: Feed, key: Key, kept: Kept, scope: Any) -> None:
    """Find it by the bytes of its question from now on, if nothing has touched it while it was sent."""
    question = _question_of(scope)
    if question is not None and kept.is_framed and feed.memory.find(key) is kept:
        feed.memory.keep(question, kept, place_key(kept.served.place))


def find_again(question: bytes) -> Again | None:
    """What was answered from memory to the same bytes, where that may be given again at once."""
    feed = feed_here()
    return _find(feed, question) if feed is not None and feed.is_current else None


def _find(feed: Feed, key: Key | bytes) -> Again | None:
    """The answer, which is counted as a read; ``None`` where its time is over."""
    kept: Kept | None = feed.memory.find(key)
    if kept is None or time.time() >= min(kept.until, kept.again_at):
        return None
    return _read(feed, kept)


async def _answer_stale(feed: Feed, key: Key, send: Send) -> bool:
    """The same while the database is away, marked; the whole answer for a tag that nobody sent before."""
    seconds = feed.stale_for
    if seconds is None:
        return False
    kept: Kept | None = feed.memory.find(key) or feed.memory.find(without_tag(key))
    if kept is None or time.time() >= kept.until:
        return False
    found = _read(feed, kept)
    if found is None:
        return False
    mark = (STALE, str(math.ceil(seconds)).encode())
    await _give(found, [*kept.headers_at(found.revision), mark], send)
    return True


def _read(feed: Feed, kept: Kept) -> Again | None:
    """With its body, which is counted as a read."""
    body: Text | None = feed.memory.find(kept.body)
    if body is None:
        return None
    served = kept.served
    reads.note_read(
        actor=served.actor, place=served.place, version=served.version, keys=served.keys
    )
    return Again(kept, feed.revision, body.data)


async def _give(found: Again, headers: Headers, send: Send) -> None:
    await send({"type": "http.response.start", "status": found.status, "headers": headers})
    await send({"type": "http.response.body", "body": found.body, "more_body": False})


def _question_of(scope: Any) -> bytes | None:
    """By which bytes the request is known when it comes again; ``None``: it does more than ask."""
    question: bytes | None = scope.get("state", {}).get(QUESTION)
    if question is None or scope["http_version"] != "1.1":
        return None
    for name, value in scope["headers"]:
        if name in ENDING and (name, value.lower()) != STAYING:
            return None
    return question
