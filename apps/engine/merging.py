"""Merging two changes of one document, in three ways: base, ours and theirs.

What one side changed is taken; what both changed alike is taken once; what they changed differently
is a conflict. Objects are merged by key. Lists are merged by the member that names their items,
where there is one (after diff3 by Khanna, Kunal and Pierce, "A Formal Investigation of Diff3",
2007: a change between two unchanged items stays between them); lists of one length by position;
any other two changes of a list are a conflict as a whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from apps.engine.merge import ABSENT, RESERVED, identity
from apps.engine.merge_keys import NO_KEYS, MergeKeys
from apps.engine.paths import Path, pointer
from apps.engine.values import Tree, canonical, same


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
        shown = {name: side for name, side in sides.items() if side is not ABSENT}
        return {"pointer": self.pointer, **shown}


@dataclass(frozen=True, slots=True)
class Merged:
    """What merging gives. Where there is a conflict, ``tree`` has what was chosen, else ours."""

    tree: Tree
    conflicts: list[Conflict] = field(default_factory=list)


def merge_three(
    base: Tree,
    ours: Tree,
    theirs: Tree,
    merge_keys: MergeKeys = NO_KEYS,
    choices: Mapping[str, str] | None = None,
) -> Merged:
    """``ours`` and ``theirs``, whole documents that were both made from ``base``, as one.

    ``merge_keys`` gives, by the path of a list, the member that names its items; ``choices`` which
    side is taken (``base``, ``ours`` or ``theirs``) by the pointer of a conflict, which is none then.
    No argument is changed.
    """
    merging = _Merging(merge_keys, choices or {})
    tree = merging.at(_Sides(base, ours, theirs), ())
    return Merged({} if tree is ABSENT else tree, merging.conflicts)


class _Sides(NamedTuple):
    """One place in the three documents; ``ABSENT``: nothing is there."""

    base: Any
    ours: Any
    theirs: Any


@dataclass(slots=True)
class _Merging:
    """The walk. ``path`` is where it is in ours."""

    merge_keys: MergeKeys
    choices: Mapping[str, str]
    conflicts: list[Conflict] = field(default_factory=list)

    def at(self, sides: _Sides, path: Path) -> Any:
        base, ours, theirs = sides
        if _equal(ours, theirs) or _equal(base, theirs):
            return ours
        if _equal(base, ours):
            return theirs
        if _are_mergeable(sides):
            return self._objects(sides, path)
        if all(isinstance(side, list) for side in (ours, theirs)):
            merged = self._lists(sides, path)
            if merged is not None:
                return merged
        where = pointer(path)
        if where in self.choices:
            return getattr(sides, self.choices[where])
        self.conflicts.append(Conflict(where, base, ours, theirs))
        return ours

    def _objects(self, sides: _Sides, path: Path) -> Tree:
        base = {} if sides.base is ABSENT else sides.base
        merged = {}
        for name in dict.fromkeys([*sides.ours, *sides.theirs, *base]):
            each = _Sides(*(side.get(name, ABSENT) for side in (base, sides.ours, sides.theirs)))
            value = self.at(each, (*path, name))
            if value is not ABSENT:
                merged[name] = value
        return merged

    def _lists(self, sides: _Sides, path: Path) -> list[Tree] | None:
        """The merged list; ``None``: it can only be taken whole."""
        member = self.merge_keys.of(path)
        if member is not None:
            named = [_by_name(side, member) for side in sides]
            if all(each is not None for each in named):
                return self._named(_Sides(*named), path)
        if isinstance(sides.base, list) and len({len(side) for side in sides}) == 1:
            rows = zip(*sides, strict=True)
            return [self.at(_Sides(*row), (*path, i)) for i, row in enumerate(rows)]
        return None

    def _named(self, sides: _Sides, path: Path) -> list[Tree] | None:
        order = _merged_order(*(list(side) for side in sides))
        if order is None:
            return None
        merged = []
        places = {name: index for index, name in enumerate(sides.ours)}
        for name in order:
            each = _Sides(*(side.get(name, ABSENT) for side in sides))
            index = places.get(name, len(places))
            value = self.at(each, (*path, index))
            if value is not ABSENT:
                merged.append(value)
        return merged


Named = tuple[type, object]


def _by_name(side: Any, member: str) -> dict[Named, Tree] | None:
    """The items of a list by what they are known by; ``None`` when two or none are known so."""
    items = [] if side is ABSENT else side
    if not isinstance(items, list):
        return None
    named = {identity(item, member): item for item in items}
    return named if len(named) == len(items) and None not in named else None  # type: ignore[return-value] # no None


def _merged_order(base: list[Named], ours: list[Named], theirs: list[Named]) -> list[Named] | None:
    """All names in order, those of removed items too; ``None`` when both sides moved items."""
    common = set(base) & set(ours) & set(theirs)
    was, mine, other = ([name for name in side if name in common] for side in (base, ours, theirs))
    if mine not in (was, other) and other != was:
        return None
    kept = mine if other == was else other
    both_made = (set(ours) & set(theirs)) - common
    after: dict[Named | None, list[list[Named]]] = {}
    runs = [dict(_runs(side, common)) for side in (ours, theirs)]
    for anchor in (None, *kept):
        mine, other = (run[anchor] for run in runs)
        if mine == other:
            after[anchor] = [mine]
        elif not both_made.isdisjoint(mine):
            return None  # both sides made it, beside different others
        else:
            after[anchor] = [mine, other]
    order: list[Named] = []
    for anchor in (None, *kept):
        if anchor is not None:
            order.append(anchor)
        for run in sorted(
            after.get(anchor, []), key=lambda run: canonical([str(n[1]) for n in run])
        ):
            order += run
    return order if len(set(order)) == len(order) else None


def _runs(side: Sequence[Named], common: set[Named]) -> list[tuple[Named | None, list[Named]]]:
    """What stands between the common items: what it comes after, and its names."""
    runs: list[tuple[Named | None, list[Named]]] = [(None, [])]
    for name in side:
        if name in common:
            runs.append((name, []))
        else:
            runs[-1][1].append(name)
    return runs


def _are_mergeable(sides: _Sides) -> bool:
    """Whether three objects can be taken key by key: ordinary ones, or all the same marker."""
    base, ours, theirs = sides
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        return False
    if not (base is ABSENT or isinstance(base, dict)):
        return False
    return ours.keys() & RESERVED == theirs.keys() & RESERVED


def _equal(left: Any, right: Any) -> bool:
    if left is ABSENT or right is ABSENT:
        return left is right
    return same(left, right)
