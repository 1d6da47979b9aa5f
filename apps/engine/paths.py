"""Key paths (``settings.hosts[0]``, ``settings["a.b"]``), JSON Pointers, and globs over them."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from apps.engine.errors import LimitError, MalformedError, Problem
from apps.engine.values import MAX_DEPTH, Tree, escape

Path = tuple[str | int, ...]


class Name(str):
    """A step that is a name without regard to case, as those of secrets are."""

    __slots__ = ()


States = frozenset[int]

MAX_TEXT: Final = 20_000
MAX_GLOBS: Final = 100
MAX_GLOB_STEPS: Final = 1_000

_PLAIN = re.compile(r"[^.\[\]\"\\\s*][^.\[\]\"\\*]*")
_INDEX = re.compile(r"\[([0-9]{1,9})\]")
_QUOTED = re.compile(r'\["((?:[^"\\]|\\.)*)"\]')
_BARE = re.compile(r"[^.\[\]\"\\]+")
_ESCAPED = re.compile(r"\\(.)")
_ANY_INDEX = re.compile(r"\[\*\]")


def parse_path(text: str) -> Path:
    """The steps of a dotted path; after ``$secret`` comes a name in any case.

    Raises :class:`MalformedError` with the column.
    """
    steps = [step for step, _quoted in _steps(text)]
    if steps[0] == "$secret" and len(steps) > 1:
        steps[1] = Name(steps[1])
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


def outermost_list(path: Path) -> Path:
    """The path of the outermost list that ``path`` goes through, else itself."""
    through = (at for at, step in enumerate(path) if isinstance(step, int))
    return path[: next(through, len(path))]


def find(tree: Tree, path: Path) -> tuple[bool, Tree]:
    """Whether ``path`` exists in ``tree``, and what is there."""
    node = tree
    for step in path:
        if isinstance(node, dict):
            if step not in node:
                return False, None
        elif not (isinstance(node, list) and isinstance(step, int) and 0 <= step < len(node)):
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

    Text and index steps are matched by their text, so ``hosts.*`` and ``hosts[*]`` are the same;
    what stands in ``["…"]`` is taken literally. Raises :class:`MalformedError` with the column.
    A walk over a tree that asks at every node goes on from its parent's ``States`` (``begin``,
    ``advance``, ``ends``) in place of asking ``covers`` from the root each time.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._steps = [_pattern(step, quoted) for step, quoted in _steps(text)]
        self._reach: list[States] = [frozenset({len(self._steps)})]
        for state in range(len(self._steps) - 1, -1, -1):  # `**` may take no step at all
            skips = self._reach[0] if self._steps[state] is None else frozenset()
            self._reach.insert(0, skips | {state})

    def __len__(self) -> int:
        """How many steps the pattern is made of."""
        return len(self._steps)

    @property
    def words(self) -> set[str]:
        """The pieces of names that it asks for."""
        return {part for step in self._steps if step is not None for part in step if part}

    def matches(self, path: Path) -> bool:
        """Whether the pattern is about ``path`` itself."""
        states = self.begin()
        for step in path:
            states = self.advance(states, step)
        return self.ends(states)

    def covers(self, path: Path) -> bool:
        """Whether it is about ``path`` or about something that ``path`` lies in."""
        return self.ends(self._until(path))

    def reaches(self, path: Path) -> bool:
        """Whether it covers ``path``, or may be about something inside of it."""
        return bool(self._until(path))

    def reaches_items(self, path: Path) -> bool:
        """Whether it covers ``path``, or may be about something inside of a list there."""
        states = self._until(path)
        return self.ends(states) or bool(self.advance(states, None))

    def _until(self, path: Path) -> States:
        """The states at ``path``, or at the first step on the way there that it is about."""
        states = self.begin()
        for step in path:
            if not states or self.ends(states):
                break
            states = self.advance(states, step)
        return states

    def begin(self) -> States:
        """How much of the pattern may be used up at the root."""
        return self._reach[0]

    def advance(self, states: States, step: str | int | None) -> States:
        """The same one step further down; empty when nothing there can match any more.

        ``None`` is a step to any of a list's items.
        """
        text = str(step)
        moved: set[int] = set()
        for state in states:
            if state == len(self._steps):
                continue
            pattern = self._steps[state]
            if pattern is None:
                moved |= self._reach[state]
            elif (
                _fits_some_index(pattern)
                if step is None
                else _fits(pattern, text)
                or (isinstance(step, Name) and _fits_in_any_case(pattern, text))
            ):
                moved |= self._reach[state + 1]
        return frozenset(moved)

    def ends(self, states: States) -> bool:
        """Whether the whole pattern may be used up: the place matches."""
        return len(self._steps) in states


class Moved(Glob):
    """What a pattern is about at ``source``, and inside of it, at ``path``.

    A value that is taken from elsewhere is guarded as it is there.
    """

    def __init__(self, pattern: Glob, source: Path, path: Path) -> None:
        super().__init__(pattern.text)
        self._path = [str(step) for step in path]
        self._there = pattern.begin()
        for step in source:
            if pattern.ends(self._there):
                break
            self._there = pattern.advance(self._there, step)

    def begin(self) -> States:
        """See :class:`Glob`. The states on the way to ``path`` come first."""
        return self._arrived() if not self._path else frozenset({0})

    def advance(self, states: States, step: str | int | None) -> States:
        """See :class:`Glob`."""
        length = len(self._path)
        moved: set[int] = set()
        for state in states:
            if state < length:
                if (
                    self._path[state].isdecimal()
                    if step is None
                    else self._path[state] == str(step)
                ):
                    moved |= self._arrived() if state + 1 == length else {state + 1}
            else:
                inside = super().advance(frozenset({state - length}), step)
                moved |= {length + each for each in inside}
        return frozenset(moved)

    def ends(self, states: States) -> bool:
        """See :class:`Glob`."""
        length = len(self._path)
        return super().ends(frozenset(each - length for each in states if each >= length))

    def _arrived(self) -> States:
        return frozenset(len(self._path) + each for each in self._there)


def parse_globs(texts: Sequence[str]) -> list[Glob]:
    """The patterns of a request. Raises :class:`MalformedError` for one that is none, and
    :class:`LimitError` above ``MAX_GLOBS`` patterns or ``MAX_GLOB_STEPS`` steps together, which
    bounds the time that matching takes.
    """
    globs = [Glob(text) for text in texts[: MAX_GLOBS + 1]]
    if len(globs) > MAX_GLOBS or sum(map(len, globs)) > MAX_GLOB_STEPS:
        raise LimitError(
            f"Give at most {MAX_GLOBS} key patterns, with {MAX_GLOB_STEPS} steps together."
        )
    return globs


def select(tree: Tree, globs: Sequence[Glob]) -> Tree:
    """What the globs cover, with the objects and lists around it; the rest is left out."""
    found, kept = _select(tree, [(glob, glob.begin()) for glob in globs])
    return kept if found else {}


def _select(tree: Tree, states: Sequence[tuple[Glob, States]]) -> tuple[bool, Tree]:
    if any(glob.ends(state) for glob, state in states):
        return True, tree
    if not states or not isinstance(tree, (dict, list)):
        return False, None
    kept = []
    for step, child in tree.items() if isinstance(tree, dict) else enumerate(tree):
        moved = ((glob, glob.advance(state, step)) for glob, state in states)
        found, part = _select(child, [(glob, state) for glob, state in moved if state])
        if found:
            kept.append((step, part))
    return bool(kept), dict(kept) if isinstance(tree, dict) else [part for _step, part in kept]


def _steps(text: str) -> list[tuple[Any, bool]]:
    if not text or len(text) > MAX_TEXT:
        raise _malformed(1)
    steps: list[tuple[Any, bool]] = []
    position = 0
    while position < len(text):
        if text[position] == "[":
            match, step, quoted = _bracket(text, position)
        else:
            start = position + (text[position] == "." and position > 0)
            match = _BARE.match(text, start) if start == 0 or start > position else None
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
    return (str(step),) if quoted else tuple(re.split(r"\*+", str(step)))


def _fits_in_any_case(parts: tuple[str, ...], text: str) -> bool:
    return _fits(tuple(each.lower() for each in parts), text.lower())


def _fits_some_index(parts: tuple[str, ...]) -> bool:
    return all(not part or part.isdecimal() for part in parts)


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
