"""TOML 1.0: read by the standard library's tomllib, written by tomlkit.

Dates and times become RFC 3339 text, because JSON has none. Dotted keys and nesting are counted
before parsing: tomllib takes quadratic time for long dotted keys.
"""

import datetime
import re
import tomllib
from collections.abc import Iterator
from typing import Any, NoReturn

import tomlkit
from tomlkit.items import Float, Trivia

from apps.engine.errors import MalformedError
from apps.engine.formats.parsed import (
    Lines,
    Parsed,
    Place,
    Positions,
    refuse,
    refuse_depth,
    refuse_limit,
    refuse_unrepresentable,
)
from apps.engine.paths import leaves, pointer
from apps.engine.values import MAX_DEPTH, Number, Tree, escape, number

_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?(?:"""|\Z)'
    r"|'''.*?(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\.)*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+"
    r"|[A-Za-z0-9_-]++"
    r"|[ \t]++"
    r"|.",
    re.DOTALL,
)
_WHERE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_LINE = re.compile(
    r"[ \t]*(?:(\[\[?)[ \t]*(.+?)[ \t]*\]\]?[ \t]*(?:#.*)?|([^=#\n\[][^=#\n]*?)[ \t]*=.*)$"
)
_STEP = re.compile(r"\s*(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|([A-Za-z0-9_-]+))\s*(?:\.|$)")
_SPECIAL = ("inf", "nan")
_LARGEST = 2**63


def parse(text: str) -> Parsed:
    """Read a TOML document; an empty one is an empty object."""
    _check_limits(text)
    try:
        tree = tomllib.loads(text.replace("\r\n", "\n"), parse_float=_number)
    except tomllib.TOMLDecodeError as error:
        _refuse(text, str(error))
    except MalformedError as error:
        refuse(error.detail, None)
    except ValueError:
        refuse_limit("A number has too many digits.", None)
    return Parsed(_plain(tree), Positions(lambda: _places(text)))


def render(tree: Tree) -> str:
    """TOML with a table for each object.

    Raises :class:`UnrepresentableError` for null, ``-0`` and integers beyond 64 bits.
    """
    if not isinstance(tree, dict):
        refuse_unrepresentable("TOML", {"": "A TOML document is an object."})
    bad = {pointer(path): why for path, leaf in leaves(tree) if (why := _why_not(leaf)) is not None}
    if bad:
        refuse_unrepresentable("TOML", bad)
    return tomlkit.dumps(_items(tree))


def _why_not(leaf: Tree) -> str | None:
    if leaf is None:
        return "There is no null in TOML."
    if isinstance(leaf, Number) and leaf.literal == "-0":
        return "There is no integer -0 in TOML."
    beyond = isinstance(leaf, int) and not -_LARGEST <= leaf < _LARGEST
    return "TOML's integers have 64 bits." if beyond else None


def _items(tree: Tree) -> Any:
    """Plain values for tomlkit, numbers with their own digits."""
    if isinstance(tree, dict):
        return {key: _items(child) for key, child in tree.items()}
    if isinstance(tree, list):
        return [_items(child) for child in tree]
    if isinstance(tree, (Number, float)):
        return Float(float(tree), Trivia(), repr(tree))
    return tree


def _number(literal: str) -> Tree:
    text = literal.replace("_", "").removeprefix("+")
    if text.lstrip("-") in _SPECIAL:
        raise MalformedError("NaN and infinity are not JSON numbers.")
    return number(text)


def _plain(tree: Any) -> Tree:
    if isinstance(tree, dict):
        return {key: _plain(child) for key, child in tree.items()}
    if isinstance(tree, list):
        return [_plain(child) for child in tree]
    if isinstance(tree, datetime.datetime):
        return tree.isoformat().replace("+00:00", "Z")
    return tree.isoformat() if isinstance(tree, (datetime.date, datetime.time)) else tree


def _check_limits(text: str) -> None:
    dots, brackets = text.count("."), text.count("[") + text.count("{")
    if max(dots, brackets) <= MAX_DEPTH:
        return
    depth = segments = 0
    for match in _TOKEN.finditer(text):
        lexeme = match.group()
        if lexeme in "[{":
            depth += 1
        elif lexeme in "]}":
            depth -= 1
        segments = _segments(segments, lexeme)
        if depth > MAX_DEPTH:
            refuse_depth(Lines(text).place(match.start()))
        if segments > MAX_DEPTH:
            place = Lines(text).place(match.start())
            refuse_limit(f"A dotted key has more than {MAX_DEPTH} steps.", place)


def _segments(count: int, lexeme: str) -> int:
    """How many dots the dotted key that ``lexeme`` goes on has so far."""
    if lexeme == ".":
        return count + 1
    keeps = lexeme[0] in " \t\"'" or lexeme[0].isalnum() or lexeme[0] in "_-"
    return count if keeps else 0


def _refuse(text: str, message: str) -> NoReturn:
    match = _WHERE.search(message)
    what = message[: match.start()] if match else message
    if match and match.group(1):
        refuse(f"This is not TOML: {what}.", (int(match.group(1)), int(match.group(2))))
    refuse(f"This is not TOML: {what}.", Lines(text).place(len(text)))


def _places(text: str) -> dict[str, Place]:
    """The places of keys, line by line; arrays of tables count their items."""
    found: dict[str, Place] = {"": (1, 1)}
    table = ""
    counts: dict[str, int] = {}
    for number_, line in enumerate(text.splitlines(), start=1):
        match = _LINE.match(line)
        if match is None:
            continue
        column = len(line) - len(line.lstrip()) + 1
        bracket, header, key = match.groups()
        if bracket:
            table = _table_pointer(header, bracket, counts)
            found.setdefault(table, (number_, column))
            continue
        place = table
        for step in _key_steps(key):
            place = f"{place}/{escape(step)}"
            found.setdefault(place, (number_, column))
    return found


def _table_pointer(header: str, bracket: str, counts: dict[str, int]) -> str:
    place = ""
    for step in _key_steps(header):
        place = f"{place}/{escape(step)}"
        if place in counts and not (bracket == "[[" and place.endswith(f"/{escape(step)}")):
            place = f"{place}/{counts[place]}"
    if bracket == "[[":
        counts[place] = counts.get(place, -1) + 1
        place = f"{place}/{counts[place]}"
    return place


def _key_steps(text: str) -> Iterator[str]:
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            return
        yield next(group for group in match.groups() if group is not None)
        position = match.end()
