"""What every reader gives back, and the errors with positions that they share."""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NoReturn

from apps.engine.errors import LimitError, MalformedError, Problem, UnrepresentableError
from apps.engine.values import MAX_DEPTH, MAX_KEY_LENGTH, MAX_NODES, Tree, escape

Place = tuple[int, int]
"""Line and column, both counted from 1."""

BOM: Final = "\ufeff"
MAX_SHOWN: Final = 100
MAX_NAMED: Final = 5
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


class Positions:
    """Where keys stand in the text, worked out when somebody asks.

    A member stands where its key begins, a list's item where the item begins.
    """

    def __init__(self, read: Callable[[], Mapping[str, Place]]) -> None:
        self._read = read

    @cached_property
    def _places(self) -> Mapping[str, Place]:
        return self._read()

    def find(self, pointer: str) -> Place | None:
        """Line and column (from 1) of what a JSON Pointer names, or of what it lies in."""
        while pointer not in self._places:
            if not pointer:
                return None
            pointer = pointer.rpartition("/")[0]
        return self._places[pointer]


NO_POSITIONS: Final = Positions(dict)
"""Of a document that was not written as text."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document and the positions of its keys."""

    tree: Tree
    positions: Positions


class Lines:
    """Turns offsets of a text into lines and columns; ``end`` is what ends a line."""

    def __init__(self, text: str, end: str = "\n") -> None:
        self._starts = [0, *(match.end() for match in re.finditer(end, text))]

    def place(self, offset: int) -> Place:
        """Line and column (from 1) of an offset."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


def decode(content: str | bytes) -> str:
    """The text of ``content`` without its byte order mark.

    Raises :class:`MalformedError` for bytes that are not UTF-8, NUL and lone surrogates.
    """
    text = content if isinstance(content, str) else _decode(content)
    unstorable = _UNSTORABLE.search(text)
    if unstorable is not None:
        refuse("Text may not hold NUL or lone surrogates.", place_of(text, unstorable.start()))
    return text.removeprefix(BOM)


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8").removeprefix(BOM)
        refuse("The text is not UTF-8.", place_of(before, len(before)))


def place_of(text: str, offset: int) -> Place:
    """Line and column of one offset."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def shown(text: str) -> str:
    """``text`` short enough for a message."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def refuse(message: str, place: Place | None, pointer: str = "") -> NoReturn:
    """Raise :class:`MalformedError` at a place."""
    refuse_as(MalformedError(message), place, pointer)


def refuse_as(error: MalformedError, place: Place | None, pointer: str = "") -> NoReturn:
    """Raise an error that did not know its place, at that place."""
    line, column = place or (None, None)
    problem = Problem(pointer, error.code, error.detail, line, column)
    raise type(error)(error.detail, [problem]) from None


def refuse_duplicate(key: str, parent: str, place: Place | None) -> NoReturn:
    """Raise :class:`MalformedError`: the object at ``parent`` has this key already."""
    pointer = f"{parent}/{escape(key)}" if len(key) <= MAX_KEY_LENGTH else parent
    refuse(f"The key '{shown(key)}' stands here twice.", place, pointer)


def refuse_depth(place: Place | None) -> NoReturn:
    """Raise :class:`LimitError`: the nesting is too deep."""
    refuse_limit(f"Nesting is deeper than {MAX_DEPTH} levels.", place)


def refuse_nodes(place: Place | None) -> NoReturn:
    """Raise :class:`LimitError`: there are too many nodes."""
    refuse_limit(f"The document has more than {MAX_NODES} nodes.", place)


def refuse_limit(message: str, place: Place | None) -> NoReturn:
    """Raise :class:`LimitError` at a place."""
    refuse_as(LimitError(message), place)


def refuse_unrepresentable(format_name: str, what: Mapping[str, str]) -> NoReturn:
    """Raise :class:`UnrepresentableError` for the keys (by pointer) and why each cannot be held."""
    problems = [Problem(pointer, "not_representable", why) for pointer, why in what.items()]
    names = ", ".join(shown(pointer) or "the document" for pointer in list(what)[:MAX_NAMED])
    more = f" and {len(what) - MAX_NAMED} more" if len(what) > MAX_NAMED else ""
    raise UnrepresentableError(f"{format_name} cannot hold {names}{more}.", problems)
