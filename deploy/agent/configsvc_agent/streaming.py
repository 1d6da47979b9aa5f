"""The contract's event stream for the processes of this host: what one stream upstream says, told on.

Each message is the server's, word for word, and is told once what it is about has been fetched: who asks
the agent then is answered with it. What the agent itself learnt in another way, by polls or from a
copy, has no messages, and neither has what was before its start: then all are told ``resync``.
"""

import itertools
import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from configsvc_client.events import Position
from configsvc_client.numbers import dumps, loads

KEPT_BYTES: Final = 8 * 1024 * 1024
MOST_STREAMS: Final = 256
BOOKMARK_EVERY: Final = 15.0
LOOK_EVERY: Final = 2.5
"""So often it is asked whether a stream may go on."""
CATCH_UP: Final = 1.5
RETRY_MILLISECONDS: Final = (1_000, 4_000)
_AROUND: Final = 200

Complete = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Change:
    """One message, and the service in it, in lower case."""

    service: str
    text: str


@dataclass(frozen=True, slots=True)
class Act:
    """All changes of one revision."""

    revision: int
    changes: tuple[Change, ...]

    @property
    def size(self) -> int:
        """Bytes, about."""
        return sum(_AROUND + len(each.text) for each in self.changes)


class News:
    """What was heard since the agent started, at most ``KEPT_BYTES`` of it, for any number of readers.

    ``position`` is how far it is told, and ``readers`` how many there are.
    """

    def __init__(self, position: Position) -> None:
        self.position = position
        self.moved = threading.Condition()
        self.is_over = False
        self.readers = 0
        self.restarts = 0
        self.oldest = position.revision  # every act after it is there
        self._acts: deque[Act] = deque()
        self._size = 0

    def tell(self, position: Position, messages: Sequence[str]) -> None:
        """All that happened up to ``position``: the messages of one revision, or none."""
        act = Act(position.revision, tuple(_change(each) for each in messages))
        with self.moved:
            self.position = position
            if act.changes:
                self._acts.append(act)
                self._size += act.size
            while self._size > KEPT_BYTES:
                gone = self._acts.popleft()
                self._size -= gone.size
                self.oldest = gone.revision
            self.moved.notify_all()

    def restart(self, position: Position) -> None:
        """What happened up to ``position`` is not known: everybody is to read the present state."""
        with self.moved:
            self.position, self.oldest = position, position.revision
            self.restarts += 1
            self._acts.clear()
            self._size = 0
            self.moved.notify_all()

    def close(self) -> None:
        """End all readers."""
        with self.moved:
            self.is_over = True
            self.moved.notify_all()

    def since(self, revision: int) -> list[Act]:
        """The acts after it, in order; for who holds ``moved``."""
        later = itertools.takewhile(lambda act: act.revision > revision, reversed(self._acts))
        return list(later)[::-1]


def _change(text: str) -> Change:
    try:
        return Change(str(json.loads(text)["service"]).lower(), text)
    except (ValueError, KeyError, TypeError, RecursionError):
        return Change("", text)  # about what, it does not say: told to everybody


class Reader:
    """One stream about ``services``. ``complete`` adds to a message what was asked for."""

    def __init__(
        self, news: News, services: frozenset[str], complete: Complete | None = None
    ) -> None:
        self._news, self._services, self._complete = news, services, complete
        self._revision = self._restarts = 0

    def read(self, after: Position | None, check: Callable[[], None]) -> Iterator[bytes]:
        """Server-sent events (WHATWG HTML, section 9.2), until the news are over.

        ``check`` is called before each, and every few seconds; it raises what ends the stream.
        """
        with self._news.moved:
            self._news.readers += 1
        try:
            yield self._begin(after)
            bookmark_at = time.monotonic() + BOOKMARK_EVERY
            while not self._news.is_over:
                piece = self._next(min(bookmark_at - time.monotonic(), LOOK_EVERY))
                check()
                if not piece and time.monotonic() >= bookmark_at:
                    piece = self._bookmark()
                if piece:
                    yield piece
                    bookmark_at = time.monotonic() + BOOKMARK_EVERY
        finally:
            with self._news.moved:
                self._news.readers -= 1

    def _begin(self, after: Position | None) -> bytes:
        """``ready``, then what was missed, or ``resync`` where that is not known."""
        news = self._news
        with news.moved:
            if after is not None:
                news.moved.wait_for(lambda: not _is_ahead(after, news.position), CATCH_UP)
            head = news.position
            self._restarts, self._revision = news.restarts, head.revision
            if after is None:
                return _event("ready", head)
            if after.epoch not in ("", head.epoch) or not (
                news.oldest <= after.revision <= head.revision
            ):
                return _event("ready", head) + _event("resync", head)
            acts = news.since(after.revision)
        missed = b"".join(self._encode(head.epoch, act) for act in acts)
        begun = _event("ready", Position(head.epoch, after.revision))
        return begun + missed + (_bookmark(head) if after.revision < head.revision else b"")

    def _next(self, within: float) -> bytes:
        """What has happened meanwhile, if it is about these services; waits for it so long."""
        news = self._news
        with news.moved:
            if not self._has_news():
                news.moved.wait_for(lambda: news.is_over or self._has_news(), max(within, 0))
            if not self._has_news():
                return b""
            head, is_lost = news.position, self._is_lost()
            acts = [] if is_lost else news.since(self._revision)
            self._restarts, self._revision = news.restarts, head.revision
        if is_lost:
            return _event("resync", head)
        return b"".join(self._encode(head.epoch, act) for act in acts)

    def _is_lost(self) -> bool:
        return self._restarts != self._news.restarts or self._revision < self._news.oldest

    def _has_news(self) -> bool:
        return self._is_lost() or self._revision < self._news.position.revision

    def _bookmark(self) -> bytes:
        """How far this stream is: it has said all up to there."""
        with self._news.moved:
            epoch = self._news.position.epoch
            return b"" if self._is_lost() else _bookmark(Position(epoch, self._revision))

    def _encode(self, epoch: str, act: Act) -> bytes:
        """Its ``changed`` events, of which the last has the ``id``."""
        told = [each for each in act.changes if each.service in ("", *self._services)]
        texts = [self._text(each) for each in told]
        position = f"id: {epoch}-{act.revision}\n"
        return "".join(
            (position if at == len(texts) - 1 else "") + f"event: changed\ndata: {text}\n\n"
            for at, text in enumerate(texts)
        ).encode()

    def _text(self, change: Change) -> str:
        text = change.text
        if self._complete is not None and change.service:
            text = dumps(self._complete(loads(text)))
        return text.replace("\n", "\ndata: ")


def _is_ahead(after: Position, head: Position) -> bool:
    return after.epoch in ("", head.epoch) and after.revision > head.revision


def _bookmark(position: Position) -> bytes:
    return f"id: {position}\n\n".encode()


def _event(kind: str, position: Position) -> bytes:
    """``ready`` or ``resync``, with when to come again, spread over some seconds."""
    retry = random.randint(*RETRY_MILLISECONDS)  # noqa: S311 - spreads clients, guards nothing
    data = json.dumps({"epoch": position.epoch, "revision": position.revision})
    return f"retry: {retry}\nevent: {kind}\ndata: {data}\n\n".encode()
