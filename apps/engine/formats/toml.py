"""TOML 1.0, read by the standard library's tomllib within limits that keep its time linear.

Dates and times become RFC 3339 text, because JSON has none. Integers have 64 bits, as TOML says.
"""

import contextlib
import datetime
import re
import tomllib
from bisect import bisect_right
from typing import Any, Final, NoReturn

from apps.engine.errors import LimitError, MalformedError
from apps.engine.formats.parsed import (
    Lines,
    Parsed,
    Place,
    Positions,
    place_of,
    refuse,
    refuse_as,
    shown,
)
from apps.engine.formats.toml_scanning import Token, UnreadableError, check_limits, places, scan
from apps.engine.formats.toml_writing import has_64_bits, render
from apps.engine.values import Tree, number

__all__ = ["parse", "render"]

_WHERE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]|inf|nan)[^\s,\]}#]*+")
_NOT_FINITE: Final = ("inf", "nan")
_TWICE: Final = ("Cannot ", "Duplicate ")
_CONTEXT: Final = 80  # what tomllib sees behind a fault, to say what is wrong
_TOO_LARGE: Final = "TOML's integers have 64 bits: write it as text."


def parse(text: str) -> Parsed:
    """Read a TOML document; an empty one is an empty object."""
    text = text.replace("\r\n", "\n")
    fault = check_limits(text)
    try:
        tree = tomllib.loads(text[: fault + _CONTEXT], parse_float=_number)
        _make_plain(tree)
    except tomllib.TOMLDecodeError as error:
        _refuse(text, fault, str(error))
    except MalformedError as error:
        refuse_as(error, _bad_number(text))
    except ValueError:
        refuse_as(LimitError(_TOO_LARGE), _bad_number(text))
    if fault < len(text):
        refuse("This is not TOML.", place_of(text, fault))
    return Parsed(tree, Positions(lambda: places(text)))


def _number(literal: str) -> Tree:
    text = literal.replace("_", "").removeprefix("+")
    if text.lstrip("-") in _NOT_FINITE:
        raise MalformedError("NaN and infinity are not JSON numbers.")
    return number(text)


def _make_plain(document: dict[str, Any]) -> None:
    """Dates become text, in place and at any depth. Raises :class:`LimitError` for large integers."""
    stack: list[Any] = [document]
    while stack:
        container = stack.pop()
        for step, child in list(
            container.items() if isinstance(container, dict) else enumerate(container)
        ):
            if isinstance(child, (dict, list)):
                stack.append(child)
            elif isinstance(child, datetime.datetime):
                container[step] = child.isoformat().replace("+00:00", "Z")
            elif isinstance(child, (datetime.date, datetime.time)):
                container[step] = child.isoformat()
            elif isinstance(child, int) and not has_64_bits(child):
                raise LimitError(_TOO_LARGE)


def _refuse(text: str, fault: int, message: str) -> NoReturn:
    match = _WHERE.search(message)
    what = message[: match.start()] if match else message
    where = place_of(text, fault)
    if match and match.group(1):
        where = (int(match.group(1)), int(match.group(2)))
    if what.startswith(_TWICE):  # said behind the key's value
        where = _key_before(text, where)
    refuse(f"This is not TOML: {shown(what)}.", where)


def _key_before(text: str, where: Place) -> Place:
    lines = Lines(text)
    keys: list[Place] = []
    with contextlib.suppress(UnreadableError):
        keys.extend(lines.place(token.offset) for token in scan(text) if token.steps)
    index = bisect_right(keys, where)
    return keys[index - 1] if index else where


def _bad_number(text: str) -> Place | None:
    """Where the first number stands that is too large or not finite."""
    try:
        return next((place_of(text, t.offset) for t in scan(text) if _is_bad(text, t)), None)
    except UnreadableError:
        return None


def _is_bad(text: str, token: Token) -> bool:
    match = _NUMBER.match(text, token.offset) if token.kind == "value" else None
    if match is None:
        return False
    try:
        _make_plain(tomllib.loads(f"a={match.group()}", parse_float=_number))
    except tomllib.TOMLDecodeError:
        return False
    except (MalformedError, ValueError):
        return True
    return False
