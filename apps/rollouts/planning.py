"""How many units an experiment needs still to find an effect that somebody chooses."""

import math
from dataclasses import dataclass
from typing import Final

from apps.engine.experiments.aggregates import Conversions, Values
from apps.engine.experiments.power import (
    RequiredUnits,
    required_units_of_conversions,
    required_units_of_values,
)
from apps.engine.experiments.statistics import ConversionMetric, ValueMetric
from apps.rollouts.models import Experiment
from apps.rollouts.results import Results

POWER: Final = 0.8
"""The chance with which the effect is to be found."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one treatment needs for the effect: means without it and with it, and the units of the
    control and of the treatment. ``required`` is ``None`` where no number of units suffices, and
    ``more`` how many both lack together.
    """

    treatment: str
    baseline: float
    wanted: float
    required: RequiredUnits | None
    more: int


def find_needs(
    *, experiment: Experiment, found: Results, metric: str, effect: float
) -> list[Need] | None:
    """What each treatment needs to find an ``effect`` of the metric's mean (0.05 is 5 percent), at
    one look, with the chance ``POWER``, corrected for all comparisons. ``None`` while the control
    has no mean, or no spread, to begin with.
    """
    chosen = next((each for each in found.metrics if each.name == metric), None)
    if chosen is None:
        return None
    baseline = chosen.control.mean
    if not baseline or not _has_spread(chosen):
        return None
    wanted = baseline + abs(baseline) * effect
    family = max(1, len(found.comparisons))
    weights = {each.name: each.weight for each in experiment.variants.all()}
    control = next(iter(weights))
    needs = []
    for name, sample in chosen.treatments.items():
        ratio = weights[name] / weights[control]
        required = _required(chosen, wanted, experiment.alpha / family, ratio)
        more = 0
        if required is not None:
            more += max(0, required.control - chosen.control.units)
            more += max(0, required.treatment - sample.units)
        needs.append(Need(name, baseline, wanted, required, more))
    return needs


def _has_spread(metric: ConversionMetric | ValueMetric) -> bool:
    if isinstance(metric, ConversionMetric):
        return 0 < (metric.control.mean or 0) < 1
    return bool(metric.control.variance)


def _required(
    metric: ConversionMetric | ValueMetric, wanted: float, alpha: float, ratio: float
) -> RequiredUnits | None:
    sample: Conversions | Values = metric.control
    effect = wanted - (sample.mean or 0)
    if isinstance(sample, Values):
        return required_units_of_values(
            deviation=math.sqrt(sample.variance or 0),
            effect=effect,
            alpha=alpha,
            power=POWER,
            treatment_per_control=ratio,
        )
    if not 0 <= wanted <= 1:
        return None
    return required_units_of_conversions(
        baseline=sample.mean or 0,
        effect=effect,
        alpha=alpha,
        power=POWER,
        treatment_per_control=ratio,
    )
