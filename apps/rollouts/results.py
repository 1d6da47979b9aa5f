"""What an experiment found, by the exposures and outcomes so far."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from django.db.models import Count, F, OuterRef, Subquery, Sum
from django.db.models.functions import TruncDate

from apps.access import policy
from apps.core.actor import Actor
from apps.engine.experiments.aggregates import Conversions, Values
from apps.engine.experiments.sample_ratio import SampleRatio, compare_shares
from apps.engine.experiments.statistics import (
    Comparison,
    ConversionMetric,
    ValueMetric,
    compare_variants,
)
from apps.engine.values import parse_canonical
from apps.rollouts import assigning
from apps.rollouts.experiments import place_of
from apps.rollouts.models import Experiment, Exposure, Outcome

LARGEST_SUM: Final = 1e150


@dataclass(frozen=True, slots=True)
class Day:
    """How many units each variant was first given to on a day (UTC)."""

    day: date
    units: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Results:
    """``units`` of each variant; ``mixed`` units had more than one, and are in none of the numbers.

    ``comparisons`` are all treatments against the control by all metrics; see ``statistics``.
    """

    units: Mapping[str, int]
    mixed: int
    sample_ratio: SampleRatio
    comparisons: tuple[Comparison, ...]
    days: tuple[Day, ...]


def find_results(*, actor: Actor, experiment: Experiment) -> Results:
    """The results so far. Needs ``read`` on the configuration."""
    policy.require(actor, "read", place_of(experiment))
    assigning.flush()
    variants = list(experiment.variants.all())
    names = [each.name for each in variants]
    exposed = Exposure.objects.filter(experiment=experiment)
    counted = exposed.filter(mixed=False).values_list("variant").annotate(count=Count("pk"))
    units = dict.fromkeys(names, 0) | {name: n for name, n in counted if name in names}
    sums = _sums(experiment)
    metrics: list[ConversionMetric | ValueMetric] = []
    for metric in parse_canonical(experiment.metrics):
        name, of = metric["name"], {v: sums.get((metric["name"], v), (0, 0.0, 0.0)) for v in names}
        control, treatments = names[0], names[1:]
        if metric["kind"] == "conversion":
            rates = {v: Conversions(units[v], min(of[v][0], units[v])) for v in names}
            chosen = {v: rates[v] for v in treatments}
            metrics.append(ConversionMetric(name, rates[control], chosen))
        else:
            means = {v: _values(units[v], *of[v][1:]) for v in names}
            metrics.append(ValueMetric(name, means[control], {v: means[v] for v in treatments}))
    return Results(
        units=units,
        mixed=exposed.filter(mixed=True).count(),
        sample_ratio=compare_shares(units, {each.name: each.weight for each in variants}),
        comparisons=compare_variants(
            metrics, alpha=experiment.alpha, tuned_for=experiment.tuned_for
        ),
        days=_days(experiment),
    )


def _values(units: int, total: float, squares: float) -> Values:
    if not units or squares > LARGEST_SUM:
        return Values(0, 0.0, 0.0)
    return Values(units, total, squares)


def _sums(experiment: Experiment) -> dict[tuple[str, str], tuple[int, float, float]]:
    """By metric and variant: units with an outcome, the sum of their totals, and of the squares."""
    variant = Exposure.objects.filter(
        experiment=experiment, unit=OuterRef("unit"), mixed=False
    ).values("variant")[:1]
    rows = (
        Outcome.objects.filter(experiment=experiment)
        .annotate(variant=Subquery(variant))
        .filter(variant__isnull=False)
        .values_list("metric", "variant")
        .annotate(units=Count("pk"), sum=Sum("total"), squares=Sum(F("total") * F("total")))
        .order_by()
    )
    return {(metric, name): (n, total, squares) for metric, name, n, total, squares in rows}


def _days(experiment: Experiment) -> tuple[Day, ...]:
    rows = (
        Exposure.objects.filter(experiment=experiment, mixed=False)
        .annotate(day=TruncDate("first_at"))
        .values_list("day", "variant")
        .annotate(count=Count("pk"))
        .order_by("day")
    )
    found: dict[date, dict[str, int]] = {}
    for day, variant, count in rows:
        found.setdefault(day, {})[variant] = count
    return tuple(Day(day, units) for day, units in found.items())
