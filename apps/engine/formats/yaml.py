"""YAML 1.2, core schema: ``no`` is text, ``012`` is 12, there are no dates.

Built from libyaml's event stream, so nesting and alias expansion are counted before anything
is built. Beyond the core schema, a plain key ``<<`` merges a mapping or a list of mappings into
its own (keys that stand there win, earlier mappings before later ones), because real files use
it. An alias stands for a copy of what its anchor names.
"""

import re
from typing import Any, Final

import yaml

from apps.engine.formats.parsed import (
    Parsed,
    Place,
    Positions,
    place_of,
    refuse,
    refuse_depth,
    refuse_duplicate,
    refuse_limit,
    shown,
)
from apps.engine.formats.yaml_core import TAG, place, refuse_tag, resolve
from apps.engine.formats.yaml_writing import render
from apps.engine.values import MAX_DEPTH, MAX_NODES, Tree, escape

__all__ = ["LOADER", "is_merge", "parse", "render"]

MAX_DIRECTIVES: Final = 20
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE: Final = "<<"
_DIRECTIVE: Final = re.compile(r"^%TAG", re.MULTILINE)
_OLD_BREAK: Final = re.compile("[\x85\u2028\u2029]")
_FORBIDDEN: Final = re.compile("[^\t\n\r -~\xa0-\ufffd\U00010000-\U0010ffff]")
_IN_ANCHORS: Final = (":", "?")
_NO_KEY: Final = object()


def parse(text: str) -> Parsed:
    """Read one YAML document; nothing but comments is an empty object."""
    _check_characters(text)
    builder = _Builder(text)
    try:
        for event in yaml.parse(text, Loader=LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        refuse(f"This is not YAML: {error.problem or 'it cannot be read'}.", where)
    except yaml.YAMLError:
        refuse("This is not YAML: it cannot be read.", (1, 1))
    return Parsed(builder.root, Positions(lambda: builder.places))


def is_merge(event: Any) -> bool:
    """Whether a key's event is the ``<<`` that merges."""
    return event.value == _MERGE and not event.style and event.tag is None


def _check_characters(text: str) -> None:
    """Refuse what libyaml reads otherwise than YAML 1.2 does, or in quadratic time."""
    match = _OLD_BREAK.search(text)
    if match is not None:
        message = "U+0085, U+2028 and U+2029 may stand in double quotes only, as \\N, \\L and \\P."
        refuse(message, place_of(text, match.start()))
    match = _FORBIDDEN.search(text)
    if match is not None:
        refuse("This is not YAML: a character is not allowed here.", place_of(text, match.start()))
    for count, match in enumerate(_DIRECTIVE.finditer(text)):
        if count >= MAX_DIRECTIVES:
            message = f"There are more than {MAX_DIRECTIVES} %TAG directives."
            refuse_limit(message, place_of(text, match.start()))


class _Anchored:
    """What an anchor names; ``node`` counts once ``size`` does."""

    __slots__ = ("height", "node", "size")

    def __init__(self, node: Tree = None, size: int = 0, height: int = 0) -> None:
        self.node = node
        self.size = size  # nodes with all that is below; 0: not finished
        self.height = height  # levels of containers


class _Container:
    """A mapping or list that is being filled."""

    __slots__ = (
        "anchored",
        "height",
        "key",
        "merged",
        "merges",
        "node",
        "place",
        "pointer",
        "start",
    )

    def __init__(self, node: Any, pointer: str, where: Place, start: int) -> None:
        self.node = node
        self.pointer = pointer
        self.place = where
        self.start = start
        self.height = 1
        self.key: Any = _NO_KEY
        self.merges = False  # whether the key is ``<<``
        self.merged: list[dict[str, Tree]] = []
        self.anchored: _Anchored | None = None

    def expects_key(self) -> bool:
        """Whether the next event is a key."""
        return isinstance(self.node, dict) and self.key is _NO_KEY

    def next_pointer(self) -> str:
        """The pointer of the value that comes next."""
        step = self.key if isinstance(self.node, dict) else len(self.node)
        return f"{self.pointer}/{escape(step)}"

    def add(self, value: Tree, where: Place, height: int) -> None:
        """Take the value that belongs to the key, or the next item."""
        self.height = max(self.height, height + 1)
        if isinstance(self.node, list):
            self.node.append(value)
        elif self.merges:
            self.merged += _mappings(value, where)
        else:
            self.node[self.key] = value
        self.key, self.merges = _NO_KEY, False

    def finish(self) -> None:
        """Put what was merged behind the mapping's own keys."""
        for mapping in self.merged:
            for key, value in mapping.items():
                self.node.setdefault(key, value)


class _Builder:
    """Takes events, gives the tree; ``places`` are the positions by pointer."""

    def __init__(self, text: str) -> None:
        self.root: Tree = {}
        self.places: dict[str, Place] = {"": (1, 1)}
        self._text = text
        self._stack: list[_Container] = []
        self._anchors: dict[str, _Anchored] = {}
        self._count = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        """Take the next event of the stream."""
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._open(event)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                refuse("A configuration is one YAML document, and this is another.", place(event))

    def _scalar(self, event: Any) -> None:
        value = resolve(event)
        if event.anchor:
            self._check_anchor(event)
            self._anchors[event.anchor] = _Anchored(value, 1)
        if self._expects_key():
            self._take_key(event, value)
            return
        self._grow(1, event)
        empty_root = not self._stack and value is None and event.value == ""
        self._put({} if empty_root else value, place(event), 0)

    def _alias(self, event: Any) -> None:
        name, anchored = shown(event.anchor), self._anchors.get(event.anchor)
        if self._expects_key():
            refuse("A key is plain text, not an alias.", place(event))
        if anchored is None:
            refuse(f"The alias *{name} has no anchor before it.", place(event))
        if not anchored.size:
            refuse(f"The alias *{name} stands inside of what it names.", place(event))
        self._grow(anchored.size, event)
        if len(self._stack) + anchored.height > MAX_DEPTH:
            refuse_depth(place(event))
        self._put(_copy(anchored.node), place(event), anchored.height)

    def _open(self, event: Any) -> None:
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", TAG + ("map" if is_mapping else "seq")):
            refuse_tag(event)
        if self._expects_key():
            refuse("A key is plain text, not a collection.", place(event))
        if len(self._stack) >= MAX_DEPTH:
            refuse_depth(place(event))
        pointer = self._stack[-1].next_pointer() if self._stack else ""
        container = _Container({} if is_mapping else [], pointer, place(event), self._count)
        self._grow(1, event)
        if event.anchor:
            self._check_anchor(event)
            container.anchored = self._anchors[event.anchor] = _Anchored()
        self._stack.append(container)

    def _close(self) -> None:
        done = self._stack.pop()
        done.finish()
        if done.anchored is not None:
            done.anchored.node = done.node
            done.anchored.size = self._count - done.start
            done.anchored.height = done.height
        self._put(done.node, done.place, done.height)

    def _expects_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].expects_key()

    def _take_key(self, event: Any, key: Tree) -> None:
        top = self._stack[-1]
        if not isinstance(key, str):
            refuse(f"Keys are text: write '{shown(event.value)}' in quotes.", place(event))
        start = event.start_mark.index
        if self._text[start - 1 : start] == "?":  # for libyaml a mark of its own, in YAML 1.2 text
            refuse("A key that begins with '?' stands in quotes.", place(event))
        if key in top.node:
            refuse_duplicate(key, top.pointer, place(event))
        top.key = key
        top.merges = is_merge(event)
        self.places.setdefault(top.next_pointer(), place(event))

    def _check_anchor(self, event: Any) -> None:
        """Refuse what ends the anchor's name for libyaml, and is a part of it in YAML 1.2."""
        name = f"&{event.anchor}"
        end = self._text.index(name, event.start_mark.index) + len(name)
        if self._text[end : end + 1] in _IN_ANCHORS:
            refuse("An anchor's name is made of letters, digits, '_' and '-' here.", place(event))

    def _put(self, value: Tree, where: Place, height: int) -> None:
        if not self._stack:
            self.root = value
            return
        top = self._stack[-1]
        self.places.setdefault(top.next_pointer(), where)
        top.add(value, where, height)

    def _grow(self, size: int, event: Any) -> None:
        self._count += size
        if self._count > MAX_NODES:
            message = f"The document has more than {MAX_NODES} nodes once aliases are expanded."
            refuse_limit(message, place(event))


def _mappings(value: Tree, where: Place) -> list[dict[str, Tree]]:
    mappings = value if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) for each in mappings):
        refuse("'<<' merges a mapping or a list of mappings.", where)
    return mappings


def _copy(tree: Tree) -> Tree:
    if isinstance(tree, dict):
        return {key: _copy(child) for key, child in tree.items()}
    return [_copy(child) for child in tree] if isinstance(tree, list) else tree
