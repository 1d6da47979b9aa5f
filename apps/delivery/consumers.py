"""Watching over WebSocket, with Channels; the frames come from the same generator as SSE."""

import asyncio
import contextlib
import json
import logging
from collections import deque
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import InterfaceError, OperationalError

from apps.access.selectors import still_valid
from apps.audit import refusals
from apps.configs.selectors.configurations import resolve_environment, resolve_place
from apps.core import clock
from apps.core.actor import Actor, stranger
from apps.delivery.feed import Feed, running_feed
from apps.delivery.requests import Asked, find_actor, interest_of, note_stream, read_cursor
from apps.delivery.watch import (
    LOOK_AT_RIGHTS_EVERY,
    Cursor,
    Frame,
    Interest,
    WithdrawnError,
    watch,
)
from apps.engine import values
from apps.engine.errors import DomainError, ForbiddenError, NotFoundError, invalid
from apps.rollouts.services import note_instance

logger = logging.getLogger(__name__)

NOT_AUTHENTICATED = 4401
WITHDRAWN = 4403
TOO_FAST = 1008
TOO_LARGE = 1009
FAILED = 1011
MAX_FRAME = 65_536
MAX_VERSION = 2**31
MAX_SUBSCRIPTIONS = 200
BURST = 300
BURST_SECONDS = 10.0

Key = tuple[str, str]


class ConfigConsumer(AsyncWebsocketConsumer):
    """One socket: any number of subscriptions, each its own watcher.

    Each message is judged with the actor as he is at that moment; when his login or token ends,
    so does the socket, whether or not anything is said on it.
    """

    channel_layer_alias = "none"  # wake-ups come through the process's one feed

    async def connect(self) -> None:
        """Accept those who are logged in; others hear close code 4401."""
        self.subscriptions: dict[Key, asyncio.Task[None]] = {}
        self.times: deque[float] = deque(maxlen=BURST)
        self.instance: str | None = None
        self.actor: Actor | None = None
        self.generation = -1  # the access generation as of which the actor was read
        self.guard: asyncio.Task[None] | None = None
        self.ended = False
        await self.accept()
        try:
            self.actor = await self._authenticate()
        except DomainError:
            client = self.scope.get("client") or (None,)
            refusals.count_read(actor=stranger(client[0]).name, target="ws/config")
            await self._end(NOT_AUTHENTICATED)
            return
        self.guard = asyncio.create_task(self._stand_guard(await running_feed()))

    @database_sync_to_async
    def _authenticate(self) -> Actor:
        asked = Asked.of({**self.scope, "method": "GET"})
        self.instance = asked.headers.get("x-config-instance")
        return find_actor(asked)

    async def disconnect(self, code: int) -> None:
        """End every subscription."""
        tasks = [*self.subscriptions.values(), *([self.guard] if self.guard else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take one message; a bad one is answered with ``error`` and the socket stays open."""
        if self.actor is None or self.ended:  # refused already; this was on its way
            return
        if text_data is None or len(text_data) > MAX_FRAME:
            await self._end(TOO_LARGE)
            return
        if self._is_too_fast():
            await self._end(TOO_FAST)
            return
        actor = await self._find_actor_now()
        if actor is None:
            return
        try:
            message = _parse(text_data)
            await self._handle(actor, message)
        except DomainError as error:
            if isinstance(error, (ForbiddenError, NotFoundError)):
                refusals.count_read(actor=actor.name, target=error.subject or "ws/config")
            await self._say({"type": "error", "code": error.code, "detail": error.detail})

    async def _find_actor_now(self) -> Actor | None:
        """The actor read afresh; when he is none any more the socket is closed.

        Without the database he stays who he was: whatever he may be refused needs it too.
        """
        generation = (await running_feed()).generation
        with contextlib.suppress(OperationalError, InterfaceError):
            self.actor = await _still_valid(self.actor)
            self.generation = generation
        if self.actor is None:
            await self._end(NOT_AUTHENTICATED)
        return self.actor

    async def _stand_guard(self, feed: Feed) -> None:
        """Close the socket soon after the login or token has ended, though nothing is said on it."""
        try:
            while self.actor is not None and not self.ended:
                ends_at = self.actor.expires_at
                is_over = ends_at is not None and ends_at <= clock.now()
                if is_over or self.generation != feed.generation:
                    await self._find_actor_now()
                await asyncio.sleep(LOOK_AT_RIGHTS_EVERY)
        except Exception:  # unguarded it must not stay open
            logger.exception("A socket's login could not be looked at; it is closed.")
            await self._end(FAILED)

    async def _end(self, code: int) -> None:
        """Close the socket, once: several tasks may want to."""
        if not self.ended:
            self.ended = True
            await self.close(code)

    def _is_too_fast(self) -> bool:
        now = asyncio.get_running_loop().time()
        full = len(self.times) == BURST and now - self.times[0] < BURST_SECONDS
        self.times.append(now)
        return full

    async def _handle(self, actor: Actor, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "ping":
            await self._say({"type": "pong"})
        elif kind == "subscribe":
            await self._subscribe(actor, message)
        elif kind == "unsubscribe":
            task = self.subscriptions.pop(await _key(actor, message), None)
            if task is not None:
                task.cancel()
        elif kind == "applied":
            await self._applied(actor, message)
        else:
            raise invalid("/type", "type", "Use subscribe, unsubscribe, applied or ping.")

    async def _subscribe(self, actor: Actor, message: dict[str, Any]) -> None:
        if len(self.subscriptions) >= MAX_SUBSCRIPTIONS:
            raise invalid("", "subscriptions", f"At most {MAX_SUBSCRIPTIONS} on one socket.")
        key = await _key(actor, message)
        after = message.get("after")
        cursor = read_cursor(None if after is None else str(after))
        interest = await _admit(actor, key, message.get("include"), self.instance)
        previous = self.subscriptions.pop(key, None)
        if previous is not None:
            previous.cancel()
        self.subscriptions[key] = asyncio.create_task(self._pump(actor, interest, cursor))

    async def _pump(self, actor: Actor, interest: Interest, cursor: Cursor | None) -> None:
        try:
            frames = watch(await running_feed(), actor, interest, cursor)
            async with contextlib.aclosing(frames) as opened:  # type: ignore[type-var]
                async for frame in opened:
                    for message in _messages(frame):
                        await self._say(message)
        except WithdrawnError:
            if await self._find_actor_now() is not None:  # his rights have ended, not his login
                await self._end(WITHDRAWN)
        except Exception:  # a client that hears nothing must know it
            logger.exception("A subscription failed; its socket is closed.")
            await self._end(FAILED)

    async def _applied(self, actor: Actor, message: dict[str, Any]) -> None:
        version = message.get("version")
        if not isinstance(version, int) or isinstance(version, bool) or version >= MAX_VERSION:
            raise invalid("/version", "type", "'version' is a whole number.")
        name = message.get("instance") or self.instance
        if not isinstance(name, str):
            raise invalid("/instance", "instance", "Name the instance: X-Config-Instance.")
        await _note(actor, await _key(actor, message), name, version)

    async def _say(self, message: dict[str, Any]) -> None:
        if not self.ended:
            with contextlib.suppress(OSError):  # the client is gone, and its tasks end with it
                await self.send(json.dumps(message, separators=(",", ":"), ensure_ascii=False))


@database_sync_to_async
def _still_valid(actor: Actor | None) -> Actor | None:
    return still_valid(actor, now=clock.now()) if actor else None


@database_sync_to_async
def _admit(actor: Actor, key: Key, include: object, instance: str | None) -> Interest:
    service, environment = key
    names = [service] if service else []
    interest = interest_of(actor, names, environment, str(include or "") or None)
    note_stream(actor, interest, instance)
    return interest


@database_sync_to_async
def _note(actor: Actor, key: Key, name: str, version: int) -> None:
    service, environment = key
    place = resolve_place(actor=actor, service=service, environment=environment, verb="read")
    note_instance(actor=actor, place=place, name=name, version=version)


def _messages(frame: Frame) -> list[dict[str, Any]]:
    """The frame as JSON messages; the last ``changed`` of a revision says so."""
    if frame.kind != "changed":
        return [{"type": frame.kind, **frame.position}]
    *before, last = frame.messages
    return [*before, {**last, "last": True}]


def _parse(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise invalid("", "malformed", "A message is one JSON object.") from None
    if not isinstance(message, dict):
        raise invalid("", "malformed", "A message is one JSON object.")
    values.check(message)
    return message


@database_sync_to_async
def _key(actor: Actor, message: dict[str, Any]) -> Key:
    """What a message is about, the same however it is written: names in lower case (no service:
    all), and the environment that is meant where it names none.
    """
    service, environment = message.get("service"), message.get("environment")
    for name, given in (("service", service), ("environment", environment)):
        if given is not None and not isinstance(given, str):
            raise invalid(f"/{name}", "type", f"'{name}' is a name.")
    environment = environment or resolve_environment(actor=actor, environment=None).slug
    return (service or "").lower(), environment.lower()
