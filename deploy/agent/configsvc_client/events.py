"""Server-sent events (WHATWG HTML, section 9.2.6), and the positions that their ids are."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_EVENT: Final = 16 * 1024 * 1024

_LINE_END: Final = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Position:
    """A revision of an epoch; as text ``EPOCH-REVISION``."""

    epoch: str
    revision: int

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Raises :class:`ValueError`."""
        epoch, _dash, revision = text.rpartition("-")
        if not (epoch and revision.isascii() and revision.isdigit()):
            raise ValueError(f"This is no EPOCH-REVISION: {text[:80]}")
        return cls(epoch, int(revision))

    def __str__(self) -> str:
        return f"{self.epoch}-{self.revision}"


@dataclass(frozen=True, slots=True)
class Event:
    """One block of a stream. ``id`` is empty without an id line, ``kind`` is for one without data."""

    kind: str
    data: str
    id: str


class EventReader:
    """Turns bytes, cut anywhere, into events; an event without its closing blank line is dropped.

    ``retry`` is the last reconnection time that the stream gave, in seconds.
    """

    def __init__(self) -> None:
        self.retry: float | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._rest = ""
        self._after_return = False
        self._size = 0
        self._begin()

    def _begin(self) -> None:
        self._kind, self._id, self._size = "", "", 0
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that ``chunk`` completes. Raises :class:`ValueError` for an endless one."""
        text = self._decoder.decode(chunk)
        if not text:
            return
        if self._after_return:
            text = text.removeprefix("\n")
        self._after_return = text.endswith("\r") if text else False
        *lines, self._rest = _LINE_END.split(self._rest + text)
        for line in lines:
            event = self._take(line)
            if event is not None:
                yield event
        if self._size + len(self._rest) > MAX_EVENT:
            raise ValueError("An event is too long.")

    def _take(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        self._size += len(line)
        name, _colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._kind = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value[:9]) / 1000
        return None

    def _dispatch(self) -> Event | None:
        event = None
        if self._data:
            event = Event(self._kind or "message", "\n".join(self._data), self._id)
        elif self._id:
            event = Event("", "", self._id)
        self._begin()
        return event
