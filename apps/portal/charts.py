"""The geometry of an experiment's pictures: units by day, and intervals around a line of no change."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from apps.rollouts.results import Day

MOST_BARS: Final = 60
DAYS_WIDTH: Final = 720
DAYS_HEIGHT: Final = 140
GAP: Final = 0.15
"""Of a bar's room."""
PLOT_WIDTH: Final = 360
PLOT_SIDE: Final = 28
"""Half of the widest number under the picture."""
ROW: Final = 46
LINE_AT: Final = 30
"""Where in a row the interval is."""
AXIS: Final = 26
TICKS: Final = 4


@dataclass(frozen=True, slots=True)
class Bar:
    """The units of one variant in one bar; ``index`` is the variant's place, for its colour."""

    x: float
    y: float
    width: float
    height: float
    index: int


@dataclass(frozen=True, slots=True)
class Stack:
    """The bars of some days, the first and the last of them, and the units in words."""

    first: date
    last: date
    units: Mapping[str, int]
    total: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Bars from the first day to the last, ``step`` days each, of which the highest has ``most``."""

    stacks: list[Stack]
    step: int
    most: int
    width: int = DAYS_WIDTH
    height: int = DAYS_HEIGHT


def draw_days(days: Sequence[Day], variants: Sequence[str]) -> Timeline | None:
    """The units first seen on each day, one bar on the other; days without any are empty."""
    if not days:
        return None
    first, last = days[0].day, days[-1].day
    count = (last - first).days + 1
    step = math.ceil(count / MOST_BARS)
    sums: list[dict[str, int]] = [dict.fromkeys(variants, 0) for _ in range(0, count, step)]
    for each in days:
        into = sums[(each.day - first).days // step]
        for name in variants:
            into[name] += each.units.get(name, 0)
    most = max(1, *(sum(units.values()) for units in sums))
    room = DAYS_WIDTH / len(sums)
    stacks = []
    for index, units in enumerate(sums):
        begins = first + timedelta(days=index * step)
        ends = min(begins + timedelta(days=step - 1), last)
        bars = _bars(units, index * room, room, most)
        stacks.append(Stack(begins, ends, units, sum(units.values()), bars))
    return Timeline(stacks, step, most)


def _bars(units: Mapping[str, int], x: float, room: float, most: int) -> tuple[Bar, ...]:
    bars, top = [], float(DAYS_HEIGHT)
    for index, count in enumerate(units.values()):
        height = DAYS_HEIGHT * count / most
        top -= height
        wide = room * (1 - GAP)
        bars.append(
            Bar(_short(x + room * GAP / 2), _short(top), _short(wide), _short(height), index)
        )
    return tuple(each for each in bars if each.height)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A lift to draw, with the ends of its interval, and what is said of it."""

    name: str
    words: str
    lift: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True, slots=True)
class Whisker:
    """An estimate in the picture: the top of its row, its point, and the ends of its line."""

    estimate: Estimate
    top: int
    point: float
    low: float
    high: float

    @property
    def y(self) -> int:
        """Where its line is."""
        return self.top + LINE_AT


@dataclass(frozen=True, slots=True)
class Tick:
    """A number under the picture."""

    x: float
    value: float


@dataclass(frozen=True, slots=True)
class ForestPlot:
    """Estimates under each other, around the line of no change at ``zero``."""

    whiskers: list[Whisker]
    ticks: list[Tick]
    zero: float
    height: int
    width: int = PLOT_WIDTH

    @property
    def foot(self) -> int:
        """Where the axis is."""
        return self.height - AXIS


def draw_forest(estimates: Sequence[Estimate]) -> ForestPlot | None:
    """The picture of one metric; 0 is always in it, and numbers under it are round."""
    if not estimates:
        return None
    ends = [0.0, *(end for each in estimates for end in (each.low, each.high))]
    step = _round_step((max(ends) - min(ends)) or 0.01)
    low = math.floor(min(ends) / step) * step
    high = math.ceil(max(ends) / step) * step
    span = (high - low) or step

    def at(value: float) -> float:
        return _short(PLOT_SIDE + (value - low) / span * (PLOT_WIDTH - 2 * PLOT_SIDE))

    whiskers = [
        Whisker(each, index * ROW, at(each.lift), at(each.low), at(each.high))
        for index, each in enumerate(estimates)
    ]
    count = round(span / step)
    ticks = [Tick(at(low + number * step), low + number * step) for number in range(count + 1)]
    return ForestPlot(whiskers, ticks, at(0), len(estimates) * ROW + AXIS)


def _round_step(span: float) -> float:
    """1, 2 or 5 times a power of ten, so that about ``TICKS`` of them are the span."""
    rough = span / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(each * power for each in (1, 2, 5, 10) if each * power >= rough * 0.999)


def _short(number: float) -> float:
    return round(number, 2)
