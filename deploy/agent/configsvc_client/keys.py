"""Key paths (``settings.hosts[0]``, ``settings["a.b"]``), patterns over them, and what changed."""

import itertools
import re
from collections.abc import Iterator
from typing import Any, Final

Path = tuple[str | int, ...]

_STEP: Final = re.compile(
    r'(?P<name>[^.\[\]"\\]+)|\[(?P<index>[0-9]{1,9})\]|\["(?P<quoted>(?:[^"\\]|\\.)*)"\]|\[(?P<any>\*)\]'
)
_ESCAPED: Final = re.compile(r"\\(.)")
_MISSING: Final = object()


def parse(text: str) -> Path:
    """The steps of a key path; an empty text is the whole document. Raises :class:`ValueError`."""
    return tuple(_literal(step, text) for step in _steps(text))


def find(document: Any, path: Path) -> tuple[bool, Any]:
    """Whether ``path`` exists in ``document``, and what is there."""
    node = document
    for step in path:
        if isinstance(node, dict):
            if step not in node:
                return False, None
        elif not (isinstance(node, list) and isinstance(step, int) and step < len(node)):
            return False, None
        node = node[step]
    return True, node


def own(value: Any) -> Any:
    """A copy of a JSON value that the caller may change."""
    if isinstance(value, dict):
        return {key: own(child) for key, child in value.items()}
    return [own(child) for child in value] if isinstance(value, list) else value


def changes(old: Any, new: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every scalar and empty container that differs; ``1`` and ``true`` differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            yield from changes(old.get(key, _MISSING), new.get(key, _MISSING), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index, (was, now) in enumerate(itertools.zip_longest(old, new, fillvalue=_MISSING)):
            yield from changes(was, now, (*path, index))
    elif type(old) is not type(new) or old != new:
        yield from _leaves(old, path)
        yield from _leaves(new, path)


class Pattern:
    """A glob over paths: ``*`` is one step or part of one (``db_*``), ``**`` any number of steps.

    A pattern that matches an object or list is about everything in it. What stands in ``["…"]`` is
    taken as it is. Raises :class:`ValueError` for a text that is none.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._steps = [_matcher(step) for step in _steps(text)]

    def covers(self, path: Path) -> bool:
        """Whether it matches ``path``, or something that ``path`` lies in."""
        end = len(self._steps)
        states = self._reach({0})
        for step in path:
            if end in states:
                return True
            states = self._reach(self._advance(states, str(step)))
        return end in states

    def _advance(self, states: set[int], step: str) -> set[int]:
        moved = set()
        for state in states:
            matcher = self._steps[state]
            if matcher is None:
                moved.add(state)
            elif matcher.fullmatch(step):
                moved.add(state + 1)
        return moved

    def _reach(self, states: set[int]) -> set[int]:
        """``**`` may also take no step at all."""
        reached = set(states)
        for state in range(len(self._steps)):
            if state in reached and self._steps[state] is None:
                reached.add(state + 1)
        return reached


def _steps(text: str) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(text):
        dotted = position > 0 and text[position] == "."
        match = _STEP.match(text, position + dotted)
        named = match is not None and match["name"] is not None
        if match is None or (dotted and not named) or (named and position > 0 and not dotted):
            raise ValueError(f"This is no key, at column {position + 1}: {text}")
        yield match
        position = match.end()


def _literal(step: re.Match[str], text: str) -> str | int:
    if step["any"]:
        raise ValueError(f"A pattern, where one key is needed: {text}")
    return int(step["index"]) if step["index"] else _name(step)


def _name(step: re.Match[str]) -> str:
    return step["name"] if step["quoted"] is None else _ESCAPED.sub(r"\1", step["quoted"])


def _matcher(step: re.Match[str]) -> re.Pattern[str] | None:
    if step["name"] == "**":
        return None
    if step["quoted"] is not None:
        return re.compile(re.escape(_name(step)), re.DOTALL)
    text = step["name"] or step["index"] or step["any"]
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)


def _leaves(value: Any, path: Path) -> Iterator[Path]:
    if value is _MISSING:
        return
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from _leaves(child, (*path, key))
    elif isinstance(value, list) and value:
        for index, child in enumerate(value):
            yield from _leaves(child, (*path, index))
    else:
        yield path
