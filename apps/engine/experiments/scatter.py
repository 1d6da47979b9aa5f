"""How the difference of two means scatters: what corrects the intervals of skewed values.

The one place of what is said of means beyond their variances; ``fixed_horizon`` and ``always_valid``
bring the quantile, and both get their intervals and p-values here.

Skew. The estimate of a mean and that of its error are correlated where the values are skewed: a
variant that happened to see few of the rare large values has a small mean and a small error at
once. With ``q`` the quantile and ``k`` the skewness of the difference, an interval reaches::

    max(plain * q, own * (q - k * (2 * q * q + 1) / 6))    below the estimate
    max(plain * q, own * (q + k * (2 * q * q + 1) / 6))    above it

``own`` is the error by the variances as they are and ``plain`` the one without this correction. The
second terms invert the first one of the Edgeworth expansion of the studentized difference (Hall
1983, "Inverting an Edgeworth expansion", Annals of Statistics 11; Zhou and Dinh 2005, "Nonparametric
confidence intervals for the one- and two-sample problems", Biostatistics 6). They would also
shorten the other side, which needs the third moment to be known: it is estimated, and in few units
as a rule too small, so no side is shorter than without it.

The skewness is estimated twice: by the third moment of each variant, and, as for the same values in
both, by their pooled ones. The larger in size counts. A small variant that happened to miss the
large values misses its own skew by the same accident, and the larger one has it: with shares of
90 and 10 and log-normal values (sigma 1 to 2), the first alone gives 9 to 16 % of false alarms at a
nominal 5 % with 200 units, both together 1.6 to 3.5 %. With equal shares the pooled one is 0, and so
nearly is the other, where both variants have such values.

A p-value is the ``alpha`` for which 0 is just at the end of the interval, so the two agree.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from apps.engine.experiments.aggregates import LARGEST_TOTAL, Conversions, Interval, Values
from apps.engine.experiments.inference import Inference, relative_to


@dataclass(frozen=True, slots=True)
class Scatter:
    """Of the difference of two means, in the metric's unit: the plain standard error of each of them
    (not both 0), the difference's ``own`` one, which is at most theirs together, and its ``skewness``.
    """

    of_control: float
    of_treatment: float
    own: float = 0.0
    skewness: float = 0.0

    @property
    def of_each(self) -> tuple[float, float]:
        """The plain standard errors of control and treatment."""
        return self.of_control, self.of_treatment

    @property
    def plain(self) -> float:
        """The plain standard error of the difference."""
        return math.hypot(self.of_control, self.of_treatment)


class Reach(NamedTuple):
    """How far an interval goes from the estimate, in plain standard errors, to either side."""

    below: float
    above: float


def infer(
    control: Conversions | Values,
    treatment: Conversions | Values,
    scatter: Scatter,
    quantile: float,
    p_value: Callable[[float], float],
) -> Inference:
    """What is said of the difference of two means at a ``quantile``: how many standard errors from
    the truth are likely enough. ``p_value`` tells how likely more than a number of them are.
    """
    base, mean = control.mean or 0.0, treatment.mean or 0.0
    lift = mean - base
    below, above = reach_of(scatter, quantile)
    of_base, of_mean = scatter.of_each
    return Inference(
        absolute=Interval(lift - below * scatter.plain, lift + above * scatter.plain),
        relative=relative_to(
            base,
            Interval(base - above * of_base, base + below * of_base),
            mean,
            Interval(mean - below * of_mean, mean + above * of_mean),
        ),
        p_value=p_value(quantile_of(scatter, lift)),
    )


def reach_of(scatter: Scatter, quantile: float) -> Reach:
    """What the interval reaches at a quantile."""
    share = scatter.own / scatter.plain
    bend = scatter.skewness * (2 * quantile * quantile + 1) / 6
    return Reach(
        below=max(quantile, share * (quantile - bend)),
        above=max(quantile, share * (quantile + bend)),
    )


def quantile_of(scatter: Scatter, lift: float) -> float:
    """The inverse: the quantile at which the interval around ``lift`` ends at 0; 0 where all do
    hold it.
    """
    plain = min(LARGEST_TOTAL, abs(lift) / scatter.plain)
    bend = -scatter.skewness if lift > 0 else scatter.skewness
    if bend <= 0 or not scatter.own:
        return plain
    beyond = max(0.0, min(LARGEST_TOTAL, abs(lift) / scatter.own) - bend / 6)
    return min(plain, 2 * beyond / (1 + math.sqrt(1 + 4 / 3 * bend * beyond)))


def measure(control: Values, treatment: Values) -> Scatter | None:
    """The scatter by the variances as they are, of variants with two units or more. ``None`` where
    neither has a variance.
    """
    of_control, of_treatment = _error(control), _error(treatment)
    own = math.hypot(of_control, of_treatment)
    if not own:
        return None
    by_each = _skewness(treatment) * (of_treatment / own) ** 3
    by_each -= _skewness(control) * (of_control / own) ** 3
    skewness = max(by_each, _pooled_skewness(control, treatment), key=abs)
    return Scatter(of_control, of_treatment, own, skewness)


def _error(values: Values) -> float:
    return math.sqrt((values.variance or 0.0) / values.units)


def _skewness(values: Values) -> float:
    """Of the mean."""
    return values.skewness / math.sqrt(values.units)


def _pooled_skewness(control: Values, treatment: Values) -> float:
    """Of the difference of two means of the same values, by what both variants have."""
    units = control.units + treatment.units
    shares = [(each, each.units / units) for each in (control, treatment)]
    deviation = math.sqrt(sum((each.variance or 0.0) * share for each, share in shares))
    if not deviation:
        return 0.0
    of_values = sum(
        each.skewness * share * (math.sqrt(each.variance or 0.0) / deviation) ** 3
        for each, share in shares
    )
    apart = (control.units - treatment.units) / math.sqrt(units)
    return of_values * apart / math.sqrt(control.units) / math.sqrt(treatment.units)
