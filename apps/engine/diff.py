"""What differs between two documents: by key, as RFC 6902 patch, as text, and in three ways."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from apps.engine import items, lines
from apps.engine.items import Matching, Move
from apps.engine.merge_keys import NO_KEYS, MergeKeys
from apps.engine.paths import Path, format_path, pointer
from apps.engine.values import Tree, same


class Item(NamedTuple):
    """The item of a list that a change is about: the member that it is known by, and its name."""

    member: str
    name: Tree


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. ``old`` is meaningless for an added key, ``new`` for a removed one, both for
    an item that ``moved``: from the index ``origin`` to where ``steps`` end. ``item`` is what it is
    about, or in, of a list whose items are known by a member.
    """

    steps: Path
    kind: str
    old: Tree
    new: Tree
    item: Item | None = None
    origin: int = -1

    @property
    def path(self) -> str:
        """The dotted path."""
        return format_path(self.steps)

    @property
    def pointer(self) -> str:
        """The JSON Pointer."""
        return pointer(self.steps)

    @property
    def reach(self) -> Path:
        """What may read differently after it: for an item that came, went or moved its whole list,
        where others stand at other indexes now.
        """
        shifts = self.kind in SHIFTING and self.steps and isinstance(self.steps[-1], int)
        return self.steps[:-1] if shifts else self.steps

    def as_dict(self) -> dict[str, Tree]:
        """``{"key","pointer","kind","old"?,"new"?,"from"?,"to"?,"item"?}``.

        ``kind`` is added, removed, changed, and by name in lists: moved and renamed. An item that
        moved has its indexes in both lists (``from``, ``to``) for values; ``item`` is
        ``{"name": "web"}``, say.
        """
        members: dict[str, Tree] = {"key": self.path, "pointer": self.pointer, "kind": self.kind}
        if self.kind == "moved":
            members |= {"from": self.origin, "to": self.steps[-1]}
        elif self.kind != "added":
            members["old"] = self.old
        if self.kind not in ("removed", "moved"):
            members["new"] = self.new
        if self.item is not None:
            members["item"] = {self.item.member: self.item.name}
        return members


SHIFTING: Final = ("added", "removed", "moved")


def changes(old: Tree, new: Tree, merge_keys: MergeKeys = NO_KEYS) -> list[Change]:
    """The differences by key, in the order of the new document, removed keys first.

    A list whose path is in ``merge_keys``, and whose items are all known by the member given there,
    is compared by their names: each item is removed, added, moved or the same, under another name
    maybe, and compared in itself. Other lists of equal length are compared item by item; of others,
    the common start and end are set aside and what is between is changed, then removed or added.
    Added and removed objects are one change.

    What is removed stands where it was, everything else where it is. Who takes out what was
    removed or moved, puts in what was added or moved in the order of indexes, and then changes and
    renames, has turned ``old`` into ``new``.
    """
    return list(_Walk(merge_keys).changes(old, new, ()))


@dataclass(frozen=True)
class _Walk:
    """The walk through both documents; ``item`` is what it is in."""

    merge_keys: MergeKeys
    item: Item | None = None

    def changes(self, old: Tree, new: Tree, path: Path) -> Iterator[Change]:
        if isinstance(old, dict) and isinstance(new, dict):
            yield from self._members(old, new, path)
        elif isinstance(old, list) and isinstance(new, list):
            member = self.member(path)
            matching = items.match(old, new, member) if member else None
            if member and matching:
                yield from self._by_name(old, new, path, member, matching)
            else:
                yield from self._by_index(old, new, path)
        elif not same(old, new):
            yield Change(path, "changed", old, new, self.item)

    def _members(self, old: dict[str, Tree], new: dict[str, Tree], path: Path) -> Iterator[Change]:
        for key, before in old.items():
            if key not in new:
                yield Change((*path, key), "removed", before, None, self.item)
        for key, after in new.items():
            if key in old:
                yield from self.changes(old[key], after, (*path, key))
            else:
                yield Change((*path, key), "added", None, after, self.item)

    def member(self, path: Path) -> str | None:
        """What the items of the list at ``path`` are known by."""
        return self.merge_keys.of(path)

    def _by_index(self, old: list[Tree], new: list[Tree], path: Path) -> Iterator[Change]:
        start, end = (0, 0) if len(old) == len(new) else lines.common_ends(old, new, same)
        removed, added = old[start : len(old) - end], new[start : len(new) - end]
        both = min(len(removed), len(added))
        for index in range(both):
            yield from self.changes(removed[index], added[index], (*path, start + index))
        for index in range(len(removed) - 1, both - 1, -1):  # from the back: indexes stay right
            yield Change((*path, start + index), "removed", removed[index], None, self.item)
        for index in range(both, len(added)):
            yield Change((*path, start + index), "added", None, added[index], self.item)

    def _by_name(
        self, old: list[Tree], new: list[Tree], path: Path, member: str, matching: Matching
    ) -> Iterator[Change]:
        for kind, origin, goal, at in self.order(matching):
            side = old if kind == "removed" else new
            item = Item(member, side[at][member])
            before, after = (side[at] if kind == each else None for each in ("removed", "added"))
            steps = (*path, origin if kind == "removed" else goal)
            yield Change(steps, kind, before, after, item, origin)
        for index, origin in sorted(matching.origins.items()):
            yield from self._in_item(old[origin], new[index], (*path, index), member)

    def order(self, matching: Matching) -> Iterator[Move]:
        """What came, went and moved, each with its index in the old list and in the new one."""
        for index in reversed(matching.gone):
            yield Move("removed", index, -1, index)
        for index in range(matching.length):
            origin = matching.origins.get(index)
            if origin is None:
                yield Move("added", -1, index, index)
            elif index in matching.moved:
                yield Move("moved", origin, index, index)

    def _in_item(self, old: Tree, new: Tree, path: Path, member: str) -> Iterator[Change]:
        item = Item(member, new[member])
        if not same(old[member], new[member]):
            yield Change((*path, member), "renamed", old[member], new[member], item)
            old, new = items.rest_of(old, member), items.rest_of(new, member)
        yield from replace(self, item=item).changes(old, new, path)


class _OrderedWalk(_Walk):
    """The same, with the indexes that items have when the changes are made one after the other."""

    def order(self, matching: Matching) -> Iterator[Move]:
        """What came, went and moved, each with its indexes as the list is then."""
        yield from matching.steps()


def patch(old: Tree, new: Tree, merge_keys: MergeKeys = NO_KEYS) -> list[dict[str, Tree]]:
    """The JSON Patch (RFC 6902) that makes ``new`` of ``old``, with ``move`` for items that moved in
    lists of ``merge_keys``, which are as in :func:`changes`.
    """
    return [_operation(change) for change in _OrderedWalk(merge_keys).changes(old, new, ())]


OPERATIONS: Final = {
    "added": "add",
    "removed": "remove",
    "changed": "replace",
    "renamed": "replace",
    "moved": "move",
}


def _operation(change: Change) -> dict[str, Tree]:
    operation: dict[str, Tree] = {"op": OPERATIONS[change.kind], "path": change.pointer}
    if change.kind == "moved":
        operation["from"] = pointer((*change.steps[:-1], change.origin))
    elif change.kind != "removed":
        operation["value"] = change.new
    return operation


def changed_keys(old: Tree, new: Tree) -> list[str]:
    """The dotted paths of the leaves that differ, sorted; a list counts as one leaf."""
    return keys_of(changes(old, new))


def keys_of(found_changes: Iterable[Change]) -> list[str]:
    """The dotted paths of the leaves that changes are about, sorted, as :func:`changed_keys`."""
    return sorted({format_path(path) for path, _is_list in _touched(found_changes)})


def lists_of(found_changes: Iterable[Change]) -> list[str]:
    """Those of :func:`keys_of` where a list stood or stands, an empty one too."""
    return sorted({format_path(path) for path, is_list in _touched(found_changes) if is_list})


def _touched(found_changes: Iterable[Change]) -> Iterator[tuple[Path, bool]]:
    """Every leaf, before and after, and whether it is a list."""
    for change in found_changes:
        if change.kind != "added":
            yield from _keys(change.old, change.steps)
        if change.kind != "removed":
            yield from _keys(change.new, change.steps)


def _keys(tree: Tree, path: Path) -> Iterator[tuple[Path, bool]]:
    """The leaves of ``tree``, which stands at ``path``; inside of a list: that list."""
    index = next((i for i, step in enumerate(path) if isinstance(step, int)), None)
    return _leaf_keys(tree, path) if index is None else iter(((path[:index], True),))


def _leaf_keys(tree: Tree, path: Path) -> Iterator[tuple[Path, bool]]:
    if isinstance(tree, dict) and tree:
        for key, child in tree.items():
            yield from _leaf_keys(child, (*path, key))
    else:
        yield path, isinstance(tree, list)


def unified(old: str, new: str, old_name: str, new_name: str) -> str:
    """The unified diff of two texts, with three lines of context; empty when they are equal.

    It turns the old text into the new one, the end of the last line included. In bounded time:
    where two large texts share little, it shows more as changed than the shortest diff would.
    """
    if old == new:
        return ""
    hunks = lines.hunks(lines.split(old), lines.split(new))
    return "".join([f"--- {old_name}\n+++ {new_name}\n", *hunks])
