"""The ASGI layer before Django: streams, and whole bodies.

It answers what it knows well, ``/stream`` for those who may watch, and ``/metrics`` while the database is
away: every refusal and every document comes from Django behind it, so there is one place for those.
"""

import asyncio
import contextlib
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from channels.db import database_sync_to_async

from apps.core.actor import Actor
from apps.core.bodies import FORM_BYTES, most_bytes
from apps.core.reaching import AWAY
from apps.delivery import metrics
from apps.delivery.feed import feed_here, running_feed
from apps.delivery.requests import API_PREFIX, Asked, admit_stream, find_actor, read_cursor
from apps.delivery.standing import WithdrawnError
from apps.delivery.watch import Frame, Interest, watch
from apps.engine.errors import DomainError, TooLargeError
from apps.engine.values import compact

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]

METRICS = "/metrics"
ITS_OWN = tuple(f"{prefix}{path}" for prefix in ("", API_PREFIX) for path in ("/stream", METRICS))
RETRY_MILLISECONDS = (1_000, 4_000)
FORM = "server-sent events"
ABORT = "configsvc.abort"
"""Where the state of an ASGI scope has what ends its connection at once, whatever is still to be sent there."""
GONE_WITHIN = 1.0


class Delivery:
    """Wraps Django's application."""

    def __init__(self, django: App) -> None:
        self.django = django

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        if scope["method"] == "GET" and scope["path"] in ITS_OWN:
            asked = _read(scope)
            if asked is not None and asked.path == METRICS:
                if await _expose_without_database(asked, send):
                    return
            elif asked is not None:
                opened = await _open_stream(asked)
                if opened is not None:
                    await send_stream(_encoded(opened), scope, receive, send)
                    return
        await _go_on(self.django, scope, receive, send)


async def _go_on(django: App, scope: Any, receive: Receive, send: Send) -> None:
    """Go on to Django with the whole body, or answer 413 before more than the limit is read.

    A client that goes away in the middle of its body is no request: half a document may look
    like a whole one. Header names with underscores are dropped, for WSGI cannot tell them from
    those with hyphens, which proxies set.
    """
    body = await read_whole(scope, receive, send)
    if body is None:
        return
    feed = feed_here()
    if feed is not None:
        feed.counts.from_django += 1

    async def whole() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(name, value) for name, value in scope["headers"] if b"_" not in name]
    await django({**scope, "headers": headers}, whole, send)


async def read_whole(scope: Any, receive: Receive, send: Send) -> bytes | None:
    """The body; ``None`` when the client is gone, or was answered that it is too large."""
    most = most_bytes(scope["path"])
    limit = most + FORM_BYTES
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limit:
        await _too_large(send, most)
        return None
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            await _too_large(send, most)
            return None
    return bytes(body)


async def _too_large(send: Send, most: int) -> None:
    """413 in the contract's form; the connection is closed, for the rest is not read."""
    detail = f"A body has at most {most} bytes here."
    body = compact(
        {
            "type": "about:blank",
            "title": TooLargeError.title,
            "status": 413,
            "detail": detail,
            "code": TooLargeError.code,
            "errors": [],
        }
    ).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _read(scope: Any) -> Asked | None:
    try:
        return Asked.of(scope)
    except DomainError:  # Django says what is wrong with it
        return None


async def _expose_without_database(asked: Asked, send: Send) -> bool:
    """Give the numbers of this process while the database is away, to who had them before."""
    seconds = metrics.seconds_without(feed_here(), asked.headers.get("authorization", ""))
    if seconds is None or asked.query:
        return False
    body, content_type = metrics.expose(asked.headers.get("accept", ""))
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-config-stale", str(math.ceil(seconds)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
    return True


async def _open_stream(asked: Asked) -> AsyncIterator[Frame] | None:
    if "at" in asked.query:  # a stream has no past: Django's view says so
        return None
    try:
        cursor = read_cursor(asked.headers.get("last-event-id") or asked.one("after"))
        actor, interest = await _admit(asked)
    except (DomainError, *AWAY):  # the same refusal comes from Django's view of this address
        return None
    task: Any = asyncio.current_task()
    return watch(await running_feed(), actor, interest, cursor, give_up=task.cancel)


@database_sync_to_async
def _admit(asked: Asked) -> tuple[Actor, Interest]:
    actor = find_actor(asked)
    return actor, admit_stream(actor, asked)


async def _encoded(frames: AsyncIterator[Frame]) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(frames) as opened:  # type: ignore[type-var]
        async for frame in opened:
            if FORM not in frame.encoded:
                frame.encoded[FORM] = encode(frame).encode()
            yield frame.encoded[FORM]


async def send_stream(
    events: AsyncIterator[bytes], scope: Any, receive: Receive, send: Send
) -> None:
    """Send server-sent events until they end, their reader is gone or his right is. Of one who is too slow
    the connection ends: closed as others are, it would stay until he has read all that was sent.
    """
    headers = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    task: Any = asyncio.current_task()
    hearer = asyncio.create_task(_until_gone(receive))

    def end(_hearer: object) -> None:
        task.cancel()

    hearer.add_done_callback(end)
    try:
        await _send_events(events, send)
    except asyncio.CancelledError:
        task.uncancel()
        if not hearer.done():  # he is too slow, and would not take the end either
            hearer.remove_done_callback(end)
            await _abort(scope, hearer)
            return
    finally:
        hearer.remove_done_callback(end)
        hearer.cancel()
    with contextlib.suppress(OSError):
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _abort(scope: Any, hearer: asyncio.Task[None]) -> None:
    """End the connection, and wait for the web server to see that it has ended."""
    abort = scope.get("state", {}).get(ABORT)
    if abort is not None:
        abort()
        await asyncio.wait({hearer}, timeout=GONE_WITHIN)


async def _send_events(events: AsyncIterator[bytes], send: Send) -> None:
    with contextlib.suppress(WithdrawnError):
        async with contextlib.aclosing(events) as opened:  # type: ignore[type-var]
            async for body in opened:
                await send({"type": "http.response.body", "body": body, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def encode(frame: Frame) -> str:
    """A frame as server-sent events (WHATWG HTML, section 9.2).

    Of the ``changed`` events of one revision only the last has an ``id``, so a client that was
    cut off in between resumes before all of them.
    """
    position = f"{frame.epoch}-{frame.revision}"
    if frame.kind == "bookmark":
        return f"id: {position}\n\n"
    if frame.kind != "changed":
        return f"{retry_line()}event: {frame.kind}\ndata: {compact(frame.position)}\n\n"
    last = len(frame.messages) - 1
    return "".join(
        (f"id: {position}\n" if index == last else "")
        + f"event: changed\ndata: {compact(each)}\n\n"
        for index, each in enumerate(frame.messages)
    )


def retry_line() -> str:
    """When a client is to come again, spread over some seconds."""
    retry = random.randint(*RETRY_MILLISECONDS)  # noqa: S311 - spreads clients, guards nothing
    return f"retry: {retry}\n"
