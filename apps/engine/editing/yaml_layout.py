"""Writing values into a YAML text in the layout that the text has."""

from dataclasses import dataclass
from typing import Final

from apps.engine.editing.yaml_nodes import LIST, MAPPING, Node
from apps.engine.formats.yaml_writing import render_flow, render_key, render_scalar
from apps.engine.values import Tree

DEFAULT_STEP: Final = 2


@dataclass(frozen=True, slots=True)
class Lines:
    """A value written in block style: ``first`` on the line of its key or dash, ``rest`` below, indented from there."""

    first: str
    rest: list[str]

    def below(self, indent: int) -> list[str]:
        """All lines, the first without the indent that it stands at already."""
        return [self.first, *(" " * indent + line if line else line for line in self.rest)]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a text is indented: ``step`` columns for a mapping in a mapping, ``offset`` for the dash below a key.
    Without ``blocks`` text of several lines is in quotes.
    """

    step: int = DEFAULT_STEP
    offset: int = 0
    blocks: bool = True

    def member(self, key: str, value: Tree) -> Lines:
        """``key: value``."""
        written = self.value(value)
        return Lines(f"{render_key(key)}: {written.first}".rstrip(), written.rest)

    def item(self, value: Tree) -> Lines:
        """``- value``, a collection beginning in the dash's line."""
        written = self.beside_dash(value)
        return Lines(f"- {written.first}", written.rest)

    def value(self, value: Tree, style: str = "") -> Lines:
        """What stands behind ``key:``."""
        if isinstance(value, dict) and value:
            return Lines("", self._members(value, self.step))
        if isinstance(value, list) and value:
            lines = [line for each in value for line in self.item(each).below(0)]
            return Lines("", [" " * self.offset + line if line else line for line in lines])
        return self._scalar(value, style)

    def beside_dash(self, value: Tree, style: str = "") -> Lines:
        """What stands behind ``-``."""
        if isinstance(value, dict) and value:
            first, *rest = self._members(value, DEFAULT_STEP)
            return Lines(first.removeprefix(" " * DEFAULT_STEP), rest)
        if isinstance(value, list) and value:
            first, *rest = [line for each in value for line in self.item(each).below(0)]
            return Lines(first, [" " * DEFAULT_STEP + line if line else line for line in rest])
        return self._scalar(value, style)

    def _members(self, value: dict[str, Tree], indent: int) -> list[str]:
        lines = [line for key, child in value.items() for line in self.member(key, child).below(0)]
        return [" " * indent + line if line else line for line in lines]

    def _scalar(self, value: Tree, style: str) -> Lines:
        if isinstance(value, (dict, list)):
            return Lines(render_flow(value), [])
        if isinstance(value, str) and "\n" in value and not self.blocks:
            style = '"'
        first, *rest = render_scalar(value, style)
        return Lines(first, rest)


def layout_of(root: Node, text: str) -> Layout:
    """The layout that the first nested collections of a text show."""
    step = offset = -1
    waiting = [root]
    while waiting and (step < 0 or offset < 0):
        node = waiting.pop(0)
        for entry in node.entries:
            inner = entry.value
            if inner.block and inner.entries and node.kind == MAPPING and not node.flow:
                distance = column(text, inner.entries[0].start) - column(text, entry.start)
                step = distance if inner.kind == MAPPING and step < 0 else step
                offset = distance if inner.kind == LIST and offset < 0 else offset
            waiting.append(inner)
    return Layout(step if step > 0 else DEFAULT_STEP, max(offset, 0))


def column(text: str, offset: int) -> int:
    """The column of an offset, from 0."""
    return offset - text.rfind("\n", 0, offset) - 1
