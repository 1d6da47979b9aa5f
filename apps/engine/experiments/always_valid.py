"""Intervals and p-values that hold at every look, however often and whenever one stops.

The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas ("Time-uniform
central limit theory and asymptotic confidence sequences", Annals of Statistics 2024, first
2021): Robbins' normal mixture (1970) around the estimate, with the variance estimated. Its test is the
mixture sequential probability ratio test of Johari, Koomen, Pekelis and Walsh ("Always valid
inference: continuous monitoring of A/B tests", Operations Research 2022). With ``z`` the lift in
standard errors from the truth and ``t`` the effective units so far, with a chance of ``1 - alpha`` or
more there is at no time more than::

    |z| <= sqrt((1 + 1/(t r)) * log((1 + t r) / alpha**2))

The p-value is the ``alpha`` in this for which 0 is just at the end of the interval.

Time. ``t = 1 / (1/control units + 1/treatment units)``: the information that the difference of two
means carries, so that shares that change on the way, or differ, change nothing.

Tuning. ``r`` says where the interval is narrowest. It costs no validity; much before, the interval is
much wider, and after it hardly is. It is chosen by the authors' rule for ``tuned_for`` units in
each variant, and has to be fixed before the first look.

Small samples. The guarantee is that of the central limit theorem at all times at once, so nothing is
said below ``MINIMUM_UNITS`` in either variant, nor of values below ``MINIMUM_VALUES`` units that have
one in either; and the variances are taken generously, in two ways. The first vanishes with many units,
the second where the variances are equal:

- A rate's variance is that with half the squared reach added to both its outcomes (Agresti and Coull
  1998, "Approximate is better than exact"), so that a variant in which nobody converted has one. Of
  values that many units are 0, so many more are added that have a value and that have none, and the
  values spread around their mean as those of both variants do.
- A variant counts with the pooled variance where its own is smaller: one that happened to see few of
  the rare large outcomes has a small mean and a small variance at once. With the variances as they
  are, a null experiment at 0.5 % with shares of 90 and 10 gives a false alarm in up to a third of
  all runs. Where the variances truly differ, intervals become wider by a factor of 1.23 at most, with
  equal shares.

Skewed values have longer intervals besides, at this boundary as at one look: see ``scatter``.

``tests/engine/test_experiment_statistics_simulated.py`` measures the error, which held in every
simulation, also of true lifts between very different rates and means. Values that hardly a unit has
need both the least number of them and what is added: with shares of 90 and 10, where 0.2 % of the
units of the larger variant have one and 2 % of the smaller, a third of all runs left an interval that
had neither, and 1 % leave this one.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from apps.engine.experiments.aggregates import Conversions, Interval, Values
from apps.engine.experiments.inference import Inference, Lack, nothing_for
from apps.engine.experiments.scatter import Scatter, infer, measure

MINIMUM_UNITS: Final = 100
"""Of each of the two variants, before anything is said about them."""
MINIMUM_VALUES: Final = 50
"""Units with a value other than 0, of each of the two, before anything is said about their means."""
TUNED_FOR: Final = 5_000
"""Units in each variant at which the interval is narrowest."""


def compare_conversions(
    control: Conversions, treatment: Conversions, alpha: float, tuned_for: int = TUNED_FOR
) -> Inference:
    """The difference of two rates: at all looks together, the true one is outside of its interval
    with chance ``alpha`` at most. What no rate can be is cut off the interval.
    """
    if min(control.units, treatment.units) < MINIMUM_UNITS:
        return nothing_for(Lack.UNITS)
    gathered = _gathered(control, treatment, alpha, tuned_for)
    added = boundary(gathered, alpha) ** 2 / 2
    spreads = [_smoothed_variance(counts, added) for counts in (control, treatment)]
    said = _compare(control, treatment, spreads, gathered, alpha)
    absolute, relative = said.absolute, said.relative
    return replace(
        said,
        absolute=absolute and Interval(max(-1.0, absolute.low), min(1.0, absolute.high)),
        relative=relative and Interval(max(-1.0, relative.low), relative.high),
    )


def _smoothed_variance(counts: Conversions, added: float) -> float:
    rate = (counts.conversions + added) / (counts.units + 2 * added)
    return rate * (1 - rate)


def compare_values(
    control: Values, treatment: Values, alpha: float, tuned_for: int = TUNED_FOR
) -> Inference:
    """The difference of two means, in the metric's unit, as :func:`compare_conversions` for rates.
    Nothing is known while a variant has no variance.
    """
    both = control, treatment
    if min(each.units for each in both) < MINIMUM_UNITS:
        return nothing_for(Lack.UNITS)
    if min(each.valued for each in both) < MINIMUM_VALUES:
        return nothing_for(Lack.VALUES)
    if not all(each.variance for each in both):
        return nothing_for(Lack.SPREAD)
    gathered = _gathered(control, treatment, alpha, tuned_for)
    added = boundary(gathered, alpha) ** 2 / 2
    around = _variance_of_sizes(both)
    spreads = [_variance_of_values(each, around, added) for each in both]
    return _compare(control, treatment, spreads, gathered, alpha)


def _variance_of_sizes(both: Sequence[Values]) -> float | None:
    """How the values that are not 0 vary around their variant's mean; ``None`` where none is 0."""
    if not any(each.zeros for each in both):
        return None
    counts = [each.valued for each in both]
    squares = (
        each.total_of_squares - each.total * (each.total / count)
        for each, count in zip(both, counts, strict=True)
    )
    return sum(max(0.0, each) for each in squares) / sum(counts)


def _variance_of_values(values: Values, around: float | None, added: float) -> float:
    own = values.variance or 0.0
    if around is None:
        return own
    count = values.valued
    mean = values.total / count
    share = (count + added) / (values.units + 2 * added)
    return max(own, share * around + share * (1 - share) * mean * mean)


def _gathered(
    control: Conversions | Values, treatment: Conversions | Values, alpha: float, tuned_for: int
) -> float:
    time = control.units * (treatment.units / (control.units + treatment.units))
    return time * mixing_precision(alpha, tuned_for)


def _compare(
    control: Conversions | Values,
    treatment: Conversions | Values,
    spreads: Sequence[float],
    gathered: float,
    alpha: float,
) -> Inference:
    units = control.units + treatment.units
    base_spread, spread = spreads
    pooled = base_spread * (control.units / units) + spread * (treatment.units / units)
    of_control = math.sqrt(max(base_spread, pooled) / control.units)
    of_treatment = math.sqrt(max(spread, pooled) / treatment.units)
    if not math.hypot(of_control, of_treatment):  # less than a float holds
        return nothing_for(Lack.SPREAD)
    scatter = Scatter(of_control, of_treatment)
    if isinstance(control, Values) and isinstance(treatment, Values):
        seen = measure(control, treatment)
        scatter = replace(scatter, own=seen.own, skewness=seen.skewness) if seen else scatter
    reach = boundary(gathered, alpha)
    return infer(control, treatment, scatter, reach, lambda z: _p_value(z, gathered))


def mixing_precision(alpha: float, tuned_for: int) -> float:
    """``r`` above, for each effective unit: nearly the one of the narrowest interval once each variant
    has ``tuned_for`` units (the paper's appendix on tuning, the closed form for one time).
    """
    doubled = -2 * math.log(alpha)
    return (doubled + math.log(doubled + 1)) / (tuned_for / 2)


def boundary(gathered: float, alpha: float) -> float:
    """How many standard errors the interval reaches to each side, once ``gathered`` (``t r``) is
    known.
    """
    return math.sqrt((1 + 1 / gathered) * (math.log1p(gathered) - 2 * math.log(alpha)))


def _p_value(z: float, gathered: float) -> float:
    exponent = (math.log1p(gathered) - z * z / (1 + 1 / gathered)) / 2
    return math.exp(min(0.0, exponent))
