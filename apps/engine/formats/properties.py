"""Java properties, as ``java.util.Properties`` reads and writes them; keys stay flat.

Lines are put together here, because javaproperties takes quadratic time for continued lines;
it reads and writes the escapes.
"""

import re
from collections.abc import Iterator
from typing import Final

import javaproperties

from apps.engine.formats.flat import flatten
from apps.engine.formats.parsed import (
    Lines,
    Parsed,
    Place,
    Positions,
    refuse,
    refuse_duplicate,
    refuse_nodes,
)
from apps.engine.paths import Path
from apps.engine.values import MAX_NODES, Tree, escape

_LINE: Final = re.compile(r"([^\r\n]*+)(?:\r\n|\n|\r|\Z)")
_PAIR: Final = re.compile(r"((?:[^\\ \t\f=:]++|\\.)*)[ \t\f]*+[=:]?+[ \t\f]*+", re.DOTALL)
_SPACE: Final = " \t\f"


def parse(text: str) -> Parsed:
    """Read keys and texts: ``a.b.c`` stays one key."""
    tree: dict[str, Tree] = {}
    lines = Lines(text, r"\r\n|\n|\r")
    places: dict[str, Place] = {"": (1, 1)}
    for offset, line in _logical_lines(text):
        where = lines.place(offset)
        key, value = _pair(line, where)
        if key in tree:
            refuse_duplicate(key, "", where)
        if len(tree) >= MAX_NODES - 1:
            refuse_nodes(where)
        tree[key] = value
        places[f"/{escape(key)}"] = where
    return Parsed(tree, Positions(lambda: places))


def render(tree: Tree) -> str:
    """The document flattened with ``.`` and ``[i]``, in ASCII with ``\\u`` escapes."""
    named = flatten(tree, _join, ".properties")
    return "".join(f"{javaproperties.join_key_value(*pair)}\n" for pair in named.items())


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Each entry's offset and line, continued lines put together; no comments, nothing blank."""
    pieces: list[str] = []
    start: int | None = None
    for match in _LINE.finditer(text):
        line = match.group(1).lstrip(_SPACE)
        if start is None:
            if not line or line[0] in "#!":
                continue
            start = match.end(1) - len(line)
        is_continued = (len(line) - len(line.rstrip("\\"))) % 2 == 1
        pieces.append(line[:-1] if is_continued else line)
        if not is_continued or match.end() == len(text):
            logical = "".join(pieces)
            if logical:
                yield start, logical
            pieces, start = [], None


def _pair(line: str, where: Place) -> tuple[str, str]:
    match = _PAIR.match(line)
    key, value = (match.group(1), line[match.end() :]) if match else (line, "")
    try:
        return javaproperties.unescape(key), javaproperties.unescape(value)
    except javaproperties.InvalidUEscapeError:
        refuse("A \\u escape needs four hexadecimal digits.", where)


def _join(path: Path) -> str:
    return "".join(_pieces(path))


def _pieces(path: Path) -> Iterator[str]:
    for index, step in enumerate(path):
        yield f"[{step}]" if isinstance(step, int) else (f".{step}" if index else step)
