"""All treatments of an experiment against its control, by all its metrics."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from apps.engine.experiments import always_valid, fixed_horizon
from apps.engine.experiments.aggregates import Conversions, Values
from apps.engine.experiments.corrections import correct_by_holm
from apps.engine.experiments.inference import Inference


@dataclass(frozen=True, slots=True)
class ConversionMetric:
    """A metric of units that convert or do not: its counts in the control, and in each treatment."""

    name: str
    control: Conversions
    treatments: Mapping[str, Conversions]


@dataclass(frozen=True, slots=True)
class ValueMetric:
    """A metric of a number for each unit: its totals in the control, and in each treatment."""

    name: str
    control: Values
    treatments: Mapping[str, Values]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One treatment against the control by one metric.

    ``control_mean`` and ``treatment_mean`` are rates from 0 to 1, or means in the metric's unit;
    ``absolute_lift`` is treatment minus control in the same; ``relative_lift`` is that divided by the
    size of the control's mean (0.01 is one percent). ``None`` where there are no units, or no control
    to be relative to.

    ``fixed_horizon`` is for the one look at the end, ``always_valid`` for any number of looks.
    """

    metric: str
    treatment: str
    control_mean: float | None
    treatment_mean: float | None
    absolute_lift: float | None
    relative_lift: float | None
    fixed_horizon: Inference
    always_valid: Inference


def compare_variants(
    metrics: Sequence[ConversionMetric | ValueMetric],
    *,
    alpha: float = 0.05,
    tuned_for: int = always_valid.TUNED_FOR,
) -> tuple[Comparison, ...]:
    """Each metric's treatments against its control, in the order given.

    Every interval has the confidence ``1 - alpha`` by itself. The corrected p-values are Holm's over
    one family: all comparisons of the answer, that is all metrics times all treatments, also those
    of which nothing is known yet. The fixed and the always valid ones are corrected apart, and
    either keeps the chance of any false alarm in the family at ``alpha``, the latter at all looks
    together, because each of its p-values holds at all looks together.

    ``tuned_for`` is explained in ``always_valid``; it has to be fixed before the first look. Raises
    ``ValueError`` for an ``alpha`` that is not between 0 and 1 or a ``tuned_for`` below 1.
    """
    if not 0 < alpha < 1 or tuned_for < 1:
        raise ValueError("alpha is between 0 and 1, and tuned_for a number of units.")
    comparisons = [
        comparison for metric in metrics for comparison in _compare(metric, alpha, tuned_for)
    ]
    fixed = correct_by_holm([each.fixed_horizon.p_value for each in comparisons])
    always = correct_by_holm([each.always_valid.p_value for each in comparisons])
    return tuple(
        replace(
            each,
            fixed_horizon=replace(each.fixed_horizon, corrected_p_value=of_fixed),
            always_valid=replace(each.always_valid, corrected_p_value=of_always),
        )
        for each, of_fixed, of_always in zip(comparisons, fixed, always, strict=True)
    )


def _compare(
    metric: ConversionMetric | ValueMetric, alpha: float, tuned_for: int
) -> list[Comparison]:
    if isinstance(metric, ConversionMetric):
        return [
            _told(
                metric,
                name,
                counts,
                fixed_horizon.compare_conversions(metric.control, counts, alpha),
                always_valid.compare_conversions(metric.control, counts, alpha, tuned_for),
            )
            for name, counts in metric.treatments.items()
        ]
    return [
        _told(
            metric,
            name,
            values,
            fixed_horizon.compare_values(metric.control, values, alpha),
            always_valid.compare_values(metric.control, values, alpha, tuned_for),
        )
        for name, values in metric.treatments.items()
    ]


def _told(
    metric: ConversionMetric | ValueMetric,
    name: str,
    treatment: Conversions | Values,
    fixed: Inference,
    always: Inference,
) -> Comparison:
    base, mean = metric.control.mean, treatment.mean
    lift = None if base is None or mean is None else mean - base
    relative = lift / abs(base) if lift is not None and base else None
    return Comparison(
        metric=metric.name,
        treatment=name,
        control_mean=base,
        treatment_mean=mean,
        absolute_lift=lift,
        relative_lift=relative if relative is not None and math.isfinite(relative) else None,
        fixed_horizon=fixed,
        always_valid=always,
    )
