"""How many units an experiment needs, and what it can find with those that it has.

Of the two-sided tests of ``fixed_horizon``, at one look. Effects are absolute: treatment minus
control. For several comparisons divide ``alpha`` by their number: Holm's correction finds at least
as much. Who peeks needs more: always valid results take about twice the units for the same power,
and at rates below 1 % some more, but in half of all cases they find the effect with about as many. A power
of values is stated for equal variances and without skew: ``tests.benchmarks.judging`` measures it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from apps.engine.experiments import distributions

MOST_UNITS: Final = 10**15
"""In the smaller variant; what needs more is out of reach."""
NEARLY_NORMAL: Final = 1_000_000
"""Degrees of freedom from which Student's t is taken for normal, which is what it is to six digits."""


@dataclass(frozen=True, slots=True)
class RequiredUnits:
    """The least units of each variant with which an effect is found with the chance wanted."""

    control: int
    treatment: int


def power_of_conversions(
    *, baseline: float, effect: float, control: int, treatment: int, alpha: float = 0.05
) -> float:
    """The chance that a true difference of rates ``effect`` (0.01 is one percentage point) over the
    rate ``baseline`` gives a p-value below ``alpha`` in its own direction, with that many units.

    The normal approximation of the score test, with the pooled variance for its limit and both
    variances for the truth (Fleiss, Levin and Paik 2003, "Statistical methods for rates and
    proportions", chapter 4, without continuity correction, also for unequal sizes). Without units, 0.
    Raises ``ValueError`` for rates that are not within 0 to 1.
    """
    _require_rates(baseline, baseline + effect, alpha)
    if not control or not treatment:
        return 0.0
    rate = baseline + effect
    pooled = (baseline * control + rate * treatment) / (control + treatment)
    null = math.sqrt(pooled * (1 - pooled) * (1 / control + 1 / treatment))
    truth = math.sqrt(baseline * (1 - baseline) / control + rate * (1 - rate) / treatment)
    beyond = abs(effect) - distributions.normal_critical(alpha) * null
    if not truth:
        return 1.0 if beyond > 0 else 0.0
    return distributions.normal_cumulative(beyond / truth)


def power_of_values(
    *,
    deviation: float,
    effect: float,
    control: int,
    treatment: int,
    alpha: float = 0.05,
) -> float:
    """The chance that a true difference of means ``effect`` gives a p-value below ``alpha`` in its own
    direction, with that many units whose values have the standard ``deviation``, in the metric's unit.

    By the noncentral t with equal variances (Cohen 1988, "Statistical power analysis for the behavioral
    sciences", chapter 2). With less than two units in a variant, 0. Raises ``ValueError`` for
    a ``deviation`` that is not positive.
    """
    _require_deviation(deviation, alpha)
    if min(control, treatment) < 2:  # noqa: PLR2004 - as Welch's test
        return 0.0
    shift = abs(effect) / deviation / math.sqrt(1 / control + 1 / treatment)
    degrees = control + treatment - 2
    if degrees >= NEARLY_NORMAL:
        return distributions.normal_cumulative(shift - distributions.normal_critical(alpha))
    critical = distributions.student_critical(alpha, degrees)
    return 1 - distributions.noncentral_student_cumulative(critical, degrees, shift)


def required_units_of_conversions(
    *,
    baseline: float,
    effect: float,
    alpha: float = 0.05,
    power: float = 0.8,
    treatment_per_control: float = 1.0,
) -> RequiredUnits | None:
    """The fewest units with which :func:`power_of_conversions` is at least ``power``, where the
    treatment has ``treatment_per_control`` times as many as the control. ``None`` where no number
    does, as for no effect. Raises ``ValueError`` as it does, and for a ``power`` not between 0 and 1.
    """
    _require_rates(baseline, baseline + effect, alpha)
    return _fewest(
        lambda control, treatment: power_of_conversions(
            baseline=baseline, effect=effect, control=control, treatment=treatment, alpha=alpha
        ),
        effect,
        power,
        treatment_per_control,
    )


def required_units_of_values(
    *,
    deviation: float,
    effect: float,
    alpha: float = 0.05,
    power: float = 0.8,
    treatment_per_control: float = 1.0,
) -> RequiredUnits | None:
    """The fewest units with which :func:`power_of_values` is at least ``power``; otherwise as
    :func:`required_units_of_conversions`.
    """
    _require_deviation(deviation, alpha)
    return _fewest(
        lambda control, treatment: power_of_values(
            deviation=deviation, effect=effect, control=control, treatment=treatment, alpha=alpha
        ),
        effect,
        power,
        treatment_per_control,
    )


def _fewest(
    power_with: Callable[[int, int], float], effect: float, power: float, ratio: float
) -> RequiredUnits | None:
    """By bisection of the smaller variant's units, for power grows with them."""
    if not 0 < power < 1 or not 0 < ratio < float("inf"):
        raise ValueError("power is between 0 and 1, and the ratio of units positive.")
    if not effect:
        return None

    def sized(smaller: int) -> RequiredUnits:
        larger = math.ceil(smaller * max(ratio, 1 / ratio))
        return RequiredUnits(smaller, larger) if ratio >= 1 else RequiredUnits(larger, smaller)

    def suffices(smaller: int) -> bool:
        units = sized(smaller)
        return power_with(units.control, units.treatment) >= power

    enough = 1
    while not suffices(enough):
        enough *= 2
        if enough > MOST_UNITS:
            return None
    short = enough // 2
    while enough - short > 1:
        middle = (short + enough) // 2
        short, enough = (short, middle) if suffices(middle) else (middle, enough)
    return sized(enough)


def _require_rates(baseline: float, rate: float, alpha: float) -> None:
    if not (0 <= baseline <= 1 and 0 <= rate <= 1 and 0 < alpha < 1):
        raise ValueError("Rates are within 0 to 1, and alpha is between them.")


def _require_deviation(deviation: float, alpha: float) -> None:
    if not (0 < deviation < float("inf") and 0 < alpha < 1):
        raise ValueError("The deviation is positive, and alpha between 0 and 1.")
