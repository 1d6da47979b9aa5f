"""The read path before Django: an answer that was given is given again from memory.

The first answer to a question comes from Django's view, which says whose it is and of what (an
:class:`Offer`), and it is kept as it was sent. So the two cannot differ: what is kept is by everything in
a request that decides an answer (:func:`key_of`), until the feed has read an act that touches it, a
change of who may do what, or the clock says that a right ends. While the feed has not read what
this process has committed, or could not look at the ledger, Django answers.

What is not understood at a glance goes on to Django: another method, a cookie, a unit of experiments,
a parameter that is not in :data:`PARAMETERS` (points in time, long polls, revealed secrets).
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
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
DECIDING: Final = {
    b"authorization": AUTHORIZATION,
    b"x-config-instance": INSTANCE,
    b"host": 2,
    b"accept": 3,
    b"accept-encoding": 4,
    b"if-none-match": 5,
    b"x-forwarded-proto": 6,
    b"content-type": 7,
}
"""The headers that decide an answer, by their place in the key; the authorization stands there hashed."""
BEYOND: Final = frozenset({b"cookie", b"x-config-unit", b"content-length", b"transfer-encoding"})
"""With one of these a request is for Django; a body of no bytes is none."""
NO_BODY: Final = (b"content-length", b"0")
OFFER: Final = "configsvc.offer"
"""Where a view finds, in the ASGI scope, who would keep its answer."""
REVISION: Final = b"x-config-revision"
KEPT_STATUSES: Final = (200, 304)
KEPT_CACHING: Final = (b"cache-control", b"private, no-cache")
LONGEST_QUERY: Final = 2_000
CATCH_UP_WITHIN: Final = 1.0
INSTANCE_NOTED: Final = timedelta(seconds=30)
"""An instance's answer is kept so long: then Django notes again that the instance is there."""


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
    """An answer as it was sent, but for its body, which is kept once for all who get the same."""

    __slots__ = ("body", "headers", "served", "size", "status", "until")

    def __init__(self, status: int, headers: Headers, body: bytes, served: Served) -> None:
        self.status = status
        self.headers = headers
        self.body = hashlib.sha256(body).digest()
        self.served = served
        self.until = served.until.timestamp() if served.until else float("inf")
        self.size = 1_500 + sum(len(name) + len(value) for name, value in headers)

    def headers_at(self, revision: int) -> Headers:
        """The headers, with how far this process has read by now."""
        text = str(revision).encode()
        return [(name, text if name == REVISION else value) for name, value in self.headers]


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
        if key is None or feed is None or not await feed.caught_up(CATCH_UP_WITHIN):
            await self.behind(scope, receive, send)
        elif not await _answer(feed, key, send):
            await self._ask(feed, key, scope, receive, send)

    async def _ask(self, feed: Feed, key: Key, scope: Any, receive: Receive, send: Send) -> None:
        """Let Django answer, and keep what it says, unless something has moved meanwhile."""
        read = feed.position, feed.generation
        asked, heard = Offer(), Heard(send)
        await self.behind({**scope, OFFER: asked}, receive, heard)
        if asked.served is None or not is_plain(scope):
            return
        if (feed.position, feed.generation) != read or not feed.is_current or not heard.may_be_kept:
            return
        served = asked.served
        if key[INSTANCE] is not None:
            again = clock.now() + INSTANCE_NOTED
            served = replace(served, until=min(served.until or again, again))
        kept = Kept(heard.status, heard.headers, heard.body, served)
        feed.memory.keep(kept.body, Text(bytes(heard.body)))
        feed.memory.keep(key, kept, place_key(served.place))


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


async def _answer(feed: Feed, key: Key, send: Send) -> bool:
    """Give the answer that is kept; whether there is one, and its body, for somebody who still may."""
    kept: Kept | None = feed.memory.find(key)
    if kept is None or time.time() >= kept.until:
        return False
    body: Text | None = feed.memory.find(kept.body)
    if body is None:
        return False
    served = kept.served
    reads.note_read(
        actor=served.actor, place=served.place, version=served.version, keys=served.keys
    )
    headers = kept.headers_at(feed.revision)
    await send({"type": "http.response.start", "status": kept.status, "headers": headers})
    await send({"type": "http.response.body", "body": body.data, "more_body": False})
    return True
