"""A linear scan of TOML text: its keys, tables and values with their offsets.

The standard library's parser has no positions and takes quadratic time for long dotted keys, so
limits are kept here before it sees the text. What this scan accepts is a little more than TOML;
what it does not accept is not TOML.
"""

import re
import tomllib
from collections.abc import Iterator
from typing import Final, NamedTuple

from apps.engine.formats.parsed import (
    Lines,
    Place,
    place_of,
    refuse_depth,
    refuse_limit,
    refuse_nodes,
)
from apps.engine.values import MAX_DEPTH, MAX_NODES, escape

MAX_STEPS: Final = 5 * MAX_NODES
# No possessive quantifier after a group that can match in several ways: Python before 3.11.5 gets
# those wrong (gh-106052). Where the ways exclude each other a plain one is as fast.
_SPACE: Final = re.compile(r"[ \t]*+")
_BLANK: Final = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*")
_STEP: Final = re.compile(r"""[A-Za-z0-9_-]++|"(?:[^"\\\n]++|\\[^\n])*"|'[^'\n]*+'""")
_TEXT: Final = re.compile(
    r'"""(?:[^"\\]++|\\[\s\S]|"(?!""))*"""(?:"(?!")|""(?!"))?'
    r"|'''(?:[^']++|'(?!''))*'''(?:'(?!')|''(?!'))?"
    r'|"(?!"")(?:[^"\\\n]++|\\[^\n])*"'
    r"|'(?!'')[^'\n]*+'"
)
_BARE: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9:.]*+(?:[zZ]|[+-][0-9:]*+)?|[^\s,\]}#\"'\[{=]++"
)


class Token(NamedTuple):
    """A part of the text.

    ``kind`` is ``table`` or ``array`` (a header), ``key``, ``value`` (each one, before the tokens
    inside of it), ``[``, ``{`` or ``close``. ``steps`` are a header's or key's, as written.
    """

    kind: str
    offset: int
    steps: tuple[str, ...] = ()


class UnreadableError(Exception):
    """What stands at ``offset`` is not TOML."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


def check_limits(text: str) -> int:
    """The offset of the first fault, or the text's length.

    Raises :class:`LimitError` with line and column for too much nesting, too many nodes and
    dotted keys of too many steps.
    """
    nodes = steps = depth = 0
    try:
        for token in scan(text):
            nodes += token.kind in ("table", "array", "value")
            steps += len(token.steps)
            depth += {"[": 1, "{": 1, "close": -1}.get(token.kind, 0)
            if nodes > MAX_NODES:
                refuse_nodes(place_of(text, token.offset))
            if depth > MAX_DEPTH:
                refuse_depth(place_of(text, token.offset))
            if steps > MAX_STEPS:
                message = f"All keys together have more than {MAX_STEPS} steps."
                refuse_limit(message, place_of(text, token.offset))
    except UnreadableError as error:
        return error.offset
    return len(text)


def places(text: str) -> dict[str, Place]:
    """The place of every key and item by JSON Pointer, of text that is TOML."""
    finder = _Finder(Lines(text))
    for token in scan(text):
        finder.take(token)
    return finder.found


def step_text(step: str) -> str:
    """What a step of a key says, of its written form."""
    if step[0] == '"' and "\\" in step:
        try:
            return str(tomllib.loads(f"a={step}")["a"])
        except tomllib.TOMLDecodeError:
            return step
    return step[1:-1] if step[0] in "\"'" else step


def scan(text: str) -> Iterator[Token]:
    """All tokens in their order.

    Raises :class:`UnreadableError` at the first fault, :class:`LimitError` for a dotted key of
    more than ``MAX_DEPTH`` steps.
    """
    scanner = _Scanner(text)
    while scanner.skip(_BLANK):
        yield from scanner.statement()


class _Finder:
    """Follows the tokens and notes where each pointer begins."""

    def __init__(self, lines: Lines) -> None:
        self.found: dict[str, Place] = {"": (1, 1)}
        self._lines = lines
        self._table = ""
        self._current = ""
        self._counts: dict[str, int] = {}  # the last index of each array of tables
        self._stack: list[tuple[str, int | None]] = []  # open containers; a list's next index

    def take(self, token: Token) -> None:
        """Take the next token."""
        if token.kind in ("table", "array"):
            self._header(token)
        elif token.kind == "key":
            self._current = self._stack[-1][0] if self._stack else self._table
            for step in token.steps:
                self._enter(f"{self._current}/{escape(step_text(step))}", token)
        elif token.kind == "value":
            self._item(token)
        elif token.kind == "close":
            self._stack.pop()
        else:
            self._stack.append((self._current, 0 if token.kind == "[" else None))

    def _enter(self, pointer: str, token: Token) -> None:
        self._current = pointer
        self.found.setdefault(pointer, self._lines.place(token.offset))

    def _item(self, token: Token) -> None:
        pointer, index = self._stack[-1] if self._stack else ("", None)
        if index is not None:
            self._stack[-1] = (pointer, index + 1)
            self._enter(f"{pointer}/{index}", token)

    def _header(self, token: Token) -> None:
        self._current = ""
        for position, step in enumerate(token.steps, start=1):
            self._enter(f"{self._current}/{escape(step_text(step))}", token)
            if token.kind == "array" and position == len(token.steps):
                self._counts[self._current] = self._counts.get(self._current, -1) + 1
            if self._current in self._counts:
                self._enter(f"{self._current}/{self._counts[self._current]}", token)
        self._table = self._current


class _Scanner:
    """A position in the text and what may be taken there."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip(self, pattern: re.Pattern[str]) -> bool:
        """Skip what matches; whether there is more."""
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at < len(self.text)

    def statement(self) -> Iterator[Token]:
        """A header or ``key = value``, to the end of its line."""
        start = self.at
        if self._try("[["):
            yield self._header("array", start, "]]")
        elif self._try("["):
            yield self._header("table", start, "]")
        else:
            yield self._key()
            yield from self._value()
        if self.skip(_SPACE) and self.text[self.at] not in "#\r\n":
            raise UnreadableError(self.at)

    def _header(self, kind: str, start: int, end: str) -> Token:
        self.skip(_SPACE)
        token = Token(kind, start, self._steps())
        self._take(end)
        return token

    def _key(self) -> Token:
        start = self.at
        token = Token("key", start, self._steps())
        self._take("=")
        self.skip(_SPACE)
        return token

    def _steps(self) -> tuple[str, ...]:
        start = self.at
        steps = [self._match(_STEP)]
        self.skip(_SPACE)
        while self._try("."):
            self.skip(_SPACE)
            steps.append(self._match(_STEP))
            self.skip(_SPACE)
            if len(steps) > MAX_DEPTH:
                message = f"A dotted key has more than {MAX_DEPTH} steps."
                refuse_limit(message, place_of(self.text, start))
        return tuple(steps)

    def _value(self) -> Iterator[Token]:
        closers: list[str] = []  # of the containers that are open
        while True:
            if closers and self._blank() and self._try(closers[-1]):  # empty, or a last comma
                closers.pop()
                yield Token("close", self.at)
            else:
                if closers and closers[-1] == "}":
                    yield self._key()
                yield Token("value", self.at)
                opened = self.text[self.at : self.at + 1]
                if self._try("[") or self._try("{"):
                    closers.append("]" if opened == "[" else "}")
                    yield Token(opened, self.at - 1)
                    continue
                self._match(_TEXT if opened in ('"', "'") else _BARE)
            while closers and self._blank() and not self._try(","):
                self._take(closers.pop())
                yield Token("close", self.at)
            if not closers:
                return

    def _blank(self) -> bool:
        self.skip(_BLANK)
        return True

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise UnreadableError(self.at)
        self.at = match.end()
        return match.group()

    def _try(self, lexeme: str) -> bool:
        found = self.text.startswith(lexeme, self.at)
        self.at += len(lexeme) if found else 0
        return found

    def _take(self, lexeme: str) -> None:
        if not self._try(lexeme):
            raise UnreadableError(self.at)
