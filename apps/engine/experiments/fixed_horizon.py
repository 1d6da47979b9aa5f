"""Intervals and p-values for an experiment that is looked at once, when it is over.

They hold at a number of units that was fixed before. Who looks again and again, and stops when he
likes what he sees, is wrong far more often than ``alpha``: see ``always_valid``.
"""

import math

from apps.engine.experiments import distributions
from apps.engine.experiments.aggregates import Conversions, Interval, Values, ratio_interval
from apps.engine.experiments.inference import NOTHING_KNOWN, Inference, relative_to


def compare_conversions(control: Conversions, treatment: Conversions, alpha: float) -> Inference:
    """The difference of two rates, at the confidence ``1 - alpha``.

    The absolute interval is Newcombe's hybrid score interval (1998, "Interval estimation for the
    difference between independent proportions: comparison of eleven methods", method 10), which
    holds for small counts and rates at the edge. The relative one joins the same Wilson intervals
    by :func:`ratio_interval`. The p-value is that of the score test (pooled z, the chi-squared test
    without correction); at the very edge of ``alpha`` it and the interval may disagree.
    """
    rate, base = treatment.mean, control.mean
    if rate is None or base is None:
        return NOTHING_KNOWN
    critical = distributions.normal_critical(alpha)
    around = wilson_interval(treatment, critical)
    beside = wilson_interval(control, critical)
    lift = rate - base
    absolute = Interval(
        max(-1.0, lift - math.hypot(rate - around.low, beside.high - base)),
        min(1.0, lift + math.hypot(around.high - rate, base - beside.low)),
    )
    relative = ratio_interval(rate, around, base, beside)
    return Inference(
        absolute=absolute,
        relative=relative and Interval(relative.low - 1, relative.high - 1),
        p_value=_score_p_value(control, treatment),
    )


def wilson_interval(counts: Conversions, critical: float) -> Interval:
    """Wilson's score interval (1927) of one rate, ``critical`` standard errors to each side. There
    is at least one unit.
    """
    units, conversions = counts.units, counts.conversions
    square = critical * critical
    spread = conversions * ((units - conversions) / units)
    reach = critical * math.sqrt(spread + square / 4)
    rate = conversions / units
    low = (conversions + square / 2 - reach) / (units + square)
    high = (conversions + square / 2 + reach) / (units + square)
    return Interval(
        min(rate, low) if conversions else 0.0,
        max(rate, high) if conversions < units else 1.0,
    )


def _score_p_value(control: Conversions, treatment: Conversions) -> float:
    units = control.units + treatment.units
    rate = (control.conversions + treatment.conversions) / units
    variance = rate * (1 - rate) * (1 / control.units + 1 / treatment.units)
    if variance <= 0:
        return 1.0
    lift = treatment.conversions / treatment.units - control.conversions / control.units
    return distributions.normal_p_value(lift / math.sqrt(variance))


def compare_values(control: Values, treatment: Values, alpha: float) -> Inference:
    """The difference of two means, at the confidence ``1 - alpha``, in the metric's unit.

    Welch's (1947) interval and test, with the degrees of freedom of Satterthwaite (1946); the
    relative interval is Fieller's (1954) with the same quantile. Nothing is known while a variant
    has less than two units, or while neither has any variance: then nothing tells the error. Skewed
    values in a variant much smaller than the other need many units: with 5 % of the units spending
    anything and shares of 90 and 10, 600 units in the smaller still err nearly twice as often as ``alpha``.
    """
    mean, base = treatment.mean, control.mean
    spread, base_spread = treatment.variance, control.variance
    if mean is None or base is None or spread is None or base_spread is None:
        return NOTHING_KNOWN
    of_mean, of_base = spread / treatment.units, base_spread / control.units
    variance = of_mean + of_base
    if variance <= 0:
        return NOTHING_KNOWN
    degrees = 1 / (
        (of_mean / variance) ** 2 / (treatment.units - 1)
        + (of_base / variance) ** 2 / (control.units - 1)
    )
    error = math.sqrt(variance)
    reach = distributions.student_critical(alpha, degrees)
    lift = mean - base
    return Inference(
        absolute=Interval(lift - reach * error, lift + reach * error),
        relative=relative_to(base, reach * math.sqrt(of_base), mean, reach * math.sqrt(of_mean)),
        p_value=distributions.student_p_value(lift / error, degrees),
    )
