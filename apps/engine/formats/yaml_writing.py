"""Writing YAML that readers of YAML 1.2 and of 1.1 take for the same document."""

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from apps.engine.formats.yaml_core import is_plain_text
from apps.engine.values import Number, Tree

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_WIDTH: Final = 1_000_000
_OLD_BOOL: Final = frozenset("yYnN")  # YAML 1.1 names them, some of its readers know them
_OLD_SCHEMA: Final[Any] = yaml.resolver.Resolver()
_TEXT_TAG: Final = "tag:yaml.org,2002:str"
_PLAIN: Final = (True, False)
_QUOTED: Final = (False, True)
_EITHER: Final = (True, True)
_CLEAN_LINE: Final = re.compile(r"(?:\S|\S.*\S)?")


def render(tree: Tree) -> str:
    """Block style YAML, members in their order; text that either version misreads is quoted."""
    text: str = yaml.emit(_events(tree), Dumper=_Dumper, allow_unicode=True, width=_WIDTH)
    return text


def _events(tree: Tree) -> Iterator[Any]:
    yield yaml.StreamStartEvent()
    yield yaml.DocumentStartEvent(explicit=False)
    yield from _node(tree)
    yield yaml.DocumentEndEvent(explicit=False)
    yield yaml.StreamEndEvent()


def _node(tree: Tree) -> Iterator[Any]:
    if isinstance(tree, dict):
        yield yaml.MappingStartEvent(None, None, implicit=True, flow_style=not tree)
        for key, child in tree.items():
            yield _text(key)
            yield from _node(child)
        yield yaml.MappingEndEvent()
    elif isinstance(tree, list):
        yield yaml.SequenceStartEvent(None, None, implicit=True, flow_style=not tree)
        for child in tree:
            yield from _node(child)
        yield yaml.SequenceEndEvent()
    elif isinstance(tree, str):
        yield _text(tree)
    else:
        yield yaml.ScalarEvent(None, None, _PLAIN, _literal(tree))


def _literal(value: Tree) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.literal if isinstance(value, Number) else repr(value)


def _text(text: str) -> Any:
    if not text.isprintable():
        style = "|" if _is_clean_block(text) else '"'
        return yaml.ScalarEvent(None, None, _QUOTED, text, style=style)
    return yaml.ScalarEvent(None, None, _QUOTED if _is_misread(text) else _EITHER, text)


def _is_misread(text: str) -> bool:
    old = _OLD_SCHEMA.resolve(yaml.ScalarNode, text, _PLAIN) != _TEXT_TAG
    return old or text in _OLD_BOOL or not is_plain_text(text)


def _is_clean_block(text: str) -> bool:
    """Whether a literal block gives the text back: no blanks at ends, nothing unprintable."""
    lines = text.split("\n")
    printable = all(line.isprintable() for line in lines)
    shaped = len(lines) > 1 and bool(lines[0])
    return shaped and printable and all(map(_CLEAN_LINE.fullmatch, lines))
