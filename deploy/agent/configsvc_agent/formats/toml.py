"""TOML: a table for each object, ``[[…]]`` for a list of objects."""

import re
from collections.abc import Iterator
from typing import Any, Final

from configsvc_agent.formats.problems import refuse
from configsvc_agent.paths import leaves, text_of
from configsvc_client.numbers import Number

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPED: Final = re.compile(r'[\x00-\x1f"\\\x7f]')
_SHORT_ESCAPES: Final = {
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
    '"': '\\"',
    "\\": "\\\\",
}
_LARGEST: Final = 2**63


def render(tree: Any) -> str:
    """Members in their order, plain values before tables.

    Raises :class:`RenderError` for null, ``-0``, integers beyond 64 bits, and a document that is no object.
    """
    if not isinstance(tree, dict):
        refuse("TOML", {(): "A TOML document is an object."})
    refuse("TOML", {path: why for path, leaf in leaves(tree) if (why := _why_not(leaf))})
    return "".join(_table(tree, "", "")).removeprefix("\n")


def _why_not(leaf: Any) -> str | None:
    if leaf is None:
        return "There is no null in TOML."
    if isinstance(leaf, Number) and leaf.literal == "-0":
        return "There is no integer -0 in TOML."
    beyond = isinstance(leaf, int) and not -_LARGEST <= leaf < _LARGEST
    return "TOML's integers have 64 bits." if beyond else None


def _table(table: dict[str, Any], name: str, header: str) -> Iterator[str]:
    """The lines of one table: its header, its plain values, then the tables in it."""
    tables = {key: child for key, child in table.items() if _is_table(child)}
    if header and (len(tables) < len(table) or not table or header.startswith("[[")):
        yield f"\n{header}\n"
    for key, child in table.items():
        if key not in tables:
            yield f"{_key(key)} = {''.join(_value(child))}\n"
    for key, child in tables.items():
        inner = f"{name}.{_key(key)}" if name else _key(key)
        if isinstance(child, dict):
            yield from _table(child, inner, f"[{inner}]")
        else:
            for item in child:
                yield from _table(item, inner, f"[[{inner}]]")


def _is_table(child: Any) -> bool:
    if isinstance(child, list):
        return bool(child) and all(isinstance(item, dict) for item in child)
    return isinstance(child, dict)


def _value(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        separator = "{"
        for key, child in value.items():
            yield f"{separator} {_key(key)} = "
            yield from _value(child)
            separator = ","
        yield " }" if value else "{}"
    elif isinstance(value, list):
        separator = "["
        for child in value:
            yield separator
            yield from _value(child)
            separator = ", "
        yield "]" if value else "[]"
    else:
        yield _quoted(value) if isinstance(value, str) else text_of(value)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    char = match.group()
    return _SHORT_ESCAPES.get(char) or f"\\u{ord(char):04x}"
