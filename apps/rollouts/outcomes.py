"""What units did: recorded in batches, summed for each unit."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db import connection

from apps.access import policy
from apps.core import clock
from apps.core.actor import Actor
from apps.core.transactions import locked, writing
from apps.engine.errors import ConflictError, InvalidError, Problem
from apps.engine.values import parse_canonical
from apps.rollouts.assigning import check_unit, digest_of
from apps.rollouts.groups import place_of
from apps.rollouts.models import Experiment

MAX_BATCH: Final = 1_000
LARGEST: Final = 1e12
"""The size of a value: the cube of a sum of them has to be a number that a database holds."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One outcome: a unit converted (``value`` is 1), or had a value, by a metric."""

    unit: str
    metric: str
    value: float


def record_outcomes(*, actor: Actor, experiment: Experiment, happened: Sequence[Happened]) -> int:
    """Add outcomes to what is known of their units; gives how many there were.

    Needs ``read`` on the configuration: who is served the variants says what came of them. Units
    that were not exposed are kept, and count once they are. Raises :class:`InvalidError` naming
    each that cannot be, with nothing stored, and :class:`ConflictError` unless it runs.
    """
    policy.require(actor, "read", place_of(experiment))
    metrics = {each["name"].lower(): each["name"] for each in parse_canonical(experiment.metrics)}
    problems = [
        problem
        for index, each in enumerate(happened)
        for problem in _problems(f"/outcomes/{index}", each, metrics)
    ]
    if problems:
        raise InvalidError(f"{len(problems)} outcome(s) cannot be recorded.", problems[:100])
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0.0])
    for each in happened:
        known = sums[metrics[each.metric.lower()], digest_of(experiment.pk, each.unit)]
        known[0] += 1
        known[1] += each.value
    with writing():
        row = locked(experiment)
        if row.state != Experiment.RUNNING:
            raise ConflictError(f"It does not run: it is {row.state}.", code="not_running")
        _add(row, sums)
    return len(happened)


def _problems(at: str, given: Happened, metrics: dict[str, str]) -> list[Problem]:
    found = []
    try:
        check_unit(given.unit)
    except InvalidError as error:
        found.append(Problem(f"{at}/unit", "unit", error.detail))
    if given.metric.lower() not in metrics:
        message = f"The experiment measures {', '.join(metrics.values()) or 'nothing'}."
        found.append(Problem(f"{at}/metric", "metric", message))
    if not abs(given.value) <= LARGEST:
        found.append(Problem(f"{at}/value", "type", f"A value is at most {LARGEST:g} in size."))
    return found


def _add(row: Experiment, sums: dict[tuple[str, str], list[float]]) -> None:
    now = connection.ops.adapt_datetimefield_value(clock.now())
    pk = Experiment._meta.pk.get_db_prep_value(row.pk, connection)  # noqa: SLF001 - the documented model API
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO rollouts_outcome (experiment_id, metric, unit, count, total, last_at)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (experiment_id, metric, unit) DO UPDATE"
            " SET count = rollouts_outcome.count + excluded.count,"
            " total = rollouts_outcome.total + excluded.total, last_at = excluded.last_at",
            [
                [pk, metric, unit, count, total, now]
                for (metric, unit), (count, total) in sorted(sums.items())
            ],
        )
