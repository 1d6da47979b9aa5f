"""The waiting of long polls: until there is news, or until their time is over.

Where there is news the answer is the one to the same question without any waiting, and memory may have
it: so many that wait for one thing ask Django once. Every other answer is Django's. Whatever is wrong
with a request is not said here: it does not wait, and Django refuses it.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from channels.db import database_sync_to_async

from apps.audit.selectors import head
from apps.core.actor import Actor
from apps.core.reaching import AWAY
from apps.delivery.feed import Feed, running_feed
from apps.delivery.http import App, Receive, Send
from apps.delivery.questions import is_plain, take_unit
from apps.delivery.requests import Asked, find_actor, interest_of, read_cursor, read_wait
from apps.delivery.standing import WithdrawnError
from apps.delivery.watch import Cursor, Interest, watch
from apps.engine import formats
from apps.engine.errors import DomainError

REVISION_WAIT = 5.0
WAITING = frozenset({"after", "wait", "min_revision"})
"""What in a query says that and how long a question waits, and nothing of its answer."""
MARKS = (b"wait=", b"min_revision=", b"%")
"""Without one of these nothing waits."""


@dataclass(frozen=True, slots=True)
class Poll:
    """How long to wait, and for what. ``needed``: until this process has read that far."""

    services: list[str]
    needed: Cursor | None
    after: Cursor | None
    seconds: float

    @property
    def has_to_wait(self) -> bool:
        """Whether there is anything to wait for."""
        return self.needed is not None or (self.after is not None and self.seconds > 0)


class Polls:
    """Wraps what answers when the waiting is over."""

    def __init__(self, behind: App) -> None:
        self.behind = behind

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        if scope["method"] == "GET" and any(mark in scope["query_string"] for mark in MARKS):
            with contextlib.suppress(DomainError, *AWAY):  # Django says what is wrong with it
                if await wait_for_news(Asked.of(scope)):
                    answered = _without_waiting(scope)
                    is_kept = is_plain(take_unit(answered["query_string"])[1])
                    scope = answered if is_kept else scope
        await self.behind(scope, receive, send)


def _without_waiting(scope: Any) -> Any:
    """The same question by somebody who does not wait."""
    parts = scope["query_string"].decode("ascii").split("&")
    kept = [part for part in parts if unquote_plus(part.partition("=")[0]) not in WAITING]
    return {**scope, "query_string": "&".join(kept).encode()}


async def wait_for_news(asked: Asked) -> bool:
    """Hold a fetch of configurations back for as long as it asks for. Whether that has been answered by
    news, and by as fresh a state as it needs.
    """
    services = services_of(asked)
    if services is None:
        return False
    try:
        poll = Poll(
            services,
            read_cursor(asked.one("min_revision"), "min_revision"),
            read_cursor(asked.one("after")),
            read_wait(asked.one("wait")),
        )
        if not poll.has_to_wait:
            return False
        actor, interest = await _admit(asked, poll)
    except DomainError:
        return False
    return await _wait(poll, actor, interest)


def services_of(asked: Asked) -> list[str] | None:
    """The services that a fetch is about; ``None`` for any other address."""
    top, first, *rest = [*asked.path.strip("/").split("/"), ""]
    if top != "config":
        return None
    if not first:
        return asked.query.get("service", [])
    if rest and rest[0]:
        return [first] if rest == ["value", ""] else None
    return [formats.split_suffix(first)[0]]


async def _is_beyond(cursor: Cursor | None, feed: Feed) -> bool:
    """Whether a revision is of another epoch, or above the ledger's head: nothing to wait for."""
    if cursor is None or not cursor.is_beyond(feed.epoch, feed.revision):
        return False
    end = await database_sync_to_async(head)()
    return cursor.is_beyond(end.epoch, end.revision)


@database_sync_to_async
def _admit(asked: Asked, poll: Poll) -> tuple[Actor, Interest | None]:
    """Who polls, and what he may wait for: only what he could fetch."""
    actor = find_actor(asked)
    if poll.after is None or not poll.services:
        return actor, None
    return actor, interest_of(actor, poll.services, asked.one("environment"), None)


async def _wait(poll: Poll, actor: Actor, interest: Interest | None) -> bool:
    feed = await running_feed()
    is_fresh = poll.needed is None
    if poll.needed is not None and not await _is_beyond(poll.needed, feed):
        is_fresh = await feed.reached(poll.needed.revision, REVISION_WAIT)
    if interest is None or not poll.seconds:
        return is_fresh and poll.after is None
    if await _is_beyond(poll.after, feed):
        return False
    frames = watch(feed, actor, interest, poll.after)
    with contextlib.suppress(TimeoutError, WithdrawnError):
        async with asyncio.timeout(poll.seconds), contextlib.aclosing(frames) as opened:  # type: ignore[type-var]
            async for frame in opened:
                if frame.kind in ("changed", "resync"):
                    return is_fresh and frame.kind == "changed"
    return False
