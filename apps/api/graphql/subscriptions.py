"""What can be watched: the frames of the one generator behind every stream."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from enum import Enum
from typing import Any

import strawberry
from channels.db import database_sync_to_async

from apps.api.graphql.context import Info
from apps.api.graphql.fields import described, node
from apps.api.graphql.scalars import Json, Long
from apps.delivery.feed import running_feed
from apps.delivery.requests import MAX_SERVICES, interest_of, note_stream, read_cursor
from apps.delivery.standing import WithdrawnError
from apps.delivery.watch import Frame, Interest, watch
from apps.engine.errors import ForbiddenError, invalid


@strawberry.enum(description="What a message of a stream says.")
class Kind(Enum):
    """What a message of a stream says."""

    READY = "ready"
    CHANGED = "changed"
    BOOKMARK = "bookmark"
    RESYNC = "resync"


@node
class Changed:
    """A configuration that changed."""

    service: str
    environment: str
    version: int
    checksum: str | None
    keys: list[str]
    cause: str
    config: Json | None = strawberry.field(description="Where it was asked for and is still live.")

    @classmethod
    def of(cls, message: dict[str, Any]) -> "Changed":
        """The change that a message tells of."""
        names = ("service", "environment", "version", "checksum", "keys", "cause", "config")
        told: dict[str, Any] = {name: message.get(name) for name in names}
        return cls(**told)


@node
class Changes:
    """What one revision changed. READY begins a stream, BOOKMARK says that nothing else happened
    until its position, and RESYNC that some was missed: fetch what is live.
    """

    kind: Kind
    epoch: str
    revision: Long
    position: str = strawberry.field(description="Where to go on from, as 'after'.")
    changed: list[Changed]

    @classmethod
    def of(cls, frame: Frame) -> "Changes":
        """The message of a frame."""
        return cls(
            kind=Kind(frame.kind),
            epoch=frame.epoch,
            revision=frame.revision,
            position=f"{frame.epoch}-{frame.revision}",
            changed=[Changed.of(each) for each in frame.messages],
        )


async def changes(
    info: Info,
    service: list[str] | None = None,
    environment: str | None = None,
    after: str | None = None,
    *,
    with_config: bool = False,
) -> AsyncGenerator[Changes, None]:
    """Changes of these services (none: of all that the caller may see), in an environment as in REST or in all (`*`).

    After 'after', a position, every later one comes in order, once.
    """
    actor, names = info.context.caller, service or []
    if len(names) > MAX_SERVICES:
        raise invalid("/service", "service", f"At most {MAX_SERVICES} services in one stream.")
    cursor = read_cursor(after)
    include = "config" if with_config else None

    @database_sync_to_async
    def admit() -> Interest:
        interest = interest_of(actor, names, environment, include, info.context.unit)
        if info.context.instance is not None:
            note_stream(actor, interest, info.context.instance)
        return replace(interest, instance=info.context.instance or "")

    interest = await admit()
    feed, give_up = await running_feed(), info.context.give_up
    frames: Any = watch(feed, actor, interest, cursor, give_up=give_up)
    async with contextlib.aclosing(frames) as opened:
        try:
            async for frame in opened:
                yield Changes.of(frame)
        except WithdrawnError as error:
            raise ForbiddenError("The right to read this has ended.", code="withdrawn") from error


@strawberry.type(description="What can be watched, over the WebSocket /ws/graphql.")
class Subscriptions:
    """What can be watched."""

    changes = strawberry.subscription(resolver=changes, description=described(changes))
