"""YAML in block style that readers of YAML 1.2 and of 1.1 take for the same document."""

import re
from collections.abc import Iterator
from typing import Any, Final

from configsvc_agent.paths import text_of
from configsvc_client.numbers import quoted

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./@+-]*(?: [A-Za-z0-9_./@+-]+)*")
_WORDS: Final = frozenset(
    ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"]
)  # read as no text
_CLEAN_LINE: Final = re.compile(r"(?:\S|\S.*\S)?")


def render(tree: Any) -> str:
    """Block style, members in their order. A text is bare where all readers take it for that text."""
    if isinstance(tree, (dict, list)) and tree:
        return "".join(f"{line}\n" for line in _lines(tree))
    return f"{_inline(tree)}\n"


def _lines(tree: Any) -> Iterator[str]:
    """The lines of an object or list that is not empty, without indent."""
    entries = (
        [(f"{_text(key)}:", child) for key, child in tree.items()]
        if isinstance(tree, dict)
        else [("-", child) for child in tree]
    )
    for head, child in entries:
        is_item = head == "-"
        if isinstance(child, (dict, list)) and child:
            inner = _lines(child)
            if is_item:
                yield f"- {next(inner)}"
            else:
                yield head
            yield from (f"  {line}" if line else line for line in inner)
        elif isinstance(child, str) and _is_clean_block(child):
            yield f"{head} {'|' if child.endswith(chr(10)) else '|-'}"
            yield from (
                f"  {line}" if line else line for line in child.removesuffix("\n").split("\n")
            )
        else:
            yield f"{head} {_inline(child)}"


def _inline(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (dict, list)):
        return "{}" if isinstance(value, dict) else "[]"
    return "null" if value is None else text_of(value)


def _text(text: str) -> str:
    is_bare = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if is_bare else quoted(text)


def _is_clean_block(text: str) -> bool:
    """Whether a literal block gives the text back: no blanks at the ends of its lines, nothing
    unprintable, one line's end at most at its own."""
    lines = text.removesuffix("\n").split("\n")
    shaped = len(lines) > 1 and bool(lines[0]) and bool(lines[-1])
    return shaped and all(line.isprintable() and _CLEAN_LINE.fullmatch(line) for line in lines)
