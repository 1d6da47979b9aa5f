"""Changing a YAML text where a document differs, and nowhere else."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from apps.engine.editing import yaml_blocks, yaml_brackets
from apps.engine.editing.lists import follow
from apps.engine.editing.yaml_layout import layout_of
from apps.engine.editing.yaml_nodes import ALIAS, LIST, MAPPING, OPAQUE, Entry, Node, compose
from apps.engine.editing.yaml_sheet import COMMENT, Added, Sheet
from apps.engine.formats.yaml_writing import render
from apps.engine.values import Tree, same

_GONE: Final = object()  # what an anchor names that is there no more
_ANY_COMMENT: Final = re.compile(r"(?:^|[ \t])#", re.MULTILINE)
_LONE_RETURN: Final = re.compile(r"\r(?!\n)")


def edit(text: str, current: Tree, wanted: Tree) -> Iterator[tuple[str, bool]]:
    """``text``, which reads as ``current``, changed to read as ``wanted``, in the ways that may do, the best
    first; and whether comments were lost with a notation of which nothing inside is edited.

    Who calls takes the first that reads so: notations are many.
    """
    if _LONE_RETURN.search(text):
        return
    root = compose(text)
    if root is None:
        yield f"{text.rstrip()}\n{render(wanted)}".lstrip("\n") if wanted else text, False
        return
    layout = layout_of(root, text)
    for each in (layout, replace(layout, blocks=False)):  # what follows may read as a block's own
        change = _Change(Sheet(text, each))
        try:
            change.root(root, current, wanted)
        except ValueError:
            return
        yield change.sheet.applied(), change.comments_lost


@dataclass(slots=True)
class _Change:
    """Walks the nodes in their order, and notes on the sheet what is replaced.

    ``anchors`` are what each name stands for once the text is changed.
    """

    sheet: Sheet
    anchors: dict[str, Any] = field(default_factory=dict)
    comments_lost: bool = False

    def root(self, node: Node, current: Tree, wanted: Tree) -> None:
        """Change the document."""
        if node.kind == MAPPING and current and wanted:
            self._mapping(node, current, wanted)
        elif node.kind == MAPPING and not wanted and not node.flow:
            self.sheet.replace(node.entries[0].start, self.sheet.tail(node.entries[-1]), "{}")
        elif not same(current, wanted):
            self._note(node)
            self.sheet.replace(node.start, node.end, render(wanted).rstrip("\n"))

    def _visit(self, node: Node, entry: Entry, current: Tree, wanted: Tree) -> None:
        """Make the value of an entry of ``node`` the one that is wanted."""
        value = entry.value
        self._name(entry.key_anchor, entry.key)
        inside = type(current) is type(wanted) and bool(current) and bool(wanted)
        if value.kind == ALIAS:
            named = self.anchors.get(value.name, _GONE)
            if named is _GONE or not same(named, wanted):
                self._write(node, entry, wanted)
            return
        if value.kind == MAPPING and inside:
            self._mapping(value, current, wanted)
        elif value.kind == LIST and inside:
            self._list(value, current, wanted)
        elif not same(current, wanted):
            if value.kind == OPAQUE and inside:
                self._note(value)
            self._write(node, entry, wanted)
        self._name(value.name, wanted)

    def _note(self, node: Node) -> None:
        """A collection is written anew, though it was to be changed inside."""
        self.comments_lost |= bool(COMMENT.search(self.sheet.text, node.start, node.end))

    def _note_merges(self, node: Node, current: Any, wanted: Any) -> None:
        """Where something that ``<<`` brought is written out, the comments beside it are lost."""
        merged = set(current) - {entry.key for entry in node.entries}
        if merged.isdisjoint(wanted):
            return
        for index, entry in enumerate(node.entries):
            if entry.merges and not node.flow:
                start, end = self.sheet.head(node, index), self.sheet.tail(entry)
                self.comments_lost |= bool(_ANY_COMMENT.search(self.sheet.text, start, end))

    def _name(self, name: str, value: Any) -> None:
        if name:
            self.anchors[name] = value

    def _mapping(self, node: Node, current: Any, wanted: Any) -> None:
        offered: dict[str, Tree] | None = {}
        stays = []
        for entry in node.entries:
            if entry.merges:
                offered = self._offered(entry, offered)
            elif entry.key in wanted:
                self._visit(node, entry, current[entry.key], wanted[entry.key])
            stays.append(entry.merges or entry.key in wanted)
        if offered is None or any(key not in wanted for key in offered):
            offered = {}  # nothing is merged any more: what stays of it is written out
            self._note_merges(node, current, wanted)
            merges = [entry.merges for entry in node.entries]
            stays = [stay and not merge for stay, merge in zip(stays, merges, strict=True)]
        own = {entry.key: index for index, entry in enumerate(node.entries) if not entry.merges}
        behind = max((index for index, stay in enumerate(stays) if stay), default=-1)
        added: Added = {}
        for key, value in wanted.items():
            if key in own:
                behind = own[key]
            elif key not in offered or not same(offered[key], value):
                added.setdefault(behind, []).append((key, value))
        self._change(node, stays, added)

    def _offered(self, entry: Entry, before: dict[str, Tree] | None) -> dict[str, Tree] | None:
        """What ``<<`` brings once all is changed; ``None`` where it is not known."""
        value = entry.value
        sources = [each.value for each in value.entries] if value.kind == LIST else [value]
        offered = before
        for source in sources:
            named = self.anchors.get(source.name) if source.kind == ALIAS else None
            if not isinstance(named, dict) or offered is None:
                return None
            offered = {**named, **offered}
        return offered

    def _list(self, node: Node, current: Any, wanted: Any) -> None:
        found = follow(current, wanted)
        for index, (entry, place) in enumerate(zip(node.entries, found.places, strict=True)):
            if place is not None:
                self._visit(node, entry, current[index], wanted[place])
        added: Added = {
            index: [(found.moved.get(place), wanted[place]) for place in placed]
            for index, placed in found.fresh.items()
        }
        self._change(node, [place is not None for place in found.places], added)

    def _change(self, node: Node, stays: list[bool], added: Added) -> None:
        """Take away the entries that do not stay; add what comes new."""
        if all(stays) and not added:
            return
        change = yaml_brackets.change if node.flow else yaml_blocks.change
        change(self.sheet, node, stays, added)

    def _write(self, node: Node, entry: Entry, wanted: Tree) -> None:
        write = yaml_brackets.write if node.flow else yaml_blocks.write
        write(self.sheet, entry, wanted)
