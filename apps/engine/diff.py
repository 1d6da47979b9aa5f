"""What differs between two documents: by key, as RFC 6902 patch, as text, and in three ways."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apps.engine import lines
from apps.engine.paths import Path, format_path, pointer
from apps.engine.values import Tree, same


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. ``old`` is meaningless for an added key, ``new`` for a removed one."""

    steps: Path
    kind: str
    old: Tree
    new: Tree

    @property
    def path(self) -> str:
        """The dotted path."""
        return format_path(self.steps)

    @property
    def pointer(self) -> str:
        """The JSON Pointer."""
        return pointer(self.steps)

    def as_dict(self) -> dict[str, Tree]:
        """``{"key","pointer","kind","old"?,"new"?}``; ``kind`` is added, removed or changed."""
        members = {"key": self.path, "pointer": self.pointer, "kind": self.kind}
        if self.kind != "added":
            members["old"] = self.old
        if self.kind != "removed":
            members["new"] = self.new
        return members


def changes(old: Tree, new: Tree) -> list[Change]:
    """The differences by key, in the order of the new document, removed keys first.

    Lists of equal length are compared item by item; of others, the common start and end are set
    aside and what is between is changed, then removed or added. Added and removed objects are
    one change. Made one after the other, in this order, they turn ``old`` into ``new``: an item
    that is removed or added moves the later ones.
    """
    return list(_changes(old, new, ()))


def _changes(old: Tree, new: Tree, path: Path) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old:
            if key not in new:
                yield Change((*path, key), "removed", old[key], None)
        for key in new:
            if key in old:
                yield from _changes(old[key], new[key], (*path, key))
            else:
                yield Change((*path, key), "added", None, new[key])
    elif isinstance(old, list) and isinstance(new, list):
        yield from _list_changes(old, new, path)
    elif not same(old, new):
        yield Change(path, "changed", old, new)


def _list_changes(old: list[Tree], new: list[Tree], path: Path) -> Iterator[Change]:
    start, end = (0, 0) if len(old) == len(new) else lines.common_ends(old, new, same)
    removed, added = old[start : len(old) - end], new[start : len(new) - end]
    both = min(len(removed), len(added))
    for index in range(both):
        yield from _changes(removed[index], added[index], (*path, start + index))
    for index in range(len(removed) - 1, both - 1, -1):  # from the back: indexes stay right
        yield Change((*path, start + index), "removed", removed[index], None)
    for index in range(both, len(added)):
        yield Change((*path, start + index), "added", None, added[index])


def patch(old: Tree, new: Tree) -> list[dict[str, Tree]]:
    """The JSON Patch (RFC 6902) that makes ``new`` of ``old``."""
    operations = {"added": "add", "removed": "remove", "changed": "replace"}
    made = []
    for change in _changes(old, new, ()):
        operation: dict[str, Tree] = {"op": operations[change.kind], "path": change.pointer}
        if change.kind != "removed":
            operation["value"] = change.new
        made.append(operation)
    return made


def changed_keys(old: Tree, new: Tree) -> list[str]:
    """The dotted paths of the leaves that differ, sorted; a list counts as one leaf."""
    return keys_of(_changes(old, new, ()))


def keys_of(found_changes: Iterable[Change]) -> list[str]:
    """The dotted paths of the leaves that changes are about, sorted, as :func:`changed_keys`."""
    found: set[Path] = set()
    for change in found_changes:
        if change.kind != "added":
            found.update(_keys(change.old, change.steps))
        if change.kind != "removed":
            found.update(_keys(change.new, change.steps))
    return sorted(map(format_path, found))


def _keys(tree: Tree, path: Path) -> Iterator[Path]:
    """The leaves of ``tree``, which stands at ``path``; inside of a list: that list."""
    index = next((i for i, step in enumerate(path) if isinstance(step, int)), None)
    return _leaf_keys(tree, path) if index is None else iter((path[:index],))


def _leaf_keys(tree: Tree, path: Path) -> Iterator[Path]:
    if isinstance(tree, dict) and tree:
        for key, child in tree.items():
            yield from _leaf_keys(child, (*path, key))
    else:
        yield path


def unified(old: str, new: str, old_name: str, new_name: str) -> str:
    """The unified diff of two texts, with three lines of context; empty when they are equal.

    It turns the old text into the new one, the end of the last line included. In bounded time:
    where two large texts share little, it shows more as changed than the shortest diff would.
    """
    if old == new:
        return ""
    hunks = lines.hunks(lines.split(old), lines.split(new))
    return "".join([f"--- {old_name}\n+++ {new_name}\n", *hunks])
