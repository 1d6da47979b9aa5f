"""What every WebSocket of those who are logged in has: a guard, a pace, and an end."""

import asyncio
import contextlib
import logging
import math
from collections import deque
from dataclasses import replace
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from apps.access.selectors import still_valid
from apps.audit import refusals
from apps.core import clock
from apps.core.actor import Actor, stranger
from apps.core.reaching import AWAY
from apps.delivery.feed import Feed, running_feed
from apps.delivery.requests import Asked, find_actor
from apps.engine.errors import DomainError, HeldError

logger = logging.getLogger(__name__)

NOT_AUTHENTICATED = 4401
WITHDRAWN = 4403
TOO_FAST = 1008
TOO_LARGE = 1009
FAILED = 1011
RESTARTING = 1012
TRY_AGAIN_LATER = 1013
TOO_SLOW = "What came was read too slowly."
MAX_FRAME = 65_536
BURST = 300
BURST_SECONDS = 10.0
LONGEST_SLEEP = 3_600.0
TRY_AGAIN_AFTER = 1.0  # the database was away when rights were to be looked at


class GuardedConsumer(AsyncWebsocketConsumer):
    """One socket of one actor, with any number of ``subscriptions`` that send on it.

    Each message is judged with the actor as he is at that moment; when his login or token ends,
    so does the socket, whether or not anything is said on it.
    """

    channel_layer_alias = "none"  # wake-ups come through the process's one feed
    address = ""  # as refusals name it

    def begin(self) -> None:
        """Nobody is logged in yet, and nothing is sent."""
        self.subscriptions: dict[Any, asyncio.Task[None]] = {}
        self.times: deque[float] = deque(maxlen=BURST)
        self.actor: Actor | None = None
        self.instance: str | None = None
        self.unit: tuple[str | None, str | None] = None, None
        self.generation = -1  # the access generation as of which the actor was read
        self.guard: asyncio.Task[None] | None = None
        self.closing: asyncio.Task[None] | None = None
        self.ended = False

    async def admit(self, authorization: str | None = None) -> bool:
        """Take the credentials of the handshake, or the header's value that came otherwise, and the
        names of the instance and the unit. Who has no credentials hears close code 4401, and while
        rights are held, or the database is away, everybody 1013.
        """
        try:
            asked = Asked.of({**self.scope, "method": "GET"})
            if authorization is not None:
                asked = replace(asked, headers={**asked.headers, "authorization": authorization})
            self.actor = await database_sync_to_async(find_actor)(asked)
        except (HeldError, *AWAY):
            await self.end(TRY_AGAIN_LATER)
            return False
        except DomainError:
            client = self.scope.get("client") or (None,)
            refusals.count_read(actor=stranger(client[0]).name, target=self.address)
            await self.end(NOT_AUTHENTICATED)
            return False
        self.instance = asked.headers.get("x-config-instance")
        self.unit = asked.headers.get("x-config-unit"), asked.one("unit")
        self.guard = asyncio.create_task(self._stand_guard(await running_feed()))
        return True

    async def disconnect(self, code: int) -> None:
        """End every subscription."""
        others = [each for each in (self.guard, self.closing) if each is not None]
        tasks = [*self.subscriptions.values(), *others]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def is_refused(self, text_data: str | None) -> bool:
        """Whether a message is none to be read: the socket has ended, or it ends it."""
        if self.ended:
            return True
        if text_data is None or len(text_data) > MAX_FRAME:
            await self.end(TOO_LARGE)
        elif self._is_too_fast():
            await self.end(TOO_FAST)
        return self.ended

    async def find_actor_now(self) -> Actor | None:
        """The actor read afresh; when he is none any more the socket is closed.

        Without the database he stays who he was: whatever he may be refused needs it too.
        """
        generation = (await running_feed()).generation
        with contextlib.suppress(*AWAY):
            self.actor = await _still_valid(self.actor)
            self.generation = generation
        if self.actor is None:
            await self.end(NOT_AUTHENTICATED)
        return self.actor

    async def _stand_guard(self, feed: Feed) -> None:
        """Close the socket soon after the login or token has ended, though nothing is said on it."""
        try:
            while self.actor is not None and not self.ended:
                moved = feed.rights_moved
                if self._seconds_left() <= 0 or self.generation != feed.generation:
                    await self.find_actor_now()
                is_current = self.generation == feed.generation
                seconds = self._seconds_left() if is_current else TRY_AGAIN_AFTER
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(seconds, LONGEST_SLEEP)):
                        await moved.wait()
        except Exception:  # unguarded it must not stay open
            logger.exception("A socket's login could not be looked at; it is closed.")
            await self.end(FAILED)

    def _seconds_left(self) -> float:
        """Until the login or token ends by itself."""
        ends_at = self.actor.expires_at if self.actor is not None else None
        return math.inf if ends_at is None else (ends_at - clock.now()).total_seconds()

    async def end(self, code: int) -> None:
        """Close the socket, once: several tasks may want to."""
        if not self.ended:
            await asyncio.shield(self._begin_to_end(code))

    def give_up(self) -> None:
        """End the socket of a client that reads so slowly that not even a ``resync`` helps.

        Its subscriptions end now, also in the middle of sending. The closing waits, as all that is
        sent, until the client reads on or is gone.
        """
        if not self.ended:
            self._begin_to_end(TRY_AGAIN_LATER, TOO_SLOW)
            for task in self.subscriptions.values():
                task.cancel()

    def _begin_to_end(self, code: int, reason: str | None = None) -> asyncio.Task[None]:
        """Close it in a task of its own: whoever wants it may be cancelled while the client is slow."""
        self.ended = True
        self.closing = asyncio.create_task(self._close(code, reason))
        return self.closing

    async def _close(self, code: int, reason: str | None) -> None:
        with contextlib.suppress(RuntimeError, OSError):  # see say
            await self.close(code, reason)

    def _is_too_fast(self) -> bool:
        now = asyncio.get_running_loop().time()
        full = len(self.times) == BURST and now - self.times[0] < BURST_SECONDS
        self.times.append(now)
        return full

    async def say(self, text: str) -> None:
        """Send a message, unless the socket has ended. The web server may have closed it already, for
        want of an answer to its pings: it says so by a RuntimeError.
        """
        if not self.ended:
            try:
                with contextlib.suppress(OSError):  # the client is gone, and its tasks end with it
                    await self.send(text)
            except RuntimeError:
                self.ended = True


@database_sync_to_async
def _still_valid(actor: Any) -> Actor | None:
    return still_valid(actor, now=clock.now()) if actor else None
