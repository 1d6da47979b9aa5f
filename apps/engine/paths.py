"""Key paths (``settings.hosts[0]``, ``settings["a.b"]``), JSON Pointers, and globs over them."""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from apps.engine.errors import MalformedError, Problem
from apps.engine.values import MAX_DEPTH, Tree, escape

Path = tuple[str | int, ...]

_PLAIN = re.compile(r"[^.\[\]\"\\\s*][^.\[\]\"\\*]*")
_INDEX = re.compile(r"\[(\d{1,9})\]")
_QUOTED = re.compile(r'\["((?:[^"\\]|\\.)*)"\]')
_BARE_GLOB = re.compile(r"[^.\[\]\"\\]+")
_ESCAPED = re.compile(r"\\(.)")
_ANY_INDEX = re.compile(r"\[\*\]")
MAX_TEXT = 20_000


def parse_path(text: str) -> Path:
    """The steps of a dotted path. Raises :class:`MalformedError` with the column."""
    steps = [step for step, _quoted in _steps(text, _BARE_GLOB)]
    return tuple(steps)


def format_path(path: Path) -> str:
    """The dotted text of ``path``; names that would be misread stand in ``["…"]``."""
    pieces: list[str] = []
    for step in path:
        if isinstance(step, int):
            pieces.append(f"[{step}]")
        elif _PLAIN.fullmatch(step) and step == step.strip():
            pieces.append(f".{step}" if pieces else step)
        else:
            quoted = step.replace("\\", "\\\\").replace('"', '\\"')
            pieces.append(f'["{quoted}"]')
    return "".join(pieces)


def pointer(path: Path) -> str:
    """``path`` as a JSON Pointer (RFC 6901)."""
    return "".join(f"/{escape(step)}" for step in path)


def from_pointer(text: str) -> Path:
    """The steps of a JSON Pointer, all as text. Raises :class:`MalformedError`."""
    if text == "":
        return ()
    if not text.startswith("/") or re.search(r"~(?![01])", text):
        raise MalformedError("This is not a JSON Pointer (RFC 6901).")
    return tuple(s.replace("~1", "/").replace("~0", "~") for s in text[1:].split("/"))


def find(tree: Tree, path: Path) -> tuple[bool, Tree]:
    """Whether ``path`` exists in ``tree``, and what is there."""
    node = tree
    for step in path:
        if isinstance(node, dict):
            if step not in node:
                return False, None
        elif not (isinstance(node, list) and isinstance(step, int) and step < len(node)):
            return False, None
        node = node[step]
    return True, node


def leaves(tree: Tree, path: Path = ()) -> Iterator[tuple[Path, Tree]]:
    """Every scalar and every empty container with its path, list items by their index."""
    if isinstance(tree, dict) and tree:
        for key, child in tree.items():
            yield from leaves(child, (*path, key))
    elif isinstance(tree, list) and tree:
        for index, child in enumerate(tree):
            yield from leaves(child, (*path, index))
    else:
        yield path, tree


class Glob:
    """A pattern over paths: ``*`` is one step (or part of one, ``db_*``), ``**`` any number.

    Text and index steps are matched by their text, so ``hosts.*`` and ``hosts[*]`` are the same.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._steps = [_pattern(step, quoted) for step, quoted in _steps(text, _BARE_GLOB)]

    def matches(self, path: Path) -> bool:
        """Whether the pattern is about ``path`` itself."""
        return len(path) in self._ends(path)

    def covers(self, path: Path) -> bool:
        """Whether it is about ``path`` or about something that ``path`` lies in."""
        return bool(self._ends(path))

    def reaches_into(self, path: Path) -> bool:
        """Whether something under ``path`` could match."""
        return bool(self._states(path)) or self.covers(path)

    @cached_property
    def _final(self) -> int:
        return len(self._steps)

    def _ends(self, path: Path) -> set[int]:
        """How many steps of ``path`` a complete match may take."""
        states = self._close({0})
        ends = {0} if self._final in states else set()
        for taken, step in enumerate(path, start=1):
            states = self._advance(states, str(step))
            if self._final in states:
                ends.add(taken)
        return ends

    def _states(self, path: Path) -> set[int]:
        states = self._close({0})
        for step in path:
            states = self._advance(states, str(step))
        return states

    def _advance(self, states: set[int], step: str) -> set[int]:
        moved = set()
        for state in states:
            if state == self._final:
                continue
            pattern = self._steps[state]
            if pattern is None:
                moved.add(state)
            elif _fits(pattern, step):
                moved.add(state + 1)
        return self._close(moved)

    def _close(self, states: set[int]) -> set[int]:
        waiting = list(states)
        while waiting:
            state = waiting.pop()
            skips = state < self._final and self._steps[state] is None
            if skips and state + 1 not in states:
                states.add(state + 1)
                waiting.append(state + 1)
        return states


def select(tree: Tree, globs: Sequence[Glob]) -> Tree:
    """What the globs cover, with the objects and lists around it; the rest is left out."""
    found, kept = _select(tree, (), globs)
    return kept if found else {}


def _select(tree: Tree, path: Path, globs: Sequence[Glob]) -> tuple[bool, Tree]:
    if any(glob.covers(path) for glob in globs):
        return True, tree
    if isinstance(tree, dict):
        parts = ((key, _select(child, (*path, key), globs)) for key, child in tree.items())
        kept = {key: child for key, (found, child) in parts if found}
        return bool(kept), kept
    if isinstance(tree, list):
        items = [_select(child, (*path, i), globs) for i, child in enumerate(tree)]
        return any(found for found, _ in items), [child for found, child in items if found]
    return False, None


def _steps(text: str, bare: re.Pattern[str]) -> list[tuple[Any, bool]]:
    if not text or len(text) > MAX_TEXT:
        raise _malformed(1)
    steps: list[tuple[Any, bool]] = []
    position = 0
    while position < len(text):
        if text[position] == "[":
            match, step, quoted = _bracket(text, position)
        else:
            start = position + (text[position] == "." and position > 0)
            match = bare.match(text, start) if start == 0 or start > position else None
            step, quoted = (match.group() if match else None), False
        if match is None:
            raise _malformed(position + 1)
        steps.append((step, quoted))
        position = match.end()
    if len(steps) > MAX_DEPTH * 2:
        raise _malformed(1)
    return steps


def _bracket(text: str, position: int) -> tuple[re.Match[str] | None, Any, bool]:
    index = _INDEX.match(text, position)
    if index:
        return index, int(index.group(1)), True
    quoted = _QUOTED.match(text, position)
    if quoted:
        return quoted, _ESCAPED.sub(r"\1", quoted.group(1)), True
    return _ANY_INDEX.match(text, position), "*", False


def _pattern(step: str | int, quoted: bool) -> tuple[str, ...] | None:
    """The literal parts between the stars of one step; ``None`` for ``**``."""
    if step == "**" and not quoted:
        return None
    return (str(step),) if quoted and step != "*" else tuple(re.split(r"\*+", str(step)))


def _fits(parts: tuple[str, ...], text: str) -> bool:
    """Whether the parts stand in ``text`` in order, first and last at its ends: linear time."""
    if len(parts) == 1:
        return text == parts[0]
    first, *middle, last = parts
    if not (text.startswith(first) and text.endswith(last)):
        return False
    position, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return position <= end


def _malformed(column: int) -> MalformedError:
    message = 'A key path is written settings.db.pool, hosts[0] or settings["a.b"].'
    return MalformedError(message, [Problem("", "path", message, 1, column)])
