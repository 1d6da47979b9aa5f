"""The nodes of a YAML text by their offsets in it (YAML 1.2, chapters 6 to 8), from libyaml's events."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from apps.engine.formats.yaml import LOADER, is_merge

ALIAS: Final = "alias"
SCALAR: Final = "scalar"
MAPPING: Final = "mapping"
LIST: Final = "list"
OPAQUE: Final = "opaque"  # a collection in a notation of which nothing inside is edited

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_PROPERTIES: Final = re.compile(r"(?:[&!][^ \t\r\n]*(?:[ \t\r\n]|#[^\n]*)*)*")
_KEEPS: Final = re.compile(r"[|>][1-9]?\+")


@dataclass(slots=True)
class Node:
    """A node at ``text[start:end]``; ``content`` is behind its anchor and tag, ``end`` before comments.

    ``style`` is a scalar's quote, ``|``, ``>`` or nothing; ``name`` the anchor's, or what an alias goes by.
    """

    kind: str
    start: int
    end: int
    content: int
    flow: bool = False  # a collection in brackets
    style: str = ""
    name: str = ""
    entries: "list[Entry]" = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Its anchor as it is written before a value, with a blank; nothing when it has none."""
        return f"&{self.name} " if self.name and self.kind != ALIAS else ""

    @property
    def block(self) -> bool:
        """Whether it takes lines of its own below the line where it is announced."""
        return self.style in ("|", ">") or (self.kind in (MAPPING, LIST) and not self.flow)


@dataclass(slots=True)
class Entry:
    """A member or an item: ``start`` is its key, its dash or itself; ``begin`` is behind ``:`` or ``-``."""

    start: int
    begin: int
    value: Node
    key: str | None = None
    key_anchor: str = ""
    merges: bool = False  # the key is ``<<``


def compose(text: str) -> Node | None:
    """The root node of a text that :func:`apps.engine.formats.yaml.parse` has taken; ``None``: only comments."""
    root = _Composer(text).root()
    is_nothing = root.kind == SCALAR and root.start == root.end
    return None if is_nothing else root


def skip(text: str, at: int) -> int:
    """The next offset that is neither blank nor in a comment."""
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _mark(mark: Any) -> int:
    return int(mark.index)


class _Composer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=LOADER))

    def root(self) -> Node:
        for event in self.events:
            if isinstance(event, yaml.NodeEvent):
                return self.node(event)
        return Node(SCALAR, 0, 0, 0)

    def node(self, event: Any) -> Node:
        start, end = event.start_mark.index, event.end_mark.index
        match = _PROPERTIES.match(self.text, start)
        content = match.end() if match and (event.anchor or getattr(event, "tag", None)) else start
        name = event.anchor or ""
        if isinstance(event, yaml.AliasEvent):
            return Node(ALIAS, start, end, start, name=name)
        if isinstance(event, yaml.ScalarEvent):
            content = min(content, end)
            style = event.style or ""
            return Node(SCALAR, start, self._end(content, end, style), content, False, style, name)
        kind = MAPPING if isinstance(event, yaml.MappingStartEvent) else LIST
        node = Node(kind, start, end, content, bool(event.flow_style), name=name)
        self._fill(node)
        return node

    def _end(self, content: int, end: int, style: str) -> int:
        """A block scalar's last line break is not its own here, nor are the blank lines that it drops."""
        if style not in ("|", ">"):
            return end
        if _KEEPS.match(self.text, content):
            return end - len(re.search(r"(?:\r?\n)?$", self.text[content:end])[0])  # type: ignore[index]
        return content + len(self.text[content:end].rstrip())

    def _fill(self, node: Node) -> None:
        """Take a collection's events to its end."""
        bracket = "{" if node.kind == MAPPING else "["
        bracketed = node.flow and self.text.startswith(bracket, node.content)
        known, at = bracketed or not node.flow, node.content + bracketed
        for event in self.events:
            if isinstance(event, yaml.CollectionEndEvent):
                at = _mark(event.end_mark) if bracketed else at
                break
            at = skip(self.text, at)
            if node.flow and self.text.startswith(",", at):
                at = skip(self.text, at + 1)
            entry = (
                self._member(event) if node.kind == MAPPING else self._item(event, node.flow, at)
            )
            known = known and entry.start == at and entry.begin >= 0
            node.entries.append(entry)
            at = entry.value.end
        node.end = at
        if not known:
            node.kind = OPAQUE

    def _member(self, event: Any) -> Entry:
        key = self.node(event)
        value = self.node(next(self.events))
        colon = skip(self.text, key.end)
        begin = colon + 1 if self.text.startswith(":", colon) else -1
        return Entry(key.start, begin, value, event.value, key.name, is_merge(event))

    def _item(self, event: Any, flow: bool, at: int) -> Entry:
        value = self.node(event)
        if flow:
            return Entry(value.start, value.start, value)
        return Entry(at, at + 1 if self.text.startswith("-", at) else -1, value)
