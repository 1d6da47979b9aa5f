"""Laying out a graph in columns: what a configuration is made of on the left, the rest on the right."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from apps.configs.selectors.neighbourhood import Node, Side, Tie

MOST_DRAWN: Final = 12
"""How many nodes stand in a column."""
WIDTH: Final = 250
HEIGHT: Final = 44
STEP: Final = 60
COLUMN: Final = 335
MARGIN: Final = 10
ARROW: Final = 6
"""All in pixels."""


@dataclass(frozen=True, slots=True)
class Box:
    """A node, how it is tied to what is nearer, and where its left upper corner is."""

    node: Node
    label: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes, the paths of lines, how large it is, and how many nodes have no room in it."""

    own: Box
    boxes: list[Box]
    lines: list[str]
    width: int
    height: int
    more: int


def draw(own: Node, below: Side, above: Side) -> Picture:
    """The columns by distance, each in the middle of the height. A node that lies on both sides is
    drawn on both.
    """
    sides = ([*reversed(below.columns)], above.columns)
    tallest = max((min(len(each), MOST_DRAWN) for side in sides for each in side), default=1)
    height = tallest * STEP
    left = dict(_boxes(sides[0], below, MARGIN, height))
    middle = MARGIN + len(sides[0]) * COLUMN
    right = dict(_boxes(sides[1], above, middle + COLUMN, height))
    centre = Box(own, "", middle, (height - HEIGHT) // 2)
    lines = [
        *_lines(below.ties, {**left, own: centre}),
        *_lines(above.ties, {**right, own: centre}),
    ]
    return Picture(
        own=centre,
        boxes=[*left.values(), *right.values()],
        lines=lines,
        width=middle + len(sides[1]) * COLUMN + WIDTH + MARGIN,
        height=height,
        more=sum(max(0, len(each) - MOST_DRAWN) for side in sides for each in side),
    )


def _boxes(
    columns: list[list[Node]], side: Side, start: int, height: int
) -> Iterator[tuple[Node, Box]]:
    labels: dict[Node, list[str]] = {}
    for tie in side.ties:
        for end in (tie.source, tie.target):
            labels.setdefault(end, []).append(tie.label)
    for index, column in enumerate(columns):
        shown = column[:MOST_DRAWN]
        top = (height - len(shown) * STEP) // 2 + (STEP - HEIGHT) // 2
        for row, node in enumerate(shown):
            yield node, Box(node, labels[node][0], start + index * COLUMN, top + row * STEP)


def _lines(ties: list[Tie], boxes: dict[Node, Box]) -> Iterator[str]:
    for tie in ties:
        source, target = boxes.get(tie.source), boxes.get(tie.target)
        if source is not None and target is not None:
            yield _line(source, target)


def _line(source: Box, target: Box) -> str:
    """A curve from one to the other; in one column around its left, backwards from left to right."""
    begins, ends = source.y + HEIGHT // 2, target.y + HEIGHT // 2
    if source.x < target.x:
        start, end = source.x + WIDTH, target.x - ARROW
        half = (start + end) // 2
        return f"M{start} {begins} C{half} {begins} {half} {ends} {end} {ends}"
    if source.x == target.x:
        bend = source.x - (COLUMN - WIDTH) // 2
        return f"M{source.x} {begins} C{bend} {begins} {bend} {ends} {target.x - ARROW} {ends}"
    start, end = source.x, target.x + WIDTH + ARROW
    half = (start + end) // 2
    return f"M{start} {begins} C{half} {begins} {half} {ends} {end} {ends}"
