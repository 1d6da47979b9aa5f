"""``/ws/graphql``: subscriptions, in the protocol graphql-transport-ws.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import asyncio
import contextlib
import logging
from typing import Any, Final

from graphql import GraphQLError

from apps.api.base import typed
from apps.api.graphql.context import Context
from apps.api.graphql.execution import Asked, stream
from apps.api.graphql.problems import present, refusals_of
from apps.audit import refusals
from apps.core.actor import Actor
from apps.delivery.sockets import FAILED, RESTARTING, GuardedConsumer
from apps.engine import formats
from apps.engine.errors import DomainError, ForbiddenError, MalformedError, NotFoundError, invalid
from apps.engine.values import Tree, compact
from apps.rollouts.assigning import read_unit

logger = logging.getLogger(__name__)

PROTOCOL: Final = "graphql-transport-ws"
BAD_MESSAGE = 4400
UNAUTHORIZED = 4401
WRONG_PROTOCOL = 4406
TOO_LATE = 4408
TAKEN = 4409
TOO_OFTEN = 4429
INIT_WITHIN = 10.0
MAX_SUBSCRIPTIONS = 100
MAX_ID = 200


class GraphQLConsumer(GuardedConsumer):
    """One socket: a handshake, then any number of subscriptions by their ids.

    Credentials are those of the other streams, or ``{"authorization": "Bearer csk_…"}`` as the
    payload of ``connection_init``, for browsers, which cannot send the header.
    """

    address = "ws/graphql"

    async def connect(self) -> None:
        """Accept who speaks the protocol; he has some seconds for the handshake."""
        self.begin()
        self.timer: asyncio.Task[None] | None = None
        if PROTOCOL not in self.scope.get("subprotocols", ()):
            await self.accept()
            await self.end(WRONG_PROTOCOL)
            return
        await self.accept(PROTOCOL)
        self.timer = asyncio.create_task(self._wait_for_init())

    async def _wait_for_init(self) -> None:
        await asyncio.sleep(INIT_WITHIN)
        await self.end(TOO_LATE)

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()

    async def disconnect(self, code: int) -> None:
        """End every subscription."""
        self._stop_timer()
        await super().disconnect(code)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take one message; one that is none of the protocol closes the socket with 4400."""
        if await self.is_refused(text_data):
            return
        try:
            message = formats.parse((text_data or "").encode(), "json").tree
            await self._handle(message if isinstance(message, dict) else {})
        except (DomainError, UnicodeEncodeError):
            await self.end(BAD_MESSAGE)

    async def _handle(self, message: dict[str, Tree]) -> None:
        kind = message.get("type")
        if kind == "connection_init":
            await self._begin(typed(message, "payload", dict, {}))
        elif kind == "ping":
            await self._tell({"type": "pong"})
        elif kind == "subscribe":
            await self._subscribe(_id(message), message.get("payload"))
        elif kind == "complete":
            task = self.subscriptions.pop(_id(message), None)
            if task is not None:
                task.cancel()
        elif kind != "pong":
            await self.end(BAD_MESSAGE)

    async def _begin(self, payload: dict[str, Tree]) -> None:
        if self.actor is not None:
            await self.end(TOO_OFTEN)
            return
        self._stop_timer()
        named = {name.lower(): value for name, value in payload.items()}
        if await self.admit(typed(named, "authorization", str)):
            await self._tell({"type": "connection_ack"})

    async def _subscribe(self, id_: str, payload: Tree) -> None:
        if self.actor is None:
            await self.end(UNAUTHORIZED)
        elif id_ in self.subscriptions:
            await self.end(TAKEN)
        else:
            actor = await self.find_actor_now()
            if actor is not None:
                self.subscriptions[id_] = asyncio.create_task(self._run(id_, actor, payload))

    async def _run(self, id_: str, actor: Actor, payload: Tree) -> None:
        """Send what a subscription gives until it is refused or cancelled; then the id is free again."""
        try:
            await self._answer(id_, actor, payload)
        except Exception:  # a client that hears nothing must know it
            logger.exception("A subscription failed; its socket is closed.")
            await self.end(FAILED)
        finally:
            if self.subscriptions.get(id_) is asyncio.current_task():
                del self.subscriptions[id_]

    async def _answer(self, id_: str, actor: Actor, payload: Tree) -> None:
        try:
            context = Context(
                actor,
                subscribes=True,
                give_up=self.give_up,
                instance=self.instance,
                unit=read_unit(*self.unit),
            )
            await self._pump(id_, context, self._read(payload))
        except DomainError as error:
            told = present(GraphQLError(error.detail, original_error=error))
            await self._refuse(id_, actor, [told])

    def _read(self, payload: Tree) -> Asked:
        if len(self.subscriptions) > MAX_SUBSCRIPTIONS:
            raise invalid("", "subscriptions", f"At most {MAX_SUBSCRIPTIONS} on one socket.")
        return Asked.of(payload)

    async def _pump(self, id_: str, context: Context, asked: Asked) -> None:
        async with contextlib.aclosing(stream(context, asked)) as results:
            async for result in results:
                if result.errors:
                    await self._refuse(id_, context.caller, result.errors)
                    return
                await self._tell({"id": id_, "type": "next", "payload": {"data": result.data}})
        await self.end(RESTARTING)  # they end with the server's streams, and begin again elsewhere

    async def _refuse(self, id_: str, actor: Actor, errors: list[GraphQLError]) -> None:
        """End a subscription by its errors; when the login has ended, the socket with it."""
        for field, error in refusals_of(errors):
            if isinstance(error, (ForbiddenError, NotFoundError)):
                target = error.subject or f"{self.address}#{field}"
                refusals.count_read(actor=actor.name, target=target)
        if await self.find_actor_now() is not None:
            told = [each.formatted for each in errors]
            await self._tell({"id": id_, "type": "error", "payload": told})

    async def _tell(self, message: dict[str, Any]) -> None:
        await self.say(compact(message))


def _id(message: dict[str, Tree]) -> str:
    found: str = typed(message, "id", str, "")
    if not 0 < len(found) <= MAX_ID:
        raise MalformedError("A subscription has an id.")
    return found
