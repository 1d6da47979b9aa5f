"""Writing YAML that readers of YAML 1.2 and of 1.1 take for the same document."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import yaml

from apps.engine.formats.yaml_core import is_plain_text
from apps.engine.values import Number, Tree

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_WIDTH: Final = 1_000_000
LONGEST_PLAIN_KEY: Final = 100
_OLD_BOOL: Final = frozenset("yYnN")  # YAML 1.1 names them, some of its readers know them
_OLD_SCHEMA: Final[Any] = yaml.resolver.Resolver()
_TEXT_TAG: Final = "tag:yaml.org,2002:str"
_PLAIN: Final = (True, False)
_QUOTED: Final = (False, True)
_EITHER: Final = (True, True)
_MAPPING: Final = yaml.MappingStartEvent(None, None, implicit=True, flow_style=False)
_ESCAPED: Final = re.compile(r"\\U00[01][0-9A-F]{5}")
_CLEAN_LINE: Final = re.compile(r"(?:\S|\S.*\S)?")


def render(tree: Tree) -> str:
    """Block style YAML, members in their order; text that either version misreads is quoted."""
    return _emit(_node(tree))


def render_scalar(value: Tree, style: str = "") -> list[str]:
    """The lines of a scalar behind ``key:`` in block style, those below its first indented by two.

    Text stays in the quotes of ``style`` where it can.
    """
    text = _emit([_MAPPING, _text("k"), _quoted(value, style), yaml.MappingEndEvent()])
    first, *rest = text.removesuffix("...\n").removesuffix("\n").split("\n")
    return [first.removeprefix("k:").strip(), *rest]


def render_key(key: str) -> str:
    """A key in one line, whatever is in it. Longer ones libyaml writes in a notation of their own."""
    if len(key) <= LONGEST_PLAIN_KEY and key.isprintable():
        return render_flow(key)
    return json.dumps(key, ensure_ascii=False)


def render_flow(tree: Tree, style: str = "") -> str:
    """A value in one line, collections in brackets."""
    inner = [_quoted(tree, style)] if isinstance(tree, str) else _node(tree, flow=True)
    start = yaml.SequenceStartEvent(None, None, implicit=True, flow_style=True)
    return _emit([start, *inner, yaml.SequenceEndEvent()]).removesuffix("\n")[1:-1]


def _quoted(value: Tree, style: str) -> Any:
    """The event of a scalar, text in the quotes of ``style`` where those hold it in one line.

    A text that ends with blank lines is quoted: in a block those that follow would be its own.
    """
    (event,) = _node(value)
    if isinstance(value, str):
        if value.endswith("\n\n"):
            event.style = '"'
        elif style == '"' or (style == "'" and value.isprintable()):
            event.style = style
    return event


def _emit(nodes: Iterable[Any]) -> str:
    """The text of a document. libyaml escapes what is beyond 16 bits, as emoji are; the slower one need not."""
    events = list(_stream(nodes))
    for dumper in (_Dumper, yaml.SafeDumper):
        text: str = yaml.emit(events, Dumper=dumper, allow_unicode=True, width=_WIDTH)
        if not _ESCAPED.search(text):
            break
    return text


def _stream(nodes: Iterable[Any]) -> Iterator[Any]:
    yield yaml.StreamStartEvent()
    yield yaml.DocumentStartEvent(explicit=False)
    yield from nodes
    yield yaml.DocumentEndEvent(explicit=False)
    yield yaml.StreamEndEvent()


def _node(tree: Tree, *, flow: bool = False) -> Iterator[Any]:
    if isinstance(tree, dict):
        yield yaml.MappingStartEvent(None, None, implicit=True, flow_style=flow or not tree)
        for key, child in tree.items():
            yield _text(key)
            yield from _node(child, flow=flow)
        yield yaml.MappingEndEvent()
    elif isinstance(tree, list):
        yield yaml.SequenceStartEvent(None, None, implicit=True, flow_style=flow or not tree)
        for child in tree:
            yield from _node(child, flow=flow)
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
