"""What an experiment found, by the exposures and outcomes so far."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, NamedTuple

from django.db.models import (
    Case,
    Count,
    F,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
    When,
    prefetch_related_objects,
)
from django.db.models.functions import TruncDate

from apps.access import policy
from apps.core.actor import Actor
from apps.engine.errors import DomainError
from apps.engine.experiments.aggregates import Conversions, Values
from apps.engine.experiments.inference import Inference
from apps.engine.experiments.sample_ratio import SampleRatio, compare_shares
from apps.engine.experiments.statistics import (
    Comparison,
    ConversionMetric,
    ValueMetric,
    compare_variants,
)
from apps.engine.values import Tree, parse_canonical
from apps.rollouts import assigning
from apps.rollouts.groups import place_of
from apps.rollouts.models import Experiment, Exposure, Outcome

LARGEST_SUM: Final = 1e150
SMALLEST: Final = 1e-100
"""Totals below it in size are 0 to squares and cubes: PostgreSQL refuses products that no float holds."""
SIZE: Final = Case(
    When(total__gt=-SMALLEST, total__lt=SMALLEST, then=Value(0.0)), default=F("total")
)

Metric = ConversionMetric | ValueMetric


class Totals(NamedTuple):
    """Of the units of a variant by a metric: how many have a total above 0, and one other than 0;
    the sum of all totals, of their squares, and of their cubes.
    """

    converted: int = 0
    with_value: int = 0
    total: float = 0.0
    squares: float = 0.0
    cubes: float = 0.0


Sums = Mapping[tuple[str, str], Totals]
"""By metric and variant."""


@dataclass(frozen=True, slots=True)
class Day:
    """How many units each variant was first given to on a day (UTC)."""

    day: date
    units: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Results:
    """``units`` of each variant; ``mixed`` units had more than one, and are in none of the numbers.

    ``comparisons`` are all treatments against the control by all ``metrics``; see ``statistics``.
    """

    units: Mapping[str, int]
    mixed: int
    sample_ratio: SampleRatio
    metrics: tuple[Metric, ...]
    comparisons: tuple[Comparison, ...]
    days: tuple[Day, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an experiment stands in short: units so far, whether they are split as
    intended, and the comparisons of its first metric, corrected for as many as all its metrics make.
    """

    units: int
    mismatch: bool
    comparisons: tuple[Comparison, ...]


def find_results(*, actor: Actor, experiment: Experiment) -> Results:
    """The results so far. Needs ``read`` on the configuration."""
    found = list_results(actor=actor, experiments=[experiment])[experiment.pk]
    if isinstance(found, DomainError):
        raise found
    return found


def list_results(
    *, actor: Actor, experiments: Sequence[Experiment]
) -> dict[uuid.UUID, Results | DomainError]:
    """The same of several, in as many statements as of one; an error is in the place of those of
    what may not be read.
    """
    found: dict[uuid.UUID, Results | DomainError] = {}
    rows: dict[uuid.UUID, Experiment] = {}
    for each in experiments:
        try:
            policy.require(actor, "read", place_of(each))
            rows[each.pk] = each
        except DomainError as error:
            found[each.pk] = error
    assigning.flush()
    prefetch_related_objects(list(rows.values()), "variants")
    units, sums = _units(rows), _sums(Q(experiment__in=rows))
    mixed, days = _mixed(rows), _days(rows)
    for pk, row in rows.items():
        found[pk] = _results(row, units[pk], sums.get(pk, {}), mixed.get(pk, 0), days.get(pk, ()))
    return found


def _results(
    row: Experiment, units: dict[str, int], sums: Sums, mixed: int, days: tuple[Day, ...]
) -> Results:
    metrics = tuple(_metric(each, units, sums) for each in parse_canonical(row.metrics))
    return Results(
        units=units,
        mixed=mixed,
        sample_ratio=compare_shares(units, {each.name: each.weight for each in row.variants.all()}),
        metrics=metrics,
        comparisons=compare_variants(metrics, alpha=row.alpha, tuned_for=row.tuned_for),
        days=days,
    )


def find_standings(experiments: Sequence[Experiment]) -> dict[uuid.UUID, Standing]:
    """Where experiments that somebody may read stand, in two statements for all of them."""
    rows = {each.pk: each for each in experiments if each.state != Experiment.DRAFT}
    if not rows:
        return {}
    metrics = {pk: parse_canonical(each.metrics) for pk, each in rows.items()}
    first = {pk: found[0] for pk, found in metrics.items() if found}
    asked = Q(pk__in=[])
    for pk, metric in first.items():
        asked |= Q(experiment=pk, metric=metric["name"])
    units, sums = _units(rows), _sums(asked) if first else {}
    return {
        pk: _standing(row, units[pk], sums.get(pk, {}), metrics[pk]) for pk, row in rows.items()
    }


def _standing(row: Experiment, units: dict[str, int], sums: Sums, metrics: Tree) -> Standing:
    weights = {each.name: each.weight for each in row.variants.all()}
    found: tuple[Comparison, ...] = ()
    if metrics:
        only = [_metric(metrics[0], units, sums)]
        alpha, tuned_for = row.alpha, row.tuned_for
        compared = compare_variants(only, alpha=alpha, tuned_for=tuned_for)
        found = tuple(_corrected(each, len(compared) * len(metrics)) for each in compared)
    return Standing(sum(units.values()), compare_shares(units, weights).mismatch, found)


def _corrected(each: Comparison, family: int) -> Comparison:
    """Corrected for all comparisons by Bonferroni: no less than Holm's correction of all does."""

    def more(said: Inference) -> Inference:
        return replace(said, corrected_p_value=min(1.0, said.p_value * family))

    return replace(
        each, fixed_horizon=more(each.fixed_horizon), always_valid=more(each.always_valid)
    )


def _metric(metric: dict[str, str], units: Mapping[str, int], sums: Sums) -> Metric:
    name, (control, *treatments) = metric["name"], units
    of = {variant: sums.get((name, variant), Totals()) for variant in units}
    if metric["kind"] == "conversion":
        rates = {each: Conversions(n, min(of[each].converted, n)) for each, n in units.items()}
        return ConversionMetric(name, rates[control], {each: rates[each] for each in treatments})
    means = {each: _values(n, of[each]) for each, n in units.items()}
    return ValueMetric(name, means[control], {each: means[each] for each in treatments})


def _units(rows: Mapping[uuid.UUID, Experiment]) -> dict[uuid.UUID, dict[str, int]]:
    """How many units each variant has, by experiment, the control first; mixed ones are in none."""
    found = {pk: {each.name: 0 for each in row.variants.all()} for pk, row in rows.items()}
    exposed = Exposure.objects.filter(experiment__in=rows, mixed=False).order_by()
    for pk, name, count in exposed.values_list("experiment", "variant").annotate(n=Count("pk")):
        if name in found[pk]:
            found[pk][name] = count
    return found


def _values(units: int, of: Totals) -> Values:
    if not units or of.squares > LARGEST_SUM:
        return Values(0, 0.0, 0.0)
    return Values(units, of.total, of.squares, max(0, units - of.with_value), of.cubes)


def _sums(asked: Q) -> dict[uuid.UUID, dict[tuple[str, str], Totals]]:
    """The sums of the outcomes that are asked for, by experiment."""
    variant = Exposure.objects.filter(
        experiment=OuterRef("experiment"), unit=OuterRef("unit"), mixed=False
    ).values("variant")[:1]
    rows = (
        Outcome.objects.filter(asked)
        .annotate(variant=Subquery(variant))
        .filter(variant__isnull=False)
        .values_list("experiment", "metric", "variant")
        .annotate(
            converted=Count("pk", filter=Q(total__gt=0)),
            with_value=Count("pk", filter=~Q(total=0)),
            sum=Sum("total"),
            squares=Sum(SIZE * SIZE),
            cubes=Sum(SIZE * SIZE * SIZE),
        )
        .order_by()
    )
    found: dict[uuid.UUID, dict[tuple[str, str], Totals]] = {}
    for pk, metric, name, *sums in rows:
        found.setdefault(pk, {})[metric, name] = Totals(*sums)
    return found


def _mixed(rows: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
    found = Exposure.objects.filter(experiment__in=rows, mixed=True).order_by()
    return dict(found.values_list("experiment").annotate(n=Count("pk")))


def _days(rows: Collection[uuid.UUID]) -> dict[uuid.UUID, tuple[Day, ...]]:
    counted = (
        Exposure.objects.filter(experiment__in=rows, mixed=False)
        .annotate(day=TruncDate("first_at"))
        .values_list("experiment", "day", "variant")
        .annotate(count=Count("pk"))
        .order_by("day")
    )
    found: dict[uuid.UUID, dict[date, dict[str, int]]] = {}
    for pk, day, variant, count in counted:
        found.setdefault(pk, {}).setdefault(day, {})[variant] = count
    return {pk: tuple(Day(day, units) for day, units in each.items()) for pk, each in found.items()}
