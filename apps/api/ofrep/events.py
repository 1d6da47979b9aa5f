"""The event stream of flags: that they changed, and nothing of them."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

from channels.db import database_sync_to_async

from apps.api.ofrep.tickets import read_ticket
from apps.api.ofrep.views import find_place
from apps.audit.selectors import last_number_of
from apps.core import clock
from apps.core.actor import Actor
from apps.delivery.feed import running_feed
from apps.delivery.http import retry_line
from apps.delivery.watch import Cursor, Frame, Interest, watch
from apps.engine import paths
from apps.engine.values import compact
from apps.rollouts.flags import list_sections_of

LOOK_EVERY: Final = 5.0
"""Seconds after which a quiet stream sends its position, and looks whether sections were changed."""
SECTION_ACTS: Final = ("section.created", "section.updated", "section.deleted")


@dataclass(slots=True)
class _Sections:
    """The service's sections of flags, as of the last ``act`` on any section. Such an act changes no
    configuration, so that the frames of a stream do not tell of it.
    """

    service: Any
    act: int
    keys: frozenset[str]

    @classmethod
    def of(cls, service: Any) -> "_Sections":
        """Those of now."""
        act = last_number_of(SECTION_ACTS)
        return cls(service, act, frozenset(list_sections_of(service)))

    @database_sync_to_async
    def look(self) -> bool:
        """Whether they are others than when they were looked at last."""
        act = last_number_of(SECTION_ACTS)
        if act == self.act:
            return False
        before = self.keys
        self.act, self.keys = act, frozenset(list_sections_of(self.service))
        return self.keys != before


async def stream_of(
    ticket: str,
    address: str | None,
    cursor: Cursor | None,
    *,
    give_up: Callable[[], object],
) -> AsyncIterator[bytes]:
    """The lines to send, for as long as the ticket's holder may read the flags. ``give_up`` is called
    when they are taken so slowly that not even news of everything helps.

    Raises :class:`UnauthenticatedError`, and :class:`NotFoundError` or :class:`ForbiddenError` where
    he may not any more.
    """
    actor, interest, sections = await _admit(ticket, address)
    feed = await running_feed()
    frames = watch(feed, actor, interest, cursor, bookmark_every=LOOK_EVERY, give_up=give_up)
    return _lines(frames, sections, fresh=cursor is None or cursor.revision < sections.act)


@database_sync_to_async
def _admit(ticket: str, address: str | None) -> tuple[Actor, Interest, _Sections]:
    opened = read_ticket(ticket, now=clock.now(), address=address)
    place = find_place(opened.actor, opened.service, opened.environment)
    assert place.service is not None  # noqa: S101 - the ticket names both
    assert place.environment is not None  # noqa: S101 - as above
    interest = Interest(frozenset({place.service.pk}), place.environment.pk)
    return opened.actor, interest, _Sections.of(place.service)


async def _lines(
    frames: AsyncIterator[Frame], sections: _Sections, *, fresh: bool
) -> AsyncIterator[bytes]:
    """Server-sent events. A new stream begins with one, since something may have changed after
    the evaluation that it belongs to; a resumed one hears what it has missed, of sections too.
    """
    async with contextlib.aclosing(frames) as opened:  # type: ignore[type-var]
        async for frame in opened:
            position = f"{frame.epoch}-{frame.revision}"
            if frame.kind == "ready":
                yield (retry_line() + (_message(position) if fresh else "\n")).encode()
            elif await sections.look() or frame.kind == "resync" or _touches(frame, sections.keys):
                yield _message(position).encode()
            else:
                yield f"id: {position}\n\n".encode()


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
