"""Whether the units of an experiment were split as intended.

If they were not, something loses or moves units, most likely not the same ones in each variant, and no
result of the experiment can be believed (Fabijan et al. 2019, "Diagnosing sample ratio mismatch in
online controlled experiments").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from apps.engine.experiments import distributions

MISMATCH: Final = 0.001
"""The p-value below which there is a warning: strict, because every experiment is asked, often."""
FEWEST_EXPECTED: Final = 5
"""Units that a cell of the chi-squared test expects at least (Cochran 1954)."""


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """The chi-squared test of the split. ``expected`` is the number of units of each variant by the
    intended shares. ``p_value`` is 1 where too few units tell nothing. ``mismatch``: warn.
    """

    expected: Mapping[str, float]
    p_value: float
    mismatch: bool


def compare_shares(units: Mapping[str, int], shares: Mapping[str, float]) -> SampleRatio:
    """The test of the observed ``units`` of each variant against its intended share.

    ``shares`` are weights, not negative, of any sum: of the units inside of the experiment, without
    its holdout. Variants of which less than 5 units are expected are taken together, and
    with the next smallest while that is not enough; a unit in a variant of share 0 is a mismatch by
    itself. Raises ``ValueError`` where the names differ, a number is negative, or no share is
    positive.
    """
    whole = sum(shares.values())
    if units.keys() != shares.keys() or min(units.values(), default=0) < 0:
        raise ValueError("Each variant has a number of units and a share.")
    if min(shares.values(), default=0) < 0 or not 0 < whole < float("inf"):
        raise ValueError("Shares are not negative, and some are positive.")
    total = sum(units.values())
    expected = {name: total * (share / whole) for name, share in shares.items()}
    if any(units[name] for name, share in shares.items() if not share):
        return SampleRatio(expected, 0.0, mismatch=True)
    cells = _cells([(expected[name], units[name]) for name, share in shares.items() if share])
    p_value = _p_value(cells) if len(cells) > 1 else 1.0
    return SampleRatio(expected, p_value, mismatch=p_value < MISMATCH)


def _p_value(cells: list[tuple[float, int]]) -> float:
    statistic = sum((seen - awaited) * ((seen - awaited) / awaited) for awaited, seen in cells)
    return distributions.chi_squared_p_value(statistic, len(cells) - 1)


def _cells(variants: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Expected and seen units, the smallest taken together until all expect enough."""
    ordered = sorted(variants)
    while len(ordered) > 1 and ordered[0][0] < FEWEST_EXPECTED:
        (first, seen), (second, also), *rest = ordered
        ordered = sorted([(first + second, seen + also), *rest])
    return ordered
