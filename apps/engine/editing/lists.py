"""Which items of a list are which of another."""

from difflib import SequenceMatcher
from typing import Final

from apps.engine.values import Tree, canonical

MAX_COMPARED: Final = 100_000  # pairs of items of two lists


def followers(
    current: list[Tree], wanted: list[Tree]
) -> tuple[list[int | None], dict[int, list[int]]]:
    """For each item of ``current`` its index in ``wanted`` or ``None``; and the indices of what is new in
    ``wanted`` by the index that it stands behind, -1 being the front.

    Items that are equal in both are found first; of what differs between two of them, the items
    become each other in their order.
    """
    places: list[int | None] = [None] * len(current)
    fresh: dict[int, list[int]] = {}
    old = new = 0
    for first, beyond, begin, end in [
        *blocks(current, wanted),
        (len(current),) * 2 + (len(wanted),) * 2,
    ]:
        while old < first:
            places[old] = new
            old, new = old + 1, new + 1
        paired = min(beyond - first, end - begin)
        for step in range(paired):
            places[first + step] = begin + step
        if end > begin + paired:
            fresh[first + paired - 1] = list(range(begin + paired, end))
        old, new = beyond, end
    return places, fresh


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
