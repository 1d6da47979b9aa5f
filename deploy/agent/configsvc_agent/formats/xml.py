"""XML by the contract's mapping: elements for objects, ``<item>`` for lists, ``type`` attributes for what
XML cannot tell apart, so that the server reads the same document back.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final
from xml.sax.saxutils import escape as escape_text
from xml.sax.saxutils import quoteattr

from configsvc_agent.formats.problems import refuse
from configsvc_agent.paths import text_of
from configsvc_client.keys import Path

ROOT: Final = "config"
ITEM: Final = "item"
ESCAPED: Final = "_"
TEXT: Final = "#text"
TYPES: Final = ("integer", "number", "boolean", "null", "array", "object")
SPACE: Final = " \t\r\n"

_DECLARATION: Final = "@xmlns:"
_NAME: Final = re.compile(r"(?:([A-Za-z_][A-Za-z0-9._-]*):)?[A-Za-z_][A-Za-z0-9._-]*")
_UNWRITABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_ATTRIBUTE_ENTITIES: Final = {"\n": "&#10;", "\t": "&#9;", "\r": "&#13;"}
_Prefixes = frozenset[str]


def render(tree: Any) -> str:
    """XML with two spaces of indent.

    Raises :class:`RenderError` for characters that XML 1.0 has not, and for a document
    that is nothing but blank text.
    """
    bad = dict(_unwritable(tree, ()))
    if isinstance(tree, str) and not tree.strip(SPACE):
        bad[()] = "A document of blank text reads as an empty object."
    refuse("XML", bad)
    lines = _element(ROOT, tree, "", frozenset({"xml"}), is_root=True)
    return "".join(['<?xml version="1.0" encoding="UTF-8"?>\n', *lines])


def _unwritable(tree: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(tree, dict):
        for key, child in tree.items():
            below = (*path, key)
            if _UNWRITABLE.search(key):
                yield below, "XML cannot hold a character of this key."
            yield from _unwritable(child, below)
    elif isinstance(tree, list):
        for index, child in enumerate(tree):
            yield from _unwritable(child, (*path, index))
    elif isinstance(tree, str) and _UNWRITABLE.search(tree):
        yield path, "XML cannot hold a character of this text."


def _element(
    key: str, tree: Any, indent: str, prefixes: _Prefixes, *, is_root: bool = False
) -> Iterator[str]:
    declared = prefixes | _declared(tree)
    plain = key != ESCAPED and _is_name(key, declared)
    name = key if plain else ESCAPED
    opening = key if plain else f"{ESCAPED} name={_attribute(key)}"
    declared = declared if plain else prefixes
    if isinstance(tree, dict):
        attributes = _attributes(tree, declared) if plain else {}
        opening += "".join(f" {each[1:]}={_attribute(attributes[each])}" for each in attributes)
        rest = {each: child for each, child in tree.items() if each not in attributes}
        if attributes and rest.keys() == {TEXT} and _is_inline(rest[TEXT]):
            yield f"{indent}<{opening}>{_text(rest[TEXT])}</{name}>\n"
            return
        if not attributes and (rest.keys() == {ITEM} or not (rest or is_root)):
            opening += ' type="object"'
        yield from _children(name, opening, rest.items(), indent, declared)
    elif isinstance(tree, list):
        opening += ' type="array"' if len(tree) < 2 else ""  # noqa: PLR2004 - two show a list
        yield from _children(name, opening, [(ITEM, child) for child in tree], indent, declared)
    else:
        kind, text = _scalar(tree)
        opening += f' type="{kind}"' if kind else ""
        yield f"{indent}<{opening}>{text}</{name}>\n" if text else f"{indent}<{opening}/>\n"


def _children(
    name: str,
    opening: str,
    children: Collection[tuple[str, Any]],
    indent: str,
    prefixes: _Prefixes,
) -> Iterator[str]:
    if not children:
        yield f"{indent}<{opening}/>\n"
        return
    yield f"{indent}<{opening}>\n"
    for key, child in children:
        yield from _element(key, child, f"{indent}  ", prefixes)
    yield f"{indent}</{name}>\n"


def _declared(tree: Any) -> _Prefixes:
    """The namespace prefixes that an object's attributes declare."""
    if not isinstance(tree, dict):
        return frozenset()
    return frozenset(
        key.removeprefix(_DECLARATION) for key, value in tree.items() if _declares(key, value)
    )


def _declares(key: str, value: Any) -> bool:
    prefix = key.removeprefix(_DECLARATION)
    named = prefix != key and _is_name(prefix, frozenset()) and not prefix.startswith("xml")
    return named and isinstance(value, str) and value != ""


def _attributes(tree: Mapping[str, Any], prefixes: _Prefixes) -> dict[str, str]:
    """The members that can be attributes; one that reads as our own ``type`` cannot."""
    return {
        key: value
        for key, value in tree.items()
        if key.startswith("@")
        and isinstance(value, str)
        and (_is_name(key[1:], prefixes) or _declares(key, value))
        and not (key == "@type" and value in TYPES)
    }


def _is_name(key: str, prefixes: _Prefixes) -> bool:
    """Whether readers with and without namespaces take ``key`` as a name."""
    match = _NAME.fullmatch(key)
    return match is not None and (match.group(1) is None or match.group(1) in prefixes)


def _is_inline(text: Any) -> bool:
    return isinstance(text, str) and text.strip(SPACE) != ""


def _scalar(value: Any) -> tuple[str | None, str]:
    if value is None:
        return "null", ""
    if isinstance(value, bool):
        return "boolean", text_of(value)
    if isinstance(value, (int, float)):
        return "integer" if isinstance(value, int) else "number", text_of(value)
    return None, _text(value)


def _text(text: str) -> str:
    return escape_text(text, {"\r": "&#13;"})


def _attribute(text: str) -> str:
    return quoteattr(text, _ATTRIBUTE_ENTITIES)
