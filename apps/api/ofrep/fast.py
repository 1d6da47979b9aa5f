"""OFREP before Django: evaluation from what is in memory, event streams, and other origins' pages.

It answers what it knows; every refusal comes from the views behind it. What a token may read of
which flags is remembered until the feed has seen another act or another access generation, and for
``REMEMBERED`` at most.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from channels.db import database_sync_to_async
from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.urls import get_script_prefix

from apps.access.policy import Place
from apps.access.rights import rights_end
from apps.access.selectors import TOKEN_PREFIX, authenticate_token, digest_of
from apps.access.services import note_use
from apps.api.ofrep import answers, cors
from apps.api.ofrep.answers import Answer
from apps.api.ofrep.events import stream_of
from apps.api.ofrep.views import event_address, find_place, headers_of
from apps.core import clock
from apps.core.actor import Actor
from apps.core.reaching import AWAY
from apps.delivery.feed import Feed, running_feed
from apps.delivery.http import App, Receive, Send, read_whole, send_stream
from apps.delivery.reads import note_read
from apps.delivery.requests import API_PREFIX, read_cursor
from apps.engine.errors import DomainError
from apps.engine.flags.conditions import Context
from apps.rollouts.flags import ServiceFlags, find_flags
from apps.rollouts.services import note_instance

REMEMBERED: Final = 30.0
MAX_REMEMBERED: Final = 20_000
MANY: Final = 500
"""So many flags are evaluated in a thread, for others to be served meanwhile."""
NEWS_WAIT: Final = 5.0
EVALUATE: Final = "/ofrep/v1/evaluate/flags"
EVENTS: Final = "/ofrep/v1/events"
PARAMETERS: Final = frozenset({"environment", "flagConfigEtag", "flagConfigLastModified"})


class Asked(NamedTuple):
    """Whose flags are asked for, by what decides the answer. ``token`` is the token's digest."""

    token: str
    service: str | None
    environment: str | None
    origin: str
    instance: str | None


@dataclass(frozen=True, slots=True)
class Served:
    """What somebody is served, as of an access generation and a revision; ``until`` is monotonic."""

    generation: int
    revision: int
    until: float
    actor: Actor
    place: Place
    flags: ServiceFlags | None
    origin: str


class Ofrep:
    """Wraps the application that answers everything else, and what this does not."""

    def __init__(self, behind: App) -> None:
        self.behind = behind
        self.remembered: dict[Asked, Served] = {}

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        path: str = scope["path"].removeprefix(API_PREFIX)
        service, key = _route(path)
        if path != EVENTS and key is None:
            await self.behind(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        send = cors.allowing(send, headers)
        if cors.is_preflight(scope["method"], headers):
            await cors.answer_preflight(send)
        elif path == EVENTS and scope["method"] == "GET":
            await self._events(scope, headers, receive, send)
        elif scope["method"] == "POST":
            await self._evaluate(scope, headers, (service, key or ""), receive, send)
        else:
            await self.behind(scope, receive, send)

    async def _evaluate(
        self,
        scope: Any,
        headers: dict[str, str],
        route: tuple[str | None, str],
        receive: Receive,
        send: Send,
    ) -> None:
        body = await read_whole(scope, receive, send)
        if body is None:
            return
        answer = await self._answer(scope, headers, route, body)
        if answer is not None:
            await _send(answer, headers.get("if-none-match", ""), send)
            return

        async def again() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        await self.behind(scope, again, send)

    async def _answer(
        self, scope: Any, headers: dict[str, str], route: tuple[str | None, str], body: bytes
    ) -> Answer | None:
        """The answer, or ``None`` where the views are to say what is wrong."""
        scheme, _space, raw = headers.get("authorization", "").partition(" ")
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        named = "".join([scope["path"], *query.values()])
        kind = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if (
            scheme != "Bearer"
            or not raw.startswith(TOKEN_PREFIX)
            or "\0" in named
            or TOKEN_PREFIX in named
            or not PARAMETERS.issuperset(query)
            or kind != "application/json"
            or len(body) > settings.MAX_BODY_BYTES
        ):
            return None
        feed = await running_feed()
        try:
            await _catch_up(feed, query.get("flagConfigEtag"))
            context = answers.read_context(body, clock.now())
            asked = Asked(
                digest_of(raw),
                route[0],
                query.get("environment"),
                f"{scope.get('scheme', 'http')}://{headers.get('host', '')}",
                headers.get("x-config-instance"),
            )
            served = await self._served(asked, raw, feed, scope)
        except (DomainError, *AWAY):
            return None
        return await _say(served, route[1], context)

    async def _served(self, asked: Asked, raw: str, feed: Feed, scope: Any) -> Served:
        known = self.remembered.get(asked)
        fresh = known is not None and (
            (known.generation, known.revision) == (feed.generation, feed.revision)
            and time.monotonic() < known.until
        )
        if known is None or not fresh:
            client = scope.get("client")
            position = feed.generation, feed.revision
            known = await _load(asked, raw, client[0] if client else None, position)
            if len(self.remembered) >= MAX_REMEMBERED:
                self.remembered.clear()
            self.remembered[asked] = known
        return known

    async def _events(
        self, scope: Any, headers: dict[str, str], receive: Receive, send: Send
    ) -> None:
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        client = scope.get("client")
        if "at" in query:  # a stream has no past: Django's view says so
            await self.behind(scope, receive, send)
            return
        task: Any = asyncio.current_task()
        try:
            cursor = read_cursor(headers.get("last-event-id") or query.get("after"))
            frames = await stream_of(
                query.get("ticket", ""),
                client[0] if client else None,
                cursor,
                give_up=task.cancel,
            )
        except (DomainError, *AWAY):  # the same refusal comes from Django's view of this address
            await self.behind(scope, receive, send)
            return
        await send_stream(frames, scope, receive, send)


def _route(path: str) -> tuple[str | None, str | None]:
    """The service of the address's prefix, and the flag's key, empty for all; no key: no OFREP."""
    service = None
    if path.startswith("/services/"):
        service, slash, rest = path.removeprefix("/services/").partition("/")
        path = slash + rest
    if path == EVALUATE:
        return service, ""
    found = path.removeprefix(f"{EVALUATE}/")
    return (service, found) if found not in (path, "") else (None, None)


async def _catch_up(feed: Feed, etag: str | None) -> None:
    """Wait until this process has seen what a client was told of."""
    try:
        cursor = read_cursor((etag or "").strip('"'))
    except DomainError:  # an entity tag of ours, or of somebody else
        return
    if cursor is not None and cursor.epoch == feed.epoch:
        await feed.reached(cursor.revision, NEWS_WAIT)


@database_sync_to_async
def _load(asked: Asked, raw: str, address: str | None, position: tuple[int, int]) -> Served:
    """Who asks and for which flags, with everything that Django's views would have asked."""
    scheme, _colon, host = asked.origin.partition("://")
    domain, _port = split_domain_port(host)
    if not validate_host(domain, settings.ALLOWED_HOSTS):
        raise DomainError("This server has another name.")
    actor = authenticate_token(raw, now=clock.now(), address=address)
    note_use(actor)
    place = find_place(actor, asked.service, asked.environment)
    flags = find_flags(actor=actor, place=place)
    if flags is not None and asked.instance is not None:
        note_instance(actor=actor, place=place, name=asked.instance, version=flags.version)
    ends = [each for each in (actor.expires_at, rights_end(actor)) if each is not None]
    left = min([REMEMBERED, *((each - clock.now()).total_seconds() for each in ends)])
    scheme = "https" if settings.SESSION_COOKIE_SECURE else scheme
    return Served(
        *position,
        time.monotonic() + left,
        replace(actor, generation=position[0]),
        place,
        flags,
        f"{scheme}://{host}{get_script_prefix()}",
    )


async def _say(served: Served, key: str, context: Context) -> Answer:
    flags = served.flags
    if flags is not None:
        note_read(
            actor=served.actor,
            place=served.place,
            version=flags.version,
            keys=flags.sections,
        )
    if key:
        return answers.single(flags, key, context)
    url = event_address(served.actor, served.place, served.origin, context.now)
    say: Callable[[], Answer] = lambda: answers.bulk(flags, context, [url])  # noqa: E731 - two ways to run it
    return await asyncio.to_thread(say) if flags and len(flags.keys) > MANY else say()


async def _send(answer: Answer, known: str, send: Send) -> None:
    has_it = answer.is_known(known)
    headers = [
        (name.lower().encode(), value.encode()) for name, value in headers_of(answer).items()
    ]
    body = b"" if has_it else answer.body
    if not has_it:
        headers += [
            (b"content-type", answers.MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
    status = 304 if has_it else answer.status
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
