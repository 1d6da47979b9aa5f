"""What is known of the units of one variant, for one metric, and the intervals told about it."""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

LARGEST_TOTAL: Final = 1e150
"""Totals beyond it have squares that no float holds."""
LARGEST_OF_CUBES: Final = 1e225
"""What cubes add up to at most, where their squares add up to the largest total."""
ROUNDING: Final = 1e-12
"""The share of the mean square below which a variance is taken for rounding of the totals."""


class Interval(NamedTuple):
    """Both ends belong to it; in the unit of what it is told of."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Conversions:
    """How many ``units`` saw the variant, and how many of them converted, each at most once.

    Raises ``ValueError`` for counts that cannot be.
    """

    units: int
    conversions: int

    def __post_init__(self) -> None:
        if not 0 <= self.conversions <= self.units:
            raise ValueError("Conversions are counted among the units, each unit at most once.")

    @property
    def mean(self) -> float | None:
        """The conversion rate, 0 to 1; ``None`` without units."""
        return self.conversions / self.units if self.units else None


@dataclass(frozen=True, slots=True)
class Values:
    """How many ``units`` saw the variant, the sum of their values, of the squares and of the cubes of
    these.

    A unit without a value adds 0 to all sums; ``zeros`` counts those whose value is 0. ``total`` is in
    the metric's unit, such as euros. Without the ``total_of_cubes`` values count as symmetric. Raises
    ``ValueError`` for counts that cannot be and for totals that are not finite or above 1e150, of
    cubes 1e225.
    """

    units: int
    total: float
    total_of_squares: float
    zeros: int = 0
    total_of_cubes: float | None = None

    def __post_init__(self) -> None:
        if self.units < 0 or self.total_of_squares < 0:
            raise ValueError("Counts and sums of squares are not negative.")
        if not 0 <= self.zeros <= self.units:
            raise ValueError("Zeros are counted among the units.")
        if not all(abs(sum_) <= LARGEST_TOTAL for sum_ in (self.total, self.total_of_squares)):
            raise ValueError("Totals are finite, and at most 1e150.")
        if not abs(self.total_of_cubes or 0.0) <= LARGEST_OF_CUBES:
            raise ValueError("Totals of cubes are finite, and at most 1e225.")
        if not self.units and (self.total or self.total_of_squares or self.total_of_cubes):
            raise ValueError("Without units there is nothing to sum.")

    @property
    def mean(self) -> float | None:
        """The mean per unit, in the metric's unit; ``None`` without units."""
        return self.total / self.units if self.units else None

    @property
    def variance(self) -> float | None:
        """The sample variance of one unit's value, in the metric's unit squared; ``None`` for
        less than two units. 0 also where the sums cannot tell it from their rounding.
        """
        if self.units < 2:  # noqa: PLR2004 - one unit has no spread
            return None
        around_mean = self.total_of_squares - self.total * (self.total / self.units)
        if around_mean <= ROUNDING * self.total_of_squares:
            return 0.0
        return around_mean / (self.units - 1)

    @property
    def valued(self) -> int:
        """How many units have a value other than 0."""
        return self.units - self.zeros

    @property
    def skewness(self) -> float:
        """Of one unit's value: the third moment around the mean, in standard deviations cubed, and at
        most the root of the units in size. 0 for symmetric values, and where the sums cannot tell it
        from their rounding.
        """
        variance = self.variance
        if not variance or not self.total_of_cubes:
            return 0.0
        size = math.sqrt(self.total_of_squares / self.units)
        mean = self.total / self.units / size
        cubes = self.total_of_cubes / self.units / size / size / size
        around_mean = cubes - 3 * mean + 2 * mean * mean * mean
        if abs(around_mean) <= ROUNDING * (abs(cubes) + 3 * abs(mean)):
            return 0.0
        deviation = math.sqrt(variance) / size
        most = math.sqrt(self.units)
        return max(-most, min(most, around_mean / deviation / deviation / deviation))


def ratio_interval(
    numerator: float, around: Interval, denominator: float, beside: Interval
) -> Interval | None:
    """The interval of ``numerator / denominator``, two independent estimates, from the interval of
    each (``around``, ``beside``), which all have the same confidence.

    The method of variance estimates recovery for ratios, MOVER-R (Donner and Zou 2012, "Closed-form
    confidence intervals for functions of the normal mean and standard deviation"; Newcombe 2016,
    "MOVER-R confidence intervals for ratios and products", for numerators of either sign). With
    symmetric intervals it is Fieller's (1954). ``None`` where the denominator's interval reaches
    0: then no bounded set of ratios is supported; and beyond what a float holds. The denominator is
    positive.
    """
    if beside.low <= 0:
        return None
    size = max(abs(around.low), abs(around.high))
    if not size:
        return Interval(0.0, 0.0)
    scale = size / denominator
    ratio = numerator / size
    low = _lower_ratio(
        ratio,
        (numerator - around.low) / size,
        beside.high / denominator,
        (beside.high - denominator) / denominator,
    )
    high = _upper_ratio(
        ratio,
        (around.high - numerator) / size,
        beside.low / denominator,
        (denominator - beside.low) / denominator,
    )
    found = Interval(min(low, ratio) * scale, max(high, ratio) * scale)
    return found if all(map(math.isfinite, found)) else None


def _lower_ratio(ratio: float, below: float, most: float, above: float) -> float:
    """The lower root, for a denominator of 1 that reaches up to ``most``, which is ``above`` more, and
    a numerator that reaches ``below`` under ``ratio``. Only proportions, which are not negative,
    reach above twice their estimate, where ``square`` is not positive.
    """
    square = most * (2 - most)
    root = math.sqrt(max(0.0, below * below * square + above * above * ratio * ratio))
    if ratio > 0:  # the same without cancelling
        return (ratio - below) * (ratio + below) / (ratio + root)
    return (ratio - root) / square if root else 0.0


def _upper_ratio(ratio: float, above: float, least: float, below: float) -> float:
    """The upper root, for a denominator of 1 that reaches down to ``least``, which is ``below`` less,
    and a numerator that reaches ``above`` over ``ratio``.
    """
    square = least * (2 - least)
    root = math.sqrt(max(0.0, above * above * square + below * below * ratio * ratio))
    return (ratio + root) / square
