"""Watching over WebSocket, with Channels; the frames come from the same generator as SSE."""

import asyncio
import contextlib
import json
import logging
from dataclasses import replace
from typing import Any

from channels.db import database_sync_to_async

from apps.audit import refusals
from apps.configs.selectors.configurations import resolve_environment, resolve_place
from apps.core.actor import Actor
from apps.delivery.feed import running_feed
from apps.delivery.requests import interest_of, note_stream, read_cursor
from apps.delivery.sockets import FAILED, RESTARTING, WITHDRAWN, GuardedConsumer
from apps.delivery.standing import WithdrawnError
from apps.delivery.watch import Cursor, Frame, Interest, watch
from apps.engine import values
from apps.engine.errors import DomainError, ForbiddenError, NotFoundError, invalid
from apps.engine.values import compact
from apps.rollouts.assigning import read_unit
from apps.rollouts.services import note_instance

logger = logging.getLogger(__name__)

MAX_VERSION = 2**31
MAX_SUBSCRIPTIONS = 200
FORM = "WebSocket"

Key = tuple[str, str]


class ConfigConsumer(GuardedConsumer):
    """One socket: any number of subscriptions, each its own watcher."""

    address = "ws/config"

    async def connect(self) -> None:
        """Accept those who are logged in; others hear close code 4401."""
        self.begin()
        await self.accept()
        await self.admit()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take one message; a bad one is answered with ``error`` and the socket stays open."""
        if await self.is_refused(text_data):
            return
        actor = await self.find_actor_now()
        if actor is None:
            return
        try:
            message = _parse(text_data or "")
            await self._handle(actor, message)
        except DomainError as error:
            if isinstance(error, (ForbiddenError, NotFoundError)):
                refusals.count_read(actor=actor.name, target=error.subject or "ws/config")
            await self._say({"type": "error", "code": error.code, "detail": error.detail})

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
        unit = str(message.get("unit") or read_unit(*self.unit))
        interest = await _admit(actor, key, message.get("include"), self.instance, unit)
        previous = self.subscriptions.pop(key, None)
        if previous is not None:
            previous.cancel()
        self.subscriptions[key] = asyncio.create_task(self._pump(actor, interest, cursor))

    async def _pump(self, actor: Actor, interest: Interest, cursor: Cursor | None) -> None:
        """Tell of what happens until it is cancelled; where it ends otherwise, so does the socket: a
        client that hears nothing must know it.
        """
        try:
            await self._tell(actor, interest, cursor)
            await self.end(RESTARTING)
        except Exception:
            logger.exception("A subscription failed; its socket is closed.")
            await self.end(FAILED)

    async def _tell(self, actor: Actor, interest: Interest, cursor: Cursor | None) -> None:
        """Send the frames until the server ends its streams, or the right to them has ended."""
        try:
            feed = await running_feed()
            frames = watch(feed, actor, interest, cursor, give_up=self.give_up)
            async with contextlib.aclosing(frames) as opened:  # type: ignore[type-var]
                async for frame in opened:
                    if FORM not in frame.encoded:
                        frame.encoded[FORM] = [*map(compact, _messages(frame))]
                    for text in frame.encoded[FORM]:
                        await self.say(text)
        except WithdrawnError:
            if await self.find_actor_now() is not None:  # his rights have ended, not his login
                await self.end(WITHDRAWN)

    async def _applied(self, actor: Actor, message: dict[str, Any]) -> None:
        version = message.get("version")
        if not isinstance(version, int) or isinstance(version, bool) or version >= MAX_VERSION:
            raise invalid("/version", "type", "'version' is a whole number.")
        name = message.get("instance") or self.instance
        if not isinstance(name, str):
            raise invalid("/instance", "instance", "Name the instance: X-Config-Instance.")
        await _note(actor, await _key(actor, message), name, version)

    async def _say(self, message: dict[str, Any]) -> None:
        await self.say(compact(message))


@database_sync_to_async
def _admit(actor: Actor, key: Key, include: object, instance: str | None, unit: str) -> Interest:
    service, environment = key
    names = [service] if service else []
    interest = interest_of(actor, names, environment, str(include or "") or None, unit)
    note_stream(actor, interest, instance)
    return replace(interest, instance=instance or "")


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
