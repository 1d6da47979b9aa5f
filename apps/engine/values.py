"""The document tree and its canonical text.

A tree is made of ``dict`` (text keys), ``list``, ``str``, ``bool``, ``None``, ``int``,
``float`` and :class:`Number`. Numbers keep the digits that were sent: a literal that ``int``
or ``float`` would not write back digit by digit is held as :class:`Number`.

Canonical text is JSON (RFC 8259) with members sorted by code point and no white space, like
RFC 8785 except that number literals stay as they were. Documents are equal when these bytes
are: ``1`` and ``1.0`` differ, so compare trees by :func:`same`, never by ``==``.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import Any, Final

from apps.engine.errors import LimitError, MalformedError, Problem

MAX_DEPTH: Final = 64
MAX_NODES: Final = 20_000
MAX_KEY_LENGTH: Final = 256
MAX_DIGITS: Final = 4_000
MAX_WHOLE_DIGITS: Final = 18

Tree = Any
"""A dict with text keys, a list, str, bool, None, int, float or Number."""

_LITERAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Number:
    """A JSON number whose literal neither ``int`` nor ``float`` gives back (``1.10``, ``-0``)."""

    __slots__ = ("literal",)

    def __init__(self, literal: str) -> None:
        self.literal = literal

    def __float__(self) -> float:
        return float(self.literal)

    def __repr__(self) -> str:
        return self.literal

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and other.literal == self.literal

    def __hash__(self) -> int:
        return hash(self.literal)


def number(literal: str) -> int | float | Number:
    """The value of a JSON number literal, digits kept.

    Raises :class:`MalformedError` when it is no JSON number or is beyond a double (``1e400``),
    :class:`LimitError` above ``MAX_DIGITS`` characters.
    """
    if len(literal) > MAX_DIGITS:
        raise LimitError(f"A number may have at most {MAX_DIGITS} characters.")
    if not _LITERAL.fullmatch(literal):
        raise MalformedError("This is not a JSON number.")
    if literal.lstrip("-").isdigit():
        return int(literal) if literal != "-0" else Number(literal)
    value = float(literal)
    if not math.isfinite(value):
        raise MalformedError("The number is beyond the range of a double; send it as text.")
    return value if repr(value) == literal else Number(literal)


def canonical(tree: Tree) -> str:
    """The canonical JSON text of ``tree``.

    The tree must hold finite numbers and text keys only; :func:`check` says so for parsed input.
    """
    return _dump(tree, sort=True)


def compact(tree: Tree) -> str:
    """JSON without white space, members in their own order, digits kept: for answers."""
    return _dump(tree, sort=False)


def _dump(tree: Tree, *, sort: bool) -> str:
    try:
        return json.dumps(
            tree, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=sort
        )
    except TypeError:  # a Number somewhere: the C encoder cannot write literals
        pieces: list[str] = []
        _write(tree, pieces.append, sort=sort)
        return "".join(pieces)


_STORED: Final = json.JSONDecoder(parse_float=number, parse_int=number)


def parse_canonical(text: str) -> Tree:
    """The tree of canonical text that this product stored; trusts it, keeps digits."""
    return _STORED.decode(text)


def checksum(text: str) -> str:
    """``sha256:`` and the lower-case hex SHA-256 of the text's UTF-8 bytes."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def same(left: Tree, right: Tree) -> bool:
    """Whether two trees are the same document: same bytes in canonical form."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float):
        return repr(left) == repr(right)
    return bool(left == right)


def check(tree: Tree) -> None:
    """Refuse what no database and no format shall ever see.

    Raises :class:`LimitError` above ``MAX_DEPTH`` levels, ``MAX_NODES`` nodes or
    ``MAX_KEY_LENGTH`` characters in a key, :class:`MalformedError` for control characters in
    keys, NUL or lone surrogates in text, and non-finite numbers. Each names the place.
    """
    count = 0
    stack: list[tuple[Tree, str, int]] = [(tree, "", 1)]
    while stack:
        node, pointer, depth = stack.pop()
        count += 1
        if count > MAX_NODES:
            raise LimitError(f"The document has more than {MAX_NODES} nodes.")
        if not isinstance(node, (dict, list)):
            _check_scalar(node, pointer)
            continue
        if depth > MAX_DEPTH:
            raise _at(pointer, f"Nesting is deeper than {MAX_DEPTH} levels.", LimitError)
        for step, child in node.items() if isinstance(node, dict) else enumerate(node):
            if isinstance(step, str):
                _check_key(step, pointer)
            stack.append((child, f"{pointer}/{escape(step)}", depth + 1))


def whole(text: str) -> int | None:
    """``text`` as a number of 1 to 18 ASCII digits (it fits 64 bits), else ``None``."""
    plain = text.isascii() and text.isdigit() and len(text) <= MAX_WHOLE_DIGITS
    return int(text) if plain else None


def escape(step: str | int) -> str:
    """One step of a JSON Pointer, escaped after RFC 6901."""
    return str(step).replace("~", "~0").replace("/", "~1")


def _check_scalar(node: Tree, pointer: str) -> None:
    if isinstance(node, str) and _UNSTORABLE.search(node):
        raise _at(pointer, "Text may not hold NUL or lone surrogates.", MalformedError)
    if isinstance(node, float) and not math.isfinite(node):
        raise _at(pointer, "NaN and infinity are not JSON numbers.", MalformedError)


def _check_key(key: str, pointer: str) -> None:
    if len(key) > MAX_KEY_LENGTH:
        raise _at(pointer, f"A key may have at most {MAX_KEY_LENGTH} characters.", LimitError)
    if _CONTROL.search(key) or _UNSTORABLE.search(key):
        raise _at(pointer, "A key may not hold control characters.", MalformedError)


def _at(pointer: str, message: str, error: type[MalformedError]) -> MalformedError:
    return error(message, [Problem(pointer, error.code, message)])


def _write(node: Tree, emit: Callable[[str], None], *, sort: bool) -> None:
    if isinstance(node, dict):
        emit("{")
        for index, key in enumerate(sorted(node) if sort else node):
            emit(f"{',' if index else ''}{encode_basestring(key)}:")
            _write(node[key], emit, sort=sort)
        emit("}")
    elif isinstance(node, list):
        emit("[")
        for index, item in enumerate(node):
            if index:
                emit(",")
            _write(item, emit, sort=sort)
        emit("]")
    elif isinstance(node, Number):
        emit(node.literal)
    else:
        emit(json.dumps(node, ensure_ascii=False, allow_nan=False))
