"""Who a stream's actor is, and what he may read, as of one access generation.

Streams of one token share it: when rights move, thousands of them look again, and ask once.
"""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from channels.db import database_sync_to_async

from apps.access.rights import Rights, rights_end, rights_of
from apps.access.selectors import still_valid
from apps.core import clock
from apps.core.actor import Actor
from apps.delivery.feed import Feed


class WithdrawnError(Exception):
    """The actor's login, token or last right on the stream has ended."""


class Sight(NamedTuple):
    """What somebody sees of a configuration."""

    may_read: bool
    sees_all: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """``rights`` is ``None`` for a superuser. ``ends_at``: when the login, the token or a grant
    ends by itself.
    """

    actor: Actor
    rights: Rights | None
    ends_at: datetime | None
    _judged: dict[tuple[int, int], Sight] = field(default_factory=dict, compare=False)

    def has_ended(self) -> bool:
        """Whether it is to be read again."""
        return self.ends_at is not None and self.ends_at <= clock.now()

    def judge(self, spot: tuple[int, int]) -> Sight:
        """What he sees of the configuration of that service and environment."""
        if spot not in self._judged:
            self._judged[spot] = _judge(self.rights, *spot)
        return self._judged[spot]

    def as_seen(self, before: Actor) -> Actor:
        """The actor of a stream that was ``before``: where he calls from, and for which environment."""
        return replace(self.actor, environment=before.environment, address=before.address)


def _judge(rights: Rights | None, service_id: int, environment_id: int) -> Sight:
    if rights is None:
        return Sight(may_read=True, sees_all=True)
    scope = (service_id, environment_id)
    return Sight(
        may_read=rights.reaches("read", *scope),
        sees_all=all(rights.guard(verb, *scope).is_open for verb in ("list", "read")),
    )


async def stand(feed: Feed, actor: Actor) -> Standing:
    """Where the actor stands now. Raises :class:`WithdrawnError` when his login or token has ended."""
    if actor.token_id is None:
        return await _read(actor)
    known = feed.standings.get(actor.token_id)
    if known is None or (known.done() and (known.exception() or known.result().has_ended())):
        known = feed.standings[actor.token_id] = asyncio.create_task(_read(actor))
    return await asyncio.shield(known)


@database_sync_to_async
def _read(actor: Actor) -> Standing:
    found = still_valid(actor, now=clock.now())
    if found is None or (found.expires_at is not None and found.expires_at <= clock.now()):
        raise WithdrawnError
    rights = None if found.is_superuser else rights_of(found)
    ends = [each for each in (found.expires_at, rights_end(found)) if each is not None]
    return Standing(found, rights, min(ends, default=None))
