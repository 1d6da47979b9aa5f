"""What every reader gives back, and the errors with positions that they share."""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

from apps.engine.errors import LimitError, MalformedError, Problem, UnrepresentableError
from apps.engine.values import MAX_DEPTH, Tree

Place = tuple[int, int]
BOM = "\ufeff"


class Positions:
    """Where keys stand in the text, worked out when somebody asks."""

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


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document and the positions of its keys."""

    tree: Tree
    positions: Positions


class Lines:
    """Turns offsets of a text into lines and columns."""

    def __init__(self, text: str) -> None:
        self._starts = [0]
        self._starts += [index + 1 for index, char in enumerate(text) if char == "\n"]

    def place(self, offset: int) -> Place:
        """Line and column (from 1) of an offset."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


def decode(content: str | bytes) -> str:
    """The text of ``content`` without its byte order mark. Raises :class:`MalformedError`."""
    if isinstance(content, str):
        return content.removeprefix(BOM)
    try:
        return content.decode("utf-8").removeprefix(BOM)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        refuse("The text is not UTF-8.", Lines(before).place(len(before)))


def refuse(message: str, place: Place | None, pointer: str = "") -> NoReturn:
    """Raise :class:`MalformedError` at a place."""
    line, column = place or (None, None)
    raise MalformedError(message, [Problem(pointer, "malformed", message, line, column)])


def refuse_depth(place: Place | None) -> NoReturn:
    """Raise :class:`LimitError`: the nesting is too deep."""
    refuse_limit(f"Nesting is deeper than {MAX_DEPTH} levels.", place)


def refuse_limit(message: str, place: Place | None) -> NoReturn:
    """Raise :class:`LimitError` at a place."""
    line, column = place or (None, None)
    raise LimitError(message, [Problem("", "limit", message, line, column)])


def refuse_unrepresentable(format_name: str, what: Mapping[str, str]) -> NoReturn:
    """Raise :class:`UnrepresentableError` for the keys (by pointer) and why each cannot be held."""
    problems = [Problem(pointer, "not_representable", why) for pointer, why in what.items()]
    names = ", ".join(pointer or "the document" for pointer in list(what)[:5])
    more = f" and {len(what) - 5} more" if len(what) > 5 else ""  # noqa: PLR2004 - five are shown
    raise UnrepresentableError(f"{format_name} cannot hold {names}{more}.", problems)
