"""What differs between two documents: by key, as RFC 6902 patch, as text, and in three ways."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from apps.engine.paths import Path, format_path, leaves, pointer
from apps.engine.values import Tree, same

ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. ``old`` is meaningless for an added key, ``new`` for a removed one."""

    path: Path
    kind: str
    old: Tree
    new: Tree

    @property
    def key(self) -> str:
        """The dotted path."""
        return format_path(self.path)

    @property
    def pointer(self) -> str:
        """The JSON Pointer."""
        return pointer(self.path)

    def as_dict(self) -> dict[str, Tree]:
        """``{"key","pointer","kind","old"?,"new"?}``; ``kind`` is added, removed or changed."""
        members = {"key": self.key, "pointer": self.pointer, "kind": self.kind}
        if self.kind != "added":
            members["old"] = self.old
        if self.kind != "removed":
            members["new"] = self.new
        return members


@dataclass(frozen=True, slots=True)
class Conflict:
    """A place that both sides changed differently; a side that has nothing there is absent."""

    pointer: str
    base: Any
    ours: Any
    theirs: Any

    def as_dict(self) -> dict[str, Tree]:
        """``{"pointer","base"?,"ours"?,"theirs"?}``."""
        sides = {"base": self.base, "ours": self.ours, "theirs": self.theirs}
        present = {name: value for name, value in sides.items() if value is not ABSENT}
        return {"pointer": self.pointer, **present}


def changes(old: Tree, new: Tree) -> list[Change]:
    """The differences by key, in the order of the new document, removed keys first.

    Lists of equal length are compared item by item; of others, the common start and end are set
    aside and what is between is removed or added. Added and removed objects are one change.
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
    if len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _changes(left, right, (*path, index))
        return
    start, end = _common(old, new)
    removed, added = old[start : len(old) - end], new[start : len(new) - end]
    both = min(len(removed), len(added))
    for index in range(both):
        yield from _changes(removed[index], added[index], (*path, start + index))
    for index in range(len(removed) - 1, both - 1, -1):  # from the back: indexes stay right
        yield Change((*path, start + index), "removed", removed[index], None)
    for index in range(both, len(added)):
        yield Change((*path, start + index), "added", None, added[index])


def _common(old: list[Tree], new: list[Tree]) -> tuple[int, int]:
    """How many items at the start and at the end are the same."""
    shorter = min(len(old), len(new))
    start = 0
    while start < shorter and same(old[start], new[start]):
        start += 1
    end = 0
    while end < shorter - start and same(old[-1 - end], new[-1 - end]):
        end += 1
    return start, end


def patch(old: Tree, new: Tree) -> list[dict[str, Tree]]:
    """The JSON Patch (RFC 6902) that makes ``new`` of ``old``."""
    operations = {"added": "add", "removed": "remove", "changed": "replace"}
    made = []
    for change in changes(old, new):
        operation: dict[str, Tree] = {"op": operations[change.kind], "path": change.pointer}
        if change.kind != "removed":
            operation["value"] = change.new
        made.append(operation)
    return made


def changed_keys(old: Tree, new: Tree) -> list[str]:
    """The dotted paths of the leaves that differ, sorted; a list counts as one leaf."""
    found: set[str] = set()
    for change in changes(old, new):
        side = change.old if change.kind == "removed" else change.new
        found.update(_without_index((*change.path, *inner)) for inner, _leaf in leaves(side))
        if change.kind == "changed":
            found.update(_without_index((*change.path, *i)) for i, _leaf in leaves(change.old))
    return sorted(found)


def _without_index(path: Path) -> str:
    steps: list[str | int] = []
    for step in path:
        if isinstance(step, int):
            break
        steps.append(step)
    return format_path(tuple(steps))


def unified(old: str, new: str, old_name: str, new_name: str) -> str:
    """The unified diff of two texts, with three lines of context; empty when they are equal."""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), old_name, new_name
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def overlapping(base: Tree, ours: Tree, theirs: Tree) -> list[Conflict]:
    """The places that both sides changed since ``base``, differently, at their smallest.

    The same change on both sides is none; a change inside of what the other side removed or
    replaced is one, at the place of the larger change.
    """
    return list(_overlaps(base, ours, theirs, ()))


def _overlaps(base: Any, ours: Any, theirs: Any, path: Path) -> Iterator[Conflict]:
    if _equal(ours, theirs) or _equal(base, ours) or _equal(base, theirs):
        return
    if isinstance(ours, dict) and isinstance(theirs, dict):
        below = base if isinstance(base, dict) else {}
        for key in dict.fromkeys([*below, *ours, *theirs]):
            before, mine = below.get(key, ABSENT), ours.get(key, ABSENT)
            yield from _overlaps(before, mine, theirs.get(key, ABSENT), (*path, key))
        return
    if _are_equally_long(base, ours, theirs):
        for index, before in enumerate(base):
            yield from _overlaps(before, ours[index], theirs[index], (*path, index))
        return
    yield Conflict(pointer(path), base, ours, theirs)


def _are_equally_long(*sides: Any) -> bool:
    return all(isinstance(side, list) and len(side) == len(sides[0]) for side in sides)


def _equal(left: Any, right: Any) -> bool:
    if left is ABSENT or right is ABSENT:
        return left is right
    return same(left, right)
