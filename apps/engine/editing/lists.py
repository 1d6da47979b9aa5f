"""Which items of a list are which of another."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from apps.engine.paths import leaves
from apps.engine.values import Tree, canonical

MAX_COMPARED: Final = 100_000  # pairs of items of two lists


@dataclass(frozen=True, slots=True)
class Follow:
    """``places``: for each item of the one list its index in the other, or ``None``; ``fresh``: the indices of
    what comes new there by the index that it stands behind here, -1 being the front; ``moved``: where what
    comes new was before, if it is the same.
    """

    places: list[int | None]
    fresh: dict[int, list[int]]
    moved: dict[int, int]


def follow(current: list[Tree], wanted: list[Tree]) -> Follow:
    """Items that are equal in both are found first, wherever they are; the others that stand between two of
    them become each other.
    """
    found = blocks(current, wanted)
    moved = _moved(current, wanted, found)
    gone = set(moved.values())
    places: list[int | None] = [None] * len(current)
    fresh: dict[int, list[int]] = {}
    old = new = 0
    end = (len(current), len(current), len(wanted), len(wanted))
    for first, beyond, begin, until in [*found, end]:
        while old < first:
            places[old] = new
            old, new = old + 1, new + 1
        pairs = _pairs(
            {at: current[at] for at in range(first, beyond) if at not in gone},
            {at: wanted[at] for at in range(begin, until) if at not in moved},
        )
        behind = first - 1
        for at in range(begin, until):
            if at in pairs:
                behind = pairs[at]
                places[behind] = at
            else:
                fresh.setdefault(behind, []).append(at)
        old, new = beyond, until
    return Follow(places, fresh, moved)


def _pairs(olds: dict[int, Tree], news: dict[int, Tree]) -> dict[int, int]:
    """Which of ``olds`` become which of ``news``, by the index of these, in their order: all of them where they
    are as many, else those that hold something in common.
    """
    if len(olds) == len(news):
        return dict(zip(news, olds, strict=True))
    held = {at: _held(tree) for at, tree in olds.items()}
    waiting = list(olds)
    pairs = {}
    for at, tree in news.items():
        holds = _held(tree)
        found = next((each for each in waiting if not holds.isdisjoint(held[each])), None)
        if found is not None:
            pairs[at] = found
            waiting = waiting[waiting.index(found) + 1 :]
    return pairs


def _held(tree: Tree) -> set[str]:
    """The values in a collection; of all others one and the same."""
    if not isinstance(tree, (dict, list)):
        return {""}
    return {canonical(value) for _path, value in leaves(tree)}


def _moved(
    current: list[Tree], wanted: list[Tree], found: list[tuple[int, int, int, int]]
) -> dict[int, int]:
    """Of the stretches that differ: the index in ``wanted`` of what is elsewhere in ``current``, and that."""
    before: dict[str, list[int]] = {}
    for first, beyond, _begin, _end in found:
        for at in range(first, beyond):
            before.setdefault(canonical(current[at]), []).append(at)
    moved = {}
    for _first, _beyond, begin, end in found:
        for at in range(begin, end):
            known = before.get(canonical(wanted[at]))
            if known:
                moved[at] = known.pop(0)
    return moved


def blocks(current: list[Tree], wanted: list[Tree]) -> list[tuple[int, int, int, int]]:
    """The stretches that differ: from and to in ``current``, then in ``wanted``."""
    old, new = ([canonical(each) for each in items] for items in (current, wanted))
    start, least = 0, min(len(old), len(new))
    while start < least and old[start] == new[start]:
        start += 1
    tail = 0
    while tail < least - start and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    one, other = old[start : len(old) - tail], new[start : len(new) - tail]
    if len(one) * len(other) > MAX_COMPARED:
        return [(start, start + len(one), start, start + len(other))]
    codes = SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    return [
        (start + i1, start + i2, start + j1, start + j2)
        for tag, i1, i2, j1, j2 in codes
        if tag != "equal"
    ]
