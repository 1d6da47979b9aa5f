"""JSON (RFC 8259), with duplicate keys refused and the digits of numbers kept."""

import json
import re
from collections.abc import Iterator
from typing import Any

from apps.engine.errors import MalformedError
from apps.engine.formats.parsed import (
    Lines,
    Parsed,
    Place,
    Positions,
    place_of,
    refuse,
    refuse_as,
    refuse_depth,
    refuse_duplicate,
    refuse_nodes,
)
from apps.engine.values import MAX_DEPTH, MAX_NODES, Number, Tree, escape, number

_STRING = r'"(?:[^"\\]++|\\.)*(?:"|\\?\Z)'
_TOKEN = re.compile(rf'{_STRING}|[\[\]{{}},:]|[^\s"\[\]{{}},:]++', re.DOTALL)
_BRACKETS = re.compile(rf"{_STRING}|[\[\]{{}}]", re.DOTALL)
_INDENT = "  "


class _DuplicateKeyError(Exception):
    """Two members of one object have the same name."""


def parse(text: str) -> Parsed:
    """Read one JSON value."""
    _check_limits(text)
    try:
        tree = json.loads(
            text,
            object_pairs_hook=_members,
            parse_int=number,
            parse_float=number,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        refuse(f"This is not JSON: {error.msg}.", (error.lineno, error.colno))
    except _DuplicateKeyError:
        _places(text, refuse_duplicates=True)
        raise
    except MalformedError as error:
        refuse_as(error, _bad_number(text))
    return Parsed(tree, Positions(lambda: _places(text)))


def render(tree: Tree, indent: str = _INDENT) -> str:
    """Pretty JSON that ends with a newline; members keep their order."""
    pieces: list[str] = []
    _write(tree, indent, "\n", pieces)
    return "".join(pieces) + "\n"


def _members(pairs: list[tuple[str, Tree]]) -> dict[str, Tree]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _DuplicateKeyError
    return members


def _refuse_constant(_name: str) -> Tree:
    raise MalformedError("NaN and infinity are not JSON numbers.")


def _check_limits(text: str) -> None:
    """Refuse early what would take the parser's time or stack; a text that is small passes."""
    opened = text.count("[") + text.count("{")
    if max(opened, text.count(",")) <= MAX_NODES and _depth(text, opened) <= MAX_DEPTH:
        return
    depth = 0
    counts = {"containers": 0, ",": 0}  # either is at most the number of nodes
    for offset, lexeme in _tokens(text):
        if lexeme in "[{":
            depth += 1
            counts["containers"] += 1
        elif lexeme in "]}":
            depth -= 1
        elif lexeme == ",":
            counts[","] += 1
        if depth > MAX_DEPTH:
            refuse_depth(place_of(text, offset))
        if max(counts.values()) > MAX_NODES:
            refuse_nodes(place_of(text, offset))


def _depth(text: str, opened: int) -> int:
    """How deep containers stand in one another, or more, told in a part of a whole scan's time."""
    if opened <= MAX_DEPTH:
        return opened
    depth = deepest = 0
    for lexeme in _BRACKETS.findall(text):
        if lexeme in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif lexeme in "]}":
            depth -= 1
    return deepest


def _bad_number(text: str) -> Place | None:
    for match in _TOKEN.finditer(text):
        lexeme = match.group()
        if lexeme[0] in '"[]{},:' or lexeme in ("true", "false", "null"):
            continue
        try:
            number(lexeme)
        except MalformedError:
            return place_of(text, match.start())
    return None


def _places(text: str, *, refuse_duplicates: bool = False) -> dict[str, Place]:
    """Every key's place, by pointer, from a scan of well-formed text."""
    lines = Lines(text)
    found: dict[str, Place] = {"": (1, 1)}
    stack: list[tuple[str, Any]] = []  # the pointer of each open container, and its next step
    for offset, lexeme in _tokens(text):
        if not stack or lexeme == ":":
            stack = stack or ([("", 0 if lexeme == "[" else None)] if lexeme in "[{" else [])
            continue
        pointer, step = stack[-1]
        if lexeme in "]}":
            stack.pop()
        elif lexeme == ",":
            stack[-1] = (pointer, step + 1 if isinstance(step, int) else None)
        elif step is None:  # a member's name
            step = json.loads(lexeme)
            place = f"{pointer}/{escape(step)}"
            if refuse_duplicates and place in found:
                refuse_duplicate(step, pointer, lines.place(offset))
            found[place] = lines.place(offset)
            stack[-1] = (pointer, step)
        else:
            place = f"{pointer}/{escape(step)}"
            found.setdefault(place, lines.place(offset))
            if lexeme in "[{":
                stack.append((place, 0 if lexeme == "[" else None))
    return found


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    for match in _TOKEN.finditer(text):
        yield match.start(), match.group()


def _write(tree: Tree, indent: str, newline: str, pieces: list[str]) -> None:
    inner = newline + indent
    if isinstance(tree, dict) and tree:
        separator = "{"
        for key, child in tree.items():
            pieces.append(f"{separator}{inner}{json.dumps(key, ensure_ascii=False)}: ")
            _write(child, indent, inner, pieces)
            separator = ","
        pieces.append(f"{newline}}}")
    elif isinstance(tree, list) and tree:
        separator = "["
        for child in tree:
            pieces.append(separator + inner)
            _write(child, indent, inner, pieces)
            separator = ","
        pieces.append(f"{newline}]")
    elif isinstance(tree, Number):
        pieces.append(tree.literal)
    else:
        pieces.append(json.dumps(tree, ensure_ascii=False))
