"""dotenv: ``NAME=value`` lines, by the grammar of python-dotenv and never interpolated.

Read here and not by python-dotenv, whose time is quadratic in the blanks of a line.
"""

import re
from typing import Final

from apps.engine.formats.flat import flatten
from apps.engine.formats.parsed import (
    Lines,
    Parsed,
    Place,
    Positions,
    refuse,
    refuse_duplicate,
    refuse_nodes,
    shown,
)
from apps.engine.paths import Path
from apps.engine.values import MAX_NODES, Tree, escape

_BLANK: Final = re.compile(r"(?:\s++|#[^\r\n]*+)*")
_KEY: Final = re.compile(
    r"(?:export[^\S\r\n]++)?+(?:'(?P<quoted>[^']++)'|(?!')(?P<bare>[^=#\s]++))[^\S\r\n]*+"
)
_EQUALS: Final = re.compile(r"=[^\S\r\n]*+")
_SINGLE: Final = re.compile(r"'((?:[^'\\]++|\\.)*)'", re.DOTALL)
_DOUBLE: Final = re.compile(r'"((?:[^"\\]++|\\.)*)"', re.DOTALL)
_NEWLINE: Final = re.compile(r"[\r\n]")
_COMMENT: Final = re.compile(r"\s#")
_LINE_END: Final = re.compile(r"[^\S\r\n]*+(?:#[^\r\n]*+)?(?=[\r\n]|\Z)")
_SINGLE_ESCAPE: Final = re.compile(r"\\([\\'])")
_DOUBLE_ESCAPE: Final = re.compile(r"\\([\\'\"abfnrtv])")
_ESCAPES: Final = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE: Final = re.compile(r"[A-Za-z0-9_./:@%+,-]*")
_EXPANDED: Final = re.compile(r"[$`]")


def parse(text: str) -> Parsed:
    """Read names and texts; ``export`` and quotes as shells know them."""
    tree: dict[str, Tree] = {}
    lines = Lines(text, r"\r\n|\n|\r")
    places: dict[str, Place] = {"": (1, 1)}
    offset = _skip(text, 0)
    while offset < len(text):
        where = lines.place(offset)
        match = _KEY.match(text, offset)
        if match is None:
            refuse("This line is not NAME=value.", where)
        key = match["quoted"] or match["bare"]
        if key in tree:
            refuse_duplicate(key, "", where)
        if len(tree) >= MAX_NODES - 1:
            refuse_nodes(where)
        tree[key], offset = _value(text, match, where)
        places[f"/{escape(key)}"] = where
    return Parsed(tree, Positions(lambda: places))


def render(tree: Tree) -> str:
    """The document flattened with ``__``, quoted so that dotenv readers and shells agree.

    Raises :class:`UnrepresentableError` for keys that are no variable names and for texts that
    no quoting says to all of them.
    """
    named = flatten(tree, _join, ".env", _why_not)
    return "".join(f"{name}={_quoted(value)}\n" for name, value in named.items())


def _value(text: str, key: re.Match[str], where: Place) -> tuple[str, int]:
    """The value behind a key, and where the next line's key begins."""
    equals = _EQUALS.match(text, key.end())
    if equals is None:
        name = shown(key["quoted"] or key["bare"])
        refuse(f"This line is not NAME=value: '{name}' has no value.", where)
    start = equals.end()
    first = text[start : start + 1]
    if first in ("'", '"'):
        match = (_SINGLE if first == "'" else _DOUBLE).match(text, start)
        if match is None:
            refuse("This quote is not closed.", where)
        value, start = _unescaped(match.group(1), first), match.end()
    elif first == "#" and len(equals.group()) > 1:  # a comment behind nothing
        value = ""
    else:
        line_end = _line_end(text, start)
        value, start = _without_comment(text[start:line_end]), line_end
    end = _LINE_END.match(text, start)
    if end is None:
        refuse("Something stands behind the closing quote.", where)
    return value, _skip(text, end.end())


def _skip(text: str, offset: int) -> int:
    match = _BLANK.match(text, offset)
    return match.end() if match else offset


def _line_end(text: str, offset: int) -> int:
    match = _NEWLINE.search(text, offset)
    return match.start() if match else len(text)


def _without_comment(text: str) -> str:
    comment = _COMMENT.search(text)
    return (text[: comment.start()] if comment else text).rstrip()


def _unescaped(text: str, quote: str) -> str:
    pattern = _SINGLE_ESCAPE if quote == "'" else _DOUBLE_ESCAPE
    return pattern.sub(lambda match: _ESCAPES.get(match.group(1), match.group(1)), text)


def _join(path: Path) -> str:
    return "__".join(str(step) for step in path)


def _why_not(name: str, text: str) -> str | None:
    if not _NAME.fullmatch(name):
        return f"{shown(name)} is no variable name."
    if "\r" in text:
        return "There is no carriage return in this format."
    if not _is_literal(text) and _EXPANDED.search(text):
        return "Shells expand $ and ` in a text that also holds a quote or a double backslash."
    return None


def _quoted(text: str) -> str:
    if _BARE.fullmatch(text):
        return text
    if _is_literal(text):
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _is_literal(text: str) -> bool:
    """Whether all readers take the text between single quotes as it is."""
    return "'" not in text and "\\\\" not in text and not text.endswith("\\")
