"""Lists whose items are known by a member: which item of one is which of the other.

An item keeps its name wherever it stands. The longest run of items that stand in the same order in
both lists stays; every other one that is in both has moved. An item that is gone and one that
is new are the same under another name when the rest of them is equal and no other's, or when they
stand in the same place and more than half of their other members are equal.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from apps.engine.lines import longest_run
from apps.engine.merge import identity
from apps.engine.values import Tree, canonical, same

NEAR: Final = 8
"""How many new items at its place a gone item is held against."""

Named = tuple[type, object]


class Move(NamedTuple):
    """An item that was ``removed``, ``added`` or ``moved``: from an index, to an index (``-1``:
    from or to nowhere). ``at`` is where it is found, in the old list when it was removed.
    """

    kind: str
    origin: int
    goal: int
    at: int


@dataclass(frozen=True, slots=True)
class Matching:
    """Which items are in both lists: ``origins`` gives by index in the new list the one in the old.

    ``renamed`` and ``moved`` are indexes in the new list; ``gone`` in the old one, ascending.
    """

    origins: dict[int, int]
    renamed: frozenset[int]
    moved: frozenset[int]
    gone: tuple[int, ...]
    length: int

    def steps(self) -> Iterator[Move]:
        """What makes the new order of the old, one after the other: what goes, from the back, then
        what comes or moves, in the new order, each with its indexes as the list is then.

        A moving item that waits for its turn stands where it stood; what comes or moves is put
        right behind the item that it follows. The waiting ones are counted in a sorted list.
        """
        for index in reversed(self.gone):
            yield Move("removed", index, -1, index)
        ranks = {origin: rank for rank, origin in enumerate(sorted(self.origins.values()))}
        stays = [index for index in sorted(self.origins) if index not in self.moved]
        fixed = [ranks[self.origins[index]] for index in stays]
        waiting = sorted(ranks[self.origins[index]] for index in self.moved)
        passed = 0
        for index in range(self.length):
            origin = self.origins.get(index)
            if origin is not None and index not in self.moved:
                passed += 1
                continue
            stands = -1
            if origin is not None:
                at = bisect_left(waiting, ranks[origin])
                below = bisect_left(fixed, ranks[origin])  # those that stay and stand before it
                ahead = min(index, stays[below]) if below < len(stays) else index
                stands = at + ahead + max(0, below - passed)
                del waiting[at]
            goal = index + (bisect_left(waiting, fixed[passed - 1]) if passed else 0)
            if stands != goal:
                yield Move("added" if origin is None else "moved", stands, goal, index)


def by_name(items: Any, member: str) -> dict[Named, int] | None:
    """The index of each item by what it is known by; ``None`` for no list, and when two items or
    none are known so.
    """
    if not isinstance(items, list):
        return None
    named = {identity(item, member): index for index, item in enumerate(items)}
    return named if len(named) == len(items) and None not in named else None  # type: ignore[return-value] # no None


def match(old: list[Tree], new: list[Tree], member: str) -> Matching | None:
    """Which item is which; ``None`` where the items are not all known by ``member``, once each."""
    before, after = by_name(old, member), by_name(new, member)
    if before is None or after is None:
        return None
    origins = {index: before[name] for name, index in after.items() if name in before}
    named = set(origins.values())
    gone = [index for index in range(len(old)) if index not in named]
    made = [index for index in range(len(new)) if index not in origins]
    renamed = _alike(_rests(old, gone, member), _rests(new, made, member))
    renamed |= _near((old, new), origins, gone, made, renamed, member)
    origins |= renamed
    order = sorted(origins)
    stays = longest_run([origins[index] for index in order])
    found = set(origins.values())
    return Matching(
        origins,
        frozenset(renamed),
        frozenset(order) - {order[each] for each in stays},
        tuple(index for index in gone if index not in found),
        len(new),
    )


def rest_of(item: Tree, member: str) -> dict[str, Tree]:
    """An item without what it is known by."""
    return {name: value for name, value in item.items() if name != member}


def _rests(items: list[Tree], indexes: Iterable[int], member: str) -> dict[str, int]:
    """The index by the rest of an item, where it is no other's and not empty."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for index in indexes:
        rest = rest_of(items[index], member)
        if rest:
            found[canonical(rest)].append(index)
    return {rest: alike[0] for rest, alike in found.items() if len(alike) == 1}


def _alike(gone: dict[str, int], made: dict[str, int]) -> dict[int, int]:
    return {index: gone[rest] for rest, index in made.items() if rest in gone}


def _near(
    lists: tuple[list[Tree], list[Tree]],
    origins: dict[int, int],
    gone: list[int],
    made: list[int],
    renamed: dict[int, int],
    member: str,
) -> dict[int, int]:
    """Items under another name at the same place: behind the same item, and much the same."""
    old, new = lists
    taken = set(renamed.values())
    places = _behind(made, origins)
    waiting: defaultdict[int, list[int]] = defaultdict(list)
    for index in reversed(made):
        if index not in renamed:
            waiting[places[index]].append(index)
    behind = _behind(gone, {each: each for each in origins.values()})
    found = {}
    for index in gone:
        if index in taken:
            continue
        near = waiting[behind[index]]
        scores = [_likeness(old[index], new[each], member) for each in near[: -NEAR - 1 : -1]]
        best = max(scores, default=0)
        if best > 1 / 2:
            found[near.pop(-1 - scores.index(best))] = index
    return found


def _behind(indexes: Sequence[int], kept: dict[int, int]) -> dict[int, int]:
    """By index the nearest item before it that is kept, as it is known in the old list; else -1."""
    order = sorted(kept)
    found = {}
    for index in indexes:
        at = bisect_left(order, index)
        found[index] = kept[order[at - 1]] if at else -1
    return found


def _likeness(one: Tree, other: Tree, member: str) -> float:
    """The share of members that are equal, the naming one aside."""
    mine, theirs = rest_of(one, member), rest_of(other, member)
    most = max(len(mine), len(theirs))
    equal = sum(name in theirs and same(value, theirs[name]) for name, value in mine.items())
    return equal / most if most else 0
