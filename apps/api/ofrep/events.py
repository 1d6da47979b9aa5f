"""The event stream of flags: that they changed, and nothing of them."""

import contextlib
from collections.abc import AsyncIterator

from channels.db import database_sync_to_async

from apps.api.ofrep.tickets import read_ticket
from apps.api.ofrep.views import find_place
from apps.core import clock
from apps.core.actor import Actor
from apps.delivery.feed import running_feed
from apps.delivery.http import retry_line
from apps.delivery.watch import Cursor, Frame, Interest, watch
from apps.engine import paths
from apps.engine.values import compact
from apps.rollouts.flags import list_sections_of


async def stream_of(ticket: str, address: str | None, cursor: Cursor | None) -> AsyncIterator[str]:
    """The lines to send, for as long as the ticket's holder may read the flags.

    Raises :class:`UnauthenticatedError`, and :class:`NotFoundError` or :class:`ForbiddenError` where
    he may not any more.
    """
    actor, interest, sections = await _admit(ticket, address)
    frames = watch(await running_feed(), actor, interest, cursor)
    return _lines(frames, sections, fresh=cursor is None)


@database_sync_to_async
def _admit(ticket: str, address: str | None) -> tuple[Actor, Interest, frozenset[str]]:
    opened = read_ticket(ticket, now=clock.now(), address=address)
    place = find_place(opened.actor, opened.service, opened.environment)
    assert place.service is not None  # noqa: S101 - the ticket names both
    assert place.environment is not None  # noqa: S101 - as above
    interest = Interest(frozenset({place.service.pk}), place.environment.pk)
    return opened.actor, interest, frozenset(list_sections_of(place.service))


async def _lines(
    frames: AsyncIterator[Frame], sections: frozenset[str], *, fresh: bool
) -> AsyncIterator[str]:
    """Server-sent events. A new stream begins with one, since something may have changed after
    the evaluation that it belongs to; a resumed one hears what it has missed.
    """
    async with contextlib.aclosing(frames) as opened:  # type: ignore[type-var]
        async for frame in opened:
            position = f"{frame.epoch}-{frame.revision}"
            if frame.kind == "ready":
                yield retry_line() + (_message(position) if fresh else "\n")
            elif frame.kind == "resync" or _touches(frame, sections):
                yield _message(position)
            else:
                yield f"id: {position}\n\n"


def _touches(frame: Frame, sections: frozenset[str]) -> bool:
    """Whether a change may be one of flags: as far as its keys say, which may be hidden."""
    for message in frame.messages:
        tops = {paths.parse_path(key)[0] for key in message["keys"] if key}
        if not tops or not sections or not sections.isdisjoint(tops):
            return True
    return False


def _message(position: str) -> str:
    data = {
        "type": "refetchEvaluation",
        "etag": f'"{position}"',
        "lastModified": int(clock.now().timestamp()),
    }
    return f"id: {position}\nevent: message\ndata: {compact(data)}\n\n"
