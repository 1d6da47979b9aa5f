"""Which lines two texts have in common, found in bounded time, and unified hunks of the rest.

``difflib`` alone takes minutes on two texts of a megabyte that share little. Here, common ends
are set aside, then the lines that occur once in both texts are lined up (Bram Cohen's patience
diff), then what is small is compared exactly (longest common subsequence); when the budget is
used up, the rest counts as changed.
"""

import difflib
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

BUDGET: Final = 3_000_000
MAX_CELLS: Final = 1_000_000

Block = tuple[int, int]
"""Index in the old and in the new lines of one common line."""

_LINE = re.compile(r"[^\n]*\n|[^\n]+")


def split(text: str) -> list[str]:
    """The lines with their ends; only a newline ends one."""
    return _LINE.findall(text)


def common_ends(
    old: Sequence[Any], new: Sequence[Any], equal: Callable[[Any, Any], bool]
) -> tuple[int, int]:
    """How many items at the start and, of the others, at the end are equal."""
    shorter = min(len(old), len(new))
    start = 0
    while start < shorter and equal(old[start], new[start]):
        start += 1
    end = 0
    while end < shorter - start and equal(old[-1 - end], new[-1 - end]):
        end += 1
    return start, end


def hunks(old: list[str], new: list[str], context: int = 3) -> Iterator[str]:
    """The unified hunks that turn the lines ``old`` into ``new``."""
    for group in _Matcher(old, new).get_grouped_opcodes(context):
        first, last = group[0], group[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@\n"
        for kind, i1, i2, j1, j2 in group:
            if kind == "equal":
                yield from (_marked(" ", line) for line in old[i1:i2])
                continue
            yield from (_marked("-", line) for line in old[i1:i2])
            yield from (_marked("+", line) for line in new[j1:j2])


class _Matcher(difflib.SequenceMatcher[str]):
    """Opcodes and their grouping from ``difflib``, over our own common lines."""

    def __init__(self, old: list[str], new: list[str]) -> None:
        super().__init__(None, (), ())
        self.a, self.b = old, new

    def get_matching_blocks(self) -> list[difflib.Match]:
        blocks: list[difflib.Match] = []
        for i, j in sorted(_common(self.a, self.b)):
            if blocks and (blocks[-1].a + blocks[-1].size, blocks[-1].b + blocks[-1].size) == (
                i,
                j,
            ):
                blocks[-1] = difflib.Match(blocks[-1].a, blocks[-1].b, blocks[-1].size + 1)
            else:
                blocks.append(difflib.Match(i, j, 1))
        return [*blocks, difflib.Match(len(self.a), len(self.b), 0)]


def _common(old: Sequence[str], new: Sequence[str]) -> Iterator[Block]:
    budget = BUDGET
    waiting = [(0, len(old), 0, len(new))]
    while waiting:
        i1, i2, j1, j2 = waiting.pop()
        start, end = common_ends(old[i1:i2], new[j1:j2], str.__eq__)
        yield from ((i1 + k, j1 + k) for k in range(start))
        yield from ((i2 - 1 - k, j2 - 1 - k) for k in range(end))
        i1, i2, j1, j2 = i1 + start, i2 - end, j1 + start, j2 - end
        cells = (i2 - i1) * (j2 - j1)
        budget -= (i2 - i1) + (j2 - j1)
        if cells == 0 or budget < 0:
            continue
        anchors = [(i1 + i, j1 + j) for i, j in _anchors(old[i1:i2], new[j1:j2])]
        yield from anchors
        if anchors:
            edges = [(i1 - 1, j1 - 1), *anchors, (i2, j2)]
            waiting += [(a + 1, c, b + 1, d) for (a, b), (c, d) in pairwise(edges)]
        elif cells <= min(budget, MAX_CELLS):
            budget -= cells
            yield from ((i1 + i, j1 + j) for i, j in _subsequence(old[i1:i2], new[j1:j2]))


def _anchors(old: Sequence[str], new: Sequence[str]) -> list[Block]:
    """The longest run, in both orders, of lines that occur once in each."""
    counts = Counter(new)
    places = {line: index for index, line in enumerate(new) if counts[line] == 1}
    once = Counter(old)
    pairs = [(i, places[each]) for i, each in enumerate(old) if once[each] == 1 and each in places]
    return [pairs[index] for index in longest_run([j for _i, j in pairs])]


def longest_run(values: Sequence[int]) -> list[int]:
    """The indexes of a longest increasing run of different values, by patience sorting (Fredman,
    "On computing the length of longest increasing subsequences", 1975).
    """
    tails: list[int] = []  # the smallest end of an increasing run of each length
    ends: list[int] = []
    before: list[int] = []
    for index, value in enumerate(values):
        length = bisect_left(tails, value)
        before.append(ends[length - 1] if length else -1)
        tails[length : length + 1], ends[length : length + 1] = [value], [index]
    run = []
    index = ends[-1] if ends else -1
    while index >= 0:
        run.append(index)
        index = before[index]
    return run[::-1]


def _subsequence(old: Sequence[str], new: Sequence[str]) -> Iterator[Block]:
    """A longest common subsequence, by dynamic programming from the back."""
    rows = [[0] * (len(new) + 1)]
    for line in reversed(old):
        below, row = rows[-1], [0] * (len(new) + 1)
        for j in range(len(new) - 1, -1, -1):
            row[j] = below[j + 1] + 1 if line == new[j] else max(below[j], row[j + 1])
        rows.append(row)
    i, j = 0, 0
    while i < len(old) and j < len(new):
        if old[i] == new[j]:
            yield i, j
            i, j = i + 1, j + 1
        elif rows[len(old) - i - 1][j] >= rows[len(old) - i][j + 1]:
            i += 1
        else:
            j += 1


def _range(start: int, stop: int) -> str:
    length = stop - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


def _marked(mark: str, line: str) -> str:
    ending = "" if line.endswith("\n") else "\n\\ No newline at end of file\n"
    return f"{mark}{line}{ending}"
